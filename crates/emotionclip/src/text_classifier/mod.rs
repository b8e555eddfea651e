//! A small text classifier over the seven emotions: the frozen sentiment model when the weights of
//! `RoBERTa` aren't at hand.
//!
//! The sentiment-guided loss needs seven logits of every text ([`Emotion`](crate::Emotion)'s
//! order). This is CLIP's text encoder with a linear head, small enough to be trained from nothing
//! on a CPU; `trainer text-classifier` trains it on `GoEmotions`.
//!
//! ```
//! use burn::tensor::Device;
//! use emotionclip::text_classifier::{PretrainedTextClassifier, TextClassifierConfig};
//!
//! // Fresh weights; `PretrainedTextClassifier::from_bytes` reads trained ones.
//! let model = TextClassifierConfig::small().init(2022, &Device::flex())?;
//! let classifier = PretrainedTextClassifier::new(model)?;
//! let logits = classifier.logits(&["What a lovely surprise!", "leave me alone"])?;
//! assert_eq!(logits.len(), 2);
//! let probabilities = classifier.probabilities(logits[0]);
//! assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod file;
mod masks;
mod model;
mod parameters;

pub use config::{Objective, TextAttention, TextClassifierConfig, TextPooling};
pub use file::{
    METADATA_KEY, PretrainedTextClassifier, TextClassifierError, pad, tokenizer_config,
};
pub use masks::unmask;
pub use model::TextClassifier;
