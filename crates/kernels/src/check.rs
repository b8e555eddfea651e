//! Do the kernels compute on this device what they should? Every forward kernel at small shapes,
//! beside the same sums in f64 on the host.
//!
//! The tests of this crate go further, with gradients, more shapes and the plain-tensor references,
//! but run natively only. This runs wherever the kernels do, a browser included, whose page has no
//! second engine to compare with: everything that waits for a device is `async`. Inputs are f32 on both
//! sides, so a tolerance is what the rounding of one side explains.

mod exact;

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;

use crate::{Activation, AttentionMask, HalfWeights, HalfWeightsError, Kernels, reference};

/// Half a unit in the last place of 1 in f32: the relative error of one operation.
const ROUNDING: f32 = 1.0 / (1 << 24) as f32;

/// Tokens, heads, batch and head width: one token, odd numbers, a frame of ViT-B/32, a text.
const ATTENTIONS: [[usize; 4]; 4] = [[1, 1, 1, 8], [5, 2, 3, 24], [51, 2, 1, 64], [77, 1, 2, 16]];

/// Rows, depth and width: vectors and odd sizes, and one that takes the large tile of a GPU.
const LAYERS: [[usize; 3]; 5] = [
    [1, 64, 8],
    [17, 12, 64],
    [33, 70, 65],
    [51, 64, 192],
    [1030, 20, 520],
];

const ACTIVATIONS: [Activation; 3] = [Activation::None, Activation::Gelu, Activation::QuickGelu];

/// One operation beside its exact value.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Operation and shape.
    pub what: String,
    /// Largest distance of an element; infinite where one is no number.
    pub distance: f32,
    /// Largest distance that rounding explains.
    pub tolerance: f32,
}

impl Comparison {
    /// Whether rounding explains the distance.
    pub fn passed(&self) -> bool {
        self.distance <= self.tolerance
    }
}

/// Why a comparison could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A device that doesn't answer.
    #[error("{what}: {problem}")]
    Device {
        /// Operation and shape.
        what: String,
        /// The device's own words.
        problem: String,
    },
    /// Weights that can't be packed.
    #[error(transparent)]
    Half(#[from] HalfWeightsError),
}

/// Compares every forward kernel on `device` with the same sums in f64.
///
/// # Errors
/// If the device doesn't answer. A kernel that computes something else is no error but a
/// [`Comparison`] that has not [`passed`](Comparison::passed).
pub async fn compare(kernels: Kernels, device: &Device) -> Result<Vec<Comparison>, CheckError> {
    let kernels = Kernels {
        poison: true,
        ..kernels
    };
    all(Some(kernels), device).await
}

/// Of the kernels, or without any of the plain-tensor references.
async fn all(kernels: Option<Kernels>, device: &Device) -> Result<Vec<Comparison>, CheckError> {
    let mut found = attention(kernels, device).await?;
    found.extend(linear(kernels, device).await?);
    found.extend(half_weights(kernels, device).await?);
    found.extend(patches(kernels, device).await?);
    found.extend(norms(kernels, device).await?);
    Ok(found)
}

async fn attention(
    kernels: Option<Kernels>,
    device: &Device,
) -> Result<Vec<Comparison>, CheckError> {
    let mut found = Vec::new();
    for shape @ [tokens, heads, batch, head_width] in ATTENTIONS {
        // A score is a sum of d + 1 rounded products of numbers below 1, wrong by d + 2 roundings
        // of its terms; a weight's relative error is that of two scores and of the exponential, and the
        // output a mean under N such weights. SAAM as S V + (S∘A)(U V − V) has such a mean, weights on
        // differences of up to 2, and in them another such mean.
        let score = (head_width + 2) as f32 * (head_width as f32).sqrt();
        let mean = ROUNDING * (2.0 * score + (tokens + 8) as f32);
        let mut bias = numbers(batch * tokens, 2);
        for (index, bias) in bias.iter_mut().enumerate() {
            if index % tokens % 3 == 1 {
                *bias = f32::NEG_INFINITY;
            }
        }
        let mut masks = vec![
            ("none", exact::Mask::None),
            ("causal", exact::Mask::Causal),
            ("key bias", exact::Mask::KeyBias(bias)),
        ];
        if tokens > 2 {
            let outside = (0..batch * (tokens - 2)).map(|index| f32::from(index % 3 != 0));
            let subject = exact::Mask::Subject {
                outside: outside.collect(),
                gate: numbers(heads * tokens * tokens, 3),
            };
            masks.push(("subject", subject));
        }
        let qkv_shape = [batch, tokens, 3 * heads * head_width];
        let qkv = numbers(qkv_shape.iter().product(), 1);
        for (name, mask) in masks {
            let wanted = exact::attention(&qkv, shape, &mask);
            let means = if matches!(mask, exact::Mask::Subject { .. }) {
                4.0
            } else {
                1.0
            };
            let mask = match mask {
                exact::Mask::None => AttentionMask::None,
                exact::Mask::Causal => AttentionMask::Causal,
                exact::Mask::KeyBias(bias) => {
                    AttentionMask::KeyBias(given(&bias, [batch, tokens], device))
                }
                exact::Mask::Subject { outside, gate } => AttentionMask::Subject {
                    outside: given(&outside, [batch, tokens - 2], device),
                    gate: given(&gate, [heads, tokens, tokens], device),
                },
            };
            let qkv = given(&qkv, qkv_shape, device);
            let actual = match kernels {
                Some(kernels) => kernels.masked_attention(qkv, heads, mask),
                None => reference::masked_attention(qkv, heads, mask),
            };
            let what = format!("attention, mask {name}, {shape:?}");
            found.push(beside(what, actual, &wanted, means * mean).await?);
        }
    }
    Ok(found)
}

/// A sum of K products of numbers below 1 and a bias is wrong by at most K + 2 roundings of its
/// terms; activations have slopes below 1.13 and errors of their own below 2e-7 of their argument,
/// and the residual adds a rounding.
fn linear_tolerance(depth: usize) -> f32 {
    let terms = depth as f32 + 2.0;
    1.13 * (depth + 4) as f32 * ROUNDING * terms + 2e-7 * terms
}

async fn linear(kernels: Option<Kernels>, device: &Device) -> Result<Vec<Comparison>, CheckError> {
    let mut found = Vec::new();
    for (index, shape @ [rows, depth, width]) in LAYERS.into_iter().enumerate() {
        let [x, weight] = [numbers(rows * depth, 1), numbers(depth * width, 2)];
        for (extras, activation) in [(false, Activation::None), (true, ACTIVATIONS[index % 3])] {
            let bias = extras.then(|| numbers(width, 3));
            let residual = extras.then(|| numbers(rows * width, 4));
            let wanted = exact::linear(
                &x,
                &weight,
                bias.as_deref(),
                residual.as_deref(),
                shape,
                activation,
            );
            let (x, weight) = (
                given(&x, [rows, depth], device),
                given(&weight, [depth, width], device),
            );
            let bias = bias.map(|bias| given(&bias, [width], device));
            let residual = residual.map(|residual| given(&residual, [rows, width], device));
            let actual = match kernels {
                Some(kernels) => kernels.linear(x, weight, bias, residual, activation),
                None => reference::linear(x, weight, bias, residual, activation),
            };
            let what = format!("linear, {activation:?}, bias and residual {extras}, {shape:?}");
            found.push(beside(what, actual, &wanted, linear_tolerance(depth)).await?);
        }
    }
    Ok(found)
}

async fn half_weights(
    kernels: Option<Kernels>,
    device: &Device,
) -> Result<Vec<Comparison>, CheckError> {
    let mut found = Vec::new();
    let none = Activation::None;
    for native_half in [false, kernels.is_some_and(|kernels| kernels.native_half)] {
        for shape @ [rows, depth, width] in [[17, 12, 64], [33, 70, 65]] {
            let values: Vec<f16> = numbers(depth * width, 2)
                .into_iter()
                .map(f16::from_f32)
                .collect();
            let unpacked: Vec<f32> = values.iter().map(|half| half.to_f32()).collect();
            let x = numbers(rows * depth, 1);
            let wanted = exact::linear(&x, &unpacked, None, None, shape, none);
            let x = given(&x, [rows, depth], device);
            let weight = HalfWeights::new(&values, [depth, width], device)?;
            let actual = match kernels {
                Some(kernels) => {
                    let kernels = Kernels {
                        native_half,
                        ..kernels
                    };
                    kernels.linear_half(x, &weight, None, None, none)
                }
                None => reference::linear(x, weight.unpack(), None, None, none),
            };
            let what = format!("linear, f16 weights read as such {native_half}, {shape:?}");
            found.push(beside(what, actual, &wanted, linear_tolerance(depth)).await?);
        }
    }
    Ok(found)
}

async fn patches(kernels: Option<Kernels>, device: &Device) -> Result<Vec<Comparison>, CheckError> {
    let mut found = Vec::new();
    for shape @ [count, side, patch, width] in [[2, 32, 8, 20], [1, 15, 5, 7]] {
        let depth = 3 * patch * patch;
        let [images, weight] = [
            numbers(count * 3 * side * side, 1),
            numbers(width * depth, 2),
        ];
        let wanted = exact::patch_embedding(&images, &weight, shape);
        let images = given(&images, [count, 3, side, side], device);
        let weight = given(&weight, [width, 3, patch, patch], device);
        let actual = match kernels {
            Some(kernels) => kernels.patch_embedding(images, weight),
            None => reference::patch_embedding(images, weight),
        };
        // Sums of K products below 1, wrong by at most K roundings of K.
        let tolerance = (depth + 2) as f32 * depth as f32 * ROUNDING;
        let what = format!("patch embedding, {shape:?}");
        found.push(beside(what, actual, &wanted, tolerance).await?);

        let masks: Vec<f32> = numbers(count * side * side, 3)
            .into_iter()
            .map(f32::abs)
            .collect();
        let wanted = exact::patch_coverage(&masks, side, patch);
        let masks = given(&masks, [count, side, side], device);
        let actual = match kernels {
            Some(kernels) => kernels.patch_coverage(masks, patch),
            None => reference::patch_coverage(masks, patch),
        };
        // A mean of P² numbers below 1.
        let tolerance = (patch * patch + 1) as f32 * ROUNDING;
        let what = format!("coverage, {shape:?}");
        found.push(beside(what, actual, &wanted, tolerance).await?);
    }
    Ok(found)
}

async fn norms(kernels: Option<Kernels>, device: &Device) -> Result<Vec<Comparison>, CheckError> {
    /// The releases' own.
    const EPSILON: f64 = 1e-5;
    let mut found = Vec::new();
    for shape @ [rows, width] in [[51, 64], [9, 129]] {
        let x: Vec<f32> = numbers(rows * width, 1).iter().map(|x| x + 3.0).collect();
        let [gain, bias] = [numbers(width, 2), numbers(width, 3)];
        let wanted = exact::layer_norm(&x, &gain, &bias, EPSILON);
        let x = given(&x, shape, device);
        let [gain, bias] = [gain, bias].map(|values| given(&values, [width], device));
        let actual = match kernels {
            Some(kernels) => kernels.layer_norm(x, gain, bias, EPSILON),
            None => reference::layer_norm(x, gain, bias, EPSILON),
        };
        // A mean of W numbers below 4 is wrong by at most W roundings of 4, and so is the
        // deviation, some 0.58 here; normed values lie below 2.
        let tolerance = 4.0 * 4.0 * (width + 4) as f32 * ROUNDING;
        let what = format!("layer norm, {shape:?}");
        found.push(beside(what, actual, &wanted, tolerance).await?);
    }
    Ok(found)
}

/// The values of `actual` beside those `wanted`, in the same order.
async fn beside<const D: usize>(
    what: String,
    actual: Tensor<D>,
    wanted: &[f64],
    tolerance: f32,
) -> Result<Comparison, CheckError> {
    let failed = |problem: String| CheckError::Device {
        what: what.clone(),
        problem,
    };
    let data = actual.into_data_async().await;
    let values = data.map_err(|error| failed(error.to_string()))?;
    let values = values.try_into_vec_as::<f32>();
    let values = values.map_err(|error| failed(error.to_string()))?;
    let distance = if values.len() == wanted.len() {
        let apart = values.iter().zip(wanted);
        let apart = apart.map(|(&value, wanted)| (f64::from(value) - wanted).abs());
        // `max` drops what is no number.
        apart.fold(0.0_f64, |most, apart| {
            if apart.is_nan() {
                f64::INFINITY
            } else {
                most.max(apart)
            }
        })
    } else {
        f64::INFINITY
    };
    Ok(Comparison {
        what,
        distance: distance as f32,
        tolerance,
    })
}

/// Numbers in [-1, 1) that depend on the seed only: what checks and benchmarks draw their inputs from.
pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        })
        .collect()
}

fn given<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// What ties the sums in f64 to the definition of the operations.
    #[test]
    fn the_plain_tensor_references_agree_with_the_exact_sums() {
        let device = Device::flex();
        let mut found = pin!(all(None, &device));
        // The CPU engine answers at once.
        let polled = found.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(found)) = polled else {
            panic!("the CPU engine doesn't wait and doesn't fail");
        };
        assert!(found.len() > 30, "{}", found.len());
        let failed: Vec<&Comparison> = found.iter().filter(|one| !one.passed()).collect();
        assert!(failed.is_empty(), "{failed:?}");
        // f32 is rounded, f64 is not.
        assert!(found.iter().any(|one| one.distance > 0.0));
    }
}
