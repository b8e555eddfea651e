//! Gradients: which kernels and tensor operations give them, and what a forward pass keeps for that.
//!
//! Attention has kernels of its own for the backward pass. A linear layer's gradients are two matrix
//! products by its own kernel, with the weights or the rows transposed where they are read; what is
//! left are sums and elementwise operations of burn. Gradients of gradients are not recorded.

use std::f32::consts::{FRAC_1_SQRT_2, TAU};

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend, TensorMetadata};
use burn::tensor::Shape;

use super::{CoveragePlan, KernelBackend, LayerNormPlan};
use crate::Activation;
use crate::picture::ResamplePlan;
use crate::plan::{AttentionPlan, LinearPlan, Patches, SubjectPlan, Weights};

/// What attention with one softmax keeps: its inputs, its output, and the rows' statistics.
#[derive(Clone, Debug)]
struct AttendState<B: KernelBackend> {
    qkv: NodeId,
    bias: FloatTensor<B>,
    mixed: FloatTensor<B>,
    stats: FloatTensor<B>,
    plan: AttentionPlan,
}

#[derive(Debug)]
struct Attend;

impl<B: KernelBackend> Backward<B, 1> for Attend {
    type State = AttendState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let state = ops.state;
        let qkv: FloatTensor<B> = checkpointer.retrieve_node_output(state.qkv);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let grad_qkv =
                B::attend_backward(qkv, state.bias, state.mixed, state.stats, grad, state.plan);
            grads.register::<B>(parent.id, grad_qkv);
        }
    }
}

/// What SAAM's attention keeps: inputs, output, U V - V, and the statistics of both softmaxes.
#[derive(Clone, Debug)]
struct SubjectState<B: KernelBackend> {
    qkv: NodeId,
    gate: NodeId,
    outside: FloatTensor<B>,
    mixed: FloatTensor<B>,
    detours: FloatTensor<B>,
    masked_stats: FloatTensor<B>,
    stats: FloatTensor<B>,
    plan: SubjectPlan,
}

#[derive(Debug)]
struct Subject;

impl<B: KernelBackend> Backward<B, 2> for Subject {
    type State = SubjectState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let state = ops.state;
        let qkv: FloatTensor<B> = checkpointer.retrieve_node_output(state.qkv);
        let gate: FloatTensor<B> = checkpointer.retrieve_node_output(state.gate);
        let (grad_qkv, grad_detours, grad_gate) = B::mix_backward(
            qkv.clone(),
            state.detours.clone(),
            gate,
            state.mixed,
            state.stats,
            grad,
            state.plan.mixed(),
        );
        let [qkv_parent, gate_parent] = ops.parents;
        if let Some(parent) = gate_parent {
            grads.register::<B>(parent.id, grad_gate);
        }
        if let Some(parent) = qkv_parent {
            let masked = masked_values::<B>(state.detours, qkv.clone());
            let grad_masked = B::attend_backward(
                qkv,
                state.outside,
                masked,
                state.masked_stats,
                grad_detours,
                state.plan.masked(),
            );
            grads.register::<B>(parent.id, B::float_add(grad_qkv, grad_masked));
        }
    }
}

/// U V `[B, N, W]` from U V - V and the joint projection `[B, N, 3W]`, whose last third is V.
fn masked_values<B: KernelBackend>(detours: FloatTensor<B>, qkv: FloatTensor<B>) -> FloatTensor<B> {
    let every = burn::tensor::Slice::full();
    let width = qkv.shape()[2];
    let values = burn::tensor::Slice::from(width / 3 * 2..width);
    B::float_add(detours, B::float_slice(qkv, &[every, every, values]))
}

/// What a linear layer keeps: inputs, and the activation's input where there is an activation.
#[derive(Clone, Debug)]
struct LinearState<B: KernelBackend> {
    x: NodeId,
    weight: NodeId,
    before: FloatTensor<B>,
    plan: LinearPlan,
}

#[derive(Debug)]
struct Linear;

impl<B: KernelBackend> Backward<B, 4> for Linear {
    type State = LinearState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let LinearState {
            x,
            weight,
            before,
            plan,
        } = ops.state;
        let x: FloatTensor<B> = checkpointer.retrieve_node_output(x);
        let weight: FloatTensor<B> = checkpointer.retrieve_node_output(weight);
        let [x_parent, weight_parent, bias_parent, residual_parent] = ops.parents;
        if let Some(parent) = residual_parent.filter(|_| plan.residual) {
            grads.register::<B>(parent.id, grad.clone());
        }
        let grad = through_activation::<B>(grad, before, plan.activation);
        if let Some(parent) = bias_parent.filter(|_| plan.bias) {
            let sum = B::float_sum_dim(grad.clone(), 0);
            let sum = B::float_reshape(sum, Shape::from([plan.width]));
            grads.register::<B>(parent.id, sum);
        }
        if let Some(parent) = weight_parent {
            let rows = match plan.patches {
                Some(patches) => unfold::<B>(x, &plan, patches),
                None => x,
            };
            grads.register::<B>(parent.id, grad_weight::<B>(rows, grad.clone(), &plan));
        }
        if let Some(parent) = x_parent {
            let grad_rows = back_to_rows::<B>(grad, weight, &plan);
            let grad_x = match plan.patches {
                Some(patches) => fold::<B>(grad_rows, &plan, patches),
                None => grad_rows,
            };
            grads.register::<B>(parent.id, grad_x);
        }
    }
}

/// The gradient of the weights in their own layout: `xᵀ grad` `[K, N]`, or its transpose.
fn grad_weight<B: KernelBackend>(
    x: FloatTensor<B>,
    grad: FloatTensor<B>,
    plan: &LinearPlan,
) -> FloatTensor<B> {
    let (rows, columns, shape) = match plan.weights {
        Weights::Plain | Weights::Half => (x, grad, [plan.depth, plan.rows, plan.width]),
        Weights::Transposed => (grad, x, [plan.width, plan.rows, plan.depth]),
    };
    let transposed = LinearPlan {
        x_columns: true,
        ..LinearPlan::product(plan.kernels, shape)
    };
    B::project(rows.clone(), columns, rows.clone(), rows, transposed).0
}

/// `grad Wᵀ` by the layer's own kernel: `W` `[K, N]` is its transpose stored by columns.
fn back_to_rows<B: KernelBackend>(
    grad: FloatTensor<B>,
    weight: FloatTensor<B>,
    plan: &LinearPlan,
) -> FloatTensor<B> {
    let weights = match plan.weights {
        Weights::Plain | Weights::Half => Weights::Transposed,
        Weights::Transposed => Weights::Plain,
    };
    let back = LinearPlan {
        weights,
        ..LinearPlan::product(plan.kernels, [plan.rows, plan.width, plan.depth])
    };
    B::project(grad.clone(), weight, grad.clone(), grad, back).0
}

/// `grad · act'(before)`. GELU's derivative is exact, `Φ(x) + x φ(x)`: burn's own is that of the
/// tanh approximation.
fn through_activation<B: KernelBackend>(
    grad: FloatTensor<B>,
    before: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let slope = match activation {
        Activation::None => return grad,
        Activation::Gelu => {
            let erf = B::float_erf(B::float_mul_scalar(before.clone(), FRAC_1_SQRT_2.into()));
            let below =
                B::float_mul_scalar(B::float_add_scalar(erf, 1.0_f32.into()), 0.5_f32.into());
            let square = B::float_mul(before.clone(), before.clone());
            let density = B::float_exp(B::float_mul_scalar(square, (-0.5_f32).into()));
            let density = B::float_mul_scalar(density, TAU.sqrt().recip().into());
            B::float_add(below, B::float_mul(before, density))
        }
        Activation::QuickGelu => {
            let steep = B::float_mul_scalar(before, 1.702_f32.into());
            let open = B::sigmoid(steep.clone());
            let shut = B::float_sub_scalar(open.clone(), 1.0_f32.into());
            // sigma + 1.702 x sigma (1 - sigma)
            let bend = B::float_mul(B::float_mul(steep, open.clone()), shut);
            B::float_sub(open, bend)
        }
    };
    B::float_mul(grad, slope)
}

/// Patches of images as rows `[M, C·P·P]`.
fn unfold<B: KernelBackend>(
    images: FloatTensor<B>,
    plan: &LinearPlan,
    patches: Patches,
) -> FloatTensor<B> {
    let Patches {
        channels,
        side,
        patch,
    } = patches;
    let grid = side / patch;
    let count = plan.rows / (grid * grid);
    let split = Shape::from([count, channels, grid, patch, grid, patch]);
    let rows = B::float_permute(B::float_reshape(images, split), &[0, 2, 4, 1, 3, 5]);
    B::float_reshape(rows, Shape::from([plan.rows, plan.depth]))
}

/// Rows `[M, C·P·P]` back to images `[B, C, S, S]`.
fn fold<B: KernelBackend>(
    rows: FloatTensor<B>,
    plan: &LinearPlan,
    patches: Patches,
) -> FloatTensor<B> {
    let Patches {
        channels,
        side,
        patch,
    } = patches;
    let grid = side / patch;
    let count = plan.rows / (grid * grid);
    let split = Shape::from([count, grid, grid, channels, patch, patch]);
    let images = B::float_permute(B::float_reshape(rows, split), &[0, 3, 1, 4, 2, 5]);
    B::float_reshape(images, Shape::from([count, channels, side, side]))
}

/// What LayerNorm keeps.
#[derive(Clone, Debug)]
struct NormaliseState<B: KernelBackend> {
    x: NodeId,
    gain: NodeId,
    stats: FloatTensor<B>,
}

#[derive(Debug)]
struct Normalise;

impl<B: KernelBackend> Backward<B, 3> for Normalise {
    type State = NormaliseState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let NormaliseState { x, gain, stats } = ops.state;
        let x: FloatTensor<B> = checkpointer.retrieve_node_output(x);
        let gain: FloatTensor<B> = checkpointer.retrieve_node_output(gain);
        let width = x.shape()[1];
        let row = Shape::from([1, width]);
        let vector = Shape::from([width]);
        let column = |index: usize| {
            let every = burn::tensor::Slice::full();
            let one = burn::tensor::Slice::from(index..index + 1);
            B::float_slice(stats.clone(), &[every, one])
        };
        let (mean, inverse) = (column(0), column(1));
        let normed = B::float_mul(B::float_sub(x, mean), inverse.clone());
        let [x_parent, gain_parent, bias_parent] = ops.parents;
        if let Some(parent) = bias_parent {
            let sum = B::float_sum_dim(grad.clone(), 0);
            grads.register::<B>(parent.id, B::float_reshape(sum, vector.clone()));
        }
        if let Some(parent) = gain_parent {
            let sum = B::float_sum_dim(B::float_mul(grad.clone(), normed.clone()), 0);
            grads.register::<B>(parent.id, B::float_reshape(sum, vector));
        }
        if let Some(parent) = x_parent {
            let grad = B::float_mul(grad, B::float_reshape(gain, row));
            let mean_grad = B::float_mean_dim(grad.clone(), 1);
            let along = B::float_mean_dim(B::float_mul(grad.clone(), normed.clone()), 1);
            let centred = B::float_sub(grad, mean_grad);
            let across = B::float_sub(centred, B::float_mul(normed, along));
            grads.register::<B>(parent.id, B::float_mul(across, inverse));
        }
    }
}

/// What coverage keeps: the mask's sides.
#[derive(Clone, Copy, Debug)]
struct CoverState {
    count: usize,
    side: usize,
    patch: usize,
}

#[derive(Debug)]
struct Cover;

impl<B: KernelBackend> Backward<B, 1> for Cover {
    type State = CoverState;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let CoverState { count, side, patch } = ops.state;
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let grid = side / patch;
            let share = B::float_mul_scalar(grad, (1.0 / (patch * patch) as f32).into());
            let share = B::float_reshape(share, Shape::from([count, grid, 1, grid, 1]));
            let spread = B::float_expand(share, Shape::from([count, grid, patch, grid, patch]));
            let spread = B::float_reshape(spread, Shape::from([count, side, side]));
            grads.register::<B>(parent.id, spread);
        }
    }
}

/// A tensor of the inner back end, without its history.
fn inner<B: KernelBackend, C: CheckpointStrategy>(
    tensor: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<B> {
    tensor.into_primitive()
}

/// A tensor of the inner back end as one that has no history.
fn untracked<B: KernelBackend, C: CheckpointStrategy>(
    tensor: FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    <Autodiff<B, C> as AutodiffBackend>::from_inner(tensor)
}

impl<B: KernelBackend, C: CheckpointStrategy> KernelBackend for Autodiff<B, C> {
    fn attend(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: AttentionPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let prepared = Attend.prepare::<C>([qkv.node()]).compute_bound().stateful();
        let bias = bias.into_primitive();
        match prepared {
            OpsKind::Tracked(mut prepared) => {
                let saved = prepared.checkpoint(&qkv);
                let (mixed, stats) = B::attend(qkv.into_primitive(), bias.clone(), plan);
                let state = AttendState {
                    qkv: saved,
                    bias,
                    mixed: mixed.clone(),
                    stats: stats.clone(),
                    plan,
                };
                (prepared.finish(state, mixed), untracked::<B, C>(stats))
            }
            OpsKind::UnTracked(prepared) => {
                let (mixed, stats) = B::attend(qkv.into_primitive(), bias, plan);
                (prepared.finish(mixed), untracked::<B, C>(stats))
            }
        }
    }

    fn attend_backward(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mixed: FloatTensor<Self>,
        stats: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: AttentionPlan,
    ) -> FloatTensor<Self> {
        let [qkv, bias, mixed, stats, grad] = [qkv, bias, mixed, stats, grad].map(inner::<B, C>);
        untracked::<B, C>(B::attend_backward(qkv, bias, mixed, stats, grad, plan))
    }

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
    ) {
        let nodes = [qkv.node(), gate.node()];
        let outside = outside.into_primitive();
        let (mixed, [detours, masked_stats, stats]) =
            match Subject.prepare::<C>(nodes).compute_bound().stateful() {
                OpsKind::Tracked(mut prepared) => {
                    let [saved_qkv, saved_gate] =
                        [&qkv, &gate].map(|tensor| prepared.checkpoint(tensor));
                    let [qkv, gate] = [qkv, gate].map(inner::<B, C>);
                    let plan = SubjectPlan { save: true, ..plan };
                    let (mixed, detours, masked_stats, stats) =
                        B::subject(qkv, outside.clone(), gate, plan);
                    let state = SubjectState {
                        qkv: saved_qkv,
                        gate: saved_gate,
                        outside,
                        mixed: mixed.clone(),
                        detours: detours.clone(),
                        masked_stats: masked_stats.clone(),
                        stats: stats.clone(),
                        plan,
                    };
                    let kept = [detours, masked_stats, stats];
                    (prepared.finish(state, mixed), kept)
                }
                OpsKind::UnTracked(prepared) => {
                    let [qkv, gate] = [qkv, gate].map(inner::<B, C>);
                    let (mixed, detours, masked_stats, stats) =
                        B::subject(qkv, outside, gate, plan);
                    (prepared.finish(mixed), [detours, masked_stats, stats])
                }
            };
        let [detours, masked_stats, stats] = [detours, masked_stats, stats].map(untracked::<B, C>);
        (mixed, detours, masked_stats, stats)
    }

    fn mix_backward(
        qkv: FloatTensor<Self>,
        detours: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        mixed: FloatTensor<Self>,
        stats: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: AttentionPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [qkv, detours, gate] = [qkv, detours, gate].map(inner::<B, C>);
        let [mixed, stats, grad] = [mixed, stats, grad].map(inner::<B, C>);
        let (qkv, detours, gate) = B::mix_backward(qkv, detours, gate, mixed, stats, grad, plan);
        (
            untracked::<B, C>(qkv),
            untracked::<B, C>(detours),
            untracked::<B, C>(gate),
        )
    }

    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        plan: LinearPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), weight.node(), bias.node(), residual.node()];
        let prepared = Linear.prepare::<C>(nodes).compute_bound().stateful();
        match prepared {
            OpsKind::Tracked(mut prepared) => {
                let saved = [&x, &weight].map(|tensor| prepared.checkpoint(tensor));
                let plan = LinearPlan {
                    save: plan.activation != Activation::None,
                    ..plan
                };
                let [x, weight, bias, residual] = [x, weight, bias, residual].map(inner::<B, C>);
                let (y, before) = B::project(x, weight, bias, residual, plan);
                let [x, weight] = saved;
                let state = LinearState {
                    x,
                    weight,
                    before: before.clone(),
                    plan,
                };
                (prepared.finish(state, y), untracked::<B, C>(before))
            }
            OpsKind::UnTracked(prepared) => {
                let [x, weight, bias, residual] = [x, weight, bias, residual].map(inner::<B, C>);
                let (y, before) = B::project(x, weight, bias, residual, plan);
                (prepared.finish(y), untracked::<B, C>(before))
            }
        }
    }

    fn project_half(
        x: FloatTensor<Self>,
        weight: IntTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        plan: LinearPlan,
    ) -> FloatTensor<Self> {
        let [x, bias, residual] = [x, bias, residual].map(inner::<B, C>);
        untracked::<B, C>(B::project_half(x, weight, bias, residual, plan))
    }

    fn normalise(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        plan: LayerNormPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), gain.node(), bias.node()];
        match Normalise.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let [saved_x, saved_gain] = [&x, &gain].map(|tensor| prepared.checkpoint(tensor));
                let [x, gain, bias] = [x, gain, bias].map(inner::<B, C>);
                let (y, stats) = B::normalise(x, gain, bias, plan);
                let state = NormaliseState {
                    x: saved_x,
                    gain: saved_gain,
                    stats: stats.clone(),
                };
                (prepared.finish(state, y), untracked::<B, C>(stats))
            }
            OpsKind::UnTracked(prepared) => {
                let [x, gain, bias] = [x, gain, bias].map(inner::<B, C>);
                let (y, stats) = B::normalise(x, gain, bias, plan);
                (prepared.finish(y), untracked::<B, C>(stats))
            }
        }
    }

    fn resample(
        pixels: IntTensor<Self>,
        table: IntTensor<Self>,
        plan: ResamplePlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (frame, mask) = B::resample(pixels, table, plan);
        (untracked::<B, C>(frame), untracked::<B, C>(mask))
    }

    fn cover(masks: FloatTensor<Self>, plan: CoveragePlan) -> FloatTensor<Self> {
        let shape = masks.shape();
        let state = CoverState {
            count: shape[0],
            side: shape[1],
            patch: plan.patch,
        };
        match Cover
            .prepare::<C>([masks.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => {
                prepared.finish(state, B::cover(masks.into_primitive(), plan))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::cover(masks.into_primitive(), plan)),
        }
    }
}
