//! Which clips are learned from and which are kept to measure on.

use std::collections::{BTreeMap, BTreeSet};

use emotionclip::Emotion;
use sha2::{Digest, Sha256};

use super::error::ShardError;
use super::set::{SampleEntry, ShardSet};
use super::stats::dominant;
use crate::synthetic::Split;

/// The clips of one split.
#[derive(Clone, Debug)]
pub struct ShardSplit {
    set: ShardSet,
    /// Their numbers in the set.
    clips: Vec<usize>,
    /// Clips by the dominant sentiment of their texts, in the order of [`Emotion::ALL`].
    by_sentiment: Vec<Vec<usize>>,
}

impl ShardSplit {
    /// The training or validation clips of a set. Whole videos are kept for validation, by a hash of
    /// their ids, so that a video never moves when others come; of a single video single clips are.
    ///
    /// # Errors
    /// For the test split, which shards don't have, a share outside (0, 1), and a set of one clip.
    pub fn new(set: ShardSet, split: Split, validation_share: f64) -> Result<Self, ShardError> {
        let refuse = |problem: &str| Err(ShardError::Setting(problem.to_owned()));
        if !(validation_share > 0.0 && validation_share < 1.0) {
            return refuse("validation_share: must lie between 0 and 1");
        }
        if split == Split::Test {
            return refuse("shards have no test split; test on a benchmark");
        }
        let videos: BTreeSet<&str> = set
            .samples()
            .iter()
            .map(|sample| sample.video_id.as_str())
            .collect();
        let unit: fn(&SampleEntry) -> &str = if videos.len() > 1 {
            |sample| &sample.video_id
        } else {
            |sample| &sample.key
        };
        let names: BTreeSet<&str> = set.samples().iter().map(unit).collect();
        if names.len() < 2 {
            return refuse("a corpus of one clip can't be split; prepare more videos");
        }
        let mut hashed: BTreeMap<[u8; 32], &str> = BTreeMap::new();
        for name in &names {
            hashed.insert(Sha256::digest(name).into(), *name);
        }
        let count = (validation_share * names.len() as f64).ceil() as usize;
        let held: BTreeSet<&str> = hashed
            .into_values()
            .take(count.clamp(1, names.len() - 1))
            .collect();
        let is_wanted =
            |sample: &SampleEntry| held.contains(unit(sample)) == (split == Split::Validation);
        let numbered = set.samples().iter().enumerate();
        let clips: Vec<usize> = numbered
            .filter(|(_, sample)| is_wanted(sample))
            .map(|(index, _)| index)
            .collect();
        let mut by_sentiment = vec![Vec::new(); Emotion::COUNT];
        for clip in &clips {
            let emotion = set
                .samples()
                .get(*clip)
                .map(|sample| dominant(&sample.sentiment));
            if let Some(group) = emotion.and_then(|emotion| by_sentiment.get_mut(emotion.index())) {
                group.push(*clip);
            }
        }
        Ok(Self {
            set,
            clips,
            by_sentiment,
        })
    }

    /// The set.
    pub fn set(&self) -> &ShardSet {
        &self.set
    }

    /// Numbers of the clips in the set.
    pub fn clips(&self) -> &[usize] {
        &self.clips
    }

    pub(super) fn entry(&self, clip: usize) -> Option<&SampleEntry> {
        self.set.samples().get(clip)
    }

    /// Clips whose text sounds like this most of all.
    pub(super) fn sounding(&self, emotion: Emotion) -> &[usize] {
        self.by_sentiment
            .get(emotion.index())
            .map_or(&[], Vec::as_slice)
    }
}
