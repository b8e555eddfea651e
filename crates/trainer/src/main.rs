//! `trainer`: pre-train, probe and query EmotionCLIP from the command line.

#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "doc comments of arguments are the help text, which shows backticks as they are"
)]

mod commands;
mod context;
mod demo;
mod device;
mod failure;
mod inputs;
mod models;
mod pretrain;
mod run_folder;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use context::{Context, GlobalArgs};
use failure::BadInput;

// Training allocates and frees tensors of megabytes all the time; the C library gives each back to
// the system, which costs a sixth of a step in page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXAMPLES: &str = "\
Examples:
  trainer                                        # the embedded run, report in runs/nano/
  trainer --resume                               # goes on with it after an interruption
  trainer --compare vanilla --second-seed 7      # beside a model that can't know the subject
  trainer predict clip.mp4 --report readings.html
  trainer pretrain --run runs/mine --resume";

/// Pre-train, probe and query EmotionCLIP.
///
/// Without a command: pre-trains the nano model on the embedded corpus, probes and zero-shots it,
/// and writes a report, in a few minutes on a CPU.
#[derive(Parser, Debug)]
#[command(version, about, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    demo: demo::DemoArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Pre-train a model; resumable
    Pretrain(Box<pretrain::PretrainArgs>),
    /// Fit and test a linear probe on a dataset's embeddings
    Probe(Box<commands::probe::ProbeArgs>),
    /// Compare labels in words with clips or a dataset
    ZeroShot(Box<commands::zero_shot::ZeroShotArgs>),
    /// Readings of a picture, or of a video over time
    Predict(Box<commands::predict::PredictArgs>),
    /// Pictures, videos and texts to vectors
    Embed(Box<commands::embed::EmbedArgs>),
    /// Any CLIP or EmotionCLIP checkpoint to a model file
    Import(Box<commands::import::ImportArgs>),
    /// A model to safetensors, Hugging Face or web files
    Export(Box<commands::export::ExportArgs>),
    /// Prepare corpora: videos with captions to shards, real faces with real utterances
    Data(Box<commands::data::DataArgs>),
    /// Train and test EmoCLIP on benchmarks of dynamic facial expressions
    #[command(name = "emoclip")]
    EmoClip(Box<commands::emoclip::EmoClipArgs>),
    /// Measure a model on the corpus of faces: zero-shot, probe, scenes, retrieval, precision
    Evaluate(Box<commands::evaluate::EvaluateArgs>),
    /// Rerun the paper's ablations as one resumable sweep
    Ablate(Box<commands::ablate::AblateArgs>),
    /// What a checkpoint holds
    Inspect(Box<commands::inspect::InspectArgs>),
    /// Train and use the sentiment model of our own
    TextClassifier(Box<commands::text_classifier::TextClassifierArgs>),
    /// How fast this machine computes, as JSON
    Bench(Box<commands::bench::BenchArgs>),
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let context = Context::new(cli.global.clone());
    match &cli.command {
        None => demo::run(&cli.demo, &context),
        Some(Command::Pretrain(args)) => pretrain::run(args, &context),
        Some(Command::Probe(args)) => commands::probe::run(args, &context),
        Some(Command::ZeroShot(args)) => commands::zero_shot::run(args, &context),
        Some(Command::Predict(args)) => commands::predict::run(args, &context),
        Some(Command::Embed(args)) => commands::embed::run(args, &context),
        Some(Command::Import(args)) => commands::import::run(args, &context),
        Some(Command::Export(args)) => commands::export::run(args, &context),
        Some(Command::Data(args)) => commands::data::run(args, &context),
        Some(Command::EmoClip(args)) => commands::emoclip::run(args, &context),
        Some(Command::Evaluate(args)) => commands::evaluate::run(args, &context),
        Some(Command::Ablate(args)) => commands::ablate::run(args, &context),
        Some(Command::Inspect(args)) => commands::inspect::run(args, &context),
        Some(Command::TextClassifier(args)) => commands::text_classifier::run(args, &context),
        Some(Command::Bench(args)) => commands::bench::run(args, &context),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = if cli.global.quiet { "warn" } else { "info" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| format!("off,trainer={level}").into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .without_time()
        .with_target(false)
        .init();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            // 2: the input must change; 1: the run failed.
            ExitCode::from(if error.is::<BadInput>() { 2 } else { 1 })
        }
    }
}
