//! The gradient of masked attention.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};

use super::{inner, untracked};
use crate::cpu::masked::{CpuAttention, CpuAttentionPlan, attention};
use crate::cpu::{numbers, zeros};

/// Operations on f32 tensors that [`CpuAttention`] with a gradient consists of.
#[backend_extension(Autodiff, Flex)]
pub trait CpuAttentionGradient: Backend {
    /// As [`CpuAttention::cpu_attention`], and the weights `[B, heads, N, N]`.
    fn cpu_attention_kept(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: CpuAttentionPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The gradient of the projection.
    fn cpu_attention_backward(
        qkv: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: CpuAttentionPlan,
    ) -> FloatTensor<Self>;
}

impl CpuAttentionGradient for Flex {
    fn cpu_attention_kept(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: CpuAttentionPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [qkv, bias] = [qkv, bias].map(|tensor| tensor.to_contiguous());
        let shape = qkv.layout().shape();
        let (batch, tokens) = (shape[0], shape[1]);
        let mut output = zeros([batch, tokens, shape[2] / 3]);
        let mut weights = zeros([batch, plan.heads, tokens, tokens]);
        attention(&qkv, Some(&bias), plan)
            .forward(Some(weights.storage_mut()), output.storage_mut());
        (output, weights)
    }

    fn cpu_attention_backward(
        qkv: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: CpuAttentionPlan,
    ) -> FloatTensor<Self> {
        let [qkv, weights, grad] = [qkv, weights, grad].map(|tensor| tensor.to_contiguous());
        let mut grad_qkv = zeros(qkv.layout().shape().clone());
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
struct AttentionState<B: CpuAttentionGradient> {
    qkv: NodeId,
    weights: FloatTensor<B>,
    plan: CpuAttentionPlan,
}

impl<B: CpuAttentionGradient> Backward<B, 1> for AttentionLayer {
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

impl<B: CpuAttention + CpuAttentionGradient, C: CheckpointStrategy> CpuAttention
    for Autodiff<B, C>
{
    fn cpu_attention(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: CpuAttentionPlan,
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
}

impl<B: CpuAttentionGradient, C: CheckpointStrategy> CpuAttentionGradient for Autodiff<B, C> {
    fn cpu_attention_kept(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: CpuAttentionPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [qkv, bias] = [qkv, bias].map(inner::<B, C>);
        let (output, weights) = B::cpu_attention_kept(qkv, bias, plan);
        (untracked::<B, C>(output), untracked::<B, C>(weights))
    }

    fn cpu_attention_backward(
        qkv: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: CpuAttentionPlan,
    ) -> FloatTensor<Self> {
        let [qkv, weights, grad] = [qkv, weights, grad].map(inner::<B, C>);
        untracked::<B, C>(B::cpu_attention_backward(qkv, weights, grad, plan))
    }
}
