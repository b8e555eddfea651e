//! `RoBERTa` and XLM-R classifiers of texts and of tokens, as Hugging Face folders hold them.
//!
//! The release's sentiment model is such a folder (`j-hartmann/emotion-english-distilroberta-base`), and
//! so are the models that put punctuation into automatic captions. A folder is `config.json`,
//! `tokenizer.json` and the weights, given here as bytes; [`PretrainedRoberta`] joins them.
//!
//! The encoder is BERT's (post-norm) with positions that begin behind the padding's id (Liu et al.,
//! *`RoBERTa`: A Robustly Optimized BERT Pretraining Approach*, 2019).

mod config;
mod error;
mod model;
mod parameters;
mod pretrained;

pub use config::{RobertaConfig, RobertaTask};
pub use error::RobertaError;
pub use model::{Roberta, RobertaClassifier, RobertaLayer};
pub use pretrained::{PretrainedRoberta, SENTIMENT_TOKENS, WordLabel};
