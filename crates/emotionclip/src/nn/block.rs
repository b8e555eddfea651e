//! CLIP's pre-norm transformer block.

use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;

use super::attention::SubjectStream;
use super::{Attention, Init, ParameterInit, ScoreMask, normalise, project};
use crate::config::{Activation, VisionInit};

/// `c_proj(act(c_fc(x)))`.
#[derive(Module, Debug)]
pub struct FeedForward {
    c_fc: Linear,
    c_proj: Linear,
    #[module(skip)]
    activation: Activation,
}

impl FeedForward {
    fn forward(&self, input: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let hidden = project(&self.c_fc, input, Some(self.activation), None);
        project(&self.c_proj, hidden, None, Some(residual))
    }
}

/// `x + attn(ln_1(x))`, then `x + mlp(ln_2(x))`.
#[derive(Module, Debug)]
pub struct ResidualAttentionBlock {
    attn: Attention,
    ln_1: LayerNorm,
    mlp: FeedForward,
    ln_2: LayerNorm,
}

impl ResidualAttentionBlock {
    /// A block of the frame encoder; feed-forward parts start as PyTorch's own layers do.
    pub fn new(
        width: usize,
        heads: usize,
        mlp_ratio: usize,
        activation: Activation,
        start: VisionInit,
        init: &mut ParameterInit,
    ) -> Self {
        let attn = match start {
            VisionInit::Random => Attention::new(width, heads, init),
            VisionInit::Mimetic => Attention::new_comparing(width, heads, init),
        };
        Self {
            attn,
            ln_1: init.layer_norm(width),
            mlp: FeedForward {
                c_fc: init.linear(width, mlp_ratio * width),
                c_proj: init.linear(mlp_ratio * width, width),
                activation,
            },
            ln_2: init.layer_norm(width),
        }
    }

    /// A block of the text encoder, initialised as CLIP does: residual branches are damped by the
    /// depth.
    pub fn new_text(
        width: usize,
        heads: usize,
        layers: usize,
        activation: Activation,
        init: &mut ParameterInit,
    ) -> Self {
        let attention_deviation = (width as f64).powf(-0.5);
        let projection_deviation = attention_deviation * (2.0 * layers as f64).powf(-0.5);
        let hidden_deviation = (2.0 * width as f64).powf(-0.5);
        let hidden = 4 * width;
        let hidden_bias = Init::Uniform((width as f64).powf(-0.5));
        let out_bias = Init::Uniform((hidden as f64).powf(-0.5));
        let projection = Init::Normal(projection_deviation);
        Self {
            attn: Attention::with_normal_weights(
                width,
                heads,
                attention_deviation,
                projection_deviation,
                init,
            ),
            ln_1: init.layer_norm(width),
            mlp: FeedForward {
                c_fc: init.linear_with(width, hidden, Init::Normal(hidden_deviation), hidden_bias),
                c_proj: init.linear_with(hidden, width, projection, out_bias),
                activation,
            },
            ln_2: init.layer_norm(width),
        }
    }

    /// Runs the block on `[B, N, W]`; `mask`, `subject` and `maps` as in the attention.
    pub(crate) fn forward(
        &self,
        input: Tensor<3>,
        mask: Option<&ScoreMask>,
        subject: Option<SubjectStream<'_>>,
        maps: Option<&mut Vec<Tensor<4>>>,
    ) -> Tensor<3> {
        let normed = normalise(&self.ln_1, input.clone());
        let hidden = self
            .attn
            .forward(normed, mask, subject, None, maps, Some(input));
        let normed = normalise(&self.ln_2, hidden.clone());
        self.mlp.forward(normed, hidden)
    }
}
