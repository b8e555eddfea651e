//! `data check`: whether shards are what their lists say.

use std::io::Read;

use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::error::ShardError;
use super::sample::entry_name;
use super::set::ShardSet;
use super::store::failed;
use crate::prepare::StepProgress;
use crate::prepare::work::hex;

/// Faults that are named; the others are only counted.
const NAMED: usize = 100;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Shards looked at.
    pub shards: usize,
    /// Clips looked at.
    pub samples: usize,
    /// Frames looked at.
    pub frames: usize,
    /// How much is wrong.
    pub faults: usize,
    /// What is wrong, the first hundred.
    pub named: Vec<String>,
}

/// Compares every shard with its SHA-256 and reads every clip; with `decode` every picture too.
///
/// # Errors
/// If there are no threads to work on.
pub fn check(
    set: &ShardSet,
    decode: bool,
    workers: usize,
    progress: &(dyn Fn(StepProgress) + Sync),
) -> Result<CheckReport, ShardError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .build()
        .map_err(|error| ShardError::Setting(format!("no worker threads: {error}")))?;
    let total = set.list().shards.len();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let mut clips: Vec<Vec<usize>> = vec![Vec::new(); total];
    for (index, sample) in set.samples().iter().enumerate() {
        if let Some(shard) = clips.get_mut(sample.shard) {
            shard.push(index);
        }
    }
    let each = |(number, clips): (usize, &Vec<usize>)| {
        let found = check_shard(set, number, clips, decode);
        let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        progress(StepProgress {
            step: "check",
            done,
            total,
        });
        found
    };
    let found: Vec<(usize, Vec<String>)> =
        pool.install(|| clips.par_iter().enumerate().map(each).collect());
    let mut report = CheckReport {
        shards: total,
        samples: set.samples().len(),
        ..CheckReport::default()
    };
    for (frames, faults) in found {
        report.frames += frames;
        report.faults += faults.len();
        let room = NAMED.saturating_sub(report.named.len());
        report.named.extend(faults.into_iter().take(room));
    }
    Ok(report)
}

fn check_shard(
    set: &ShardSet,
    number: usize,
    clips: &[usize],
    decode: bool,
) -> (usize, Vec<String>) {
    let mut faults = Vec::new();
    let mut frames = 0;
    let Some(shard) = set.list().shards.get(number) else {
        return (0, faults);
    };
    match scan(set, &shard.file) {
        Ok((sha256, names)) => {
            if sha256 != shard.sha256 {
                faults.push(format!(
                    "{}: its SHA-256 is another; copy or make it again",
                    shard.file
                ));
            }
            faults.extend(
                names
                    .into_iter()
                    .map(|fault| format!("{}: {fault}", shard.file)),
            );
        }
        Err(error) => {
            faults.push(error.to_string());
            return (0, faults);
        }
    }
    if clips.len() != shard.samples {
        faults.push(format!(
            "{}: {} clips listed, {} expected",
            shard.file,
            clips.len(),
            shard.samples
        ));
    }
    for index in clips {
        match set.read(*index) {
            Ok(sample) => {
                frames += sample.frames.len();
                let broken =
                    |problem| format!("{}: clip {}: {problem}", shard.file, sample.record.key);
                if decode {
                    let pictures =
                        (0..sample.frames.len()).filter_map(|frame| sample.frame(frame).err());
                    faults.extend(pictures.map(broken));
                }
            }
            Err(error) => faults.push(error.to_string()),
        }
    }
    (frames, faults)
}

/// SHA-256 of a shard, and names in it that no clip has.
fn scan(set: &ShardSet, file: &str) -> Result<(String, Vec<String>), ShardError> {
    let mut stream = Digesting {
        inner: set.store().open(file)?,
        digest: Sha256::new(),
    };
    let mut names = Vec::new();
    {
        let mut archive = tar::Archive::new(&mut stream);
        let entries = archive.entries().map_err(failed(file))?;
        for entry in entries {
            match entry {
                Ok(entry) => names.extend(entry_name(&entry).err()),
                Err(error) => {
                    names.push(format!("a damaged entry ({error})"));
                    break;
                }
            }
            if names.len() >= NAMED {
                break;
            }
        }
    }
    std::io::copy(&mut stream, &mut std::io::sink()).map_err(failed(file))?;
    Ok((hex(&stream.digest.finalize()), names))
}

struct Digesting<R> {
    inner: R,
    digest: Sha256,
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digest.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
