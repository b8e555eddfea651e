//! Leave-one-class-out: reading a class that was never trained on.

use emotionclip_data::dfer::Benchmark;
use serde::Serialize;
use serde::ser::Serializer;

use super::{MeanDeviation, rows, sum};
use crate::metrics::{ConfusionMatrix, MetricError};

/// The test on a class that a fold's model was trained without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutScores {
    fold: usize,
    class: usize,
    /// How often each class was predicted.
    predicted: Vec<u64>,
}

impl LeftOutScores {
    /// Counts the predictions `[N]`, below `classes`, for clips that all are of `class`.
    ///
    /// # Errors
    /// No predictions, an index that is not below `classes`.
    pub fn new(
        fold: usize,
        class: usize,
        predicted: &[usize],
        classes: usize,
    ) -> Result<Self, MetricError> {
        let confusion = ConfusionMatrix::new(&vec![class; predicted.len()], predicted, classes)?;
        let row = rows(&confusion).swap_remove(class);
        Ok(Self {
            fold,
            class,
            predicted: row,
        })
    }

    /// The fold's number, from 1.
    pub fn fold(&self) -> usize {
        self.fold
    }

    /// The class that was left out of the training.
    pub fn class(&self) -> usize {
        self.class
    }

    /// Clips of the class.
    pub fn clips(&self) -> u64 {
        self.predicted.iter().sum()
    }

    /// Share of the clips that were read as the class.
    pub fn recall(&self) -> f64 {
        let right = self.predicted.get(self.class).copied().unwrap_or(0);
        right as f64 / self.clips() as f64
    }
}

/// The leave-one-class-out protocol: for each class a model trained without it, tested on it
/// against the descriptions of all classes.
#[derive(Clone, Debug)]
pub struct LeftOutResult {
    /// The benchmark.
    pub benchmark: Benchmark,
    /// The classes' names.
    pub classes: Vec<String>,
    /// The tests, in any order.
    pub scores: Vec<LeftOutScores>,
    /// Rows of the benchmark's tables that were left out, over all folds.
    pub skipped: usize,
}

impl LeftOutResult {
    /// Mean recall of a left-out class over the folds; `None` if it wasn't tested.
    pub fn recall(&self, class: usize) -> Option<MeanDeviation> {
        let of_class = self.scores.iter().filter(|scores| scores.class == class);
        MeanDeviation::of(&of_class.map(LeftOutScores::recall).collect::<Vec<f64>>())
    }

    /// Mean over the classes tested of their mean recalls: the UAR on classes never seen.
    pub fn mean_recall(&self) -> Option<f64> {
        let recalls: Vec<f64> = (0..self.classes.len())
            .filter_map(|class| Some(self.recall(class)?.mean))
            .collect();
        Some(MeanDeviation::of(&recalls)?.mean)
    }

    /// What the clips of each left-out class were read as, over all folds: `[class][predicted]`.
    pub fn pooled(&self) -> Vec<Vec<u64>> {
        let classes = self.classes.len();
        let matrices = self.scores.iter().map(|scores| {
            let mut matrix = vec![Vec::new(); classes];
            if let Some(row) = matrix.get_mut(scores.class) {
                row.clone_from(&scores.predicted);
            }
            matrix
        });
        sum(classes, matrices)
    }
}

impl Serialize for LeftOutResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Class<'a> {
            class: &'a str,
            recall: Option<MeanDeviation>,
        }
        #[derive(Serialize)]
        struct Summary<'a> {
            benchmark: Benchmark,
            mean_recall: Option<f64>,
            skipped: usize,
            classes: Vec<Class<'a>>,
            confusion: Vec<Vec<u64>>,
        }
        let classes = self.classes.iter().enumerate();
        Summary {
            benchmark: self.benchmark,
            mean_recall: self.mean_recall(),
            skipped: self.skipped,
            classes: classes
                .map(|(index, class)| Class {
                    class,
                    recall: self.recall(index),
                })
                .collect(),
            confusion: self.pooled(),
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn left_out_classes_are_averaged_over_folds_then_over_classes() {
        let result = LeftOutResult {
            benchmark: Benchmark::Afew,
            classes: names(&["a", "b", "c"]),
            scores: vec![
                LeftOutScores::new(1, 0, &[0, 0, 1, 1], 3).unwrap(),
                LeftOutScores::new(2, 0, &[0], 3).unwrap(),
                LeftOutScores::new(1, 2, &[1], 3).unwrap(),
            ],
            skipped: 0,
        };
        assert_eq!(result.recall(0).unwrap().mean, 0.75);
        assert_eq!(result.recall(1), None);
        assert_eq!(result.mean_recall(), Some(0.375));
        assert_eq!(result.pooled(), [[3, 2, 0], [0, 0, 0], [0, 1, 0]]);
        assert!(LeftOutScores::new(1, 3, &[0], 3).is_err());
        assert!(LeftOutScores::new(1, 0, &[], 3).is_err());
    }
}
