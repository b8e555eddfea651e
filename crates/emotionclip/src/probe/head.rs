//! A fitted probe as it is kept and applied.

use serde::{Deserialize, Serialize};

use super::features::{check_finite, inverse_norm};
use super::{Features, ProbeError};

/// What the scores of a [`LinearHead`] mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadKind {
    /// Softmax over the outputs.
    Multinomial,
    /// A sigmoid for each output.
    OneVsRest,
    /// The values themselves.
    Ridge,
}

/// A linear probe: `weights · x + bias`, then softmax, sigmoid or nothing.
///
/// [`Self::to_safetensors`] and [`Self::from_safetensors`] move it to and from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearHead {
    kind: HeadKind,
    width: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
    labels: Vec<String>,
    normalise: bool,
    model_hash: Option<String>,
    subject: Option<String>,
}

impl LinearHead {
    /// A probe for rows of `width` features with `weights` `[O, width]` (row-major), `bias` `[O]`
    /// and a label for each of the `O ≥ 1` outputs. It takes features as they are and names no
    /// model; see [`Self::with_normalisation`] and [`Self::with_model_hash`].
    ///
    /// # Errors
    /// Lengths that don't fit each other; a weight or bias that is not finite.
    pub fn new(
        kind: HeadKind,
        width: usize,
        weights: Vec<f32>,
        bias: Vec<f32>,
        labels: Vec<String>,
    ) -> Result<Self, ProbeError> {
        if width == 0 || bias.is_empty() {
            return Err(ProbeError::Empty);
        }
        let length = |what, expected, found| {
            if expected == found {
                return Ok(());
            }
            Err(ProbeError::Length {
                what,
                expected,
                found,
            })
        };
        length("weights", bias.len().saturating_mul(width), weights.len())?;
        length("labels", bias.len(), labels.len())?;
        check_finite("weight", weights.iter().copied(), width)?;
        check_finite("bias", bias.iter().copied(), 1)?;
        Ok(Self {
            kind,
            width,
            weights,
            bias,
            labels,
            normalise: false,
            model_hash: None,
            subject: None,
        })
    }

    /// Sets whether [`Self::predict`] first scales every row to Euclidean norm 1; it must if the
    /// training features were scaled.
    pub fn with_normalisation(mut self, normalise: bool) -> Self {
        self.normalise = normalise;
        self
    }

    /// Names the weights of the encoder that the probe was fitted on, so that a probe is not
    /// applied to the features of another.
    pub fn with_model_hash(mut self, hash: impl Into<String>) -> Self {
        self.model_hash = Some(hash.into());
        self
    }

    /// Says who the subject was in the pictures that the probe was fitted on, in the words of the
    /// trainer's `--subject`, so that it is shown others in the same way.
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// What the scores mean.
    pub fn kind(&self) -> HeadKind {
        self.kind
    }

    /// Number of features `D` in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of outputs `O`.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// `[O, D]`, row-major.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// `[O]`
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// Names of the outputs, `[O]`.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Whether rows are scaled to Euclidean norm 1 first.
    pub fn normalises(&self) -> bool {
        self.normalise
    }

    /// Hash of the encoder's weights, if the probe names one.
    pub fn model_hash(&self) -> Option<&str> {
        self.model_hash.as_deref()
    }

    /// Who the subject was in fitting, if the file tells.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Probabilities, or values for ridge, `[N, O]` (row-major), computed in double precision so
    /// that confident outputs keep their order.
    ///
    /// # Errors
    /// Features of another width than the probe's.
    pub fn predict(&self, features: Features<'_>) -> Result<Vec<f64>, ProbeError> {
        if features.width() != self.width {
            return Err(ProbeError::Width {
                expected: self.width,
                found: features.width(),
            });
        }
        let mut predictions = Vec::with_capacity(features.samples() * self.outputs());
        for row in features.rows() {
            let scale = if self.normalise {
                inverse_norm(row)
            } else {
                1.0
            };
            let start = predictions.len();
            let weights = self.weights.chunks_exact(self.width);
            predictions.extend(weights.zip(&self.bias).map(|(weights, &bias)| {
                let products = row.iter().zip(weights);
                let score: f64 = products.map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
                score * scale + f64::from(bias)
            }));
            self.link(&mut predictions[start..]);
        }
        Ok(predictions)
    }

    /// Turns the scores of one row into predictions.
    fn link(&self, scores: &mut [f64]) {
        match self.kind {
            HeadKind::Ridge => {}
            HeadKind::OneVsRest => {
                for score in scores {
                    *score = (1.0 + (-*score).exp()).recip();
                }
            }
            HeadKind::Multinomial => {
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut total = 0.0;
                for score in scores.iter_mut() {
                    *score = (*score - largest).exp();
                    total += *score;
                }
                scores.iter_mut().for_each(|score| *score /= total);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<String> {
        vec!["calm".into(), "angry".into()]
    }

    fn head(kind: HeadKind) -> LinearHead {
        LinearHead::new(kind, 2, vec![1.0, 0.0, 0.0, 2.0], vec![0.0, 1.0], labels())
            .expect("consistent")
    }

    fn predict(head: &LinearHead, values: &[f32]) -> Vec<f64> {
        head.predict(Features::new(values, 2).expect("finite"))
            .expect("same width")
    }

    #[test]
    fn each_kind_has_its_link() {
        let values = [3.0, 4.0];
        assert_eq!(predict(&head(HeadKind::Ridge), &values), [3.0, 9.0]);
        let sigmoid = predict(&head(HeadKind::OneVsRest), &values);
        assert!((sigmoid[0] - 0.952_574_126_822_433_2).abs() < 1e-15);
        let softmax = predict(&head(HeadKind::Multinomial), &values);
        assert!((softmax[0] / softmax[1] - (-6.0_f64).exp()).abs() < 1e-15);
        assert!((softmax[0] + softmax[1] - 1.0).abs() < 1e-15);
    }

    #[test]
    fn normalisation_is_applied_when_asked_for() {
        let head = head(HeadKind::Ridge).with_normalisation(true);
        let values = predict(&head, &[3.0, 4.0, 30.0, 40.0]);
        for row in values.chunks_exact(2) {
            assert!((row[0] - 0.6).abs() < 1e-15 && (row[1] - 2.6).abs() < 1e-15);
        }
    }

    #[test]
    fn inconsistent_parts_are_refused() {
        let new = |weights: Vec<f32>, bias: Vec<f32>, labels: Vec<String>| {
            LinearHead::new(HeadKind::Ridge, 2, weights, bias, labels).expect_err("inconsistent")
        };
        assert!(matches!(
            new(vec![0.0; 3], vec![0.0; 2], labels()),
            ProbeError::Length {
                what: "weights",
                ..
            }
        ));
        assert!(matches!(
            new(vec![0.0; 6], vec![0.0; 3], labels()),
            ProbeError::Length { what: "labels", .. }
        ));
        assert!(matches!(
            new(vec![0.0; 4], vec![0.0, f32::INFINITY], labels()),
            ProbeError::NotFinite { what: "bias", .. }
        ));
        assert_eq!(new(vec![], vec![], vec![]), ProbeError::Empty);
    }
}
