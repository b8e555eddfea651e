//! Step `frames`: each video as JPEG files, one every eighth of a second.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use image::ImageReader;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::duplicates::difference_hash;
use super::error::PrepareError;
use super::inputs::{InputVideo, Inputs};
use super::step::{self, Failed, Limits, Outcome, Skip, StepProgress, StepReport};
use super::work::{PARTIAL, WorkFolder, hex, read_json, stamp, write_json};
use crate::decode::{DecodeFault, FOLDER_RATE, FrameFiles, read_picture};

/// How frames are stored.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FrameSettings {
    /// Frames per second; the release's corpora have 8.
    pub fps: f64,
    /// FFmpeg's JPEG quality, from 2, the best, to 31.
    pub quality: u8,
    /// Length in pixels to which the shorter side is scaled down; none keeps the size.
    pub shorter_side: Option<u32>,
    /// Hours of a video that are read at most.
    pub longest_hours: f64,
}

impl Default for FrameSettings {
    fn default() -> Self {
        Self {
            fps: FOLDER_RATE,
            quality: 2,
            shorter_side: None,
            longest_hours: 12.0,
        }
    }
}

/// The frames of a video: `video.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoFile {
    /// What the frames were made from.
    pub stamp: String,
    /// File name of the video, its captions' too if they were found.
    pub source: String,
    /// Frames per second.
    pub fps: f64,
    /// Number of the first frame: 0 here, 1 in the release's files.
    pub first: usize,
    /// How many there are.
    pub frames: usize,
    /// `[width, height]` of each in pixels.
    pub size: [u32; 2],
    /// SHA-256 of all frames' bytes.
    pub digest: String,
    /// Perceptual hash of one frame a second; 0 for a picture too plain to have one.
    pub hashes: Vec<u64>,
}

/// Name of a frame's file.
pub(crate) fn frame_name(number: usize) -> String {
    format!("{number:08}.jpg")
}

#[derive(Serialize)]
struct MadeFrom<'a> {
    settings: &'a FrameSettings,
    length: u64,
    modified_nanos: u128,
}

/// Takes the frames out of all videos.
///
/// # Errors
/// A missing `ffmpeg`, a disk that refuses, too many broken videos.
pub fn prepare_frames(
    work: &WorkFolder,
    inputs: &Inputs,
    settings: &FrameSettings,
    limits: &Limits,
    progress: &(dyn Fn(StepProgress) + Sync),
) -> Result<StepReport, PrepareError> {
    step::run(
        "frames",
        work,
        limits,
        &inputs.videos,
        &inputs.skipped,
        progress,
        |video| prepare(work, video, settings),
    )
}

fn prepare(
    work: &WorkFolder,
    video: &InputVideo,
    settings: &FrameSettings,
) -> Result<Outcome, Failed> {
    let metadata =
        std::fs::metadata(&video.path).map_err(|error| Skip::broken(&video.id, error))?;
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let stamp = stamp(&MadeFrom {
        settings,
        length: metadata.len(),
        modified_nanos: modified.map_or(0, |time| time.as_nanos()),
    });
    let folder = work.video(&video.id);
    let record = folder.join("video.json");
    let frames = folder.join("frames");
    if read_json::<VideoFile>(&record).is_some_and(|there| there.stamp == stamp) && frames.is_dir()
    {
        return Ok(Outcome::unchanged(Vec::new()));
    }
    // The record goes first: without it whatever lies there counts for nothing.
    remove(&record)?;
    remove(&frames)?;
    sweep(&folder);
    let partial = unique_partial(&frames);
    std::fs::create_dir_all(&partial).map_err(PrepareError::io(&partial))?;
    let extracted = extract(video, settings, &partial);
    let (count, complaints) = match extracted {
        Ok(extracted) => extracted,
        Err(failed) => {
            give_up(&folder, &partial)?;
            return Err(failed);
        }
    };
    let described = match describe(&partial, 0, count, settings.fps) {
        Ok(described) => described,
        Err(skip) => {
            give_up(&folder, &partial)?;
            return Err(Skip {
                item: video.id.clone(),
                ..skip
            }
            .into());
        }
    };
    std::fs::rename(&partial, &frames).map_err(PrepareError::io(&frames))?;
    let source = video
        .path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let file = VideoFile {
        stamp,
        source,
        ..described
    };
    write_json(&record, &file)?;
    let note = (!complaints.is_empty()).then(|| {
        let last = complaints.lines().last().unwrap_or_default();
        format!("{}: read with complaints of ffmpeg ({last})", video.id)
    });
    Ok(Outcome::made(note.into_iter().collect()))
}

/// Number of frames written, and what FFmpeg complained about.
fn extract(
    video: &InputVideo,
    settings: &FrameSettings,
    folder: &Path,
) -> Result<(usize, String), Failed> {
    let longest_secs = 3600.0 * settings.longest_hours;
    let files = FrameFiles {
        rate: settings.fps,
        quality: settings.quality,
        shorter_side: settings.shorter_side,
        longest_secs,
    };
    let complaints = files
        .write(&video.path, folder)
        .map_err(|error| match error.fault {
            DecodeFault::NoProgram(_) => {
                Failed::Fatal(PrepareError::Unusable(error.fault.to_string()))
            }
            // Sound without pictures is nothing broken.
            DecodeFault::NoFrames(reason) => Skip::left_out(&video.id, reason).into(),
            fault => Skip::broken(&video.id, fault).into(),
        })?;
    let count = count_frames(folder)?;
    if count == 0 {
        return Err(Skip::left_out(&video.id, "the video holds no frame").into());
    }
    // A file that breaks off still gives what came before: FFmpeg complains and calls it a success.
    let covered = count as f64 / settings.fps;
    let declared = FrameFiles::declared_secs(&video.path);
    if let Some(declared) = declared
        && !complaints.is_empty()
        && covered < 0.9 * declared.min(longest_secs) - 1.0
    {
        let reason = format!("it breaks off after {covered:.1} of {declared:.1} s");
        return Err(Skip::broken(&video.id, reason).into());
    }
    Ok((count, complaints))
}

fn count_frames(folder: &Path) -> Result<usize, PrepareError> {
    let entries = std::fs::read_dir(folder).map_err(PrepareError::io(folder))?;
    Ok(entries.flatten().count())
}

/// Size, digest and hashes of a folder's frames, numbered from `first`. All must be of one size.
pub(super) fn describe(
    folder: &Path,
    first: usize,
    count: usize,
    fps: f64,
) -> Result<VideoFile, Skip> {
    let mut digest = Sha256::new();
    let mut hashes = Vec::new();
    let mut size = [0, 0];
    let every = fps.round().max(1.0) as usize;
    for number in first..first + count {
        let name = frame_name(number);
        let path = folder.join(&name);
        let broken = |reason: String| Skip::broken("", format!("{name}: {reason}"));
        let bytes = std::fs::read(&path).map_err(|error| broken(error.to_string()))?;
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(&bytes);
        let reader =
            ImageReader::with_format(std::io::Cursor::new(&bytes), image::ImageFormat::Jpeg);
        let (width, height) = reader
            .into_dimensions()
            .map_err(|error| broken(error.to_string()))?;
        if number == first {
            size = [width, height];
        } else if size != [width, height] {
            return Err(broken(format!(
                "{width} × {height} pixels after {} × {}",
                size[0], size[1]
            )));
        }
        if u64::from(width) * u64::from(height) > LARGEST_PIXELS {
            return Err(broken(format!("too large ({width} × {height} pixels)")));
        }
        if (number - first).is_multiple_of(every) {
            let picture = read_picture(&path).map_err(|error| broken(error.fault.to_string()))?;
            hashes.push(difference_hash(&picture).unwrap_or(0));
        }
    }
    Ok(VideoFile {
        stamp: String::new(),
        source: String::new(),
        fps,
        first,
        frames: count,
        size,
        digest: hex(&digest.finalize()),
        hashes,
    })
}

/// A place for frames that no other process writes to: the ffmpeg of a killed run may still be alive.
fn unique_partial(frames: &Path) -> PathBuf {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_nanos());
    frames.with_file_name(format!("{PARTIAL}frames-{}-{nanos}", std::process::id()))
}

/// Removes what a killed run left. A folder is renamed first, so that an ffmpeg that still writes to it
/// finds it gone and ends; what can't be removed yet is left to the next run.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(PARTIAL) {
            let gone = folder.join(format!("{PARTIAL}gone-{name}"));
            let path = if std::fs::rename(entry.path(), &gone).is_ok() {
                gone
            } else {
                entry.path()
            };
            let _ = remove(&path);
        }
    }
}

/// Leaves of a video that can't be used only what other steps made.
fn give_up(folder: &Path, partial: &Path) -> Result<(), PrepareError> {
    remove(partial)?;
    // Goes only if nothing else is in it.
    let _ = std::fs::remove_dir(folder);
    Ok(())
}

/// Most pixels of a frame: twice an 8K picture.
const LARGEST_PIXELS: u64 = 1 << 26;

/// Removes a file or folder; one that is not there is no error.
pub(super) fn remove(path: &Path) -> Result<(), PrepareError> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(PrepareError::io(path)(error))
        }
        _ => Ok(()),
    }
}
