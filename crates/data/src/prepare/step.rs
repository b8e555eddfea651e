//! What all steps share: many videos at once, progress, skips and their limit.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::PrepareError;
use super::work::{WorkFolder, write_json};

/// How far a step may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Share of the videos that may be broken before the step stops.
    pub max_broken: f64,
    /// Videos worked on at once; 0 is one a core.
    pub workers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_broken: 0.01,
            workers: 0,
        }
    }
}

/// Something that was left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Skip {
    /// The video or file.
    pub item: String,
    /// What is wrong with it.
    pub reason: String,
    /// Whether that is damage, which counts against the limit, or just nothing to use.
    pub is_broken: bool,
}

impl Skip {
    /// A skip that counts against the limit.
    pub(crate) fn broken(item: impl Into<String>, reason: impl ToString) -> Self {
        Self {
            item: item.into(),
            reason: reason.to_string(),
            is_broken: true,
        }
    }

    /// A skip of something that is whole and can't be used.
    pub(crate) fn left_out(item: impl Into<String>, reason: impl ToString) -> Self {
        Self {
            is_broken: false,
            ..Self::broken(item, reason)
        }
    }
}

/// How far a step is.
#[derive(Clone, Copy, Debug)]
pub struct StepProgress {
    /// The step.
    pub step: &'static str,
    /// Videos done.
    pub done: usize,
    /// Videos in all.
    pub total: usize,
}

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// The step.
    pub step: String,
    /// Videos in all.
    pub total: usize,
    /// Videos that were worked on this time.
    #[serde(skip)]
    pub made: usize,
    /// Videos whose result was there already.
    #[serde(skip)]
    pub unchanged: usize,
    /// What was left out, sorted.
    pub skipped: Vec<Skip>,
    /// Parts of videos that were left out, such as a broken cue: where, and why.
    pub dropped: Vec<String>,
}

impl StepReport {
    /// Videos that are broken.
    pub fn broken(&self) -> usize {
        self.skipped.iter().filter(|skip| skip.is_broken).count()
    }
}

/// What became of one video.
pub(crate) struct Outcome {
    /// Whether anything had to be done.
    pub made: bool,
    /// Parts that were left out.
    pub dropped: Vec<String>,
}

impl Outcome {
    pub(crate) fn unchanged(dropped: Vec<String>) -> Self {
        Self {
            made: false,
            dropped,
        }
    }

    pub(crate) fn made(dropped: Vec<String>) -> Self {
        Self {
            made: true,
            dropped,
        }
    }
}

/// Why one video has no outcome.
pub(crate) enum Failed {
    /// It is skipped.
    Skipped(Skip),
    /// The whole step ends.
    Fatal(PrepareError),
}

impl From<Skip> for Failed {
    fn from(skip: Skip) -> Self {
        Self::Skipped(skip)
    }
}

impl From<PrepareError> for Failed {
    fn from(error: PrepareError) -> Self {
        Self::Fatal(error)
    }
}

/// Runs a step over all items, several at once, and writes its report.
pub(crate) fn run<T: Sync>(
    step: &'static str,
    work: &WorkFolder,
    limits: &Limits,
    items: &[T],
    already_skipped: &[Skip],
    progress: &(dyn Fn(StepProgress) + Sync),
    each: impl Fn(&T) -> Result<Outcome, Failed> + Sync,
) -> Result<StepReport, PrepareError> {
    let total = items.len() + already_skipped.len();
    let allowed = limits.max_broken * total as f64;
    let before = already_skipped.iter().filter(|skip| skip.is_broken).count();
    let broken = AtomicUsize::new(before);
    let done = AtomicUsize::new(0);
    let stop = AtomicBool::new(before as f64 > allowed);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(limits.workers)
        .build()
        .map_err(|error| PrepareError::Unusable(format!("no worker threads: {error}")))?;
    let attempt = |item: &T| {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let outcome = each(item);
        let ends = match &outcome {
            Ok(_) => false,
            Err(Failed::Fatal(_)) => true,
            Err(Failed::Skipped(skip)) if skip.is_broken => {
                (broken.fetch_add(1, Ordering::Relaxed) + 1) as f64 > allowed
            }
            Err(Failed::Skipped(_)) => false,
        };
        if ends {
            stop.store(true, Ordering::Relaxed);
        }
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        progress(StepProgress {
            step,
            done,
            total: items.len(),
        });
        Some(outcome)
    };
    let outcomes: Vec<_> = pool.install(|| items.par_iter().map(attempt).collect());
    let mut report = StepReport {
        step: step.to_owned(),
        total,
        skipped: already_skipped.to_vec(),
        ..StepReport::default()
    };
    for outcome in outcomes.into_iter().flatten() {
        match outcome {
            Ok(outcome) => {
                *(if outcome.made {
                    &mut report.made
                } else {
                    &mut report.unchanged
                }) += 1;
                report.dropped.extend(outcome.dropped);
            }
            Err(Failed::Skipped(skip)) => report.skipped.push(skip),
            Err(Failed::Fatal(error)) => return Err(error),
        }
    }
    report.skipped.sort();
    finish(work.root(), step, limits, report)
}

fn finish(
    root: &Path,
    step: &'static str,
    limits: &Limits,
    report: StepReport,
) -> Result<StepReport, PrepareError> {
    let path = root.join("reports").join(format!("{step}.json"));
    write_json(&path, &report)?;
    let broken = report.broken();
    if broken as f64 <= limits.max_broken * report.total as f64 {
        return Ok(report);
    }
    let first = report.skipped.iter().find(|skip| skip.is_broken);
    Err(PrepareError::TooManyBroken {
        step,
        broken,
        total: report.total,
        max_percent: 100.0 * limits.max_broken,
        first: first.map_or_else(String::new, |skip| {
            format!("{}: {}", skip.item, skip.reason)
        }),
        report: path,
    })
}
