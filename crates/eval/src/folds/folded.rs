//! Classification: the test of each fold, their means and their sum.

use emotionclip_data::dfer::Benchmark;
use serde::Serialize;
use serde::ser::Serializer;

use super::{MeanDeviation, Protocol, Published, published, rows, sum};
use crate::metrics::{ConfusionMatrix, MetricError};

/// The test of one fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldScores {
    fold: usize,
    confusion: ConfusionMatrix,
}

impl FoldScores {
    /// Counts the predictions of fold `fold`: class indices `[N]` below `classes`.
    ///
    /// # Errors
    /// No samples, different lengths, an index that is not below `classes`.
    pub fn new(
        fold: usize,
        truth: &[usize],
        predicted: &[usize],
        classes: usize,
    ) -> Result<Self, MetricError> {
        let confusion = ConfusionMatrix::new(truth, predicted, classes)?;
        Ok(Self { fold, confusion })
    }

    /// The fold's number, from 1.
    pub fn fold(&self) -> usize {
        self.fold
    }

    /// True against predicted classes.
    pub fn confusion(&self) -> &ConfusionMatrix {
        &self.confusion
    }

    /// Clips tested on.
    pub fn clips(&self) -> u64 {
        self.confusion.counts().iter().sum()
    }

    /// Unweighted average recall, over the classes in truth or predictions.
    pub fn uar(&self) -> f64 {
        self.confusion.unweighted_average_recall()
    }

    /// Weighted average recall: accuracy.
    pub fn war(&self) -> f64 {
        self.confusion.weighted_average_recall()
    }
}

impl Serialize for FoldScores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Summary {
            fold: usize,
            clips: u64,
            uar: f64,
            war: f64,
            confusion: Vec<Vec<u64>>,
        }
        Summary {
            fold: self.fold,
            clips: self.clips(),
            uar: self.uar(),
            war: self.war(),
            confusion: rows(&self.confusion),
        }
        .serialize(serializer)
    }
}

/// A classification protocol on all its folds.
#[derive(Clone, Debug)]
pub struct FoldedResult {
    /// The benchmark.
    pub benchmark: Benchmark,
    /// How the classes were learnt.
    pub protocol: Protocol,
    /// The classes' names, in the order of the confusion matrices.
    pub classes: Vec<String>,
    /// The folds, in their order.
    pub folds: Vec<FoldScores>,
    /// Rows of the benchmark's tables that were left out, over all folds.
    pub skipped: usize,
}

impl FoldedResult {
    /// Mean UAR over the folds; `None` without folds.
    pub fn uar(&self) -> Option<MeanDeviation> {
        self.mean(FoldScores::uar)
    }

    /// Mean WAR over the folds; `None` without folds.
    pub fn war(&self) -> Option<MeanDeviation> {
        self.mean(FoldScores::war)
    }

    fn mean(&self, score: fn(&FoldScores) -> f64) -> Option<MeanDeviation> {
        MeanDeviation::of(&self.folds.iter().map(score).collect::<Vec<f64>>())
    }

    /// The folds' confusion matrices added up, `[true class][predicted class]`.
    pub fn pooled(&self) -> Vec<Vec<u64>> {
        let matrices = self.folds.iter().map(|fold| rows(&fold.confusion));
        sum(self.classes.len(), matrices)
    }

    /// The published result for the same classes.
    pub fn published(&self) -> Option<Published> {
        let are_single = self.classes.len() == self.benchmark.emotions().len();
        published(self.benchmark, self.protocol).filter(|_| are_single)
    }
}

impl Serialize for FoldedResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Summary<'a> {
            benchmark: Benchmark,
            protocol: Protocol,
            classes: &'a [String],
            skipped: usize,
            uar: Option<MeanDeviation>,
            war: Option<MeanDeviation>,
            published: Option<Published>,
            folds: &'a [FoldScores],
        }
        Summary {
            benchmark: self.benchmark,
            protocol: self.protocol,
            classes: &self.classes,
            skipped: self.skipped,
            uar: self.uar(),
            war: self.war(),
            published: self.published(),
            folds: &self.folds,
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(folds: Vec<FoldScores>) -> FoldedResult {
        FoldedResult {
            benchmark: Benchmark::Mafw,
            protocol: Protocol::ZeroShot,
            classes: Benchmark::Mafw
                .emotions()
                .iter()
                .map(|one| (*one).to_owned())
                .collect(),
            folds,
            skipped: 0,
        }
    }

    #[test]
    fn folds_are_averaged_as_scores_and_pooled_as_counts() {
        // Fold 1: recalls 1 and 1/2 of two classes, 3 of 4 right. Fold 2: all wrong.
        let result = folded(vec![
            FoldScores::new(1, &[0, 0, 1, 1], &[0, 0, 1, 0], 11).unwrap(),
            FoldScores::new(2, &[0, 1], &[1, 0], 11).unwrap(),
        ]);
        let uar = result.uar().unwrap();
        assert!((uar.mean - 0.375).abs() < 1e-15);
        // Two values 0.75 and 0 deviate by 0.75/√2.
        assert!((uar.deviation.unwrap() - 0.75 / 2.0_f64.sqrt()).abs() < 1e-15);
        assert!((result.war().unwrap().mean - 0.375).abs() < 1e-15);
        let pooled = result.pooled();
        assert_eq!(
            (pooled[0][0], pooled[0][1], pooled[1][0], pooled[1][1]),
            (2, 1, 2, 1)
        );
        assert_eq!(pooled.iter().flatten().sum::<u64>(), 6);
        assert_eq!(folded(Vec::new()).uar(), None);
    }

    #[test]
    fn only_what_has_a_source_stands_beside_a_result() {
        let mut result = folded(Vec::new());
        let beside = result.published().unwrap();
        assert_eq!((beside.uar, beside.war), (0.2586, 0.3349));
        for benchmark in [Benchmark::Dfew, Benchmark::Ferv39k, Benchmark::Afew] {
            assert_eq!(published(benchmark, Protocol::ZeroShot), None);
        }
        assert_eq!(published(Benchmark::Mafw, Protocol::Supervised), None);
        // The 43 classes with combinations are another task.
        result.classes.push("fear_surprise".to_owned());
        assert_eq!(result.published(), None);
    }

    #[test]
    fn results_serialise_with_means_and_matrices() {
        let result = folded(vec![FoldScores::new(1, &[0, 1], &[0, 0], 11).unwrap()]);
        let json = serde_json::to_value(&result).unwrap();
        assert_eq!(json["benchmark"], "mafw");
        assert_eq!(json["protocol"], "zero-shot");
        assert_eq!(json["uar"]["mean"], 0.5);
        assert!(json["uar"]["deviation"].is_null());
        assert_eq!(json["folds"][0]["confusion"][1][0], 1);
        assert_eq!(json["published"]["war"], 0.3349);
    }
}
