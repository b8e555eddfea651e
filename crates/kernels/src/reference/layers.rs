//! Linear layers and what surrounds them, one operation after the other.

use std::f64::consts::FRAC_1_SQRT_2;

use burn::tensor::{Tensor, activation};

use crate::Activation;

/// Refuses shapes that disagree.
pub(crate) fn check_linear(
    [rows, depth]: [usize; 2],
    [weight_depth, width]: [usize; 2],
    bias: &Option<Tensor<1>>,
    residual: &Option<Tensor<2>>,
) {
    assert_eq!(
        depth, weight_depth,
        "depth of x [M, K] and of weights [K, N]"
    );
    if let Some(bias) = bias {
        assert_eq!(bias.dims(), [width], "a bias is [N]");
    }
    if let Some(residual) = residual {
        assert_eq!(residual.dims(), [rows, width], "a residual is [M, N]");
    }
}

/// Refuses images that don't divide into patches.
pub(crate) fn check_patches(
    [_, channels, height, side]: [usize; 4],
    [_, weight_channels, patch_height, patch]: [usize; 4],
) {
    assert_eq!(
        [height, patch_height],
        [side, patch],
        "images and patches are square"
    );
    assert_eq!(
        channels, weight_channels,
        "channels of images and of weights"
    );
    assert!(
        side.is_multiple_of(patch),
        "patches of {patch} in images of {side}"
    );
}

/// Refuses masks that don't divide into patches.
pub(crate) fn check_coverage([_, height, side]: [usize; 3], patch: usize) {
    assert_eq!(height, side, "masks are square");
    assert!(
        patch > 0 && side.is_multiple_of(patch),
        "patches of {patch} in masks of {side}"
    );
}

/// See [`crate::linear`].
///
/// # Panics
///
/// If shapes disagree.
pub fn linear(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<2>>,
    activation: Activation,
) -> Tensor<2> {
    let mut y = x.matmul(weight);
    if let Some(bias) = bias {
        y = y + bias.unsqueeze::<2>();
    }
    let y = match activation {
        Activation::None => y,
        // Composed, because burn differentiates its own `gelu` by the tanh approximation.
        Activation::Gelu => y.clone() * 0.5 * ((y * FRAC_1_SQRT_2).erf() + 1.0),
        Activation::QuickGelu => y.clone() * activation::sigmoid(y * 1.702),
    };
    match residual {
        Some(residual) => y + residual,
        None => y,
    }
}

/// See [`crate::patch_embedding`].
///
/// # Panics
///
/// If shapes disagree.
pub fn patch_embedding(images: Tensor<4>, weight: Tensor<4>) -> Tensor<3> {
    check_patches(images.dims(), weight.dims());
    let [count, channels, side, _] = images.dims();
    let [width, _, patch, _] = weight.dims();
    let grid = side / patch;
    let depth = channels * patch * patch;
    images
        .reshape([count, channels, grid, patch, grid, patch])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([count * grid * grid, depth])
        .matmul(weight.reshape([width, depth]).transpose())
        .reshape([count, grid * grid, width])
}

/// See [`crate::layer_norm`].
///
/// # Panics
///
/// If shapes disagree.
pub fn layer_norm(x: Tensor<2>, gain: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = centred.clone().powi_scalar(2).mean_dim(1);
    centred / (variance + epsilon).sqrt() * gain.unsqueeze::<2>() + bias.unsqueeze::<2>()
}

/// See [`crate::patch_coverage`].
///
/// # Panics
///
/// If shapes disagree.
pub fn patch_coverage(masks: Tensor<3>, patch: usize) -> Tensor<2> {
    check_coverage(masks.dims(), patch);
    let [count, side, _] = masks.dims();
    let grid = side / patch;
    masks
        .reshape([count, grid, patch, grid, patch])
        .sum_dim(4)
        .sum_dim(2)
        .reshape([count, grid * grid])
        / (patch * patch) as f64
}
