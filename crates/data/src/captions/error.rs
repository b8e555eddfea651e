//! Why a caption file can't be used.

use std::path::{Path, PathBuf};

/// What is wrong with a caption file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct CaptionError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: CaptionFault,
}

/// What can be wrong with a caption file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptionFault {
    /// The file can't be read.
    #[error("cannot be read ({0}); check the path and its permissions")]
    Read(#[from] std::io::Error),
    /// The file is larger than any captions.
    #[error("{0} MiB are no captions; give a subtitle file")]
    TooLarge(u64),
    /// The file has no content.
    #[error("the file is empty; download it again")]
    Empty,
    /// The content is of no format that is read here.
    #[error("{0}; give SubRip (.srt), WebVTT (.vtt) or YouTube's JSON")]
    UnknownFormat(String),
    /// The format is right but nothing is said.
    #[error("no cue inside; download the captions again")]
    NoCues,
    /// More than half of the cues can't be used.
    #[error("{broken} of {cues} cues are broken ({first}); download the captions again")]
    MostlyBroken {
        /// How many.
        broken: usize,
        /// Of how many.
        cues: usize,
        /// The first of them.
        first: String,
    },
}

impl CaptionFault {
    pub(super) fn at(self, path: &Path) -> CaptionError {
        CaptionError {
            path: path.to_owned(),
            fault: self,
        }
    }
}
