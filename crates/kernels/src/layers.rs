//! Linear layers, patch embedding, LayerNorm and mask coverage.

use burn::tensor::Tensor;

use crate::reference;
use crate::{DeviceKernels, HalfWeights, Kernels};

/// What follows a matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// Nothing.
    None,
    /// `x Φ(x)`, by the error function.
    Gelu,
    /// `x σ(1.702 x)`.
    QuickGelu,
}

/// `act(x W + b) + residual`: `x` `[M, K]`, `weight` `[K, N]`, `bias` `[N]`, `residual` `[M, N]` to
/// `[M, N]`, differentiable in all of them.
///
/// # Panics
///
/// If the shapes disagree.
pub fn linear(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<2>>,
    activation: Activation,
) -> Tensor<2> {
    match DeviceKernels::of(&x.device()) {
        Some(kernels) => kernels.linear(x, weight, bias, residual, activation),
        None => reference::linear(x, weight, bias, residual, activation),
    }
}

/// As [`linear`], for weights that are stored in f16; sums are f32.
///
/// For inference: on an autodiff device the weights are unpacked by tensor operations, and the
/// gradient goes to the other operands.
///
/// # Panics
///
/// If the shapes disagree.
pub fn linear_half(
    x: Tensor<2>,
    weight: &HalfWeights,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<2>>,
    activation: Activation,
) -> Tensor<2> {
    match Kernels::of(&x.device()) {
        Some(kernels) => kernels.linear_half(x, weight, bias, residual, activation),
        None => reference::linear(x, weight.unpack(), bias, residual, activation),
    }
}

/// Embeds square patches: `images` `[B, C, S, S]`, `weight` `[W, C, P, P]` to `[B, (S/P)², W]`, as a
/// convolution with stride P and no bias, but without copying the patches out.
///
/// # Panics
///
/// If S is no multiple of P or the channels disagree.
pub fn patch_embedding(images: Tensor<4>, weight: Tensor<4>) -> Tensor<3> {
    match DeviceKernels::of(&images.device()) {
        Some(kernels) => kernels.patch_embedding(images, weight),
        None => reference::patch_embedding(images, weight),
    }
}

/// LayerNorm over the rows of `x` `[M, W]` with `gain` and `bias` `[W]`.
///
/// # Panics
///
/// If the widths disagree.
pub fn layer_norm(x: Tensor<2>, gain: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<2> {
    match DeviceKernels::of(&x.device()) {
        Some(kernels) => kernels.layer_norm(x, gain, bias, epsilon),
        None => reference::layer_norm(x, gain, bias, epsilon),
    }
}

/// Mean of masks `[B, S, S]` over patches of P × P pixels: `[B, (S/P)²]`.
///
/// # Panics
///
/// If S is no multiple of P.
pub fn patch_coverage(masks: Tensor<3>, patch: usize) -> Tensor<2> {
    match DeviceKernels::of(&masks.device()) {
        Some(kernels) => kernels.patch_coverage(masks, patch),
        None => reference::patch_coverage(masks, patch),
    }
}

#[cfg(any(feature = "cpu", feature = "wgpu", not(target_family = "wasm")))]
fn is_f32<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == burn::tensor::DType::F32
}

/// Those of the operations that the device's kernels have; f32 only, else the reference.
impl DeviceKernels {
    /// [`linear`] with these kernels.
    ///
    /// # Panics
    ///
    /// As [`linear`].
    pub fn linear(
        &self,
        x: Tensor<2>,
        weight: Tensor<2>,
        bias: Option<Tensor<1>>,
        residual: Option<Tensor<2>>,
        activation: Activation,
    ) -> Tensor<2> {
        match self {
            Self::Wgsl(kernels) => kernels.linear(x, weight, bias, residual, activation),
            #[cfg(any(feature = "cpu", not(target_family = "wasm")))]
            Self::Cpu if is_f32(&x) && is_f32(&weight) => {
                reference::check_linear(x.dims(), weight.dims(), &bias, &residual);
                crate::cpu::linear(x, weight, bias, residual, activation)
            }
            #[cfg(any(feature = "cpu", not(target_family = "wasm")))]
            Self::Cpu => reference::linear(x, weight, bias, residual, activation),
        }
    }

    /// [`patch_embedding`] with these kernels.
    ///
    /// # Panics
    ///
    /// As [`patch_embedding`].
    pub fn patch_embedding(&self, images: Tensor<4>, weight: Tensor<4>) -> Tensor<3> {
        match self {
            Self::Wgsl(kernels) => kernels.patch_embedding(images, weight),
            #[cfg(any(feature = "cpu", not(target_family = "wasm")))]
            Self::Cpu if is_f32(&images) && is_f32(&weight) => {
                reference::check_patches(images.dims(), weight.dims());
                crate::cpu::patch_embedding(images, weight)
            }
            #[cfg(any(feature = "cpu", not(target_family = "wasm")))]
            Self::Cpu => reference::patch_embedding(images, weight),
        }
    }

    /// [`layer_norm`] with these kernels.
    ///
    /// # Panics
    ///
    /// As [`layer_norm`].
    pub fn layer_norm(
        &self,
        x: Tensor<2>,
        gain: Tensor<1>,
        bias: Tensor<1>,
        epsilon: f64,
    ) -> Tensor<2> {
        match self {
            Self::Wgsl(kernels) => kernels.layer_norm(x, gain, bias, epsilon),
            #[cfg(any(feature = "cpu", not(target_family = "wasm")))]
            Self::Cpu if is_f32(&x) && is_f32(&gain) => {
                check_norm(&x, &gain, &bias);
                crate::cpu::layer_norm(x, gain, bias, epsilon)
            }
            #[cfg(any(feature = "cpu", not(target_family = "wasm")))]
            Self::Cpu => reference::layer_norm(x, gain, bias, epsilon),
        }
    }

    /// [`patch_coverage`] with these kernels.
    ///
    /// # Panics
    ///
    /// As [`patch_coverage`].
    pub fn patch_coverage(&self, masks: Tensor<3>, patch: usize) -> Tensor<2> {
        match self {
            Self::Wgsl(kernels) => kernels.patch_coverage(masks, patch),
            // One addition a pixel, once a frame.
            #[cfg(any(feature = "cpu", not(target_family = "wasm")))]
            Self::Cpu => reference::patch_coverage(masks, patch),
        }
    }
}

/// Refuses widths that disagree.
#[cfg(any(feature = "cpu", feature = "wgpu", not(target_family = "wasm")))]
fn check_norm(x: &Tensor<2>, gain: &Tensor<1>, bias: &Tensor<1>) {
    assert_eq!(
        [x.dims()[1]; 2],
        [gain.dims()[0], bias.dims()[0]],
        "width of the rows, gain and bias"
    );
}

/// One path for each operation: the kernels for f32, else the reference. Without the feature `wgpu`
/// nobody can make a value of this type, and the methods are the reference.
impl Kernels {
    /// [`linear`] with these kernels.
    ///
    /// # Panics
    ///
    /// As [`linear`].
    pub fn linear(
        &self,
        x: Tensor<2>,
        weight: Tensor<2>,
        bias: Option<Tensor<1>>,
        residual: Option<Tensor<2>>,
        activation: Activation,
    ) -> Tensor<2> {
        #[cfg(feature = "wgpu")]
        if is_f32(&x) && is_f32(&weight) {
            reference::check_linear(x.dims(), weight.dims(), &bias, &residual);
            return crate::backend::linear(*self, x, weight, bias, residual, activation);
        }
        reference::linear(x, weight, bias, residual, activation)
    }

    /// [`linear_half`] with these kernels.
    ///
    /// # Panics
    ///
    /// As [`linear`].
    pub fn linear_half(
        &self,
        x: Tensor<2>,
        weight: &HalfWeights,
        bias: Option<Tensor<1>>,
        residual: Option<Tensor<2>>,
        activation: Activation,
    ) -> Tensor<2> {
        #[cfg(feature = "wgpu")]
        if is_f32(&x) && weight.is_packed_in_words() && !crate::backend::tracks_gradients(&x) {
            reference::check_linear(x.dims(), weight.dims(), &bias, &residual);
            return crate::backend::linear_half(*self, x, weight, bias, residual, activation);
        }
        reference::linear(x, weight.unpack(), bias, residual, activation)
    }

    /// [`patch_embedding`] with these kernels.
    ///
    /// # Panics
    ///
    /// As [`patch_embedding`].
    pub fn patch_embedding(&self, images: Tensor<4>, weight: Tensor<4>) -> Tensor<3> {
        #[cfg(feature = "wgpu")]
        if is_f32(&images) && is_f32(&weight) {
            reference::check_patches(images.dims(), weight.dims());
            return crate::backend::patch_embedding(*self, images, weight);
        }
        reference::patch_embedding(images, weight)
    }

    /// [`layer_norm`] with these kernels.
    ///
    /// # Panics
    ///
    /// As [`layer_norm`].
    pub fn layer_norm(
        &self,
        x: Tensor<2>,
        gain: Tensor<1>,
        bias: Tensor<1>,
        epsilon: f64,
    ) -> Tensor<2> {
        #[cfg(feature = "wgpu")]
        if is_f32(&x) && is_f32(&gain) {
            check_norm(&x, &gain, &bias);
            return crate::backend::layer_norm(*self, x, gain, bias, epsilon);
        }
        reference::layer_norm(x, gain, bias, epsilon)
    }

    /// [`patch_coverage`] with these kernels.
    ///
    /// # Panics
    ///
    /// As [`patch_coverage`].
    pub fn patch_coverage(&self, masks: Tensor<3>, patch: usize) -> Tensor<2> {
        #[cfg(feature = "wgpu")]
        if is_f32(&masks) {
            reference::check_coverage(masks.dims(), patch);
            return crate::backend::patch_coverage(*self, masks, patch);
        }
        reference::patch_coverage(masks, patch)
    }
}
