//! EmotionCLIP's model, loss and preprocessing on [burn].

#![warn(missing_docs)]

pub mod checkpoint;
pub mod clip;
pub mod config;
pub mod emotion;
pub mod loss;
pub mod model;
pub mod nn;
pub mod optim;
pub mod parameters;
pub mod preprocess;
pub mod probe;
pub mod temporal;
pub mod text;
pub mod tokenizer;
pub mod vision;

pub use clip::Clip;
pub use config::{EmotionClipConfig, Preset};
pub use emotion::Emotion;
pub use model::EmotionClip;
