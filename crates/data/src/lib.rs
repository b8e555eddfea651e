//! Corpora for EmotionCLIP.

pub mod decode;
pub mod folder;
pub mod synthetic;
