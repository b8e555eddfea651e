//! One clip as it lies in a shard.

use std::io::{Cursor, Read};
use std::path::Path;

use emotionclip::Emotion;
use image::{ImageFormat, ImageReader, Limits, RgbImage};
use serde::{Deserialize, Serialize};

use super::error::ShardError;
use crate::prepare::{BoxSpace, StoredBox};

/// Most frames of a clip.
const MOST_FRAMES: usize = 4096;
/// Most bytes of a clip's record.
const LARGEST_RECORD: u64 = 16 << 20;
/// Most bytes of a frame's file.
const LARGEST_FRAME: u64 = 64 << 20;
/// Most pixels of a frame.
const MOST_PIXELS: u64 = 1 << 26;

/// What is known of a clip: `<key>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// Name of the clip, unique in the corpus.
    pub key: String,
    /// Id of the video.
    pub video_id: String,
    /// What is said.
    pub text: String,
    /// Seconds since the start of the video.
    pub start: f64,
    /// Seconds since the start of the video.
    pub end: f64,
    /// Logits in the order of [`Emotion::ALL`].
    pub sentiment: [f32; Emotion::COUNT],
    /// Probability of neutral.
    pub neutral: f32,
    /// `[width, height]` of the frames in pixels.
    pub size: [u32; 2],
    /// The pixels that boxes are in.
    pub box_space: BoxSpace,
    /// Seconds since the start of the video, of each frame.
    pub times: Vec<f64>,
    /// People in each frame: left, top, right, bottom, score.
    pub boxes: Vec<Vec<StoredBox>>,
}

/// A clip with its frames as they are stored.
#[derive(Clone, Debug)]
pub struct ShardSample {
    /// What is known of it.
    pub record: SampleRecord,
    /// JPEG files.
    pub frames: Vec<Vec<u8>>,
}

/// Name of a clip's record in its shard.
pub(super) fn record_name(key: &str) -> String {
    format!("{key}.json")
}

/// Name of a clip's frame in its shard.
pub(super) fn frame_name(key: &str, index: usize) -> String {
    format!("{key}.{index:03}.jpg")
}

/// Reads a clip out of its part of a shard.
///
/// # Errors
/// Names that are not the clip's own, a broken record, frames that are missing, too many or too large.
pub fn read_sample(file: &str, key: &str, bytes: &[u8]) -> Result<ShardSample, ShardError> {
    let broken = |problem: String| ShardError::Sample {
        file: file.to_owned(),
        key: key.to_owned(),
        problem,
    };
    let mut archive = tar::Archive::new(Cursor::new(bytes));
    let entries = archive
        .entries()
        .map_err(|error| broken(error.to_string()))?;
    let mut record: Option<SampleRecord> = None;
    let mut frames = Vec::new();
    for entry in entries {
        let mut entry = entry.map_err(|error| broken(format!("a damaged entry ({error})")))?;
        let name = entry_name(&entry).map_err(&broken)?;
        let expected = match &record {
            None => record_name(key),
            Some(_) => frame_name(key, frames.len()),
        };
        if name != expected {
            return Err(broken(format!("'{name}' stands where '{expected}' should")));
        }
        let limit = if record.is_none() {
            LARGEST_RECORD
        } else {
            LARGEST_FRAME
        };
        if entry.size() > limit || frames.len() >= MOST_FRAMES {
            return Err(broken(format!("'{name}' is too large")));
        }
        let mut content = Vec::new();
        let copied = entry.by_ref().take(limit).read_to_end(&mut content);
        copied.map_err(|error| broken(format!("'{name}' can't be read ({error})")))?;
        if content.len() as u64 != entry.size() {
            return Err(broken(format!("'{name}' ends too early")));
        }
        if record.is_none() {
            let read: SampleRecord = serde_json::from_slice(&content)
                .map_err(|error| broken(format!("a broken record ({error})")))?;
            check_record(&read, key).map_err(&broken)?;
            record = Some(read);
        } else {
            frames.push(content);
        }
    }
    let record = record.ok_or_else(|| broken("it is empty".to_owned()))?;
    if frames.len() != record.times.len() {
        let problem = format!(
            "{} frames, the record has {}",
            frames.len(),
            record.times.len()
        );
        return Err(broken(problem));
    }
    Ok(ShardSample { record, frames })
}

/// The name of a tar entry that is a plain file at the top of its archive; anything else, such as a path
/// that leads out of a folder or a link, is refused.
pub(super) fn entry_name<R: Read>(entry: &tar::Entry<'_, R>) -> Result<String, String> {
    let path = entry.path_bytes();
    let name = std::str::from_utf8(&path).map_err(|_| "a name that is not UTF-8".to_owned())?;
    let is_plain = Path::new(name).components().count() == 1
        && !name.contains(['/', '\\', '\0'])
        && !name.starts_with('.')
        && name.len() <= 255;
    if !is_plain {
        return Err(format!(
            "'{}' is no name of a clip's file",
            name.escape_debug()
        ));
    }
    if !entry.header().entry_type().is_file() {
        return Err(format!("'{name}' is no plain file"));
    }
    Ok(name.to_owned())
}

fn check_record(record: &SampleRecord, key: &str) -> Result<(), String> {
    let [width, height] = record.size;
    if record.key != key {
        return Err(format!("its record is of '{}'", record.key));
    }
    if record.times.is_empty() || record.times.len() != record.boxes.len() {
        return Err("its record has not as many boxes as times".to_owned());
    }
    if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(format!("frames of {width} × {height} pixels"));
    }
    let numbers = record
        .boxes
        .iter()
        .flatten()
        .flatten()
        .chain(&record.sentiment);
    if !numbers.copied().all(f32::is_finite) {
        return Err("numbers that are not finite".to_owned());
    }
    Ok(())
}

impl ShardSample {
    /// Decodes a frame, whose size must be the record's: a picture that claims to be larger is refused
    /// before memory is taken for it.
    ///
    /// # Errors
    /// A message, for a frame that is missing or no such picture.
    pub fn frame(&self, index: usize) -> Result<RgbImage, String> {
        let at = |problem: String| format!("frame {index}: {problem}");
        let bytes = self
            .frames
            .get(index)
            .ok_or_else(|| at("there is none".to_owned()))?;
        let reader = || ImageReader::with_format(Cursor::new(bytes), ImageFormat::Jpeg);
        let size = reader()
            .into_dimensions()
            .map_err(|error| at(error.to_string()))?;
        let [width, height] = self.record.size;
        if size != (width, height) {
            return Err(at(format!(
                "{} × {} pixels, the record says {width} × {height}",
                size.0, size.1
            )));
        }
        let mut reader = reader();
        let mut limits = Limits::default();
        limits.max_alloc = Some(8 * MOST_PIXELS);
        reader.limits(limits);
        let picture = reader.decode().map_err(|error| at(error.to_string()))?;
        Ok(picture.into_rgb8())
    }
}
