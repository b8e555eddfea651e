//! Scores of one-label classification, as `zero-shot` and `probe` report them.

use std::fmt::Write as _;

use emotionclip_eval::metrics::ConfusionMatrix;
use serde::Serialize;

/// Widest label that the printed matrix shows in full.
const WIDEST: usize = 12;

/// Scores on a set of samples with one label each.
#[derive(Clone, Debug, Serialize)]
pub struct ClassificationScores {
    /// Samples scored.
    pub samples: usize,
    /// Share predicted right; under the name of expression recognition also the weighted average
    /// recall.
    pub accuracy: f64,
    /// Unweighted average recall.
    pub uar: f64,
    /// Weighted average recall.
    pub war: f64,
    /// F1 averaged by the samples of each class.
    pub weighted_f1: f64,
    /// Plain mean of the classes' F1.
    pub macro_f1: f64,
    /// Accuracy of always guessing one class.
    pub chance: f64,
    /// Class names.
    pub labels: Vec<String>,
    /// Recall of each class; `null` without a sample.
    pub recall: Vec<Option<f64>>,
    /// `confusion[truth][prediction]`.
    pub confusion: Vec<Vec<u64>>,
}

impl ClassificationScores {
    /// Scores predictions against the truth, both indices into `labels`.
    ///
    /// # Errors
    /// No samples, or an index that is none.
    pub fn new(truth: &[usize], predicted: &[usize], labels: &[String]) -> anyhow::Result<Self> {
        let classes = labels.len();
        let matrix = ConfusionMatrix::new(truth, predicted, classes)?;
        Ok(Self {
            samples: truth.len(),
            accuracy: matrix.accuracy(),
            uar: matrix.unweighted_average_recall(),
            war: matrix.weighted_average_recall(),
            weighted_f1: matrix.weighted_f1(),
            macro_f1: matrix.macro_f1(),
            chance: 1.0 / classes.max(1) as f64,
            labels: labels.to_vec(),
            recall: (0..classes).map(|class| matrix.recall(class)).collect(),
            confusion: matrix
                .counts()
                .chunks_exact(classes)
                .map(<[u64]>::to_vec)
                .collect(),
        })
    }

    /// The scores for people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "accuracy (WAR)  {:.4}   (guessing: {:.4})\nUAR             {:.4}\nweighted F1     {:.4}\n\
             macro F1        {:.4}\nsamples         {}\n\nconfusion (row: truth, column: prediction)\n",
            self.accuracy, self.chance, self.uar, self.weighted_f1, self.macro_f1, self.samples
        );
        text.push_str(&matrix_text(&self.labels, &self.confusion));
        text
    }
}

/// The matrix as a table; long labels are cut.
fn matrix_text(labels: &[String], rows: &[Vec<u64>]) -> String {
    let short: Vec<String> = labels
        .iter()
        .map(|label| label.chars().take(WIDEST).collect())
        .collect();
    let longest = short
        .iter()
        .map(|label| label.chars().count())
        .max()
        .unwrap_or(0);
    let width = longest.max(6);
    let mut text = " ".repeat(width);
    for label in &short {
        // Writing into a String never fails.
        let _ = write!(text, " {label:>width$}");
    }
    text.push('\n');
    for (label, row) in short.iter().zip(rows) {
        let _ = write!(text, "{label:<width$}");
        for count in row {
            let _ = write!(text, " {count:>width$}");
        }
        text.push('\n');
    }
    text
}

/// Index of the largest value, the first of equals.
pub fn argmax<T: PartialOrd + Copy>(row: &[T]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if row.get(best).is_some_and(|held| value > held) {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_and_table_agree_with_the_counts() {
        let labels = ["joy".to_owned(), "an unusually long label".to_owned()];
        let scores = ClassificationScores::new(&[0, 0, 1, 1], &[0, 1, 1, 1], &labels).unwrap();
        assert_eq!(
            (scores.accuracy, scores.war, scores.samples),
            (0.75, 0.75, 4)
        );
        assert_eq!(scores.confusion, [[1, 1], [0, 2]]);
        let text = scores.text();
        assert!(text.contains("an unusually "), "{text}");
        assert!(!text.contains("long label"), "{text}");
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(argmax(&[0.1, 0.5, 0.5]), 1);
        assert_eq!(argmax::<f32>(&[]), 0);
    }
}
