//! The CPU twins of the kernels, for burn's CPU engine.
//!
//! The engine takes every operation by itself, activations one number at a time. Here a layer is one
//! pass over the weights, in vectors of the processor's own width: AVX-512, or AVX2 with FMA, NEON,
//! else single numbers; in a page WebAssembly's four numbers, with a fused multiply-add where the
//! browser has it. Training and threads are left out there.
//!
//! Results don't depend on the number of threads: each element is computed by one of them, in an
//! order that depends on the shapes only. Where operations are recorded, those of [`training`] take
//! their place.

mod attention;
#[cfg(not(target_family = "wasm"))]
mod attention_gradient;
#[cfg(not(target_family = "wasm"))]
mod batch_norm;
#[cfg(not(target_family = "wasm"))]
mod convolution;
#[cfg(not(target_family = "wasm"))]
mod dense;
mod masked;
mod math;
mod matrix;
mod norm;
mod product;
#[cfg(not(target_family = "wasm"))]
mod sums;
#[cfg(test)]
mod tests;
mod threads;
#[cfg(not(target_family = "wasm"))]
pub(crate) mod training;

pub(crate) use masked::masked_attention;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchDevice, Flex, backend_extension};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use pulp::WithSimd;

use crate::Activation;
use product::{Operands, WeightLayout, product};

/// Rows that a thread normalises; a thread costs as much as one or two of them.
const NORM_ROWS: usize = 64;

/// What a product consists of. Operands that it has no use for are any tensor and are not read.
#[derive(Clone, Copy, Debug)]
pub struct CpuLinear {
    layout: WeightLayout,
    bias: bool,
    residual: bool,
    activation: Activation,
}

/// The operations on the engine's own f32 tensors.
#[backend_extension(Flex)]
pub trait CpuBackend: Backend {
    /// `act(x W + b) + residual` `[M, N]`; weights are `[K, N]`, or `[N, K]` if transposed.
    fn cpu_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        plan: CpuLinear,
    ) -> FloatTensor<Self>;

    /// LayerNorm of the rows of `[M, W]`.
    fn cpu_layer_norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;
}

/// The tensor's numbers in row order.
fn numbers(tensor: &FloatTensor<Flex>) -> &[f32] {
    let start = tensor.layout().start_offset();
    let count = tensor.layout().shape().num_elements();
    &tensor.storage()[start..start + count]
}

/// A tensor of new numbers.
fn tensor(numbers: Vec<f32>, shape: impl Into<Shape>) -> FloatTensor<Flex> {
    FloatTensor::<Flex>::from_data(TensorData::new(numbers, shape))
}

/// An output of zeros. burn-flex's own constructors fill a vector of bytes and then copy it for its
/// alignment, which was a seventh of a training step.
fn zeros(shape: impl Into<Shape>) -> FloatTensor<Flex> {
    let shape = shape.into();
    tensor(vec![0.0; shape.num_elements()], shape)
}

impl CpuBackend for Flex {
    fn cpu_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        plan: CpuLinear,
    ) -> FloatTensor<Self> {
        let [x, weight, bias, residual] =
            [x, weight, bias, residual].map(|tensor| tensor.to_contiguous());
        let (rows, depth) = (x.layout().shape()[0], x.layout().shape()[1]);
        let width = match plan.layout {
            WeightLayout::Plain => weight.layout().shape()[1],
            WeightLayout::Transposed => weight.layout().shape()[0],
        };
        let mut output = zeros([rows, width]);
        let operands = Operands {
            x: numbers(&x),
            depth,
            weight: numbers(&weight),
            width,
            layout: plan.layout,
            bias: plan.bias.then(|| numbers(&bias)),
            residual: plan.residual.then(|| numbers(&residual)),
            activation: plan.activation,
        };
        product(&operands, output.storage_mut());
        output
    }

    fn cpu_layer_norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let [x, gain, bias] = [x, gain, bias].map(|tensor| tensor.to_contiguous());
        let mut output = zeros(x.layout().shape().clone());
        let part = NORM_ROWS * gain.layout().shape()[0].max(1);
        let parts = numbers(&x).chunks(part);
        let outputs = output.storage_mut().chunks_mut(part);
        threads::for_each(parts.zip(outputs).collect(), |(x, output)| {
            vectorised(norm::Rows {
                x,
                gain: numbers(&gain),
                bias: numbers(&bias),
                epsilon,
                output,
            });
        });
        output
    }
}

/// Runs an operation in the widest vectors that the processor has.
#[cfg(not(target_family = "wasm"))]
fn vectorised<Op: WithSimd>(operation: Op) -> Op::Output {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::Simd;
        use pulp::x86::{V3, V4};
        if let Some(simd) = V4::try_new() {
            return Simd::vectorize(simd, operation);
        }
        if let Some(simd) = V3::try_new() {
            return Simd::vectorize(simd, operation);
        }
    }
    pulp::Arch::new().dispatch(operation)
}

/// Runs an operation in the vectors that the module is made for. Nothing is asked at run time: the page
/// chooses the module by what its browser knows.
#[cfg(target_family = "wasm")]
fn vectorised<Op: WithSimd>(operation: Op) -> Op::Output {
    #[cfg(feature = "relaxed-simd")]
    use pulp::wasm::RelaxedSimd as Vectors;
    #[cfg(not(feature = "relaxed-simd"))]
    use pulp::wasm::Simd128 as Vectors;
    #[allow(
        unsafe_code,
        reason = "to ask would keep a second copy of every operation, for a case that can't be"
    )]
    // SAFETY: a browser that lacks an instruction compiles no module that has it anywhere.
    let vectors = unsafe { Vectors::new_unchecked() };
    pulp::Simd::vectorize(vectors, operation)
}

/// Whether the kernels compute on a device: burn's CPU engine, without gradients.
pub(crate) fn computes_on(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Flex(_))
}

pub(crate) fn linear(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<2>>,
    activation: Activation,
) -> Tensor<2> {
    let plan = CpuLinear {
        layout: WeightLayout::Plain,
        bias: bias.is_some(),
        residual: residual.is_some(),
        activation,
    };
    let x = x.into_dispatch();
    let bias = bias.map_or_else(|| x.clone(), Tensor::into_dispatch);
    let residual = residual.map_or_else(|| x.clone(), Tensor::into_dispatch);
    let weight = weight.into_dispatch();
    Tensor::from_dispatch(Dispatch::cpu_linear(x, weight, bias, residual, plan))
}

pub(crate) fn patch_embedding(images: Tensor<4>, weight: Tensor<4>) -> Tensor<3> {
    let [count, channels, side, _] = images.dims();
    let [width, _, patch, _] = weight.dims();
    let grid = side / patch;
    let depth = channels * patch * patch;
    let rows: Tensor<2> = images
        .reshape([count, channels, grid, patch, grid, patch])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([count * grid * grid, depth]);
    let plan = CpuLinear {
        layout: WeightLayout::Transposed,
        bias: false,
        residual: false,
        activation: Activation::None,
    };
    let rows = rows.into_dispatch();
    let weight = weight.reshape([width, depth]).into_dispatch();
    let embedded = Dispatch::cpu_linear(rows.clone(), weight, rows.clone(), rows, plan);
    Tensor::<2>::from_dispatch(embedded).reshape([count, grid * grid, width])
}

pub(crate) fn layer_norm(
    x: Tensor<2>,
    gain: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::cpu_layer_norm(
        x.into_dispatch(),
        gain.into_dispatch(),
        bias.into_dispatch(),
        epsilon as f32,
    ))
}
