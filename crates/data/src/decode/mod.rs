//! Pictures, videos and folders of frames, read from disk.
//!
//! Whatever a user points at becomes the same thing: RGB frames with their times, one after the
//! other, so that a long video never stands in memory as a whole. A file that can't be read is one
//! line that names it and says what to do.

mod animation;
mod error;
mod extract;
mod picture;
mod spread;
mod video;

use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};

pub use error::{DecodeError, DecodeFault};
pub use extract::FrameFiles;
pub use picture::{read_mask, read_picture, read_stored_picture};
pub use spread::{spread, spread_indices};
pub use video::{VideoFrames, VideoInfo};

/// Frames per second of a folder of frames: the rate at which the release stores its corpora.
pub const FOLDER_RATE: f64 = 8.0;

/// Names that end like this are videos; everything else that is no picture is left alone in a
/// folder of many files.
const VIDEO_EXTENSIONS: [&str; 14] = [
    "3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ogv", "ts", "webm",
    "wmv",
];
const PICTURE_EXTENSIONS: [&str; 5] = ["bmp", "jpeg", "jpg", "png", "webp"];

/// A frame and when it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Seconds since the start.
    pub time: f64,
    /// The picture.
    pub picture: RgbImage,
}

/// Something that has frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// One picture.
    Picture(PathBuf),
    /// A video, read through FFmpeg.
    Video(PathBuf),
    /// An animated picture.
    Animation(PathBuf),
    /// A folder of pictures in time order.
    Frames {
        /// The folder.
        folder: PathBuf,
        /// Its pictures; `frame9` comes before `frame10`.
        pictures: Vec<PathBuf>,
    },
}

/// Frames in time order, each read when it is asked for.
pub type FrameIter = Box<dyn Iterator<Item = Result<Frame, DecodeError>>>;

impl Media {
    /// Finds out what a path is: a folder is a clip of its pictures, a file is told by its content
    /// where its name leaves doubt.
    ///
    /// # Errors
    /// Nothing there, an empty file, a folder without pictures, a file of no known format.
    pub fn open(path: &Path) -> Result<Self, DecodeError> {
        let metadata =
            std::fs::metadata(path).map_err(|error| DecodeFault::from(error).at(path))?;
        if metadata.is_dir() {
            let pictures = pictures_in(path)?;
            if pictures.is_empty() {
                return Err(DecodeFault::NoFrames("the folder holds no picture").at(path));
            }
            let folder = path.to_owned();
            return Ok(Self::Frames { folder, pictures });
        }
        if metadata.len() == 0 {
            return Err(DecodeFault::Empty.at(path));
        }
        if is_video_name(path) {
            return Ok(Self::Video(path.to_owned()));
        }
        let mut start = [0; 32];
        let length = std::fs::File::open(path)
            .and_then(|mut file| std::io::Read::read(&mut file, &mut start))
            .map_err(|error| DecodeFault::from(error).at(path))?;
        match picture::format_of(start.get(..length).unwrap_or_default()) {
            Ok(ImageFormat::Gif) => Ok(Self::Animation(path.to_owned())),
            Ok(_) => Ok(Self::Picture(path.to_owned())),
            Err(fault) => Err(fault.at(path)),
        }
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::Picture(path) | Self::Video(path) | Self::Animation(path) => path,
            Self::Frames { folder, .. } => folder,
        }
    }

    /// The files that the frames come from.
    pub fn files(&self) -> &[PathBuf] {
        match self {
            Self::Picture(path) | Self::Video(path) | Self::Animation(path) => {
                std::slice::from_ref(path)
            }
            Self::Frames { pictures, .. } => pictures,
        }
    }

    /// All frames. `rate` asks videos for so many frames per second and says how far apart the
    /// pictures of a folder are ([`FOLDER_RATE`] without it); a picture is one frame at 0.
    ///
    /// # Errors
    /// What is known before the first frame; what is wrong later comes with the frame.
    pub fn frames(&self, rate: Option<f64>) -> Result<FrameIter, DecodeError> {
        Ok(match self {
            Self::Picture(path) => {
                let picture = read_picture(path)?;
                Box::new(std::iter::once(Ok(Frame { time: 0.0, picture })))
            }
            Self::Video(path) => Box::new(VideoFrames::open(path, rate)?),
            Self::Animation(path) => {
                let bytes = picture::read_bytes(path)?;
                Box::new(animation::frames(path, bytes, rate)?)
            }
            Self::Frames { pictures, .. } => {
                let rate = rate.unwrap_or(FOLDER_RATE);
                let pictures = pictures.clone().into_iter().enumerate();
                Box::new(pictures.map(move |(index, path)| {
                    let picture = read_picture(&path)?;
                    let time = index as f64 / rate;
                    Ok(Frame { time, picture })
                }))
            }
        })
    }

    /// `count` frames spread evenly over the whole, by the release's rule (see [`spread_indices`]).
    ///
    /// # Errors
    /// A frame that can't be read, or no frame at all.
    pub fn sample(&self, count: usize, rate: Option<f64>) -> Result<Vec<Frame>, DecodeError> {
        match self {
            // Of a folder only the pictures that are needed are read.
            Self::Frames { folder, pictures } => {
                let chosen: Vec<PathBuf> = spread_indices(pictures.len(), count)
                    .into_iter()
                    .filter_map(|index| pictures.get(index).cloned())
                    .collect();
                let folder = folder.clone();
                let pictures = chosen;
                Self::Frames { folder, pictures }.frames(rate)?.collect()
            }
            _ => spread(self.frames(rate)?, count),
        }
    }
}

/// Whether a file's name says that it is a picture or a video.
pub fn is_media_name(path: &Path) -> bool {
    is_video_name(path) || has_extension(path, &PICTURE_EXTENSIONS) || has_extension(path, &["gif"])
}

/// Whether a file's name says that it is a picture of one frame.
pub(crate) fn is_picture_name(path: &Path) -> bool {
    has_extension(path, &PICTURE_EXTENSIONS)
}

/// Whether a file's name says that it is a video.
pub fn is_video_name(path: &Path) -> bool {
    has_extension(path, &VIDEO_EXTENSIONS)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|found| extensions.iter().any(|one| found.eq_ignore_ascii_case(one)))
}

/// The pictures of a folder, hidden files left out, in the order in which people count.
fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>, DecodeError> {
    let in_folder = |error: std::io::Error| DecodeFault::from(error).at(folder);
    let mut pictures = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(in_folder)? {
        let path = entry.map_err(in_folder)?.path();
        if !is_hidden(&path) && path.is_file() && has_extension(&path, &PICTURE_EXTENSIONS) {
            pictures.push(path);
        }
    }
    pictures.sort_by_cached_key(|path| natural_key(path));
    Ok(pictures)
}

/// Whether a file's name starts with a dot.
pub(crate) fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

/// Sorts numbers within names by their value: text parts and, between them, digits without their
/// leading zeros with the number of digits before them.
pub(crate) fn natural_key(path: &Path) -> Vec<(usize, String)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut parts: Vec<(usize, String)> = Vec::new();
    let mut in_digits = None;
    for character in name.chars() {
        let digit = character.is_ascii_digit();
        if in_digits != Some(digit) {
            parts.push((0, String::new()));
            in_digits = Some(digit);
        }
        if let Some((digits, text)) = parts.last_mut()
            && !(digit && text.is_empty() && character == '0')
        {
            *digits += usize::from(digit);
            text.push(character);
        }
    }
    // The name itself decides between `1.png` and `01.png`.
    parts.push((0, name.into_owned()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(names: &[&str]) -> Vec<String> {
        let mut paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        paths.sort_by_cached_key(|path| natural_key(path));
        let name = |path: &PathBuf| path.display().to_string();
        paths.iter().map(name).collect()
    }

    #[test]
    fn frames_are_ordered_as_people_count() {
        let sorted = [
            "f1.png", "f2.png", "f9.png", "f10.png", "f010.png", "g0.png",
        ];
        let mut mixed = sorted;
        mixed.reverse();
        let found = order(&mixed);
        assert_eq!(found[..3], sorted[..3]);
        assert_eq!(found[5], "g0.png");
        // Equal numbers are ordered by their spelling, whichever it is.
        assert_eq!(
            order(&["f10.png", "f010.png"]),
            order(&["f010.png", "f10.png"])
        );
    }

    #[test]
    fn a_folder_of_pictures_is_a_clip_with_times() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..12_u8 {
            RgbImage::from_pixel(2, 2, image::Rgb([index; 3]))
                .save(folder.path().join(format!("{index}.png")))
                .unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "not a frame").unwrap();
        let media = Media::open(folder.path()).unwrap();
        let frames: Vec<Frame> = media
            .frames(Some(4.0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(frames.len(), 12);
        assert_eq!((frames[10].time, frames[10].picture.as_raw()[0]), (2.5, 10));
        let sampled = media.sample(4, None).unwrap();
        let values: Vec<u8> = sampled.iter().map(|one| one.picture.as_raw()[0]).collect();
        assert_eq!(values, [0, 3, 7, 11]);
    }

    #[test]
    fn a_picture_repeats_to_fill_a_clip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.bmp");
        RgbImage::new(2, 3).save(&path).unwrap();
        let media = Media::open(&path).unwrap();
        assert_eq!(media, Media::Picture(path));
        assert_eq!(media.sample(4, None).unwrap().len(), 4);
    }

    #[test]
    fn what_is_no_media_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let fault = |path: &Path| Media::open(path).unwrap_err().fault;
        assert!(matches!(fault(folder.path()), DecodeFault::NoFrames(_)));
        assert!(matches!(
            fault(&folder.path().join("no")),
            DecodeFault::Missing
        ));
        let text = folder.path().join("a.txt");
        std::fs::write(&text, "hello").unwrap();
        assert!(matches!(fault(&text), DecodeFault::UnknownFormat(_)));
        std::fs::write(&text, "").unwrap();
        assert!(matches!(fault(&text), DecodeFault::Empty));
    }
}
