//! Bilinear and bicubic interpolation without antialiasing, as `torch.nn.functional.interpolate`
//! with `align_corners=False`.
//!
//! The releases resize masks (EmotionCLIP) and normalised frames (EmoCLIP) as float tensors,
//! which in the torchvision versions of their time means no antialiasing and, for bicubic, torch's
//! kernel with a = −0.75 and replicated borders; no crate offers that combination.

use core::ops::Range;

/// The `N` source pixels that one output pixel is made of, and their weights.
pub(super) struct Taps<const N: usize> {
    pixels: [usize; N],
    weights: [f32; N],
}

impl<const N: usize> Taps<N> {
    /// The weighted sum of the source pixels' values.
    pub(super) fn sum(&self, value: impl Fn(usize) -> f32) -> f32 {
        let terms = self.pixels.iter().zip(self.weights);
        terms.map(|(&pixel, weight)| value(pixel) * weight).sum()
    }
}

/// Bilinear taps of the output pixels `outputs` when `source` pixels become `target`.
pub(super) fn bilinear_taps(source: u32, target: u32, outputs: Range<u32>) -> Vec<Taps<2>> {
    let last = source.saturating_sub(1) as usize;
    let scale = source as f32 / target as f32;
    outputs
        .map(|output| {
            let position = (scale * (output as f32 + 0.5) - 0.5).max(0.0);
            let pixel = (position as usize).min(last);
            let fraction = (position - pixel as f32).clamp(0.0, 1.0);
            Taps {
                pixels: [pixel, (pixel + 1).min(last)],
                weights: [1.0 - fraction, fraction],
            }
        })
        .collect()
}

/// Bicubic taps of the output pixels `outputs` when `source` pixels become `target`. Beyond the
/// border the outermost pixel repeats.
pub(super) fn bicubic_taps(source: u32, target: u32, outputs: Range<u32>) -> Vec<Taps<4>> {
    let last = i64::from(source.saturating_sub(1));
    let scale = source as f32 / target as f32;
    outputs
        .map(|output| {
            let position = scale * (output as f32 + 0.5) - 0.5;
            let base = position.floor();
            let fraction = (position - base).clamp(0.0, 1.0);
            Taps {
                pixels: [-1, 0, 1, 2].map(|step: i64| (base as i64 + step).clamp(0, last) as usize),
                weights: [
                    cubic_outer(fraction + 1.0),
                    cubic_inner(fraction),
                    cubic_inner(1.0 - fraction),
                    cubic_outer(2.0 - fraction),
                ],
            }
        })
        .collect()
}

/// Torch's cubic coefficient, sharper than PIL's −0.5.
const A: f32 = -0.75;

/// Cubic kernel for distances in [0, 1].
fn cubic_inner(x: f32) -> f32 {
    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
}

/// Cubic kernel for distances in [1, 2].
fn cubic_outer(x: f32) -> f32 {
    ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
}

/// Interpolates one plane of `width` columns to `rows.len()` x `columns.len()` values, row-major.
/// `sample` gives the value of a source pixel from its row-major index.
pub(super) fn interpolate<const N: usize>(
    sample: impl Fn(usize) -> f32,
    width: usize,
    rows: &[Taps<N>],
    columns: &[Taps<N>],
) -> Vec<f32> {
    let rows_read = || rows.iter().flat_map(|taps| taps.pixels);
    let first_row = rows_read().min().unwrap_or(0);
    let last_row = rows_read().max().unwrap_or(0);

    let mut narrowed = Vec::with_capacity((last_row + 1 - first_row) * columns.len());
    for row in first_row..=last_row {
        narrowed.extend(
            columns
                .iter()
                .map(|taps| taps.sum(|pixel| sample(row * width + pixel))),
        );
    }
    let mut plane = Vec::with_capacity(rows.len() * columns.len());
    for taps in rows {
        plane
            .extend((0..columns.len()).map(|column| {
                taps.sum(|row| narrowed[(row - first_row) * columns.len() + column])
            }));
    }
    plane
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_size_is_the_same_plane() {
        let plane: Vec<f32> = (0..35).map(|value| value as f32 * 0.3 - 4.0).collect();
        let bilinear = interpolate(
            |index| plane[index],
            7,
            &bilinear_taps(5, 5, 0..5),
            &bilinear_taps(7, 7, 0..7),
        );
        let bicubic = interpolate(
            |index| plane[index],
            7,
            &bicubic_taps(5, 5, 0..5),
            &bicubic_taps(7, 7, 0..7),
        );
        assert_eq!(bilinear, plane);
        assert_eq!(bicubic, plane);
    }

    #[test]
    fn weights_sum_to_one() {
        // Four f32 polynomials of magnitude below 2: a few units in the last place.
        for (source, target) in [(5, 64), (640, 33), (1, 9)] {
            for taps in bicubic_taps(source, target, 0..target) {
                assert!((taps.weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            }
            for taps in bilinear_taps(source, target, 0..target) {
                assert!((taps.weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn doubling_a_step_gives_quarter_weights() {
        // [0, 1] to four pixels: positions −0.25, 0.25, 0.75, 1.25, clipped at the borders.
        let columns = bilinear_taps(2, 4, 0..4);
        let plane = interpolate(
            |index| index as f32,
            2,
            &bilinear_taps(1, 1, 0..1),
            &columns,
        );
        assert_eq!(plane, [0.0, 0.25, 0.75, 1.0]);
    }
}
