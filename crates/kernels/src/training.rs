//! Layers in training on the CPU: the 3×3 convolutions of a stem, batch normalisation with ReLU behind
//! it, attention, linear layers and LayerNorm.

use burn::tensor::module::{batch_norm_train, conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, activation};

#[cfg(not(target_family = "wasm"))]
use crate::choice::{Choice, choice};
use crate::{Activation, AttentionMask, reference};

/// The kernels of a device that has some with gradients besides WGSL's: burn's CPU engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainingKernels(());

/// What batch normalisation gives.
#[derive(Clone, Debug)]
pub struct BatchNormalised {
    /// `[N, H, W, C]`, after ReLU.
    pub output: Tensor<4>,
    /// The channels' means over the batch `[C]`, on the device without gradients.
    pub mean: Tensor<1>,
    /// Their biased variances `[C]`, as the means.
    pub variance: Tensor<1>,
}

impl TrainingKernels {
    /// The kernels to use on `device`, if it has any and they aren't switched off.
    pub fn of(device: &Device) -> Option<Self> {
        #[cfg(not(target_family = "wasm"))]
        return (choice() != Choice::Off && crate::cpu::training::computes_on(device))
            .then_some(Self(()));
        #[cfg(target_family = "wasm")]
        {
            let _ = device;
            None
        }
    }

    /// As [`masked_attention`](crate::masked_attention), for f32.
    ///
    /// # Panics
    ///
    /// If shapes disagree.
    pub fn masked_attention(&self, qkv: Tensor<3>, heads: usize, mask: AttentionMask) -> Tensor<3> {
        #[cfg(not(target_family = "wasm"))]
        if let Some(output) = crate::cpu::masked_attention(&qkv, heads, &mask) {
            return output;
        }
        reference::masked_attention(qkv, heads, mask)
    }

    /// As [`linear`](crate::linear), for f32.
    ///
    /// # Panics
    ///
    /// If the shapes disagree.
    pub fn linear(
        &self,
        x: Tensor<2>,
        weight: Tensor<2>,
        bias: Option<Tensor<1>>,
        residual: Option<Tensor<2>>,
        activation: Activation,
    ) -> Tensor<2> {
        reference::check_linear(x.dims(), weight.dims(), &bias, &residual);
        #[cfg(not(target_family = "wasm"))]
        return crate::cpu::training::linear(x, weight, bias, residual, activation);
        #[cfg(target_family = "wasm")]
        reference::linear(x, weight, bias, residual, activation)
    }

    /// As [`layer_norm`](crate::layer_norm), for f32.
    ///
    /// # Panics
    ///
    /// If the widths disagree.
    pub fn layer_norm(
        &self,
        x: Tensor<2>,
        gain: Tensor<1>,
        bias: Tensor<1>,
        epsilon: f64,
    ) -> Tensor<2> {
        let [_, width] = x.dims();
        assert_eq!([gain.dims(), bias.dims()], [[width]; 2], "widths");
        #[cfg(not(target_family = "wasm"))]
        return crate::cpu::training::layer_norm(x, gain, bias, epsilon);
        #[cfg(target_family = "wasm")]
        reference::layer_norm(x, gain, bias, epsilon)
    }

    /// As [`convolution`](reference_convolution), for f32.
    ///
    /// # Panics
    ///
    /// If the shapes disagree.
    pub fn convolution(&self, x: Tensor<4>, weight: Tensor<2>, stride: usize) -> Tensor<4> {
        check_convolution(&x, &weight, stride);
        #[cfg(not(target_family = "wasm"))]
        return crate::cpu::training::convolve(x, weight, stride);
        #[cfg(target_family = "wasm")]
        reference_convolution(x, weight, stride)
    }

    /// As [`batch_norm_relu`](reference_batch_norm_relu), for f32.
    ///
    /// # Panics
    ///
    /// If the widths disagree.
    pub fn batch_norm_relu(
        &self,
        x: Tensor<4>,
        gamma: Tensor<1>,
        beta: Tensor<1>,
        epsilon: f64,
    ) -> BatchNormalised {
        let [_, _, _, width] = x.dims();
        assert_eq!([gamma.dims(), beta.dims()], [[width]; 2], "channels");
        #[cfg(not(target_family = "wasm"))]
        {
            let (output, statistics) = crate::cpu::training::norm_relu(x, gamma, beta, epsilon);
            // Taken apart off the graph, which would keep a record of it for nobody.
            let statistics = statistics.inner();
            let row = |row| statistics.clone().narrow(0, row, 1).reshape([width]);
            BatchNormalised {
                output,
                mean: row(0),
                variance: row(1),
            }
        }
        #[cfg(target_family = "wasm")]
        reference_batch_norm_relu(x, gamma, beta, epsilon)
    }
}

fn check_convolution(x: &Tensor<4>, weight: &Tensor<2>, stride: usize) {
    let [_, height, width, channels] = x.dims();
    assert_eq!(weight.dims()[0], 9 * channels, "rows of the weights");
    assert!(stride > 0 && height > 0 && width > 0, "stride and picture");
}

/// The 3×3 convolution, with a border of one pixel of zeros, of `[N, H, W, C]` by weights `[9·C, O]`
/// whose rows are the neighbours in row order, each with its channels: `[N, ⌈H/stride⌉, ⌈W/stride⌉, O]`.
///
/// # Panics
///
/// If the shapes disagree.
pub fn reference_convolution(x: Tensor<4>, weight: Tensor<2>, stride: usize) -> Tensor<4> {
    check_convolution(&x, &weight, stride);
    let [_, _, _, input] = x.dims();
    let [_, output] = weight.dims();
    let weight = weight.reshape([3, 3, input, output]).permute([3, 2, 0, 1]);
    let options = ConvOptions::new([stride; 2], [1, 1], [1, 1], 1);
    conv2d(x.permute([0, 3, 1, 2]), weight, None, options).permute([0, 2, 3, 1])
}

/// Batch normalisation over all but the last dimension of `[N, H, W, C]`, by the batch's own mean and
/// biased variance, then `γ x + β` and ReLU.
///
/// # Panics
///
/// If the widths disagree.
pub fn reference_batch_norm_relu(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> BatchNormalised {
    let normalised = batch_norm_train(x.permute([0, 3, 1, 2]), gamma, beta, epsilon);
    BatchNormalised {
        output: activation::relu(normalised.output.permute([0, 2, 3, 1])),
        mean: normalised.mean.inner(),
        variance: normalised.variance.inner(),
    }
}
