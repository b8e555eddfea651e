//! One label a sample: accuracy, F1 and recall averages from the confusion matrix.

use super::MetricError;
use super::error::check_length;

/// How often each true class was predicted as each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    /// `[true class, predicted class]`, row-major.
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// Counts pairs of `truth` and `predicted` class indices, both `[N]`.
    ///
    /// # Errors
    /// No samples, different lengths, an index that is not below `classes`.
    pub fn new(truth: &[usize], predicted: &[usize], classes: usize) -> Result<Self, MetricError> {
        if truth.is_empty() {
            return Err(MetricError::Empty("truth"));
        }
        check_length("predicted labels", truth.len(), predicted.len())?;
        let mut counts = vec![0; classes * classes];
        for (index, (&row, &column)) in truth.iter().zip(predicted).enumerate() {
            for (what, value) in [("true label", row), ("predicted label", column)] {
                if value >= classes {
                    return Err(MetricError::OutOfRange {
                        what,
                        index,
                        value,
                        bound: classes,
                    });
                }
            }
            counts[row * classes + column] += 1;
        }
        Ok(Self { classes, counts })
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Counts `[true class, predicted class]`, row-major.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Share of samples predicted right.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|class| self.right(class)).sum();
        right as f64 / self.counts.iter().sum::<u64>() as f64
    }

    /// Weighted average recall: each class's recall weighted by its samples, which is
    /// [`Self::accuracy`] under the name that expression recognition uses.
    pub fn weighted_average_recall(&self) -> f64 {
        self.accuracy()
    }

    /// Unweighted average recall: mean recall over the classes that occur in the truth or in the
    /// predictions (scikit-learn's macro recall; a class that is only predicted counts as 0).
    pub fn unweighted_average_recall(&self) -> f64 {
        self.mean_over_occurring(|class| ratio(self.right(class), self.actual(class)))
    }

    /// Mean F1 over the classes that occur in the truth or in the predictions.
    pub fn macro_f1(&self) -> f64 {
        self.mean_over_occurring(|class| self.f1(class))
    }

    /// Mean F1 weighted by the samples of each class.
    pub fn weighted_f1(&self) -> f64 {
        let sum: f64 = (0..self.classes)
            .map(|class| self.f1(class) * self.actual(class) as f64)
            .sum();
        sum / self.counts.iter().sum::<u64>() as f64
    }

    /// Recall of one class; `None` if it has no sample or does not exist.
    pub fn recall(&self, class: usize) -> Option<f64> {
        let known = class < self.classes && self.actual(class) > 0;
        known.then(|| ratio(self.right(class), self.actual(class)))
    }

    fn f1(&self, class: usize) -> f64 {
        ratio(
            2 * self.right(class),
            self.actual(class) + self.predicted(class),
        )
    }

    fn mean_over_occurring(&self, score: impl Fn(usize) -> f64) -> f64 {
        let occurring: Vec<usize> = (0..self.classes)
            .filter(|&class| self.actual(class) + self.predicted(class) > 0)
            .collect();
        occurring.iter().map(|&class| score(class)).sum::<f64>() / occurring.len() as f64
    }

    fn right(&self, class: usize) -> u64 {
        self.counts[class * self.classes + class]
    }

    fn actual(&self, class: usize) -> u64 {
        self.counts[class * self.classes..][..self.classes]
            .iter()
            .sum()
    }

    fn predicted(&self, class: usize) -> u64 {
        self.counts.iter().skip(class).step_by(self.classes).sum()
    }
}

/// Zero over zero is zero.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_follow_from_the_counts() {
        // Class 3 never occurs; class 2 is only predicted.
        let matrix =
            ConfusionMatrix::new(&[0, 0, 0, 1, 1], &[0, 0, 2, 1, 0], 4).expect("valid labels");
        assert_eq!(matrix.counts()[..4], [2, 0, 1, 0]);
        assert_eq!(matrix.accuracy(), 0.6);
        let recall = (2.0 / 3.0 + 0.5 + 0.0) / 3.0;
        assert!((matrix.unweighted_average_recall() - recall).abs() < 1e-15);
        let f1 = [2.0 / 3.0, 2.0 / 3.0, 0.0];
        assert!((matrix.macro_f1() - (f1[0] + f1[1]) / 3.0).abs() < 1e-15);
        assert!((matrix.weighted_f1() - (3.0 * f1[0] + 2.0 * f1[1]) / 5.0).abs() < 1e-15);
        assert_eq!(matrix.recall(1), Some(0.5));
        assert_eq!((matrix.recall(2), matrix.recall(9)), (None, None));
    }

    #[test]
    fn bad_labels_are_refused() {
        assert_eq!(
            ConfusionMatrix::new(&[], &[], 2),
            Err(MetricError::Empty("truth"))
        );
        assert!(matches!(
            ConfusionMatrix::new(&[0], &[0, 1], 2),
            Err(MetricError::Length { .. })
        ));
        assert!(matches!(
            ConfusionMatrix::new(&[0, 1], &[0, 2], 2),
            Err(MetricError::OutOfRange {
                what: "predicted label",
                index: 1,
                value: 2,
                bound: 2
            })
        ));
        assert!(ConfusionMatrix::new(&[0], &[0], 0).is_err());
    }
}
