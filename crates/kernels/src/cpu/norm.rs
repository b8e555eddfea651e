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
            let mean = sum(simd, row, |x| x) / width as f32;
            let centre = simd.splat_f32s(mean);
            let spread = |x| {
                let x = simd.sub_f32s(x, centre);
                simd.mul_f32s(x, x)
            };
            let (whole, rest) = S::as_simd_f32s(row);
            let squares: f32 = rest.iter().map(|x| (x - mean) * (x - mean)).sum();
            let squares = squares + sum(simd, &row[..row.len() - rest.len()], spread);
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

/// `Σ f(x)` in four sums of vectors; what fills no vector goes in as it is.
#[inline(always)]
fn sum<S: Simd>(simd: S, row: &[f32], f: impl Fn(S::f32s) -> S::f32s) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(row);
    let mut sums = [simd.splat_f32s(0.0); 4];
    for (index, x) in vectors.iter().enumerate() {
        sums[index % 4] = simd.add_f32s(sums[index % 4], f(*x));
    }
    let [a, b, c, d] = sums;
    let total = simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d));
    simd.reduce_sum_f32s(total) + rest.iter().sum::<f32>()
}
