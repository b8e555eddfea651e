//! Times of calls on a device that computes behind the caller's back.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

/// The first call, which compiles shaders and tunes, and the median of those after it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Timing {
    /// Milliseconds of the first call.
    pub first_ms: f64,
    /// Median milliseconds of the others.
    pub median_ms: f64,
}

impl Timing {
    /// Of calls in milliseconds, the first one first.
    pub fn of(milliseconds: &[f64]) -> Self {
        let first = milliseconds.first().copied().unwrap_or_default();
        let mut others = milliseconds.get(1..).unwrap_or_default().to_vec();
        others.sort_unstable_by(f64::total_cmp);
        Self {
            first_ms: first,
            median_ms: others.get(others.len() / 2).copied().unwrap_or(first),
        }
    }
}

/// Times `call` until the device has finished. What it returns is kept that long, so that nothing
/// is dropped before it was computed.
pub fn time<T>(
    device: &Device,
    repeats: usize,
    mut call: impl FnMut() -> T,
) -> anyhow::Result<Timing> {
    let mut once = || -> anyhow::Result<Duration> {
        device.sync().context("waiting for the device")?;
        let start = Instant::now();
        let kept = call();
        device.sync().context("waiting for the device")?;
        let elapsed = start.elapsed();
        drop(kept);
        Ok(elapsed)
    };
    let times = (0..=repeats)
        .map(|_| once())
        .collect::<Result<Vec<_>, _>>()?;
    let milliseconds: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    Ok(Timing::of(&milliseconds))
}

/// Numbers in [-1, 1): a device's own generator would have to be timed apart.
pub fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let values = emotionclip_kernels::check::numbers(shape.iter().product(), 1);
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_call_stands_apart_from_the_median() {
        let device = Device::flex();
        let mut calls = 0;
        let timing = time(&device, 3, || {
            calls += 1;
            let pause = if calls == 1 { 40 } else { 2 };
            std::thread::sleep(Duration::from_millis(pause));
        })
        .unwrap();
        assert_eq!(calls, 4);
        assert!(timing.first_ms >= 40.0, "{timing:?}");
        assert!((2.0..40.0).contains(&timing.median_ms), "{timing:?}");
    }

    #[test]
    fn numbers_fill_their_range() {
        let values = random([1000], &Device::flex())
            .into_data()
            .try_to_vec::<f32>()
            .unwrap();
        assert!(values.iter().all(|value| (-1.0..1.0).contains(value)));
        let mean = values.iter().sum::<f32>() / 1000.0;
        assert!(mean.abs() < 0.1, "{mean}");
    }
}
