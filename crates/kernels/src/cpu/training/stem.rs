//! The layers of a convolutional stem.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Shape, Tensor};

use super::{inner, untracked};
use crate::cpu::batch_norm::{Layer, Statistics};
use crate::cpu::convolution::Convolution;
use crate::cpu::{numbers, tensor, zeros};

/// Operations on f32 tensors with the channels last.
#[backend_extension(Autodiff, Flex)]
pub trait CpuStem: Backend {
    /// The 3×3 convolution, with a border of zeros, of `[N, H, W, C]` by `[9·C, O]`.
    fn cpu_convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self>;

    /// Gradients of x, of one number if it isn't wanted, and of the weights.
    fn cpu_convolve_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        stride: usize,
        wants_x: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Batch normalisation and ReLU of `[N, H, W, C]`, and the channels' means, variances and
    /// scales `[3, C]`.
    fn cpu_norm_relu(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of x, γ and β.
    fn cpu_norm_relu_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// The convolution that takes `x` by `weight`.
fn convolution(
    x: &FloatTensor<Flex>,
    weight: &FloatTensor<Flex>,
    stride: usize,
) -> (usize, Convolution) {
    let shape = x.layout().shape();
    let convolution = Convolution {
        height: shape[1],
        width: shape[2],
        input: shape[3],
        output: weight.layout().shape()[1],
        stride,
    };
    (shape[0], convolution)
}

impl CpuStem for Flex {
    fn cpu_convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self> {
        let [x, weight] = [x, weight].map(|tensor| tensor.to_contiguous());
        let (count, convolution) = convolution(&x, &weight, stride);
        let [height, width] = convolution.output_size();
        let shape = Shape::from([count, height, width, convolution.output]);
        let mut output = zeros(shape);
        convolution.forward(numbers(&x), numbers(&weight), output.storage_mut());
        output
    }

    fn cpu_convolve_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        stride: usize,
        wants_x: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [x, weight, grad] = [x, weight, grad].map(|tensor| tensor.to_contiguous());
        let (_, convolution) = convolution(&x, &weight, stride);
        let shape = if wants_x {
            x.layout().shape().clone()
        } else {
            Shape::from([1])
        };
        let mut grad_x = zeros(shape);
        let grad_weight = convolution.backward(
            numbers(&x),
            numbers(&weight),
            numbers(&grad),
            wants_x.then(|| grad_x.storage_mut()),
        );
        (grad_x, tensor(grad_weight, weight.layout().shape().clone()))
    }

    fn cpu_norm_relu(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [x, gamma, beta] = [x, gamma, beta].map(|tensor| tensor.to_contiguous());
        let width = numbers(&gamma).len();
        let statistics = Statistics::of(numbers(&x), width, epsilon);
        let layer = Layer {
            statistics: &statistics,
            gamma: numbers(&gamma),
            beta: numbers(&beta),
        };
        let mut output = zeros(x.layout().shape().clone());
        layer.forward(numbers(&x), output.storage_mut());
        (output, tensor(statistics.into_rows(), [3, width]))
    }

    fn cpu_norm_relu_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [x, gamma, beta, statistics, grad] =
            [x, gamma, beta, statistics, grad].map(|tensor| tensor.to_contiguous());
        let width = numbers(&gamma).len();
        let layer = Layer {
            statistics: &Statistics::from_rows(numbers(&statistics), width),
            gamma: numbers(&gamma),
            beta: numbers(&beta),
        };
        let mut grad_x = zeros(x.layout().shape().clone());
        let [grad_gamma, grad_beta] =
            layer.backward(numbers(&x), numbers(&grad), grad_x.storage_mut());
        (
            grad_x,
            tensor(grad_gamma, [width]),
            tensor(grad_beta, [width]),
        )
    }
}

#[derive(Debug)]
struct Convolve;

/// What a convolution keeps.
#[derive(Clone, Debug)]
struct ConvolveState {
    x: NodeId,
    weight: NodeId,
    stride: usize,
}

impl<B: CpuStem> Backward<B, 2> for Convolve {
    type State = ConvolveState;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let ConvolveState { x, weight, stride } = ops.state;
        let x: FloatTensor<B> = checkpointer.retrieve_node_output(x);
        let weight: FloatTensor<B> = checkpointer.retrieve_node_output(weight);
        let [x_parent, weight_parent] = ops.parents;
        let (grad_x, grad_weight) =
            B::cpu_convolve_backward(x, weight, grad, stride, x_parent.is_some());
        if let Some(parent) = x_parent {
            grads.register::<B>(parent.id, grad_x);
        }
        if let Some(parent) = weight_parent {
            grads.register::<B>(parent.id, grad_weight);
        }
    }
}

#[derive(Debug)]
struct NormRelu;

/// What a normalisation keeps.
#[derive(Clone, Debug)]
struct NormReluState<B: CpuStem> {
    x: NodeId,
    gamma: NodeId,
    beta: NodeId,
    statistics: FloatTensor<B>,
}

impl<B: CpuStem> Backward<B, 3> for NormRelu {
    type State = NormReluState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let state = ops.state;
        let [x, gamma, beta] = [state.x, state.gamma, state.beta]
            .map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let (grad_x, grad_gamma, grad_beta) =
            B::cpu_norm_relu_backward(x, gamma, beta, state.statistics, grad);
        for (parent, grad) in ops.parents.into_iter().zip([grad_x, grad_gamma, grad_beta]) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

impl<B: CpuStem, C: CheckpointStrategy> CpuStem for Autodiff<B, C> {
    fn cpu_convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        match Convolve.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let state = ConvolveState {
                    x: prepared.checkpoint(&x),
                    weight: prepared.checkpoint(&weight),
                    stride,
                };
                let [x, weight] = [x, weight].map(inner::<B, C>);
                prepared.finish(state, B::cpu_convolve(x, weight, stride))
            }
            OpsKind::UnTracked(prepared) => {
                let [x, weight] = [x, weight].map(inner::<B, C>);
                prepared.finish(B::cpu_convolve(x, weight, stride))
            }
        }
    }

    fn cpu_convolve_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        stride: usize,
        wants_x: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [x, weight, grad] = [x, weight, grad].map(inner::<B, C>);
        let (grad_x, grad_weight) = B::cpu_convolve_backward(x, weight, grad, stride, wants_x);
        (untracked::<B, C>(grad_x), untracked::<B, C>(grad_weight))
    }

    fn cpu_norm_relu(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), gamma.node(), beta.node()];
        match NormRelu.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let [saved_x, saved_gamma, saved_beta] =
                    [&x, &gamma, &beta].map(|tensor| prepared.checkpoint(tensor));
                let [x, gamma, beta] = [x, gamma, beta].map(inner::<B, C>);
                let (y, statistics) = B::cpu_norm_relu(x, gamma, beta, epsilon);
                let state = NormReluState {
                    x: saved_x,
                    gamma: saved_gamma,
                    beta: saved_beta,
                    statistics: statistics.clone(),
                };
                (prepared.finish(state, y), untracked::<B, C>(statistics))
            }
            OpsKind::UnTracked(prepared) => {
                let [x, gamma, beta] = [x, gamma, beta].map(inner::<B, C>);
                let (y, statistics) = B::cpu_norm_relu(x, gamma, beta, epsilon);
                (prepared.finish(y), untracked::<B, C>(statistics))
            }
        }
    }

    fn cpu_norm_relu_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [x, gamma, beta] = [x, gamma, beta].map(inner::<B, C>);
        let [statistics, grad] = [statistics, grad].map(inner::<B, C>);
        let (x, gamma, beta) = B::cpu_norm_relu_backward(x, gamma, beta, statistics, grad);
        (
            untracked::<B, C>(x),
            untracked::<B, C>(gamma),
            untracked::<B, C>(beta),
        )
    }
}

pub(crate) fn convolve(x: Tensor<4>, weight: Tensor<2>, stride: usize) -> Tensor<4> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::cpu_convolve(x, weight, stride))
}

pub(crate) fn norm_relu(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> (Tensor<4>, Tensor<2>) {
    let (y, statistics) = Dispatch::cpu_norm_relu(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
    );
    (Tensor::from_dispatch(y), Tensor::from_dispatch(statistics))
}
