//! `probe --dataset`: the protocol of a benchmark, with a report beside the paper's figures.

mod beside;
mod features;
mod output;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;
use emotionclip::preprocess::Letterbox;
use emotionclip::probe::Features;
use emotionclip_data::benchmarks::{
    BenchmarkError, LirisInput, ProbeDataset, ProbeOptions, ProbePart, ProbeSample, ProbeSet,
};
use emotionclip_eval::protocols::{ProtocolOutcome, ProtocolPart, evaluate};

use self::features::{PartFeatures, View};
use super::ProbeArgs;
use crate::context::Context;
use crate::failure::{OrBadInput, bad_input};
use crate::models::LoadedModel;

/// Options of a benchmark's protocol.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct BenchmarkArgs {
    /// Folder for the report, the scores, the fitted probe and the features of a benchmark;
    /// default: runs/probe-NAME
    #[arg(long, value_name = "DIR", requires = "dataset")]
    run: Option<PathBuf>,
    /// Boxes of the release's detector: where they are, or as the release reads them, 12 pixels of
    /// 640 too low in wide frames
    #[arg(long, value_enum, default_value_t = LetterboxChoice::Corrected, requires = "dataset")]
    letterbox: LetterboxChoice,
    /// What is seen of a second of LIRIS-ACCEDE: its frame repeated, as in the release, or the
    /// window around it
    #[arg(long, value_enum, default_value_t = LirisChoice::RepeatedFrame, requires = "dataset")]
    liris_input: LirisChoice,
    /// TOML file with figures of other systems for the report's table
    #[arg(long, value_name = "FILE", requires = "dataset")]
    beside: Option<PathBuf>,
}

/// [`Letterbox`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LetterboxChoice {
    Corrected,
    Release,
}

/// [`LirisInput`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LirisChoice {
    RepeatedFrame,
    Window,
}

impl BenchmarkArgs {
    fn letterbox(&self) -> Letterbox {
        match self.letterbox {
            LetterboxChoice::Corrected => Letterbox::Corrected,
            LetterboxChoice::Release => Letterbox::Release,
        }
    }

    fn liris_input(&self) -> LirisInput {
        match self.liris_input {
            LirisChoice::RepeatedFrame => LirisInput::RepeatedFrame,
            LirisChoice::Window => LirisInput::Window,
        }
    }

    fn folder(&self, dataset: ProbeDataset) -> PathBuf {
        let default = || Path::new("runs").join(format!("probe-{}", dataset.slug()));
        self.run.clone().unwrap_or_else(default)
    }
}

/// A protocol that was run.
struct Run<'a> {
    args: &'a ProbeArgs,
    model: &'a LoadedModel,
    device: String,
    parts: Vec<RunPart>,
    outcome: ProtocolOutcome,
    seconds: f64,
}

/// A part of the set with its features.
struct RunPart {
    part: ProbePart,
    features: PartFeatures,
}

impl RunPart {
    /// The samples that have features.
    fn samples(&self) -> impl Iterator<Item = &ProbeSample> {
        let kept = self.part.samples.iter().zip(&self.features.is_read);
        kept.filter(|(_, is_read)| **is_read)
            .map(|(sample, _)| sample)
    }

    fn protocol_part(&self) -> anyhow::Result<ProtocolPart<'_>> {
        Ok(ProtocolPart {
            split: self.part.split,
            features: Features::new(&self.features.values, self.features.width)?,
            labels: self.samples().map(|sample| sample.labels.clone()).collect(),
            values: self.samples().map(|sample| sample.values.clone()).collect(),
        })
    }
}

/// Runs the protocol.
///
/// # Errors
/// Bad input for a set that is missing or damaged, a model that can't be used, or too few samples
/// for the protocol; a failing device.
pub(super) fn run(
    args: &ProbeArgs,
    dataset: ProbeDataset,
    context: &Context,
) -> anyhow::Result<()> {
    let start = Instant::now();
    // What costs nothing is checked before the model is loaded and hours are spent.
    let systems = args.benchmark.beside.as_deref().map(beside::read);
    let systems = systems.transpose()?.unwrap_or_default();
    let fault = |error: BenchmarkError| bad_input(error.to_string());
    ProbeSet::check(dataset, &args.root).map_err(fault)?;
    let device = context.open_device()?;
    let model = args.model.load(&device.device, context)?;
    let options = ProbeOptions {
        frames: model.frames(),
        liris_input: args.benchmark.liris_input(),
        ..ProbeOptions::default()
    };
    let set = ProbeSet::open(dataset, &args.root, &options).map_err(fault)?;
    for part in &set.parts {
        announce(part);
    }
    let view = View::new(dataset, &model, args.benchmark.letterbox());
    let mut parts = Vec::new();
    for part in set.parts {
        let features = view.features(&part, args.cache.folder(), options.max_skipped, context)?;
        parts.push(RunPart { part, features });
    }
    let outcome = {
        let mut ready = Vec::new();
        for part in &parts {
            ready.push(part.protocol_part()?);
        }
        let Some((train, held_out)) = ready.split_first() else {
            return Err(bad_input(format!("{dataset}: no part to train on")));
        };
        evaluate(dataset, train, held_out).or_bad_input(dataset)?
    };
    for warning in &outcome.warnings {
        tracing::warn!("{warning}");
    }
    let run = Run {
        args,
        model: &model,
        device: device.name,
        parts,
        outcome,
        seconds: start.elapsed().as_secs_f64(),
    };
    run.write(systems, context)
}

/// Says what of a part is left out.
fn announce(part: &ProbePart) {
    let (dataset, name) = (part.dataset, part.name());
    tracing::info!("{dataset}, {name}: {} samples", part.samples.len());
    for defect in &part.known_defects {
        tracing::info!("{dataset}, {name}: {defect} is corrupt as published and is left out");
    }
    if let Some(first) = part.skipped.first() {
        tracing::warn!(
            "{dataset}, {name}: {} samples can't be used and are left out, the first: {first}",
            part.skipped.len()
        );
    }
}
