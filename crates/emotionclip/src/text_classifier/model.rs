//! Encoder, pooling and head on tensors.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, LayerNorm, Linear};
use burn::tensor::module::embedding;
use burn::tensor::{Bool, Device, Int, Tensor, activation};

use super::{Objective, TextAttention, TextClassifierConfig, TextPooling};
use crate::config::ConfigError;
use crate::emotion::Emotion;
use crate::nn::{Init, ParameterInit, ResidualAttentionBlock, ScoreMask};
use crate::vision::Transformer;

/// A score that loses against any other; its exponential is exactly 0 in f32 beside any score.
const UNSEEN: f64 = -1e9;

/// CLIP's text encoder with a linear head over the seven emotions.
///
/// Blocks, parameters and their keys are those of [`TextTransformer`](crate::text::TextTransformer);
/// attention and pooling may be other ones, and dropout is added for training from scratch.
#[derive(Module, Debug)]
pub struct TextClassifier {
    token_embedding: Param<Tensor<2>>,
    positional_embedding: Param<Tensor<2>>,
    transformer: Transformer,
    ln_final: LayerNorm,
    head: Linear,
    embedding_dropout: Dropout,
    head_dropout: Dropout,
    #[module(skip)]
    config: TextClassifierConfig,
}

impl TextClassifierConfig {
    /// Creates a classifier with fresh parameters: the same seed gives the same numbers on any
    /// device.
    ///
    /// # Errors
    ///
    /// If the configuration describes no model.
    pub fn init(&self, seed: u64, device: &Device) -> Result<TextClassifier, ConfigError> {
        self.validate()?;
        let mut init = ParameterInit::new(seed, device);
        let text = &self.text;
        let block = |init: &mut ParameterInit| {
            ResidualAttentionBlock::new_text(
                text.width,
                text.heads,
                text.layers,
                self.activation,
                init,
            )
        };
        Ok(TextClassifier {
            token_embedding: init.parameter([text.vocab_size, text.width], Init::Normal(0.02)),
            positional_embedding: init
                .parameter([text.context_length, text.width], Init::Normal(0.01)),
            transformer: Transformer {
                resblocks: (0..text.layers).map(|_| block(&mut init)).collect(),
            },
            ln_final: init.layer_norm(text.width),
            head: init.linear(self.pooling.features() * text.width, Emotion::COUNT),
            embedding_dropout: DropoutConfig::new(self.embedding_dropout).init(),
            head_dropout: DropoutConfig::new(self.head_dropout).init(),
            config: self.clone(),
        })
    }
}

impl TextClassifier {
    /// The configuration that the classifier was built from.
    pub fn config(&self) -> &TextClassifierConfig {
        &self.config
    }

    /// The device that holds the parameters.
    pub fn device(&self) -> Device {
        self.head.weight.val().device()
    }

    /// Logits `[B, 7]` of token ids `[B, L]`, in the order of [`Emotion::ALL`].
    ///
    /// A row is a text up to its end token, the largest id of the row; what follows is padding and
    /// changes nothing. `L` may be anything up to the context length.
    ///
    /// # Panics
    ///
    /// If `L` exceeds the context length or an id the vocabulary; a tokenizer with the settings of
    /// the model's file makes neither.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [batch, length] = tokens.dims();
        let device = tokens.device();
        let end = tokens.clone().argmax(1);
        // Compared as floats: engines differ in the width of their integers, and of two at once
        // they compare none.
        let positions = Tensor::<1, Int>::arange(0..length as i64, &device).float();
        let padding = positions
            .reshape([1, length])
            .expand([batch, length])
            .greater(end.clone().float().expand([batch, length]));
        let embedded = embedding(self.token_embedding.val(), tokens)
            + self
                .positional_embedding
                .val()
                .narrow(0, 0, length)
                .unsqueeze_dim::<3>(0);
        let mask = self.attention_mask(padding.clone(), &embedded.device());
        let mut hidden = self.embedding_dropout.forward(embedded);
        for block in &self.transformer.resblocks {
            hidden = block.forward(hidden, Some(&mask), None, None);
        }
        let pooled = self.pool(self.ln_final.forward(hidden), end, padding);
        self.head.forward(self.head_dropout.forward(pooled))
    }

    /// What is added to the attention scores.
    fn attention_mask(&self, padding: Tensor<2, Bool>, device: &Device) -> ScoreMask {
        let [batch, length] = padding.dims();
        match self.config.attention {
            TextAttention::Causal => ScoreMask::Causal(
                Tensor::<2>::full([length, length], UNSEEN, device)
                    .triu(1)
                    .reshape([1, 1, length, length]),
            ),
            TextAttention::Bidirectional => ScoreMask::Keys(
                Tensor::<2>::zeros([batch, length], device)
                    .mask_fill(padding, UNSEEN)
                    .reshape([batch, 1, 1, length]),
            ),
        }
    }

    /// `[B, L, W]` to what the head reads, `[B, features · W]`.
    fn pool(&self, hidden: Tensor<3>, end: Tensor<2, Int>, padding: Tensor<2, Bool>) -> Tensor<2> {
        let [batch, length, width] = hidden.dims();
        let all = [batch, length, width];
        let padding = padding.reshape([batch, length, 1]).expand(all);
        let mean = |hidden: Tensor<3>, padding: Tensor<3, Bool>| {
            let count = end.clone().float().reshape([batch, 1]) + 1.0;
            hidden
                .mask_fill(padding, 0.0)
                .sum_dim(1)
                .reshape([batch, width])
                / count
        };
        match self.config.pooling {
            TextPooling::End => {
                let end = end.reshape([batch, 1, 1]).expand([batch, 1, width]);
                hidden.gather(1, end).reshape([batch, width])
            }
            TextPooling::Mean => mean(hidden, padding),
            TextPooling::MeanMax => {
                let largest = hidden
                    .clone()
                    .mask_fill(padding.clone(), UNSEEN)
                    .max_dim(1)
                    .reshape([batch, width]);
                Tensor::cat(vec![mean(hidden, padding), largest], 1)
            }
        }
    }
}

impl Objective {
    /// Mean loss `[1]` of logits `[B, 7]` against labels `[B, 7]` of zeros and ones, each text's
    /// weighted with the mean weight of its labels; `class_weights` is `[7]`.
    ///
    /// A text without a label costs nothing under [`Objective::Softmax`].
    pub fn loss(self, logits: Tensor<2>, labels: Tensor<2>, class_weights: Tensor<1>) -> Tensor<1> {
        let [batch, classes] = logits.dims();
        let count = labels.clone().sum_dim(1).clamp_min(1.0);
        let shares = labels.clone() / count;
        let weights = class_weights.reshape([1, classes]);
        let loss = match self {
            Self::Softmax => -(shares * weights * activation::log_softmax(logits, 1)),
            Self::Sigmoid => {
                let weight = (shares * weights).sum_dim(1);
                let right = labels.clone() * activation::log_sigmoid(logits.clone());
                let wrong = (-labels + 1.0) * activation::log_sigmoid(-logits);
                -(right + wrong) * weight
            }
        };
        loss.sum() / batch as f64
    }

    /// Probabilities of one text's logits.
    pub fn probabilities(self, logits: [f32; Emotion::COUNT]) -> [f32; Emotion::COUNT] {
        match self {
            Self::Softmax => {
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let powers = logits.map(|logit| (logit - largest).exp());
                let sum: f32 = powers.iter().sum();
                powers.map(|power| power / sum)
            }
            Self::Sigmoid => logits.map(|logit| 1.0 / (1.0 + (-logit).exp())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    fn config(attention: TextAttention, pooling: TextPooling) -> TextClassifierConfig {
        let mut config = TextClassifierConfig::small();
        config.text.context_length = 12;
        config.text.vocab_size = 600;
        config.text.width = 16;
        config.text.layers = 2;
        config.attention = attention;
        config.pooling = pooling;
        config
    }

    fn logits(model: &TextClassifier, rows: &[&[i32]]) -> Vec<f32> {
        let length = rows[0].len();
        let ids: Vec<i32> = rows.concat();
        let tokens = TensorData::new(ids, [rows.len(), length]);
        model
            .forward(Tensor::from_data(tokens, &Device::flex()))
            .try_into_vec_as::<f32>()
            .unwrap()
    }

    fn close(left: &[f32], right: &[f32]) -> bool {
        // Sums of at most 12 products a feature, in another order.
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
        left.len() == right.len() && left.iter().zip(right).all(close)
    }

    #[test]
    fn padding_and_neighbours_in_the_batch_change_nothing() {
        for attention in [TextAttention::Causal, TextAttention::Bidirectional] {
            for pooling in [TextPooling::End, TextPooling::Mean, TextPooling::MeanMax] {
                let model = config(attention, pooling).init(3, &Device::flex()).unwrap();
                let alone = logits(&model, &[&[598, 7, 300, 599]]);
                let padded = logits(
                    &model,
                    &[
                        &[598, 7, 300, 599, 0, 0, 0],
                        &[598, 9, 9, 500, 400, 80, 599],
                    ],
                );
                assert!(
                    close(&alone, &padded[..Emotion::COUNT]),
                    "{attention:?} {pooling:?}: {alone:?} {padded:?}"
                );
                assert!(!close(&alone, &padded[Emotion::COUNT..]));
            }
        }
    }

    #[test]
    fn only_bidirectional_attention_lets_a_token_see_the_ones_behind_it() {
        for (attention, expected) in [
            (TextAttention::Causal, true),
            (TextAttention::Bidirectional, false),
        ] {
            let model = config(attention, TextPooling::End)
                .init(3, &Device::flex())
                .unwrap();
            let device = Device::flex();
            let padding =
                Tensor::<2, Bool>::from_data(TensorData::new(vec![false; 3], [1, 3]), &device);
            let bias = model.attention_mask(padding, &device).additive();
            let hides_the_future = bias.try_into_vec_as::<f32>().unwrap()[1] < -1e8;
            assert_eq!(hides_the_future, expected);
        }
    }

    #[test]
    fn the_loss_is_the_cross_entropy_of_the_labels() {
        let device = Device::flex();
        let matrix = |values: [f32; 14]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), [2, 7]), &device)
        };
        let logits = [
            2.0, -1.0, 0.5, 0.0, 0.0, 1.0, -3.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7,
        ];
        // The first text has two labels.
        let labels = [
            1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0,
        ];
        let weights = [1.0, 1.0, 1.0, 2.0, 1.0, 3.0, 1.0];
        let tensor = Tensor::<1>::from_data(TensorData::new(weights.to_vec(), [7]), &device);
        let row = |from: usize| -> [f32; 7] { logits[from..from + 7].try_into().unwrap() };
        let softmax = [row(0), row(7)].map(|row| Objective::Softmax.probabilities(row));
        let expected =
            -(0.5 * softmax[0][0].ln() + 1.5 * softmax[0][5].ln() + 2.0 * softmax[1][3].ln()) / 2.0;
        let loss = Objective::Softmax
            .loss(matrix(logits), matrix(labels), tensor.clone())
            .into_scalar::<f32>();
        assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");

        let sigmoid = [row(0), row(7)].map(|row| Objective::Sigmoid.probabilities(row));
        let mut expected = 0.0;
        for (text, weight) in [(0, 2.0), (1, 2.0)] {
            for class in 0..7 {
                let probability = sigmoid[text][class];
                let label = labels[7 * text + class];
                expected -= weight
                    * (label * probability.ln() + (1.0 - label) * (1.0 - probability).ln())
                    / 2.0;
            }
        }
        let loss = Objective::Sigmoid
            .loss(matrix(logits), matrix(labels), tensor)
            .into_scalar::<f32>();
        assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    }

    #[test]
    fn probabilities_of_extreme_logits_are_finite() {
        let extreme = [1e4, -1e4, 0.0, 1e4, 0.0, 0.0, 0.0];
        for objective in [Objective::Softmax, Objective::Sigmoid] {
            let probabilities = objective.probabilities(extreme);
            assert!(
                probabilities.iter().all(|value| value.is_finite()),
                "{probabilities:?}"
            );
        }
        let sum: f32 = Objective::Softmax.probabilities(extreme).iter().sum();
        assert!((sum - 1.0).abs() < 1e-6);
    }
}
