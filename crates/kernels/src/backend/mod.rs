//! The kernels as operations of burn's back ends.
//!
//! Only f32 tensors on devices that compile WGSL come here; the functions at the end are called by
//! [`Kernels`](crate::Kernels), which stands for such a device.
//!
//! For wasm32 the gradients are left out: a page computes none, and waits for every byte.

#[cfg(not(target_family = "wasm"))]
mod autodiff;
#[cfg_attr(
    target_family = "wasm",
    allow(dead_code, reason = "a page computes no gradients")
)]
mod cube;
mod launch;
#[cfg(target_family = "wasm")]
mod share;

pub(crate) use launch::Adapter;
#[cfg(target_family = "wasm")]
pub(crate) use share::buffer;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{Int, Tensor};

use crate::picture::ResamplePlan;
use crate::plan::{AttentionPlan, LinearPlan, MaskKind, Patches, SubjectPlan, Weights};
use crate::{Activation, AttentionMask, HalfWeights, Kernels};

/// LayerNorm over rows, as an argument.
#[derive(Clone, Copy, Debug)]
pub struct LayerNormPlan {
    kernels: Kernels,
    epsilon: f64,
}

/// Coverage of patches, as an argument.
#[derive(Clone, Copy, Debug)]
pub struct CoveragePlan {
    kernels: Kernels,
    patch: usize,
}

/// What one call of each kernel or group of kernels computes.
///
/// Operands that a plan has no use for are any tensor of the device and are not read.
#[cfg_attr(
    target_family = "wasm",
    allow(dead_code, reason = "a page computes no gradients")
)]
#[backend_extension(
    Autodiff: cfg(not(target_family = "wasm")),
    Cube,
    Fusion: cfg(feature = "fusion")
)]
pub trait KernelBackend: Backend {
    /// Attention with one softmax: output `[B, N, W]` and statistics `[B, heads, N, 2]`.
    #[fusion(meta = shapes::attention)]
    fn attend(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: AttentionPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The gradient of `qkv`.
    #[fusion(meta = shapes::attention_backward)]
    fn attend_backward(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mixed: FloatTensor<Self>,
        stats: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: AttentionPlan,
    ) -> FloatTensor<Self>;

    /// SAAM's attention: the output, and where the plan saves them U V - V and the statistics of U and
    /// S, all as [`Self::attend`].
    #[fusion(meta = shapes::subject)]
    fn subject(
        qkv: FloatTensor<Self>,
        outside: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        plan: SubjectPlan,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );

    /// The gradients of `qkv`, as far as it doesn't pass through U, of `detours`, which is U V - V, and
    /// of `gate`.
    #[fusion(meta = shapes::mix_backward)]
    fn mix_backward(
        qkv: FloatTensor<Self>,
        detours: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        mixed: FloatTensor<Self>,
        stats: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: AttentionPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// `act(x W + b) + residual` `[M, N]`, and where the plan saves it the activation's input.
    #[fusion(meta = shapes::project)]
    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        plan: LinearPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// As [`Self::project`] with packed halves; has no gradient.
    #[fusion(meta = shapes::project_half)]
    fn project_half(
        x: FloatTensor<Self>,
        weight: IntTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        plan: LinearPlan,
    ) -> FloatTensor<Self>;

    /// LayerNorm `[M, W]`, and the rows' means and inverse deviations `[M, 2]`.
    #[fusion(meta = shapes::layer_norm)]
    fn normalise(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: LayerNormPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Coverage `[B, m]` of masks `[B, S, S]`.
    #[fusion(meta = shapes::coverage)]
    fn cover(masks: FloatTensor<Self>, plan: CoveragePlan) -> FloatTensor<Self>;

    /// A frame `[3, S, S]` from a picture's words, and its mask `[S, S]` where the plan has one; has
    /// no gradient.
    #[fusion(meta = shapes::resample)]
    fn resample(
        pixels: IntTensor<Self>,
        table: IntTensor<Self>,
        plan: ResamplePlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Output shapes, known before a kernel runs.
#[cfg(feature = "fusion")]
mod shapes {
    use burn::backend::fusion::custom::TensorSpec as Spec;
    use burn::tensor::{DType, Shape};

    use super::{
        AttentionPlan, CoveragePlan, LayerNormPlan, LinearPlan, ResamplePlan, SubjectPlan,
    };

    fn spec<const D: usize>(like: &Spec, shape: [usize; D]) -> Spec {
        Spec::new(Shape::from(shape), like.dtype)
    }

    pub(super) fn attention(qkv: &Spec, _: &Spec, plan: &AttentionPlan) -> (Spec, Spec) {
        let (batch, tokens) = (qkv.shape[0], qkv.shape[1]);
        (
            spec(qkv, [batch, tokens, plan.heads * plan.head_width]),
            spec(qkv, [batch, plan.heads, tokens, 2]),
        )
    }

    pub(super) fn attention_backward(
        qkv: &Spec,
        _: &Spec,
        _: &Spec,
        _: &Spec,
        _: &Spec,
        _: &AttentionPlan,
    ) -> Spec {
        qkv.clone()
    }

    pub(super) fn subject(
        qkv: &Spec,
        _: &Spec,
        _: &Spec,
        plan: &SubjectPlan,
    ) -> (Spec, Spec, Spec, Spec) {
        let (mixed, stats) = attention(qkv, qkv, &plan.masked());
        if plan.save {
            return (mixed.clone(), mixed, stats.clone(), stats);
        }
        let [detours, stats] = [spec(qkv, [1, 1, 1]), spec(qkv, [1, 1, 1, 1])];
        (mixed, detours, stats.clone(), stats)
    }

    pub(super) fn mix_backward(
        qkv: &Spec,
        detours: &Spec,
        gate: &Spec,
        _: &Spec,
        _: &Spec,
        _: &Spec,
        _: &AttentionPlan,
    ) -> (Spec, Spec, Spec) {
        (qkv.clone(), detours.clone(), gate.clone())
    }

    pub(super) fn project(
        x: &Spec,
        _: &Spec,
        _: &Spec,
        _: &Spec,
        plan: &LinearPlan,
    ) -> (Spec, Spec) {
        let saved = if plan.save {
            [plan.rows, plan.width]
        } else {
            [1, 1]
        };
        (spec(x, [plan.rows, plan.width]), spec(x, saved))
    }

    pub(super) fn project_half(x: &Spec, _: &Spec, _: &Spec, _: &Spec, plan: &LinearPlan) -> Spec {
        spec(x, [plan.rows, plan.width])
    }

    pub(super) fn layer_norm(x: &Spec, _: &Spec, _: &Spec, _: &LayerNormPlan) -> (Spec, Spec) {
        (x.clone(), spec(x, [x.shape[0], 2]))
    }

    pub(super) fn coverage(masks: &Spec, plan: &CoveragePlan) -> Spec {
        let grid = masks.shape[1] / plan.patch;
        spec(masks, [masks.shape[0], grid * grid])
    }

    pub(super) fn resample(_: &Spec, _: &Spec, plan: &ResamplePlan) -> (Spec, Spec) {
        let spec = |shape: &[usize]| Spec::new(Shape::from(shape.to_vec()), DType::F32);
        (
            spec(&[3, plan.side, plan.side]),
            spec(&[plan.mask_side(), plan.mask_side()]),
        )
    }
}

/// Whether operations on the tensor are recorded for a backward pass. For wasm32 no such device has
/// kernels.
pub(crate) fn tracks_gradients<const D: usize>(tensor: &Tensor<D>) -> bool {
    #[cfg(not(target_family = "wasm"))]
    return matches!(
        tensor.device().as_dispatch(),
        burn::backend::DispatchDevice::Autodiff(_)
    );
    #[cfg(target_family = "wasm")]
    {
        let _ = tensor;
        false
    }
}

pub(crate) fn masked_attention(
    kernels: Kernels,
    qkv: Tensor<3>,
    heads: usize,
    mask: AttentionMask,
) -> Tensor<3> {
    let head_width = qkv.dims()[2] / (3 * heads);
    let attend = |bias: Option<Tensor<2>>, mask| {
        let plan = AttentionPlan {
            kernels,
            heads,
            head_width,
            mask,
            mix: false,
        };
        let qkv = qkv.clone().into_dispatch();
        let bias = bias.map_or_else(|| qkv.clone(), Tensor::into_dispatch);
        Tensor::from_dispatch(Dispatch::attend(qkv, bias, plan).0)
    };
    match mask {
        AttentionMask::None => attend(None, MaskKind::None),
        AttentionMask::Causal => attend(None, MaskKind::Causal),
        AttentionMask::KeyBias(bias) => attend(Some(bias), MaskKind::KeyBias),
        AttentionMask::Subject { outside, gate } => {
            let plan = SubjectPlan {
                kernels,
                heads,
                head_width,
                save: false,
            };
            let (mixed, ..) = Dispatch::subject(
                qkv.into_dispatch(),
                outside.into_dispatch(),
                gate.into_dispatch(),
                plan,
            );
            Tensor::from_dispatch(mixed)
        }
    }
}

pub(crate) fn linear(
    kernels: Kernels,
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<2>>,
    activation: Activation,
) -> Tensor<2> {
    let [rows, depth] = x.dims();
    let plan = LinearPlan {
        activation,
        bias: bias.is_some(),
        residual: residual.is_some(),
        ..LinearPlan::product(kernels, [rows, depth, weight.dims()[1]])
    };
    let x = x.into_dispatch();
    let bias = bias.map_or_else(|| x.clone(), Tensor::into_dispatch);
    let residual = residual.map_or_else(|| x.clone(), Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::project(x, weight.into_dispatch(), bias, residual, plan).0)
}

pub(crate) fn linear_half(
    kernels: Kernels,
    x: Tensor<2>,
    weight: &HalfWeights,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<2>>,
    activation: Activation,
) -> Tensor<2> {
    let [rows, depth] = x.dims();
    let plan = LinearPlan {
        activation,
        weights: Weights::Half,
        bias: bias.is_some(),
        residual: residual.is_some(),
        ..LinearPlan::product(kernels, [rows, depth, weight.dims()[1]])
    };
    let x = x.into_dispatch();
    let bias = bias.map_or_else(|| x.clone(), Tensor::into_dispatch);
    let residual = residual.map_or_else(|| x.clone(), Tensor::into_dispatch);
    let packed = weight.packed().into_dispatch();
    Tensor::from_dispatch(Dispatch::project_half(x, packed, bias, residual, plan))
}

pub(crate) fn patch_embedding(kernels: Kernels, images: Tensor<4>, weight: Tensor<4>) -> Tensor<3> {
    let [count, channels, side, _] = images.dims();
    let [width, _, patch, _] = weight.dims();
    let grid = side / patch;
    let depth = channels * patch * patch;
    let plan = LinearPlan {
        weights: Weights::Transposed,
        patches: Some(Patches {
            channels,
            side,
            patch,
        }),
        ..LinearPlan::product(kernels, [count * grid * grid, depth, width])
    };
    let images = images.into_dispatch();
    let weight = weight.reshape([width, depth]).into_dispatch();
    let (rows, _) = Dispatch::project(images.clone(), weight, images.clone(), images, plan);
    Tensor::<2>::from_dispatch(rows).reshape([count, grid * grid, width])
}

pub(crate) fn layer_norm(
    kernels: Kernels,
    x: Tensor<2>,
    gain: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<2> {
    let (normed, _) = Dispatch::normalise(
        x.into_dispatch(),
        gain.into_dispatch(),
        bias.into_dispatch(),
        LayerNormPlan { kernels, epsilon },
    );
    Tensor::from_dispatch(normed)
}

pub(crate) fn resample(
    pixels: Tensor<1, Int>,
    plan: ResamplePlan,
    table: Tensor<1, Int>,
) -> (Tensor<3>, Tensor<2>) {
    let (frame, mask) = Dispatch::resample(pixels.into_dispatch(), table.into_dispatch(), plan);
    (Tensor::from_dispatch(frame), Tensor::from_dispatch(mask))
}

pub(crate) fn patch_coverage(kernels: Kernels, masks: Tensor<3>, patch: usize) -> Tensor<2> {
    let plan = CoveragePlan { kernels, patch };
    Tensor::from_dispatch(Dispatch::cover(masks.into_dispatch(), plan))
}
