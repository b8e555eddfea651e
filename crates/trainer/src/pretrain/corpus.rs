//! Where a run's pairs come from.

use std::sync::Arc;

use anyhow::Context as _;
use emotionclip::card::{LabelText, ModelCard};
use emotionclip::pretrained::default_preprocess;
use emotionclip_data::faces::{FaceConfig, FaceCorpus, FaceSplit, FaceView, MAX_FACES};
use emotionclip_data::pairs::PairedCorpus;
use emotionclip_data::shards::{ShardCorpus, ShardSampling, ShardSet, ShardSplit};
use emotionclip_data::synthetic::{
    FigureCount, LabelTexts, Split, SyntheticConfig, SyntheticCorpus, label_texts,
};

use super::config::{CorpusConfig, RunConfig, ShardsConfig, Stage};
use crate::failure::OrBadInput;

/// Drawn validation scenes; a multiple of seven, so the emotions are balanced.
const DRAWN_VALIDATION: usize = 210;
/// Validation faces or scenes of faces: more, for real faces are harder to tell apart.
const FACE_VALIDATION: usize = 700;

/// Validation clips of captioned video at most.
const CLIP_VALIDATION: usize = 700;

/// One split of a run's corpus, read once; streams over it differ in how many figures they show.
#[derive(Clone, Debug)]
pub enum Source {
    /// The embedded corpus.
    Synthetic {
        /// Settings but for the number of figures.
        config: SyntheticConfig,
        /// The split.
        split: Split,
    },
    /// A corpus of real faces.
    Faces {
        /// Settings but for the number of faces.
        config: FaceConfig,
        /// Faces and utterances.
        data: Arc<FaceSplit>,
    },
    /// Captioned video.
    Shards {
        /// How clips are read.
        sampling: ShardSampling,
        /// The clips.
        data: Arc<ShardSplit>,
    },
}

impl Source {
    /// Opens a split of the run's corpus at the model's input size.
    ///
    /// # Errors
    ///
    /// Bad input if the settings are out of range or the corpus's folder can't be used.
    pub fn open(run: &RunConfig, split: Split) -> anyhow::Result<Self> {
        let size = u32::try_from(run.model.vision.image_size).unwrap_or(u32::MAX);
        let frames = run.model.temporal.frames;
        match &run.corpus {
            CorpusConfig::Synthetic {
                seed, restraint, ..
            } => Ok(Self::Synthetic {
                config: SyntheticConfig {
                    size,
                    frames,
                    seed: *seed,
                    restraint: *restraint,
                    ..SyntheticConfig::default()
                },
                split,
            }),
            CorpusConfig::Faces {
                root,
                seed,
                sampling,
                augmentation,
                part,
                clear_utterances,
                alone_every,
                ..
            } => {
                let mut data = FaceSplit::open(root, split).or_bad_input("corpus")?;
                // What is measured on stays whole.
                let learning = split == Split::Train;
                if learning {
                    data = data.with_part(*part).or_bad_input("corpus")?;
                    if *clear_utterances {
                        data = data.with_clear_utterances();
                    }
                }
                Ok(Self::Faces {
                    config: FaceConfig {
                        size,
                        frames,
                        seed: *seed,
                        sampling: *sampling,
                        augmentation: *augmentation,
                        alone_every: if learning { *alone_every } else { 0 },
                        ..FaceConfig::default()
                    },
                    data: Arc::new(data),
                })
            }
            CorpusConfig::Shards(config) => open_shards(config, run, split),
        }
    }

    /// The stream of pairs with this many figures.
    ///
    /// # Errors
    ///
    /// Bad input if the settings are out of range.
    pub fn stream(&self, figures: FigureCount) -> anyhow::Result<Arc<dyn PairedCorpus>> {
        match self {
            Self::Synthetic { config, split } => {
                let config = SyntheticConfig {
                    figures,
                    ..config.clone()
                };
                let corpus = SyntheticCorpus::new(config, *split);
                Ok(Arc::new(corpus.context("opening the synthetic corpus")?))
            }
            Self::Faces { config, data } => {
                let (view, min_faces, max_faces) = match figures {
                    FigureCount::Single => (FaceView::Single, 1, 1),
                    FigureCount::Placed => (FaceView::Scenes, 1, 1),
                    FigureCount::Multi => (FaceView::Scenes, 2, MAX_FACES),
                    FigureCount::Mixed => (FaceView::Scenes, 1, MAX_FACES),
                };
                let alone = matches!(figures, FigureCount::Placed | FigureCount::Mixed);
                let config = FaceConfig {
                    view,
                    min_faces,
                    max_faces,
                    alone_every: if alone { config.alone_every } else { 0 },
                    ..config.clone()
                };
                let corpus = FaceCorpus::new(config, Arc::clone(data)).or_bad_input("corpus")?;
                Ok(Arc::new(corpus))
            }
            // How many people a clip shows is as it was filmed.
            Self::Shards { sampling, data } => {
                let corpus = ShardCorpus::new(Arc::clone(data), sampling.clone());
                Ok(Arc::new(corpus.or_bad_input("corpus")?))
            }
        }
    }

    /// The stream of pairs that a stage learns from, with what it sets of its own.
    ///
    /// # Errors
    ///
    /// As [`Source::stream`].
    pub fn of_stage(&self, stage: &Stage) -> anyhow::Result<Arc<dyn PairedCorpus>> {
        let mut source = self.clone();
        if let Self::Faces { config, .. } = &mut source {
            config.alone_every = stage.alone_every.unwrap_or(config.alone_every);
            config.augmentation = stage.augmentation.unwrap_or(config.augmentation);
        }
        source.stream(stage.figures)
    }

    /// What a stage is validated on, and how many pairs of it. Drawn figures always in company:
    /// single ones are only the way there. Faces as the stage shows them: a face alone is a task
    /// of its own.
    ///
    /// # Errors
    ///
    /// As [`Source::stream`].
    pub fn validation(
        &self,
        figures: FigureCount,
    ) -> anyhow::Result<(Arc<dyn PairedCorpus>, usize)> {
        match self {
            Self::Synthetic { .. } => Ok((self.stream(FigureCount::Multi)?, DRAWN_VALIDATION)),
            Self::Faces { .. } => Ok((self.stream(figures)?, FACE_VALIDATION)),
            Self::Shards { data, .. } => {
                let count = data.clips().len().min(CLIP_VALIDATION);
                Ok((self.stream(figures)?, count))
            }
        }
    }
}

fn open_shards(config: &ShardsConfig, run: &RunConfig, split: Split) -> anyhow::Result<Source> {
    let set = ShardSet::open(&config.root).or_bad_input("corpus")?;
    let data = ShardSplit::new(set, split, config.validation_share).or_bad_input("corpus")?;
    Ok(Source::Shards {
        sampling: ShardSampling {
            frames: run.model.temporal.frames,
            seed: config.seed,
            buffer: config.buffer,
            random_frames: config.random_frames && split == Split::Train,
            person_score: config.person_score,
            letterbox: config.letterbox,
            max_broken: config.max_broken,
            preprocess: default_preprocess(&run.model),
        },
        data: Arc::new(data),
    })
}

/// The committed zero-shot texts that fit the way people talk in the run's corpus.
///
/// # Errors
///
/// If the file is broken, which a test of the data crate rules out.
pub fn corpus_labels(corpus: &CorpusConfig) -> anyhow::Result<&'static LabelTexts> {
    Ok(match corpus {
        CorpusConfig::Synthetic { .. } => label_texts()?,
        CorpusConfig::Faces { .. } | CorpusConfig::Shards(_) => {
            emotionclip_data::faces::label_texts()?
        }
    })
}

/// What a model that learned from the corpus must say of itself.
///
/// # Errors
///
/// As [`corpus_labels`].
pub fn corpus_card(corpus: &CorpusConfig) -> anyhow::Result<ModelCard> {
    Ok(match corpus {
        CorpusConfig::Synthetic { .. } => ModelCard {
            name: "drawn figures".to_owned(),
            trained_on: "drawn figures with invented utterances, no real face among them"
                .to_owned(),
            caution: "It shows how the method works. What it says of a real face means nothing."
                .to_owned(),
            close_up: false,
            labels: LabelText::of_emotions(corpus_labels(corpus)?),
        },
        CorpusConfig::Faces { .. } => faces_card()?,
        CorpusConfig::Shards(_) => ModelCard {
            name: "captioned video".to_owned(),
            trained_on: "captioned video that was prepared with `trainer data prepare`".to_owned(),
            caution:
                "It learned how people talk while they are filmed, which need not be what they \
                      feel."
                    .to_owned(),
            close_up: false,
            labels: LabelText::of_emotions(corpus_labels(corpus)?),
        },
    })
}

/// What a model that learned from the corpus of real faces must say of itself.
///
/// # Errors
///
/// As [`corpus_labels`].
pub fn faces_card() -> anyhow::Result<ModelCard> {
    Ok(ModelCard {
        name: "real faces".to_owned(),
        trained_on: "grey pictures of faces (FER2013) paired with comments of the same emotion \
                     (GoEmotions)"
            .to_owned(),
        caution: "It guesses what a face shows and can’t know what anybody feels.".to_owned(),
        close_up: true,
        labels: LabelText::of_emotions(emotionclip_data::faces::label_texts()?),
    })
}

/// The embedded corpus itself, for measuring what only drawn figures allow.
///
/// # Errors
///
/// If the run's corpus is another one.
pub fn drawn(
    run: &RunConfig,
    split: Split,
    figures: FigureCount,
) -> anyhow::Result<SyntheticCorpus> {
    match Source::open(run, split)? {
        Source::Synthetic { config, split } => {
            let config = SyntheticConfig { figures, ..config };
            SyntheticCorpus::new(config, split).context("opening the synthetic corpus")
        }
        Source::Faces { .. } | Source::Shards { .. } => {
            anyhow::bail!("corpus: this measurement needs the synthetic corpus")
        }
    }
}
