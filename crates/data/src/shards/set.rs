//! The lists of a set of shards.

use std::path::Path;
use std::sync::Arc;

use emotionclip::Emotion;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::ShardError;
use super::http::HttpStore;
use super::s3::{S3Settings, S3Store};
use super::sample::{ShardSample, read_sample};
use super::store::{LocalStore, ShardStore};
use super::{FORMAT, LIST, SAMPLES, VERSION};
use crate::prepare::work::hex;

/// Bytes of the lists at most: a million clips take some 400 MB.
const LARGEST_LIST: u64 = 4 << 30;
/// Bytes of a clip at most.
const LARGEST_SAMPLE: u64 = 512 << 20;

/// A shard: an entry of `shards.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// Its file name.
    pub file: String,
    /// Clips in it.
    pub samples: usize,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// All shards: `shards.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardList {
    /// `emotionclip-shards`.
    pub format: String,
    /// Version of the layout.
    pub version: u32,
    /// Clips in all shards.
    pub samples: usize,
    /// Frames per second.
    pub fps: f64,
    /// Seed of the order of the clips.
    pub seed: u64,
    /// SHA-256 of `samples.jsonl`.
    pub samples_sha256: String,
    /// The shards.
    pub shards: Vec<ShardEntry>,
}

/// A clip: a line of `samples.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleEntry {
    /// Its name.
    pub key: String,
    /// Id of its video.
    pub video_id: String,
    /// Number of its shard.
    pub shard: usize,
    /// Where in the shard it begins.
    pub offset: u64,
    /// How long it is there.
    pub bytes: u64,
    /// Its frames.
    pub frames: usize,
    /// Its length in seconds.
    pub duration: f64,
    /// What is said.
    pub text: String,
    /// Logits in the order of [`Emotion::ALL`].
    pub sentiment: [f32; Emotion::COUNT],
    /// Probability of neutral.
    pub neutral: f32,
}

/// Shards and what is in them.
#[derive(Clone, Debug)]
pub struct ShardSet {
    store: Arc<dyn ShardStore>,
    list: ShardList,
    samples: Vec<SampleEntry>,
}

impl ShardSet {
    /// Opens the shards in a folder, in a work folder, at an `http://` or `https://` address, or at
    /// `s3://bucket/folder` with the keys of the environment ([`S3Settings::from_environment`]).
    ///
    /// # Errors
    /// As [`ShardSet::of_store`], and for an environment that opens no bucket.
    pub fn open(place: &Path) -> Result<Self, ShardError> {
        match place.to_str() {
            Some(address) if HttpStore::is_address(address) => {
                Self::of_store(Arc::new(HttpStore::new(address)))
            }
            Some(address) if S3Store::is_address(address) => {
                let settings = S3Settings::from_environment()?;
                Self::of_store(Arc::new(S3Store::new(address, &settings)?))
            }
            _ => Self::of_store(Arc::new(LocalStore::new(place))),
        }
    }

    /// Whether a place holds shards; of an address that is known only once it is opened.
    pub fn is_there(place: &Path) -> bool {
        let is_address = |text: &str| HttpStore::is_address(text) || S3Store::is_address(text);
        place.to_str().is_some_and(is_address) || LocalStore::holds_shards(place)
    }

    /// Opens the shards of a store.
    ///
    /// # Errors
    /// Lists that are missing, of another version, damaged or don't belong together.
    pub fn of_store(store: Arc<dyn ShardStore>) -> Result<Self, ShardError> {
        let malformed = |file: &str, problem: String| ShardError::Malformed {
            file: format!("{}/{file}", store.place()),
            problem,
        };
        let bytes = match store.read(LIST, LARGEST_LIST) {
            Err(ShardError::Io { error, .. }) => {
                let problem = format!("{LIST}: {error}");
                return Err(ShardError::NoShards {
                    place: store.place(),
                    problem,
                });
            }
            Err(ShardError::Missing { problem, .. }) => {
                let problem = format!("{LIST}: {problem}");
                return Err(ShardError::NoShards {
                    place: store.place(),
                    problem,
                });
            }
            other => other?,
        };
        let list: ShardList = serde_json::from_slice(&bytes)
            .map_err(|error| malformed(LIST, format!("no list of shards ({error})")))?;
        if list.format != FORMAT || list.version != VERSION {
            let problem = format!(
                "{} of version {}, this program reads {FORMAT} {VERSION}",
                list.format, list.version
            );
            return Err(malformed(LIST, problem));
        }
        let is_plain = |name: &str| {
            Path::new(name).components().count() == 1
                && !name.starts_with('.')
                && !name.contains(['/', '\\'])
        };
        if let Some(shard) = list.shards.iter().find(|shard| !is_plain(&shard.file)) {
            return Err(malformed(
                LIST,
                format!("'{}' is no file beside it", shard.file.escape_debug()),
            ));
        }
        let lines = store.read(SAMPLES, LARGEST_LIST)?;
        if hex(&Sha256::digest(&lines)) != list.samples_sha256 {
            let problem =
                "not the clips of shards.json (SHA-256 differs); copy all files again".to_owned();
            return Err(malformed(SAMPLES, problem));
        }
        let mut samples = Vec::with_capacity(list.samples.min(lines.len()));
        for (number, line) in (1..).zip(lines.split(|byte| *byte == b'\n')) {
            if line.is_empty() {
                continue;
            }
            let sample: SampleEntry = serde_json::from_slice(line)
                .map_err(|error| malformed(SAMPLES, format!("line {number}: {error}")))?;
            let end = sample.offset.saturating_add(sample.bytes);
            let fits = list
                .shards
                .get(sample.shard)
                .is_some_and(|shard| end <= shard.bytes);
            if !fits || sample.bytes > LARGEST_SAMPLE || sample.frames == 0 {
                return Err(malformed(
                    SAMPLES,
                    format!("line {number}: no part of a shard"),
                ));
            }
            samples.push(sample);
        }
        if samples.len() != list.samples || samples.is_empty() {
            let problem = format!("{} clips, shards.json has {}", samples.len(), list.samples);
            return Err(malformed(SAMPLES, problem));
        }
        Ok(Self {
            store,
            list,
            samples,
        })
    }

    /// Where they lie.
    pub fn store(&self) -> &Arc<dyn ShardStore> {
        &self.store
    }

    /// The shards.
    pub fn list(&self) -> &ShardList {
        &self.list
    }

    /// The clips, in the order of the shards.
    pub fn samples(&self) -> &[SampleEntry] {
        &self.samples
    }

    /// Reads a clip.
    ///
    /// # Errors
    /// A number beyond the clips, a shard that can't be read, a damaged clip.
    pub fn read(&self, index: usize) -> Result<ShardSample, ShardError> {
        let no_clip = || ShardError::Setting(format!("there is no clip {index}"));
        let sample = self.samples.get(index).ok_or_else(no_clip)?;
        let shard = self.list.shards.get(sample.shard).ok_or_else(no_clip)?;
        let range = sample.offset..sample.offset + sample.bytes;
        let bytes = self.store.read_range(&shard.file, range)?;
        let read = read_sample(&shard.file, &sample.key, &bytes)?;
        if read.frames.len() != sample.frames {
            let problem = format!(
                "{} frames, {SAMPLES} has {}",
                read.frames.len(),
                sample.frames
            );
            return Err(ShardError::Sample {
                file: shard.file.clone(),
                key: sample.key.clone(),
                problem,
            });
        }
        Ok(read)
    }
}
