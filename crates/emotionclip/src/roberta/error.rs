//! Why a folder's model can't be used.

use crate::checkpoint::CheckpointError;

/// What is wrong with a `RoBERTa` folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RobertaError {
    /// `config.json` describes no model that is known here.
    #[error("{file}: config.json: {problem}")]
    Config {
        /// The folder.
        file: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// `tokenizer.json` can't be used.
    #[error("{file}: tokenizer.json: {problem}")]
    Tokenizer {
        /// The folder.
        file: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The weights can't be read or don't fit.
    #[error("{file}: {error}")]
    Weights {
        /// The folder.
        file: String,
        /// What does not fit.
        error: CheckpointError,
    },
    /// The device failed, or the weights overflow.
    #[error("{0}")]
    Compute(String),
}
