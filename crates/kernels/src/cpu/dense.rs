//! Linear layers of many rows with their gradients: products of matrices, and what stands around them
//! in one pass.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::matrix::{Matrix, multiply};
use super::sums::{column_sums, total};
use super::{math, vectorised};
use crate::Activation;

/// Rows a task.
const ROWS: usize = 128;
/// Parts of the rows for the gradient of the weights, summed in their order.
const PARTS: usize = 8;

/// A layer of `[M, depth]` rows to `[M, width]`; the weights are `[depth, width]`.
#[derive(Clone, Copy)]
pub(super) struct Dense<'a> {
    pub x: &'a [f32],
    pub depth: usize,
    pub weight: &'a [f32],
    pub width: usize,
    pub activation: Activation,
}

impl Dense<'_> {
    /// Writes `act(x W + b) + residual` to `output`, and what the activation was taken of to `before`
    /// where there is one.
    pub(super) fn forward(
        &self,
        bias: Option<&[f32]>,
        residual: Option<&[f32]>,
        before: &mut [f32],
        output: &mut [f32],
    ) {
        let Self { depth, width, .. } = *self;
        let activated = self.activation != Activation::None;
        let mut arguments: Vec<&mut [f32]> = if activated {
            before.chunks_mut(ROWS * width).collect()
        } else {
            Vec::new()
        };
        let outputs = output.chunks_mut(ROWS * width);
        arguments.resize_with(outputs.len(), Default::default);
        let tasks: Vec<_> = outputs.zip(arguments).enumerate().collect();
        tasks.into_par_iter().for_each(|(task, (output, before))| {
            let rows = output.len() / width;
            let x = &self.x[task * ROWS * depth..][..rows * depth];
            let product = if activated {
                &mut *before
            } else {
                &mut *output
            };
            multiply(
                product,
                Matrix::new(x, depth),
                Matrix::new(self.weight, width),
                false,
            );
            if let Some(bias) = bias {
                for row in product.chunks_exact_mut(width) {
                    for (value, bias) in row.iter_mut().zip(bias) {
                        *value += bias;
                    }
                }
            }
            if activated {
                vectorised(Activate {
                    activation: self.activation,
                    before,
                    output,
                });
            }
            if let Some(residual) = residual {
                let residual = &residual[task * ROWS * width..][..rows * width];
                for (value, residual) in output.iter_mut().zip(residual) {
                    *value += residual;
                }
            }
        });
    }

    /// Gradients of x, the weights and the bias; `before` as [`Self::forward`] wrote it.
    pub(super) fn backward(
        &self,
        before: &[f32],
        grad: &[f32],
        grad_x: &mut [f32],
    ) -> (Vec<f32>, Vec<f32>) {
        let Self { depth, width, .. } = *self;
        let mut inner;
        let grad = if self.activation == Activation::None {
            grad
        } else {
            inner = vec![0.0; grad.len()];
            let parts = grad
                .par_chunks(ROWS * width)
                .zip(before.par_chunks(ROWS * width));
            parts
                .zip(inner.par_chunks_mut(ROWS * width))
                .for_each(|((grad, before), inner)| {
                    vectorised(Slope {
                        activation: self.activation,
                        before,
                        grad,
                        inner,
                    });
                });
            &inner
        };
        let parts = grad.par_chunks(ROWS * width);
        parts
            .zip(grad_x.par_chunks_mut(ROWS * depth))
            .for_each(|(grad, grad_x)| {
                let weight = Matrix::new(self.weight, width).transposed();
                multiply(grad_x, Matrix::new(grad, width), weight, false);
            });
        let rows = grad.len() / width.max(1);
        let share = rows.div_ceil(PARTS).max(1);
        let parts: Vec<Vec<f32>> = grad
            .par_chunks(share * width)
            .zip(self.x.par_chunks(share * depth))
            .map(|(grad, x)| {
                let mut part = vec![0.0; depth * width];
                let x = Matrix::new(x, depth).transposed();
                multiply(&mut part, x, Matrix::new(grad, width), false);
                part
            })
            .collect();
        let [sums, _] = column_sums(grad.len(), width, |block, [sums, _]| {
            for row in grad[block].chunks_exact(width) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        });
        (
            total(depth * width, parts),
            sums.into_iter().map(|sum| sum as f32).collect(),
        )
    }
}

/// An activation of many numbers.
struct Activate<'a> {
    activation: Activation,
    before: &'a [f32],
    output: &'a mut [f32],
}

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (xs, last_x) = S::as_simd_f32s(self.before);
        let (outputs, last) = S::as_mut_simd_f32s(self.output);
        for (output, x) in outputs.iter_mut().zip(xs) {
            *output = math::activate(simd, self.activation, *x);
        }
        let x = simd.partial_load_f32s(last_x);
        simd.partial_store_f32s(last, math::activate(simd, self.activation, x));
    }
}

/// A gradient through an activation.
struct Slope<'a> {
    activation: Activation,
    before: &'a [f32],
    grad: &'a [f32],
    inner: &'a mut [f32],
}

impl WithSimd for Slope<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (xs, last_x) = S::as_simd_f32s(self.before);
        let (grads, last_grad) = S::as_simd_f32s(self.grad);
        let (outputs, last) = S::as_mut_simd_f32s(self.inner);
        for ((output, x), grad) in outputs.iter_mut().zip(xs).zip(grads) {
            *output = simd.mul_f32s(*grad, math::slope(simd, self.activation, *x));
        }
        let [x, grad] = [last_x, last_grad].map(|part| simd.partial_load_f32s(part));
        let slope = math::slope(simd, self.activation, x);
        simd.partial_store_f32s(last, simd.mul_f32s(grad, slope));
    }
}
