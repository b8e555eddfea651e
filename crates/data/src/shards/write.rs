//! Step `shards`: clips into tar files.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::error::ShardError;
use super::plan::{Shard, ShardSettings, key_of, plan, shard_name};
use super::sample::{SampleRecord, ShardSample};
use super::set::ShardList;
use super::tarball::{Finished, to_milliseconds, write_shard};
use super::{FORMAT, LIST, SAMPLES, VERSION};
use crate::decode::FOLDER_RATE;
use crate::prepare::frame_file_name;
use crate::prepare::work::{hex, read_json, stamp, write_file, write_json};
use crate::prepare::{
    BoxesFile, IndexEntry, PrepareError, StepProgress, VideoFile, WorkFolder, read_index,
};

/// Bytes of a tar header, and what every file is padded to.
const BLOCK: u64 = 512;

/// Writes the shards of a work folder's index, several at once. Those that are there from a run before,
/// of the same index and settings, stay.
///
/// # Errors
/// A missing index, frames that have gone, a disk that refuses.
pub fn write_shards(
    work: &WorkFolder,
    settings: &ShardSettings,
    workers: usize,
    progress: &(dyn Fn(StepProgress) + Sync),
) -> Result<ShardList, PrepareError> {
    let entries = read_index(work.root())?;
    let unusable = |error: ShardError| PrepareError::Unusable(error.to_string());
    let bytes = sizes(work, &entries)?;
    let shards = plan(&entries, &bytes, settings).map_err(unusable)?;
    let folder = work.root().join("shards");
    std::fs::create_dir_all(&folder).map_err(PrepareError::io(&folder))?;
    let plan_stamp = stamp(&(VERSION, settings, &entries));
    start_over_if_changed(&folder, &plan_stamp)?;
    let total = shards.len();
    let done = AtomicUsize::new(0);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .build()
        .map_err(|error| PrepareError::Unusable(format!("no worker threads: {error}")))?;
    let write_one = |(number, shard): (usize, &Shard)| {
        let finished = shard_of(work, &folder, number, shard, &entries)?;
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        progress(StepProgress {
            step: "shards",
            done,
            total,
        });
        Ok(finished)
    };
    let finished: Vec<Finished> = pool.install(|| {
        shards
            .par_iter()
            .enumerate()
            .map(write_one)
            .collect::<Result<_, PrepareError>>()
    })?;
    let fps = match entries.first() {
        Some(entry) => record_of::<VideoFile>(work, &entry.video_id, "video.json")?.fps,
        None => FOLDER_RATE,
    };
    write_lists(&folder, finished, settings, fps)
}

/// Bytes that each clip's frames take.
fn sizes(work: &WorkFolder, entries: &[IndexEntry]) -> Result<Vec<u64>, PrepareError> {
    let size = |entry: &IndexEntry| {
        let frames = work.video(&entry.video_id).join("frames");
        (entry.start_frame..=entry.end_frame)
            .map(|number| {
                let path = frames.join(frame_file_name(number));
                let metadata = std::fs::metadata(&path).map_err(PrepareError::io(&path))?;
                Ok(metadata.len() + BLOCK)
            })
            .sum()
    };
    entries.par_iter().map(size).collect()
}

/// Shards of another plan would be mixed with this one's: they go.
fn start_over_if_changed(folder: &Path, plan_stamp: &str) -> Result<(), PrepareError> {
    let path = folder.join("plan.json");
    if read_json::<String>(&path).is_some_and(|there| there == plan_stamp) {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)
        .map_err(PrepareError::io(folder))?
        .flatten()
    {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_ours =
            name == LIST || name == SAMPLES || name == "plan.json" || name.contains("shard-");
        if is_ours && entry.path().is_file() {
            let path = entry.path();
            std::fs::remove_file(&path).map_err(PrepareError::io(&path))?;
        }
    }
    write_json(&path, &plan_stamp)
}

fn shard_of(
    work: &WorkFolder,
    folder: &Path,
    number: usize,
    shard: &Shard,
    entries: &[IndexEntry],
) -> Result<Finished, PrepareError> {
    let name = shard_name(number);
    let path = folder.join(&name);
    let record = folder.join(format!("{name}.json"));
    // The record is written after the shard, and the shard may have been damaged since.
    if let Some(there) = read_json::<Finished>(&record)
        && std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == there.entry.bytes)
    {
        return Ok(there);
    }
    let chosen = shard.iter().filter_map(|index| entries.get(*index));
    let finished = write_shard(&path, number, chosen.map(|entry| clip_of(work, entry)))?;
    write_json(&record, &finished)?;
    Ok(finished)
}

/// Writes clips of one's own as shards of `per_shard` clips, in the order given, at 8 frames a second.
///
/// # Errors
/// A disk that refuses, or a `per_shard` of 0.
pub fn write_samples(
    folder: &Path,
    clips: &[ShardSample],
    per_shard: usize,
) -> Result<ShardList, PrepareError> {
    if per_shard == 0 {
        return Err(PrepareError::Unusable(
            "a shard needs at least one clip".to_owned(),
        ));
    }
    std::fs::create_dir_all(folder).map_err(PrepareError::io(folder))?;
    let shards = clips.chunks(per_shard).enumerate();
    let finished = shards
        .map(|(number, part)| {
            let path = folder.join(shard_name(number));
            write_shard(&path, number, part.iter().cloned().map(Ok))
        })
        .collect::<Result<_, PrepareError>>()?;
    write_lists(folder, finished, &ShardSettings::default(), FOLDER_RATE)
}

/// A record of a video that an earlier step wrote.
fn record_of<T: DeserializeOwned>(
    work: &WorkFolder,
    id: &str,
    name: &str,
) -> Result<T, PrepareError> {
    let path = work.video(id).join(name);
    read_json(&path).ok_or_else(|| PrepareError::Malformed {
        path,
        problem: "gone or damaged since the index was made; run `trainer data index` again"
            .to_owned(),
    })
}

/// A clip with its frames, out of the work folder.
fn clip_of(work: &WorkFolder, entry: &IndexEntry) -> Result<ShardSample, PrepareError> {
    let video: VideoFile = record_of(work, &entry.video_id, "video.json")?;
    let boxes: BoxesFile = record_of(work, &entry.video_id, "boxes.json")?;
    let folder = work.video(&entry.video_id).join("frames");
    let numbers = entry.start_frame..=entry.end_frame;
    let boxes_of = |number: usize| boxes.frames.get(&number).cloned().unwrap_or_default();
    let record = SampleRecord {
        key: key_of(entry),
        video_id: entry.video_id.clone(),
        text: entry.text.clone(),
        start: entry.start,
        end: entry.end,
        sentiment: entry.sentiment_logits,
        neutral: entry.neutral_score,
        size: video.size,
        box_space: boxes.space,
        times: numbers
            .clone()
            .map(|number| to_milliseconds(number as f64 / video.fps))
            .collect(),
        boxes: numbers.clone().map(boxes_of).collect(),
    };
    let read = |number: usize| {
        let path = folder.join(frame_file_name(number));
        std::fs::read(&path).map_err(PrepareError::io(path))
    };
    let frames = numbers.map(read).collect::<Result<_, _>>()?;
    Ok(ShardSample { record, frames })
}

fn write_lists(
    folder: &Path,
    finished: Vec<Finished>,
    settings: &ShardSettings,
    fps: f64,
) -> Result<ShardList, PrepareError> {
    let mut lines = Vec::new();
    let mut shards = Vec::new();
    let mut count = 0;
    for one in finished {
        for sample in &one.samples {
            let line = serde_json::to_vec(sample);
            lines.extend(
                line.map_err(|error| PrepareError::io(folder)(std::io::Error::other(error)))?,
            );
            lines.push(b'\n');
        }
        count += one.samples.len();
        shards.push(one.entry);
    }
    let list = ShardList {
        format: FORMAT.to_owned(),
        version: VERSION,
        samples: count,
        fps,
        seed: settings.seed,
        samples_sha256: hex(&Sha256::digest(&lines)),
        shards,
    };
    write_file(&folder.join(SAMPLES), &lines)?;
    write_json(&folder.join(LIST), &list)?;
    Ok(list)
}
