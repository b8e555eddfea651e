//! Masked self-attention on a joint projection.

use burn::tensor::Tensor;

use crate::reference;
use crate::{DeviceKernels, Kernels};

/// Which token may attend to which, and how weights are split.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "made once a layer, and tensors are handles of a hundred bytes"
)]
pub enum AttentionMask {
    /// Every token attends to every other.
    None,
    /// Added to the scores of all queries, `[B, N]`; −∞ blocks a key. A row whose keys are all
    /// blocked gives all of them the same weight.
    KeyBias(Tensor<2>),
    /// A token attends to itself and those before it.
    Causal,
    /// Subject-aware attention masking (SAAM; EmotionCLIP, equations 2 to 4): tokens are class,
    /// patches, human.
    Subject {
        /// `[B, N − 2]`: 1 for patches outside of the subject, 0 for the others.
        outside: Tensor<2>,
        /// The gate's logits `a`, `[heads, N, N]`; `A = σ(a)`.
        gate: Tensor<3>,
    },
}

/// Self-attention over `qkv` `[B, N, 3·W]` (queries, keys and values side by side, each `heads`
/// times the head width) to `[B, N, W]`.
///
/// Per head of width d, with S the softmax of `QKᵀ/√d` plus the mask:
///
/// ```text
/// none, key bias, causal:  S V
/// subject:                 (S ∘ (1 − A)) V + (S ∘ A) (U V),  U = softmax((QKᵀ + M)/√d)
/// ```
///
/// Gradients flow to `qkv` and to the gate, not to a key bias or `outside`.
///
/// Runs as WGSL where the device has [`Kernels`], the tensors are f32 and the head width is a
/// multiple of 8; elsewhere by tensor operations.
///
/// # Panics
///
/// If the width isn't divisible by `3 · heads`, or a mask's shape disagrees.
pub fn masked_attention(qkv: Tensor<3>, heads: usize, mask: AttentionMask) -> Tensor<3> {
    match DeviceKernels::of(&qkv.device()) {
        Some(kernels) => kernels.masked_attention(qkv, heads, mask),
        None => reference::masked_attention(qkv, heads, mask),
    }
}

impl DeviceKernels {
    /// [`masked_attention`] with these kernels.
    ///
    /// # Panics
    ///
    /// As [`masked_attention`].
    pub fn masked_attention(&self, qkv: Tensor<3>, heads: usize, mask: AttentionMask) -> Tensor<3> {
        match self {
            Self::Wgsl(kernels) => kernels.masked_attention(qkv, heads, mask),
            #[cfg(any(feature = "cpu", not(target_family = "wasm")))]
            Self::Cpu => {
                let is_single = qkv.dtype() == burn::tensor::DType::F32;
                is_single
                    .then(|| crate::cpu::masked_attention(&qkv, heads, &mask))
                    .flatten()
                    .unwrap_or_else(|| reference::masked_attention(qkv, heads, mask))
            }
        }
    }
}

impl Kernels {
    /// [`masked_attention`] with these kernels.
    ///
    /// # Panics
    ///
    /// As [`masked_attention`].
    pub fn masked_attention(&self, qkv: Tensor<3>, heads: usize, mask: AttentionMask) -> Tensor<3> {
        #[cfg(feature = "wgpu")]
        if qkv.dtype() == burn::tensor::DType::F32
            && (qkv.dims()[2] / (3 * heads)).is_multiple_of(8)
        {
            reference::check_attention(qkv.dims(), heads, &mask);
            return crate::backend::masked_attention(*self, qkv, heads, mask);
        }
        reference::masked_attention(qkv, heads, mask)
    }
}
