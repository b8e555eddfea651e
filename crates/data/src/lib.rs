//! Corpora for EmotionCLIP.

pub mod benchmarks;
pub mod captions;
pub mod decode;
mod description;
pub mod dfer;
pub mod faces;
pub mod folder;
pub mod folder_lock;
pub mod goemotions;
mod guard;
mod npy;
pub mod pairs;
pub mod prepare;
pub mod shards;
pub mod synthetic;
pub mod yolo;
