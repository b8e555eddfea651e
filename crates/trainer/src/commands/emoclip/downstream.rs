//! `emoclip downstream`: scores of clips from EmoCLIP's video side.

use std::path::{Path, PathBuf};

use burn::module::Module as _;
use burn::tensor::{Device, Tensor, TensorData};
use emotionclip::Pretrained;
use emotionclip::checkpoint::{RawTensor, write_safetensors};
use emotionclip::emoclip::{ClipWindow, Downstream, PretrainedEmoClip};
use emotionclip::optim::MultiStep;
use emotionclip::parameters::{Completeness, load_state_dict, to_state_dict};
use emotionclip::preprocess::Crops;
use emotionclip_eval::folds::{RegressionResult, RegressionRow, RegressionScores};
use emotionclip_eval::report::FoldReport;
use serde::{Deserialize, Serialize};

use super::clips::{self, Purpose, ahead, draws, varied};
use super::models;
use super::output::{regression_text, write_report};
use super::recipe::{Recipe, RecipeArgs};
use super::scores::{ScoreTable, ScoredClip};
use super::training::Training;
use crate::context::{Context, write_atomically};
use crate::failure::{OrBadInput as _, bad_input};
use crate::models::read_back;
use crate::pretrain::interrupt_flag;
use crate::run_folder::{RunLock, open_config, write_config};

const MODEL: &str = "model.safetensors";
const REPORT: &str = "report.html";
/// Metadata key of the scores' names, a JSON list.
const SCORES_KEY: &str = "downstream_scores";

const EXAMPLES: &str = "\
Examples:
  trainer emoclip downstream --root clips --scores scores.csv --model emoclip.safetensors --run runs/symptoms
  trainer emoclip downstream --run runs/symptoms --resume --epochs 60
  trainer emoclip downstream --root clips --scores s.csv --model fold_1.pth --optimizer adam --json

scores.csv, a row a clip; every further column is a score:

  path,split,alogia,anhedonia
  interview-01,train,2,3.5
  interview-02.mp4,test,1,0

The image tower stays as it is; the temporal transformer and a head are trained on the squared error of
the standardised scores. Reported are PCC, CCC, MAE and RMSE in the scores' own units.";

/// Options of `emoclip downstream`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct DownstreamArgs {
    /// Folder of the clips
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Table of scores
    #[arg(long, value_name = "FILE.csv")]
    scores: Option<PathBuf>,
    /// EmoCLIP to start from: a model file or a checkpoint of the release
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Folder of the run
    #[arg(long, default_value = "runs/emoclip-downstream", value_name = "DIR")]
    run: PathBuf,
    /// Continue the run in the folder from its checkpoint; of the settings only --epochs may change
    #[arg(long, conflicts_with_all = [
        "root", "scores", "model", "optimizer", "batch_size", "learning_rate", "weight_decay",
        "seed", "frames", "downsample", "window",
    ])]
    resume: bool,
}

/// Everything that determines a run; saved in its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DownstreamConfig {
    root: PathBuf,
    scores: PathBuf,
    model: PathBuf,
    recipe: Recipe,
}

#[derive(Debug, Serialize)]
struct DownstreamResult<'a> {
    model: &'a Path,
    model_sha256: String,
    steps: usize,
    loss: f64,
    train_seconds: f64,
    #[serde(flatten)]
    result: &'a RegressionResult,
}

impl DownstreamArgs {
    fn config(&self) -> anyhow::Result<DownstreamConfig> {
        let given = |path: &Option<PathBuf>, what: &'static str| {
            path.clone().ok_or_else(|| bad_input(what))
        };
        let recipe = Recipe {
            batch_size: 32,
            ..Recipe::release(30, MultiStep::supervised())
        };
        Ok(DownstreamConfig {
            root: given(&self.root, "--root: give the folder of the clips")?,
            scores: given(&self.scores, "--scores: give the table of scores")?,
            model: given(&self.model, "--model: give an EmoCLIP to start from")?,
            recipe: self.recipe.recipe(recipe),
        })
    }
}

/// Clips of a step on the host with their standardised scores.
struct Batch {
    /// `[B, T, 3, S, S]`.
    frames: TensorData,
    /// `[B, n]`.
    scores: TensorData,
}

/// Runs the command.
///
/// # Errors
/// Bad input, or a run that failed or was interrupted; the newest checkpoint stays.
pub fn run(args: &DownstreamArgs, context: &Context) -> anyhow::Result<()> {
    let mut config = open_config(&args.run, args.resume, || args.config())?;
    if let Some(epochs) = args.recipe.epochs {
        config.recipe.epochs = epochs;
    }
    let recipe = &config.recipe;
    recipe.validate()?;
    let table = ScoreTable::read(&config.scores, &config.root)?;
    if table.train.len() < recipe.batch_size {
        return Err(bad_input(format!(
            "{}: {} training clips are fewer than one batch ({}); lower --batch-size",
            config.scores.display(),
            table.train.len(),
            recipe.batch_size
        )));
    }
    let opened = context.open_device()?;
    let device = &opened.device;
    let autodiff = device.clone().autodiff();
    let start = models::load(&config.model, &autodiff)?.pretrained;
    let temporal = &start.model.temporal;
    let (train_window, test_window) =
        recipe.windows(temporal.config().frames, temporal.max_frames())?;
    let _lock = RunLock::take(&args.run)?;
    let config_text = write_config(&args.run, &config)?;

    let outputs = table.names.len();
    let moments = table.moments();
    let mut training = Training::open(
        &args.run,
        "downstream",
        Downstream::new(start.model.clone(), outputs, recipe.seed),
        table.train.len(),
        recipe,
        device,
        |key| (!key.starts_with("backbone.")).then_some(1.0),
    )?;
    let batch = |epoch: usize, indices: &[usize]| {
        let reader = |index: &usize| (*index, &table.train[*index]);
        let clips: Vec<_> = indices.iter().map(reader).collect();
        batch(&start, recipe.seed, &moments, train_window, epoch, &clips)
    };
    let loss = |model: &Downstream, batch: Batch| {
        let frames = Tensor::<5>::from_data(batch.frames, &autodiff);
        let scores = Tensor::<2>::from_data(batch.scores, &autodiff);
        (model.forward(frames) - scores).square().mean()
    };
    training.train(context, &interrupt_flag(), batch, loss)?;

    let model = in_units(training.model.valid(), &moments)?;
    let mut metadata = start.metadata();
    metadata.insert(SCORES_KEY.to_owned(), serde_json::to_string(&table.names)?);
    let bytes = write_safetensors(&to_state_dict(&model)?, &metadata);
    let path = args.run.join(MODEL);
    write_atomically(&path, &bytes)?;

    let predicted = predict(
        &start,
        &model,
        &table.test,
        test_window,
        recipe.seed,
        device,
        context,
    )?;
    let result = scored(&config.scores, &table, &predicted)?;
    let page = args.run.join(REPORT);
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let report = FoldReport {
        title: "EmoCLIP, downstream regression".to_owned(),
        facts: vec![
            fact("start", config.model.display().to_string()),
            fact("device", opened.name.clone()),
            fact("seed", recipe.seed.to_string()),
            fact("epochs", recipe.epochs.to_string()),
        ],
        config: config_text,
        regressions: vec![result.clone()],
        ..FoldReport::default()
    };
    write_report(&page, report)?;
    let text = format!("{}\n{}", regression_text(&result), page.display());
    let shown = DownstreamResult {
        model: &path,
        model_sha256: Pretrained::hash(&bytes),
        steps: training.state.step,
        loss: training.state.loss,
        train_seconds: training.state.train_seconds,
        result: &result,
    };
    context.finish(&shown, &text)
}

/// Reads and varies the clips of a step.
fn batch(
    start: &PretrainedEmoClip,
    seed: u64,
    moments: &[(f64, f64)],
    window: ClipWindow,
    epoch: usize,
    clips: &[(usize, &ScoredClip)],
) -> anyhow::Result<Batch> {
    let mut frames = Vec::new();
    let mut scores = Vec::with_capacity(clips.len() * moments.len());
    let mut size = 0;
    for &(sample, clip) in clips {
        let mut random = draws(seed, Purpose::Training { epoch, sample });
        let prepared = varied(&clip.path, window, &start.preprocess, &mut random)?;
        size = prepared.size;
        frames.extend(prepared.frames);
        let standardised = clip.values.iter().zip(moments);
        scores.extend(
            standardised.map(|(value, (mean, deviation))| ((value - mean) / deviation) as f32),
        );
    }
    Ok(Batch {
        frames: TensorData::new(frames, [clips.len(), window.frames, 3, size, size]),
        scores: TensorData::new(scores, [clips.len(), moments.len()]),
    })
}

/// The model with outputs in the scores' own units instead of standardised.
fn in_units(model: Downstream, moments: &[(f64, f64)]) -> anyhow::Result<Downstream> {
    let mut tensors = to_state_dict(&model)?;
    let (weight, bias) = ("mlp.2.weight", "mlp.2.bias");
    if let (Some(rows), Some(offsets)) = (tensors.get(weight), tensors.get(bias)) {
        let mut rows_in_units = rows.to_f32();
        let width = rows_in_units.len() / moments.len();
        for (row, (_, deviation)) in rows_in_units.chunks_exact_mut(width).zip(moments) {
            for value in row {
                *value *= *deviation as f32;
            }
        }
        let offsets = offsets.to_f32();
        let offsets_in_units: Vec<f32> = offsets
            .iter()
            .zip(moments)
            .map(|(offset, (mean, deviation))| (f64::from(*offset) * deviation + mean) as f32)
            .collect();
        let rows = RawTensor::from_f32(vec![moments.len(), width], &rows_in_units)?;
        let offsets = RawTensor::from_f32(vec![moments.len()], &offsets_in_units)?;
        tensors.insert(weight.to_owned(), rows);
        tensors.insert(bias.to_owned(), offsets);
    }
    Ok(load_state_dict(model, &tensors, Completeness::Whole)?)
}

/// The scores of the clips, row by row.
fn predict(
    start: &PretrainedEmoClip,
    model: &Downstream,
    samples: &[ScoredClip],
    window: ClipWindow,
    seed: u64,
    device: &Device,
    context: &Context,
) -> anyhow::Result<Vec<Vec<f32>>> {
    let bar = context.progress(samples.len() as u64, "test");
    let mut predicted = Vec::with_capacity(samples.len());
    let read = |sample: usize| {
        let path = &samples[sample].path;
        let clip = clips::read(path, window, &mut draws(seed, Purpose::Test { sample }))?;
        let prepared = start.preprocess.clip(&clip, &Crops::Centre);
        prepared.or_bad_input(path.display())
    };
    ahead(0..samples.len(), read, |clip| {
        let shape = [1, window.frames, 3, clip.size, clip.size];
        let frames = Tensor::<5>::from_data(TensorData::new(clip.frames, shape), device);
        predicted.push(read_back(model.forward(frames))?);
        bar.inc(1);
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(predicted)
}

/// Each score's errors and correlations on the test clips.
fn scored(
    file: &Path,
    table: &ScoreTable,
    predicted: &[Vec<f32>],
) -> anyhow::Result<RegressionResult> {
    let mut rows = Vec::with_capacity(table.names.len());
    for (index, name) in table.names.iter().enumerate() {
        let truth = table.test.iter().filter_map(|clip| clip.values.get(index));
        let truth: Vec<f64> = truth.copied().collect();
        let values = predicted.iter().filter_map(|row| row.get(index));
        let values: Vec<f64> = values.map(|value| f64::from(*value)).collect();
        rows.push(RegressionRow {
            target: name.clone(),
            fold: 1,
            clips: truth.len(),
            scores: RegressionScores::new(&truth, &values)?,
        });
    }
    let name = file.file_name().unwrap_or(file.as_os_str());
    Ok(RegressionResult {
        dataset: name.to_string_lossy().into_owned(),
        rows,
    })
}
