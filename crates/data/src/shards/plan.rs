//! Which clips go into which shard, decided before anything is written.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::error::ShardError;
use crate::prepare::IndexEntry;

/// How shards are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShardSettings {
    /// Bytes of a shard; the last clip may go beyond.
    pub target_bytes: u64,
    /// Seed of the order of the clips: neighbours in a shard are not of one video.
    pub seed: u64,
}

impl Default for ShardSettings {
    fn default() -> Self {
        Self {
            target_bytes: 256 << 20,
            seed: 0,
        }
    }
}

/// The clips of one shard, by their number in the index.
pub(super) type Shard = Vec<usize>;

/// Deals clips of these sizes, in bytes, to shards.
pub(super) fn plan(
    entries: &[IndexEntry],
    bytes: &[u64],
    settings: &ShardSettings,
) -> Result<Vec<Shard>, ShardError> {
    if settings.target_bytes == 0 {
        return Err(ShardError::Setting(
            "the size of a shard must be above 0".to_owned(),
        ));
    }
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(settings.seed));
    let mut shards: Vec<Shard> = Vec::new();
    let mut filled = u64::MAX;
    for index in order {
        if filled >= settings.target_bytes {
            shards.push(Shard::new());
            filled = 0;
        }
        if let Some(shard) = shards.last_mut() {
            shard.push(index);
        }
        filled = filled.saturating_add(bytes.get(index).copied().unwrap_or_default());
    }
    Ok(shards)
}

/// Name of a clip: the video's id has no point, so the key ends where the name's first point is.
pub(super) fn key_of(entry: &IndexEntry) -> String {
    format!("{}-{:05}", entry.video_id, entry.sentence)
}

/// Name of a shard.
pub(super) fn shard_name(number: usize) -> String {
    format!("shard-{number:06}.tar")
}
