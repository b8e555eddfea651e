//! Building blocks that the three encoders share.

mod attention;
mod block;
mod fused;
mod init;

pub(crate) use attention::SubjectStream;
pub use attention::{Attention, SubjectAttentionGate, split_attention_maps};
pub use block::{FeedForward, ResidualAttentionBlock};
pub(crate) use fused::{
    ScoreMask, attend, normalise, patch_coverage, patch_embedding, project, stem_kernels,
};
pub(crate) use init::Init;
pub use init::ParameterInit;

use burn::tensor::{Tensor, activation};

use crate::config::Activation;

/// LayerNorm's epsilon everywhere in CLIP and in the temporal encoder.
pub(crate) const LAYER_NORM_EPSILON: f64 = 1e-5;

impl Activation {
    /// Applies the non-linearity element by element.
    pub fn forward<const D: usize>(self, input: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Gelu => activation::gelu(input),
            Self::QuickGelu => input.clone() * activation::sigmoid(input * 1.702),
        }
    }
}
