//! Why faces can't be looked for.

use crate::checkpoint::CheckpointError;
use crate::preprocess::PreprocessError;

/// What can be wrong with a detector's file or a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectorError {
    /// The weights can't be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The weights don't fit the architecture that stands beside them.
    #[error("{file}: {error}")]
    Tensors {
        /// Name of the file.
        file: String,
        /// What does not fit.
        error: CheckpointError,
    },
    /// A file of tensors that is no detector's.
    #[error(
        "{file}: no detector inside (metadata `{key}`); make one with `cargo xtask convert-detector`"
    )]
    NoConfig {
        /// Name of the file.
        file: String,
        /// The metadata entry that is missing.
        key: &'static str,
    },
    /// The metadata is not what this version writes.
    #[error("{file}: metadata `{key}`: {problem}")]
    Metadata {
        /// Name of the file.
        file: String,
        /// The metadata entry.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// An architecture that no network can have.
    #[error("detector.{field} is {value}: {rule}")]
    Config {
        /// Field of [`BlazeFaceConfig`](super::BlazeFaceConfig).
        field: &'static str,
        /// Its value.
        value: String,
        /// What the field has to satisfy.
        rule: &'static str,
    },
    /// The picture can't be brought to the network's size.
    #[error(transparent)]
    Picture(#[from] PreprocessError),
    /// The device failed to give the results back.
    #[error("reading from the device failed: {0}")]
    Device(String),
}
