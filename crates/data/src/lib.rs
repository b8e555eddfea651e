//! Corpora for EmotionCLIP.

pub mod synthetic;
