//! Masked attention and the linear layers around it as hand-written WGSL, with gradients.
//!
//! Every operation is first a function of plain tensor calls in [`mod@reference`]: that is its
//! definition, what runs on devices that don't compile WGSL, and what the kernels are tested
//! against; a picture's resize is defined by `emotionclip::preprocess`. [`Kernels::of`] says whether a device has the kernels and with which tile sizes;
//! the functions here ask it and take one way or the other.
//!
//! | operation | function |
//! |---|---|
//! | attention: plain, key bias, causal, or SAAM's two streams | [`masked_attention`] |
//! | `act(x W + b) + residual` | [`linear`], [`linear_half`] for f16 weights |
//! | patch embedding | [`patch_embedding`] |
//! | LayerNorm | [`layer_norm`] |
//! | a mask's coverage of patches | [`patch_coverage`] |
//! | PIL's resize of a picture on the device | [`DevicePicture::resample`] |
//! | a stem's convolutions, batch normalisation and other layers with gradients on the CPU | [`TrainingKernels`] |
//!
//! Without the feature `wgpu` no device compiles WGSL. burn's CPU engine has its kernels natively, and in
//! a page by the feature `cpu`, or `relaxed-simd` for browsers that multiply and add at once. The feature
//! `fusion` must be set exactly where burn's own is: it says which of burn's types a WGSL device
//! computes with.
//!
//! The shaders lie in `shaders/`; `docs/kernels.md` describes them.

mod attention;
#[cfg(feature = "wgpu")]
mod backend;
#[cfg(feature = "wgpu")]
pub mod check;
mod choice;
#[cfg(any(feature = "cpu", not(target_family = "wasm")))]
mod cpu;
mod half_weights;
mod layers;
mod picture;
#[cfg(feature = "wgpu")]
#[cfg_attr(
    target_family = "wasm",
    allow(dead_code, reason = "a page computes no gradients")
)]
mod plan;
pub mod reference;
#[cfg(feature = "wgpu")]
mod shader;
#[cfg(feature = "wgpu")]
mod template;
mod training;

pub use attention::{AttentionMask, masked_attention};
pub use choice::{Choice, DeviceKernels, Kernels, SubgroupSizes, TileSet, UnknownChoice};
pub use half_weights::{HalfWeights, HalfWeightsError};
pub use layers::{Activation, layer_norm, linear, linear_half, patch_coverage, patch_embedding};
pub use picture::{DevicePicture, Resample, Taps};
pub use training::{
    BatchNormalised, TrainingKernels, reference_batch_norm_relu, reference_convolution,
};
