//! Batches drawn ahead of the training loop, the pairs of a batch side by side.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context as _;
use emotionclip::Emotion;
use emotionclip::preprocess::{Crops, Preprocess, PreprocessedClip};
use emotionclip::tokenizer::{ClipTokenizer, Truncation};
use emotionclip_data::pairs::{Pair as CorpusPair, PairedCorpus};
use emotionclip_data::synthetic::Split;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::config::{CorpusConfig, RunConfig, Stage, StageInput, StageSubjects, StageTexts};
use super::corpus::Source;
use super::validation::argmax;

/// One step's pairs on the host.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// `[B, T, 3, S, S]`.
    pub frames: Vec<f32>,
    /// `[B, T, S, S]`.
    pub masks: Vec<f32>,
    /// Where pairs share frames, the frame of each pair, in rising order: then there are fewer frames
    /// than masks. Else empty.
    pub owners: Vec<usize>,
    /// Token ids, `B` rows of the context length.
    pub tokens: Vec<Vec<u32>>,
    /// Token ids of the partners in a stage of utterances; else empty.
    pub partners: Vec<Vec<u32>>,
    /// `[B, 7]`.
    pub sentiment: Vec<f32>,
    /// Frames a clip, `T`.
    pub frame_count: usize,
    /// Side of a frame, `S`.
    pub size: usize,
}

/// Turns samples into batches.
#[derive(Clone)]
pub struct BatchMaker {
    config: RunConfig,
    /// One a stage.
    corpora: Vec<Arc<dyn PairedCorpus>>,
    tokenizer: ClipTokenizer,
    preprocess: Preprocess,
}

impl BatchMaker {
    /// A maker of training batches.
    pub fn new(
        config: &RunConfig,
        tokenizer: ClipTokenizer,
        preprocess: Preprocess,
    ) -> anyhow::Result<Self> {
        let source = Source::open(config, Split::Train)?;
        let corpora = config
            .stages
            .iter()
            .map(|stage| source.of_stage(stage))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            config: config.clone(),
            corpora,
            tokenizer,
            preprocess,
        })
    }

    /// The batch of a step, counted over the whole run; a pure function of it, so a resumed run
    /// sees the same data.
    pub fn batch(&self, step: usize) -> anyhow::Result<Batch> {
        let (stage, corpus, first) = self.locate(step);
        // Each pair is a function of its index alone, and they are collected in order: how many threads
        // there are changes nothing.
        let samples = (0..stage.batch_size).into_par_iter().map(|offset| {
            let index = (first + offset) as u64;
            let mut sample = match stage.input {
                StageInput::Utterances => return Ok(vec![self.words(corpus.as_ref(), index)]),
                StageInput::Peak if stage.subjects == StageSubjects::Everyone => {
                    let group = corpus.peak_group(index)?.into_iter();
                    return group.map(|sample| self.pair(sample, index)).collect();
                }
                StageInput::Peak => corpus.peak_pair(index)?,
                StageInput::Clip => corpus.pair(index)?,
            };
            if stage.texts == StageTexts::Descriptions {
                sample.text = corpus.description(index, stage.input == StageInput::Clip);
                sample.sentiment = [0.0; Emotion::COUNT];
            }
            Ok(vec![self.pair(sample, index)?])
        });
        Ok(assemble(samples.collect::<anyhow::Result<_>>()?))
    }

    /// The stage of a step, its corpus, and the index of the step's first sample in the stream.
    fn locate(&self, step: usize) -> (&Stage, &Arc<dyn PairedCorpus>, usize) {
        let mut remaining = step;
        let mut sample = 0;
        let last = self.config.stages.len() - 1;
        for (index, stage) in self.config.stages.iter().enumerate() {
            if remaining < stage.steps || index == last {
                return (
                    stage,
                    &self.corpora[index],
                    sample + remaining * stage.batch_size,
                );
            }
            remaining -= stage.steps;
            sample += stage.steps * stage.batch_size;
        }
        (&self.config.stages[0], &self.corpora[0], 0)
    }

    /// What could not be read so far and was passed over.
    pub fn skipped(&self) -> Vec<String> {
        let corpora = self.corpora.iter();
        corpora.flat_map(|corpus| corpus.skipped()).collect()
    }

    fn pair(&self, sample: CorpusPair, index: u64) -> anyhow::Result<Pair> {
        let crops = self.crops(&sample, index);
        let clip = self.preprocess.clip(&sample.clip, &crops)?;
        Ok(Pair {
            clip: Some(clip),
            tokens: self.tokenizer.encode(&sample.text, Truncation::KeepEot),
            partner: None,
            sentiment: sample.sentiment,
        })
    }

    /// Where a pair's frames are cropped: for captioned video each at random, as in the release.
    fn crops(&self, sample: &CorpusPair, index: u64) -> Crops {
        match &self.config.corpus {
            CorpusConfig::Shards(shards) if shards.random_crops => {
                let mut rng = ChaCha8Rng::seed_from_u64(shards.seed);
                rng.set_stream(index);
                let draw = |frame: &image::RgbImage| {
                    let range = self.preprocess.crop_range(frame.width(), frame.height());
                    range.map(|largest| rng.random_range(0..=largest))
                };
                Crops::PerFrame(sample.clip.frames.iter().map(draw).collect())
            }
            _ => Crops::Centre,
        }
    }

    /// An utterance and another one of the same dominant sentiment.
    fn words(&self, corpus: &dyn PairedCorpus, index: u64) -> Pair {
        let (text, sentiment) = corpus.spoken(index);
        let dominant = argmax(&sentiment);
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(index);
        let number = rng.random_range(0..corpus.alike_count(dominant).max(1));
        let partner = corpus.alike(dominant, number);
        let mut encode = |text: &str| {
            let text = without_some_words(text, self.config.word_dropout, &mut rng);
            self.tokenizer.encode(&text, Truncation::KeepEot)
        };
        Pair {
            clip: None,
            tokens: encode(text),
            partner: Some(encode(partner)),
            sentiment,
        }
    }
}

/// The text with a share of its words left out at random, but never all of them.
fn without_some_words<'a>(text: &'a str, share: f64, rng: &mut ChaCha8Rng) -> Cow<'a, str> {
    if share == 0.0 {
        return Cow::Borrowed(text);
    }
    let words = text.split_whitespace();
    let kept: Vec<&str> = words.filter(|_| !rng.random_bool(share)).collect();
    if kept.is_empty() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(kept.join(" "))
    }
}

/// One utterance and what it is paired with.
struct Pair {
    clip: Option<PreprocessedClip>,
    tokens: Vec<u32>,
    partner: Option<Vec<u32>>,
    sentiment: [f32; Emotion::COUNT],
}

/// Joins groups of pairs that share their frames; most groups are one pair.
fn assemble(groups: Vec<Vec<Pair>>) -> Batch {
    let mut batch = Batch::default();
    if groups.iter().any(|group| group.len() > 1) {
        let owners = groups.iter().enumerate();
        batch.owners = owners
            .flat_map(|(frame, group)| vec![frame; group.len()])
            .collect();
    }
    let pairs = groups
        .into_iter()
        .flat_map(|group| group.into_iter().enumerate());
    for (place, pair) in pairs {
        if let Some(clip) = pair.clip {
            if place == 0 {
                batch.frames.extend_from_slice(&clip.frames);
            }
            batch.masks.extend_from_slice(&clip.masks);
            batch.frame_count = clip.frame_count;
            batch.size = clip.size;
        }
        batch.partners.extend(pair.partner);
        batch.tokens.push(pair.tokens);
        batch.sentiment.extend_from_slice(&pair.sentiment);
    }
    batch
}

/// Batches that wait for the training loop. With the one that is being drawn and the one in use that
/// is what the loader holds: at the release's 128 clips of 8 frames a batch takes 0.8 GB.
const AHEAD: usize = 2;

/// A thread that keeps a few batches ready, in order, and workers that decode for it.
#[derive(Debug)]
pub struct Prefetcher {
    batches: Receiver<anyhow::Result<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl Prefetcher {
    /// Draws the batches of `steps` on `workers` threads, at least one.
    ///
    /// # Errors
    ///
    /// If the system gives no threads.
    pub fn new(
        maker: BatchMaker,
        steps: std::ops::Range<usize>,
        workers: usize,
    ) -> anyhow::Result<Self> {
        // Workers of their own: the device's engine computes on the shared ones.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(workers.max(1))
            .thread_name(|number| format!("loader-{number}"))
            .build()
            .context("no threads to load data on")?;
        let (sender, batches) = sync_channel(AHEAD);
        let draw = move || {
            for step in steps {
                let batch = pool.install(|| maker.batch(step));
                // Nobody listens any more when the run ends early.
                if sender.send(batch).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("loader".to_owned());
        Ok(Self {
            batches,
            thread: Some(thread.spawn(draw).context("no thread to load data on")?),
        })
    }

    /// The next batch.
    ///
    /// # Errors
    ///
    /// If a sample can't be prepared, or the workers are gone.
    pub fn next_batch(&mut self) -> anyhow::Result<Batch> {
        self.batches.recv().context("the data workers stopped")?
    }
}

impl Drop for Prefetcher {
    fn drop(&mut self) {
        // The thread notices the closed channel when it has drawn its batch.
        let (_, closed) = sync_channel(0);
        self.batches = closed;
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::warn!("a data worker panicked");
        }
    }
}

/// Threads that decode: one a core of those that this process may use.
pub fn loader_workers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use emotionclip_data::faces::{Augmentation, FacePart, FaceSampling, build, miniature};
    use emotionclip_data::synthetic::FigureCount;

    use super::super::config::{CorpusConfig, Stage};
    use super::*;

    #[test]
    fn batches_are_the_same_on_any_number_of_workers_and_from_any_step() {
        let mut config = RunConfig::nano();
        for stage in &mut config.stages {
            stage.batch_size = 5;
            stage.steps = 2;
        }
        let preprocess = emotionclip::pretrained::default_preprocess(&config.model);
        let tokenizer =
            ClipTokenizer::new(emotionclip::tokenizer::TokenizerConfig::default()).unwrap();
        let maker = BatchMaker::new(&config, tokenizer, preprocess).unwrap();
        let drawn = |workers: usize, steps: std::ops::Range<usize>| -> Vec<Batch> {
            let mut loader = Prefetcher::new(maker.clone(), steps.clone(), workers).unwrap();
            steps.map(|_| loader.next_batch().unwrap()).collect()
        };
        let total = config.total_steps();
        let alone = drawn(1, 0..total);
        let several = drawn(3, 0..total);
        let resumed = drawn(2, 3..total);
        let same = |a: &Batch, b: &Batch| {
            a.frames == b.frames
                && a.masks == b.masks
                && a.tokens == b.tokens
                && a.partners == b.partners
                && a.sentiment == b.sentiment
        };
        assert!(alone.iter().zip(&several).all(|(a, b)| same(a, b)));
        assert!(alone.iter().skip(3).zip(&resumed).all(|(a, b)| same(a, b)));
        assert!(!same(&alone[total - 1], &alone[total - 2]));
        // A loader that nobody empties ends all the same.
        drop(Prefetcher::new(maker.clone(), 0..total, 2).unwrap());
    }

    #[test]
    fn a_stage_says_itself_how_often_a_face_fills_the_frame() {
        let folder = tempfile::tempdir().unwrap();
        let options = miniature::write_sources(folder.path(), [4, 2, 2]).unwrap();
        for (name, bytes) in build(&options, &mut |_| ()).unwrap().files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let mut config = RunConfig::nano();
        config.corpus = CorpusConfig::Faces {
            root: folder.path().to_owned(),
            seed: 5,
            epoch_clips: 64,
            sampling: FaceSampling::Balanced,
            augmentation: Augmentation::NONE,
            clear_utterances: false,
            alone_every: 2,
            part: FacePart::All,
        };
        let scenes = Stage {
            figures: FigureCount::Mixed,
            input: StageInput::Peak,
            batch_size: 8,
            steps: 1,
            ..config.stages[0].clone()
        };
        let always = Stage {
            alone_every: Some(1),
            ..scenes.clone()
        };
        config.stages = vec![scenes, always];
        config.validate().unwrap();
        let preprocess = emotionclip::pretrained::default_preprocess(&config.model);
        let tokenizer =
            ClipTokenizer::new(emotionclip::tokenizer::TokenizerConfig::default()).unwrap();
        let maker = BatchMaker::new(&config, tokenizer, preprocess).unwrap();
        let filled = |step: usize| {
            let batch = maker.batch(step).unwrap();
            let pairs = batch.masks.chunks(batch.masks.len() / 8);
            pairs
                .filter(|mask| mask.iter().all(|&value| value == 1.0))
                .count()
        };
        assert_eq!(filled(0), 4, "every second one, as the corpus says");
        assert_eq!(filled(1), 8);
        let refused = |config: &RunConfig| format!("{:#}", config.validate().unwrap_err());
        let mut single = config.clone();
        single.stages[1].figures = FigureCount::Single;
        assert!(refused(&single).contains("alone_every"));
        config.corpus = RunConfig::nano().corpus;
        assert!(refused(&config).contains("alone_every"));
    }

    #[test]
    fn pairs_of_a_group_share_its_frame() {
        let pair = |value: f32| Pair {
            clip: Some(PreprocessedClip {
                frames: vec![value; 12],
                masks: vec![value; 4],
                frame_count: 1,
                size: 2,
            }),
            tokens: vec![value as u32],
            partner: None,
            sentiment: [value; Emotion::COUNT],
        };
        let batch = assemble(vec![
            vec![pair(1.0)],
            vec![pair(2.0), pair(3.0)],
            vec![pair(4.0), pair(5.0)],
        ]);
        assert_eq!(batch.owners, [0, 1, 1, 2, 2]);
        let firsts: Vec<f32> = batch.frames.chunks(12).map(|frame| frame[0]).collect();
        assert_eq!(firsts, [1.0, 2.0, 4.0]);
        let masks: Vec<f32> = batch.masks.chunks(4).map(|mask| mask[0]).collect();
        assert_eq!(masks, [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(batch.tokens.len(), 5);
        let alone = assemble(vec![vec![pair(1.0)], vec![pair(2.0)]]);
        assert!(alone.owners.is_empty(), "nothing is shared");
    }

    #[test]
    fn words_are_left_out_at_the_share_asked_for_and_never_all() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let text = "what a lovely day it is";
        assert_eq!(without_some_words(text, 0.0, &mut rng), text);
        assert_eq!(without_some_words("alone", 0.99, &mut rng), "alone");
        let trials = 500;
        let mut left = 0_i32;
        for _ in 0..trials {
            let kept = without_some_words(text, 0.25, &mut rng);
            let mut words = text.split(' ');
            for word in kept.split(' ') {
                // In their order.
                assert!(words.any(|one| one == word), "{kept}");
                left += 1;
            }
        }
        // 3,000 words, each kept with probability 3/4: four standard errors are 0.032.
        let share = f64::from(left) / f64::from(6 * trials);
        assert!((share - 0.75).abs() < 0.032, "{share}");
    }
}
