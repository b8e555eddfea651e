//! Masked attention as an operation of burn's CPU engine; its gradient is in `training`.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use super::attention::{Attention, Hidden};
use super::{numbers, zeros};
use crate::AttentionMask;
use crate::reference::check_attention;

/// Which keys a query doesn't see.
#[derive(Clone, Copy, Debug)]
enum Mask {
    None,
    KeyBias,
    Causal,
}

/// What attention consists of.
#[derive(Clone, Copy, Debug)]
pub struct CpuAttentionPlan {
    pub(super) heads: usize,
    mask: Mask,
}

/// Operations on f32 tensors. A key bias that isn't there is any tensor and is not read.
#[backend_extension(Autodiff: cfg(not(target_family = "wasm")), Flex)]
pub trait CpuAttention: Backend {
    /// From a projection `[B, N, 3·W]` and a key bias `[B, N]` to `[B, N, W]`.
    fn cpu_attention(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: CpuAttentionPlan,
    ) -> FloatTensor<Self>;
}

/// What attention over these tensors is.
pub(super) fn attention<'a>(
    qkv: &'a FloatTensor<Flex>,
    bias: Option<&'a FloatTensor<Flex>>,
    plan: CpuAttentionPlan,
) -> Attention<'a> {
    let shape = qkv.layout().shape();
    Attention {
        qkv: numbers(qkv),
        tokens: shape[1],
        width: shape[2] / 3,
        heads: plan.heads,
        hidden: match (plan.mask, bias) {
            (Mask::KeyBias, Some(bias)) => Hidden::Bias(numbers(bias)),
            (Mask::Causal, _) => Hidden::Future,
            (Mask::None | Mask::KeyBias, _) => Hidden::Nothing,
        },
    }
}

impl CpuAttention for Flex {
    fn cpu_attention(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: CpuAttentionPlan,
    ) -> FloatTensor<Self> {
        let [qkv, bias] = [qkv, bias].map(|tensor| tensor.to_contiguous());
        let shape = qkv.layout().shape();
        let mut output = zeros([shape[0], shape[1], shape[2] / 3]);
        attention(&qkv, Some(&bias), plan).forward(None, output.storage_mut());
        output
    }
}

/// As [`crate::masked_attention`], for f32. `None` for SAAM, whose two streams are tensor operations on
/// the CPU.
pub(crate) fn masked_attention(
    qkv: &Tensor<3>,
    heads: usize,
    mask: &AttentionMask,
) -> Option<Tensor<3>> {
    check_attention(qkv.dims(), heads, mask);
    let (mask, bias) = match mask {
        AttentionMask::None => (Mask::None, None),
        AttentionMask::Causal => (Mask::Causal, None),
        AttentionMask::KeyBias(bias) => (Mask::KeyBias, Some(bias.clone())),
        AttentionMask::Subject { .. } => return None,
    };
    let qkv = qkv.clone().into_dispatch();
    let bias = bias.map_or_else(|| qkv.clone(), Tensor::into_dispatch);
    let plan = CpuAttentionPlan { heads, mask };
    Some(Tensor::from_dispatch(Dispatch::cpu_attention(
        qkv, bias, plan,
    )))
}
