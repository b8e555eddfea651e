//! What a protocol gives.

use core::fmt;
use core::str::FromStr;

use emotionclip::probe::{FitWarning, LinearFit, LinearHead};
use emotionclip_data::benchmarks::ProbeDataset;
use emotionclip_data::synthetic::Split;
use serde::{Deserialize, Serialize};

use super::ProtocolError;
use crate::metrics::ConfusionMatrix;

/// A number that a protocol reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean average precision over the classes, in `[0, 1]`.
    MacroMap,
    /// Mean area under the ROC curve over the classes, in `[0, 1]`.
    MacroAuc,
    /// Share of samples whose first guess is among their labels.
    Top1HitRate,
    /// Share of samples predicted right.
    Accuracy,
    /// F1 averaged over classes by their samples.
    WeightedF1,
    /// Coefficient of determination; without an output its plain mean over the outputs.
    R2,
    /// Mean squared error; without an output its mean over the outputs.
    Mse,
    /// Pearson's correlation; without an output its mean over the outputs.
    Pearson,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::MacroMap,
        Self::MacroAuc,
        Self::Top1HitRate,
        Self::Accuracy,
        Self::WeightedF1,
        Self::R2,
        Self::Mse,
        Self::Pearson,
    ];

    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MacroMap => "mAP",
            Self::MacroAuc => "AUC",
            Self::Top1HitRate => "top-1 hits",
            Self::Accuracy => "accuracy",
            Self::WeightedF1 => "weighted F1",
            Self::R2 => "R²",
            Self::Mse => "MSE",
            Self::Pearson => "Pearson",
        }
    }

    /// Its name in files.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::MacroMap => "macro_map",
            Self::MacroAuc => "macro_auc",
            Self::Top1HitRate => "top1_hit_rate",
            Self::Accuracy => "accuracy",
            Self::WeightedF1 => "weighted_f1",
            Self::R2 => "r2",
            Self::Mse => "mse",
            Self::Pearson => "pearson",
        }
    }

    /// Whether it is written in per cent, as papers do.
    pub const fn is_share(self) -> bool {
        !matches!(self, Self::R2 | Self::Mse | Self::Pearson)
    }

    /// The number as papers write it.
    pub fn text(self, value: f64) -> String {
        match self {
            _ if !value.is_finite() => "–".to_owned(),
            _ if self.is_share() => format!("{:.2}", 100.0 * value),
            Self::Mse => format!("{value:.4}"),
            _ => format!("{value:.3}"),
        }
    }
}

/// The name given is no metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no metric of a protocol")]
pub struct UnknownMetric(String);

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|metric| metric.slug() == name);
        found.ok_or_else(|| UnknownMetric(name.to_owned()))
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// One reported number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProtocolScore {
    /// On which part.
    pub part: Split,
    /// Which metric.
    pub metric: Metric,
    /// Of which of the set's numbers; none for a metric of all.
    pub output: Option<&'static str>,
    /// The value.
    pub value: f64,
}

/// How well one class is ranked on one part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassScore {
    /// On which part.
    pub part: Split,
    /// Its name.
    pub class: &'static str,
    /// Samples of the part that have it.
    pub positives: usize,
    /// Average precision; 0 without a positive, as in scikit-learn.
    pub average_precision: f64,
    /// Area under the ROC curve; none where all or no samples have the class.
    pub roc_auc: Option<f64>,
}

/// How single labels were predicted on one part.
#[derive(Clone, Debug, PartialEq)]
pub struct PartConfusion {
    /// On which part.
    pub part: Split,
    /// Counts by true and predicted class.
    pub matrix: ConfusionMatrix,
}

/// A fitted probe.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedProbe {
    /// `classes` or `values`.
    pub name: &'static str,
    /// The probe, in single precision as it is kept. It scales features to norm 1 itself.
    pub head: LinearHead,
}

/// All that a protocol gives.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtocolOutcome {
    /// Which set's.
    pub dataset: ProbeDataset,
    /// The reported numbers.
    pub scores: Vec<ProtocolScore>,
    /// Class by class, where classes are ranked.
    pub classes: Vec<ClassScore>,
    /// Where samples have one label each.
    pub confusions: Vec<PartConfusion>,
    /// The probes.
    pub probes: Vec<FittedProbe>,
    /// What the user should be told.
    pub warnings: Vec<String>,
}

impl ProtocolOutcome {
    pub(super) fn new(dataset: ProbeDataset) -> Self {
        Self {
            dataset,
            scores: Vec::new(),
            classes: Vec::new(),
            confusions: Vec::new(),
            probes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A reported number; `output` names one of the set's numbers.
    pub fn score(&self, part: Split, metric: Metric, output: Option<&str>) -> Option<f64> {
        let wanted = |score: &&ProtocolScore| {
            (score.part, score.metric, score.output) == (part, metric, output)
        };
        self.scores.iter().find(wanted).map(|score| score.value)
    }

    pub(super) fn report(&mut self, part: Split, metric: Metric, value: f64) {
        self.report_output(part, metric, None, value);
    }

    pub(super) fn report_output(
        &mut self,
        part: Split,
        metric: Metric,
        output: Option<&'static str>,
        value: f64,
    ) {
        self.scores.push(ProtocolScore {
            part,
            metric,
            output,
            value,
        });
    }

    /// Keeps a fitted probe and its warnings, in the names of its outputs.
    pub(super) fn keep(
        &mut self,
        name: &'static str,
        fit: LinearFit,
        outputs: &[&str],
    ) -> Result<LinearHead, ProtocolError> {
        let named = |output: usize| outputs.get(output).copied().unwrap_or("?");
        for warning in &fit.warnings {
            self.warnings.push(match warning {
                FitWarning::ConstantTarget { output, value } => format!(
                    "{}: {} training sample has it; the probe always predicts that",
                    named(*output),
                    if *value { "every" } else { "no" }
                ),
                FitWarning::AbsentClass { class } => format!(
                    "{}: no training sample has it; the probe never predicts it",
                    named(*class)
                ),
                FitWarning::NotConverged { output, .. } => {
                    format!("{}: {warning}", named(*output))
                }
            });
        }
        let outputs = outputs.iter().map(|output| (*output).to_owned());
        let head = fit.into_head(outputs.collect())?.with_normalisation(true);
        self.probes.push(FittedProbe {
            name,
            head: head.clone(),
        });
        Ok(head)
    }
}

/// A part in a sentence.
pub(super) const fn split_text(split: Split) -> &'static str {
    match split {
        Split::Train => "training",
        Split::Validation => "validation",
        Split::Test => "test",
    }
}
