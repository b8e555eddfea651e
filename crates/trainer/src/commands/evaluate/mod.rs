//! `evaluate`: everything that is claimed of a model that learned from the corpus of faces, in one
//! run over one split.

mod bench;
mod encoder;
mod faces;
mod leaks;
mod linear;
mod precision;
mod report;
mod retrieval;
mod rounding;
mod scenes;
mod scored;
mod summary;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use emotionclip_data::faces::{FaceSplit, MAX_FACES, label_texts};
use emotionclip_data::synthetic::Split;
use serde::Serialize;

use self::bench::Bench;
use self::encoder::{Encoder, ModelFacts};
use self::faces::{FacesResult, PictureReading};
use self::leaks::LeaksResult;
use self::linear::ProbeResult;
use self::precision::PrecisionResult;
use self::retrieval::RetrievalResult;
use self::scenes::ScenesResult;
use crate::context::{Context, write_atomically};
use crate::failure::{OrBadInput as _, bad_input};
use crate::models::ModelArgs;

const EXAMPLES: &str = "\
Examples:
  trainer evaluate --root corpora/faces --model runs/mini/model.safetensors --out runs/mini/evaluation
  trainer evaluate --root corpora/faces --split validation --only faces,scenes --scenes 300
  trainer evaluate --root corpora/faces --only retrieval --json

Parts:
  faces       every face of the split alone, read by the committed label texts
  probe       logistic regression on the vectors of the training faces, its setting chosen on validation
  scenes      scenes of four faces, or --scene-faces: mask on the subject, on nobody, on another face
  retrieval   sentences of the six emotions retrieve the nearest face
  precision   faces and scenes again with weights rounded to f16 and int8, as in a web bundle
  leaks       no face and no sentence of the split was trained on (fails if one was)

The corpus is what `trainer data build-scenes` makes. An EmoCLIP is not told who the subject is and so not
measured on scenes.";

/// Options of `evaluate`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct EvaluateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Corpus of faces, made by `data build-scenes`
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Split to measure on
    #[arg(long, value_enum, default_value_t = MeasuredSplit::Test)]
    split: MeasuredSplit,
    /// Folder for evaluation.json, evaluation.md and evaluation.html
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Parts to measure; default: all
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',', num_args = 1..)]
    only: Vec<Part>,
    /// Scenes
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    scenes: u32,
    /// Faces in a scene
    #[arg(long, value_name = "N", default_value_t = MAX_FACES as u32, value_parser = clap::value_parser!(u32).range(1..=MAX_FACES as i64))]
    scene_faces: u32,
    /// How a single face is read in retrieval and precision
    #[arg(long, value_enum, default_value_t = PictureReading::Still)]
    picture: PictureReading,
}

/// A split that isn't trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MeasuredSplit {
    Validation,
    Test,
}

impl MeasuredSplit {
    fn split(self) -> Split {
        match self {
            Self::Validation => Split::Validation,
            Self::Test => Split::Test,
        }
    }
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Faces,
    Probe,
    Scenes,
    Retrieval,
    Precision,
    Leaks,
}

/// The corpus, for a report.
#[derive(Clone, Debug, Serialize)]
struct CorpusFacts {
    root: String,
    split: Split,
    faces: usize,
    utterances: usize,
}

/// `evaluation.json` and what `--json` prints.
#[derive(Clone, Debug, Serialize)]
struct Evaluation {
    model: ModelFacts,
    corpus: CorpusFacts,
    device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    faces: Option<FacesResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<ProbeResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scenes: Option<ScenesResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retrieval: Option<RetrievalResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<PrecisionResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaks: Option<LeaksResult>,
    /// Parts left out and why.
    left_out: Vec<String>,
    /// Wall-clock seconds of each part.
    seconds: BTreeMap<&'static str, f64>,
    /// Files written.
    files: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// Bad input for a corpus or model that can't be used; a failing device; items of the split that
/// were trained on.
pub fn run(args: &EvaluateArgs, context: &Context) -> anyhow::Result<()> {
    let split = args.split.split();
    let data = open(&args.root, split)?;
    let opened = context.open_device()?;
    let encoder = Encoder::load(&args.model, &opened.device, context)?;
    let bench = Bench {
        args,
        context,
        wanted: wanted(args, &encoder)?,
        data,
        encoder,
        labels: label_texts()?.to_vec(),
    };
    let mut evaluation = bench.measure(opened.name)?;
    if let Some(folder) = &args.out {
        write(&mut evaluation, folder)?;
    }
    context.finish(&evaluation, &summary::text(&evaluation))?;
    match &evaluation.leaks {
        Some(leaks) if !leaks.clean => anyhow::bail!(
            "{} faces or sentences of {} stand in training; the figures above count for nothing, \
             build the corpus again",
            leaks.found(),
            split.name()
        ),
        _ => Ok(()),
    }
}

fn open(root: &Path, split: Split) -> anyhow::Result<Arc<FaceSplit>> {
    Ok(Arc::new(
        FaceSplit::open(root, split).or_bad_input("--root")?,
    ))
}

/// The parts that are asked for and that the model can be measured on.
fn wanted(args: &EvaluateArgs, encoder: &Encoder) -> anyhow::Result<Vec<Part>> {
    if !args.only.is_empty() {
        if args.only.contains(&Part::Scenes) && !encoder.sees_subject() {
            return Err(bad_input(format!(
                "--only scenes: {} is an EmoCLIP, which is not told who the subject is; leave \
                 scenes out",
                encoder.facts().name
            )));
        }
        return Ok(args.only.clone());
    }
    let parts = Part::value_variants().iter().copied();
    Ok(parts
        .filter(|part| *part != Part::Scenes || encoder.sees_subject())
        .collect())
}

/// Writes the three forms of the report and notes their names.
fn write(evaluation: &mut Evaluation, folder: &Path) -> anyhow::Result<()> {
    let [json, markdown, page] = ["json", "md", "html"].map(|form| {
        let path = folder.join(format!("evaluation.{form}"));
        evaluation.files.push(path.display().to_string());
        path
    });
    let report = report::build(evaluation);
    write_atomically(&markdown, report.to_markdown().as_bytes())?;
    write_atomically(&page, report.to_html().as_bytes())?;
    let content = serde_json::to_vec_pretty(evaluation)?;
    write_atomically(&json, &content)
}
