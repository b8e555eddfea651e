//! Why the corpus can't be built, read or drawn: what is wrong, where, and what to do.

use std::path::{Path, PathBuf};

use super::config::{FaceConfig, MAX_FACES};
use crate::goemotions::GoEmotionsError;

/// What can go wrong with the corpus of faces.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaceError {
    /// The embedded label texts are broken.
    #[error("the embedded file faces/labels.toml can't be used: {0}")]
    Labels(String),
    /// A folder or file of the sources isn't there.
    #[error("{}: not found; give the folder that holds {expected}", path.display())]
    Missing {
        /// What was looked for.
        path: PathBuf,
        /// What the folder given should hold.
        expected: &'static str,
    },
    /// A file can't be read.
    #[error("{}: cannot be read ({reason}); check its permissions and the disk", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A file's content isn't what it should be.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, where, and what to do.
        reason: String,
    },
    /// So much of a source is broken that the rest can't be trusted.
    #[error(
        "{}: {count} of {total} {what} can't be used, more than 1 % (the first: {first}); \
         unpack the data again",
        path.display()
    )]
    Broken {
        /// Folder of the source.
        path: PathBuf,
        /// What is broken.
        what: &'static str,
        /// How many are.
        count: usize,
        /// Of how many.
        total: usize,
        /// The first one and what is wrong with it.
        first: String,
    },
    /// The utterances can't be read.
    #[error(transparent)]
    Texts(#[from] GoEmotionsError),
    /// A file of sentiment logits lacks utterances of the corpus.
    #[error(
        "no logits for {count} of {total} utterances in {files} (the first: \"{first}\"); score \
         them all, or give no logits"
    )]
    NoSentiment {
        /// Names of the files.
        files: String,
        /// Utterances without logits.
        count: usize,
        /// All utterances.
        total: usize,
        /// The first one without.
        first: String,
    },
    /// A class has nothing left.
    #[error("no {what} of {emotion} in the {split} split; every split needs all seven emotions")]
    Empty {
        /// `face` or `utterance`.
        what: &'static str,
        /// The emotion.
        emotion: &'static str,
        /// The split.
        split: &'static str,
    },
    /// An emotion has too few faces to be shared out.
    #[error(
        "{count} face of {emotion} for training, which leaves none for a part; give more faces, or \
         don't divide them (part = \"all\")"
    )]
    Part {
        /// The emotion.
        emotion: &'static str,
        /// Its faces.
        count: usize,
    },
    /// A built corpus is incomplete or was changed.
    #[error("{}: {reason}; build the corpus again (`trainer data build-scenes`)", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The frames' size is out of range.
    #[error(
        "faces.size is {0}; give {min} to {max} pixels",
        min = FaceConfig::MIN_SIZE,
        max = FaceConfig::MAX_SIZE
    )]
    Size(u32),
    /// The number of frames is out of range.
    #[error("faces.frames is {0}; give 1 to {max}", max = FaceConfig::MAX_FRAMES)]
    Frames(usize),
    /// The numbers of faces a scene are out of range.
    #[error(
        "faces.min_faces is {min} and faces.max_faces {max}; give 1 to {MAX_FACES}, the smaller first"
    )]
    Count {
        /// Fewest faces.
        min: usize,
        /// Most faces.
        max: usize,
    },
    /// A setting of the augmentation is out of range.
    #[error("faces.augmentation.{name} is {value}; give a number from 0 to {limit}")]
    Augmentation {
        /// Name of the setting.
        name: &'static str,
        /// What it is.
        value: f32,
        /// The most it can be.
        limit: f32,
    },
    /// Frames were asked for that a clip doesn't have.
    #[error("frames {start}..{end} were asked for, but a clip has {frames}")]
    Range {
        /// First frame asked for.
        start: usize,
        /// One past the last frame asked for.
        end: usize,
        /// Frames a clip.
        frames: usize,
    },
}

impl FaceError {
    /// An error of the file system.
    pub(super) fn read(path: &Path, error: &std::io::Error, expected: &'static str) -> Self {
        if error.kind() == std::io::ErrorKind::NotFound {
            Self::Missing {
                path: path.to_owned(),
                expected,
            }
        } else {
            Self::Read {
                path: path.to_owned(),
                reason: error.to_string(),
            }
        }
    }

    /// A file whose content is wrong.
    pub(super) fn content(path: &Path, reason: impl Into<String>) -> Self {
        Self::Content {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    /// A built corpus that is incomplete or was changed.
    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}
