//! `cargo xtask test`: picks the stages, times them, and closes with a table.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, builder::PossibleValuesParser};

use crate::stages::{self, STAGES, Stage};
use crate::workspace::Workspace;

const EXAMPLES: &str = "\
Examples:
  cargo xtask test                          all stages, then a table of results
  cargo xtask test --list                   the stages, in the order they run
  cargo xtask test --only fmt,typos,deny    the quick ones
  cargo xtask test --skip wasm --fail-fast  all but one, ending at the first failure";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    /// Run only these stages, comma-separated (what they need is still set up).
    #[arg(long, value_name = "STAGE", value_delimiter = ',', value_parser = stage_names())]
    only: Vec<String>,
    /// Leave these stages out, comma-separated.
    #[arg(long, value_name = "STAGE", value_delimiter = ',', value_parser = stage_names())]
    skip: Vec<String>,
    /// Print the stages and run none.
    #[arg(long)]
    list: bool,
    /// Stop at the first stage that fails.
    #[arg(long)]
    fail_fast: bool,
}

/// How one stage went.
struct Report {
    name: &'static str,
    time: Duration,
    outcome: Result<Vec<String>>,
}

/// Runs the chosen stages; fails when one of them did, after all have run.
pub fn run_test(workspace: &Workspace, args: &TestArgs) -> Result<()> {
    if args.list {
        for stage in &STAGES {
            println!("{:<9}{}", stage.name, stage.about);
        }
        return Ok(());
    }
    let chosen = select(args);
    let start = Instant::now();
    let mut reports = Vec::new();
    for stage in &chosen {
        let report = run_stage(workspace, stage, &chosen);
        let failed = report.outcome.is_err();
        reports.push(report);
        if failed && args.fail_fast {
            break;
        }
    }
    summarize(&reports, chosen.len(), start.elapsed())
}

fn stage_names() -> PossibleValuesParser {
    PossibleValuesParser::new(STAGES.iter().map(|stage| stage.name))
}

fn select(args: &TestArgs) -> Vec<&'static Stage> {
    let named = |list: &[String], stage: &Stage| list.iter().any(|name| name == stage.name);
    STAGES
        .iter()
        .filter(|stage| {
            args.only.is_empty() || named(&args.only, stage) || stage.name == stages::SETUP
        })
        .filter(|stage| !named(&args.skip, stage))
        .collect()
}

fn run_stage(workspace: &Workspace, stage: &Stage, chosen: &[&Stage]) -> Report {
    println!("\n== {}: {}", stage.name, stage.about);
    let start = Instant::now();
    let outcome = (stage.run)(workspace, chosen);
    let time = start.elapsed();
    match &outcome {
        Ok(_) => println!("-- {}: passed in {}", stage.name, clock(time)),
        Err(error) => println!("-- {}: FAILED in {}: {error:#}", stage.name, clock(time)),
    }
    Report {
        name: stage.name,
        time,
        outcome,
    }
}

fn summarize(reports: &[Report], planned: usize, total: Duration) -> Result<()> {
    println!("\n{:<10}{:<8}{:>8}", "stage", "result", "time");
    for report in reports {
        let result = if report.outcome.is_ok() {
            "passed"
        } else {
            "FAILED"
        };
        println!("{:<10}{result:<8}{:>8}", report.name, clock(report.time));
    }
    println!("{:<18}{:>8}", "total", clock(total));

    for report in reports {
        for omission in report.outcome.iter().flatten() {
            println!("left out in {}: {omission}", report.name);
        }
    }
    if reports.len() < planned {
        println!(
            "{} stages were not run (--fail-fast)",
            planned - reports.len()
        );
    }
    let failed: Vec<_> = reports
        .iter()
        .filter(|r| r.outcome.is_err())
        .map(|r| r.name)
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    println!("all passed");
    Ok(())
}

/// `minutes:seconds`, with tenths because the quick stages take less than a second.
fn clock(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    format!("{}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(only: &[&str], skip: &[&str]) -> TestArgs {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        TestArgs {
            only: owned(only),
            skip: owned(skip),
            list: false,
            fail_fast: false,
        }
    }

    fn names(args: &TestArgs) -> Vec<&'static str> {
        select(args).iter().map(|stage| stage.name).collect()
    }

    #[test]
    fn all_stages_run_unless_told_otherwise() {
        assert_eq!(names(&args(&[], &[])).len(), STAGES.len());
    }

    #[test]
    fn only_keeps_the_set_up_and_the_usual_order() {
        assert_eq!(
            names(&args(&["clippy", "fmt"], &[])),
            ["setup", "fmt", "clippy"]
        );
    }

    #[test]
    fn skip_wins_over_only() {
        assert_eq!(
            names(&args(&["clippy", "fmt"], &["setup", "fmt"])),
            ["clippy"]
        );
    }

    #[test]
    fn a_failed_stage_fails_the_command_and_is_named() {
        let report = |name, outcome| Report {
            name,
            time: Duration::ZERO,
            outcome,
        };
        let failed = report("typos", Err(anyhow::anyhow!("a typo")));
        let reports = [report("fmt", Ok(Vec::new())), failed];
        let error = summarize(&reports, 2, Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "failed: typos");
    }

    #[test]
    fn times_read_as_minutes_and_seconds() {
        assert_eq!(clock(Duration::from_millis(83_250)), "1:23.2");
        assert_eq!(clock(Duration::from_millis(90)), "0:00.0");
    }
}
