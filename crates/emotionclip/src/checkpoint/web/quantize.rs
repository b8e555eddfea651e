//! Symmetric int8 with one scale per output channel: w ≈ scale · q, q in −127..=127, scale the
//! channel's largest magnitude over 127.

/// A tensor's elements in int8 and the scale of each channel.
pub(super) struct Quantized {
    pub(super) values: Vec<i8>,
    pub(super) scales: Vec<f32>,
}

/// The largest magnitude that a channel's scale maps to.
const LARGEST: f32 = 127.0;

/// How a row-major tensor's elements map to the channels along `axis`.
#[derive(Clone, Copy)]
struct Channels {
    count: usize,
    /// Elements from one channel to the next.
    stride: usize,
}

impl Channels {
    fn new(shape: &[usize], axis: usize) -> Option<Self> {
        let count = *shape.get(axis)?;
        let stride = shape.iter().skip(axis + 1).product();
        (count > 0 && stride > 0).then_some(Self { count, stride })
    }

    fn of(self, index: usize) -> usize {
        index / self.stride % self.count
    }
}

/// Quantises finite values; `None` when there are none along `axis`.
pub(super) fn quantize(values: &[f32], shape: &[usize], axis: usize) -> Option<Quantized> {
    let channels = Channels::new(shape, axis)?;
    let mut largest = vec![0f32; channels.count];
    for (index, value) in values.iter().enumerate() {
        let channel = &mut largest[channels.of(index)];
        *channel = channel.max(value.abs());
    }
    let scales: Vec<f32> = largest.iter().map(|largest| largest / LARGEST).collect();
    let quantized = values.iter().enumerate().map(|(index, value)| {
        let scale = scales[channels.of(index)];
        // A channel of zeros, or of numbers so small that the scale underflows, becomes zeros.
        if scale == 0.0 {
            0
        } else {
            (value / scale).round().clamp(-LARGEST, LARGEST) as i8
        }
    });
    let values = quantized.collect();
    Some(Quantized { values, scales })
}

/// The f32 values back; `None` when the scales are not one a channel.
pub(super) fn dequantize(
    values: impl Iterator<Item = i8>,
    scales: &[f32],
    shape: &[usize],
    axis: usize,
) -> Option<Vec<f32>> {
    let channels = Channels::new(shape, axis).filter(|channels| channels.count == scales.len())?;
    let scaled = |(index, value)| f32::from(value) * scales[channels.of(index)];
    Some(values.enumerate().map(scaled).collect())
}

/// Cosine of the angle between two tensors; 1 when both are zero.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms == 0.0 {
        f64::from(u8::from(dot(a, a) == dot(b, b)))
    } else {
        dot(a, b) / norms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(values: &[f32], shape: &[usize], axis: usize) -> Vec<f32> {
        let Quantized { values, scales } = quantize(values, shape, axis).unwrap();
        dequantize(values.into_iter(), &scales, shape, axis).unwrap()
    }

    #[test]
    fn each_channel_is_within_half_a_step_of_its_own_scale() {
        let values = [0.001, -0.002, 0.0005, 100.0, -250.0, 1.0];
        for (shape, axis) in [([2, 3], 0), ([3, 2], 1)] {
            let restored = round_trip(&values, &shape, axis);
            let channels = Channels::new(&shape, axis).unwrap();
            let scales = quantize(&values, &shape, axis).unwrap().scales;
            for (index, (value, restored)) in values.iter().zip(&restored).enumerate() {
                // Half a step, and the rounding of the two f32 operations.
                let bound = scales[channels.of(index)] * 0.5 + value.abs() * 1e-6;
                assert!(
                    (value - restored).abs() <= bound,
                    "{value} became {restored}"
                );
            }
        }
    }

    #[test]
    fn zeros_and_denormals_stay_finite() {
        assert_eq!(round_trip(&[0.0, 0.0, 1e-45, -1e-45], &[2, 2], 0), [0.0; 4]);
    }

    #[test]
    fn an_axis_without_channels_is_none() {
        assert!(quantize(&[], &[0, 3], 0).is_none());
        assert!(quantize(&[1.0], &[1], 1).is_none());
        assert!(dequantize([1i8].into_iter(), &[1.0, 2.0], &[1, 1], 0).is_none());
    }

    #[test]
    fn cosine_of_zeros_is_one_only_with_zeros() {
        assert_eq!(cosine(&[0.0], &[0.0]), 1.0);
        assert_eq!(cosine(&[1.0], &[0.0]), 0.0);
    }
}
