//! `emoclip train`: on each fold of a benchmark, then the test on it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::module::Module as _;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use clap::ValueEnum;
use emotionclip::Pretrained;
use emotionclip::emoclip::{
    ClipWindow, EmoClip, EmoClipPreset, PretrainedEmoClip, TrainableTowers,
};
use emotionclip::model::{PairEmbeddings, l2_normalize};
use emotionclip::optim::MultiStep;
use emotionclip::pretrained::token_tensor;
use emotionclip::tokenizer::Truncation;
use emotionclip_data::dfer::{DferSample, Fold, LabelKind};
use emotionclip_eval::folds::{FoldScores, FoldedResult, LeftOutResult, LeftOutScores, Protocol};
use emotionclip_eval::report::FoldReport;
use serde::{Deserialize, Serialize};

use super::clips::{Purpose, draws, varied};
use super::dataset::{DatasetArgs, DatasetConfig, OpenDataset};
use super::models;
use super::output::{folded_text, left_out_text, write_report};
use super::prototypes::{ClassTexts, predict};
use super::recipe::{Recipe, RecipeArgs};
use super::training::Training;
use crate::context::{Context, OpenDevice, write_atomically};
use crate::failure::{OrBadInput as _, bad_input};
use crate::pretrain::interrupt_flag;
use crate::run_folder::{RunLock, open_config, write_config};

const MODEL: &str = "model.safetensors";
const PREDICTIONS: &str = "predictions.json";
const REPORT: &str = "report.html";

const EXAMPLES: &str = "\
Examples:
  trainer emoclip train --dataset mafw --root MAFW --mode captions --clip ViT-B-32.pt --run runs/captions
  trainer emoclip train --dataset dfew --root DFEW --mode supervised --model emoclip.safetensors --folds 1
  trainer emoclip train --dataset afew --root AFEW --mode leave-one-class-out --model emoclip.safetensors
  trainer emoclip train --dataset ferv39k --root FERV39k --mode supervised --preset nano --towers whole
  trainer emoclip train --run runs/captions --resume

RUN gets config.toml, report.html and a folder for each fold (and class left out) with metrics.jsonl, a
checkpoint and the model after the last epoch, which is the one that is tested. (The release tests every
epoch's and reports the best, which chooses on the test part.)

captions: each clip's own sentence is its text. supervised, leave-one-class-out: the descriptions of its
class are; with --objective batch, as in the release, a clip is told from the other clips of its batch,
also those of its class; with classes, from the other classes. leave-one-class-out: for every class, a
model is trained without it and tested on its clips against the descriptions of all classes.";

/// Options of `emoclip train`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct TrainArgs {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// What clips are compared with
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// What a clip is told from where classes are the texts
    #[arg(long, value_enum, default_value_t = Objective::Batch)]
    objective: Objective,
    /// EmoCLIP to start from: a model file or a checkpoint of the release
    #[arg(long, value_name = "FILE", conflicts_with_all = ["preset", "clip"])]
    model: Option<PathBuf>,
    /// Architecture to start from scratch: vit_b_32, mini or nano; default: vit_b_32 with --clip, else nano
    #[arg(long, value_name = "NAME")]
    preset: Option<EmoClipPreset>,
    /// CLIP checkpoint that the towers start from
    #[arg(long, value_name = "FILE")]
    clip: Option<PathBuf>,
    /// Which towers are trained along
    #[arg(long, value_enum, default_value_t = Towers::Frozen)]
    towers: Towers,
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Folder of the run
    #[arg(long, default_value = "runs/emoclip", value_name = "DIR")]
    run: PathBuf,
    /// Continue the run in the folder from its checkpoints; of the settings only --epochs may change
    #[arg(long, conflicts_with_all = [
        "dataset", "root", "clips", "labels", "folds", "descriptions", "mode", "objective", "model",
        "preset", "clip", "towers", "optimizer", "batch_size", "learning_rate", "weight_decay",
        "seed", "frames", "downsample", "window",
    ])]
    resume: bool,
}

/// What clips are compared with in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// Their own captions
    Captions,
    /// The descriptions of their classes
    Supervised,
    /// The same, without a class that is then tested
    LeaveOneClassOut,
}

/// What a clip is told from where classes are the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Objective {
    /// The texts of the other clips in the batch, as the release does
    Batch,
    /// The other classes
    Classes,
}

/// [`TrainableTowers`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Towers {
    /// Neither
    Frozen,
    /// The image tower, at a thousandth of the rate
    Visual,
    /// The text tower's blocks, at a thousandth of the rate
    Text,
    /// Both at a thousandth of the rate
    Both,
    /// Both whole and at the full rate: from scratch; not in the release
    Whole,
}

/// What the model is at the beginning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    model: Option<PathBuf>,
    preset: Option<EmoClipPreset>,
    clip: Option<PathBuf>,
}

/// Everything that determines a run; saved in its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainConfig {
    mode: Mode,
    objective: Objective,
    towers: TrainableTowers,
    data: DatasetConfig,
    start: Start,
    recipe: Recipe,
}

/// One model of a run: what it is trained and tested on.
struct Unit {
    folder: String,
    name: String,
    left_out: Option<usize>,
    fold: Fold,
}

/// What became of a unit, for `--json`.
#[derive(Debug, Serialize)]
struct UnitResult {
    fold: usize,
    left_out: Option<String>,
    model: PathBuf,
    model_sha256: String,
    clips: usize,
    steps: usize,
    loss: f64,
    train_seconds: f64,
}

/// The predictions on a unit's test part, so that a resumed run need not repeat them.
#[derive(Debug, Serialize, Deserialize)]
struct Predictions {
    model_sha256: String,
    /// SHA-256 of the texts, clips and windows that they are of.
    #[serde(default)]
    asked_sha256: String,
    truth: Vec<usize>,
    predicted: Vec<usize>,
}

#[derive(Debug, Serialize)]
struct TrainResult<'a> {
    run: &'a Path,
    mode: Mode,
    device: &'a str,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a FoldedResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<&'a LeftOutResult>,
    models: &'a [UnitResult],
}

impl TrainArgs {
    fn config(&self) -> anyhow::Result<TrainConfig> {
        let mode = self
            .mode
            .ok_or_else(|| bad_input("--mode: give captions, supervised or leave-one-class-out"))?;
        let recipe = match mode {
            Mode::Captions => Recipe {
                downsample: 2,
                ..Recipe::release(30, MultiStep::captions())
            },
            Mode::Supervised => Recipe::release(50, MultiStep::supervised()),
            Mode::LeaveOneClassOut => Recipe::release(25, MultiStep::supervised()),
        };
        Ok(TrainConfig {
            mode,
            objective: self.objective,
            towers: match self.towers {
                Towers::Frozen => TrainableTowers::Frozen,
                Towers::Visual => TrainableTowers::Visual,
                Towers::Text => TrainableTowers::Text,
                Towers::Both => TrainableTowers::Both,
                Towers::Whole => TrainableTowers::Whole,
            },
            data: self.dataset.config()?,
            start: Start {
                model: self.model.clone(),
                preset: self.preset,
                clip: self.clip.clone(),
            },
            recipe: self.recipe.recipe(recipe),
        })
    }
}

impl TrainConfig {
    fn validate(&self) -> anyhow::Result<()> {
        self.recipe.validate()?;
        if self.mode == Mode::LeaveOneClassOut && self.data.labels == LabelKind::Compound {
            return Err(bad_input(
                "--labels: classes are left out one by one, so their labels must be single",
            ));
        }
        Ok(())
    }
}

/// Runs the command.
///
/// # Errors
/// Bad input, or a run that failed or was interrupted; the newest checkpoints stay.
pub fn run(args: &TrainArgs, context: &Context) -> anyhow::Result<()> {
    let mut config = open_config(&args.run, args.resume, || args.config())?;
    if let Some(epochs) = args.recipe.epochs {
        config.recipe.epochs = epochs;
    }
    config.validate()?;
    let data = config.data.open()?;
    let units = units(&config, &data)?;
    let device = context.open_device()?;
    let run = Run {
        folder: &args.run,
        // Once for all units: they start alike.
        start: start(&config, &device.device)?,
        config: &config,
        data: &data,
        device: &device,
    };
    let windows = run.windows()?;
    let _lock = RunLock::take(&args.run)?;
    let config_text = write_config(&args.run, &config)?;
    let interrupted = interrupt_flag();
    let mut finished = Vec::with_capacity(units.len());
    let mut scores = Scores::default();
    for unit in &units {
        let (result, predictions) = run.unit(unit, windows, context, &interrupted)?;
        scores.add(unit, &predictions, data.dataset.classes().len())?;
        finished.push(result);
    }
    run.report(&scores, &finished, config_text, context)
}

/// The models of a run, in order.
fn units(config: &TrainConfig, data: &OpenDataset) -> anyhow::Result<Vec<Unit>> {
    let mut units = Vec::new();
    for fold in data.dataset.folds() {
        let number = fold.number;
        let whole = |fold| Unit {
            folder: format!("fold-{number}"),
            name: format!("fold {number}"),
            left_out: None,
            fold,
        };
        match config.mode {
            Mode::Captions => {
                let captioned: Vec<DferSample> = fold.captioned().cloned().collect();
                if captioned.is_empty() {
                    return Err(bad_input(format!(
                        "{}: no training clip of fold {number} has a caption; use --mode supervised \
                         or another dataset",
                        config.data.dataset
                    )));
                }
                units.push(whole(Fold {
                    train: captioned,
                    ..fold.clone()
                }));
            }
            Mode::Supervised => units.push(whole(fold.clone())),
            Mode::LeaveOneClassOut => {
                for (class, name) in config.data.dataset.emotions().iter().enumerate() {
                    let fold = fold.leave_out(class);
                    if fold.test.is_empty() {
                        tracing::warn!("fold {number} tests on no clip of {name}; left out");
                        continue;
                    }
                    units.push(Unit {
                        folder: format!("fold-{number}-without-{name}"),
                        name: format!("fold {number} without {name}"),
                        left_out: Some(class),
                        fold,
                    });
                }
            }
        }
    }
    for unit in &units {
        let (clips, batch) = (unit.fold.train.len(), config.recipe.batch_size);
        if clips < batch {
            return Err(bad_input(format!(
                "{}: {clips} training clips are fewer than one batch ({batch}); lower --batch-size",
                unit.name
            )));
        }
    }
    Ok(units)
}

/// The model that every unit starts as, on the autodiff device.
fn start(config: &TrainConfig, device: &Device) -> anyhow::Result<PretrainedEmoClip> {
    let autodiff = device.clone().autodiff();
    let Start {
        model,
        preset,
        clip,
    } = &config.start;
    if let Some(path) = model {
        return Ok(models::load(path, &autodiff)?.pretrained);
    }
    if clip.is_none() && config.towers != TrainableTowers::Whole {
        tracing::warn!(
            "the towers are drawn at random and {}; give --model or --clip, or train them with \
             --towers whole",
            match config.towers {
                TrainableTowers::Frozen => "stay so",
                _ => "hardly move",
            }
        );
    }
    let preset = preset.unwrap_or(if clip.is_some() {
        EmoClipPreset::VitB32
    } else {
        EmoClipPreset::Nano
    });
    models::fresh(preset, clip.as_deref(), config.recipe.seed, &autodiff)
}

/// Clips of a step on the host, and what they are compared with.
struct Batch {
    /// `[B, T, 3, S, S]`.
    frames: TensorData,
    /// Token ids of the captions; empty where classes are the texts.
    captions: Vec<Vec<u32>>,
    /// Classes, as positions among those trained on.
    labels: Vec<usize>,
}

struct Run<'a> {
    folder: &'a Path,
    config: &'a TrainConfig,
    data: &'a OpenDataset,
    device: &'a OpenDevice,
    start: PretrainedEmoClip,
}

impl Run<'_> {
    fn windows(&self) -> anyhow::Result<(ClipWindow, ClipWindow)> {
        let temporal = &self.start.model.temporal;
        let recipe = &self.config.recipe;
        recipe.windows(temporal.config().frames, temporal.max_frames())
    }

    /// Trains one model and tests it.
    fn unit(
        &self,
        unit: &Unit,
        (train_window, test_window): (ClipWindow, ClipWindow),
        context: &Context,
        interrupted: &AtomicBool,
    ) -> anyhow::Result<(UnitResult, Predictions)> {
        let config = self.config;
        let folder = self.folder.join(&unit.folder);
        let texts = ClassTexts::new(&self.start.tokenizer, &self.data.texts);
        let mut training = Training::open(
            &folder,
            &unit.name,
            self.start.model.clone().with_trainable(config.towers),
            unit.fold.train.len(),
            &config.recipe,
            &self.device.device,
            |key| config.towers.rate_factor(key),
        )?;
        let trained: Vec<usize> = (0..self.data.dataset.classes().len())
            .filter(|class| unit.left_out != Some(*class))
            .collect();
        let batch = |epoch: usize, indices: &[usize]| {
            self.batch(&unit.fold.train, &trained, train_window, epoch, indices)
        };
        let classes = self.fixed_classes(&texts, &training.model);
        let loss = |model: &EmoClip, batch: Batch| {
            self.loss(model, batch, &texts, classes.as_ref(), &trained)
        };
        training.train(context, interrupted, batch, loss)?;

        let model = PretrainedEmoClip {
            model: training.model.valid(),
            ..self.start.clone()
        };
        let bytes = model.to_bytes()?;
        let path = folder.join(MODEL);
        write_atomically(&path, &bytes)?;
        let model_sha256 = Pretrained::hash(&bytes);
        let predictions = self.test(
            unit,
            &folder,
            &model,
            &model_sha256,
            &texts,
            test_window,
            context,
        )?;
        let result = UnitResult {
            fold: unit.fold.number,
            left_out: unit
                .left_out
                .and_then(|class| self.data.dataset.classes().get(class).cloned()),
            model: path,
            model_sha256,
            clips: training.state.samples,
            steps: training.state.step,
            loss: training.state.loss,
            train_seconds: training.state.train_seconds,
        };
        Ok((result, predictions))
    }

    /// Reads and varies the clips of a step.
    fn batch(
        &self,
        samples: &[DferSample],
        trained: &[usize],
        window: ClipWindow,
        epoch: usize,
        indices: &[usize],
    ) -> anyhow::Result<Batch> {
        let seed = self.config.recipe.seed;
        let mut frames = Vec::new();
        let mut captions = Vec::new();
        let mut labels = Vec::with_capacity(indices.len());
        let mut size = 0;
        for &index in indices {
            let sample = &samples[index];
            let mut random = draws(
                seed,
                Purpose::Training {
                    epoch,
                    sample: index,
                },
            );
            let clip = varied(&sample.path, window, &self.start.preprocess, &mut random)?;
            size = clip.size;
            frames.extend(clip.frames);
            labels.push(
                trained
                    .iter()
                    .position(|class| *class == sample.label)
                    .unwrap_or_default(),
            );
            if self.config.mode == Mode::Captions {
                let caption = sample.caption.as_deref().unwrap_or_default();
                captions.push(self.start.tokenizer.encode(caption, Truncation::KeepEot));
            }
        }
        let shape = [indices.len(), window.frames, 3, size, size];
        Ok(Batch {
            frames: TensorData::new(frames, shape),
            captions,
            labels,
        })
    }

    /// The classes' vectors `[C, E]` if training does not move them.
    fn fixed_classes(&self, texts: &ClassTexts, model: &EmoClip) -> Option<Tensor<2>> {
        let fixed = matches!(
            self.config.towers,
            TrainableTowers::Frozen | TrainableTowers::Visual
        );
        let is_needed = self.config.mode != Mode::Captions;
        (fixed && is_needed)
            .then(|| Tensor::from_inner(texts.embed(&model.valid(), &self.device.device)))
    }

    fn loss(
        &self,
        model: &EmoClip,
        batch: Batch,
        texts: &ClassTexts,
        fixed: Option<&Tensor<2>>,
        trained: &[usize],
    ) -> Tensor<1> {
        let device = &self.device.device.clone().autodiff();
        let count = batch.labels.len();
        let frames = Tensor::<5>::from_data(batch.frames, device);
        if self.config.mode == Mode::Captions {
            let tokens = token_tensor(&batch.captions, device);
            return model.loss(model.forward(frames, tokens));
        }
        let indices = |indices: &[usize]| {
            let indices: Vec<i64> = indices.iter().map(|index| *index as i64).collect();
            let length = indices.len();
            Tensor::<1, Int>::from_data(TensorData::new(indices, [length]), device)
        };
        let classes = match fixed {
            Some(classes) => classes.clone(),
            None => texts.embed(model, device),
        };
        // A class that is left out must not be pushed away either.
        let classes = classes.select(0, indices(trained));
        let labels = indices(&batch.labels);
        let video = l2_normalize(model.encode_video(frames));
        match self.config.objective {
            Objective::Batch => model.loss(PairEmbeddings {
                video,
                text: classes.select(0, labels),
            }),
            Objective::Classes => {
                let scale = model.similarity_scale().unsqueeze_dim::<2>(0);
                let logits = video.matmul(classes.transpose()) * scale;
                let right =
                    activation::log_softmax(logits, 1).gather(1, labels.reshape([count, 1]));
                -right.mean()
            }
        }
    }

    /// The predictions on the unit's test part: those of an earlier call if the model and what it is
    /// asked are the same.
    #[expect(clippy::too_many_arguments, reason = "all of them are what is tested")]
    fn test(
        &self,
        unit: &Unit,
        folder: &Path,
        model: &PretrainedEmoClip,
        model_sha256: &str,
        texts: &ClassTexts,
        window: ClipWindow,
        context: &Context,
    ) -> anyhow::Result<Predictions> {
        let path = folder.join(PREDICTIONS);
        let samples = &unit.fold.test;
        let truth: Vec<usize> = samples.iter().map(|sample| sample.label).collect();
        let seed = self.config.recipe.seed;
        let clips: Vec<&str> = samples.iter().map(|sample| sample.key.as_str()).collect();
        let asked_sha256 = Pretrained::hash(&serde_json::to_vec(&(texts, window, seed, &clips))?);
        let earlier = std::fs::read(&path).ok();
        let earlier = earlier.and_then(|json| serde_json::from_slice::<Predictions>(&json).ok());
        if let Some(earlier) = earlier
            && earlier.model_sha256 == model_sha256
            && earlier.asked_sha256 == asked_sha256
            && earlier.truth == truth
        {
            return Ok(earlier);
        }
        let classes = texts.embed(&model.model, &self.device.device);
        let bar = context.progress(samples.len() as u64, "test");
        bar.set_message(unit.name.clone());
        let predicted = predict(model, &classes, samples, window, seed, &bar)?;
        bar.finish_and_clear();
        let predictions = Predictions {
            model_sha256: model_sha256.to_owned(),
            asked_sha256,
            truth,
            predicted,
        };
        write_atomically(&path, &serde_json::to_vec(&predictions)?)?;
        Ok(predictions)
    }

    /// Prints the result and writes the page.
    fn report(
        &self,
        scores: &Scores,
        models: &[UnitResult],
        config_text: String,
        context: &Context,
    ) -> anyhow::Result<()> {
        let config = self.config;
        let benchmark = config.data.dataset;
        let classes = self.data.dataset.classes().to_vec();
        let skipped = self.data.skipped;
        let (result, left_out) = match config.mode {
            Mode::LeaveOneClassOut => {
                let scores = scores.left_out.clone();
                let result = LeftOutResult {
                    benchmark,
                    classes,
                    scores,
                    skipped,
                };
                (None, Some(result))
            }
            Mode::Captions | Mode::Supervised => {
                let result = FoldedResult {
                    benchmark,
                    protocol: if config.mode == Mode::Captions {
                        Protocol::ZeroShot
                    } else {
                        Protocol::Supervised
                    },
                    classes,
                    folds: scores.folds.clone(),
                    skipped,
                };
                (Some(result), None)
            }
        };
        let mut text = result.as_ref().map(folded_text).unwrap_or_default();
        text.push_str(&left_out.as_ref().map(left_out_text).unwrap_or_default());
        let page = self.folder.join(REPORT);
        let _ = writeln!(text, "\n{}", page.display());
        let mode = match config.mode {
            Mode::Captions => "trained on captions",
            Mode::Supervised => "supervised",
            Mode::LeaveOneClassOut => "classes left out",
        };
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let seconds: f64 = models.iter().map(|model| model.train_seconds).sum();
        let report = FoldReport {
            title: format!("EmoCLIP on {benchmark}, {mode}"),
            facts: vec![
                fact("device", self.device.name.clone()),
                fact("seed", config.recipe.seed.to_string()),
                fact("epochs", config.recipe.epochs.to_string()),
                fact("training", format!("{seconds:.0} s")),
            ],
            config: config_text,
            results: result.iter().cloned().collect(),
            left_out: left_out.iter().cloned().collect(),
            ..FoldReport::default()
        };
        write_report(&page, report)?;
        let shown = TrainResult {
            run: self.folder,
            mode: config.mode,
            device: &self.device.name,
            seed: config.recipe.seed,
            result: result.as_ref(),
            left_out: left_out.as_ref(),
            models,
        };
        context.finish(&shown, &text)
    }
}

/// The tests so far.
#[derive(Debug, Default)]
struct Scores {
    folds: Vec<FoldScores>,
    left_out: Vec<LeftOutScores>,
}

impl Scores {
    fn add(&mut self, unit: &Unit, found: &Predictions, classes: usize) -> anyhow::Result<()> {
        let Predictions {
            truth, predicted, ..
        } = found;
        let number = unit.fold.number;
        let name = &unit.name;
        match unit.left_out {
            Some(class) => {
                let scores = LeftOutScores::new(number, class, predicted, classes);
                self.left_out.push(scores.or_bad_input(name)?);
            }
            None => {
                let scores = FoldScores::new(number, truth, predicted, classes);
                self.folds.push(scores.or_bad_input(name)?);
            }
        }
        Ok(())
    }
}
