//! What steps did, for people and as JSON, and their progress.

use std::fmt::Write as _;
use std::sync::Mutex;

use emotionclip_data::prepare::{IndexReport, PrepareError, StepProgress, StepReport};
use emotionclip_data::shards::{ShardError, ShardList};
use emotionclip_data::yolo::YoloError;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::context::Context;
use crate::failure::bad_input;

/// Skips shown on the terminal; the report has all.
const SHOWN: usize = 10;

/// Errors that a user's files or options cause, as against those of the machine.
pub trait Blame: std::error::Error + Send + Sync + Sized + 'static {
    /// Whether what was given has to change.
    fn is_bad_input(&self) -> bool;
}

impl Blame for PrepareError {
    fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Io { .. })
    }
}

impl Blame for ShardError {
    fn is_bad_input(&self) -> bool {
        true
    }
}

impl Blame for YoloError {
    fn is_bad_input(&self) -> bool {
        true
    }
}

/// The result with the exit code that its error deserves.
pub fn or_bad<T, E: Blame>(result: Result<T, E>) -> anyhow::Result<T> {
    result.map_err(|error| {
        if error.is_bad_input() {
            bad_input(error.to_string())
        } else {
            error.into()
        }
    })
}

/// A step, as JSON.
#[derive(Debug, Serialize)]
struct Step {
    made: usize,
    unchanged: usize,
    broken: usize,
    #[serde(flatten)]
    report: StepReport,
}

/// What a command did.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    out: String,
    steps: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<IndexReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<ShardList>,
}

impl Outcome {
    pub fn new(out: &std::path::Path) -> Self {
        Self {
            out: out.display().to_string(),
            ..Self::default()
        }
    }

    pub fn step(&mut self, report: StepReport) {
        self.steps.push(Step {
            made: report.made,
            unchanged: report.unchanged,
            broken: report.broken(),
            report,
        });
    }

    pub fn index(&mut self, report: IndexReport) {
        self.index = Some(report);
    }

    pub fn shards(&mut self, list: ShardList) {
        self.shards = Some(list);
    }

    /// Prints it.
    pub fn finish(&self, context: &Context) -> anyhow::Result<()> {
        context.finish(self, &self.text())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        for Step {
            made,
            unchanged,
            broken,
            report,
        } in &self.steps
        {
            let _ = writeln!(
                text,
                "{:<14} {:>6} made, {unchanged} unchanged, {} left out ({broken} broken)",
                report.step,
                made,
                report.skipped.len()
            );
            for skip in report.skipped.iter().take(SHOWN) {
                let _ = writeln!(text, "    {}: {}", skip.item, skip.reason);
            }
            for dropped in report.dropped.iter().take(SHOWN) {
                let _ = writeln!(text, "    {dropped}");
            }
            let more = report.skipped.len().saturating_sub(SHOWN)
                + report.dropped.len().saturating_sub(SHOWN);
            if more > 0 {
                let _ = writeln!(
                    text,
                    "    … {more} more in {}/reports/{}.json",
                    self.out, report.step
                );
            }
        }
        if let Some(index) = &self.index {
            let _ = writeln!(
                text,
                "{:<14} {:>6} clips of {} sentences of {} videos",
                "index", index.kept, index.sentences, index.videos
            );
            for (reason, count) in &index.dropped {
                let _ = writeln!(text, "    {count:>6} {}", reason.describe());
            }
        }
        if let Some(shards) = &self.shards {
            let bytes: u64 = shards.shards.iter().map(|shard| shard.bytes).sum();
            let _ = writeln!(
                text,
                "{:<14} {:>6} with {} clips, {:.1} MB in {}/shards",
                "shards",
                shards.shards.len(),
                shards.samples,
                bytes as f64 / 1e6,
                self.out
            );
        }
        text
    }
}

/// One progress bar a step; steps report from many threads.
pub struct Bars<'a> {
    context: &'a Context,
    shown: Mutex<Option<(&'static str, ProgressBar)>>,
}

impl<'a> Bars<'a> {
    pub fn new(context: &'a Context) -> Self {
        Self {
            context,
            shown: Mutex::new(None),
        }
    }

    pub fn show(&self, progress: StepProgress) {
        // A thread that failed left nothing half-done here.
        let Ok(mut shown) = self.shown.lock() else {
            return;
        };
        if shown
            .as_ref()
            .is_none_or(|(step, _)| *step != progress.step)
        {
            if let Some((_, bar)) = shown.take() {
                bar.finish_and_clear();
            }
            let bar = self.context.progress(progress.total as u64, progress.step);
            *shown = Some((progress.step, bar));
        }
        if let Some((_, bar)) = shown.as_ref() {
            // Threads finish in any order.
            bar.set_position(bar.position().max(progress.done as u64));
        }
    }
}

impl Drop for Bars<'_> {
    fn drop(&mut self) {
        if let Ok(mut shown) = self.shown.lock()
            && let Some((_, bar)) = shown.take()
        {
            bar.finish_and_clear();
        }
    }
}
