//! What the tests on an adapter share. They need one that runs WGSL, a software one will do: tests
//! with `needs_wgsl` in their path are left out, by name, where there is none.
#![allow(dead_code, reason = "each test file uses a part of this")]

use burn::tensor::{Device, Tensor, TensorData};
pub use emotionclip_kernels::check::numbers;
use emotionclip_kernels::{Choice, Kernels, SubgroupSizes, TileSet};

/// Half a unit in the last place of 1 in f32: the relative error of one operation.
pub const ROUNDING: f32 = 1.0 / (1 << 24) as f32;

pub const TILES: [TileSet; 3] = [TileSet::Software, TileSet::Gpu, TileSet::Plain];

/// The adapter.
pub fn adapter() -> Device {
    Device::wgpu(Default::default())
}

/// The kernels of the adapter with a tile set, writing over NaN.
pub fn kernels(device: &Device, tiles: TileSet) -> Kernels {
    let kernels = Kernels::with_choice(device, Choice::Forced(tiles));
    let mut kernels = kernels.expect("the adapter runs WGSL");
    kernels.poison = true;
    kernels
}

/// The kernels of the tile set for GPUs, with sums by the adapter's subgroups.
pub fn subgroup_kernels(device: &Device) -> Kernels {
    let sizes = SubgroupSizes::of(device);
    Kernels {
        subgroups: Some(sizes.expect("the adapter has subgroups")),
        ..kernels(device, TileSet::Gpu)
    }
}

pub fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let values = numbers(shape.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The same numbers on another device.
pub fn on<const D: usize>(tensor: &Tensor<D>, device: &Device) -> Tensor<D> {
    Tensor::from_data(tensor.to_data(), device)
}

pub fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("f32 on the host")
}

pub fn largest<const D: usize>(tensor: Tensor<D>) -> f32 {
    host(tensor)
        .into_iter()
        .fold(0.0, |most, value| most.max(value.abs()))
}

/// Asserts that no element is further from the reference than `tolerance`.
#[track_caller]
pub fn assert_close<const D: usize>(
    what: &str,
    actual: Tensor<D>,
    wanted: Tensor<D>,
    tolerance: f32,
) {
    assert_eq!(actual.dims(), wanted.dims(), "{what}");
    for (index, (actual, wanted)) in host(actual).into_iter().zip(host(wanted)).enumerate() {
        let distance = (actual - wanted).abs();
        // Written so that NaN fails.
        assert!(
            distance <= tolerance,
            "{what}: element {index} is {actual}, the reference {wanted}; {distance:e} apart, \
             {tolerance:e} allowed"
        );
    }
}

/// Asserts that a gradient's distance to the reference is at most `tolerance` of its length, and 16
/// roundings of 1 an element: what is left of a gradient that cancels to nothing.
#[track_caller]
pub fn assert_aligned<const D: usize>(
    what: &str,
    actual: Tensor<D>,
    wanted: Tensor<D>,
    tolerance: f64,
) {
    assert_eq!(actual.dims(), wanted.dims(), "{what}");
    let count = actual.dims().iter().product::<usize>();
    let (mut apart, mut length) = (0.0_f64, 0.0_f64);
    for (actual, wanted) in host(actual).into_iter().zip(host(wanted)) {
        apart += f64::from(actual - wanted).powi(2);
        length += f64::from(wanted).powi(2);
    }
    let (apart, length) = (apart.sqrt(), length.sqrt());
    let allowed = tolerance * length + 16.0 * f64::from(ROUNDING) * (count as f64).sqrt();
    assert!(
        apart <= allowed,
        "{what}: {apart:e} from {length:e}, {allowed:e} allowed"
    );
}

/// `Σ weights · output` on the host, in f64.
pub fn weighted<const D: usize>(output: Tensor<D>, weights: &[f32]) -> f64 {
    let products = host(output).into_iter().zip(weights);
    products
        .map(|(value, weight)| f64::from(value) * f64::from(*weight))
        .sum()
}
