//! The order in which a reader goes through clips.
//!
//! Shards are shuffled, dealt to readers, and each reader's clips are shuffled within a buffer, so that
//! a shard is read nearly from front to back. The order is a function of seed and epoch alone and is
//! worked out from the lists: a run that stopped in the middle of an epoch goes on at its place without
//! reading what came before, and two readers never meet.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::error::ShardError;

/// Who reads which clips in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardOrder {
    /// Clips of each shard, by their number in the set.
    shards: Vec<Vec<usize>>,
    seed: u64,
    buffer: usize,
    reader: usize,
    readers: usize,
}

impl ShardOrder {
    /// The order of all clips, given each clip's shard, for one reader.
    ///
    /// `buffer` is how many clips are mixed: 1 leaves each shard in its order.
    ///
    /// # Errors
    /// Without a clip, and for a buffer of none.
    pub fn new(
        clips: impl IntoIterator<Item = (usize, usize)>,
        seed: u64,
        buffer: usize,
    ) -> Result<Self, ShardError> {
        let mut shards: Vec<Vec<usize>> = Vec::new();
        for (clip, shard) in clips {
            if shards.len() <= shard {
                shards.resize(shard + 1, Vec::new());
            }
            if let Some(shard) = shards.get_mut(shard) {
                shard.push(clip);
            }
        }
        shards.retain(|shard| !shard.is_empty());
        if shards.is_empty() || buffer == 0 {
            let problem = "an order needs at least one clip and a buffer of at least 1";
            return Err(ShardError::Setting(problem.to_owned()));
        }
        Ok(Self {
            shards,
            seed,
            buffer,
            reader: 0,
            readers: 1,
        })
    }

    /// The same order for one of several readers: `worker` of `workers` on `rank` of `ranks`. Together
    /// they read every clip once. Whole shards are dealt where there are enough of them, else single
    /// clips.
    ///
    /// # Errors
    /// For a reader beyond the number of readers.
    pub fn split(
        mut self,
        [rank, ranks]: [usize; 2],
        [worker, workers]: [usize; 2],
    ) -> Result<Self, ShardError> {
        if rank >= ranks || worker >= workers {
            return Err(ShardError::Setting(format!(
                "rank {rank} of {ranks} and worker {worker} of {workers}: numbers begin at 0 and end below"
            )));
        }
        self.readers = ranks.saturating_mul(workers);
        self.reader = rank * workers + worker;
        Ok(self)
    }

    /// Clips of this reader in an epoch, in order.
    pub fn epoch(&self, epoch: u64) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(epoch << 1);
        let mut order: Vec<&Vec<usize>> = self.shards.iter().collect();
        order.shuffle(&mut rng);
        let is_mine = |place: usize| place % self.readers == self.reader;
        let mine: Vec<usize> = if self.shards.len() >= self.readers {
            let shards = order
                .into_iter()
                .enumerate()
                .filter(|(place, _)| is_mine(*place));
            shards
                .flat_map(|(_, shard)| shard.iter().copied())
                .collect()
        } else {
            let clips = order.into_iter().flatten().copied().enumerate();
            clips
                .filter(|(place, _)| is_mine(*place))
                .map(|(_, clip)| clip)
                .collect()
        };
        // Each reader draws from its own stream.
        rng.set_stream((epoch << 1) | 1);
        rng.set_word_pos((self.reader as u128) << 40);
        mix(mine, self.buffer, &mut rng)
    }
}

/// Gives a random one of the buffer and fills its place with the next.
fn mix(clips: Vec<usize>, buffer: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut held: Vec<usize> = Vec::with_capacity(buffer.min(clips.len()));
    let mut mixed = Vec::with_capacity(clips.len());
    for clip in clips {
        if held.len() < buffer {
            held.push(clip);
            continue;
        }
        let place = rng.random_range(0..held.len());
        if let Some(slot) = held.get_mut(place) {
            mixed.push(std::mem::replace(slot, clip));
        }
    }
    held.shuffle(rng);
    mixed.extend(held);
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(shards: usize, each: usize, buffer: usize) -> ShardOrder {
        let clips = (0..shards * each).map(|clip| (clip, clip / each));
        ShardOrder::new(clips, 7, buffer).unwrap()
    }

    #[test]
    fn readers_share_all_clips_without_overlap() {
        for (shards, ranks, workers) in [(12, 2, 3), (12, 1, 1), (3, 4, 2), (1, 1, 5)] {
            let mut seen = Vec::new();
            for rank in 0..ranks {
                for worker in 0..workers {
                    let one = order(shards, 10, 16)
                        .split([rank, ranks], [worker, workers])
                        .unwrap();
                    seen.extend(one.epoch(3));
                }
            }
            seen.sort_unstable();
            assert_eq!(
                seen,
                (0..shards * 10).collect::<Vec<_>>(),
                "{shards} {ranks} {workers}"
            );
        }
    }

    #[test]
    fn epochs_differ_and_repeat_by_themselves() {
        let one = order(8, 50, 64);
        assert_eq!(one.epoch(0), order(8, 50, 64).epoch(0));
        assert_ne!(one.epoch(0), one.epoch(1));
    }

    #[test]
    fn a_buffer_keeps_what_is_read_near_its_shard() {
        let buffer = 20;
        let epoch = order(10, 100, buffer).epoch(0);
        // A clip leaves the buffer at the earliest when `buffer` later ones came in, so at any time no
        // more than two shards and a tail are open.
        let early: std::collections::BTreeSet<usize> =
            epoch[..80].iter().map(|clip| clip / 100).collect();
        assert_eq!(early.len(), 1, "{early:?}");
        let unmixed = order(10, 100, 1).epoch(0);
        let rises = unmixed
            .windows(2)
            .filter(|pair| pair[1] == pair[0] + 1)
            .count();
        assert!(rises > 950, "{rises}");
        let rises = epoch
            .windows(2)
            .filter(|pair| pair[1] == pair[0] + 1)
            .count();
        assert!(rises < 300, "{rises}");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(ShardOrder::new([], 0, 8).is_err());
        assert!(ShardOrder::new([(0, 0)], 0, 0).is_err());
        assert!(order(1, 1, 1).split([1, 1], [0, 1]).is_err());
    }
}
