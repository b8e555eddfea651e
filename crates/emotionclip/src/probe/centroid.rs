//! Nearest class mean by cosine: what a probe should beat, and enough for a handful of examples.

use super::features::inverse_norm;
use super::logistic::class_counts;
use super::{Features, ProbeError};

/// Classifier by the cosine to the mean direction of each class.
#[derive(Clone, Debug, PartialEq)]
pub struct NearestCentroid {
    width: usize,
    /// Mean of the class's L2-normalised rows, itself normalised; `None` without samples.
    centroids: Vec<Option<Vec<f64>>>,
}

impl NearestCentroid {
    /// Takes the mean direction of the samples of each of `classes` classes; `labels` is `[N]`.
    ///
    /// # Errors
    /// Labels of another number than the samples or not below `classes`.
    pub fn fit(
        features: Features<'_>,
        labels: &[usize],
        classes: usize,
    ) -> Result<Self, ProbeError> {
        let counts = class_counts(features, labels, classes)?;
        let mut centroids: Vec<Option<Vec<f64>>> = counts
            .iter()
            .map(|&count| (count > 0).then(|| vec![0.0; features.width()]))
            .collect();
        for (row, &label) in features.rows().zip(labels) {
            let scale = inverse_norm(row);
            if let Some(sums) = &mut centroids[label] {
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += f64::from(value) * scale;
                }
            }
        }
        for centroid in centroids.iter_mut().flatten() {
            let norm = centroid
                .iter()
                .map(|value| value * value)
                .sum::<f64>()
                .sqrt();
            if norm > 0.0 {
                centroid.iter_mut().for_each(|value| *value /= norm);
            }
        }
        Ok(Self {
            width: features.width(),
            centroids,
        })
    }

    /// Cosines `[N, classes]` (row-major); −∞ for a class without training samples.
    ///
    /// # Errors
    /// Features of another width than the training features.
    pub fn similarities(&self, features: Features<'_>) -> Result<Vec<f64>, ProbeError> {
        if features.width() != self.width {
            return Err(ProbeError::Width {
                expected: self.width,
                found: features.width(),
            });
        }
        let mut cosines = Vec::with_capacity(features.samples() * self.centroids.len());
        for row in features.rows() {
            let scale = inverse_norm(row);
            cosines.extend(self.centroids.iter().map(|centroid| match centroid {
                None => f64::NEG_INFINITY,
                Some(centroid) => {
                    let products = row.iter().zip(centroid).map(|(&x, c)| f64::from(x) * c);
                    products.sum::<f64>() * scale
                }
            }));
        }
        Ok(cosines)
    }

    /// Class of the largest cosine for every row, `[N]`; the first of equals.
    ///
    /// # Errors
    /// As [`Self::similarities`].
    pub fn predict(&self, features: Features<'_>) -> Result<Vec<usize>, ProbeError> {
        let cosines = self.similarities(features)?;
        let best = |row: &[f64]| {
            row.iter().enumerate().fold(
                0,
                |best, (class, cosine)| {
                    if *cosine > row[best] { class } else { best }
                },
            )
        };
        Ok(cosines
            .chunks_exact(self.centroids.len())
            .map(best)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direction_decides_and_length_does_not() {
        let train = [1.0, 0.1, 100.0, -5.0, 0.2, 3.0, 0.0, 0.5];
        let features = Features::new(&train, 2).expect("finite");
        let probe = NearestCentroid::fit(features, &[0, 0, 2, 2], 3).expect("fits");
        let test = [0.01, 0.001, -1.0, 40.0];
        let features = Features::new(&test, 2).expect("finite");
        assert_eq!(probe.predict(features).expect("same width"), [0, 2]);
        let cosines = probe.similarities(features).expect("same width");
        assert_eq!(cosines[1], f64::NEG_INFINITY);
        assert!(cosines[0] > 0.99 && cosines[5] > 0.99);
    }

    #[test]
    fn another_width_is_refused() {
        let probe = NearestCentroid::fit(Features::new(&[1.0, 2.0], 2).expect("finite"), &[0], 1)
            .expect("fits");
        let wider = Features::new(&[1.0, 2.0, 3.0], 3).expect("finite");
        assert_eq!(
            probe.predict(wider).expect_err("wider"),
            ProbeError::Width {
                expected: 2,
                found: 3
            }
        );
    }
}
