//! Where the numbers of a training go while it runs: one JSON object a line, and TensorBoard.
//!
//! Both outlive a kill at any moment and continue a resumed run without repeating steps.

mod jsonl;
mod tensorboard;

use std::path::PathBuf;

pub use jsonl::JsonlSink;
pub use tensorboard::TensorBoardSink;

/// Why a metric could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The file or folder could not be opened, read or written.
    #[error("cannot write metrics to '{}': {source}; check the disk's space and permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A record is no JSON object, or could not be made one.
    #[error("cannot write a metrics record to '{}': {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with the record.
        source: serde_json::Error,
    },
    /// A whole line of the file is no JSON object, so that it cannot be continued.
    #[error(
        "line {line} of '{}' is no JSON object; repair or move the file to resume this run",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
    },
}
