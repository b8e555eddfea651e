//! `zero-shot`: labels in words against clips or a dataset.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use emotionclip::zero_shot::{LabelSet, ZeroShot};
use emotionclip_data::decode::Media;
use emotionclip_data::folder::{FolderDataset, FolderItem};
use emotionclip_data::synthetic::Split;
use serde::Serialize;

use super::classification::{ClassificationScores, argmax};
use super::dataset::{self, ViewArgs};
use crate::context::Context;
use crate::failure::bad_input;
use crate::inputs::cache::{CacheArgs, FeatureCache};
use crate::inputs::features::{Embedded, FeatureExtractor};
use crate::inputs::labels::LabelArgs;
use crate::inputs::subject::Subject;
use crate::models::{LoadedModel, ModelArgs, OpenedModel, read_back};

const EXAMPLES: &str = "\
Examples:
  trainer zero-shot --input face.png
  trainer zero-shot --input talk.mp4 --labels 'calm,nervous,proud' --template 'a {} person'
  trainer zero-shot --root dataset/ --labels labels.toml --json

A dataset is a folder per class (pictures, videos, or folders of frames), with or without train,
val and test above. labels.toml:

  joy = [\"I am so happy!\", \"what a wonderful day\"]
  fear = \"I am scared\"
  [folders]          # folder = label, where their names differ
  happy = \"joy\"";

/// Options of `zero-shot`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct ZeroShotArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    labels: LabelArgs,
    /// Dataset to score: a folder per class
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "input",
        conflicts_with = "input"
    )]
    root: Option<PathBuf>,
    /// Pictures, videos or folders of frames to read
    #[arg(long, value_name = "FILE", num_args = 1..)]
    input: Vec<PathBuf>,
    /// Part of the dataset to score; default: test where the folders tell parts, else all
    #[arg(long, value_enum, requires = "root")]
    split: Option<Part>,
    #[command(flatten)]
    view: ViewArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

/// A part of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Train,
    Val,
    Test,
    All,
}

/// The reading of one input.
#[derive(Debug, Serialize)]
struct InputReading {
    input: String,
    label: String,
    probabilities: Vec<f32>,
}

#[derive(Debug, Serialize)]
struct InputResult<'a> {
    model: &'a str,
    labels: &'a [String],
    readings: Vec<InputReading>,
}

#[derive(Debug, Serialize)]
struct DatasetResult<'a> {
    model: &'a str,
    zero_shot_accuracy: f64,
    cached: usize,
    #[serde(flatten)]
    scores: ClassificationScores,
}

/// Runs the command.
///
/// # Errors
/// Bad input for labels, files or a model that can't be used; a failing device.
pub fn run(args: &ZeroShotArgs, context: &Context) -> anyhow::Result<()> {
    let model = args.model.open(context)?;
    // What costs nothing is checked before the model is loaded. A dataset's faces are cut out often,
    // so only single inputs are shown as the model likes best.
    let subject = Subject::read(&match &args.root {
        Some(_) => args.view.subject(),
        None => args.view.subject_for(&model),
    })?;
    let texts = model.label_texts()?;
    match &args.root {
        Some(root) => {
            let dataset = dataset::open(root, args.labels.folders()?)?;
            let labels = args.labels.label_set(Some(&dataset.labels), &texts)?;
            let truth = label_indices(&dataset, &labels)?;
            let items = chosen(&dataset, args.split);
            if items.is_empty() {
                return Err(bad_input(format!("{}: this part is empty", root.display())));
            }
            score_dataset(args, context, model, &subject, &labels, &items, &truth)
        }
        None => {
            let labels = args.labels.label_set(None, &texts)?;
            read_inputs(args, context, model, &subject, &labels)
        }
    }
}

fn score_dataset(
    args: &ZeroShotArgs,
    context: &Context,
    model: OpenedModel,
    subject: &Subject,
    labels: &LabelSet,
    items: &[&FolderItem],
    truth: &[usize],
) -> anyhow::Result<()> {
    let model = model.load(&context.open_device()?.device)?;
    let media: Vec<&Media> = items.iter().map(|item| &item.media).collect();
    let (embedded, probabilities, names) =
        classify(args, context, &model, subject, labels, &media)?;
    let predicted: Vec<usize> = probabilities.iter().map(|row| argmax(row)).collect();
    let truth = items.iter().map(|item| truth.get(item.label).copied());
    let truth: Vec<usize> = truth
        .collect::<Option<_>>()
        .context("a label without an index")?;
    let scores = ClassificationScores::new(&truth, &predicted, &names)?;
    let text = format!(
        "zero-shot, {} of {} embeddings from the cache\n\n{}",
        embedded.cached,
        items.len(),
        scores.text()
    );
    let result = DatasetResult {
        model: &model.name,
        zero_shot_accuracy: scores.accuracy,
        cached: embedded.cached,
        scores,
    };
    context.finish(&result, &text)
}

fn read_inputs(
    args: &ZeroShotArgs,
    context: &Context,
    model: OpenedModel,
    subject: &Subject,
    labels: &LabelSet,
) -> anyhow::Result<()> {
    let media = args
        .input
        .iter()
        .map(|path| Media::open(path).map_err(bad_input));
    let media: Vec<Media> = media.collect::<anyhow::Result<_>>()?;
    let model = model.load(&context.open_device()?.device)?;
    let media: Vec<&Media> = media.iter().collect();
    let (_, probabilities, names) = classify(args, context, &model, subject, labels, &media)?;
    let mut text = String::new();
    let mut readings = Vec::with_capacity(media.len());
    for (media, row) in media.iter().zip(probabilities) {
        let input = media.path().display().to_string();
        // Writing into a String never fails.
        let _ = writeln!(text, "{input}\n{}", bars(&names, &row));
        let label = names.get(argmax(&row)).cloned().unwrap_or_default();
        readings.push(InputReading {
            input,
            label,
            probabilities: row,
        });
    }
    let result = InputResult {
        model: &model.name,
        labels: &names,
        readings,
    };
    context.finish(&result, &text)
}

/// Embeds clips and compares them with the labels.
fn classify(
    args: &ZeroShotArgs,
    context: &Context,
    model: &LoadedModel,
    subject: &Subject,
    labels: &LabelSet,
    media: &[&Media],
) -> anyhow::Result<(Embedded, Vec<Vec<f32>>, Vec<String>)> {
    let extractor = FeatureExtractor {
        model,
        subject,
        rate: args.view.fps,
        cache: args.cache.folder().map(FeatureCache::new),
    };
    let embedded = extractor.embed(media, context)?;
    let classifier = ZeroShot::new(&model.pretrained, labels);
    let probabilities = probabilities(&classifier, model, &embedded.values)?;
    Ok((embedded, probabilities, classifier.names().to_vec()))
}

/// Probabilities of the labels for unit embeddings `[N, E]`, row after row.
///
/// # Errors
/// A failing device.
pub fn probabilities(
    classifier: &ZeroShot,
    model: &LoadedModel,
    embeddings: &[f32],
) -> anyhow::Result<Vec<Vec<f32>>> {
    let width = model.pretrained.model.config().embed_dim;
    let shape = [embeddings.len() / width, width];
    let data = burn::tensor::TensorData::new(embeddings.to_vec(), shape);
    let embeddings = burn::tensor::Tensor::from_data(data, &model.pretrained.device());
    let values = read_back(classifier.classify(embeddings))?;
    let rows = values.chunks_exact(classifier.names().len());
    Ok(rows.map(<[f32]>::to_vec).collect())
}

/// Probabilities as bars, the largest first.
pub fn bars(names: &[String], probabilities: &[f32]) -> String {
    const FULL: f32 = 30.0;
    let mut order: Vec<(&String, f32)> = names.iter().zip(probabilities.iter().copied()).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    let line = |(name, probability): (&String, f32)| {
        let bar = "#".repeat((probability * FULL).round() as usize);
        format!("  {name:<width$} {:5.1} % {bar}\n", probability * 100.0)
    };
    order.into_iter().map(line).collect()
}

/// Index of each of the dataset's labels among the labels compared.
fn label_indices(dataset: &FolderDataset, labels: &LabelSet) -> anyhow::Result<Vec<usize>> {
    let index = |wanted: &String| {
        let names = labels.labels().iter().map(|label| &label.name);
        let found = names.clone().position(|name| name == wanted);
        found.ok_or_else(|| {
            let names: Vec<&str> = names.map(String::as_str).collect();
            bad_input(format!(
                "the dataset has the label '{wanted}', but --labels has only: {}; map it under \
                 [folders] in a labels file, or leave it out with {wanted} = \"\"",
                names.join(", ")
            ))
        })
    };
    dataset.labels.iter().map(index).collect()
}

fn chosen(dataset: &FolderDataset, part: Option<Part>) -> Vec<&FolderItem> {
    match part {
        Some(Part::Train) => dataset.part(Split::Train),
        Some(Part::Val) => dataset.part(Split::Validation),
        Some(Part::Test) => dataset.part(Split::Test),
        None if dataset.has_parts() => dataset.part(Split::Test),
        Some(Part::All) | None => dataset.items.iter().collect(),
    }
}
