//! The operations as sums in f64 on the host: what every device is compared with.
//!
//! A page has one engine and nothing on it to trust beside the kernels, so these lean on no engine at
//! all. The unit tests of [`check`](super) tie them to the plain-tensor references.

use std::f64::consts::FRAC_1_SQRT_2;

use crate::Activation;

/// A score that counts for nothing, as in the reference and the shaders.
const BLOCKED: f64 = -1e30;

/// Which token may attend to which; the values are laid out as in [`crate::AttentionMask`].
pub(super) enum Mask {
    None,
    Causal,
    KeyBias(Vec<f32>),
    Subject { outside: Vec<f32>, gate: Vec<f32> },
}

impl Mask {
    /// What is added to the score of `query` for `key`, of `tokens`, in one of the batch's items. Of a
    /// subject's two streams this is the one that is told who the subject is.
    fn added(&self, item: usize, query: usize, key: usize, tokens: usize) -> f64 {
        let human = tokens - 1;
        match self {
            Self::None => 0.0,
            Self::Causal => BLOCKED * f64::from(key > query),
            Self::KeyBias(bias) => f64::from(bias[item * tokens + key]).max(BLOCKED),
            Self::Subject { outside, .. } => {
                let outside = |patch: usize| f64::from(outside[item * (tokens - 2) + patch - 1]);
                BLOCKED
                    * match (query == human, key == human) {
                        (true, false) if key == 0 => 1.0,
                        (true, false) => outside(key),
                        (false, true) if query > 0 => outside(query),
                        _ => 0.0,
                    }
            }
        }
    }
}

/// Attention over `qkv` `[B, N, 3·heads·d]`, by `shape` `[N, heads, B, d]`; gives `[B, N, heads·d]`.
pub(super) fn attention(
    qkv: &[f32],
    [tokens, heads, batch, head_width]: [usize; 4],
    mask: &Mask,
) -> Vec<f64> {
    let width = heads * head_width;
    let mut mixed = vec![0.0; batch * tokens * width];
    for item in 0..batch {
        for head in 0..heads {
            let part = |part: usize, token: usize, lane: usize| {
                let row = item * tokens + token;
                f64::from(qkv[row * 3 * width + part * width + head * head_width + lane])
            };
            let score = |query: usize, key: usize| {
                let lanes = (0..head_width).map(|lane| part(0, query, lane) * part(1, key, lane));
                lanes.sum::<f64>() / (head_width as f64).sqrt()
            };
            let weights = |query: usize, masked: bool| {
                softmax((0..tokens).map(|key| {
                    let added = if masked {
                        mask.added(item, query, key, tokens)
                    } else {
                        0.0
                    };
                    score(query, key) + added
                }))
            };
            let mean = |weights: &[f64], values: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
                let sum = |lane| {
                    let terms = weights.iter().enumerate();
                    terms
                        .map(|(key, weight)| weight * values(key, lane))
                        .sum::<f64>()
                };
                (0..head_width).map(sum).collect()
            };
            let value = |key: usize, lane: usize| part(2, key, lane);
            let masked: Vec<Vec<f64>> = (0..tokens)
                .map(|query| mean(&weights(query, true), &value))
                .collect();
            for query in 0..tokens {
                let row = match mask {
                    Mask::Subject { gate, .. } => {
                        let straight = weights(query, false);
                        let gates = &gate[(head * tokens + query) * tokens..][..tokens];
                        let past: Vec<f64> = straight
                            .iter()
                            .zip(gates)
                            .map(|(weight, &gate)| weight * sigmoid(f64::from(gate)))
                            .collect();
                        let rest: Vec<f64> = straight
                            .iter()
                            .zip(&past)
                            .map(|(all, past)| all - past)
                            .collect();
                        let through = mean(&past, &|key, lane| masked[key][lane]);
                        let direct = mean(&rest, &value);
                        direct.iter().zip(through).map(|(a, b)| a + b).collect()
                    }
                    _ => masked[query].clone(),
                };
                let start = (item * tokens + query) * width + head * head_width;
                mixed[start..start + head_width].copy_from_slice(&row);
            }
        }
    }
    mixed
}

/// `act(x W + b) + residual`, with `x` `[M, K]` and `weight` `[K, N]`.
pub(super) fn linear(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    [rows, depth, width]: [usize; 3],
    activation: Activation,
) -> Vec<f64> {
    let mut y = vec![0.0; rows * width];
    for (row, y) in y.chunks_exact_mut(width).enumerate() {
        for (x, weights) in x[row * depth..][..depth]
            .iter()
            .zip(weight.chunks_exact(width))
        {
            for (y, weight) in y.iter_mut().zip(weights) {
                *y += f64::from(*x) * f64::from(*weight);
            }
        }
        for (column, y) in y.iter_mut().enumerate() {
            let sum = *y + bias.map_or(0.0, |bias| f64::from(bias[column]));
            let residual =
                residual.map_or(0.0, |residual| f64::from(residual[row * width + column]));
            *y = residual
                + match activation {
                    Activation::None => sum,
                    Activation::Gelu => 0.5 * sum * (1.0 + libm::erf(sum * FRAC_1_SQRT_2)),
                    Activation::QuickGelu => sum * sigmoid(1.702 * sum),
                };
        }
    }
    y
}

/// Images `[B, 3, S, S]` in patches of P × P pixels with `weight` `[W, 3, P, P]`, by `shape`
/// `[B, S, P, W]`.
pub(super) fn patch_embedding(
    images: &[f32],
    weight: &[f32],
    [count, side, patch, width]: [usize; 4],
) -> Vec<f64> {
    let grid = side / patch;
    let depth = 3 * patch * patch;
    let mut embedded = Vec::with_capacity(count * grid * grid * width);
    for index in 0..count * grid * grid {
        let (image, row, column) = (index / (grid * grid), index / grid % grid, index % grid);
        let pixels: Vec<f32> = (0..depth)
            .map(|place| {
                let (channel, y, x) = (
                    place / (patch * patch),
                    row * patch + place / patch % patch,
                    column * patch + place % patch,
                );
                images[((image * 3 + channel) * side + y) * side + x]
            })
            .collect();
        let dot = |weights: &[f32]| {
            let terms = pixels.iter().zip(weights);
            terms
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum::<f64>()
        };
        embedded.extend(weight.chunks_exact(depth).map(dot));
    }
    embedded
}

/// Means of masks `[B, S, S]` over patches of P × P pixels.
pub(super) fn patch_coverage(masks: &[f32], side: usize, patch: usize) -> Vec<f64> {
    let grid = side / patch;
    let mut covered = Vec::new();
    for mask in masks.chunks_exact(side * side) {
        for index in 0..grid * grid {
            let corner = index / grid * patch * side + index % grid * patch;
            let rows = (0..patch).map(|row| &mask[corner + row * side..][..patch]);
            let sum: f64 = rows.flatten().map(|&value| f64::from(value)).sum();
            covered.push(sum / (patch * patch) as f64);
        }
    }
    covered
}

/// LayerNorm over rows of the width of `gain`.
pub(super) fn layer_norm(x: &[f32], gain: &[f32], bias: &[f32], epsilon: f64) -> Vec<f64> {
    let width = gain.len();
    let mut normed = Vec::with_capacity(x.len());
    for row in x.chunks_exact(width) {
        let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / width as f64;
        let squares = row.iter().map(|&x| (f64::from(x) - mean).powi(2));
        let deviation = (squares.sum::<f64>() / width as f64 + epsilon).sqrt();
        let terms = row.iter().zip(gain).zip(bias);
        normed.extend(terms.map(|((&x, &gain), &bias)| {
            (f64::from(x) - mean) / deviation * f64::from(gain) + f64::from(bias)
        }));
    }
    normed
}

fn softmax(scores: impl Iterator<Item = f64>) -> Vec<f64> {
    let scores: Vec<f64> = scores.collect();
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = weights.iter().sum();
    for weight in &mut weights {
        *weight /= sum;
    }
    weights
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
