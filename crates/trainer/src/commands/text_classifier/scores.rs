//! How well the classifier does, by the protocol of the corpus' paper.
//!
//! Several emotions may hold, so each is decided on its own: it is predicted where its probability
//! reaches a threshold, and macro-F1 is the plain mean of the seven F1 (Demszky et al., 2020,
//! table 6, where BERT reaches 0.64).

use std::fmt::Write as _;

use emotionclip::Emotion;
use emotionclip_eval::metrics::macro_average_precision;
use serde::Serialize;

use crate::commands::classification::{ClassificationScores, argmax};

/// Macro-F1 of the fine-tuned BERT of the corpus' paper on the same test split.
pub const PUBLISHED_BERT: f64 = 0.64;

const CLASSES: usize = Emotion::COUNT;

/// Thresholds that are tried: 0.03 to 0.90.
fn grid() -> impl Iterator<Item = f32> {
    (3_u8..=90).map(|percent| f32::from(percent) / 100.0)
}

/// Scores on one part of the corpus.
#[derive(Clone, Debug, Serialize)]
pub struct TextScores {
    /// Texts scored.
    pub texts: usize,
    /// Mean of the seven F1.
    pub macro_f1: f64,
    /// Mean of the seven average precisions, which need no thresholds.
    pub macro_average_precision: f64,
    /// F1 of each emotion.
    pub f1: [f64; CLASSES],
    /// Texts that bear each emotion.
    pub support: [usize; CLASSES],
    /// The thresholds used.
    pub thresholds: [f32; CLASSES],
    /// The texts with one label: the most probable emotion against it.
    pub single_label: ClassificationScores,
}

impl TextScores {
    /// Scores probabilities against labels.
    ///
    /// # Errors
    /// If no text has exactly one label, or a probability is not a number.
    pub fn new(
        labels: &[[bool; CLASSES]],
        probabilities: &[[f32; CLASSES]],
        thresholds: [f32; CLASSES],
    ) -> anyhow::Result<Self> {
        let f1 =
            std::array::from_fn(|class| class_f1(labels, probabilities, class, thresholds[class]));
        let (mut truth, mut predicted) = (Vec::new(), Vec::new());
        for (labels, probabilities) in labels.iter().zip(probabilities) {
            if labels.iter().filter(|label| **label).count() == 1 {
                truth.push(argmax(labels));
                predicted.push(argmax(probabilities));
            }
        }
        let names = Emotion::ALL.map(|emotion| emotion.name().to_owned());
        Ok(Self {
            texts: labels.len(),
            macro_f1: mean(&f1),
            macro_average_precision: average_precision(labels, probabilities)?,
            f1,
            support: std::array::from_fn(|class| {
                labels.iter().filter(|labels| labels[class]).count()
            }),
            thresholds,
            single_label: ClassificationScores::new(&truth, &predicted, &names)?,
        })
    }

    /// The scores for people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "macro F1  {:.4}   (fine-tuned BERT, as published, on test: {PUBLISHED_BERT})\n\
             macro AP  {:.4}\ntexts     {}\n\n{:<9} {:>6} {:>6} {:>9}\n",
            self.macro_f1,
            self.macro_average_precision,
            self.texts,
            "emotion",
            "F1",
            "texts",
            "threshold"
        );
        for emotion in Emotion::ALL {
            let class = emotion.index();
            // Writing into a String never fails.
            let _ = writeln!(
                text,
                "{:<9} {:>6.4} {:>6} {:>9.2}",
                emotion.name(),
                self.f1[class],
                self.support[class],
                self.thresholds[class]
            );
        }
        let _ = write!(
            text,
            "\nthe texts with one label, by the most probable emotion:\n{}",
            self.single_label.text()
        );
        text
    }
}

/// The thresholds that give each emotion its best F1 on these texts, the lowest of equals.
pub fn choose_thresholds(
    labels: &[[bool; CLASSES]],
    probabilities: &[[f32; CLASSES]],
) -> [f32; CLASSES] {
    std::array::from_fn(|class| {
        let mut best = (-1.0, 0.5);
        for threshold in grid() {
            let score = class_f1(labels, probabilities, class, threshold);
            if score > best.0 {
                best = (score, threshold);
            }
        }
        best.1
    })
}

/// F1 of one emotion; zero over zero is zero.
fn class_f1(
    labels: &[[bool; CLASSES]],
    probabilities: &[[f32; CLASSES]],
    class: usize,
    threshold: f32,
) -> f64 {
    let (mut right, mut either) = (0_u64, 0_u64);
    for (labels, probabilities) in labels.iter().zip(probabilities) {
        let (actual, predicted) = (labels[class], probabilities[class] >= threshold);
        right += u64::from(actual && predicted);
        either += u64::from(actual) + u64::from(predicted);
    }
    if either == 0 {
        0.0
    } else {
        2.0 * right as f64 / either as f64
    }
}

fn average_precision(
    labels: &[[bool; CLASSES]],
    probabilities: &[[f32; CLASSES]],
) -> anyhow::Result<f64> {
    let scores: Vec<f64> = probabilities
        .iter()
        .flatten()
        .map(|value| f64::from(*value))
        .collect();
    Ok(macro_average_precision(&labels.concat(), &scores, CLASSES)?.mean)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Joy alone, joy alone, joy and surprise, anger alone.
    fn labels() -> Vec<[bool; CLASSES]> {
        [vec![3], vec![3], vec![3, 6], vec![0]]
            .map(|ones| std::array::from_fn(|class| ones.contains(&class)))
            .into()
    }

    fn probabilities() -> Vec<[f32; CLASSES]> {
        vec![
            [0.1, 0.0, 0.0, 0.8, 0.1, 0.0, 0.0],
            [0.5, 0.0, 0.0, 0.4, 0.1, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.5, 0.2, 0.0, 0.3],
            [0.6, 0.0, 0.0, 0.3, 0.1, 0.0, 0.0],
        ]
    }

    #[test]
    fn several_emotions_count_and_one_label_texts_make_the_confusions() {
        let scores = TextScores::new(&labels(), &probabilities(), [0.45; CLASSES]).unwrap();
        // Anger: one right, one too many. Joy: two right, one missed. Surprise: missed.
        let expected = [2.0 / 3.0, 0.0, 0.0, 0.8, 0.0, 0.0, 0.0];
        assert_eq!(scores.f1, expected);
        assert!((scores.macro_f1 - (2.0 / 3.0 + 0.8) / 7.0).abs() < 1e-12);
        // Joy's 0.3 comes last of all; anger's and surprise's come first.
        assert!((scores.macro_average_precision - 3.0 / 7.0).abs() < 1e-12);
        assert_eq!(scores.support, [1, 0, 0, 3, 0, 0, 1]);
        assert_eq!(scores.single_label.samples, 3);
        assert_eq!(scores.single_label.confusion[3][0], 1);
        assert!(scores.text().contains("surprise  0.0000      1      0.45"));
    }

    #[test]
    fn thresholds_are_the_lowest_of_the_best() {
        let chosen = choose_thresholds(&labels(), &probabilities());
        // Joy's 0.4, 0.5 and 0.8 are right and 0.3 is wrong; anger's 0.6 right and 0.5 wrong.
        assert_eq!((chosen[3], chosen[0], chosen[6]), (0.31, 0.51, 0.03));
        let scores = TextScores::new(&labels(), &probabilities(), chosen).unwrap();
        assert_eq!((scores.f1[0], scores.f1[3], scores.f1[6]), (1.0, 1.0, 1.0));
    }
}
