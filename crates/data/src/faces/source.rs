//! Reads the sources as they are published.

use std::path::{Path, PathBuf};

use emotionclip::Emotion;
use emotionclip::text_classifier::unmask;
use image::DynamicImage;

use super::error::FaceError;
use super::{FACE_PIXELS, FACE_SIDE, Progress};
use crate::decode::read_picture;
use crate::goemotions;
use crate::synthetic::Split;

/// FER2013's names of the classes.
const FACE_FOLDERS: [(&str, Emotion); Emotion::COUNT] = [
    ("angry", Emotion::Anger),
    ("disgust", Emotion::Disgust),
    ("fear", Emotion::Fear),
    ("happy", Emotion::Joy),
    ("neutral", Emotion::Neutral),
    ("sad", Emotion::Sadness),
    ("surprise", Emotion::Surprise),
];

const FACES_EXPECTED: &str = "FER2013: train/<class>/*.jpg and test/<class>/{PublicTest,PrivateTest}_*.jpg, with the classes \
     angry, disgust, fear, happy, neutral, sad and surprise";

/// Share of a source that may be broken: one in this many.
const TOLERATED: usize = 100;

/// A picture of a face before anything was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceFace {
    pub(super) split: Split,
    pub(super) emotion: Emotion,
    /// `[48, 48]` grey values by rows.
    pub(super) pixels: Vec<u8>,
}

/// An utterance of one label before anything was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceUtterance {
    pub(super) split: Split,
    pub(super) emotion: Emotion,
    pub(super) text: String,
}

/// What a source gave.
pub(super) struct Read<T> {
    pub(super) items: Vec<T>,
    /// Per split, in the order of [`Split::ALL`]: what is left out by the rules.
    pub(super) left_out: [usize; 3],
    /// What can't be read, with the reason.
    pub(super) broken: Vec<(Split, String)>,
}

impl<T> Read<T> {
    fn new() -> Self {
        Self {
            items: Vec::new(),
            left_out: [0; 3],
            broken: Vec::new(),
        }
    }

    /// Stops where too much is broken.
    fn checked(self, path: &Path, what: &'static str) -> Result<Self, FaceError> {
        let total = self.items.len() + self.left_out.iter().sum::<usize>() + self.broken.len();
        match self.broken.first() {
            Some((_, first)) if self.broken.len() > total / TOLERATED => Err(FaceError::Broken {
                path: path.to_owned(),
                what,
                count: self.broken.len(),
                total,
                first: first.clone(),
            }),
            _ => Ok(self),
        }
    }
}

/// Reads FER2013's pictures in the order of split (test, validation, train), class and name.
pub(super) fn read_faces(
    root: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Read<SourceFace>, FaceError> {
    let mut files = Vec::new();
    for part in ["test", "train"] {
        for (folder, emotion) in FACE_FOLDERS {
            let folder = root.join(part).join(folder);
            let found = pictures(&folder)?;
            files.extend(found.into_iter().map(|path| (part, emotion, path)));
        }
    }
    let total = files.len();
    let mut read = Read::new();
    for (done, (part, emotion, path)) in files.into_iter().enumerate() {
        progress(Progress::new("reading faces", done, total));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let split = match (part, name.split('_').next()) {
            ("train", _) => Split::Train,
            (_, Some("PublicTest")) => Split::Validation,
            (_, Some("PrivateTest")) => Split::Test,
            _ => {
                let reason = "its name begins with neither PublicTest_ nor PrivateTest_, so its \
                              split is unknown; give FER2013 with its own names";
                return Err(FaceError::content(&path, reason));
            }
        };
        match read_face(&path) {
            Ok(pixels) => read.items.push(SourceFace {
                split,
                emotion,
                pixels,
            }),
            Err(reason) => read.broken.push((split, reason)),
        }
    }
    progress(Progress::new("reading faces", total, total));
    // Stable: inside a split the order stays that of class and name.
    read.items.sort_by_key(|face| rank(face.split));
    read.checked(root, "pictures")
}

/// The order in which splits are protected: what stands in two stays in the first.
pub(super) fn rank(split: Split) -> usize {
    match split {
        Split::Test => 0,
        Split::Validation => 1,
        Split::Train => 2,
    }
}

/// The pictures of a folder, by name.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>, FaceError> {
    let failed = |error: std::io::Error| FaceError::read(folder, &error, FACES_EXPECTED);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let extension = path
            .extension()
            .map(|one| one.to_string_lossy().to_lowercase());
        if matches!(extension.as_deref(), Some("jpg" | "jpeg" | "png")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_face(path: &Path) -> Result<Vec<u8>, String> {
    let picture = read_picture(path).map_err(|error| error.to_string())?;
    let (width, height) = picture.dimensions();
    if (width, height) != (FACE_SIDE, FACE_SIDE) {
        let name = path.display();
        return Err(format!(
            "{name}: {width} × {height} pixels instead of {FACE_SIDE} × {FACE_SIDE}"
        ));
    }
    // The weights of the channels add up to one, so a grey picture keeps its values.
    let grey = DynamicImage::ImageRgb8(picture).into_luma8().into_raw();
    debug_assert_eq!(grey.len(), FACE_PIXELS);
    Ok(grey)
}

/// Reads GoEmotions' rows of one label, in the order of split (test, validation, train) and line,
/// with its masked words made ordinary ones; rows of several labels are left out.
pub(super) fn read_utterances(root: &Path) -> Result<Read<SourceUtterance>, FaceError> {
    let mut read = Read::new();
    for (place, split) in Split::ALL.into_iter().enumerate().rev() {
        let part = goemotions::read(root, split)?;
        for utterance in part.utterances {
            if let [emotion] = utterance.labels[..] {
                read.items.push(SourceUtterance {
                    split,
                    emotion,
                    text: unmask(utterance.text.trim()).into_owned(),
                });
            } else {
                read.left_out[place] += 1;
            }
        }
        let name = goemotions::file_name(split);
        let named = |reason: String| (split, format!("{name} {reason}"));
        read.broken.extend(part.skipped.into_iter().map(named));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_broken_items_is_tolerated() {
        let read = |whole: usize, broken: usize| {
            let mut read = Read::new();
            read.items = vec![(); whole];
            read.broken = vec![(Split::Train, "x.jpg: empty".to_owned()); broken];
            read.checked(Path::new("root"), "pictures")
        };
        assert!(read(99, 1).is_ok());
        let error = read(98, 2).err().unwrap().to_string();
        assert!(error.contains("2 of 100 pictures"), "{error}");
        assert!(error.contains("x.jpg"), "{error}");
    }
}
