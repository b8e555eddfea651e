//! Do the kernels compute on this device what they should? Every forward kernel at small shapes,
//! beside its plain-tensor reference.
//!
//! The tests of this crate go further, with gradients and more shapes, but run natively only. This
//! runs wherever the kernels do, a browser included: everything that waits for a device is `async`.

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

/// One kernel beside its reference.
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

/// Compares every forward kernel on `device` with its reference on the device `exact`.
///
/// # Errors
/// If a device doesn't answer. A kernel that computes something else is no error but a
/// [`Comparison`] that has not [`passed`](Comparison::passed).
pub async fn compare(
    kernels: Kernels,
    device: &Device,
    exact: &Device,
) -> Result<Vec<Comparison>, CheckError> {
    let kernels = Kernels {
        poison: true,
        ..kernels
    };
    let mut found = attention(&kernels, device, exact).await?;
    found.extend(linear(&kernels, device, exact).await?);
    found.extend(half_weights(&kernels, device, exact).await?);
    found.extend(others(&kernels, device, exact).await?);
    Ok(found)
}

async fn attention(
    kernels: &Kernels,
    device: &Device,
    exact: &Device,
) -> Result<Vec<Comparison>, CheckError> {
    let mut found = Vec::new();
    for shape @ [tokens, heads, batch, head_width] in ATTENTIONS {
        let qkv = |device: &Device| random([batch, tokens, 3 * heads * head_width], 1, device);
        // A score is a sum of d + 1 rounded products of numbers below 1, wrong by d + 2 roundings
        // of its terms; a weight's relative error is that of two scores and of the exponential, the
        // output a mean under N such weights. Both sides err, and SAAM takes a mean of means.
        let score = (head_width + 2) as f32 * (head_width as f32).sqrt();
        let tolerance = 4.0 * ROUNDING * (2.0 * score + (tokens + 8) as f32);
        let mut masks = vec!["none", "causal", "key bias"];
        if tokens > 2 {
            masks.push("subject");
        }
        for mask in masks {
            let attended = |device: &Device| match mask {
                "causal" => AttentionMask::Causal,
                "key bias" => {
                    let mut bias = numbers(batch * tokens, 2);
                    for (index, bias) in bias.iter_mut().enumerate() {
                        if index % tokens % 3 == 1 {
                            *bias = f32::NEG_INFINITY;
                        }
                    }
                    AttentionMask::KeyBias(given(bias, [batch, tokens], device))
                }
                "subject" => {
                    let patches = tokens - 2;
                    let outside = (0..batch * patches).map(|index| f32::from(index % 3 != 0));
                    AttentionMask::Subject {
                        outside: given(outside.collect(), [batch, patches], device),
                        gate: random([heads, tokens, tokens], 3, device),
                    }
                }
                _ => AttentionMask::None,
            };
            let actual = kernels.masked_attention(qkv(device), heads, attended(device));
            let wanted = reference::masked_attention(qkv(exact), heads, attended(exact));
            let what = format!("attention, mask {mask}, {shape:?}");
            found.push(beside(what, actual, wanted, tolerance).await?);
        }
    }
    Ok(found)
}

/// A sum of K products of numbers below 1 and a bias, each wrong by at most K + 2 roundings of its
/// terms on both sides; activations have slopes below 1.13 and errors of their own below 2e-7 of
/// their argument, and the residual adds a rounding.
fn linear_tolerance(depth: usize) -> f32 {
    let terms = depth as f32 + 2.0;
    1.13 * 2.0 * (depth + 4) as f32 * ROUNDING * terms + 4e-7 * terms
}

async fn linear(
    kernels: &Kernels,
    device: &Device,
    exact: &Device,
) -> Result<Vec<Comparison>, CheckError> {
    let mut found = Vec::new();
    for (index, shape @ [rows, depth, width]) in LAYERS.into_iter().enumerate() {
        for (extras, activation) in [(false, Activation::None), (true, ACTIVATIONS[index % 3])] {
            let operands = |device: &Device| {
                (
                    random([rows, depth], 1, device),
                    random([depth, width], 2, device),
                    extras.then(|| random([width], 3, device)),
                    extras.then(|| random([rows, width], 4, device)),
                )
            };
            let (x, weight, bias, residual) = operands(device);
            let actual = kernels.linear(x, weight, bias, residual, activation);
            let (x, weight, bias, residual) = operands(exact);
            let wanted = reference::linear(x, weight, bias, residual, activation);
            let what = format!("linear, {activation:?}, bias and residual {extras}, {shape:?}");
            found.push(beside(what, actual, wanted, linear_tolerance(depth)).await?);
        }
    }
    Ok(found)
}

async fn half_weights(
    kernels: &Kernels,
    device: &Device,
    exact: &Device,
) -> Result<Vec<Comparison>, CheckError> {
    let mut found = Vec::new();
    for native_half in [false, kernels.native_half] {
        let kernels = Kernels {
            native_half,
            ..*kernels
        };
        for shape @ [rows, depth, width] in [[17, 12, 64], [33, 70, 65]] {
            let values: Vec<f16> = numbers(depth * width, 2)
                .into_iter()
                .map(f16::from_f32)
                .collect();
            let x = |device: &Device| random([rows, depth], 1, device);
            let weight = |device: &Device| HalfWeights::new(&values, [depth, width], device);
            let none = Activation::None;
            let actual = kernels.linear_half(x(device), &weight(device)?, None, None, none);
            let unpacked = weight(exact)?.unpack();
            let wanted = reference::linear(x(exact), unpacked, None, None, none);
            let what = format!("linear, f16 weights read as such {native_half}, {shape:?}");
            found.push(beside(what, actual, wanted, linear_tolerance(depth)).await?);
        }
    }
    Ok(found)
}

async fn others(
    kernels: &Kernels,
    device: &Device,
    exact: &Device,
) -> Result<Vec<Comparison>, CheckError> {
    let mut found = Vec::new();
    for shape @ [count, side, patch, width] in [[2, 32, 8, 20], [1, 15, 5, 7]] {
        let images = |device: &Device| random([count, 3, side, side], 1, device);
        let weight = |device: &Device| random([width, 3, patch, patch], 2, device);
        let actual = kernels.patch_embedding(images(device), weight(device));
        let wanted = reference::patch_embedding(images(exact), weight(exact));
        // Sums of K products below 1, wrong by at most K roundings of K on both sides.
        let depth = (3 * patch * patch) as f32;
        let tolerance = 2.0 * (depth + 2.0) * depth * ROUNDING;
        let what = format!("patch embedding, {shape:?}");
        found.push(beside(what, actual, wanted, tolerance).await?);

        let masks = |device: &Device| random([count, side, side], 3, device).abs();
        let actual = kernels.patch_coverage(masks(device), patch);
        let wanted = reference::patch_coverage(masks(exact), patch);
        // A mean of P² numbers below 1.
        let tolerance = 2.0 * (patch * patch + 1) as f32 * ROUNDING;
        let what = format!("coverage, {shape:?}");
        found.push(beside(what, actual, wanted, tolerance).await?);
    }
    for shape @ [rows, width] in [[51, 64], [9, 129]] {
        let normed = |device: &Device| {
            (
                random([rows, width], 1, device) + 3.0,
                random([width], 2, device),
                random([width], 3, device),
            )
        };
        let (x, gain, bias) = normed(device);
        let actual = kernels.layer_norm(x, gain, bias, 1e-5);
        let (x, gain, bias) = normed(exact);
        let wanted = reference::layer_norm(x, gain, bias, 1e-5);
        // A mean of W numbers below 4 is wrong by at most W roundings of 4, and so is the
        // deviation, some 0.58 here; normed values lie below 2.
        let tolerance = 2.0 * 4.0 * 4.0 * (width + 4) as f32 * ROUNDING;
        let what = format!("layer norm, {shape:?}");
        found.push(beside(what, actual, wanted, tolerance).await?);
    }
    Ok(found)
}

async fn beside<const D: usize>(
    what: String,
    actual: Tensor<D>,
    wanted: Tensor<D>,
    tolerance: f32,
) -> Result<Comparison, CheckError> {
    let same_shape = actual.dims() == wanted.dims();
    let read = async |tensor: Tensor<D>| {
        let data = tensor.into_data_async().await;
        let values = data.map_err(|error| error.to_string())?;
        let values = values.try_into_vec_as::<f32>();
        values.map_err(|error| error.to_string())
    };
    let failed = |problem| CheckError::Device {
        what: what.clone(),
        problem,
    };
    let actual = read(actual).await.map_err(failed)?;
    let wanted = read(wanted).await.map_err(failed)?;
    let distance = if same_shape {
        let apart = actual.iter().zip(&wanted).map(|(a, b)| (a - b).abs());
        // `max` drops what is no number.
        apart.fold(0.0_f32, |most, apart| {
            if apart.is_nan() {
                f32::INFINITY
            } else {
                most.max(apart)
            }
        })
    } else {
        f32::INFINITY
    };
    Ok(Comparison {
        what,
        distance,
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

fn given<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    given(numbers(shape.iter().product(), seed), shape, device)
}
