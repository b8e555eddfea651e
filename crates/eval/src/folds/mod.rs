//! Protocols with folds, as facial-expression benchmarks have them: UAR and WAR of each fold and
//! their means, recall of classes that were left out, and errors and correlations of scores.
//!
//! A fold is a model of its own, so folds are averaged as scores; only their confusion matrices are
//! added up, since every clip is tested on in one of them.

mod folded;
mod left_out;
mod regression;

use emotionclip_data::dfer::Benchmark;
use serde::{Deserialize, Serialize};

use crate::metrics::ConfusionMatrix;

pub use folded::{FoldScores, FoldedResult};
pub use left_out::{LeftOutResult, LeftOutScores};
pub use regression::{RegressionResult, RegressionRow, RegressionScores};

/// How a model came to know the classes that it is tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Never: it compares clips with descriptions of the classes, trained on captions or not at all.
    ZeroShot,
    /// It was trained on the classes' descriptions as prototypes.
    Supervised,
}

impl Protocol {
    /// Its name in reports and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZeroShot => "zero-shot",
            Self::Supervised => "supervised",
        }
    }
}

/// A published result to stand beside one's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Published {
    /// Unweighted average recall in `[0, 1]`.
    pub uar: f64,
    /// Weighted average recall in `[0, 1]`.
    pub war: f64,
    /// Who measured it and where it stands.
    pub source: &'static str,
}

/// What the EmoCLIP paper reports; nothing where no source is at hand.
pub const fn published(benchmark: Benchmark, protocol: Protocol) -> Option<Published> {
    match (benchmark, protocol) {
        (Benchmark::Mafw, Protocol::ZeroShot) => Some(Published {
            uar: 0.2586,
            war: 0.3349,
            source: "EmoCLIP (Foteinopoulou & Patras, FG 2024)",
        }),
        _ => None,
    }
}

/// A mean over folds or classes and how far they are from it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanDeviation {
    /// Plain mean.
    pub mean: f64,
    /// Sample standard deviation (divided by one less than the number); `None` for a single value.
    pub deviation: Option<f64>,
}

impl MeanDeviation {
    /// Of some values; `None` without any.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            mean,
            deviation: (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
        })
    }
}

/// A matrix as a list of its rows.
pub(crate) fn rows(confusion: &ConfusionMatrix) -> Vec<Vec<u64>> {
    let counts = confusion.counts().chunks(confusion.classes().max(1));
    counts.map(<[u64]>::to_vec).collect()
}

/// The sum of matrices of `classes` rows and columns; what a matrix lacks counts as 0.
fn sum(classes: usize, matrices: impl Iterator<Item = Vec<Vec<u64>>>) -> Vec<Vec<u64>> {
    let mut total = vec![vec![0; classes]; classes];
    for matrix in matrices {
        for (row, counts) in total.iter_mut().zip(matrix) {
            for (total, count) in row.iter_mut().zip(counts) {
                *total += count;
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_no_deviation_and_none_no_mean() {
        assert_eq!(MeanDeviation::of(&[0.25]).unwrap().deviation, None);
        assert_eq!(MeanDeviation::of(&[]), None);
    }
}
