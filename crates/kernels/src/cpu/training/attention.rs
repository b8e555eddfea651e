//! Masked attention.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Shape, Tensor};

use super::{inner, untracked};
use crate::AttentionMask;
use crate::cpu::attention::{Attention, Hidden};
use crate::cpu::numbers;
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
pub struct TrainedAttention {
    heads: usize,
    mask: Mask,
}

/// Operations on f32 tensors. A key bias that isn't there is any tensor and is not read.
#[backend_extension(Autodiff, Flex)]
pub trait CpuAttention: Backend {
    /// From a projection `[B, N, 3·W]` and a key bias `[B, N]` to `[B, N, W]`.
    fn cpu_attention(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: TrainedAttention,
    ) -> FloatTensor<Self>;

    /// As [`Self::cpu_attention`], and the weights `[B, heads, N, N]`.
    fn cpu_attention_kept(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: TrainedAttention,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The gradient of the projection.
    fn cpu_attention_backward(
        qkv: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: TrainedAttention,
    ) -> FloatTensor<Self>;
}

/// What attention over these tensors is.
fn attention<'a>(
    qkv: &'a FloatTensor<Flex>,
    bias: Option<&'a FloatTensor<Flex>>,
    plan: TrainedAttention,
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

fn empty<const D: usize>(shape: [usize; D]) -> FloatTensor<Flex> {
    FloatTensor::<Flex>::empty(Shape::from(shape), DType::F32)
}

impl CpuAttention for Flex {
    fn cpu_attention(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: TrainedAttention,
    ) -> FloatTensor<Self> {
        let [qkv, bias] = [qkv, bias].map(|tensor| tensor.to_contiguous());
        let shape = qkv.layout().shape();
        let mut output = empty([shape[0], shape[1], shape[2] / 3]);
        attention(&qkv, Some(&bias), plan).forward(None, output.storage_mut());
        output
    }

    fn cpu_attention_kept(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: TrainedAttention,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [qkv, bias] = [qkv, bias].map(|tensor| tensor.to_contiguous());
        let shape = qkv.layout().shape();
        let (batch, tokens) = (shape[0], shape[1]);
        let mut output = empty([batch, tokens, shape[2] / 3]);
        let mut weights = empty([batch, plan.heads, tokens, tokens]);
        attention(&qkv, Some(&bias), plan)
            .forward(Some(weights.storage_mut()), output.storage_mut());
        (output, weights)
    }

    fn cpu_attention_backward(
        qkv: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: TrainedAttention,
    ) -> FloatTensor<Self> {
        let [qkv, weights, grad] = [qkv, weights, grad].map(|tensor| tensor.to_contiguous());
        let mut grad_qkv = FloatTensor::<Flex>::empty(qkv.layout().shape().clone(), DType::F32);
        attention(&qkv, None, plan).backward(
            numbers(&weights),
            numbers(&grad),
            grad_qkv.storage_mut(),
        );
        grad_qkv
    }
}

#[derive(Debug)]
struct AttentionLayer;

/// What attention keeps.
#[derive(Clone, Debug)]
struct AttentionState<B: CpuAttention> {
    qkv: NodeId,
    weights: FloatTensor<B>,
    plan: TrainedAttention,
}

impl<B: CpuAttention> Backward<B, 1> for AttentionLayer {
    type State = AttentionState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let AttentionState { qkv, weights, plan } = ops.state;
        let qkv: FloatTensor<B> = checkpointer.retrieve_node_output(qkv);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let grad = B::cpu_attention_backward(qkv, weights, grad, plan);
            grads.register::<B>(parent.id, grad);
        }
    }
}

impl<B: CpuAttention, C: CheckpointStrategy> CpuAttention for Autodiff<B, C> {
    fn cpu_attention(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: TrainedAttention,
    ) -> FloatTensor<Self> {
        match AttentionLayer
            .prepare::<C>([qkv.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prepared) => {
                let saved = prepared.checkpoint(&qkv);
                let [qkv, bias] = [qkv, bias].map(inner::<B, C>);
                let (output, weights) = B::cpu_attention_kept(qkv, bias, plan);
                let state = AttentionState {
                    qkv: saved,
                    weights,
                    plan,
                };
                prepared.finish(state, output)
            }
            OpsKind::UnTracked(prepared) => {
                let [qkv, bias] = [qkv, bias].map(inner::<B, C>);
                prepared.finish(B::cpu_attention(qkv, bias, plan))
            }
        }
    }

    fn cpu_attention_kept(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: TrainedAttention,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [qkv, bias] = [qkv, bias].map(inner::<B, C>);
        let (output, weights) = B::cpu_attention_kept(qkv, bias, plan);
        (untracked::<B, C>(output), untracked::<B, C>(weights))
    }

    fn cpu_attention_backward(
        qkv: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: TrainedAttention,
    ) -> FloatTensor<Self> {
        let [qkv, weights, grad] = [qkv, weights, grad].map(inner::<B, C>);
        untracked::<B, C>(B::cpu_attention_backward(qkv, weights, grad, plan))
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
    let plan = TrainedAttention { heads, mask };
    Some(Tensor::from_dispatch(Dispatch::cpu_attention(
        qkv, bias, plan,
    )))
}
