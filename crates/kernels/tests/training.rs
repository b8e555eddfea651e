//! The CPU's kernels with gradients against burn's own operations: outputs and gradients.

use burn::tensor::{Device, Tensor, TensorData};
use emotionclip_kernels::check::numbers;
use emotionclip_kernels::{
    Activation, AttentionMask, TrainingKernels, masked_attention, reference,
    reference_batch_norm_relu, reference_convolution,
};

fn tensor<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let values = numbers(shape.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, shape), device).require_grad()
}

/// `‖a − b‖ / ‖b‖`, or `‖a‖` where b is 0.
fn distance<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f64 {
    let values = |tensor: Tensor<D>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
    let (a, b) = (values(a), values(b));
    assert_eq!(a.len(), b.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let off = norm(&mut a.iter().zip(&b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let size = norm(&mut b.iter().map(|b| f64::from(*b)));
    if size == 0.0 { off } else { off / size }
}

/// Both ways sum up to 9 · 40 products, or as many pixels as there are for the weights, in f32: errors
/// add up like a walk's steps, √(number) · 2⁻²⁴ of the terms' size, and sums of random signs shrink as
/// much again against their terms. 1e-5 is four times that for the largest sum here (4,100 terms).
const TOLERANCE: f64 = 1e-5;

#[test]
fn convolutions_and_their_gradients_are_those_of_the_engine() {
    let device = Device::flex().autodiff();
    let kernels = TrainingKernels::of(&device).expect("the CPU engine has these kernels");
    let cases = [
        // Count, height, width, input, output, stride.
        [1, 1, 1, 1, 1, 1],
        [2, 1, 5, 3, 4, 1],
        [3, 6, 4, 3, 5, 2],
        [9, 7, 5, 2, 3, 2],
        [2, 8, 8, 40, 33, 1],
        [17, 16, 16, 3, 24, 2],
        [5, 9, 9, 8, 16, 3],
    ];
    for (seed, [count, height, width, input, output, stride]) in cases.into_iter().enumerate() {
        let seed = 10 * seed as u64;
        let x = tensor([count, height, width, input], seed, &device);
        let weight = tensor([9 * input, output], seed + 1, &device);
        let ours = kernels.convolution(x.clone(), weight.clone(), stride);
        let theirs = reference_convolution(x.clone(), weight.clone(), stride);
        assert_eq!(ours.dims(), theirs.dims());
        let direction = tensor(ours.dims(), seed + 2, &device).detach();
        let gradients = |y: &Tensor<4>| {
            let gradients = (y.clone() * direction.clone()).sum().backward();
            let x = x.grad(&gradients).unwrap();
            (x, weight.grad(&gradients).unwrap())
        };
        let (x_ours, weight_ours) = gradients(&ours);
        let (x_theirs, weight_theirs) = gradients(&theirs);
        for (what, off) in [
            ("output", distance(ours.inner(), theirs.inner())),
            ("gradient of the pictures", distance(x_ours, x_theirs)),
            (
                "gradient of the weights",
                distance(weight_ours, weight_theirs),
            ),
        ] {
            assert!(off < TOLERANCE, "{what} is off by {off} in case {seed}");
        }
    }
}

#[test]
fn gradients_of_frames_are_not_computed_where_nobody_asks() {
    let device = Device::flex().autodiff();
    let kernels = TrainingKernels::of(&device).unwrap();
    let x = tensor([2, 6, 6, 3], 1, &device).detach();
    let weight = tensor([27, 4], 2, &device);
    let gradients = kernels
        .convolution(x.clone(), weight.clone(), 1)
        .sum()
        .backward();
    let reference = reference_convolution(x, weight.clone(), 1).sum().backward();
    let [ours, theirs] = [gradients, reference].map(|all| weight.grad(&all).unwrap());
    assert!(distance(ours, theirs) < TOLERANCE);
}

#[test]
fn normalised_channels_and_their_gradients_are_those_of_the_engine() {
    let device = Device::flex().autodiff();
    let kernels = TrainingKernels::of(&device).unwrap();
    for (seed, shape) in [[1, 1, 2, 1], [3, 5, 7, 3], [2, 40, 33, 24], [1, 2, 3, 130]]
        .into_iter()
        .enumerate()
    {
        let seed = 100 + 10 * seed as u64;
        let [_, _, _, width] = shape;
        // Means as large as the deviations, as behind a ReLU.
        let x = (tensor(shape, seed, &device).inner() * 3.0 + 2.0).into_data();
        let x = Tensor::<4>::from_data(x, &device).require_grad();
        let gamma = tensor([width], seed + 1, &device);
        let beta = tensor([width], seed + 2, &device);
        let ours = kernels.batch_norm_relu(x.clone(), gamma.clone(), beta.clone(), 1e-5);
        let theirs = reference_batch_norm_relu(x.clone(), gamma.clone(), beta.clone(), 1e-5);
        let direction = tensor(shape, seed + 3, &device).detach();
        let gradients = |y: &Tensor<4>| {
            let gradients = (y.clone() * direction.clone()).sum().backward();
            let x = x.grad(&gradients).unwrap();
            (
                x,
                gamma.grad(&gradients).unwrap(),
                beta.grad(&gradients).unwrap(),
            )
        };
        let (x_ours, gamma_ours, beta_ours) = gradients(&ours.output);
        let (x_theirs, gamma_theirs, beta_theirs) = gradients(&theirs.output);
        // The gradient of x is a small difference of large terms where few rows are normalised: with
        // two rows it is 0 but for ε.
        let loose = if shape == [1, 1, 2, 1] { 1e-2 } else { 1e-4 };
        for (what, off, tolerance) in [
            (
                "output",
                distance(ours.output.inner(), theirs.output.inner()),
                TOLERANCE,
            ),
            ("mean", distance(ours.mean, theirs.mean), TOLERANCE),
            (
                "variance",
                distance(ours.variance, theirs.variance),
                TOLERANCE,
            ),
            ("gradient of x", distance(x_ours, x_theirs), loose),
            (
                "gradient of gamma",
                distance(gamma_ours, gamma_theirs),
                loose,
            ),
            (
                "gradient of beta",
                distance(beta_ours, beta_theirs),
                TOLERANCE,
            ),
        ] {
            assert!(off < tolerance, "{what} of {shape:?} is off by {off}");
        }
    }
}

#[test]
fn linear_layers_and_their_gradients_are_those_of_the_engine() {
    let device = Device::flex().autodiff();
    let kernels = TrainingKernels::of(&device).unwrap();
    let activations = [Activation::None, Activation::Gelu, Activation::QuickGelu];
    let shapes = [
        [1, 1, 1],
        [3, 5, 7],
        [128, 16, 33],
        [300, 40, 20],
        [1100, 24, 96],
    ];
    for (number, (activation, [rows, depth, width])) in activations
        .into_iter()
        .flat_map(|activation| shapes.map(|shape| (activation, shape)))
        .enumerate()
    {
        let seed = 1000 + 10 * number as u64;
        let x = tensor([rows, depth], seed, &device);
        let weight = tensor([depth, width], seed + 1, &device);
        let bias = tensor([width], seed + 2, &device);
        let residual = tensor([rows, width], seed + 3, &device);
        let direction = tensor([rows, width], seed + 4, &device).detach();
        // Every other case has neither bias nor residual.
        let whole = number % 2 == 0;
        let run = |ours: bool| {
            let (x, weight) = (x.clone(), weight.clone());
            let bias = whole.then(|| bias.clone());
            let residual = whole.then(|| residual.clone());
            let y = if ours {
                kernels.linear(x, weight, bias, residual, activation)
            } else {
                reference::linear(x, weight, bias, residual, activation)
            };
            let gradients = (y.clone() * direction.clone()).sum().backward();
            (y.inner(), gradients)
        };
        let (ours, ours_back) = run(true);
        let (theirs, theirs_back) = run(false);
        let name = format!("{activation:?} of [{rows}, {depth}] to {width}");
        assert!(distance(ours, theirs) < TOLERANCE, "output, {name}");
        let matrices = [("x", &x), ("weight", &weight), ("residual", &residual)];
        for (what, matrix) in matrices.into_iter().take(if whole { 3 } else { 2 }) {
            let [ours, theirs] = [&ours_back, &theirs_back].map(|back| matrix.grad(back).unwrap());
            let off = distance(ours, theirs);
            assert!(
                off < TOLERANCE,
                "gradient of {what} is off by {off}, {name}"
            );
        }
        if whole {
            let [ours, theirs] = [&ours_back, &theirs_back].map(|back| bias.grad(back).unwrap());
            assert!(
                distance(ours, theirs) < TOLERANCE,
                "gradient of the bias, {name}"
            );
        }
    }
}

#[test]
fn layer_norm_and_its_gradients_are_those_of_the_engine() {
    let device = Device::flex().autodiff();
    let kernels = TrainingKernels::of(&device).unwrap();
    for (number, shape) in [[1, 8], [7, 5], [300, 96], [1030, 130]]
        .into_iter()
        .enumerate()
    {
        let seed = 2000 + 10 * number as u64;
        let x = tensor(shape, seed, &device);
        let [gain, bias] = [1, 2].map(|one| tensor([shape[1]], seed + one, &device));
        let direction = tensor(shape, seed + 3, &device).detach();
        let run = |ours: bool| {
            let (x, gain, bias) = (x.clone(), gain.clone(), bias.clone());
            let y = if ours {
                kernels.layer_norm(x, gain, bias, 1e-5)
            } else {
                reference::layer_norm(x, gain, bias, 1e-5)
            };
            let gradients = (y.clone() * direction.clone()).sum().backward();
            (y.inner(), gradients)
        };
        let (ours, ours_back) = run(true);
        let (theirs, theirs_back) = run(false);
        assert!(distance(ours, theirs) < TOLERANCE, "output of {shape:?}");
        let off = distance(x.grad(&ours_back).unwrap(), x.grad(&theirs_back).unwrap());
        assert!(
            off < TOLERANCE,
            "gradient of x is off by {off} for {shape:?}"
        );
        for (what, vector) in [("gain", &gain), ("bias", &bias)] {
            let [ours, theirs] = [&ours_back, &theirs_back].map(|back| vector.grad(back).unwrap());
            let off = distance(ours, theirs);
            assert!(
                off < TOLERANCE,
                "gradient of {what} is off by {off} for {shape:?}"
            );
        }
    }
}

/// How far a gradient is from central differences of `value` with steps of `step`, in shares of its size.
fn off_differences(
    values: &[f32],
    gradient: TensorData,
    step: f32,
    value: impl Fn(Vec<f32>) -> Tensor<1>,
) -> f64 {
    let gradient: Vec<f32> = gradient.iter::<f32>().collect();
    assert_eq!(gradient.len(), values.len());
    let mut off = 0.0_f64;
    for (place, gradient) in gradient.iter().enumerate() {
        let shifted = |step: f32| {
            let mut values = values.to_vec();
            values[place] += step;
            f64::from(value(values).into_scalar::<f32>())
        };
        let slope = (shifted(step) - shifted(-step)) / (2.0 * f64::from(step));
        off += (slope - f64::from(*gradient)).powi(2);
    }
    let size: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum();
    (off / size).sqrt()
}

#[test]
fn gradients_follow_finite_differences() {
    let device = Device::flex().autodiff();
    let kernels = TrainingKernels::of(&device).unwrap();
    let weight = tensor([18, 3], 31, &device).detach();
    let [gamma, beta] = [32, 33].map(|seed| tensor([3], seed, &device).detach());
    let dense = tensor([3, 4], 34, &device).detach();
    let direction = tensor([32, 4], 35, &device).detach();
    let value = |x: Tensor<4>| {
        let y = kernels.convolution(x, weight.clone(), 1);
        let y = kernels
            .batch_norm_relu(y, gamma.clone(), beta.clone(), 1e-5)
            .output;
        let y = kernels.linear(
            y.reshape([32, 3]),
            dense.clone(),
            None,
            None,
            Activation::Gelu,
        );
        (y * direction.clone()).sum()
    };
    let at =
        |values: Vec<f32>| Tensor::<4>::from_data(TensorData::new(values, [2, 4, 4, 2]), &device);
    let values = numbers(64, 30);
    let x = at(values.clone()).require_grad();
    let gradient = x.grad(&value(x.clone()).backward()).unwrap();
    let off = off_differences(&values, gradient.into_data(), 1e-2, |values| {
        value(at(values))
    });
    // Steps of 0.01 leave third derivatives, 1e-4 of a function that varies within 1, and the values' own
    // rounding, 6e-8 of a sum of about 10 over 0.02: 3e-5. A ReLU that turns within a step of one of 96
    // values adds up to half its slope, which happens to a few of them: together below a tenth.
    assert!(off < 0.1, "{off}");
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let device = Device::flex().autodiff();
    let kernels = TrainingKernels::of(&device).unwrap();
    let run = || {
        let x = tensor([19, 12, 12, 5], 7, &device);
        let weight = tensor([45, 16], 8, &device);
        let [gamma, beta] = [9, 10].map(|seed| tensor([16], seed, &device));
        let convolved = kernels.convolution(x.clone(), weight.clone(), 1);
        let y = kernels.batch_norm_relu(convolved, gamma, beta, 1e-5).output;
        let gradients = (y.clone() * y).sum().backward();
        let bits = |data: TensorData| data.iter::<f32>().map(f32::to_bits).collect::<Vec<u32>>();
        (
            bits(x.grad(&gradients).unwrap().into_data()),
            bits(weight.grad(&gradients).unwrap().into_data()),
        )
    };
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
    };
    assert_eq!(pool(1).install(run), pool(3).install(run));
}

fn with_values<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Masks that the CPU has kernels for: none, everything seen but some keys, all keys of one sequence
/// blocked, and causal.
fn masks(batch: usize, tokens: usize, device: &Device) -> Vec<(&'static str, AttentionMask)> {
    let some: Vec<f32> = (0..batch * tokens)
        .map(|at| match at % 5 {
            1 => f32::NEG_INFINITY,
            2 => -0.5,
            _ => 0.0,
        })
        .collect();
    let mut all = vec![0.0; batch * tokens];
    all[..tokens].fill(f32::NEG_INFINITY);
    let bias = |values| AttentionMask::KeyBias(with_values(values, [batch, tokens], device));
    vec![
        ("no mask", AttentionMask::None),
        ("some keys blocked", bias(some)),
        ("all keys blocked", bias(all)),
        ("causal", AttentionMask::Causal),
    ]
}

/// Scores are sums of up to 64 products and weighed sums of up to 197 values, then once more for the
/// gradients: fewer terms than [`TOLERANCE`] is derived for. Exponentials of scores up to 30 apart turn
/// a score's rounding, 2⁻²⁴ · 30, into a relative error of weights of 2e-6, beside which it stands.
#[test]
fn attention_and_its_gradient_are_those_of_the_engine() {
    let device = Device::flex().autodiff();
    let kernels = TrainingKernels::of(&device).unwrap();
    let cases = [
        // Batch, tokens, heads, head width, size of the numbers.
        [1, 1, 1, 1, 1],
        [2, 2, 3, 5, 1],
        [9, 27, 4, 24, 1],
        [3, 51, 12, 64, 1],
        [2, 77, 2, 32, 3],
        [1, 197, 3, 64, 1],
    ];
    for (number, [batch, tokens, heads, depth, size]) in cases.into_iter().enumerate() {
        let seed = 3000 + 10 * number as u64;
        let width = heads * depth;
        let values = numbers(batch * tokens * 3 * width, seed);
        let values: Vec<f32> = values.iter().map(|value| value * size as f32).collect();
        let qkv = with_values(values, [batch, tokens, 3 * width], &device).require_grad();
        let direction = tensor([batch, tokens, width], seed + 1, &device).detach();
        for (what, mask) in masks(batch, tokens, &device) {
            let run = |ours: bool| {
                let y = if ours {
                    kernels.masked_attention(qkv.clone(), heads, mask.clone())
                } else {
                    reference::masked_attention(qkv.clone(), heads, mask.clone())
                };
                let gradients = (y.clone() * direction.clone()).sum().backward();
                (y.inner(), qkv.grad(&gradients).unwrap())
            };
            let (ours, ours_back) = run(true);
            let (theirs, theirs_back) = run(false);
            let off = distance(ours, theirs);
            assert!(off < TOLERANCE, "output, {what}, case {number}: {off}");
            let off = distance(ours_back, theirs_back);
            assert!(off < TOLERANCE, "gradient, {what}, case {number}: {off}");
        }
    }
}

#[test]
fn attention_without_gradients_gives_the_bits_of_that_with_them() {
    let [plain, recorded] = [Device::flex(), Device::flex().autodiff()];
    let kernels = TrainingKernels::of(&recorded).unwrap();
    let values = || numbers(3 * 20 * 3 * 48, 41);
    let shape = [3, 20, 3 * 48];
    for ((what, mask), (_, recorded_mask)) in masks(3, 20, &plain)
        .into_iter()
        .zip(masks(3, 20, &recorded))
    {
        let without = masked_attention(with_values(values(), shape, &plain), 4, mask);
        let qkv = with_values(values(), shape, &recorded).require_grad();
        let with = kernels.masked_attention(qkv, 4, recorded_mask);
        let [without, with] = [without, with.inner()].map(|y| {
            let y = y.into_data();
            y.iter::<f32>().map(f32::to_bits).collect::<Vec<u32>>()
        });
        assert_eq!(without, with, "{what}");
    }
}

#[test]
fn a_token_that_is_not_seen_changes_nothing() {
    let device = Device::flex();
    let (tokens, width) = (17, 16);
    let attend = |values: &[f32], mask: AttentionMask| -> Vec<f32> {
        let qkv = with_values(values.to_vec(), [1, tokens, 3 * width], &device);
        let y = masked_attention(qkv, 2, mask);
        y.into_data().iter::<f32>().collect()
    };
    let values = numbers(tokens * 3 * width, 43);
    let mut other = values.clone();
    for value in &mut other[12 * 3 * width..13 * 3 * width] {
        *value = 7.0 - 2.0 * *value;
    }
    // Token 12 is the changed one: all others don't see it, or those before it.
    let mut bias = vec![0.0; tokens];
    bias[12] = f32::NEG_INFINITY;
    let bias = AttentionMask::KeyBias(with_values(bias, [1, tokens], &device));
    for (mask, others) in [
        (bias, (0..12).chain(13..tokens).collect::<Vec<usize>>()),
        (AttentionMask::Causal, (0..12).collect()),
    ] {
        let [first, second] = [&values, &other].map(|values| attend(values, mask.clone()));
        for token in others {
            let range = token * width..(token + 1) * width;
            assert_eq!(first[range.clone()], second[range], "token {token}");
        }
        assert_ne!(first, second);
    }
}

#[test]
fn attentions_gradient_follows_finite_differences() {
    let device = Device::flex().autodiff();
    let kernels = TrainingKernels::of(&device).unwrap();
    let shape = [2, 5, 3 * 8];
    let direction = tensor([2, 5, 8], 52, &device).detach();
    let values = numbers(shape.iter().product(), 51);
    // Beside −1e30 on every key, a score of a blocked sequence is rounded away: its gradient, which is
    // that of exact numbers, shows in no difference of values.
    let masks = masks(2, 5, &device).into_iter();
    for (what, mask) in masks.filter(|(what, _)| *what != "all keys blocked") {
        let value = |qkv: Tensor<3>| {
            let y = kernels.masked_attention(qkv, 2, mask.clone());
            (y * direction.clone()).sum()
        };
        let qkv = with_values(values.clone(), shape, &device).require_grad();
        let gradient = qkv.grad(&value(qkv.clone()).backward()).unwrap();
        let off = off_differences(&values, gradient.into_data(), 1.0 / 64.0, |values| {
            value(with_values(values, shape, &device))
        });
        // The third derivatives, below 1, leave step²/6 = 4e-5; the sum of 80 products is rounded to
        // 80 · 6e-8 over two steps of 1/64: 2e-4. Gradients are of size 0.1.
        assert!(off < 2e-3, "{what}: {off}");
    }
}
