//! The CPU's kernels beside their references.

use super::*;
use crate::reference;

/// Half a unit in the last place of 1 in f32: the relative error of one operation.
const ROUNDING: f32 = 1.0 / (1 << 24) as f32;

/// Rows, depth and width: vectors and odd sizes, less and more than a block or strip, two groups of
/// rows, a frame's tokens.
const LAYERS: [[usize; 3]; 9] = [
    [1, 1, 1],
    [1, 64, 8],
    [3, 5, 7],
    [17, 130, 64],
    [33, 70, 65],
    [51, 64, 192],
    [51, 200, 193],
    [77, 31, 400],
    [230, 65, 20],
];

fn random<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let values = crate::check::numbers(shape.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn largest<const D: usize>(tensor: Tensor<D>) -> f32 {
    host(tensor)
        .into_iter()
        .fold(0.0, |most, value| most.max(value.abs()))
}

#[track_caller]
fn assert_close<const D: usize>(what: &str, actual: Tensor<D>, wanted: Tensor<D>, tolerance: f32) {
    assert_eq!(actual.dims(), wanted.dims(), "{what}");
    for (index, (actual, wanted)) in host(actual).into_iter().zip(host(wanted)).enumerate() {
        let distance = (actual - wanted).abs();
        // Written so that NaN fails.
        assert!(
            distance <= tolerance,
            "{what}: element {index} is {actual}, the reference {wanted}, allowed {tolerance:e}"
        );
    }
}

#[test]
fn layers_agree_with_the_reference() {
    for shape @ [rows, depth, width] in LAYERS {
        let (x, weight) = (random([rows, depth], 1), random([depth, width], 2));
        let (bias, residual) = (random([width], 3), random([rows, width], 4));
        // Each side's sum of K products and a bias is wrong by at most K + 2 roundings of its
        // absolute terms; activations have slopes below 1.13 and errors of their own below 7
        // roundings of their argument, and the residual adds a rounding.
        let terms = largest(x.clone().abs().matmul(weight.clone().abs())) + 2.0;
        let tolerance = (1.13 * 2.0 * (depth + 4) as f32 + 2.0 * 7.0) * ROUNDING * terms;
        for activation in [Activation::None, Activation::Gelu, Activation::QuickGelu] {
            for (bias, residual) in [
                (Some(bias.clone()), Some(residual.clone())),
                (Some(bias.clone()), None),
                (None, None),
            ] {
                let what = format!("{shape:?} {activation:?} {}", residual.is_some());
                let (x, weight) = (x.clone(), weight.clone());
                let wanted = reference::linear(
                    x.clone(),
                    weight.clone(),
                    bias.clone(),
                    residual.clone(),
                    activation,
                );
                let actual = linear(x, weight, bias, residual, activation);
                assert_close(&what, actual, wanted, tolerance);
            }
        }
    }
}

#[test]
fn views_are_read_as_what_they_show() {
    let (x, weight) = (random([40, 96], 1), random([30, 40], 2));
    let (x, weight) = (x.transpose().narrow(0, 5, 60), weight.transpose());
    let wanted = reference::linear(x.clone(), weight.clone(), None, None, Activation::None);
    let actual = linear(x, weight, None, None, Activation::None);
    assert_close("views", actual, wanted, 2.0 * 44.0 * ROUNDING * 42.0);
}

#[test]
fn patches_agree_with_the_reference() {
    for [count, channels, grid, patch, width] in [[1, 3, 7, 4, 20], [2, 3, 2, 16, 200]] {
        let images = random([count, channels, grid * patch, grid * patch], 1);
        let weight = random([width, channels, patch, patch], 2);
        let depth = (channels * patch * patch) as f32;
        let wanted = reference::patch_embedding(images.clone(), weight.clone());
        let actual = patch_embedding(images, weight);
        let tolerance = 2.0 * (depth + 2.0) * ROUNDING * depth;
        assert_close("patches", actual, wanted, tolerance);
    }
}

#[test]
fn layer_norm_agrees_with_the_reference() {
    for [rows, width] in [[1, 1], [3, 7], [51, 768], [200, 100]] {
        let (gain, bias) = (random([width], 2), random([width], 3));
        for scale in [1.0, 1e-3, 1e4] {
            let x = random([rows, width], 1) * scale + 3.0 * scale;
            let wanted = reference::layer_norm(x.clone(), gain.clone(), bias.clone(), 1e-5);
            let actual = layer_norm(x, gain.clone(), bias.clone(), 1e-5);
            // The mean of W numbers below 4 s is wrong by W roundings of 4 s at most, and centred
            // numbers are that over the deviation, some 0.57 s; or over √ε where it is less. Narrow
            // rows may deviate less by chance.
            let deviation = if width < 10 { 0.02 } else { 0.5 };
            let deviation = (deviation * scale as f32).max(1e-5_f32.sqrt());
            let off = (width + 4) as f32 * ROUNDING * 4.0 * scale as f32 / deviation;
            assert_close("norm", actual, wanted, 4.0 * off + 8.0 * ROUNDING);
        }
    }
}

#[test]
fn the_same_bits_whatever_the_number_of_threads() {
    let (x, weight) = (random([51, 300], 1), random([300, 1000], 2));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let (x, weight) = (x.clone(), weight.clone());
        pool.unwrap()
            .install(|| host(linear(x, weight, None, None, Activation::Gelu)))
    };
    let alone = run(1);
    assert_eq!(alone, run(2));
    assert_eq!(alone, run(5));
}

/// `x Φ(x)` in f64: the error function by its series of positive terms.
fn exact_gelu(x: f64) -> f64 {
    let z = x / 2_f64.sqrt();
    let (mut term, mut sum) = (z, z);
    for n in 1..400 {
        term *= 2.0 * z * z / (2 * n + 1) as f64;
        sum += term;
    }
    let error = 2.0 / std::f64::consts::PI.sqrt() * (-z * z).exp() * sum;
    0.5 * x * (1.0 + error)
}

#[test]
fn activations_are_exact_to_some_roundings() {
    let identity = Tensor::from_data([[1.0_f32]], &Device::flex());
    let inputs: Vec<f32> = (-60_000..60_000).map(|i| i as f32 * 2e-4).collect();
    let by = |activation| {
        let x = TensorData::new(inputs.clone(), [inputs.len(), 1]);
        let x = Tensor::from_data(x, &Device::flex());
        host(linear(x, identity.clone(), None, None, activation))
    };
    let gelu = by(Activation::Gelu);
    let quick = by(Activation::QuickGelu);
    for ((x, gelu), quick) in inputs.iter().zip(gelu).zip(quick) {
        let wide = f64::from(*x);
        let allowed = 7.0 * f64::from(ROUNDING) * wide.abs();
        let wanted = exact_gelu(wide);
        assert!(
            (f64::from(gelu) - wanted).abs() <= allowed,
            "gelu of {x}: {gelu}, not {wanted}"
        );
        let wanted = wide / (1.0 + (-1.702 * wide).exp());
        // The exponential's argument is a rounded product with a rounded 1.702: 2 * 1.702 |x| u.
        let allowed = (7.0 + 2.0 * 1.702 * wide.abs()) * f64::from(ROUNDING) * wanted.abs();
        assert!(
            (f64::from(quick) - wanted).abs() <= allowed,
            "quick of {x}: {quick}, not {wanted}"
        );
    }
}

#[test]
fn activations_of_what_is_no_small_number() {
    let inputs = [f32::NAN, f32::INFINITY, 1e30, -1e30, 200.0, -200.0, 0.0];
    let x = Tensor::from_data([inputs], &Device::flex()).transpose();
    let identity = Tensor::from_data([[1.0_f32]], &Device::flex());
    for activation in [Activation::Gelu, Activation::QuickGelu] {
        let y = host(linear(x.clone(), identity.clone(), None, None, activation));
        assert!(y[0].is_nan(), "{activation:?}: {y:?}");
        assert_eq!(y[1..3], [f32::INFINITY, 1e30], "{activation:?}");
        // e⁻⁸⁶ of the argument at most.
        assert!(
            y[3].abs() < 1e-7 && y[5].abs() < 1e-30,
            "{activation:?}: {y:?}"
        );
        assert_eq!((y[4], y[6]), (200.0, 0.0), "{activation:?}");
    }
}
