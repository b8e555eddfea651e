//! Downstream regression: predicted scores, such as of symptoms, against rated ones.

use serde::Serialize;

use super::MeanDeviation;
use crate::metrics::{
    MetricError, emoclip_concordance, emoclip_pearson, mean_absolute_error, root_mean_squared_error,
};

/// Errors and correlations of predicted scores, as EmoCLIP reports them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RegressionScores {
    /// Pearson's correlation, as EmoCLIP's code computes it.
    pub pcc: f64,
    /// Concordance correlation, as EmoCLIP's code computes it.
    pub ccc: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Root of the mean squared error.
    pub rmse: f64,
}

impl RegressionScores {
    /// Compares `predicted` with `truth`, both `[N]`.
    ///
    /// # Errors
    /// No samples, different lengths, a value that is not finite.
    pub fn new(truth: &[f64], predicted: &[f64]) -> Result<Self, MetricError> {
        Ok(Self {
            pcc: emoclip_pearson(truth, predicted)?,
            ccc: emoclip_concordance(truth, predicted)?,
            mae: mean_absolute_error(truth, predicted)?,
            rmse: root_mean_squared_error(truth, predicted)?,
        })
    }
}

/// One predicted score in one fold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegressionRow {
    /// Name of the score, e.g. of a symptom.
    pub target: String,
    /// The fold's number, from 1.
    pub fold: usize,
    /// Clips tested on.
    pub clips: usize,
    /// How well it was predicted.
    pub scores: RegressionScores,
}

/// A downstream regression on all its folds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RegressionResult {
    /// Name of the dataset.
    pub dataset: String,
    /// The tests, by target and fold.
    pub rows: Vec<RegressionRow>,
}

impl RegressionResult {
    /// The targets in the order in which they first stand.
    pub fn targets(&self) -> Vec<&str> {
        let mut targets: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !targets.contains(&row.target.as_str()) {
                targets.push(&row.target);
            }
        }
        targets
    }

    /// Mean scores of a target over its folds; `None` if there is no such target.
    pub fn mean(&self, target: &str) -> Option<RegressionScores> {
        let of_target = || self.rows.iter().filter(|row| row.target == target);
        let mean = |score: fn(&RegressionScores) -> f64| {
            let values: Vec<f64> = of_target().map(|row| score(&row.scores)).collect();
            Some(MeanDeviation::of(&values)?.mean)
        };
        Some(RegressionScores {
            pcc: mean(|scores| scores.pcc)?,
            ccc: mean(|scores| scores.ccc)?,
            mae: mean(|scores| scores.mae)?,
            rmse: mean(|scores| scores.rmse)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_scores_are_averaged_by_target() {
        let row = |target: &str, fold, predicted: [f64; 2]| RegressionRow {
            target: target.to_owned(),
            fold,
            clips: 2,
            scores: RegressionScores::new(&[1.0, 3.0], &predicted).unwrap(),
        };
        let result = RegressionResult {
            dataset: "d".to_owned(),
            rows: vec![
                row("flatness", 1, [1.0, 3.0]),
                row("alogia", 1, [0.0, 0.0]),
                row("flatness", 2, [2.0, 5.0]),
            ],
        };
        assert_eq!(result.targets(), ["flatness", "alogia"]);
        let mean = result.mean("flatness").unwrap();
        // Errors 0 and 0, then 1 and 2.
        assert!((mean.mae - 0.75).abs() < 1e-15);
        assert!((mean.rmse - 2.5_f64.sqrt() / 2.0).abs() < 1e-15);
        assert_eq!(result.mean("none"), None);
        assert_eq!(result.mean("alogia").unwrap().pcc, 0.0);
    }
}
