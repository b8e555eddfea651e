//! The sentiment-guided contrastive loss (paper, section 3.3, equations 5–7).
//!
//! Two clips whose speakers feel alike are poor negatives for each other. The loss subtracts from
//! each pair's logit a weight that grows as the sentiments of the two texts agree, until pairs with
//! equal sentiment drop out of the denominator.

use burn::tensor::{FloatDType, Tensor, activation};
use serde::{Deserialize, Serialize};

/// Largest weight that is subtracted from a logit.
///
/// Logits are at most 100 in size, and `exp(100 − 10⁴ − (−100))` is 0 in f32 and in f16, so this
/// bound removes a pair exactly as an infinite weight would, while every number stays finite.
const REMOVAL_WEIGHT: f64 = 1e4;

/// Lower bound of a log-probability: its exponential is 0 and its product with 0 is 0, where that of
/// the −∞ which logits near the ends of f32 give would be NaN.
const LEAST_LOG_PROBABILITY: f64 = -1e30;

/// Which way the divergence between two sentiments is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlDirection {
    /// `KL(s_i ‖ s_j)`, equation 6.
    #[default]
    Paper,
    /// `KL(s_j ‖ s_i)`, the authors' code.
    Release,
}

/// Settings of the loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SentimentGuidance {
    /// Strength β of the re-weighting; 0 is plain InfoNCE.
    pub beta: f64,
    /// Direction of the divergence.
    pub direction: KlDirection,
}

impl Default for SentimentGuidance {
    fn default() -> Self {
        Self {
            beta: 10.0,
            direction: KlDirection::Paper,
        }
    }
}

impl SentimentGuidance {
    /// The weights `w` `[B, B]` that equation 6 gives for sentiment logits `[B, 7]`.
    ///
    /// 0 on the diagonal and everywhere if β = 0; at most 10⁴ (see the module's source). No
    /// gradient flows through them.
    pub fn weights(&self, sentiment: Tensor<2>) -> Tensor<2> {
        let [batch, classes] = sentiment.dims();
        let device = sentiment.device();
        if self.beta == 0.0 {
            return Tensor::zeros([batch, batch], &device);
        }
        let log_probabilities =
            activation::log_softmax(sentiment.detach().cast(FloatDType::F32), 1)
                .clamp_min(LEAST_LOG_PROBABILITY);
        let rows = log_probabilities.clone().reshape([batch, 1, classes]);
        let columns = log_probabilities.reshape([1, batch, classes]);
        let (from, to) = match self.direction {
            KlDirection::Paper => (rows, columns),
            KlDirection::Release => (columns, rows),
        };
        // Differences before the sum: equal sentiments then give exactly 0.
        let divergence = (from.clone().exp() * (from - to))
            .sum_dim(2)
            .reshape([batch, batch]);
        // Bounded before the division: not every shading language has an infinity.
        let divergence = divergence.abs().clamp_min(self.beta / REMOVAL_WEIGHT);
        let weights = divergence.recip() * self.beta;
        let off_diagonal = Tensor::ones([batch, batch], &device) - Tensor::eye(batch, &device);
        weights * off_diagonal
    }

    /// The loss of `B` pairs, `[1]`.
    ///
    /// `video` and `text` are unit embeddings `[B, E]`, `scale` is `exp(logit_scale)` `[1]`,
    /// `sentiment` holds the sentiment logits of the texts `[B, 7]`. Finite, with finite gradients,
    /// for any finite input, also when every negative is removed.
    pub fn loss(
        &self,
        video: Tensor<2>,
        text: Tensor<2>,
        scale: Tensor<1>,
        sentiment: Tensor<2>,
    ) -> Tensor<1> {
        let similarity = video.matmul(text.transpose()) * scale.unsqueeze_dim::<2>(0);
        let transposed = similarity.clone().transpose();
        if self.beta == 0.0 {
            return (cross_entropy_of_pairs(similarity) + cross_entropy_of_pairs(transposed)) * 0.5;
        }
        // w is the same matrix in both terms: row i always re-weights with sentiment i's row.
        let weights = self
            .weights(sentiment)
            .cast(FloatDType::from(similarity.dtype()));
        let from_video = cross_entropy_of_pairs(similarity - weights.clone());
        let from_text = cross_entropy_of_pairs(transposed - weights);
        (from_video + from_text) * 0.5
    }
}

/// Mean cross-entropy of logits `[B, B]` whose right answers lie on the diagonal.
fn cross_entropy_of_pairs(logits: Tensor<2>) -> Tensor<1> {
    let [batch, _] = logits.dims();
    let eye = Tensor::<2>::eye(batch, &logits.device()).cast(FloatDType::from(logits.dtype()));
    let log_probabilities = activation::log_softmax(logits, 1);
    (log_probabilities * eye).sum() * (-1.0 / batch as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn weights_stay_finite_at_the_ends_of_f32() {
        let device = Device::flex();
        let (most, least) = (f32::MAX, f32::MIN);
        let sentiment =
            Tensor::<2>::from_floats([[most, least], [least, most], [most, least]], &device);
        let weights = SentimentGuidance::default().weights(sentiment);
        let weights = weights.try_into_vec_as::<f32>().unwrap();
        // Opposite sentiments diverge without bound, equal ones are removed; the division and the
        // product behind it round once each.
        for (index, weight) in weights.iter().enumerate() {
            let expected = if index == 2 || index == 6 {
                REMOVAL_WEIGHT as f32
            } else {
                0.0
            };
            assert!((weight - expected).abs() <= 2e-3, "{weights:?}");
        }
    }
}
