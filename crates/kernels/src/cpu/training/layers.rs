//! Linear layers and LayerNorm.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::{inner, untracked};
use crate::Activation;
use crate::cpu::dense::Dense;
use crate::cpu::norm::RowsBack;
use crate::cpu::sums::{PART, total};
use crate::cpu::{CpuBackend, numbers, tensor, vectorised, zeros};

/// What a layer consists of. Operands that it has no use for are any tensor and are not read.
#[derive(Clone, Copy, Debug)]
pub struct TrainedLinear {
    bias: bool,
    residual: bool,
    activation: Activation,
}

/// Operations on f32 tensors of rows.
#[backend_extension(Autodiff, Flex)]
pub trait CpuLayers: Backend {
    /// `act(x W + b) + residual` `[M, N]`, and the activation's input where there is one.
    fn cpu_dense(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        plan: TrainedLinear,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of x, the weights and the bias.
    fn cpu_dense_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        before: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: TrainedLinear,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// LayerNorm of the rows of `[M, W]`.
    fn cpu_norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;

    /// Gradients of x, gain and bias.
    fn cpu_norm_backward(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl CpuLayers for Flex {
    fn cpu_dense(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        plan: TrainedLinear,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [x, weight, bias, residual] =
            [x, weight, bias, residual].map(|tensor| tensor.to_contiguous());
        let (rows, depth) = (x.layout().shape()[0], x.layout().shape()[1]);
        let width = weight.layout().shape()[1];
        let layer = Dense {
            x: numbers(&x),
            depth,
            weight: numbers(&weight),
            width,
            activation: plan.activation,
        };
        let mut output = zeros([rows, width]);
        let mut before = match plan.activation {
            Activation::None => zeros([1, 1]),
            Activation::Gelu | Activation::QuickGelu => zeros([rows, width]),
        };
        layer.forward(
            plan.bias.then(|| numbers(&bias)),
            plan.residual.then(|| numbers(&residual)),
            before.storage_mut(),
            output.storage_mut(),
        );
        (output, before)
    }

    fn cpu_dense_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        before: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: TrainedLinear,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [x, weight, before, grad] =
            [x, weight, before, grad].map(|tensor| tensor.to_contiguous());
        let (rows, depth) = (x.layout().shape()[0], x.layout().shape()[1]);
        let width = weight.layout().shape()[1];
        let layer = Dense {
            x: numbers(&x),
            depth,
            weight: numbers(&weight),
            width,
            activation: plan.activation,
        };
        let mut grad_x = zeros([rows, depth]);
        let (grad_weight, grad_bias) =
            layer.backward(numbers(&before), numbers(&grad), grad_x.storage_mut());
        (
            grad_x,
            tensor(grad_weight, [depth, width]),
            tensor(grad_bias, [width]),
        )
    }

    fn cpu_norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        Self::cpu_layer_norm(x, gain, bias, epsilon)
    }

    fn cpu_norm_backward(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [x, gain, grad] = [x, gain, grad].map(|tensor| tensor.to_contiguous());
        let width = numbers(&gain).len();
        let mut grad_x = zeros(x.layout().shape().clone());
        let part = PART / 4 * width.max(1);
        let parts = numbers(&x)
            .par_chunks(part)
            .zip(numbers(&grad).par_chunks(part));
        let parts: Vec<[Vec<f32>; 2]> = parts
            .zip(grad_x.storage_mut().par_chunks_mut(part))
            .map(|((x, grad), grad_x)| {
                let mut sums = [vec![0.0; width], vec![0.0; width]];
                let [grad_gain, grad_bias] = &mut sums;
                vectorised(RowsBack {
                    x,
                    gain: numbers(&gain),
                    epsilon,
                    grad,
                    grad_x,
                    grad_gain,
                    grad_bias,
                });
                sums
            })
            .collect();
        let (gains, biases): (Vec<_>, Vec<_>) = parts.into_iter().map(|[a, b]| (a, b)).unzip();
        let [grad_gain, grad_bias] =
            [gains, biases].map(|parts| tensor(total(width, parts), [width]));
        (grad_x, grad_gain, grad_bias)
    }
}

#[derive(Debug)]
struct DenseLayer;

/// What a linear layer keeps.
#[derive(Clone, Debug)]
struct DenseState<B: CpuLayers> {
    x: NodeId,
    weight: NodeId,
    before: FloatTensor<B>,
    plan: TrainedLinear,
}

impl<B: CpuLayers> Backward<B, 4> for DenseLayer {
    type State = DenseState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let DenseState {
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
        let (grad_x, grad_weight, grad_bias) = B::cpu_dense_backward(x, weight, before, grad, plan);
        if let Some(parent) = x_parent {
            grads.register::<B>(parent.id, grad_x);
        }
        if let Some(parent) = weight_parent {
            grads.register::<B>(parent.id, grad_weight);
        }
        if let Some(parent) = bias_parent.filter(|_| plan.bias) {
            grads.register::<B>(parent.id, grad_bias);
        }
    }
}

#[derive(Debug)]
struct Norm;

/// What LayerNorm keeps.
#[derive(Clone, Debug)]
struct NormState {
    x: NodeId,
    gain: NodeId,
    epsilon: f32,
}

impl<B: CpuLayers> Backward<B, 3> for Norm {
    type State = NormState;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let [x, gain] = [ops.state.x, ops.state.gain]
            .map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let (x, gain, bias) = B::cpu_norm_backward(x, gain, grad, ops.state.epsilon);
        for (parent, grad) in ops.parents.into_iter().zip([x, gain, bias]) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

impl<B: CpuLayers, C: CheckpointStrategy> CpuLayers for Autodiff<B, C> {
    fn cpu_dense(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        plan: TrainedLinear,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), weight.node(), bias.node(), residual.node()];
        match DenseLayer.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let [saved_x, saved_weight] =
                    [&x, &weight].map(|tensor| prepared.checkpoint(tensor));
                let [x, weight, bias, residual] = [x, weight, bias, residual].map(inner::<B, C>);
                let (y, before) = B::cpu_dense(x, weight, bias, residual, plan);
                let state = DenseState {
                    x: saved_x,
                    weight: saved_weight,
                    before: before.clone(),
                    plan,
                };
                (prepared.finish(state, y), untracked::<B, C>(before))
            }
            OpsKind::UnTracked(prepared) => {
                let [x, weight, bias, residual] = [x, weight, bias, residual].map(inner::<B, C>);
                let (y, before) = B::cpu_dense(x, weight, bias, residual, plan);
                (prepared.finish(y), untracked::<B, C>(before))
            }
        }
    }

    fn cpu_dense_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        before: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: TrainedLinear,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [x, weight, before, grad] = [x, weight, before, grad].map(inner::<B, C>);
        let (x, weight, bias) = B::cpu_dense_backward(x, weight, before, grad, plan);
        (
            untracked::<B, C>(x),
            untracked::<B, C>(weight),
            untracked::<B, C>(bias),
        )
    }

    fn cpu_norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gain.node(), bias.node()];
        match Norm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let state = NormState {
                    x: prepared.checkpoint(&x),
                    gain: prepared.checkpoint(&gain),
                    epsilon,
                };
                let [x, gain, bias] = [x, gain, bias].map(inner::<B, C>);
                prepared.finish(state, B::cpu_norm(x, gain, bias, epsilon))
            }
            OpsKind::UnTracked(prepared) => {
                let [x, gain, bias] = [x, gain, bias].map(inner::<B, C>);
                prepared.finish(B::cpu_norm(x, gain, bias, epsilon))
            }
        }
    }

    fn cpu_norm_backward(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [x, gain, grad] = [x, gain, grad].map(inner::<B, C>);
        let (x, gain, bias) = B::cpu_norm_backward(x, gain, grad, epsilon);
        (
            untracked::<B, C>(x),
            untracked::<B, C>(gain),
            untracked::<B, C>(bias),
        )
    }
}

pub(crate) fn linear(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<2>>,
    activation: Activation,
) -> Tensor<2> {
    let plan = TrainedLinear {
        bias: bias.is_some(),
        residual: residual.is_some(),
        activation,
    };
    let x = x.into_dispatch();
    let bias = bias.map_or_else(|| x.clone(), Tensor::into_dispatch);
    let residual = residual.map_or_else(|| x.clone(), Tensor::into_dispatch);
    let (y, _) = Dispatch::cpu_dense(x, weight.into_dispatch(), bias, residual, plan);
    Tensor::from_dispatch(y)
}

pub(crate) fn layer_norm(
    x: Tensor<2>,
    gain: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::cpu_norm(
        x.into_dispatch(),
        gain.into_dispatch(),
        bias.into_dispatch(),
        epsilon as f32,
    ))
}
