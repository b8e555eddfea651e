//! `probe`: what a linear map of the frozen embeddings can tell.

mod benchmark;
mod regression;
mod targets;

use std::path::PathBuf;

use clap::ValueEnum;
use emotionclip::probe::{
    Features, HeadKind, LinearFit, LinearHead, LogisticRegression, NearestCentroid, ProbeError,
};
use emotionclip_data::benchmarks::ProbeDataset;
use emotionclip_data::decode::Media;
use emotionclip_data::folder::FolderItem;
use emotionclip_data::synthetic::Split;
use serde::Serialize;

use self::benchmark::BenchmarkArgs;
use self::targets::Targets;
use super::classification::{ClassificationScores, argmax};
use super::dataset::{self, ViewArgs, positive};
use crate::context::{Context, write_atomically};
use crate::failure::{OrBadInput, bad_input};
use crate::inputs::cache::{CacheArgs, FeatureCache};
use crate::inputs::features::{Embedded, FeatureExtractor};
use crate::inputs::labels::read_mapping;
use crate::inputs::subject::{Subject, SubjectChoice};
use crate::models::{LoadedModel, ModelArgs};

const EXAMPLES: &str = "\
Examples:
  trainer probe --root dataset/
  trainer probe --root dataset/ --kind one-vs-rest --c 8 --save probe.safetensors
  trainer probe --root clips/ --targets vad.csv --kind ridge --alpha 1 --json
  trainer probe --dataset meld --root MELD --model paper.safetensors --run runs/meld
  trainer predict face.png --probe probe.safetensors

A dataset is a folder per class (pictures, videos, or folders of frames); with train, val and test
folders above the classes these are the parts, else --test-share of every class is held out.
--labels FILE is TOML with folder = \"label\". --targets CSV has the columns file, one for each
target, and perhaps split (train, val, test); with --kind one-vs-rest targets are 0 or 1.
--dataset runs a benchmark's own protocol: probe, penalty, parts and scores are the paper's.";

/// Options of `probe`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct ProbeArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Benchmark with a protocol of its own: bold, moviegraphs, meld, emotic or liris-accede
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = [
            "labels", "targets", "kind", "c", "alpha", "test_share", "seed", "subject", "fps"
        ]
    )]
    dataset: Option<ProbeDataset>,
    /// Dataset: a folder per class, the folder that --targets names files in, or the benchmark's
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// TOML file that maps folders to labels
    #[arg(long, value_name = "FILE", conflicts_with = "targets")]
    labels: Option<PathBuf>,
    /// CSV file of targets: file,value…
    #[arg(long, value_name = "CSV")]
    targets: Option<PathBuf>,
    /// Kind of probe; default: multinomial, with --targets ridge
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Inverse strength of the penalty of a logistic regression
    #[arg(long, value_name = "C", default_value_t = 1.0, value_parser = positive)]
    c: f64,
    /// Strength of the penalty of a ridge regression
    #[arg(long, value_name = "ALPHA", default_value_t = 1.0, value_parser = positive)]
    alpha: f64,
    /// Share held out where the dataset does not tell its parts
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    test_share: f64,
    /// Seed of the held-out share
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// File to save the probe to, for `predict --probe`
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    #[command(flatten)]
    view: ViewArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    benchmark: BenchmarkArgs,
}

/// Kind of probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Multinomial,
    OneVsRest,
    Ridge,
}

/// What every result says of how it was made.
#[derive(Debug, Serialize)]
struct Provenance<'a> {
    model: &'a str,
    kind: HeadKind,
    train_samples: usize,
    test_samples: usize,
    cached: usize,
    seed: u64,
    saved: Option<String>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ClassificationResult<'a> {
    probe_accuracy: f64,
    train_accuracy: f64,
    centroid_accuracy: f64,
    #[serde(flatten)]
    provenance: Provenance<'a>,
    #[serde(flatten)]
    scores: ClassificationScores,
}

/// Rows of two parts, and how many of them were known.
struct Parts {
    train: Embedded,
    test: Embedded,
}

/// Runs the command.
///
/// # Errors
/// Bad input for a dataset, settings or a model that can't be used; a failing device.
pub fn run(args: &ProbeArgs, context: &Context) -> anyhow::Result<()> {
    if let Some(dataset) = args.dataset {
        return benchmark::run(args, dataset, context);
    }
    let subject = Subject::read(&args.view.subject())?;
    if !(args.test_share > 0.0 && args.test_share < 1.0) {
        let message = format!(
            "--test-share is {}; give a number between 0 and 1",
            args.test_share
        );
        return Err(bad_input(message));
    }
    match (&args.targets, args.kind) {
        (Some(csv), None | Some(Kind::Ridge | Kind::OneVsRest)) => {
            let targets = Targets::read(csv, &args.root, args.test_share, args.seed)?;
            regression::run(args, context, &subject, &targets)
        }
        (Some(_), Some(Kind::Multinomial)) => Err(bad_input(
            "--targets holds numbers; use --kind ridge, or one-vs-rest for targets of 0 and 1",
        )),
        (None, Some(Kind::Ridge)) => Err(bad_input(
            "--kind ridge predicts numbers; name a file of them with --targets",
        )),
        (None, kind) => run_classes(args, context, &subject, kind.unwrap_or(Kind::Multinomial)),
    }
}

fn run_classes(
    args: &ProbeArgs,
    context: &Context,
    subject: &Subject,
    kind: Kind,
) -> anyhow::Result<()> {
    let folders = args
        .labels
        .as_deref()
        .map(read_mapping)
        .transpose()?
        .unwrap_or_default();
    let mut dataset = dataset::open(&args.root, folders)?;
    dataset
        .draw_test(args.test_share, args.seed)
        .map_err(|error| bad_input(error.to_string()))?;
    let (train, test) = (dataset.part(Split::Train), dataset.part(Split::Test));
    let labels_of =
        |items: &[&FolderItem]| -> Vec<usize> { items.iter().map(|item| item.label).collect() };
    let (train_labels, test_labels) = (labels_of(&train), labels_of(&test));
    let model = args.model.load(&context.open_device()?.device, context)?;
    let media = |items: &[&'_ FolderItem]| -> Vec<Media> {
        items.iter().map(|item| item.media.clone()).collect()
    };
    let parts = embed(
        args,
        context,
        &model,
        subject,
        &media(&train),
        &media(&test),
    )?;

    let classes = dataset.labels.len();
    let (train, test) = (features(&parts.train)?, features(&parts.test)?);
    let regression = LogisticRegression::new(args.c);
    let fitted = match kind {
        Kind::OneVsRest => {
            let is_class = |label: &usize| (0..classes).map(|class| class == *label).collect();
            let targets: Vec<Vec<bool>> = train_labels.iter().map(is_class).collect();
            regression.fit_one_vs_rest(train, &targets.concat(), classes)
        }
        Kind::Multinomial | Kind::Ridge => {
            regression.fit_multinomial(train, &train_labels, classes)
        }
    };
    let fitted = fitted.map_err(|error| dataset_fault(args, &error))?;
    let (head, warnings) = finish_head(args, fitted, dataset.labels.clone(), &model)?;
    let predict = |features| -> anyhow::Result<Vec<usize>> {
        Ok(head
            .predict(features)?
            .chunks_exact(classes)
            .map(argmax)
            .collect())
    };
    let scores = ClassificationScores::new(&test_labels, &predict(test)?, &dataset.labels)?;
    let train_scores = ClassificationScores::new(&train_labels, &predict(train)?, &dataset.labels)?;
    let centroids = NearestCentroid::fit(train, &train_labels, classes)?;
    let baseline = centroids.predict(test)?;
    let baseline = ClassificationScores::new(&test_labels, &baseline, &dataset.labels)?;

    let provenance = provenance(args, &model, &head, &parts, warnings)?;
    let text = format!(
        "{}\ntrain accuracy  {:.4}\nnearest centroid {:.4}\n\n{}",
        provenance.text(),
        train_scores.accuracy,
        baseline.accuracy,
        scores.text()
    );
    let result = ClassificationResult {
        probe_accuracy: scores.accuracy,
        train_accuracy: train_scores.accuracy,
        centroid_accuracy: baseline.accuracy,
        provenance,
        scores,
    };
    context.finish(&result, &text)
}

fn embed(
    args: &ProbeArgs,
    context: &Context,
    model: &LoadedModel,
    subject: &Subject,
    train: &[Media],
    test: &[Media],
) -> anyhow::Result<Parts> {
    if train.is_empty() || test.is_empty() {
        return Err(bad_input(format!(
            "{}: {} samples to train on and {} to test on; both parts need some",
            args.root.display(),
            train.len(),
            test.len()
        )));
    }
    let extractor = FeatureExtractor {
        model,
        subject,
        rate: args.view.fps,
        cache: args.cache.folder().map(FeatureCache::new),
    };
    let train = extractor.embed(&train.iter().collect::<Vec<_>>(), context)?;
    let test = extractor.embed(&test.iter().collect::<Vec<_>>(), context)?;
    Ok(Parts { train, test })
}

fn features(embedded: &Embedded) -> anyhow::Result<Features<'_>> {
    Ok(Features::new(&embedded.values, embedded.width)?)
}

fn dataset_fault(args: &ProbeArgs, error: &ProbeError) -> anyhow::Error {
    bad_input(format!("{}: {error}", args.root.display()))
}

fn finish_head(
    args: &ProbeArgs,
    fitted: LinearFit,
    names: Vec<String>,
    model: &LoadedModel,
) -> anyhow::Result<(LinearHead, Vec<String>)> {
    let warnings: Vec<String> = fitted.warnings.iter().map(ToString::to_string).collect();
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let head = fitted.into_head(names).or_bad_input("probe")?;
    let head = head.with_normalisation(true).with_model_hash(&*model.hash);
    let head = match args.view.subject() {
        // Of one picture; others have theirs.
        SubjectChoice::Mask(_) => head,
        subject => head.with_subject(subject.to_string()),
    };
    Ok((head, warnings))
}

fn provenance<'a>(
    args: &ProbeArgs,
    model: &'a LoadedModel,
    head: &LinearHead,
    parts: &Parts,
    warnings: Vec<String>,
) -> anyhow::Result<Provenance<'a>> {
    if let Some(path) = &args.save {
        write_atomically(path, &head.to_safetensors()?)?;
    }
    Ok(Provenance {
        model: &model.name,
        kind: head.kind(),
        train_samples: parts.train.rows().len(),
        test_samples: parts.test.rows().len(),
        cached: parts.train.cached + parts.test.cached,
        seed: args.seed,
        saved: args.save.as_ref().map(|path| path.display().to_string()),
        warnings,
    })
}

impl Provenance<'_> {
    fn text(&self) -> String {
        let total = self.train_samples + self.test_samples;
        let saved = self
            .saved
            .as_ref()
            .map_or_else(String::new, |path| format!("\nsaved to {path}"));
        format!(
            "probe on {} samples, tested on {}; {} of {total} embeddings from the cache{saved}",
            self.train_samples, self.test_samples, self.cached
        )
    }
}
