//! Weights stored in f16, two to a word.
//!
//! WebGPU has f16 buffers only where the adapter has `shader-f16`, and a browser on a software
//! adapter hasn't. So halves always travel as 32-bit words: the shader reads them as `vec4<f16>`
//! where it can and unpacks them where it can't, from the same bytes.

use burn::tensor::{Device, Int, Tensor, TensorData};
use half::f16;

/// A weight matrix `[K, N]` in f16 on a device.
#[derive(Clone, Debug)]
pub struct HalfWeights {
    /// `[K, 2·⌈N/4⌉]`: rows padded with zeros to four columns.
    packed: Tensor<2, Int>,
    width: usize,
}

/// Why weights can't be packed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HalfWeightsError {
    /// The number of values isn't that of the shape.
    #[error("{values} values for weights of shape [{depth}, {width}]")]
    Length {
        /// Values given.
        values: usize,
        /// Rows asked for.
        depth: usize,
        /// Columns asked for.
        width: usize,
    },
}

impl HalfWeights {
    /// Packs row-major `values` of shape `[depth, width]`.
    ///
    /// # Errors
    ///
    /// If the shape has another number of values.
    pub fn new(
        values: &[f16],
        [depth, width]: [usize; 2],
        device: &Device,
    ) -> Result<Self, HalfWeightsError> {
        if depth.checked_mul(width) != Some(values.len()) || values.is_empty() {
            return Err(HalfWeightsError::Length {
                values: values.len(),
                depth,
                width,
            });
        }
        let words = 2 * width.div_ceil(4);
        let mut packed = vec![0_i32; depth * words];
        for (row, words) in values
            .chunks_exact(width)
            .zip(packed.chunks_exact_mut(words))
        {
            for (pair, word) in row.chunks(2).zip(words) {
                let high = pair.get(1).map_or(0, |half| half.to_bits());
                *word = (u32::from(pair[0].to_bits()) | u32::from(high) << 16).cast_signed();
            }
        }
        Ok(Self {
            packed: Tensor::from_data(TensorData::new(packed, [depth, words]), device),
            width,
        })
    }

    /// Rows and columns, `[K, N]`.
    pub fn dims(&self) -> [usize; 2] {
        [self.packed.dims()[0], self.width]
    }

    /// The weights in f32, `[K, N]`, by tensor operations: the definition of the format.
    pub fn unpack(&self) -> Tensor<2> {
        let [depth, words] = self.packed.dims();
        let device = self.packed.device();
        let shifted = self.packed.clone().bitwise_right_shift_scalar(16);
        let halves = Tensor::stack::<3>(vec![self.packed.clone(), shifted], 2)
            .bitwise_and_scalar(0xffff)
            .reshape([depth, 2 * words])
            .narrow(1, 0, self.width);
        let exponent = halves
            .clone()
            .bitwise_right_shift_scalar(10)
            .bitwise_and_scalar(31);
        let subnormal = exponent.clone().equal_elem(0);
        let mantissa = halves.clone().bitwise_and_scalar(1023).float() / 1024.0;
        let mantissa = (mantissa.clone() + 1.0).mask_where(subnormal, mantissa);
        // Powers of two from a table: an exponential would round them. Subnormals share the
        // smallest; 31 stands for infinities and NaN, which no weight should be.
        let powers: Vec<f32> = (0..32)
            .map(|power: i32| 2.0_f32.powi(power.max(1) - 15))
            .collect();
        let scale = Tensor::<1>::from_data(TensorData::new(powers, [32]), &device)
            .select(0, exponent.reshape([depth * self.width]))
            .reshape([depth, self.width]);
        let negative = halves.bitwise_and_scalar(0x8000).greater_elem(0);
        let value = mantissa * scale;
        value.clone().mask_where(negative, -value)
    }

    #[cfg(feature = "wgpu")]
    pub(crate) fn is_packed_in_words(&self) -> bool {
        use burn::tensor::DType;

        matches!(self.packed.dtype(), DType::I32 | DType::U32)
    }

    #[cfg(feature = "wgpu")]
    pub(crate) fn packed(&self) -> Tensor<2, Int> {
        self.packed.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_half_unpacks_to_its_value() {
        let values: Vec<f16> = (0..=u16::MAX)
            .map(f16::from_bits)
            .filter(|half| half.is_finite())
            .collect();
        // 63,488 values in rows of 7, which doesn't divide by four.
        let rows = values.len() / 7;
        let values = &values[..7 * rows];
        let weights = HalfWeights::new(values, [rows, 7], &Device::flex()).unwrap();
        let unpacked = weights.unpack().into_data().try_to_vec::<f32>().unwrap();
        let wanted: Vec<f32> = values.iter().map(|half| half.to_f32()).collect();
        assert_eq!(unpacked, wanted);
    }

    #[test]
    fn a_wrong_number_of_values_is_named() {
        let error = HalfWeights::new(&[f16::ONE; 5], [2, 3], &Device::flex()).unwrap_err();
        assert_eq!(error.to_string(), "5 values for weights of shape [2, 3]");
        assert!(HalfWeights::new(&[], [0, 3], &Device::flex()).is_err());
    }
}
