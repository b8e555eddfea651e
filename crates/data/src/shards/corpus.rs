//! Shards as a corpus of pairs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use emotionclip::preprocess::{Letterbox, Preprocess, SubjectBox};
use emotionclip::{Clip, Emotion};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::error::ShardError;
use super::order::ShardOrder;
use super::sample::ShardSample;
use super::split::ShardSplit;
use super::stats::dominant;
use crate::decode::spread_indices;
use crate::pairs::{Pair, PairError, PairedCorpus};

/// Epochs whose order is held: workers ahead of the training loop may already be in the next.
const HELD_EPOCHS: usize = 3;

/// How clips are read.
#[derive(Clone, Debug)]
pub struct ShardSampling {
    /// Frames a clip.
    pub frames: usize,
    /// Seed of the order and of the frames.
    pub seed: u64,
    /// Clips mixed while reading, see [`ShardOrder`].
    pub buffer: usize,
    /// Whether frames are drawn at random, without replacement and in order, as the release trains;
    /// else they are spread evenly, as it evaluates.
    pub random_frames: bool,
    /// Boxes of at most this score are nobody.
    pub person_score: f32,
    /// How boxes in the release's canvas are read.
    pub letterbox: Letterbox,
    /// Share of the clips that may be broken before reading ends.
    pub max_broken: f64,
    /// The preprocessing of the model, at whose size masks are drawn.
    pub preprocess: Preprocess,
}

/// Clips that could not be used, and why.
type Broken = BTreeMap<String, String>;

/// One split of shards as an unbounded sequence of pairs. Epoch after epoch every clip comes once; pair
/// `index` is a function of the settings and the index alone.
#[derive(Debug)]
pub struct ShardCorpus {
    split: Arc<ShardSplit>,
    sampling: ShardSampling,
    order: ShardOrder,
    epochs: Mutex<BTreeMap<u64, Arc<Vec<usize>>>>,
    broken: Mutex<Broken>,
    /// Clips that were given instead of broken ones, by the index of the pair.
    replacements: Mutex<BTreeMap<u64, usize>>,
}

impl ShardCorpus {
    /// A corpus over the clips of a split.
    ///
    /// # Errors
    /// For settings that make no sense.
    pub fn new(split: Arc<ShardSplit>, sampling: ShardSampling) -> Result<Self, ShardError> {
        if sampling.frames == 0 {
            return Err(ShardError::Setting(
                "a clip needs at least one frame".to_owned(),
            ));
        }
        let clips = split
            .clips()
            .iter()
            .filter_map(|clip| Some((*clip, split.entry(*clip)?.shard)));
        let order = ShardOrder::new(clips, sampling.seed, sampling.buffer)?;
        Ok(Self {
            split,
            sampling,
            order,
            epochs: Mutex::default(),
            broken: Mutex::default(),
            replacements: Mutex::default(),
        })
    }

    /// Clips an epoch.
    pub fn epoch_clips(&self) -> usize {
        self.split.clips().len()
    }

    /// The clip of a pair, or the `further`-th one after it.
    fn clip(&self, index: u64, further: usize) -> usize {
        let count = self.epoch_clips() as u64;
        let epoch = index / count;
        let order = {
            let mut epochs = held(&self.epochs);
            let order = epochs
                .entry(epoch)
                .or_insert_with(|| Arc::new(self.order.epoch(epoch)));
            let order = Arc::clone(order);
            while epochs.len() > HELD_EPOCHS {
                // The farthest from the one in use.
                let farthest = epochs
                    .keys()
                    .copied()
                    .max_by_key(|other| other.abs_diff(epoch));
                if let Some(farthest) = farthest {
                    epochs.remove(&farthest);
                }
            }
            order
        };
        let place = ((index % count) as usize + further) % order.len();
        order.get(place).copied().unwrap_or_default()
    }

    /// The pair, or the next whose clip is whole.
    fn read(&self, index: u64, frames: &dyn Fn(usize) -> Vec<usize>) -> Result<Pair, PairError> {
        for further in 0..self.epoch_clips() {
            let clip = self.clip(index, further);
            let read = self.split.set().read(clip);
            let pair = read.map_err(|error| error.to_string()).and_then(|sample| {
                let chosen = frames(sample.frames.len());
                self.pair_of(&sample, &chosen)
            });
            match pair {
                Ok(pair) => {
                    let mut replacements = held(&self.replacements);
                    if further == 0 {
                        // What failed once, on the way from a server, may be whole the next time.
                        replacements.remove(&index);
                    } else {
                        replacements.insert(index, clip);
                    }
                    return Ok(pair);
                }
                Err(reason) => self.count_broken(clip, reason)?,
            }
        }
        Err(PairError::new(
            "no clip of the shards can be read; run `trainer data check`",
        ))
    }

    /// The clip that a pair was last made of; before that, the one in its place.
    fn given(&self, index: u64) -> usize {
        let replacement = held(&self.replacements).get(&index).copied();
        replacement.unwrap_or_else(|| self.clip(index, 0))
    }

    fn count_broken(&self, clip: usize, reason: String) -> Result<(), PairError> {
        let key = self
            .split
            .entry(clip)
            .map_or_else(String::new, |entry| entry.key.clone());
        let mut broken = held(&self.broken);
        broken.insert(key, reason.clone());
        if broken.len() as f64 <= self.sampling.max_broken * self.epoch_clips() as f64 {
            return Ok(());
        }
        let error = ShardError::TooManyBroken {
            broken: broken.len() as u64,
            read: self.epoch_clips() as u64,
            max_percent: 100.0 * self.sampling.max_broken,
            last: reason,
        };
        Err(PairError::new(error.to_string()))
    }

    fn pair_of(&self, sample: &ShardSample, chosen: &[usize]) -> Result<Pair, String> {
        let record = &sample.record;
        let protocol = record.box_space.protocol(self.sampling.letterbox);
        let (mut frames, mut masks) = (Vec::new(), Vec::new());
        for index in chosen {
            let picture = sample.frame(*index)?;
            let boxes = record.boxes.get(*index).map_or(&[][..], Vec::as_slice);
            let people: Vec<SubjectBox> = boxes
                .iter()
                .filter(|[.., score]| *score > self.sampling.person_score)
                .map(|&[x1, y1, x2, y2, score]| SubjectBox {
                    x1,
                    y1,
                    x2,
                    y2,
                    score: Some(score),
                })
                .collect();
            let prepared = self
                .sampling
                .preprocess
                .subject_frame(picture, &people, protocol);
            let (frame, mask) = prepared.map_err(|error| format!("frame {index}: {error}"))?;
            frames.push(frame);
            masks.push(mask);
        }
        Ok(Pair {
            key: record.key.clone(),
            clip: Clip { frames, masks },
            text: record.text.clone(),
            sentiment: record.sentiment,
            emotion: dominant(&record.sentiment),
            others: Vec::new(),
            peak_frame: self.sampling.frames / 2,
        })
    }

    /// Which of a clip's frames are taken.
    fn choose(&self, index: u64, available: usize) -> Vec<usize> {
        let wanted = self.sampling.frames;
        if !self.sampling.random_frames || available < wanted {
            return spread_indices(available, wanted);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.sampling.seed ^ 0x6672_616d_6573);
        rng.set_stream(index);
        let mut chosen = rand::seq::index::sample(&mut rng, available, wanted).into_vec();
        chosen.sort_unstable();
        chosen
    }
}

/// What a lock guards; a thread that failed meanwhile left it whole, for nothing is changed in steps.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PairedCorpus for ShardCorpus {
    fn pair(&self, index: u64) -> Result<Pair, PairError> {
        self.read(index, &|available| self.choose(index, available))
    }

    fn peak_pair(&self, index: u64) -> Result<Pair, PairError> {
        self.read(index, &|available| {
            let chosen = self.choose(index, available);
            chosen.get(chosen.len() / 2).copied().into_iter().collect()
        })
    }

    /// The dominant sentiment of what is said: nobody labelled what is shown.
    fn emotion(&self, index: u64) -> Emotion {
        dominant(&self.spoken(index).1)
    }

    fn spoken(&self, index: u64) -> (&str, [f32; Emotion::COUNT]) {
        let entry = self.split.entry(self.given(index));
        entry.map_or(("", [0.0; Emotion::COUNT]), |entry| {
            (&entry.text, entry.sentiment)
        })
    }

    /// Empty: nobody described the clips.
    fn description(&self, _: u64, _: bool) -> String {
        String::new()
    }

    fn alike_count(&self, dominant: Emotion) -> usize {
        self.split.sounding(dominant).len()
    }

    fn alike(&self, dominant: Emotion, number: usize) -> &str {
        let clip = self.split.sounding(dominant).get(number);
        clip.and_then(|clip| self.split.entry(*clip))
            .map_or("", |entry| &entry.text)
    }

    fn skipped(&self) -> Vec<String> {
        let named = |(key, reason)| format!("{key}: {reason}");
        held(&self.broken).iter().map(named).collect()
    }
}
