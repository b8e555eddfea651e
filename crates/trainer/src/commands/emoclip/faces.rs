//! `emoclip faces`: an EmoCLIP on the towers of an EmotionCLIP, trained on real faces and real
//! utterances.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::Module as _;
use burn::tensor::{Device, Tensor, TensorData};
use clap::ValueEnum;
use emotionclip::checkpoint::write_safetensors;
use emotionclip::emoclip::{
    ClipVariation, EmoClip, EmoClipConfig, PretrainedEmoClip, TrainableTowers,
};
use emotionclip::optim::MultiStep;
use emotionclip::parameters::{
    Completeness, Keyed as _, load_state_dict, parameter_count, to_state_dict,
};
use emotionclip::preprocess::Crops;
use emotionclip::pretrained::token_tensor;
use emotionclip::tokenizer::Truncation;
use emotionclip::{EmotionClip, Pretrained};
use emotionclip_data::faces::{FaceConfig, FaceCorpus, FaceSplit, FaceView};
use emotionclip_data::synthetic::Split;
use serde::{Deserialize, Serialize};

use super::super::export::{PrecisionName, at_precision};
use super::clips::{Purpose, draws};
use super::recipe::{Recipe, RecipeArgs};
use super::training::Training;
use crate::context::{Context, write_atomically};
use crate::failure::{OrBadInput as _, bad_input};
use crate::models::ModelArgs;
use crate::pretrain::{faces_card, interrupt_flag};
use crate::run_folder::{RunLock, open_config, write_config};

const MODEL: &str = "model.safetensors";

/// Of the clips, every so many show one face that fills the frame and stays as it is; the others one
/// of any size that moves.
const ALONE_EVERY: u64 = 2;

const EXAMPLES: &str = "\
Examples:
  trainer emoclip faces --root corpora/faces --run runs/emoclip
  trainer emoclip faces --root corpora/faces --model runs/mini/model.safetensors --towers frozen
  trainer emoclip faces --run runs/emoclip --resume
  trainer evaluate --root corpora/faces --model runs/emoclip/model.safetensors

The corpus is what `trainer data build-scenes` makes. A clip shows one face for as many frames as the
temporal transformer takes; its text is an utterance of the same emotion. The image and text towers
start as those of an EmotionCLIP, whose token for the subject is left out: an EmoCLIP is told of none.
RUN gets config.toml, metrics.jsonl, a checkpoint and model.safetensors.";

/// Options of `emoclip faces`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct FacesArgs {
    /// Corpus of faces, made by `data build-scenes`
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    root: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Which towers are trained along
    #[arg(long, value_enum, default_value_t = TowersName::Visual)]
    towers: TowersName,
    /// Their rate as a share of the temporal transformer's
    #[arg(long, value_name = "SHARE", default_value_t = 0.3)]
    tower_rate: f64,
    /// Clips an epoch
    #[arg(long, value_name = "N", default_value_t = 6400, value_parser = clap::value_parser!(u32).range(1..))]
    epoch_clips: u32,
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Folder of the run
    #[arg(long, default_value = "runs/emoclip", value_name = "DIR")]
    run: PathBuf,
    /// Write the model a second time, in f16, half as large; as the built-in one
    #[arg(long, value_name = "FILE")]
    f16: Option<PathBuf>,
    /// Continue the run in the folder from its checkpoint; of the settings only --epochs may change
    #[arg(long, conflicts_with_all = [
        "root", "model", "towers", "tower_rate", "epoch_clips", "optimizer", "batch_size",
        "learning_rate", "weight_decay", "seed", "frames", "downsample", "window",
    ])]
    resume: bool,
}

/// [`TrainableTowers`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TowersName {
    /// Neither
    Frozen,
    /// The image tower
    Visual,
    /// The text tower's blocks
    Text,
    /// Both of these
    Both,
}

/// Everything that determines a run; saved in its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FacesConfig {
    root: PathBuf,
    /// The EmotionCLIP whose towers it starts with; the built-in one without a name.
    model: Option<String>,
    towers: TrainableTowers,
    tower_rate: f64,
    epoch_clips: usize,
    recipe: Recipe,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct FacesResultJson<'a> {
    run: &'a Path,
    device: &'a str,
    seed: u64,
    model: PathBuf,
    model_sha256: String,
    parameters: usize,
    steps: usize,
    clips_seen: usize,
    loss: f64,
    train_seconds: f64,
}

/// Clips of a step on the host with what was said.
struct Batch {
    /// `[B, T, 3, S, S]`.
    frames: TensorData,
    texts: Vec<Vec<u32>>,
}

impl FacesArgs {
    fn config(&self) -> anyhow::Result<FacesConfig> {
        let root = self.root.clone();
        let root = root.ok_or_else(|| {
            bad_input("--root: give the folder that `trainer data build-scenes` made")
        })?;
        let release = Recipe::release(10, MultiStep::captions());
        let recipe = Recipe {
            seed: 2022,
            batch_size: 32,
            learning_rate: 1e-3,
            downsample: 1,
            method: emotionclip::optim::Method::adam(),
            schedule: MultiStep {
                milestones: vec![6, 9],
                ..release.schedule.clone()
            },
            ..release
        };
        Ok(FacesConfig {
            root,
            model: self.model.model.clone(),
            towers: match self.towers {
                TowersName::Frozen => TrainableTowers::Frozen,
                TowersName::Visual => TrainableTowers::Visual,
                TowersName::Text => TrainableTowers::Text,
                TowersName::Both => TrainableTowers::Both,
            },
            tower_rate: self.tower_rate,
            epoch_clips: self.epoch_clips as usize,
            recipe: self.recipe.recipe(recipe),
        })
    }
}

/// Runs the command.
///
/// # Errors
/// Bad input, or a run that failed or was interrupted; the newest checkpoint stays.
pub fn run(args: &FacesArgs, context: &Context) -> anyhow::Result<()> {
    let mut config = open_config(&args.run, args.resume, || args.config())?;
    if let Some(epochs) = args.recipe.epochs {
        config.recipe.epochs = epochs;
    }
    let recipe = &config.recipe;
    recipe.validate()?;
    if !(config.tower_rate.is_finite() && config.tower_rate > 0.0) {
        return Err(bad_input("--tower-rate: must be a positive number"));
    }
    if config.epoch_clips < recipe.batch_size {
        return Err(bad_input(format!(
            "--epoch-clips: {} are fewer than one batch ({})",
            config.epoch_clips, recipe.batch_size
        )));
    }
    let data = FaceSplit::open(&config.root, Split::Train).or_bad_input("--root")?;
    let data = Arc::new(data.with_clear_utterances());
    let device = context.open_device()?;
    let start = on_towers(&config, &device.device, context)?;
    let temporal = &start.model.temporal;
    let (window, _) = recipe.windows(temporal.config().frames, temporal.max_frames())?;
    let corpus = FaceConfig {
        size: start.model.config().vision.image_size as u32,
        frames: window.frames,
        seed: recipe.seed,
        view: FaceView::Scenes,
        min_faces: 1,
        max_faces: 1,
        alone_every: ALONE_EVERY,
        ..FaceConfig::default()
    };
    let corpus = FaceCorpus::new(corpus, data).or_bad_input("--root")?;
    let _lock = RunLock::take(&args.run)?;
    write_config(&args.run, &config)?;
    let mut training = Training::open(
        &args.run,
        "faces",
        start.model.clone().with_trainable(config.towers),
        config.epoch_clips,
        recipe,
        &device.device,
        |key| rate_factor(&config, key),
    )?;
    let batch = |epoch: usize, indices: &[usize]| batch(&config, &corpus, &start, epoch, indices);
    let autodiff = device.device.clone().autodiff();
    let loss = |model: &EmoClip, batch: Batch| {
        let frames = Tensor::<5>::from_data(batch.frames, &autodiff);
        let tokens = token_tensor(&batch.texts, &autodiff);
        model.loss(model.forward(frames, tokens))
    };
    training.train(context, &interrupt_flag(), batch, loss)?;

    let model = PretrainedEmoClip {
        model: training.model.valid(),
        ..start.clone()
    };
    let bytes = model.to_bytes()?;
    let path = args.run.join(MODEL);
    write_atomically(&path, &bytes)?;
    if let Some(path) = &args.f16 {
        let tensors = at_precision(to_state_dict(&model.model)?, PrecisionName::F16);
        write_atomically(path, &write_safetensors(&tensors, &model.metadata()))?;
    }
    let state = &training.state;
    let text = format!(
        "{}: loss {:.3} after {} steps, {:.0} s; measure it with `trainer evaluate --root {} --model {}`",
        path.display(),
        state.loss,
        state.step,
        state.train_seconds,
        config.root.display(),
        path.display()
    );
    let result = FacesResultJson {
        run: &args.run,
        device: &device.name,
        seed: recipe.seed,
        model_sha256: Pretrained::hash(&bytes),
        parameters: parameter_count(&model.model),
        steps: state.step,
        clips_seen: state.step * recipe.batch_size,
        loss: state.loss,
        train_seconds: state.train_seconds,
        model: path,
    };
    context.finish(&result, &text)
}

/// An EmoCLIP with the towers, the preprocessing and the tokenizer of an EmotionCLIP and a fresh
/// temporal transformer of `mini`'s proportions, on the autodiff device.
fn on_towers(
    config: &FacesConfig,
    device: &Device,
    context: &Context,
) -> anyhow::Result<PretrainedEmoClip> {
    let args = ModelArgs {
        model: config.model.clone(),
    };
    let loaded = args.load(device, context)?;
    let towers = loaded.pretrained;
    let architecture = EmoClipConfig::mini().on_towers_of(towers.model.config());
    let model = architecture
        .init_seeded(config.recipe.seed, &device.clone().autodiff())
        .or_bad_input(&loaded.name)?;
    let mut tensors = to_state_dict(&towers.model)?;
    // What an EmotionCLIP has beyond the towers: its temporal encoder and its ways to tell the subject.
    tensors.retain(|key, _| !EmotionClip::is_beyond_backbone(key));
    let model =
        load_state_dict(model, &tensors, Completeness::Backbone).or_bad_input(&loaded.name)?;
    Ok(PretrainedEmoClip {
        model,
        tokenizer: towers.tokenizer,
        preprocess: towers.preprocess,
        card: Some(faces_card()?),
    })
}

/// The towers' rates are a share of the rest's that these runs choose themselves.
fn rate_factor(config: &FacesConfig, key: &str) -> Option<f64> {
    let release = config.towers.rate_factor(key)?;
    let is_tower = key.starts_with("backbone.");
    Some(if is_tower { config.tower_rate } else { release })
}

/// Draws the clips of a step.
fn batch(
    config: &FacesConfig,
    corpus: &FaceCorpus,
    model: &PretrainedEmoClip,
    epoch: usize,
    indices: &[usize],
) -> anyhow::Result<Batch> {
    let mut frames = Vec::new();
    let mut texts = Vec::with_capacity(indices.len());
    let (mut size, mut length) = (0, 0);
    for &sample in indices {
        let index = (epoch * config.epoch_clips + sample) as u64;
        let pair = corpus.sample(index);
        let mut clip = model
            .preprocess
            .clip(&pair.clip, &Crops::Centre)
            .or_bad_input(&pair.key)?;
        let mut random = draws(config.recipe.seed, Purpose::Training { epoch, sample });
        ClipVariation::draw(&mut random).apply(&mut clip.frames, clip.size)?;
        (size, length) = (clip.size, pair.clip.frames.len());
        frames.extend(clip.frames);
        texts.push(model.tokenizer.encode(&pair.text, Truncation::KeepEot));
    }
    Ok(Batch {
        frames: TensorData::new(frames, [indices.len(), length, 3, size, size]),
        texts,
    })
}
