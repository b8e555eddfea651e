//! Readings against the truth: scores with their interval.

use emotionclip::Emotion;
use emotionclip_eval::metrics::{PairedDifference, wilson_interval};
use emotionclip_eval::report::ConfusionMatrix;
use serde::Serialize;

use super::super::classification::{ClassificationScores, argmax};
use super::encoder::Embeddings;

/// Scores of one emotion a sample.
#[derive(Clone, Debug, Serialize)]
pub struct Scored {
    /// Accuracy, UAR, confusion matrix and the rest.
    #[serde(flatten)]
    pub scores: ClassificationScores,
    /// Wilson's 95 % interval of the accuracy.
    pub interval: (f64, f64),
    /// What each sample was read as.
    #[serde(skip)]
    pub read: Vec<Emotion>,
    /// Whether that was right.
    #[serde(skip)]
    pub right: Vec<bool>,
}

impl Scored {
    /// Scores what samples were read as.
    ///
    /// # Errors
    /// No samples, or lists of different lengths.
    pub fn new(truth: &[Emotion], read: Vec<Emotion>) -> anyhow::Result<Self> {
        let indices = |emotions: &[Emotion]| -> Vec<usize> {
            emotions.iter().map(|emotion| emotion.index()).collect()
        };
        let scores = ClassificationScores::new(&indices(truth), &indices(&read), &emotion_names())?;
        let right: Vec<bool> = truth
            .iter()
            .zip(&read)
            .map(|(truth, read)| truth == read)
            .collect();
        Ok(Self {
            interval: interval(scores.accuracy, right.len()),
            scores,
            read,
            right,
        })
    }

    /// Share read right.
    pub fn accuracy(&self) -> f64 {
        self.scores.accuracy
    }

    /// The confusion matrix for a report.
    pub fn matrix(&self) -> ConfusionMatrix {
        ConfusionMatrix {
            labels: self.scores.labels.clone(),
            counts: self.scores.confusion.clone(),
        }
    }
}

/// The difference of two shares in points, with its interval in points.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Points {
    /// Difference in points.
    pub points: f64,
    /// Its 95 % interval, from the paired answers.
    pub interval: (f64, f64),
}

impl Points {
    /// First minus second, answers to the same questions.
    ///
    /// # Errors
    /// No answers, or lists of different lengths.
    pub fn between(first: &[bool], second: &[bool]) -> anyhow::Result<Self> {
        let found = PairedDifference::new(first, second)?;
        let (low, high) = found.interval;
        Ok(Self {
            points: 100.0 * found.difference,
            interval: (100.0 * low, 100.0 * high),
        })
    }
}

/// Wilson's interval; of nothing it is everything.
pub fn interval(share: f64, samples: usize) -> (f64, f64) {
    wilson_interval(share, samples as u64).unwrap_or((0.0, 1.0))
}

/// The names of the emotions in their order.
pub fn emotion_names() -> Vec<String> {
    Emotion::ALL
        .iter()
        .map(|emotion| emotion.name().to_owned())
        .collect()
}

/// The emotion whose class vector `[7, E]` is most similar to each row.
pub fn read_as(rows: &Embeddings, classes: &Embeddings) -> Vec<Emotion> {
    let similarity = |row: &[f32], class: &[f32]| -> f32 {
        row.iter().zip(class).map(|(row, class)| row * class).sum()
    };
    rows.rows()
        .map(|row| {
            let similarities: Vec<f32> =
                classes.rows().map(|class| similarity(row, class)).collect();
            Emotion::ALL[argmax(&similarities).min(Emotion::COUNT - 1)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_the_most_similar_class() {
        let mut classes = Embeddings::new(7);
        classes.values = (0..49)
            .map(|at| if at % 8 == 0 { 1.0 } else { 0.0 })
            .collect();
        let mut rows = Embeddings::new(7);
        rows.values = [
            vec![0.0, 0.1, 0.9, 0.3, 0.0, 0.0, 0.0],
            vec![0.2, 0.1, 0.0, 0.0, 0.0, 0.0, 0.7],
        ]
        .concat();
        assert_eq!(read_as(&rows, &classes), [Emotion::Fear, Emotion::Surprise]);
    }

    #[test]
    fn scores_keep_which_samples_were_right() {
        let truth = [Emotion::Joy, Emotion::Joy, Emotion::Fear, Emotion::Anger];
        let read = vec![Emotion::Joy, Emotion::Fear, Emotion::Fear, Emotion::Joy];
        let scored = Scored::new(&truth, read).unwrap();
        assert_eq!(scored.right, [true, false, true, false]);
        assert_eq!(scored.accuracy(), 0.5);
        assert!(scored.interval.0 < 0.5 && scored.interval.1 > 0.5);
        assert_eq!(
            scored.matrix().counts[Emotion::Joy.index()][Emotion::Fear.index()],
            1
        );
        let json = serde_json::to_value(&scored).unwrap();
        assert_eq!(json["accuracy"], 0.5);
        assert!(json.get("right").is_none());
    }
}
