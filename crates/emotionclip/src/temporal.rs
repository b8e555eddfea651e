//! The temporal encoder: frame features to one clip feature.

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::nn::{Dropout, DropoutConfig, LayerNorm, Linear};
use burn::tensor::Tensor;

use crate::config::{Activation, TemporalConfig, TemporalFusion};
use crate::nn::{Attention, Init, ParameterInit, normalise, project};

/// `torch.nn.TransformerEncoderLayer` with `norm_first = False` and exact GELU.
#[derive(Module, Debug)]
pub struct PostNormLayer {
    self_attn: Attention,
    linear1: Linear,
    linear2: Linear,
    norm1: LayerNorm,
    norm2: LayerNorm,
    dropout: Dropout,
}

impl PostNormLayer {
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let dropout = Some(&self.dropout);
        let attended = self
            .self_attn
            .forward(input.clone(), None, None, dropout, None, None);
        let hidden = normalise(&self.norm1, input + self.dropout.forward(attended));
        let inner = project(&self.linear1, hidden.clone(), Some(Activation::Gelu), None);
        let outer = project(&self.linear2, self.dropout.forward(inner), None, None);
        normalise(&self.norm2, hidden + self.dropout.forward(outer))
    }
}

/// The layers and the final LayerNorm of `torch.nn.TransformerEncoder`.
#[derive(Module, Debug)]
pub struct FusionTransformer {
    layers: Vec<PostNormLayer>,
    norm: LayerNorm,
}

/// Fuses the features of `T` frames.
#[derive(Module, Debug)]
pub struct TemporalEncoder {
    frame_position_embedding: Option<Param<Tensor<2>>>,
    transformer: Option<FusionTransformer>,
    convolution: Option<Param<Tensor<3>>>,
    #[module(skip)]
    config: TemporalConfig,
}

/// Gives every parameter an identity of its own; clones would share it and so their gradients.
struct NewIdentity;

impl ModuleMapper for NewIdentity {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (_, tensor, mapper) = param.consume();
        Param::from_mapped_value(ParamId::new(), tensor, mapper)
    }
}

impl TemporalConfig {
    /// Creates the encoder with fresh parameters.
    ///
    /// All layers start equal, as in the release, where they are deep copies of one.
    pub fn init(&self, embed_dim: usize, init: &mut ParameterInit) -> TemporalEncoder {
        let transformer = self.fusion == TemporalFusion::Transformer;
        let convolution = self.fusion == TemporalFusion::Conv1d;
        TemporalEncoder {
            frame_position_embedding: transformer
                .then(|| init.parameter([self.frames, embed_dim], Init::Normal(1.0))),
            transformer: transformer.then(|| self.init_transformer(embed_dim, init)),
            // A depthwise kernel of 3 has a fan-in of 3.
            convolution: convolution
                .then(|| init.parameter([embed_dim, 1, 3], Init::Uniform(1.0 / 3.0_f64.sqrt()))),
            config: self.clone(),
        }
    }

    fn init_transformer(&self, width: usize, init: &mut ParameterInit) -> FusionTransformer {
        let first = PostNormLayer {
            self_attn: Attention::new(width, self.heads, init),
            linear1: init.linear(width, self.feed_forward),
            linear2: init.linear(self.feed_forward, width),
            norm1: init.layer_norm(width),
            norm2: init.layer_norm(width),
            dropout: DropoutConfig::new(self.dropout).init(),
        };
        FusionTransformer {
            layers: (0..self.layers)
                .map(|_| first.clone().map(&mut NewIdentity))
                .collect(),
            norm: init.layer_norm(width),
        }
    }
}

impl TemporalEncoder {
    /// The configuration that the encoder was built from.
    pub fn config(&self) -> &TemporalConfig {
        &self.config
    }

    /// Fuses frame features `[B, T, E]` to clip features `[B, E]`, not normalised.
    ///
    /// # Panics
    ///
    /// If `T` differs from the configured number of frames and the fusion is the transformer, whose
    /// positions are learned for exactly that many; callers check what users supply.
    pub fn forward(&self, features: Tensor<3>) -> Tensor<2> {
        let [batch, frames, width] = features.dims();
        let fused = if let Some(kernel) = &self.convolution {
            depthwise_convolution(features, kernel.val())
        } else if let (Some(positions), Some(transformer)) =
            (&self.frame_position_embedding, &self.transformer)
        {
            // A single frame would otherwise be broadcast over all positions.
            assert_eq!(frames, self.config.frames, "frames a clip");
            let mut hidden = features.clone() + positions.val().unsqueeze_dim::<3>(0);
            for layer in &transformer.layers {
                hidden = layer.forward(hidden);
            }
            normalise(&transformer.norm, hidden) + features
        } else {
            features
        };
        fused.mean_dim(1).reshape([batch, width])
    }
}

/// Kernel-3 depthwise convolution over time without padding: `[B, T, E]` and `[E, 1, 3]` to
/// `[B, T − 2, E]`, as three shifted products.
fn depthwise_convolution(features: Tensor<3>, kernel: Tensor<3>) -> Tensor<3> {
    let [_, frames, width] = features.dims();
    let kept = frames - 2;
    let tap = |offset: usize| {
        let weight = kernel.clone().narrow(2, offset, 1).reshape([1, 1, width]);
        features.clone().narrow(1, offset, kept) * weight
    };
    tap(0) + tap(1) + tap(2)
}
