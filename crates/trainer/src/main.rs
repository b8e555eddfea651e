//! `trainer`: pre-train, probe and query EmotionCLIP from the command line.

mod context;
mod device;
mod failure;
mod pretrain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use context::{Context, GlobalArgs};
use failure::BadInput;

/// Pre-train, probe and query EmotionCLIP.
///
/// Without a command: pre-trains the nano model on the embedded corpus, probes and zero-shots it,
/// and writes a report, in a few minutes on a CPU.
#[derive(Parser, Debug)]
#[command(version, about)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Pre-train a model; resumable
    Pretrain(Box<pretrain::PretrainArgs>),
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let context = Context::new(cli.global.clone());
    match &cli.command {
        None => Ok(()),
        Some(Command::Pretrain(args)) => pretrain::run(args, &context),
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
