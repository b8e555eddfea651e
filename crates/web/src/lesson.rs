//! Labels that a visitor teaches by showing them: recorded embeddings and a linear probe on them.

use emotionclip::probe::{Features, LinearHead, LogisticRegression, NearestCentroid};
use serde::Serialize;

use crate::SessionError;

/// Samples that a label needs: fewer leave nothing to hold back.
const LEAST_SAMPLES: usize = 6;
/// Samples kept in all; an hour of camera at eight a second.
const MOST_SAMPLES: usize = 30_000;
/// Of a label's samples, the last one in so many is held back. They are the last in time because
/// neighbouring frames are nearly the same picture: held back at random they would prove nothing.
const HELD_SHARE: usize = 3;
/// Inverse penalties tried; embeddings have length 1 and one visitor's lie close together, so the
/// usual range reaches up.
const PENALTIES: [f64; 5] = [1.0, 10.0, 100.0, 1000.0, 10_000.0];

/// A label's index and a unit embedding.
type Sample = (usize, Vec<f32>);

/// What was recorded so far.
#[derive(Clone, Debug, Default)]
pub struct Lesson {
    labels: Vec<String>,
    /// In the order of recording.
    samples: Vec<Sample>,
    recording: Option<usize>,
}

/// A label and how often it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// The label.
    pub name: String,
    /// Recorded embeddings.
    pub samples: usize,
}

/// How well a probe does on recordings that it was not fitted on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FitReport {
    /// Share of the held-back samples that the probe gets right.
    pub accuracy: f64,
    /// The same for the nearest class mean, which a probe should beat.
    pub centroid_accuracy: f64,
    /// Samples held back.
    pub held_back: usize,
    /// Samples in all; the probe in use was fitted on all of them afterwards.
    pub samples: usize,
    /// Inverse penalty chosen.
    pub c: f64,
}

impl Lesson {
    /// Records what follows under `label`, or nothing any more.
    ///
    /// # Errors
    /// An empty label.
    pub fn record(&mut self, label: Option<&str>) -> Result<(), SessionError> {
        let Some(label) = label.map(str::trim) else {
            self.recording = None;
            return Ok(());
        };
        if label.is_empty() {
            return Err(SessionError::Probe("give the label a name".to_owned()));
        }
        let known = self.labels.iter().position(|known| known == label);
        self.recording = Some(known.unwrap_or_else(|| {
            self.labels.push(label.to_owned());
            self.labels.len() - 1
        }));
        Ok(())
    }

    /// Takes an embedding if recording.
    pub fn take(&mut self, embedding: &[f32]) {
        if let Some(label) = self.recording
            && self.samples.len() < MOST_SAMPLES
        {
            self.samples.push((label, embedding.to_vec()));
        }
    }

    /// Labels with their numbers of samples.
    pub fn counts(&self) -> Vec<ClassCount> {
        let count = |label| {
            self.samples
                .iter()
                .filter(|sample| sample.0 == label)
                .count()
        };
        self.labels
            .iter()
            .enumerate()
            .map(|(label, name)| ClassCount {
                name: name.clone(),
                samples: count(label),
            })
            .collect()
    }

    /// Forgets one label's samples and the label.
    pub fn forget(&mut self, name: &str) {
        let Some(gone) = self.labels.iter().position(|label| label == name) else {
            return;
        };
        self.labels.remove(gone);
        self.samples.retain(|sample| sample.0 != gone);
        for sample in &mut self.samples {
            if sample.0 > gone {
                sample.0 -= 1;
            }
        }
        self.recording = None;
    }

    /// Fits a probe on all samples, and says how one fitted without those held back does on them.
    ///
    /// # Errors
    /// Fewer than two labels, or a label with too few samples.
    pub fn fit(&self) -> Result<(LinearHead, FitReport), SessionError> {
        if self.labels.len() < 2 {
            return Err(SessionError::Probe(
                "record at least two labels, so that there is something to tell apart".to_owned(),
            ));
        }
        if let Some(few) = self
            .counts()
            .iter()
            .find(|count| count.samples < LEAST_SAMPLES)
        {
            return Err(SessionError::Probe(format!(
                "'{}' has {} samples; record at least {LEAST_SAMPLES}",
                few.name, few.samples
            )));
        }
        let all: Vec<&Sample> = self.samples.iter().collect();
        let (kept, held) = self.split(&all);
        let (inner, validation) = self.split(&kept);
        let mut best = (f64::NEG_INFINITY, PENALTIES[0]);
        for c in PENALTIES {
            let head = self.head(&inner, c)?;
            let likelihood = self.log_likelihood(&head, &validation)?;
            if likelihood > best.0 {
                best = (likelihood, c);
            }
        }
        let (_, c) = best;
        let head = self.head(&kept, c)?;
        let (values, targets) = flatten(&kept);
        let features = Features::new(&values, self.width())?;
        let centroids = NearestCentroid::fit(features, &targets, self.labels.len())?;
        let (held_values, _) = flatten(&held);
        let nearest = centroids.predict(Features::new(&held_values, self.width())?)?;
        let report = FitReport {
            accuracy: accuracy(&self.predictions(&head, &held)?, &held),
            centroid_accuracy: accuracy(&nearest, &held),
            held_back: held.len(),
            samples: all.len(),
            c,
        };
        Ok((self.head(&all, c)?, report))
    }

    /// The samples before and after the cut in each label.
    fn split<'a>(&self, samples: &[&'a Sample]) -> (Vec<&'a Sample>, Vec<&'a Sample>) {
        let mut totals = vec![0; self.labels.len()];
        for sample in samples {
            totals[sample.0] += 1;
        }
        let mut seen = vec![0; self.labels.len()];
        samples.iter().copied().partition(|sample| {
            seen[sample.0] += 1;
            // At least one is held back, and at least one kept.
            seen[sample.0] <= totals[sample.0] - (totals[sample.0] / HELD_SHARE).max(1)
        })
    }

    fn head(&self, samples: &[&Sample], c: f64) -> Result<LinearHead, SessionError> {
        let (values, targets) = flatten(samples);
        let features = Features::new(&values, self.width())?;
        let fit =
            LogisticRegression::new(c).fit_multinomial(features, &targets, self.labels.len())?;
        Ok(fit.into_head(self.labels.clone())?.with_normalisation(true))
    }

    /// Mean log-probability of the samples' labels: with a dozen samples most penalties have the
    /// same accuracy, and this still tells them apart.
    fn log_likelihood(&self, head: &LinearHead, samples: &[&Sample]) -> Result<f64, SessionError> {
        let (values, targets) = flatten(samples);
        let rows = head.predict(Features::new(&values, self.width())?)?;
        let of_label = rows
            .chunks_exact(self.labels.len())
            .zip(&targets)
            .map(|(row, &label)| row[label].max(f64::MIN_POSITIVE).ln());
        Ok(of_label.sum::<f64>() / targets.len().max(1) as f64)
    }

    fn predictions(
        &self,
        head: &LinearHead,
        samples: &[&Sample],
    ) -> Result<Vec<usize>, SessionError> {
        let (values, _) = flatten(samples);
        let rows = head.predict(Features::new(&values, self.width())?)?;
        let best = |row: &[f64]| {
            (0..row.len()).fold(
                0,
                |best, class| if row[class] > row[best] { class } else { best },
            )
        };
        Ok(rows.chunks_exact(self.labels.len()).map(best).collect())
    }

    fn width(&self) -> usize {
        self.samples.first().map_or(0, |sample| sample.1.len())
    }
}

fn flatten(samples: &[&Sample]) -> (Vec<f32>, Vec<usize>) {
    let values = samples
        .iter()
        .flat_map(|sample| sample.1.iter().copied())
        .collect();
    (values, samples.iter().map(|sample| sample.0).collect())
}

fn accuracy(predictions: &[usize], samples: &[&Sample]) -> f64 {
    let right = predictions
        .iter()
        .zip(samples)
        .filter(|(found, sample)| **found == sample.0);
    right.count() as f64 / samples.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two labels that differ in a weak direction while a strong one only makes noise: what a class
    /// mean falls for and a probe does not.
    fn lesson() -> Lesson {
        let mut lesson = Lesson::default();
        for (label, sign) in [("calm", -1.0_f32), ("tense", 1.0)] {
            lesson.record(Some(label)).unwrap();
            for step in 0..30 {
                let noise = ((step * 37 % 30) as f32 - 14.5) / 15.0;
                let row = [noise, 0.12 * sign + 0.05 * noise, 1.0];
                let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
                lesson.take(&row.map(|value| value / norm));
            }
            lesson.record(None).unwrap();
            lesson.take(&[1.0, 0.0, 0.0]);
        }
        lesson
    }

    #[test]
    fn a_probe_is_fitted_and_beats_the_class_means_on_held_back_samples() {
        let lesson = lesson();
        assert!(lesson.counts().iter().all(|count| count.samples == 30));
        let (head, report) = lesson.fit().unwrap();
        assert_eq!(head.labels(), ["calm", "tense"]);
        assert_eq!((report.held_back, report.samples), (20, 60));
        assert!(report.accuracy > 0.9, "{report:?}");
        assert!(report.accuracy >= report.centroid_accuracy, "{report:?}");
    }

    #[test]
    fn too_little_is_said_in_words() {
        let mut lesson = Lesson::default();
        assert!(lesson.fit().unwrap_err().to_string().contains("two labels"));
        assert!(lesson.record(Some("  ")).is_err());
        lesson.record(Some("one")).unwrap();
        lesson.take(&[1.0, 0.0]);
        lesson.record(Some("two")).unwrap();
        let message = lesson.fit().unwrap_err().to_string();
        assert!(message.starts_with("'one' has 1 samples"), "{message}");
    }

    #[test]
    fn a_forgotten_label_takes_its_samples_along() {
        let mut lesson = lesson();
        lesson.forget("calm");
        let counts = lesson.counts();
        assert_eq!((counts.len(), counts[0].samples), (1, 30));
        assert_eq!(counts[0].name, "tense");
    }
}
