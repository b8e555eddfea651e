//! Multi-head self-attention, plain and subject-masked.

use burn::module::{Module, Param};
use burn::nn::{Dropout, Linear};
use burn::tensor::{Tensor, activation};

use super::{Init, ParameterInit, ScoreMask, attend, project};

/// Multi-head self-attention with one joint projection for queries, keys and values, as in
/// `torch.nn.MultiheadAttention`.
#[derive(Module, Debug)]
pub struct Attention {
    in_proj: Linear,
    out_proj: Linear,
    heads: usize,
}

/// The mixing weights of subject-aware attention masking: `A = σ(a)` (paper, equation 4).
///
/// `A`'s shape `[heads, N, N]`, the sigmoid and the start at 0.1 are this project's reading: the
/// paper gives none of them.
#[derive(Module, Debug)]
pub struct SubjectAttentionGate {
    /// The learnable logits of the mix, `[heads, N, N]`.
    pub a: Param<Tensor<3>>,
}

impl SubjectAttentionGate {
    /// A gate over `tokens` tokens that starts as `A = 0.1` everywhere.
    pub fn new(heads: usize, tokens: usize, init: &mut ParameterInit) -> Self {
        let logit = (0.1_f32 / 0.9).ln();
        Self {
            a: init.parameter([heads, tokens, tokens], Init::Constant(logit)),
        }
    }
}

/// The masked stream of SAAM for one call: which gate, and the additive mask of the batch.
#[derive(Clone, Debug)]
pub(crate) struct SubjectStream<'a> {
    pub gate: &'a SubjectAttentionGate,
    /// `[B, 1, N, N]`: 0 where attention is allowed, a large negative number elsewhere.
    pub mask: Tensor<4>,
    /// `[B, m]`: 1 for the patches outside of the subject, from which the mask is made.
    pub outside: Tensor<2>,
}

impl Attention {
    /// Self-attention over `width` features.
    ///
    /// `width` must be a multiple of `heads`; [`EmotionClipConfig::validate`] checks it.
    ///
    /// [`EmotionClipConfig::validate`]: crate::config::EmotionClipConfig::validate
    pub fn new(width: usize, heads: usize, init: &mut ParameterInit) -> Self {
        let xavier = Init::Uniform((6.0 / (4.0 * width as f64)).sqrt());
        let bound = 1.0 / (width as f64).sqrt();
        Self {
            in_proj: init.linear_with(width, 3 * width, xavier, Init::Constant(0.0)),
            out_proj: init.linear_with(width, width, Init::Uniform(bound), Init::Constant(0.0)),
            heads,
        }
    }

    /// Self-attention whose keys start equal to its queries, so that tokens begin by attending to
    /// those that resemble them.
    pub(crate) fn new_comparing(width: usize, heads: usize, init: &mut ParameterInit) -> Self {
        let mut attention = Self::new(width, heads, init);
        attention.in_proj.weight = init.parameter([width, 3 * width], Init::TiedQueryKey { width });
        attention
    }

    pub(crate) fn with_normal_weights(
        width: usize,
        heads: usize,
        in_deviation: f64,
        out_deviation: f64,
        init: &mut ParameterInit,
    ) -> Self {
        let zero = Init::Constant(0.0);
        Self {
            in_proj: init.linear_with(width, 3 * width, Init::Normal(in_deviation), zero),
            out_proj: init.linear_with(width, width, Init::Normal(out_deviation), zero),
            heads,
        }
    }

    /// Attends over the tokens of `input` `[B, N, W]`.
    ///
    /// `dropout` is applied to the attention probabilities (in the temporal encoder), `residual`
    /// added to the output. When `maps` is given, the probabilities `[B, heads, N, N]` are appended
    /// to it; with a subject stream these are the effective weights `S∘(1−A) + (S∘A)·U` of the
    /// values. Maps and dropout need the probabilities in memory, which only the tensor operations
    /// have.
    pub(crate) fn forward(
        &self,
        input: Tensor<3>,
        mask: Option<&ScoreMask>,
        subject: Option<SubjectStream<'_>>,
        dropout: Option<&Dropout>,
        maps: Option<&mut Vec<Tensor<4>>>,
        residual: Option<Tensor<3>>,
    ) -> Tensor<3> {
        let drops =
            dropout.is_some_and(|dropout| dropout.prob > 0.0 && input.device().is_autodiff());
        let joint = project(&self.in_proj, input, None, None);
        let fused = if drops || maps.is_some() {
            None
        } else {
            attend(&joint, self.heads, mask, subject.as_ref())
        };
        let mixed = match fused {
            Some(mixed) => mixed,
            None => self.mix(joint, mask, subject, dropout, maps),
        };
        project(&self.out_proj, mixed, None, residual)
    }

    /// Attention on the joint projection `[B, N, 3·W]` by tensor operations: `[B, N, W]`.
    fn mix(
        &self,
        joint: Tensor<3>,
        mask: Option<&ScoreMask>,
        subject: Option<SubjectStream<'_>>,
        dropout: Option<&Dropout>,
        maps: Option<&mut Vec<Tensor<4>>>,
    ) -> Tensor<3> {
        let [batch, tokens, width] = joint.dims();
        let width = width / 3;
        let head_width = width / self.heads;
        let [query, key, value] = self.split(joint, head_width);
        // Scaling the query costs N·d multiplications, scaling the scores N².
        let query = query * (1.0 / (head_width as f64).sqrt());
        let scores = query.matmul(key.swap_dims(2, 3));
        let scores = match mask {
            Some(mask) => scores + mask.additive(),
            None => scores,
        };
        let mixed = match subject {
            None => {
                let probabilities = activation::softmax(scores, 3);
                let probabilities = match dropout {
                    Some(dropout) => dropout.forward(probabilities),
                    None => probabilities,
                };
                if let Some(maps) = maps {
                    maps.push(probabilities.clone());
                }
                probabilities.matmul(value)
            }
            Some(SubjectStream { gate, mask, .. }) => {
                let masked = activation::softmax(scores.clone() + mask, 3);
                let plain = activation::softmax(scores, 3);
                let gate = activation::sigmoid(gate.a.val()).unsqueeze_dim::<4>(0);
                let through = plain.clone() * gate;
                let direct = plain - through.clone();
                if let Some(maps) = maps {
                    maps.push(direct.clone() + through.clone().matmul(masked.clone()));
                }
                direct.matmul(value.clone()) + through.matmul(masked.matmul(value))
            }
        };
        mixed.swap_dims(1, 2).reshape([batch, tokens, width])
    }

    /// Queries, keys and values, each `[B, heads, N, head_width]`.
    fn split(&self, joint: Tensor<3>, head_width: usize) -> [Tensor<4>; 3] {
        let [batch, tokens, _] = joint.dims();
        let width = self.heads * head_width;
        [0, 1, 2].map(|part| {
            joint
                .clone()
                .narrow(2, part * width, width)
                .reshape([batch, tokens, self.heads, head_width])
                .swap_dims(1, 2)
        })
    }
}

/// Attention paid by token `query` to the patches, averaged over heads: `[B, heads, N, N]` maps of
/// one layer become `[B, m]`.
///
/// Token order is class, `m` patches, human (when there is one); `patches` is `m`.
pub fn split_attention_maps(map: Tensor<4>, query: usize, patches: usize) -> Tensor<2> {
    let [batch, _, _, _] = map.dims();
    map.mean_dim(1)
        .narrow(2, query, 1)
        .narrow(3, 1, patches)
        .reshape([batch, patches])
}
