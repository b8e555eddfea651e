//! Batch normalisation of channels with ReLU behind it, and its gradient.
//!
//! Rows are pixels, columns channels.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::sums::{PART, column_sums};
use super::vectorised;

/// What normalises a channel: `(x − mean) · scale`, with `scale = 1 / √(variance + ε)`.
#[derive(Clone, Debug)]
pub(super) struct Statistics {
    pub mean: Vec<f32>,
    /// Biased.
    pub variance: Vec<f32>,
    pub scale: Vec<f32>,
}

impl Statistics {
    /// Of rows of `width` channels.
    pub(super) fn of(x: &[f32], width: usize, epsilon: f64) -> Self {
        let rows = rows_of(x, width);
        let deviations = |centre: &[f32], squared: bool| {
            let [sums, _] = column_sums(x.len(), width, |block, [sums, _]| {
                vectorised(Deviations {
                    rows: &x[block],
                    centre,
                    sums,
                    squared,
                });
            });
            sums
        };
        let sums = deviations(&vec![0.0; width], false);
        let mean: Vec<f32> = sums.iter().map(|sum| (sum / rows) as f32).collect();
        let variances = deviations(&mean, true).into_iter().map(|sum| sum / rows);
        let (variance, scale) = variances
            .map(|variance| (variance as f32, (1.0 / (variance + epsilon).sqrt()) as f32))
            .unzip();
        Self {
            mean,
            variance,
            scale,
        }
    }
}

impl Statistics {
    /// Means, variances and scales, one after the other.
    pub(super) fn into_rows(self) -> Vec<f32> {
        [self.mean, self.variance, self.scale].concat()
    }

    /// Of what [`Self::into_rows`] gave.
    pub(super) fn from_rows(rows: &[f32], width: usize) -> Self {
        let row = |row: usize| rows[row * width..][..width].to_vec();
        Self {
            mean: row(0),
            variance: row(1),
            scale: row(2),
        }
    }
}

/// Number of rows, to divide by.
fn rows_of(x: &[f32], width: usize) -> f64 {
    (x.len() / width.max(1)).max(1) as f64
}

/// Adds the rows' deviations from a centre, or the squares of these.
struct Deviations<'a> {
    rows: &'a [f32],
    centre: &'a [f32],
    sums: &'a mut [f32],
    squared: bool,
}

impl WithSimd for Deviations<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self {
            rows,
            centre,
            sums,
            squared,
        } = self;
        // Two loops, so that neither asks in its innermost part.
        for row in rows.chunks_exact(sums.len()) {
            if squared {
                for ((sum, x), centre) in sums.iter_mut().zip(row).zip(centre) {
                    *sum += (x - centre) * (x - centre);
                }
            } else {
                for (sum, x) in sums.iter_mut().zip(row) {
                    *sum += x;
                }
            }
        }
    }
}

/// `max(0, x · gain + shift)` of rows.
struct Rectified<'a> {
    rows: &'a [f32],
    gain: &'a [f32],
    shift: &'a [f32],
    output: &'a mut [f32],
}

impl WithSimd for Rectified<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let width = self.gain.len();
        let rows = self.rows.chunks_exact(width);
        for (row, output) in rows.zip(self.output.chunks_exact_mut(width)) {
            let affine = self.gain.iter().zip(self.shift);
            for ((output, x), (gain, shift)) in output.iter_mut().zip(row).zip(affine) {
                *output = (x * gain + shift).max(0.0);
            }
        }
    }
}

/// A layer: statistics, `gamma` and `beta`.
pub(super) struct Layer<'a> {
    pub statistics: &'a Statistics,
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
}

impl Layer<'_> {
    /// The layer as `x · gain + shift`.
    fn affine(&self) -> [Vec<f32>; 2] {
        let Statistics { mean, scale, .. } = self.statistics;
        let gain: Vec<f32> = self.gamma.iter().zip(scale).map(|(g, s)| g * s).collect();
        let shifts = self.beta.iter().zip(mean).zip(&gain);
        let shift = shifts.map(|((beta, mean), gain)| beta - mean * gain);
        let shift = shift.collect();
        [gain, shift]
    }

    /// Writes `max(0, γ · (x − mean) · scale + β)`.
    pub(super) fn forward(&self, x: &[f32], output: &mut [f32]) {
        let [gain, shift] = self.affine();
        let part = PART * gain.len().max(1);
        let parts = x.par_chunks(part).zip(output.par_chunks_mut(part));
        parts.for_each(|(rows, output)| {
            vectorised(Rectified {
                rows,
                gain: &gain,
                shift: &shift,
                output,
            });
        });
    }

    /// Writes the gradient of x and gives those of γ and β.
    pub(super) fn backward(&self, x: &[f32], grad: &[f32], grad_x: &mut [f32]) -> [Vec<f32>; 2] {
        let [gain, shift] = self.affine();
        let width = gain.len();
        let Statistics { mean, scale, .. } = self.statistics;
        let [through, mut normed] = column_sums(x.len(), width, |block, sums| {
            vectorised(Through {
                rows: &x[block.clone()],
                grad: &grad[block],
                affine: [&gain, &shift],
                mean,
                sums,
            });
        });
        for (sum, scale) in normed.iter_mut().zip(scale) {
            *sum *= f64::from(*scale);
        }
        let rows = rows_of(x, width);
        // grad_x = gain (g − mean(g) − x̂ mean(g x̂)), as g · gain + x · slope + offset.
        let slope: Vec<f32> = (0..width)
            .map(|c| (-f64::from(gain[c]) * f64::from(scale[c]) * normed[c] / rows) as f32)
            .collect();
        let offset: Vec<f32> = (0..width)
            .map(|c| {
                let level = -f64::from(gain[c]) * through[c] / rows;
                (level - f64::from(slope[c]) * f64::from(mean[c])) as f32
            })
            .collect();
        let part = PART * width.max(1);
        let parts = x.par_chunks(part).zip(grad.par_chunks(part));
        parts
            .zip(grad_x.par_chunks_mut(part))
            .for_each(|((rows, grad), grad_x)| {
                vectorised(Back {
                    rows,
                    grad,
                    affine: [&gain, &shift],
                    slope: &slope,
                    offset: &offset,
                    grad_x,
                });
            });
        let narrow = |sums: Vec<f64>| sums.into_iter().map(|sum| sum as f32).collect();
        [narrow(normed), narrow(through)]
    }
}

/// Sums of what passes the ReLU, and of that times `x − mean`.
struct Through<'a> {
    rows: &'a [f32],
    grad: &'a [f32],
    affine: [&'a [f32]; 2],
    mean: &'a [f32],
    sums: [&'a mut [f32]; 2],
}

impl WithSimd for Through<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let [gain, shift] = self.affine;
        let [through, normed] = self.sums;
        let width = gain.len();
        let (shift, mean) = (&shift[..width], &self.mean[..width]);
        let (through, normed) = (&mut through[..width], &mut normed[..width]);
        let rows = self.rows.chunks_exact(width);
        for (row, grad) in rows.zip(self.grad.chunks_exact(width)) {
            for c in 0..width {
                let passes = row[c] * gain[c] + shift[c] > 0.0;
                let grad = if passes { grad[c] } else { 0.0 };
                through[c] += grad;
                normed[c] += grad * (row[c] - mean[c]);
            }
        }
    }
}

/// The gradient of x.
struct Back<'a> {
    rows: &'a [f32],
    grad: &'a [f32],
    affine: [&'a [f32]; 2],
    slope: &'a [f32],
    offset: &'a [f32],
    grad_x: &'a mut [f32],
}

impl WithSimd for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let [gain, shift] = self.affine;
        let width = gain.len();
        let (shift, slope, offset) = (&shift[..width], &self.slope[..width], &self.offset[..width]);
        let rows = self.rows.chunks_exact(width);
        let rows = rows.zip(self.grad.chunks_exact(width));
        for ((row, grad), grad_x) in rows.zip(self.grad_x.chunks_exact_mut(width)) {
            for c in 0..width {
                let passes = row[c] * gain[c] + shift[c] > 0.0;
                let grad = if passes { grad[c] } else { 0.0 };
                grad_x[c] = grad * gain[c] + row[c] * slope[c] + offset[c];
            }
        }
    }
}
