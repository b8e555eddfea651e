//! Why a step of the preparation stops.

use std::path::PathBuf;

/// What stops a step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// A file or folder can't be read or written.
    #[error("{}: {error}; check the path, its permissions and the space on the disk", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Another process works in the folder.
    #[error("{}: another run works in this folder; wait for it or give another --out", .0.display())]
    Locked(PathBuf),
    /// There is nothing to work on.
    #[error("{}: {problem}", path.display())]
    Nothing {
        /// Where something was looked for.
        path: PathBuf,
        /// What is missing and what to do.
        problem: String,
    },
    /// A file is not what it should be.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// Too much is broken.
    #[error(
        "{step}: {broken} of {total} videos are broken, more than {max_percent} % ({first}); see \
         {} or allow more with --max-broken", report.display()
    )]
    TooManyBroken {
        /// The step.
        step: &'static str,
        /// Broken videos so far.
        broken: usize,
        /// Videos in all.
        total: usize,
        /// What is allowed, in per cent.
        max_percent: f64,
        /// The first of them and what is wrong with it.
        first: String,
        /// Where all of them are named.
        report: PathBuf,
    },
    /// A program is missing or a setting makes no sense.
    #[error("{0}")]
    Unusable(String),
}

impl PrepareError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io { path, error }
    }
}
