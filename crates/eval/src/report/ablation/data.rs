//! What the report of a sweep is made of.

use serde::{Deserialize, Serialize};

use super::paired::{Difference, paired_difference};
use crate::folds::MeanDeviation;

/// Everything that the report on a sweep shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AblationReport {
    /// Heading of the page, e.g. `Ablations of nano on real faces`.
    pub title: String,
    /// Remarks that must not be overlooked.
    pub warnings: Vec<String>,
    /// Facts on the sweep, name and value.
    pub facts: Vec<(String, String)>,
    /// Seeds, in the order they were run.
    pub seeds: Vec<u64>,
    /// Accuracy of guessing, in `[0, 1]`.
    pub chance: f64,
    /// Accuracy of a reader who sees what everybody shows but not who the subject is: the mean of
    /// one over the number of people, in `[0, 1]`.
    pub subject_blind: f64,
    /// Scenes measured on.
    pub scenes: usize,
    /// The most people in a scene.
    pub most_people: usize,
    /// Every variant once.
    pub rows: Vec<AblationRow>,
    /// The tables, which name rows.
    pub tables: Vec<AblationTable>,
    /// What is known of the paper's figures.
    pub published_note: String,
    /// What 'pretrained' means.
    pub pretraining: Option<PretrainingNote>,
    /// Wall-clock seconds of all training and measuring, pre-training included.
    pub seconds: f64,
    /// The command that repeats the sweep.
    pub command_line: String,
    /// The recipe as text (TOML).
    pub config: String,
}

/// One variant and its runs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AblationRow {
    /// Short name, unique in the report.
    pub slug: String,
    /// Name for people.
    pub name: String,
    /// What it is, in a sentence.
    pub meaning: String,
    /// Strength of the sentiment guidance.
    pub beta: f64,
    /// The paper's figures for this variant, where a source is at hand.
    pub published: Option<String>,
    /// One a seed; fewer than the report's seeds while a sweep isn't finished.
    pub runs: Vec<AblationRun>,
}

/// One variant trained and measured on one seed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AblationRun {
    /// Seed.
    pub seed: u64,
    /// What was measured.
    pub scores: AblationScores,
    /// Steps trained, those shared with other variants among them.
    pub steps: usize,
    /// Seconds of training, those shared with other variants among them.
    pub train_seconds: f64,
    /// Seconds of measuring.
    pub measure_seconds: f64,
    /// SHA-256 of the model.
    pub model_sha256: String,
}

/// What is measured on a model; shares in `[0, 1]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AblationScores {
    /// Accuracy for the subject by the label texts alone.
    pub zero_shot: f64,
    /// Macro F1 of the same readings.
    pub zero_shot_macro_f1: f64,
    /// Mean over the emotions of the average precision of the same readings.
    pub zero_shot_map: f64,
    /// Accuracy for the subject of the same model on the same scenes with an empty mask.
    pub empty_mask: f64,
    /// Accuracy of a linear probe on the frozen embeddings.
    pub probe: f64,
    /// Macro F1 of the probe.
    pub probe_macro_f1: f64,
    /// Mean over the emotions of the probe's average precision.
    pub probe_map: f64,
    /// The same accuracies by the number of people in a scene, rising.
    pub by_people: Vec<PeopleScore>,
}

/// Accuracies on the scenes with one number of people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PeopleScore {
    /// People in the scene.
    pub people: usize,
    /// How many such scenes there are.
    pub scenes: usize,
    /// Accuracy for the subject by the label texts alone.
    pub zero_shot: f64,
    /// Accuracy of the linear probe.
    pub probe: f64,
}

/// A table of the report.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AblationTable {
    /// Anchor of its section.
    pub id: String,
    /// Heading.
    pub title: String,
    /// What it asks and how to read it.
    pub lead: String,
    /// Slug of the row that the others are compared with.
    pub base: String,
    /// Slugs of its rows in order, the base among them.
    pub rows: Vec<String>,
    /// Shown as a plot over β too.
    pub is_sweep: bool,
}

/// How the weights came about that variants start from.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PretrainingNote {
    /// What was done, one paragraph an entry.
    pub text: Vec<String>,
    /// Some of its texts.
    pub examples: Vec<String>,
}

/// A measure of a run.
pub(super) type Measure = fn(&AblationScores) -> f64;

impl AblationReport {
    /// The row of this name.
    pub(super) fn row(&self, slug: &str) -> Option<&AblationRow> {
        self.rows.iter().find(|row| row.slug == slug)
    }

    /// The rows of a table that have runs.
    pub(super) fn rows_of(&self, table: &AblationTable) -> Vec<&AblationRow> {
        let rows = table.rows.iter().filter_map(|slug| self.row(slug));
        rows.filter(|row| !row.runs.is_empty()).collect()
    }

    /// How far a row is from a table's base, seed by seed.
    pub(super) fn difference(
        &self,
        table: &AblationTable,
        row: &AblationRow,
        measure: Measure,
    ) -> Option<Difference> {
        if row.slug == table.base {
            return None;
        }
        let base = self.row(&table.base)?;
        paired_difference(&row.by_seed(measure), &base.by_seed(measure))
    }
}

impl AblationRow {
    /// Seed and value of every run.
    pub(super) fn by_seed(&self, measure: Measure) -> Vec<(u64, f64)> {
        let runs = self.runs.iter();
        runs.map(|run| (run.seed, measure(&run.scores))).collect()
    }

    /// Mean and deviation over seeds.
    pub(super) fn spread(&self, measure: Measure) -> Option<MeanDeviation> {
        let values: Vec<f64> = self
            .by_seed(measure)
            .iter()
            .map(|(_, value)| *value)
            .collect();
        MeanDeviation::of(&values)
    }
}

impl AblationScores {
    /// Zero-shot accuracy on the scenes with the most people.
    pub(super) fn crowded(&self) -> f64 {
        self.by_people
            .last()
            .map_or(f64::NAN, |score| score.zero_shot)
    }
}
