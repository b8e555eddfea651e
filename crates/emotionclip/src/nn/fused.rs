//! The hot path: by the project's own kernels where a device has them, by burn's operations elsewhere.
//!
//! This is the one place that decides. What runs without kernels is burn's own modules, operation by
//! operation, so those devices compute the same bits as if there were no kernels at all.

use burn::module::Param;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{DType, Tensor};
use emotionclip_kernels::{self as kernels, AttentionMask, DeviceKernels, TrainingKernels};

use super::LAYER_NORM_EPSILON;
use super::attention::SubjectStream;
use crate::config::Activation;

/// The kernels of a transformer's layers, where a device has some.
#[derive(Clone, Copy)]
enum LayerKernels {
    /// The device's own.
    Device(DeviceKernels),
    /// Those of training on the CPU.
    Training(TrainingKernels),
}

impl LayerKernels {
    fn of(input: &Tensor<3>) -> Option<Self> {
        let device = DeviceKernels::of(&input.device()).map(Self::Device);
        device.or_else(|| training(input).map(Self::Training))
    }
}

/// The kernels of training on the CPU, which are for f32.
fn training<const D: usize>(input: &Tensor<D>) -> Option<TrainingKernels> {
    TrainingKernels::of(&input.device()).filter(|_| input.dtype() == DType::F32)
}

/// The kernels of a convolutional stem, where the device of its pictures has some.
pub(crate) fn stem_kernels(pictures: &Tensor<4>) -> Option<TrainingKernels> {
    training(pictures)
}

/// An additive mask of attention scores, and what it means.
#[derive(Clone, Debug)]
pub(crate) enum ScoreMask {
    /// `[1, 1, N, N]`: a token sees itself and those before it.
    Causal(Tensor<4>),
    /// `[B, 1, 1, N]`: some keys are hidden from all queries.
    Keys(Tensor<4>),
}

impl ScoreMask {
    /// What is added to scores `[B, heads, N, N]`.
    pub(crate) fn additive(&self) -> Tensor<4> {
        match self {
            Self::Causal(mask) | Self::Keys(mask) => mask.clone(),
        }
    }
}

/// `act(x W + b) + residual` for tokens `[B, N, W]`.
pub(crate) fn project(
    layer: &Linear,
    input: Tensor<3>,
    activation: Option<Activation>,
    residual: Option<Tensor<3>>,
) -> Tensor<3> {
    let Some(kernels) = LayerKernels::of(&input) else {
        let output = layer.forward(input);
        let output = match activation {
            Some(activation) => activation.forward(output),
            None => output,
        };
        return match residual {
            Some(residual) => residual + output,
            None => output,
        };
    };
    let [batch, tokens, width] = input.dims();
    let weight = layer.weight.val();
    let [_, output_width] = weight.dims();
    let rows = batch * tokens;
    let input = input.reshape([rows, width]);
    let bias = layer.bias.as_ref().map(Param::val);
    let residual = residual.map(|residual| residual.reshape([rows, output_width]));
    let activation = match activation {
        None => kernels::Activation::None,
        Some(Activation::Gelu) => kernels::Activation::Gelu,
        Some(Activation::QuickGelu) => kernels::Activation::QuickGelu,
    };
    let output = match kernels {
        LayerKernels::Device(kernels) => kernels.linear(input, weight, bias, residual, activation),
        LayerKernels::Training(kernels) => {
            kernels.linear(input, weight, bias, residual, activation)
        }
    };
    output.reshape([batch, tokens, output_width])
}

/// LayerNorm of tokens `[B, N, W]`.
pub(crate) fn normalise(layer: &LayerNorm, input: Tensor<3>) -> Tensor<3> {
    let (Some(kernels), Some(bias)) = (LayerKernels::of(&input), &layer.beta) else {
        return layer.forward(input);
    };
    let [batch, tokens, width] = input.dims();
    let rows = input.reshape([batch * tokens, width]);
    let (gain, bias) = (layer.gamma.val(), bias.val());
    let normed = match kernels {
        LayerKernels::Device(kernels) => kernels.layer_norm(rows, gain, bias, LAYER_NORM_EPSILON),
        LayerKernels::Training(kernels) => kernels.layer_norm(rows, gain, bias, LAYER_NORM_EPSILON),
    };
    normed.reshape([batch, tokens, width])
}

/// Attention on a joint projection `[B, N, 3·W]`, where the device has kernels.
pub(crate) fn attend(
    joint: &Tensor<3>,
    heads: usize,
    mask: Option<&ScoreMask>,
    subject: Option<&SubjectStream<'_>>,
) -> Option<Tensor<3>> {
    let kernels = LayerKernels::of(joint)?;
    let [batch, tokens, _] = joint.dims();
    let mask = match (subject, mask) {
        (Some(SubjectStream { gate, outside, .. }), None) => AttentionMask::Subject {
            outside: outside.clone(),
            gate: gate.a.val(),
        },
        // No encoder has a mask beside a subject; the kernels neither.
        (Some(_), Some(_)) => return None,
        (None, None) => AttentionMask::None,
        (None, Some(ScoreMask::Causal(_))) => AttentionMask::Causal,
        (None, Some(ScoreMask::Keys(mask))) => {
            let keys = mask.clone().reshape([-1, tokens as i32]);
            AttentionMask::KeyBias(keys.expand([batch, tokens]))
        }
    };
    let joint = joint.clone();
    Some(match kernels {
        LayerKernels::Device(kernels) => kernels.masked_attention(joint, heads, mask),
        LayerKernels::Training(kernels) => kernels.masked_attention(joint, heads, mask),
    })
}

/// Embeddings `[B, m, W]` of square patches, where the device has kernels.
pub(crate) fn patch_embedding(images: &Tensor<4>, weight: Tensor<4>) -> Option<Tensor<3>> {
    let kernels = DeviceKernels::of(&images.device())?;
    Some(kernels.patch_embedding(images.clone(), weight))
}

/// Coverage `[B, m]` of patches by masks `[B, S, S]`, where the device has kernels.
pub(crate) fn patch_coverage(masks: &Tensor<3>, patch: usize) -> Option<Tensor<2>> {
    let kernels = DeviceKernels::of(&masks.device())?;
    Some(kernels.patch_coverage(masks.clone(), patch))
}
