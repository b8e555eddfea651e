//! From the results of a sweep to its report.

use std::fmt::Write as _;
use std::path::PathBuf;

use emotionclip::Emotion;
use emotionclip_eval::folds::MeanDeviation;
use emotionclip_eval::report::{AblationReport, AblationRow, AblationRun};
use serde::Serialize;

use super::measure::Bench;
use super::options::CorpusKind;
use super::recipe::{self, Groundwork};
use super::sweep::{Finished, Results, Sweep};
use super::texts::{
    PUBLISHED_FULL, PUBLISHED_NOTE, described, facts, model_name, pretraining, warnings,
};
use super::variants::{FULL, Variant};
use crate::context::{command_line, write_atomically};
use crate::pretrain::CorpusConfig;

/// What a sweep gave so far, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The page.
    pub html: PathBuf,
    /// The document.
    pub markdown: PathBuf,
    /// All values.
    pub json: PathBuf,
    /// Runs that are finished.
    pub finished: usize,
    /// Runs of the whole sweep.
    pub planned: usize,
    /// What must not be overlooked.
    pub warnings: Vec<String>,
    /// Means of every variant.
    pub variants: Vec<VariantSummary>,
}

/// A variant's means over seeds.
#[derive(Clone, Debug, Serialize)]
pub struct VariantSummary {
    /// Its folder.
    pub variant: String,
    /// Zero-shot accuracy for the subject.
    pub zero_shot: Option<MeanDeviation>,
    /// Accuracy of the linear probe.
    pub probe: Option<MeanDeviation>,
    /// Seeds behind them.
    pub seeds: usize,
}

impl Summary {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{:<20} {:>14} {:>14} {:>6}\n",
            "variant", "zero-shot", "linear probe", "seeds"
        );
        for one in &self.variants {
            let _ = writeln!(
                text,
                "{:<20} {:>14} {:>14} {:>6}",
                one.variant,
                spread(one.zero_shot),
                spread(one.probe),
                one.seeds
            );
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "\nwarning: {warning}");
        }
        let _ = write!(text, "\n{}", self.html.display());
        text
    }
}

fn spread(value: Option<MeanDeviation>) -> String {
    let Some(value) = value else {
        return "–".to_owned();
    };
    let mean = format!("{:.1}", 100.0 * value.mean);
    match value.deviation {
        Some(deviation) => format!("{mean} ± {:.1}", 100.0 * deviation),
        None => mean,
    }
}

/// Writes `ablation.html`, `ablation.md` and `ablation.json` into the sweep's folder.
///
/// # Errors
///
/// If the disk refuses.
pub fn write(
    sweep: &Sweep,
    kind: CorpusKind,
    results: &Results,
    bench: &Bench,
    examples: &[String],
) -> anyhow::Result<Summary> {
    let report = build(sweep, kind, results, bench, examples)?;
    let [html, markdown, json] =
        ["html", "md", "json"].map(|ending| sweep.out.join(format!("ablation.{ending}")));
    write_atomically(&html, report.to_html().as_bytes())?;
    write_atomically(&markdown, report.to_markdown().as_bytes())?;
    write_atomically(&json, &serde_json::to_vec_pretty(&report)?)?;
    let variants = report.rows.iter().map(|row| VariantSummary {
        variant: row.slug.clone(),
        zero_shot: mean(row, |run| run.scores.zero_shot),
        probe: mean(row, |run| run.scores.probe),
        seeds: row.runs.len(),
    });
    Ok(Summary {
        html,
        markdown,
        json,
        finished: results.runs.len(),
        planned: sweep.planned(),
        variants: variants.collect(),
        warnings: report.warnings,
    })
}

/// A value's mean over seeds.
pub fn mean(row: &AblationRow, value: impl Fn(&AblationRun) -> f64) -> Option<MeanDeviation> {
    let values: Vec<f64> = row.runs.iter().map(value).collect();
    MeanDeviation::of(&values)
}

fn build(
    sweep: &Sweep,
    kind: CorpusKind,
    results: &Results,
    bench: &Bench,
    examples: &[String],
) -> anyhow::Result<AblationReport> {
    let variants = sweep.plan.variants.iter().enumerate();
    let rows: Vec<AblationRow> = variants
        .map(|(place, variant)| row(sweep, place, variant, results))
        .collect();
    let chance = 1.0 / Emotion::COUNT as f64;
    let seconds = seconds(results);
    let mut recipe = recipe::scaled(sweep.recipe.clone(), sweep.factor);
    // The folder of the faces is the reader's own.
    if let CorpusConfig::Faces { root, .. } = &mut recipe.corpus {
        *root = PathBuf::from("CORPUS");
    }
    Ok(AblationReport {
        title: format!("Ablations of {} on {}", model_name(sweep), kind.name()),
        warnings: warnings(sweep, results, &rows, chance),
        facts: facts(sweep, results, bench, chance, seconds),
        seeds: sweep.seeds.clone(),
        chance,
        subject_blind: bench.subject_blind(),
        scenes: sweep.counts[0],
        most_people: bench.most_people(),
        tables: sweep
            .plan
            .tables
            .iter()
            .map(|table| described(sweep, table))
            .collect(),
        published_note: PUBLISHED_NOTE.to_owned(),
        pretraining: Some(pretraining(sweep, kind, results, examples)),
        rows,
        seconds,
        command_line: command_line(),
        config: recipe.to_toml()?,
    })
}

fn row(sweep: &Sweep, place: usize, variant: &Variant, results: &Results) -> AblationRow {
    let chain = Groundwork::chain(&sweep.recipe, variant);
    let runs = results.runs.iter().filter(|run| run.variant == place);
    let run = |run: &Finished| {
        let shared = results.groundwork.iter().filter(|(seed, work, _)| {
            *seed == run.seed && *work != Groundwork::Descriptions && chain.contains(work)
        });
        let shared: f64 = shared.map(|(_, _, trained)| trained.seconds).sum();
        AblationRun {
            seed: run.seed,
            scores: run.measured.scores.clone(),
            steps: sweep.steps(place, run.seed).iter().sum(),
            train_seconds: run.trained.seconds + shared,
            measure_seconds: run.measured.seconds,
            model_sha256: run.trained.model_sha256.clone(),
        }
    };
    AblationRow {
        slug: variant.slug.clone(),
        name: variant.name.clone(),
        meaning: variant.meaning.clone(),
        beta: variant.beta,
        published: (variant.slug == FULL).then(|| PUBLISHED_FULL.to_owned()),
        runs: runs.map(run).collect(),
    }
}

fn seconds(results: &Results) -> f64 {
    let runs = results.runs.iter();
    let groundwork = results.groundwork.iter();
    runs.map(|run| run.trained.seconds + run.measured.seconds)
        .chain(groundwork.map(|(_, _, trained)| trained.seconds))
        .sum()
}
