//! LayerNorm of rows.

use pulp::{Simd, WithSimd};

/// Rows of `gain.len()` numbers.
pub(super) struct Rows<'a> {
    pub x: &'a [f32],
    pub gain: &'a [f32],
    pub bias: &'a [f32],
    pub epsilon: f32,
    pub output: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.gain.len();
        let (gains, last_gain) = S::as_simd_f32s(self.gain);
        let (biases, last_bias) = S::as_simd_f32s(self.bias);
        let rows = self.x.chunks_exact(width);
        for (row, output) in rows.zip(self.output.chunks_exact_mut(width)) {
            let mean = sum::<S, false>(simd, row, 0.0) / width as f32;
            let squares = sum::<S, true>(simd, row, mean);
            let centre = simd.splat_f32s(mean);
            let (whole, rest) = S::as_simd_f32s(row);
            let scale = 1.0 / (squares / width as f32 + self.epsilon).sqrt();
            let scales = simd.splat_f32s(scale);
            let (to, last) = S::as_mut_simd_f32s(output);
            for (((to, x), gain), bias) in to.iter_mut().zip(whole).zip(gains).zip(biases) {
                let normed = simd.mul_f32s(simd.sub_f32s(*x, centre), scales);
                *to = simd.mul_add_e_f32s(normed, *gain, *bias);
            }
            for (((to, x), gain), bias) in last.iter_mut().zip(rest).zip(last_gain).zip(last_bias) {
                *to = (x - mean) * scale * gain + bias;
            }
        }
    }
}

/// The gradient of rows, and sums for those of gain and bias, which are added to.
#[cfg(not(target_family = "wasm"))]
pub(super) struct RowsBack<'a> {
    pub x: &'a [f32],
    pub gain: &'a [f32],
    pub epsilon: f32,
    pub grad: &'a [f32],
    pub grad_x: &'a mut [f32],
    pub grad_gain: &'a mut [f32],
    pub grad_bias: &'a mut [f32],
}

#[cfg(not(target_family = "wasm"))]
impl WithSimd for RowsBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.gain.len();
        let gain = self.gain;
        let (grad_gain, grad_bias) = (&mut self.grad_gain[..width], &mut self.grad_bias[..width]);
        let rows = self
            .x
            .chunks_exact(width)
            .zip(self.grad.chunks_exact(width));
        let mut normed = vec![0.0; width];
        let mut inner = vec![0.0; width];
        for ((row, grad), grad_x) in rows.zip(self.grad_x.chunks_exact_mut(width)) {
            let mean = sum::<S, false>(simd, row, 0.0) / width as f32;
            let squares = sum::<S, true>(simd, row, mean);
            let scale = 1.0 / (squares / width as f32 + self.epsilon).sqrt();
            // By index, over slices of one known length: so the compiler takes whole vectors.
            for c in 0..width {
                normed[c] = (row[c] - mean) * scale;
                inner[c] = grad[c] * gain[c];
                grad_gain[c] += grad[c] * normed[c];
                grad_bias[c] += grad[c];
            }
            let level = sum::<S, false>(simd, &inner, 0.0) / width as f32;
            for c in 0..width {
                grad_x[c] = inner[c] * normed[c];
            }
            let along = sum::<S, false>(simd, grad_x, 0.0) / width as f32;
            for c in 0..width {
                grad_x[c] = scale * (inner[c] - level - normed[c] * along);
            }
        }
    }
}

/// `Σ (x − centre)`, or of its squares, in four sums of vectors.
#[inline(always)]
pub(super) fn sum<S: Simd, const SQUARES: bool>(simd: S, row: &[f32], centre: f32) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(row);
    let centres = simd.splat_f32s(centre);
    let mut sums = [simd.splat_f32s(0.0); 4];
    for part in vectors.chunks(sums.len()) {
        for (sum, x) in sums.iter_mut().zip(part) {
            let x = simd.sub_f32s(*x, centres);
            *sum = if SQUARES {
                simd.mul_add_e_f32s(x, x, *sum)
            } else {
                simd.add_f32s(*sum, x)
            };
        }
    }
    let [a, b, c, d] = sums;
    let mut total = simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d)));
    for x in rest {
        let x = x - centre;
        total += if SQUARES { x * x } else { x };
    }
    total
}
