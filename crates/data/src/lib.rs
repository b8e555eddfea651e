//! Corpora for EmotionCLIP.

pub mod benchmarks;
pub mod decode;
mod description;
pub mod dfer;
pub mod faces;
pub mod folder;
pub mod goemotions;
pub mod pairs;
pub mod synthetic;
