//! EmoCLIP's temporal transformer: frame features to one clip feature, read at a class token.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Tensor, activation};

use super::EmoClipTemporalConfig;
use crate::nn::{Init, ParameterInit, attend, normalise, project};

/// `x + to_out(attention(norm(x)))`, with heads of a width of their own.
#[derive(Module, Debug)]
pub struct PreNormAttention {
    norm: LayerNorm,
    to_qkv: Linear,
    to_out: Linear,
    heads: usize,
    head_width: usize,
}

/// `x + output(gelu(hidden(norm(x))))`, with GELU by its tanh formula.
#[derive(Module, Debug)]
pub struct PreNormFeedForward {
    norm: LayerNorm,
    hidden: Linear,
    output: Linear,
}

/// One block.
#[derive(Module, Debug)]
pub struct PreNormLayer {
    attention: PreNormAttention,
    feed_forward: PreNormFeedForward,
}

/// A class token and learned positions, pre-norm blocks, and the class token's output; no norm
/// behind the last block.
#[derive(Module, Debug)]
pub struct TemporalTransformer {
    cls_token: Param<Tensor<3>>,
    pos_embedding: Param<Tensor<3>>,
    layers: Vec<PreNormLayer>,
    #[module(skip)]
    config: EmoClipTemporalConfig,
}

impl EmoClipTemporalConfig {
    /// Creates the transformer over tokens of `width` with fresh parameters.
    pub fn init(&self, width: usize, init: &mut ParameterInit) -> TemporalTransformer {
        TemporalTransformer {
            cls_token: init.parameter([1, 1, width], Init::Normal(1.0)),
            pos_embedding: init.parameter([1, self.positions, width], Init::Normal(1.0)),
            layers: (0..self.layers)
                .map(|_| self.init_layer(width, init))
                .collect(),
            config: self.clone(),
        }
    }

    fn init_layer(&self, width: usize, init: &mut ParameterInit) -> PreNormLayer {
        let inner = self.heads * self.head_width;
        let bound = 1.0 / (width as f64).sqrt();
        PreNormLayer {
            attention: PreNormAttention {
                norm: init.layer_norm(width),
                to_qkv: Linear {
                    weight: init.parameter([width, 3 * inner], Init::Uniform(bound)),
                    bias: None,
                },
                to_out: init.linear(inner, width),
                heads: self.heads,
                head_width: self.head_width,
            },
            feed_forward: PreNormFeedForward {
                norm: init.layer_norm(width),
                hidden: init.linear(width, self.feed_forward),
                output: init.linear(self.feed_forward, width),
            },
        }
    }
}

impl PreNormAttention {
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, _] = input.dims();
        let (heads, head_width) = (self.heads, self.head_width);
        let inner = heads * head_width;
        let joint = project(
            &self.to_qkv,
            normalise(&self.norm, input.clone()),
            None,
            None,
        );
        if let Some(mixed) = attend(&joint, heads, None, None) {
            return project(&self.to_out, mixed, None, Some(input));
        }
        let [query, key, value] = [0, 1, 2].map(|part| {
            joint
                .clone()
                .narrow(2, part * inner, inner)
                .reshape([batch, tokens, heads, head_width])
                .swap_dims(1, 2)
        });
        let scale = 1.0 / (head_width as f64).sqrt();
        let scores = query.matmul(key.swap_dims(2, 3)) * scale;
        let mixed = activation::softmax(scores, 3)
            .matmul(value)
            .swap_dims(1, 2)
            .reshape([batch, tokens, inner]);
        input + self.to_out.forward(mixed)
    }
}

impl PreNormFeedForward {
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let hidden = project(
            &self.hidden,
            normalise(&self.norm, input.clone()),
            None,
            None,
        );
        project(&self.output, tanh_gelu(hidden), None, Some(input))
    }
}

/// `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
///
/// Burn's `gelu_approximate` cubes by `powf`, which WGSL leaves undefined for negative numbers.
fn tanh_gelu(input: Tensor<3>) -> Tensor<3> {
    let scale = (2.0 / core::f64::consts::PI).sqrt();
    let cube = input.clone().square() * input.clone();
    let gate = ((input.clone() + cube * 0.044_715) * scale).tanh() + 1.0;
    input * gate * 0.5
}

impl TemporalTransformer {
    /// The configuration that the transformer was built from.
    pub fn config(&self) -> &EmoClipTemporalConfig {
        &self.config
    }

    /// The longest clip that can be encoded, in frames.
    pub fn max_frames(&self) -> usize {
        self.config.positions - 1
    }

    /// Fuses frame features `[B, T, E]` to clip features `[B, E]`, not normalised. A clip may have
    /// any number of frames up to [`max_frames`](Self::max_frames).
    ///
    /// # Panics
    ///
    /// If the clip is longer; callers check what users supply.
    pub fn forward(&self, features: Tensor<3>) -> Tensor<2> {
        let [batch, frames, width] = features.dims();
        let class_token = self.cls_token.val().expand([batch, 1, width]);
        let positions = self.pos_embedding.val().narrow(1, 0, frames + 1);
        let mut hidden = Tensor::cat(vec![class_token, features], 1) + positions;
        for layer in &self.layers {
            hidden = layer.feed_forward.forward(layer.attention.forward(hidden));
        }
        hidden.narrow(1, 0, 1).reshape([batch, width])
    }
}
