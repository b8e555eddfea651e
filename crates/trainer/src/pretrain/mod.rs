//! `trainer pretrain`: contrastive pre-training that can be stopped anywhere and resumed.

mod batch;
mod checkpoint;
mod config;
mod corpus;
mod fixed_texts;
mod run;
mod step;
mod text_start;
mod validation;

use std::path::PathBuf;

use emotionclip::config::{Preset, SubjectEncoding, TemporalFusion};
use emotionclip::loss::KlDirection;
use emotionclip::optim::Schedule;
use emotionclip_data::shards::ShardSet;

pub use config::{
    CorpusConfig, RunConfig, Stage, StageInput, StageSubjects, StageTexts, TowerMode, Towers,
};
pub use corpus::{Source, corpus_labels, drawn, faces_card};
pub use run::{MODEL, Outcome, Run, interrupt_flag};
pub use text_start::TextStart;
pub use validation::{accuracy, argmax, classify, embed_corpus, emotion_labels, rows_of_seven};

use crate::context::Context;
use crate::failure::bad_input;
use crate::run_folder::existing_config;

const EXAMPLES: &str = "\
Examples:
  trainer pretrain --run runs/first                        # nano from scratch on the embedded corpus
  trainer pretrain --run runs/first --resume               # go on after any interruption
  trainer pretrain --run runs/vanilla --subject vanilla --beta 0
  trainer pretrain --run runs/talks --corpus corpora/talks # clips of your own, see `trainer data prepare`
  trainer pretrain --run runs/mine --config runs/first/config.toml --seed 7
  trainer pretrain --print-config > mine.toml              # a file to edit";

/// Pre-train EmotionCLIP.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct PretrainArgs {
    /// Folder of the run: configuration, metrics, checkpoints
    #[arg(long, default_value = "runs/pretrain", value_name = "DIR")]
    pub run: PathBuf,
    /// Configuration file; flags below change single values of it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Use the release's recipe (25 epochs, seven rates) with this architecture
    #[arg(long, value_name = "PRESET", conflicts_with = "config")]
    pub release: Option<Preset>,
    /// Continue the run in the folder from its newest checkpoint
    #[arg(long)]
    pub resume: bool,
    /// Print the resolved configuration and stop
    #[arg(long)]
    pub print_config: bool,
    /// Settings that replace those of the configuration
    #[command(flatten)]
    pub overrides: Overrides,
}

/// Single settings on the command line.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Overrides {
    /// Seed of parameters, data order and dropout
    #[arg(long)]
    pub seed: Option<u64>,
    /// Folder of a corpus: shards of captioned video (`trainer data prepare`), there or at https://…
    /// or s3://bucket/folder; or in place of the real faces that the configuration names
    #[arg(long, value_name = "DIR")]
    pub corpus: Option<PathBuf>,
    /// Model file to start from
    #[arg(long, value_name = "FILE")]
    pub start_from: Option<PathBuf>,
    /// How the subject enters: vanilla, sap, or saam:LAYERS
    #[arg(long, value_parser = parse_subject, value_name = "KIND")]
    pub subject: Option<SubjectEncoding>,
    /// How frames are fused: transformer, mean or conv_1d
    #[arg(long, value_parser = parse_fusion, value_name = "KIND")]
    pub temporal: Option<TemporalFusion>,
    /// Strength of the sentiment guidance; 0 is plain InfoNCE
    #[arg(long)]
    pub beta: Option<f64>,
    /// Direction of the sentiment divergence: paper or release
    #[arg(long, value_parser = parse_direction, value_name = "WHICH")]
    pub kl_direction: Option<KlDirection>,
    /// Frame encoder: trained, frozen or random
    #[arg(long, value_name = "MODE")]
    pub frame_tower: Option<TowerMode>,
    /// Text encoder: trained, frozen or random
    #[arg(long, value_name = "MODE")]
    pub text_tower: Option<TowerMode>,
    /// Factor on the steps of every stage
    #[arg(long, value_name = "FACTOR")]
    pub budget: Option<f64>,
    /// Steps of a run that has one stage
    #[arg(long, value_name = "STEPS", conflicts_with = "budget")]
    pub steps: Option<usize>,
    /// Pairs a step
    #[arg(long, value_name = "PAIRS")]
    pub batch_size: Option<usize>,
    /// Steps between two checkpoints
    #[arg(long, value_name = "STEPS")]
    pub checkpoint_every: Option<usize>,
}

impl Overrides {
    /// Whether the settings may be given to a run that goes on.
    ///
    /// # Errors
    ///
    /// Bad input for those that would change what it has learned by: a factor that its steps have had
    /// already, another seed.
    pub fn check_resumed(&self, config: &RunConfig) -> anyhow::Result<()> {
        if self.budget.is_some() {
            return Err(bad_input(
                "--budget: the run's length was set when it began; leave it out to resume",
            ));
        }
        match self.seed {
            Some(seed) if seed != config.seed => Err(bad_input(format!(
                "--seed: the run has seed {}; leave it out to resume",
                config.seed
            ))),
            _ => Ok(()),
        }
    }

    /// Applies the given settings.
    ///
    /// # Errors
    ///
    /// Bad input if the result describes no run.
    pub fn apply(&self, config: &mut RunConfig) -> anyhow::Result<()> {
        if let Some(seed) = self.seed {
            config.seed = seed;
            *config.corpus.seed_mut() = seed;
        }
        if let Some(folder) = &self.corpus {
            match &mut config.corpus {
                CorpusConfig::Faces { root, .. } => root.clone_from(folder),
                CorpusConfig::Synthetic { .. } if !ShardSet::is_there(folder) => {
                    return Err(bad_input(format!(
                        "--corpus {}: no shards in it (`trainer data prepare` makes them); for a \
                         corpus of faces give a --config with `corpus.kind = \"faces\"`",
                        folder.display()
                    )));
                }
                CorpusConfig::Synthetic { .. } | CorpusConfig::Shards(_) => {
                    config.train_on_shards(folder)?;
                }
            }
        }
        if let Some(start_from) = &self.start_from {
            config.start_from = Some(start_from.clone());
        }
        if let Some(subject) = self.subject {
            config.model.vision.subject = subject;
        }
        if let Some(fusion) = self.temporal {
            config.model.temporal.fusion = fusion;
        }
        if let Some(beta) = self.beta {
            config.loss.beta = beta;
        }
        if let Some(direction) = self.kl_direction {
            config.loss.direction = direction;
        }
        if let Some(mode) = self.frame_tower {
            config.towers.frame = mode;
        }
        if let Some(mode) = self.text_tower {
            config.towers.text = mode;
        }
        if let Some(budget) = self.budget {
            if !(budget.is_finite() && budget > 0.0) {
                return Err(bad_input("--budget: must be a positive number"));
            }
            for stage in &mut config.stages {
                stage.scale(budget);
            }
        }
        if let Some(batch_size) = self.batch_size {
            for stage in &mut config.stages {
                stage.batch_size = batch_size;
            }
        }
        if let Some(steps) = self.steps {
            let [stage] = config.stages.as_mut_slice() else {
                return Err(bad_input(
                    "--steps: this run has several stages; scale them with --budget",
                ));
            };
            stage.set_steps(steps);
        }
        if let Some(steps) = self.checkpoint_every {
            config.checkpoints.every_steps = steps;
        }
        config.validate()
    }
}

fn parse_subject(text: &str) -> Result<SubjectEncoding, String> {
    match text.split_once(':') {
        None if text == "vanilla" => Ok(SubjectEncoding::Vanilla),
        None if text == "sap" => Ok(SubjectEncoding::Sap),
        Some(("saam", layers)) => layers
            .parse()
            .map(|layers| SubjectEncoding::Saam { layers })
            .map_err(|_| format!("'{layers}' is no number of layers")),
        _ => Err("use vanilla, sap or saam:LAYERS".to_owned()),
    }
}

fn parse_fusion(text: &str) -> Result<TemporalFusion, String> {
    match text {
        "transformer" => Ok(TemporalFusion::Transformer),
        "mean" => Ok(TemporalFusion::Mean),
        "conv_1d" | "conv1d" => Ok(TemporalFusion::Conv1d),
        _ => Err("use transformer, mean or conv_1d".to_owned()),
    }
}

fn parse_direction(text: &str) -> Result<KlDirection, String> {
    match text {
        "paper" => Ok(KlDirection::Paper),
        "release" => Ok(KlDirection::Release),
        _ => Err("use paper or release".to_owned()),
    }
}

/// Runs the command.
///
/// # Errors
///
/// Bad input, or a run that failed; the newest good checkpoint stays.
pub fn run(args: &PretrainArgs, context: &Context) -> anyhow::Result<()> {
    let mut config = if args.resume {
        let config = RunConfig::read(&existing_config(&args.run)?)?;
        args.overrides.check_resumed(&config)?;
        config
    } else if let Some(path) = &args.config {
        RunConfig::read(path)?
    } else if let Some(preset) = args.release {
        RunConfig::release(preset)
    } else {
        RunConfig::nano()
    };
    args.overrides.apply(&mut config)?;
    if args.print_config {
        print!("{}", config.to_toml()?);
        return Ok(());
    }
    for stage in &config.stages {
        if let Schedule::Release { warmup_steps, .. } = stage.schedule
            && warmup_steps >= stage.steps
        {
            tracing::warn!(
                "stage {}: its {} steps end within the warm-up of {warmup_steps}, so the rates stay far \
                 below those of the recipe; it is meant for more clips",
                stage.name,
                stage.steps
            );
        }
    }
    let mut run = Run::open(&args.run, config, args.resume, context)?;
    let outcome = run.train(context)?;
    let text = format!(
        "{} after {} steps: loss {:.4}, validation accuracy {:.3}, {:.0} s, {:.0} clips/s",
        outcome.model_path.display(),
        outcome.steps,
        outcome.final_loss,
        outcome.validation_accuracy,
        outcome.train_seconds,
        outcome.clips_per_second
    );
    context.finish(&outcome, &text)
}
