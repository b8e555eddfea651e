//! `data check` and `data stats`.

use std::fmt::Write as _;
use std::path::PathBuf;

use emotionclip_data::shards::{ShardSet, ShardStats, check as check_set, stats as stats_of};
use emotionclip_eval::report::{CorpusBars, CorpusPage};

use super::outcome::{Bars, or_bad};
use crate::context::{Context, write_atomically};
use crate::failure::bad_input;

/// Options of `data check`.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct CheckArgs {
    /// Folder of shards, work folder, or address of one: https://… or s3://bucket/folder
    #[arg(value_name = "DIR")]
    shards: PathBuf,
    /// Decode every picture too
    #[arg(long)]
    decode: bool,
    /// Shards read at once; 0 is one a core
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    workers: usize,
}

/// Options of `data stats`.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct StatsArgs {
    /// Folder of shards, work folder, or address of one: https://… or s3://bucket/folder
    #[arg(value_name = "DIR")]
    shards: PathBuf,
    /// Count people in every n-th clip only: those have to be read
    #[arg(long, value_name = "N", default_value_t = 1)]
    every: usize,
    /// Write plots as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Runs `check`.
///
/// # Errors
/// Bad input for shards that are missing or not whole.
pub fn check(args: &CheckArgs, context: &Context) -> anyhow::Result<()> {
    let set = or_bad(ShardSet::open(&args.shards))?;
    let bars = Bars::new(context);
    let report = check_set(&set, args.decode, args.workers, &|progress| {
        bars.show(progress);
    });
    let report = or_bad(report)?;
    drop(bars);
    if report.faults > 0 {
        for fault in &report.named {
            eprintln!("{fault}");
        }
        return Err(bad_input(format!(
            "{}: {} faults in {} shards, named above; make the shards again or copy them again",
            args.shards.display(),
            report.faults,
            report.shards
        )));
    }
    let text = format!(
        "{}: {} shards, {} clips and {} frames are whole",
        args.shards.display(),
        report.shards,
        report.samples,
        report.frames
    );
    context.finish(&report, &text)
}

/// Runs `stats`.
///
/// # Errors
/// Bad input for shards that are missing or not whole, a failed write.
pub fn stats(args: &StatsArgs, context: &Context) -> anyhow::Result<()> {
    let set = or_bad(ShardSet::open(&args.shards))?;
    let bar = context.progress(set.samples().len() as u64, "stats");
    let stats = or_bad(stats_of(&set, args.every, &|index| {
        bar.set_position(index as u64);
    }))?;
    bar.finish_and_clear();
    if let Some(path) = &args.html {
        write_atomically(path, page(args, &stats).to_html().as_bytes())?;
    }
    context.finish(&stats, &text(&stats))
}

fn facts(stats: &ShardStats) -> Vec<(String, String)> {
    [
        ("clips", stats.samples.to_string()),
        ("videos", stats.videos.to_string()),
        ("frames", stats.frames.to_string()),
        ("hours", format!("{:.2}", stats.hours)),
        ("size", format!("{:.1} MB", stats.bytes as f64 / 1e6)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn page(args: &StatsArgs, stats: &ShardStats) -> CorpusPage {
    CorpusPage {
        title: format!("Corpus {}", args.shards.display()),
        facts: facts(stats),
        charts: stats
            .distributions
            .iter()
            .map(|one| CorpusBars {
                title: one.name.clone(),
                labels: one.labels.clone(),
                counts: one.counts.clone(),
                mean: one.mean,
            })
            .collect(),
    }
}

fn text(stats: &ShardStats) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    for (name, value) in facts(stats) {
        let _ = writeln!(text, "{name:<8} {value:>12}");
    }
    for one in &stats.distributions {
        let mean = one
            .mean
            .map_or_else(String::new, |mean| format!(" (mean {mean:.2})"));
        let _ = writeln!(text, "\n{}{mean}", one.name);
        let most = one.counts.iter().copied().max().unwrap_or(1).max(1);
        for (label, count) in one.labels.iter().zip(&one.counts) {
            let bar = "█".repeat((40 * count).div_ceil(most));
            let _ = writeln!(text, "{label:>10} {count:>8} {bar}");
        }
    }
    text
}
