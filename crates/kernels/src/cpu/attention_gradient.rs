//! The gradient of attention.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::attention::{Attention, put};
use super::matrix::{Matrix, multiply};
use super::norm::sum;
use super::vectorised;

/// What a thread needs for a head.
struct Scratch {
    /// `[N, d]`
    rows: Vec<f32>,
    /// `[N, N]`
    scores: Vec<f32>,
    /// `[N]`
    products: Vec<f32>,
}

impl Attention<'_> {
    /// The gradient `[B, N, 3·W]` of the projection, from the output's `[B, N, W]` and the weights that
    /// [`Self::forward`] kept.
    pub(super) fn backward(&self, weights: &[f32], grad: &[f32], grad_qkv: &mut [f32]) {
        let (tokens, width, depth) = (self.tokens, self.width, self.head_width());
        if grad_qkv.is_empty() {
            return;
        }
        let scratch = || Scratch {
            rows: vec![0.0; tokens * depth],
            scores: vec![0.0; tokens * tokens],
            products: vec![0.0; tokens],
        };
        let parts = weights
            .par_chunks(self.heads * tokens * tokens)
            .zip(grad.par_chunks(tokens * width));
        grad_qkv
            .par_chunks_mut(tokens * 3 * width)
            .zip(parts)
            .enumerate()
            .for_each_init(
                scratch,
                |scratch, (sequence, (grad_qkv, (weights, grad)))| {
                    for (head, weights) in weights.chunks_exact(tokens * tokens).enumerate() {
                        let start = head * depth;
                        let [query, key, value] = self.operands(sequence, head);
                        let grad = Matrix::strided(&grad[start..], tokens, depth, width);
                        let kept = Matrix::new(weights, tokens);
                        let row = 3 * width;
                        let Scratch {
                            rows,
                            scores,
                            products,
                        } = &mut *scratch;

                        multiply(rows, kept.transposed(), grad, false);
                        put(grad_qkv, rows, depth, row, 2 * width + start);
                        multiply(scores, grad, value.transposed(), false);
                        vectorised(SoftmaxBack {
                            weights,
                            grad: scores,
                            tokens,
                            scale: self.scale(),
                            products,
                        });
                        multiply(rows, Matrix::new(scores, tokens), key, false);
                        put(grad_qkv, rows, depth, row, start);
                        let scores = Matrix::new(scores, tokens).transposed();
                        multiply(rows, scores, query, false);
                        put(grad_qkv, rows, depth, row, width + start);
                    }
                },
            );
    }
}

/// From the gradient of weights to that of scores, in place: `P ∘ (G − Σ G ∘ P) · scale`.
struct SoftmaxBack<'a> {
    /// `[N, N]`
    weights: &'a [f32],
    /// `[N, N]`
    grad: &'a mut [f32],
    tokens: usize,
    scale: f32,
    /// `[N]`, overwritten.
    products: &'a mut [f32],
}

impl WithSimd for SoftmaxBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let tokens = self.tokens;
        let products = &mut self.products[..tokens];
        let rows = self.grad.chunks_exact_mut(tokens);
        for (grad, weights) in rows.zip(self.weights.chunks_exact(tokens)) {
            // By index, over slices of one known length: so the compiler takes whole vectors.
            for key in 0..tokens {
                products[key] = grad[key] * weights[key];
            }
            let along = sum::<S, false>(simd, products, 0.0);
            for key in 0..tokens {
                grad[key] = (products[key] - along * weights[key]) * self.scale;
            }
        }
    }
}
