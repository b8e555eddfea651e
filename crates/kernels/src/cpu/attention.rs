//! Attention of a batch of short sequences: each head of a sequence fits the cache, so its scores are
//! made, used and left there.

use pulp::{Simd, WithSimd};

use super::math::exp;
use super::matrix::{Matrix, multiply};
use super::norm::sum;
use super::{threads, vectorised};

/// A score that counts for nothing, and the least that a key bias can be; as in the reference.
const BLOCKED: f32 = -1e30;

/// Keys that a query doesn't see.
#[derive(Clone, Copy)]
pub(super) enum Hidden<'a> {
    /// None.
    Nothing,
    /// `[B, N]`, added to the scores of all queries.
    Bias(&'a [f32]),
    /// Those behind it.
    Future,
}

/// Self-attention over a joint projection.
#[derive(Clone, Copy)]
pub(super) struct Attention<'a> {
    /// `[B, N, 3·W]`: queries, keys, values.
    pub qkv: &'a [f32],
    /// N.
    pub tokens: usize,
    /// W.
    pub width: usize,
    pub heads: usize,
    pub hidden: Hidden<'a>,
}

impl Attention<'_> {
    pub(super) fn head_width(&self) -> usize {
        self.width / self.heads
    }

    pub(super) fn scale(&self) -> f32 {
        1.0 / (self.head_width() as f32).sqrt()
    }

    /// Queries, keys and values `[N, d]` of a head of a sequence.
    pub(super) fn operands(&self, sequence: usize, head: usize) -> [Matrix<'_>; 3] {
        let row = 3 * self.width;
        let sequence = &self.qkv[sequence * self.tokens * row..][..self.tokens * row];
        [0, 1, 2].map(|part| {
            let start = part * self.width + head * self.head_width();
            Matrix::strided(&sequence[start..], self.tokens, self.head_width(), row)
        })
    }

    /// Writes `[B, N, W]` to `output`, and the weights `[B, heads, N, N]` where they are to be kept.
    pub(super) fn forward(&self, weights: Option<&mut [f32]>, output: &mut [f32]) {
        let (tokens, width, depth) = (self.tokens, self.width, self.head_width());
        if output.is_empty() {
            return;
        }
        let mut attended = vec![0.0; output.len()];
        let heads = attended.chunks_mut(tokens * depth).enumerate();
        match weights {
            Some(weights) => threads::for_each(
                heads.zip(weights.chunks_mut(tokens * tokens)).collect(),
                |((task, attended), weights)| self.head(task, weights, attended),
            ),
            None => threads::for_each_init(
                heads.collect(),
                || vec![0.0; tokens * tokens],
                |weights, (task, attended)| self.head(task, weights, attended),
            ),
        }
        // From a head after the other to the heads of a token side by side.
        let sequences = output
            .chunks_mut(tokens * width)
            .zip(attended.chunks(tokens * width));
        threads::for_each(sequences.collect(), |(output, attended)| {
            for (head, rows) in attended.chunks_exact(tokens * depth).enumerate() {
                put(output, rows, depth, width, head * depth);
            }
        });
    }

    fn head(&self, task: usize, weights: &mut [f32], attended: &mut [f32]) {
        let (sequence, head) = (task / self.heads, task % self.heads);
        let [query, key, value] = self.operands(sequence, head);
        multiply(weights, query, key.transposed(), false);
        let bias = match self.hidden {
            Hidden::Bias(bias) => Some(&bias[sequence * self.tokens..][..self.tokens]),
            Hidden::Nothing | Hidden::Future => None,
        };
        vectorised(Softmax {
            scores: weights,
            tokens: self.tokens,
            scale: self.scale(),
            bias,
            causal: matches!(self.hidden, Hidden::Future),
        });
        multiply(attended, Matrix::new(weights, self.tokens), value, false);
    }
}

/// Copies rows of `depth` numbers into rows of `stride`, from number `start` on.
pub(super) fn put(output: &mut [f32], rows: &[f32], depth: usize, stride: usize, start: usize) {
    let places = output.chunks_exact_mut(stride);
    for (place, row) in places.zip(rows.chunks_exact(depth)) {
        place[start..start + depth].copy_from_slice(row);
    }
}

/// From products of queries and keys to weights, in place.
struct Softmax<'a> {
    /// `[N, N]`
    scores: &'a mut [f32],
    tokens: usize,
    scale: f32,
    /// `[N]`
    bias: Option<&'a [f32]>,
    causal: bool,
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.scores.chunks_exact_mut(self.tokens);
        for (query, row) in rows.enumerate() {
            let seen = if self.causal { query + 1 } else { self.tokens };
            let (row, unseen) = row.split_at_mut(seen);
            unseen.fill(0.0);
            match self.bias {
                Some(bias) => {
                    for (score, bias) in row.iter_mut().zip(bias) {
                        *score = *score * self.scale + bias.max(BLOCKED);
                    }
                }
                None => {
                    for score in row.iter_mut() {
                        *score *= self.scale;
                    }
                }
            }
            let highest = highest(simd, row);
            exponentials(simd, row, highest);
            let share = 1.0 / sum::<S, false>(simd, row, 0.0);
            for weight in row {
                *weight *= share;
            }
        }
    }
}

#[inline(always)]
fn highest<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(row);
    let mut best = simd.splat_f32s(f32::NEG_INFINITY);
    for vector in vectors {
        best = simd.max_f32s(best, *vector);
    }
    rest.iter()
        .copied()
        .fold(simd.reduce_max_f32s(best), f32::max)
}

/// `exp(x − highest)`, in place.
#[inline(always)]
fn exponentials<S: Simd>(simd: S, row: &mut [f32], highest: f32) {
    let highest = simd.splat_f32s(highest);
    let (vectors, rest) = S::as_mut_simd_f32s(row);
    for vector in vectors {
        *vector = power(simd, *vector, highest);
    }
    let last = power(simd, simd.partial_load_f32s(rest), highest);
    simd.partial_store_f32s(rest, last);
}

/// `exp(x − highest)`; what is more than 86 below the highest counts for nothing.
#[inline(always)]
fn power<S: Simd>(simd: S, x: S::f32s, highest: S::f32s) -> S::f32s {
    let x = simd.sub_f32s(x, highest);
    let is_nothing = simd.less_than_f32s(x, simd.splat_f32s(-86.0));
    simd.select_f32s(is_nothing, simd.splat_f32s(0.0), exp(simd, x))
}
