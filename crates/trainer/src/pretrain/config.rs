//! Everything that determines a pre-training run, as one TOML file.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use emotionclip::config::{EmotionClipConfig, Preset};
use emotionclip::loss::SentimentGuidance;
use emotionclip::optim::{AdamWConfig, GroupRates, Schedule};
use emotionclip::preprocess::Letterbox;
use emotionclip_data::faces::{Augmentation, FacePart, FaceSampling};
use emotionclip_data::shards::{ShardSet, ShardSplit};
use emotionclip_data::synthetic::{FigureCount, Split};
use serde::{Deserialize, Serialize};

use super::text_start::TextStart;
use crate::failure::{OrBadInput, bad_input};

/// Epochs of the release's recipe.
const RELEASE_EPOCHS: usize = 25;

/// A run's configuration; saved with the run as `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Seed of the parameters, the data order and the dropout.
    pub seed: u64,
    /// A model file to start from, instead of random parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_from: Option<PathBuf>,
    /// What happens to each encoder.
    #[serde(default)]
    pub towers: Towers,
    /// How the text encoder starts where there is no `start_from`.
    #[serde(default)]
    pub text_start: TextStart,
    /// Share of the words of a training utterance that are left out, others each time, where the
    /// text encoder learns: it must not know an utterance by a single rare word.
    #[serde(default)]
    pub word_dropout: f64,
    /// The contrastive loss.
    pub loss: SentimentGuidance,
    /// Moments of AdamW.
    pub optimizer: AdamWConfig,
    /// Base rates of the seven parameter groups.
    pub rates: GroupRates,
    /// The corpus to train on.
    pub corpus: CorpusConfig,
    /// What is saved when.
    pub checkpoints: CheckpointPolicy,
    /// Steps between two measurements of the validation accuracy; 0 measures at the end only.
    pub validate_every_steps: usize,
    /// The parts of the run, in order.
    pub stages: Vec<Stage>,
    /// The architecture.
    pub model: EmotionClipConfig,
}

/// What happens to one encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum TowerMode {
    /// Starts from `start_from` when that is given, and is trained.
    #[default]
    Trained,
    /// Starts from `start_from` and stays as it is.
    Frozen,
    /// Starts from random parameters whatever `start_from` holds, and is trained.
    Random,
}

/// The mode of each encoder (the paper's Table 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Towers {
    /// Frame encoder.
    pub frame: TowerMode,
    /// Text encoder.
    pub text: TowerMode,
    /// Temporal encoder.
    pub temporal: TowerMode,
}

/// Where pairs come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "snake_case")]
pub enum CorpusConfig {
    /// The embedded corpus, drawn while training.
    Synthetic {
        /// Seed of the scenes.
        seed: u64,
        /// Share of figures whose bodies barely show the emotion.
        restraint: f32,
        /// Clips that count as one epoch; the stream itself never repeats.
        epoch_clips: usize,
    },
    /// Real faces and utterances, made by `trainer data build-scenes`.
    Faces {
        /// Its folder.
        root: PathBuf,
        /// Seed of the scenes.
        seed: u64,
        /// Clips that count as one epoch; scenes never repeat, faces do.
        epoch_clips: usize,
        /// How often the emotions come.
        #[serde(default)]
        sampling: FaceSampling,
        /// How training faces are varied.
        #[serde(default)]
        augmentation: Augmentation,
        /// Train only with utterances whose highest sentiment logit is that of their label.
        #[serde(default)]
        clear_utterances: bool,
        /// In stages of placed and mixed faces, every so many scenes are one face that fills the
        /// frame; 0 is none.
        #[serde(default)]
        alone_every: u64,
        /// Which of the training faces stand in scenes.
        #[serde(default)]
        part: FacePart,
    },
    /// Captioned video, made by `trainer data prepare`.
    Shards(ShardsConfig),
}

/// Clips of captioned video. What is not given is as in the release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardsConfig {
    /// Folder of the shards, the work folder that they lie in, or an address: `https://…` or
    /// `s3://bucket/folder`. Keys are never a part of it.
    pub root: PathBuf,
    /// Seed of the order, the frames and the crops.
    pub seed: u64,
    /// Clips that count as one epoch; `--corpus` sets the number of training clips.
    pub epoch_clips: usize,
    /// Clips that are mixed while reading.
    #[serde(default = "ShardsConfig::default_buffer")]
    pub buffer: usize,
    /// Share of the videos that validation is done on.
    #[serde(default = "ShardsConfig::default_validation_share")]
    pub validation_share: f64,
    /// Draw frames at random instead of spreading them.
    #[serde(default = "ShardsConfig::yes")]
    pub random_frames: bool,
    /// Crop each frame at random instead of in the middle.
    #[serde(default = "ShardsConfig::yes")]
    pub random_crops: bool,
    /// Score that a box must exceed to be of the subject.
    #[serde(default = "ShardsConfig::default_person_score")]
    pub person_score: f32,
    /// How boxes that were imported from the release are read.
    #[serde(default)]
    pub letterbox: Letterbox,
    /// Share of the clips that may be broken.
    #[serde(default = "ShardsConfig::default_max_broken")]
    pub max_broken: f64,
}

impl ShardsConfig {
    /// The defaults on a folder of so many training clips.
    pub fn new(root: &Path, seed: u64, epoch_clips: usize) -> Self {
        Self {
            root: root.to_owned(),
            seed,
            epoch_clips,
            buffer: Self::default_buffer(),
            validation_share: Self::default_validation_share(),
            random_frames: true,
            random_crops: true,
            person_score: Self::default_person_score(),
            letterbox: Letterbox::default(),
            max_broken: Self::default_max_broken(),
        }
    }

    fn default_buffer() -> usize {
        1000
    }

    /// The share of videos, unless a configuration says otherwise.
    pub fn default_validation_share() -> f64 {
        0.05
    }

    fn yes() -> bool {
        true
    }

    fn default_person_score() -> f32 {
        0.5
    }

    fn default_max_broken() -> f64 {
        0.01
    }
}

impl CorpusConfig {
    /// Clips that count as one epoch.
    pub fn epoch_clips(&self) -> usize {
        match self {
            Self::Synthetic { epoch_clips, .. } | Self::Faces { epoch_clips, .. } => *epoch_clips,
            Self::Shards(shards) => shards.epoch_clips,
        }
    }

    /// The seed of the scenes.
    pub fn seed_mut(&mut self) -> &mut u64 {
        match self {
            Self::Synthetic { seed, .. } | Self::Faces { seed, .. } => seed,
            Self::Shards(shards) => &mut shards.seed,
        }
    }
}

/// When checkpoints are written.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointPolicy {
    /// Steps between two checkpoints; 0 turns this off.
    pub every_steps: usize,
    /// Minutes between two checkpoints; 0 turns this off.
    pub every_minutes: f64,
    /// How many of the newest are kept.
    pub keep: usize,
}

/// What a stage pairs with each text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageInput {
    /// Another training utterance of the same dominant sentiment, through the text encoder: words
    /// fall into place before pictures have to follow them. The frames are not drawn.
    Utterances,
    /// The frame of the fullest expression, without the temporal encoder.
    Peak,
    /// All frames.
    Clip,
}

/// The texts of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageTexts {
    /// What the subjects say.
    #[default]
    Utterances,
    /// What the scenes look like, in words without any emotion. They have no sentiment, so the loss
    /// must be plain InfoNCE (β 0).
    Descriptions,
}

/// Who is the subject of a stage's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageSubjects {
    /// One person of each scene.
    #[default]
    One,
    /// Every person of each scene, one after the other on the same frame: as many pairs as there are
    /// faces, which differ in nothing but the mask. Of single frames only.
    Everyone,
}

/// One part of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Name in logs.
    pub name: String,
    /// What is paired with each text.
    pub input: StageInput,
    /// The texts.
    #[serde(default)]
    pub texts: StageTexts,
    /// Figures a scene.
    pub figures: FigureCount,
    /// Who of them is the subject.
    #[serde(default)]
    pub subjects: StageSubjects,
    /// Whether the text encoder stays as it is in this stage, which saves its backward pass.
    #[serde(default)]
    pub freeze_text: bool,
    /// Tensors that begin anew with this stage, whatever `start_from` or the stages before made of
    /// them: those with one of these parts in their key, such as `".attn."`. The optimiser's moments
    /// begin anew with them, all of them. A frozen encoder stays as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anew: Vec<String>,
    /// Strength of the sentiment guidance in this stage, where it isn't `loss.beta`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// How often one face fills the frame in this stage of placed or mixed faces, where it isn't the
    /// `alone_every` of their corpus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone_every: Option<u64>,
    /// Pairs a step; where everyone is a subject, scenes a step.
    pub batch_size: usize,
    /// Steps.
    pub steps: usize,
    /// Factor on all base rates.
    pub rate_factor: f64,
    /// How faces are varied in this stage, where it isn't the `augmentation` of the corpus of faces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub augmentation: Option<Augmentation>,
    /// Course of the rates over this stage.
    pub schedule: Schedule,
}

impl RunConfig {
    /// The embedded run: `nano` from scratch on the synthetic corpus.
    ///
    /// Where the release starts from a pretrained CLIP, this run starts from nothing, so it goes
    /// from easy to hard: utterances of one sentiment come together; the frame encoder learns
    /// expressions from single frames of single figures, which cost a fraction of a clip and show
    /// the whole expression; then whose expression counts; at last the temporal encoder joins.
    ///
    /// β is 1: at 10 the guidance takes three nats off every pair of different emotions too (their
    /// sentiments diverge by about 3), which weakens the only gradient a model from scratch has.
    /// The texts move at a quarter of the pictures' rate once pictures have to follow them.
    pub fn nano() -> Self {
        let stage = |name: &str, input, figures, batch_size, steps, course: (f64, f64)| Stage {
            name: name.to_owned(),
            input,
            texts: StageTexts::Utterances,
            figures,
            subjects: StageSubjects::One,
            freeze_text: false,
            anew: Vec::new(),
            beta: None,
            alone_every: None,
            augmentation: None,
            batch_size,
            steps,
            rate_factor: course.0,
            schedule: Schedule::Cosine {
                warmup_steps: steps / 20,
                final_fraction: course.1,
            },
        };
        let (single, mixed) = (FigureCount::Single, FigureCount::Mixed);
        let (words, peak, clip) = (StageInput::Utterances, StageInput::Peak, StageInput::Clip);
        let mut rates = GroupRates::uniform(2e-3, 0.05);
        rates.text_gain_bias.learning_rate = 5e-4;
        rates.text_rest.learning_rate = 5e-4;
        Self {
            seed: 2022,
            start_from: None,
            towers: Towers::default(),
            text_start: TextStart::Random,
            word_dropout: 0.0,
            loss: SentimentGuidance {
                beta: 1.0,
                ..SentimentGuidance::default()
            },
            optimizer: AdamWConfig {
                beta_1: 0.9,
                beta_2: 0.98,
                epsilon: 1e-6,
            },
            rates,
            corpus: CorpusConfig::Synthetic {
                seed: 2022,
                restraint: 0.0,
                epoch_clips: 7000,
            },
            checkpoints: CheckpointPolicy {
                every_steps: 0,
                every_minutes: 2.0,
                keep: 2,
            },
            validate_every_steps: 350,
            stages: vec![
                stage("words", words, single, 64, 150, (2.0, 0.1)),
                stage("one figure", peak, single, 32, 500, (1.0, 0.5)),
                stage("figures", peak, mixed, 32, 2200, (1.0, 0.1)),
                stage("clips", clip, mixed, 32, 120, (0.5, 0.1)),
            ],
            model: EmotionClipConfig::nano(),
        }
    }

    /// Trains on the shards of a folder: where the configuration is not for shards yet, in one stage
    /// of clips over as many epochs as the release trains, with a batch that the corpus can fill.
    ///
    /// # Errors
    ///
    /// Bad input if the folder holds no shards.
    pub fn train_on_shards(&mut self, root: &Path) -> anyhow::Result<()> {
        if let CorpusConfig::Shards(shards) = &mut self.corpus {
            root.clone_into(&mut shards.root);
            shards.epoch_clips = training_clips(root, shards.validation_share)?;
            return Ok(());
        }
        let clips = training_clips(root, ShardsConfig::default_validation_share())?;
        self.corpus = CorpusConfig::Shards(ShardsConfig::new(root, self.seed, clips));
        let Some(mut stage) = self.stages.pop() else {
            return Err(bad_input("stages: a run needs at least one stage"));
        };
        stage.input = StageInput::Clip;
        stage.batch_size = stage.batch_size.min(clips);
        stage.set_steps(RELEASE_EPOCHS * (clips / stage.batch_size));
        self.stages = vec![stage];
        self.validate_every_steps = 0;
        Ok(())
    }

    /// The release's recipe on a preset: 25 epochs at batch 128 from a pretrained CLIP.
    pub fn release(preset: Preset) -> Self {
        let mut config = Self::nano();
        let epoch_clips = 7000;
        let batch_size = 128;
        config.loss = SentimentGuidance {
            direction: emotionclip::loss::KlDirection::Release,
            ..SentimentGuidance::default()
        };
        config.optimizer = AdamWConfig::default();
        config.rates = GroupRates::release();
        config.checkpoints.every_minutes = 15.0;
        config.corpus = CorpusConfig::Synthetic {
            seed: config.seed,
            restraint: 0.25,
            epoch_clips,
        };
        config.stages = vec![Stage {
            name: "clips".to_owned(),
            input: StageInput::Clip,
            texts: StageTexts::Utterances,
            figures: FigureCount::Mixed,
            subjects: StageSubjects::One,
            freeze_text: false,
            anew: Vec::new(),
            beta: None,
            alone_every: None,
            augmentation: None,
            batch_size,
            steps: RELEASE_EPOCHS * (epoch_clips / batch_size),
            rate_factor: 1.0,
            schedule: Schedule::release(),
        }];
        config.model = preset.config();
        config
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// Bad input if the file can't be read, is no TOML of this form or describes no run.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).or_bad_input(path.display())?;
        let config: Self = toml::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{}", one_line(&error)))
            .or_bad_input(path.display())?;
        config.validate().or_bad_input(path.display())?;
        Ok(config)
    }

    /// The configuration as TOML.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        toml::to_string_pretty(self).context("writing the configuration as TOML")
    }

    /// Checks what the types can't.
    ///
    /// # Errors
    ///
    /// Bad input, naming the field.
    pub fn validate(&self) -> anyhow::Result<()> {
        self.model.validate().or_bad_input("model")?;
        if !(self.loss.beta.is_finite() && self.loss.beta >= 0.0) {
            return Err(bad_input("loss.beta: must be 0 or a positive number"));
        }
        // Not a number is in no range.
        if !(0.0..1.0).contains(&self.word_dropout) {
            return Err(bad_input(
                "word_dropout: must be at least 0 and less than 1",
            ));
        }
        if self.stages.is_empty() {
            return Err(bad_input("stages: a run needs at least one stage"));
        }
        for stage in &self.stages {
            if stage.steps == 0 || stage.batch_size == 0 {
                let name = &stage.name;
                return Err(bad_input(format!(
                    "stages.{name}: steps and batch_size must be at least 1"
                )));
            }
            let beta = self.guidance(stage).beta;
            if !(beta.is_finite() && beta >= 0.0) {
                let name = &stage.name;
                return Err(bad_input(format!(
                    "stages.{name}.beta: must be 0 or a positive number"
                )));
            }
            if stage.subjects == StageSubjects::Everyone
                && (stage.input != StageInput::Peak || stage.texts != StageTexts::Utterances)
            {
                let name = &stage.name;
                return Err(bad_input(format!(
                    "stages.{name}: everyone is a subject of single frames with utterances only; use input \
                     \"peak\" and texts \"utterances\", or subjects \"one\""
                )));
            }
            if (stage.alone_every.is_some() || stage.augmentation.is_some())
                && !matches!(self.corpus, CorpusConfig::Faces { .. })
            {
                let name = &stage.name;
                return Err(bad_input(format!(
                    "stages.{name}: alone_every and augmentation go with a corpus of faces only"
                )));
            }
            let may_be_alone = matches!(stage.figures, FigureCount::Placed | FigureCount::Mixed);
            if stage.alone_every.is_some() && !may_be_alone {
                let name = &stage.name;
                return Err(bad_input(format!(
                    "stages.{name}.alone_every: only stages of placed and mixed faces have scenes among \
                     which a face fills the frame"
                )));
            }
            if stage.texts == StageTexts::Descriptions {
                let name = &stage.name;
                if matches!(self.corpus, CorpusConfig::Shards(_)) {
                    return Err(bad_input(format!(
                        "stages.{name}: nobody described the clips of shards; use utterances"
                    )));
                }
                if beta > 0.0 {
                    return Err(bad_input(format!(
                        "stages.{name}: descriptions have no sentiment; set its beta to 0"
                    )));
                }
                if stage.input == StageInput::Utterances {
                    return Err(bad_input(format!(
                        "stages.{name}: descriptions are paired with frames; use peak or clip"
                    )));
                }
            }
            let steps_per_epoch = self.steps_per_epoch(stage);
            stage
                .schedule
                .validate(steps_per_epoch)
                .or_bad_input("stages.schedule")?;
        }
        let needs_start = [self.towers.frame, self.towers.text, self.towers.temporal];
        if self.start_from.is_none() && needs_start.contains(&TowerMode::Frozen) {
            return Err(bad_input(
                "towers: a frozen encoder needs `start_from`, or it would stay random",
            ));
        }
        Ok(())
    }

    /// The contrastive loss of a stage.
    pub fn guidance(&self, stage: &Stage) -> SentimentGuidance {
        SentimentGuidance {
            beta: stage.beta.unwrap_or(self.loss.beta),
            ..self.loss
        }
    }

    /// Steps of all stages.
    pub fn total_steps(&self) -> usize {
        self.stages.iter().map(|stage| stage.steps).sum()
    }

    /// Steps that pass over one epoch's clips; the last incomplete batch is dropped.
    pub fn steps_per_epoch(&self, stage: &Stage) -> usize {
        self.corpus.epoch_clips() / stage.batch_size
    }
}

/// Training clips of the shards in a folder.
fn training_clips(root: &Path, validation_share: f64) -> anyhow::Result<usize> {
    let set = ShardSet::open(root).or_bad_input("corpus")?;
    let split = ShardSplit::new(set, Split::Train, validation_share).or_bad_input("corpus")?;
    Ok(split.clips().len())
}

impl Stage {
    /// Changes how long the stage is; a warm-up that would fill it is shortened.
    pub fn set_steps(&mut self, steps: usize) {
        self.steps = steps;
        if let Schedule::Cosine { warmup_steps, .. } | Schedule::Release { warmup_steps, .. } =
            &mut self.schedule
        {
            *warmup_steps = (*warmup_steps).min(steps / 2);
        }
    }

    /// Makes the stage longer or shorter by a factor, its schedule with it.
    pub fn scale(&mut self, factor: f64) {
        let scaled = |number: usize| (number as f64 * factor).round() as usize;
        self.steps = scaled(self.steps).max(1);
        match &mut self.schedule {
            Schedule::Constant => {}
            Schedule::Cosine { warmup_steps, .. } => *warmup_steps = scaled(*warmup_steps),
            Schedule::Release {
                epochs,
                warmup_steps,
                ..
            } => {
                *warmup_steps = scaled(*warmup_steps);
                *epochs = scaled(*epochs).max(1);
            }
        }
    }
}

/// A TOML error as one line: message and place.
fn one_line(error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', " ");
    match error.span() {
        Some(span) => format!("byte {}: {message}", span.start),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released() -> Stage {
        RunConfig::release(Preset::VitB32).stages.remove(0)
    }

    #[test]
    fn a_warm_up_never_fills_a_stage_of_another_length() {
        let mut stage = released();
        stage.set_steps(100);
        let Schedule::Release { warmup_steps, .. } = stage.schedule else {
            panic!("the release's schedule");
        };
        assert_eq!((stage.steps, warmup_steps), (100, 50));
    }

    #[test]
    fn a_budget_scales_a_schedule_too() {
        let mut stage = released();
        let steps = stage.steps;
        stage.scale(2.0);
        let Schedule::Release {
            epochs,
            warmup_steps,
            ..
        } = stage.schedule
        else {
            panic!("the release's schedule");
        };
        assert_eq!(stage.steps, 2 * steps);
        assert_eq!((epochs, warmup_steps), (2 * RELEASE_EPOCHS, 20_000));
    }
}
