//! Linear layers, patch embedding, LayerNorm and coverage on an adapter against their references.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should stop right there"
)]

mod common;

use burn::tensor::{Device, Tensor};
use common::{
    ROUNDING, TILES, adapter, assert_aligned, assert_close, host, kernels, largest, numbers,
    random, subgroup_kernels, weighted,
};
use emotionclip_kernels::{Activation, HalfWeights, Kernels, TileSet, reference};
use half::f16;

const ACTIVATIONS: [Activation; 3] = [Activation::None, Activation::Gelu, Activation::QuickGelu];

/// Rows, depth and width of a linear layer; inputs in [-1, 1).
#[derive(Clone, Copy, Debug)]
struct Layer(usize, usize, usize);

/// Vectors and odd sizes, less and more than a tile in each direction.
const LAYERS: [Layer; 9] = [
    Layer(1, 1, 1),
    Layer(1, 64, 8),
    Layer(3, 5, 7),
    Layer(17, 12, 64),
    Layer(33, 70, 65),
    Layer(51, 64, 192),
    Layer(67, 36, 130),
    Layer(77, 31, 20),
    Layer(130, 128, 36),
];

struct Operands {
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    residual: Tensor<2>,
}

impl Layer {
    fn operands(self, device: &Device) -> Operands {
        let Self(rows, depth, width) = self;
        Operands {
            x: random([rows, depth], 1, device),
            weight: random([depth, width], 2, device),
            bias: random([width], 3, device),
            residual: random([rows, width], 4, device),
        }
    }

    /// A sum of K products and a bias, each wrong by at most K + 2 roundings of its absolute terms,
    /// on both sides; activations have slopes below 1.13 and errors of their own below 2e-7 of
    /// their argument, and the residual adds a rounding.
    fn tolerance(self) -> f32 {
        let Operands { x, weight, .. } = self.operands(&Device::flex());
        let terms = largest(x.abs().matmul(weight.abs())) + 2.0;
        1.13 * 2.0 * (self.1 + 4) as f32 * ROUNDING * terms + 4e-7 * terms
    }
}

fn check(kernels: &Kernels, layer: Layer, activation: Activation, extras: bool, device: &Device) {
    let what = format!("{:?} {layer:?} {activation:?} {extras}", kernels.tiles);
    let run = |device: &Device, reference_too: bool| {
        let Operands {
            x,
            weight,
            bias,
            residual,
        } = layer.operands(device);
        let (bias, residual) = (extras.then_some(bias), extras.then_some(residual));
        if reference_too {
            reference::linear(x, weight, bias, residual, activation)
        } else {
            kernels.linear(x, weight, bias, residual, activation)
        }
    };
    assert_close(
        &what,
        run(device, false),
        run(&Device::flex(), true),
        layer.tolerance(),
    );
}

type Gradients = (Tensor<2>, Tensor<2>, Tensor<1>, Tensor<2>);

fn gradients(apply: impl Fn(Operands) -> Tensor<2>, layer: Layer, device: &Device) -> Gradients {
    let device = device.clone().autodiff();
    let operands = layer.operands(&device);
    let operands = Operands {
        x: operands.x.require_grad(),
        weight: operands.weight.require_grad(),
        bias: operands.bias.require_grad(),
        residual: operands.residual.require_grad(),
    };
    let (x, weight) = (operands.x.clone(), operands.weight.clone());
    let (bias, residual) = (operands.bias.clone(), operands.residual.clone());
    let output = apply(operands);
    let weights = random(output.dims(), 9, &device);
    let mut grads = (output * weights).backward();
    (
        x.grad_remove(&mut grads).unwrap(),
        weight.grad_remove(&mut grads).unwrap(),
        bias.grad_remove(&mut grads).unwrap(),
        residual.grad_remove(&mut grads).unwrap(),
    )
}

mod needs_wgsl {
    use super::*;

    #[test]
    fn linear_layers_agree_over_shapes_activations_and_tile_sets() {
        let device = adapter();
        for tiles in TILES {
            let kernels = kernels(&device, tiles);
            for (index, layer) in LAYERS.into_iter().enumerate() {
                check(&kernels, layer, Activation::None, false, &device);
                check(&kernels, layer, ACTIVATIONS[index % 3], true, &device);
            }
        }
    }

    #[test]
    fn the_large_gpu_tile_agrees() {
        let device = adapter();
        let kernels = kernels(&device, TileSet::Gpu);
        check(
            &kernels,
            Layer(1030, 20, 520),
            Activation::Gelu,
            true,
            &device,
        );
    }

    #[test]
    fn activations_hold_at_the_ends_of_their_range() {
        let device = adapter();
        let ends = [
            -200.0_f32, -20.0, -6.0, -3.0, -0.5, -1e-6, 0.0, 1e-6, 2.0, 6.0, 20.0, 200.0,
        ];
        for tiles in TILES {
            let kernels = kernels(&device, tiles);
            for activation in [Activation::Gelu, Activation::QuickGelu] {
                let run = |device: &Device, by_kernel: bool| {
                    let x = Tensor::<1>::from_floats(ends, device).reshape([12, 1]);
                    let one = Tensor::ones([1, 1], device);
                    if by_kernel {
                        kernels.linear(x, one, None, None, activation)
                    } else {
                        reference::linear(x, one, None, None, activation)
                    }
                };
                let (actual, wanted) = (run(&device, true), run(&Device::flex(), false));
                for ((x, actual), wanted) in ends.iter().zip(host(actual)).zip(host(wanted)) {
                    // Two approximations of erf, each within 2e-7, times |x| / 2.
                    let allowed = 2e-7 * x.abs().max(1e-3) + 2.0 * ROUNDING * wanted.abs();
                    assert!(
                        (actual - wanted).abs() <= allowed,
                        "{activation:?} {x}: {actual}"
                    );
                }
            }
        }
    }

    fn check_half(kernels: &Kernels, layer: Layer, device: &Device) {
        let Layer(_, depth, width) = layer;
        let weight: Vec<f16> = numbers(depth * width, 2)
            .into_iter()
            .map(f16::from_f32)
            .collect();
        let run = |device: &Device| {
            let half = HalfWeights::new(&weight, [depth, width], device).unwrap();
            let operands = layer.operands(device);
            (
                operands.x,
                half,
                Some(operands.bias),
                Some(operands.residual),
            )
        };
        let (x, half, bias, residual) = run(&Device::flex());
        let wanted = reference::linear(x, half.unpack(), bias, residual, Activation::Gelu);
        let (x, half, bias, residual) = run(device);
        let actual = kernels.linear_half(x, &half, bias, residual, Activation::Gelu);
        let what = format!("{kernels:?} {layer:?} half");
        assert_close(&what, actual, wanted, layer.tolerance());
    }

    #[test]
    fn half_weights_agree_unpacked_by_hand_and_read_as_f16() {
        let device = adapter();
        for tiles in TILES {
            let automatic = kernels(&device, tiles);
            for native_half in [false, automatic.native_half] {
                let kernels = Kernels {
                    native_half,
                    ..automatic
                };
                for layer in LAYERS.into_iter().step_by(2) {
                    check_half(&kernels, layer, &device);
                }
            }
        }
    }

    /// Small ones only: native drivers compile large blocks for minutes. A page's check has them all.
    #[test]
    fn small_products_with_sums_in_memory_agree() {
        let device = adapter();
        let kernels = Kernels {
            products_in_memory: true,
            ..kernels(&device, TileSet::Software)
        };
        // Less than a block of rows and more, columns with idle threads.
        for layer in [Layer(1, 64, 8), Layer(4, 12, 16), Layer(9, 8, 36)] {
            check(&kernels, layer, Activation::Gelu, true, &device);
            check(&kernels, layer, Activation::None, false, &device);
            check_half(&kernels, layer, &device);
        }
        // Weights as a convolution has them, by columns.
        let run = |device: &Device, by_kernel: bool| {
            let images = random([2, 3, 16, 16], 1, device);
            let weight = random([12, 3, 8, 8], 2, device);
            if by_kernel {
                kernels.patch_embedding(images, weight)
            } else {
                reference::patch_embedding(images, weight)
            }
        };
        let depth = (3 * 8 * 8) as f32;
        let tolerance = 2.0 * (depth + 2.0) * depth * ROUNDING;
        assert_close(
            "patches",
            run(&device, true),
            run(&Device::flex(), false),
            tolerance,
        );
    }

    #[test]
    fn gradients_of_linear_layers_agree() {
        let device = adapter();
        for tiles in TILES {
            let kernels = kernels(&device, tiles);
            for activation in ACTIVATIONS {
                for layer in [Layer(2, 3, 5), Layer(51, 64, 36), Layer(70, 33, 12)] {
                    let Layer(rows, depth, width) = layer;
                    let what = format!("{tiles:?} {activation:?} {layer:?}");
                    let apply = |o: Operands| {
                        kernels.linear(o.x, o.weight, Some(o.bias), Some(o.residual), activation)
                    };
                    let actual = gradients(apply, layer, &device);
                    let apply = |o: Operands| {
                        reference::linear(o.x, o.weight, Some(o.bias), Some(o.residual), activation)
                    };
                    let wanted = gradients(apply, layer, &Device::flex());
                    // Sums over rows and over width of slopes that are wrong by what the forward
                    // sums are; an L2 norm of independent errors stays below their count.
                    let terms = (rows + depth + width + 16) as f32;
                    let tolerance = f64::from(4.0 * terms * ROUNDING) + 1e-6;
                    assert_aligned(&format!("x {what}"), actual.0, wanted.0, tolerance);
                    assert_aligned(&format!("weight {what}"), actual.1, wanted.1, tolerance);
                    assert_aligned(&format!("bias {what}"), actual.2, wanted.2, tolerance);
                    assert_aligned(&format!("residual {what}"), actual.3, wanted.3, tolerance);
                }
            }
        }
    }

    #[test]
    fn gradients_of_linear_layers_are_the_slopes_of_the_forward_pass() {
        let device = adapter();
        let kernels = kernels(&device, TileSet::Plain);
        let layer = Layer(5, 12, 8);
        let weights = numbers(40, 9);
        for activation in ACTIVATIONS {
            let apply = |o: Operands| {
                kernels.linear(o.x, o.weight, Some(o.bias), Some(o.residual), activation)
            };
            let (grad, ..) = gradients(apply, layer, &device);
            let length = weighted(grad.clone(), &host(grad.clone())).sqrt();
            // As for attention: a 64th of a unit along the gradient.
            let step = grad * (1.0 / (64.0 * length));
            let moved = |step: Tensor<2>| {
                let operands = layer.operands(&device);
                let x = operands.x.clone() + step;
                weighted(apply(Operands { x, ..operands }), &weights)
            };
            let ratio = 32.0 * (moved(step.clone()) - moved(-step)) / length;
            assert!((ratio - 1.0).abs() < 5e-3, "{activation:?}: {ratio}");
        }
    }

    #[test]
    fn patch_embedding_agrees_with_its_gradients() {
        let device = adapter();
        // Images, side, patch, width.
        let shapes = [
            (1, 6, 6, 3),
            (2, 15, 5, 7),
            (3, 16, 8, 12),
            (2, 64, 16, 20),
            (9, 8, 4, 5),
        ];
        for tiles in TILES {
            let kernels = kernels(&device, tiles);
            for (count, side, patch, width) in shapes {
                let what = format!("{tiles:?} {count} {side} {patch} {width}");
                let run = |device: &Device, by_kernel: bool| {
                    let device = device.clone().autodiff();
                    let images = random([count, 3, side, side], 1, &device).require_grad();
                    let weight = random([width, 3, patch, patch], 2, &device).require_grad();
                    let output = if by_kernel {
                        kernels.patch_embedding(images.clone(), weight.clone())
                    } else {
                        reference::patch_embedding(images.clone(), weight.clone())
                    };
                    let weights = random(output.dims(), 3, &device);
                    let mut grads = (output.clone() * weights).backward();
                    let grad_images = images.grad_remove(&mut grads).unwrap();
                    let grad_weight = weight.grad_remove(&mut grads).unwrap();
                    (output.inner(), grad_images, grad_weight)
                };
                let (actual, wanted) = (run(&device, true), run(&Device::flex(), false));
                // Sums of K products below 1, wrong by at most K roundings of K.
                let depth = (3 * patch * patch) as f32;
                let tolerance = 2.0 * (depth + 2.0) * depth * ROUNDING;
                assert_close(&what, actual.0, wanted.0, tolerance);
                let terms = f64::from(ROUNDING) * (width + count * side * side / patch) as f64;
                let tolerance = 4.0 * terms + 1e-6;
                assert_aligned(&format!("images {what}"), actual.1, wanted.1, tolerance);
                assert_aligned(&format!("weight {what}"), actual.2, wanted.2, tolerance);
            }
        }
    }

    #[test]
    fn layer_norm_agrees_with_its_gradients() {
        let device = adapter();
        let sets = TILES.map(|tiles| kernels(&device, tiles));
        for kernels in sets.into_iter().chain([subgroup_kernels(&device)]) {
            for (rows, width) in [(1, 1), (2, 7), (51, 64), (9, 129), (70, 768)] {
                let what = format!("{kernels:?} {rows} x {width}");
                let run = |device: &Device, by_kernel: bool| {
                    let device = device.clone().autodiff();
                    // A mean of 3 would show a variance taken as a difference of squares.
                    let x = (random([rows, width], 1, &device) + 3.0).require_grad();
                    let gain = random([width], 2, &device).require_grad();
                    let bias = random([width], 3, &device).require_grad();
                    let (one, two, three) = (x.clone(), gain.clone(), bias.clone());
                    let output = if by_kernel {
                        kernels.layer_norm(one, two, three, 1e-5)
                    } else {
                        reference::layer_norm(one, two, three, 1e-5)
                    };
                    let weights = random(output.dims(), 4, &device);
                    let mut grads = (output.clone() * weights).backward();
                    (
                        output.inner(),
                        x.grad_remove(&mut grads).unwrap(),
                        gain.grad_remove(&mut grads).unwrap(),
                        bias.grad_remove(&mut grads).unwrap(),
                    )
                };
                let (actual, wanted) = (run(&device, true), run(&Device::flex(), false));
                // A mean of W numbers below 4 is wrong by at most W roundings of 4, and so is the
                // deviation, some 0.58 here; normed values lie below 2.
                let mean_error = 4.0 * (width + 4) as f32 * ROUNDING;
                assert_close(&what, actual.0, wanted.0, 2.0 * 4.0 * mean_error);
                let tolerance = f64::from(16.0 * mean_error + rows as f32 * ROUNDING);
                if width > 1 {
                    assert_aligned(&format!("x {what}"), actual.1, wanted.1, tolerance);
                    assert_aligned(&format!("gain {what}"), actual.2, wanted.2, tolerance);
                }
                assert_aligned(&format!("bias {what}"), actual.3, wanted.3, tolerance);
            }
        }
    }

    #[test]
    fn coverage_agrees_with_its_gradient() {
        let device = adapter();
        let sets = TILES.map(|tiles| kernels(&device, tiles));
        for kernels in sets.into_iter().chain([subgroup_kernels(&device)]) {
            for (count, side, patch) in [(1, 4, 4), (2, 15, 5), (9, 32, 8), (1, 96, 32)] {
                let run = |device: &Device, by_kernel: bool| {
                    let device = device.clone().autodiff();
                    let masks = random([count, side, side], 1, &device).abs().require_grad();
                    let output = if by_kernel {
                        kernels.patch_coverage(masks.clone(), patch)
                    } else {
                        reference::patch_coverage(masks.clone(), patch)
                    };
                    let weights = random(output.dims(), 2, &device);
                    let mut grads = (output.clone() * weights).backward();
                    (output.inner(), masks.grad_remove(&mut grads).unwrap())
                };
                let (actual, wanted) = (run(&device, true), run(&Device::flex(), false));
                // A mean of P² numbers below 1: P² roundings at most, on both sides.
                let tolerance = 2.0 * (patch * patch + 1) as f32 * ROUNDING;
                let what = format!("{kernels:?} {count} {side} {patch}");
                assert_close(&what, actual.0, wanted.0, tolerance);
                assert_close(&what, actual.1, wanted.1, 4.0 * ROUNDING);
            }
        }
    }
}
