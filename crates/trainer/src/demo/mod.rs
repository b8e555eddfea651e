//! The embedded run: what `trainer` does without a command.
//!
//! Pre-trains `nano` on the synthetic corpus, measures it on scenes whose figures and utterances it
//! has never met, and writes a report. With `--compare vanilla` it trains the same model without
//! the human token at the same budget, in the same run.

mod measure;
mod panels;
mod report;

use std::path::{Path, PathBuf};
use std::time::Instant;

use emotionclip::config::SubjectEncoding;
use serde::Serialize;

use crate::context::{Context, write_atomically};
use crate::pretrain::{Outcome, Overrides, Run, RunConfig};
use crate::run_folder::{CONFIG, existing_config};
use measure::Measurements;

/// What the embedded run can be told.
#[derive(clap::Args, Clone, Debug)]
pub struct DemoArgs {
    /// Folder of the run; a number is added if it exists
    #[arg(long, default_value = "runs/nano", value_name = "DIR")]
    pub run: PathBuf,
    /// Go on with the run in the folder after any interruption; --compare and --second-seed have to be
    /// given again
    #[arg(long)]
    pub resume: bool,
    /// Train a second model at the same budget and put it beside the first
    #[arg(long, value_enum, value_name = "WHAT")]
    pub compare: Option<Comparison>,
    /// Repeat the run with this seed too
    #[arg(long, value_name = "SEED")]
    pub second_seed: Option<u64>,
    /// Settings that replace those of the embedded configuration
    #[command(flatten)]
    pub overrides: Overrides,
}

/// What the embedded run can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Comparison {
    /// The same encoder without a human token.
    Vanilla,
}

/// `summary.json` and what `--json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Zero-shot accuracy on unseen scenes of two or three figures.
    pub zero_shot_accuracy: f64,
    /// The same without the human token; only when compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zero_shot_accuracy_vanilla: Option<f64>,
    /// Linear probe on frozen features, same test scenes.
    pub probe_accuracy: f64,
    /// Share of scenes whose best unseen utterance is of the subject's emotion.
    pub unseen_utterance_accuracy: f64,
    /// Zero-shot accuracy when only faces show the emotion.
    pub face_only_accuracy: f64,
    /// Zero-shot accuracy when only postures show it.
    pub posture_only_accuracy: f64,
    /// Linear probe on scenes with all figures erased.
    pub erased_probe_accuracy: f64,
    /// Zero-shot accuracy of the same model with an empty mask.
    pub empty_mask_accuracy: f64,
    /// Seconds of pre-training.
    pub train_seconds: f64,
    /// Seconds of the whole run.
    pub total_seconds: f64,
    /// Pairs a second in training.
    pub clips_per_second: f64,
    /// Device.
    pub device: String,
    /// Seed.
    pub seed: u64,
    /// The same scores with another seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_seed: Option<SeedSummary>,
    /// The trained model.
    pub model: PathBuf,
    /// SHA-256 of it.
    pub model_sha256: String,
    /// The report.
    pub report: PathBuf,
}

/// Scores of the repetition.
#[derive(Clone, Debug, Serialize)]
pub struct SeedSummary {
    /// Its seed.
    pub seed: u64,
    /// Zero-shot accuracy.
    pub zero_shot_accuracy: f64,
    /// Zero-shot accuracy without the human token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zero_shot_accuracy_vanilla: Option<f64>,
    /// Linear probe.
    pub probe_accuracy: f64,
}

/// One seed: the model, perhaps its vanilla twin, and what was measured.
struct Trial {
    config: RunConfig,
    outcome: Outcome,
    measurements: Measurements,
    vanilla: Option<(Outcome, f64)>,
    /// Seconds of training before this process.
    earlier_seconds: f64,
}

/// Runs everything and writes `report.html` and `summary.json`.
///
/// # Errors
///
/// If training or a measurement fails, or the disk refuses.
pub fn run(args: &DemoArgs, context: &Context) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut config = if args.resume {
        let config = RunConfig::read(&existing_config(&args.run)?)?;
        args.overrides.check_resumed(&config)?;
        config
    } else {
        RunConfig::nano()
    };
    args.overrides.apply(&mut config)?;
    let folder = if args.resume {
        args.run.clone()
    } else {
        unused(&args.run)
    };
    let trial = try_seed(&folder, config.clone(), args, context)?;
    let second = args
        .second_seed
        .map(|seed| {
            let mut config = config.clone();
            Overrides {
                seed: Some(seed),
                ..Overrides::default()
            }
            .apply(&mut config)?;
            try_seed(&folder.join(format!("seed-{seed}")), config, args, context)
        })
        .transpose()?;
    let report_path = folder.join("report.html");
    let trials = std::iter::once(&trial).chain(&second);
    let earlier: f64 = trials.map(|trial| trial.earlier_seconds).sum();
    let total_seconds = earlier + started.elapsed().as_secs_f64();
    let page = report::build(&trial, second.as_ref(), total_seconds)?;
    write_atomically(&report_path, page.to_html().as_bytes())?;
    let summary = summarise(&trial, second.as_ref(), total_seconds, report_path);
    let json = serde_json::to_vec_pretty(&summary)?;
    write_atomically(&folder.join("summary.json"), &json)?;
    context.finish(&summary, &describe(&summary))
}

fn try_seed(
    folder: &Path,
    config: RunConfig,
    args: &DemoArgs,
    context: &Context,
) -> anyhow::Result<Trial> {
    let mut earlier_seconds = 0.0;
    let mut train = |folder: &Path, config: RunConfig| {
        // An interruption may have come before this one began.
        let resume = args.resume && folder.join(CONFIG).exists();
        let mut run = Run::open(folder, config, resume, context)?;
        earlier_seconds += run.train_seconds();
        run.train(context)
    };
    let outcome = train(folder, config.clone())?;
    let measurements = measure::all(&outcome.pretrained, &config, context)?;
    let vanilla = match args.compare {
        None => None,
        Some(Comparison::Vanilla) => {
            let mut twin = config.clone();
            twin.model.vision.subject = SubjectEncoding::Vanilla;
            let outcome = train(&folder.join("vanilla"), twin)?;
            let accuracy = measure::zero_shot(&outcome.pretrained, &config, context)?;
            Some((outcome, accuracy))
        }
    };
    Ok(Trial {
        config,
        outcome,
        measurements,
        vanilla,
        earlier_seconds,
    })
}

/// The folder, or the first of `folder-2`, `folder-3` … that does not exist.
fn unused(folder: &Path) -> PathBuf {
    let mut candidate = folder.to_owned();
    let mut number = 2;
    while candidate.exists() {
        let mut name = folder.as_os_str().to_owned();
        name.push(format!("-{number}"));
        candidate = PathBuf::from(name);
        number += 1;
    }
    candidate
}

fn summarise(
    trial: &Trial,
    second: Option<&Trial>,
    total_seconds: f64,
    report: PathBuf,
) -> Summary {
    let measured = &trial.measurements;
    Summary {
        zero_shot_accuracy: measured.zero_shot,
        zero_shot_accuracy_vanilla: trial.vanilla.as_ref().map(|(_, accuracy)| *accuracy),
        probe_accuracy: measured.probe,
        unseen_utterance_accuracy: measured.unseen_utterance,
        face_only_accuracy: measured.face_only,
        posture_only_accuracy: measured.posture_only,
        erased_probe_accuracy: measured.erased_probe,
        empty_mask_accuracy: measured.empty_mask,
        train_seconds: trial.outcome.train_seconds,
        total_seconds,
        clips_per_second: trial.outcome.clips_per_second,
        device: trial.outcome.device.clone(),
        seed: trial.outcome.seed,
        second_seed: second.map(|trial| SeedSummary {
            seed: trial.outcome.seed,
            zero_shot_accuracy: trial.measurements.zero_shot,
            zero_shot_accuracy_vanilla: trial.vanilla.as_ref().map(|(_, accuracy)| *accuracy),
            probe_accuracy: trial.measurements.probe,
        }),
        model: trial.outcome.model_path.clone(),
        model_sha256: trial.outcome.model_sha256.clone(),
        report,
    }
}

fn describe(summary: &Summary) -> String {
    let mut lines = vec![
        format!(
            "zero-shot, unseen scenes of 2–3 figures  {:.3}",
            summary.zero_shot_accuracy
        ),
        format!(
            "linear probe, same scenes                {:.3}",
            summary.probe_accuracy
        ),
        format!(
            "retrieved unseen utterance               {:.3}",
            summary.unseen_utterance_accuracy
        ),
        format!(
            "faces only / postures only               {:.3} / {:.3}",
            summary.face_only_accuracy, summary.posture_only_accuracy
        ),
        format!(
            "empty mask / figures erased (probe)      {:.3} / {:.3}",
            summary.empty_mask_accuracy, summary.erased_probe_accuracy
        ),
    ];
    if let Some(vanilla) = summary.zero_shot_accuracy_vanilla {
        lines.push(format!(
            "zero-shot without the human token        {vanilla:.3}"
        ));
    }
    if let Some(second) = &summary.second_seed {
        let vanilla = second
            .zero_shot_accuracy_vanilla
            .map_or_else(String::new, |vanilla| format!(", vanilla {vanilla:.3}"));
        lines.push(format!(
            "seed {}: zero-shot {:.3}{vanilla}, probe {:.3}",
            second.seed, second.zero_shot_accuracy, second.probe_accuracy
        ));
    }
    lines.push(format!(
        "{:.0} s of training, {:.0} s in all, {:.0} clips/s on {}",
        summary.train_seconds, summary.total_seconds, summary.clips_per_second, summary.device
    ));
    lines.push(format!("model  {}", summary.model.display()));
    lines.push(format!("report {}", summary.report.display()));
    lines.join("\n")
}
