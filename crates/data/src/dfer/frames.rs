//! The frames of one clip, read by index.

use std::collections::BTreeMap;
use std::path::Path;

use image::RgbImage;

use super::error::DferError;
use crate::decode::{Media, read_picture};

/// A clip that is ready to be read.
///
/// Of a folder only the pictures that are asked for are decoded. A video tells its number of frames
/// only by being decoded, so it is read once to count and once to pick, and never stands in memory
/// as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipFrames {
    media: Media,
    count: usize,
}

impl ClipFrames {
    /// Opens a folder of pictures or a video and counts its frames. Pictures are in the order in
    /// which people count (`9.jpg` before `10.jpg`), where EmoCLIP's release sorts their names.
    ///
    /// # Errors
    /// Nothing there, a folder without pictures, a video that can't be decoded.
    pub fn open(path: &Path) -> Result<Self, DferError> {
        let media = Media::open(path)?;
        let count = match &media {
            Media::Frames { pictures, .. } => pictures.len(),
            Media::Picture(_) => 1,
            Media::Video(_) | Media::Animation(_) => {
                let mut count = 0;
                for frame in media.frames(None)? {
                    frame?;
                    count += 1;
                }
                count
            }
        };
        Ok(Self { media, count })
    }

    /// How many frames the clip has; at least one.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What the frames come from.
    pub fn media(&self) -> &Media {
        &self.media
    }

    /// The frames at `indices`, which may repeat and have any order; each is decoded once.
    ///
    /// # Errors
    /// An index beyond the last frame, or a frame that can't be read.
    pub fn read(&self, indices: &[usize]) -> Result<Vec<RgbImage>, DferError> {
        let missing = |index| DferError::Frame {
            path: self.media.path().to_owned(),
            index,
            frames: self.count,
        };
        if let Some(&index) = indices.iter().find(|index| **index >= self.count) {
            return Err(missing(index));
        }
        let mut pictures: BTreeMap<usize, Option<RgbImage>> =
            indices.iter().map(|index| (*index, None)).collect();
        if let Media::Frames {
            pictures: files, ..
        } = &self.media
        {
            for (index, picture) in &mut pictures {
                let file = files.get(*index).ok_or_else(|| missing(*index))?;
                *picture = Some(read_picture(file)?);
            }
        } else if let Some(&last) = pictures.keys().next_back() {
            for (index, frame) in self.media.frames(None)?.take(last + 1).enumerate() {
                let frame = frame?;
                if let Some(place) = pictures.get_mut(&index) {
                    *place = Some(frame.picture);
                }
            }
        }
        let copy = |index: &usize| {
            let picture = pictures.get(index).cloned().flatten();
            picture.ok_or_else(|| missing(*index))
        };
        indices.iter().map(copy).collect()
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// A folder of grey pictures, each as bright as its number.
    fn clip(count: u8) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..count {
            RgbImage::from_pixel(2, 2, Rgb([index; 3]))
                .save(folder.path().join(format!("{index}.png")))
                .unwrap();
        }
        folder
    }

    #[test]
    fn frames_repeat_and_come_in_any_order() {
        let folder = clip(12);
        let frames = ClipFrames::open(folder.path()).unwrap();
        assert_eq!(frames.count(), 12);
        let read = frames.read(&[11, 2, 2, 0]).unwrap();
        let values: Vec<u8> = read.iter().map(|one| one.as_raw()[0]).collect();
        assert_eq!(values, [11, 2, 2, 0]);
        assert!(frames.read(&[]).unwrap().is_empty());
    }

    #[test]
    fn only_what_is_asked_for_is_decoded() {
        let folder = clip(4);
        std::fs::write(folder.path().join("1.png"), "no picture").unwrap();
        let frames = ClipFrames::open(folder.path()).unwrap();
        assert_eq!(frames.count(), 4);
        assert_eq!(frames.read(&[0, 2, 3]).unwrap().len(), 3);
        let error = frames.read(&[0, 1]).unwrap_err();
        assert!(matches!(error, DferError::Decode(_)), "{error}");
    }

    #[test]
    fn a_frame_beyond_the_end_is_an_error() {
        let folder = clip(3);
        let frames = ClipFrames::open(folder.path()).unwrap();
        let error = frames.read(&[0, 3]).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("frame 3 was asked for, and there are 3")
        );
    }
}
