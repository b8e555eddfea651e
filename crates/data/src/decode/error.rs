//! Why a picture or video can't be read: the file, what is wrong with it, what to do.

use std::path::{Path, PathBuf};

use super::video::LARGEST_RATE;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct DecodeError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: DecodeFault,
}

/// What can be wrong with a picture, a video or a folder of frames.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeFault {
    /// There is nothing at this path.
    #[error("no such file or folder; check the path")]
    Missing,
    /// The file can't be read.
    #[error("cannot be read ({0}); check its permissions and the disk")]
    Read(std::io::Error),
    /// The file has no content.
    #[error("the file is empty (zero bytes); copy or download it again")]
    Empty,
    /// The content is of no format that is read here.
    #[error("{0}; give a PNG, JPEG, WebP, BMP or GIF picture, or a video")]
    UnknownFormat(String),
    /// The content breaks off or contradicts its format.
    #[error("damaged or truncated ({0}); copy or save it again")]
    Damaged(String),
    /// The picture is larger than any use of it here.
    #[error("too large ({0}); scale it down first")]
    TooLarge(String),
    /// A program that videos are read with is not there.
    #[error(
        "reading videos takes the program `{0}`, which was not found; install FFmpeg \
         (Debian, Ubuntu: `sudo apt-get install ffmpeg`; macOS: `brew install ffmpeg`; \
         Windows: `winget install ffmpeg`)"
    )]
    NoProgram(&'static str),
    /// FFmpeg could not read the video.
    #[error("not a readable video ({0}); check that a player opens it")]
    Video(String),
    /// More or fewer frames per second than any video has.
    #[error("cannot be read at {0} frames a second; give a rate above 0, up to {LARGEST_RATE}")]
    Rate(f64),
    /// A video or folder that holds no frame.
    #[error("{0}; give one with at least one frame")]
    NoFrames(&'static str),
}

impl DecodeFault {
    /// The error of a file.
    pub(super) fn at(self, path: &Path) -> DecodeError {
        DecodeError {
            path: path.to_owned(),
            fault: self,
        }
    }
}

impl From<std::io::Error> for DecodeFault {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::NotFound {
            Self::Missing
        } else {
            Self::Read(error)
        }
    }
}
