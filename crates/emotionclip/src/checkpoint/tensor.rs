//! Tensors as a checkpoint holds them: an element type, a shape and little-endian bytes.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use half::{bf16, f16};

use super::CheckpointError;

/// Tensors by key. Ordered, so that everything written from it is deterministic.
pub type StateDict = BTreeMap<String, RawTensor>;

/// Element type of a [`RawTensor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dtype {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// Brain floating point: f32 without its lower 16 bits.
    Bf16,
    /// Signed 64 bits.
    I64,
    /// Signed 32 bits.
    I32,
    /// Signed 16 bits.
    I16,
    /// Signed 8 bits.
    I8,
    /// Unsigned 8 bits.
    U8,
    /// One byte, 0 or 1.
    Bool,
}

impl Dtype {
    /// Bytes an element takes.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether the elements are floating point.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    /// The name that safetensors headers use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A contiguous row-major tensor. Clones share their bytes, which may be a slice of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct RawTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Bytes,
}

impl RawTensor {
    /// A tensor over little-endian `bytes`. An empty shape is a scalar.
    ///
    /// # Errors
    /// [`CheckpointError::TensorSize`] when the bytes do not fill the shape exactly.
    pub fn new(
        dtype: Dtype,
        shape: Vec<usize>,
        bytes: impl Into<Bytes>,
    ) -> Result<Self, CheckpointError> {
        let bytes = bytes.into();
        if byte_length(dtype, &shape) != Some(bytes.len()) {
            let bytes = bytes.len();
            return Err(CheckpointError::TensorSize {
                dtype,
                shape,
                bytes,
            });
        }
        Ok(Self {
            dtype,
            shape,
            bytes,
        })
    }

    /// An f32 tensor.
    ///
    /// # Errors
    /// As [`RawTensor::new`].
    pub fn from_f32(shape: Vec<usize>, values: &[f32]) -> Result<Self, CheckpointError> {
        Self::new(Dtype::F32, shape, encode(values, f32::to_le_bytes))
    }

    /// An i64 tensor, the type of position ids.
    ///
    /// # Errors
    /// As [`RawTensor::new`].
    pub fn from_i64(shape: Vec<usize>, values: &[i64]) -> Result<Self, CheckpointError> {
        Self::new(Dtype::I64, shape, encode(values, i64::to_le_bytes))
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Shape, outermost dimension first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, little-endian, row-major, unaligned.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// Whether a dimension is zero.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The elements as f32, whatever their type; integers beyond 2²⁴ and f64 are rounded.
    pub fn to_f32(&self) -> Vec<f32> {
        let bytes = &self.bytes;
        match self.dtype {
            Dtype::F64 => decode(bytes, |b| f64::from_le_bytes(b) as f32),
            Dtype::F32 => decode(bytes, f32::from_le_bytes),
            Dtype::F16 => decode(bytes, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::Bf16 => decode(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Dtype::I64 => decode(bytes, |b| i64::from_le_bytes(b) as f32),
            Dtype::I32 => decode(bytes, |b| i32::from_le_bytes(b) as f32),
            Dtype::I16 => decode(bytes, |b| f32::from(i16::from_le_bytes(b))),
            Dtype::I8 => decode(bytes, |b| f32::from(i8::from_le_bytes(b))),
            Dtype::U8 => decode(bytes, |[b]| f32::from(b)),
            Dtype::Bool => decode(bytes, |[b]| f32::from(u8::from(b != 0))),
        }
    }

    /// The same tensor in f32, without a copy when it is f32 already.
    pub fn into_f32(self) -> Self {
        if self.dtype == Dtype::F32 {
            return self;
        }
        let bytes = encode(&self.to_f32(), f32::to_le_bytes);
        Self {
            dtype: Dtype::F32,
            shape: self.shape,
            bytes: bytes.into(),
        }
    }

    /// The same tensor in f16, rounded to nearest; `None` when a finite value would overflow.
    pub fn to_f16(&self) -> Option<Self> {
        let values = self.to_f32();
        let overflows = |value: &f32| value.is_finite() && !f16::from_f32(*value).is_finite();
        if values.iter().any(overflows) {
            return None;
        }
        let bytes = encode(&values, |value| f16::from_f32(value).to_le_bytes());
        Some(Self {
            dtype: Dtype::F16,
            shape: self.shape.clone(),
            bytes: bytes.into(),
        })
    }

    /// Whether no element is NaN or infinite; always true of integers.
    pub fn is_finite(&self) -> bool {
        fn all<const N: usize>(bytes: &[u8], finite: impl Fn([u8; N]) -> bool) -> bool {
            bytes.as_chunks::<N>().0.iter().all(|chunk| finite(*chunk))
        }
        match self.dtype {
            Dtype::F64 => all(&self.bytes, |b| f64::from_le_bytes(b).is_finite()),
            Dtype::F32 => all(&self.bytes, |b| f32::from_le_bytes(b).is_finite()),
            Dtype::F16 => all(&self.bytes, |b| f16::from_le_bytes(b).is_finite()),
            Dtype::Bf16 => all(&self.bytes, |b| bf16::from_le_bytes(b).is_finite()),
            _ => true,
        }
    }

    /// The same elements under another shape; `None` when the counts differ.
    pub(super) fn reshaped(self, shape: Vec<usize>) -> Option<Self> {
        (byte_length(self.dtype, &shape) == Some(self.bytes.len()))
            .then_some(Self { shape, ..self })
    }

    /// The transpose of a matrix; `None` for another rank.
    pub(super) fn transposed(&self) -> Option<Self> {
        let &[rows, columns] = self.shape.as_slice() else {
            return None;
        };
        let size = self.dtype.size();
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for column in 0..columns {
            for row in 0..rows {
                let start = (row * columns + column) * size;
                bytes.extend_from_slice(&self.bytes[start..start + size]);
            }
        }
        Some(Self {
            dtype: self.dtype,
            shape: vec![columns, rows],
            bytes: bytes.into(),
        })
    }

    /// `count` equal parts along the first dimension, sharing the bytes; `None` when it is not
    /// divisible.
    pub(super) fn split_rows(&self, count: usize) -> Option<Vec<Self>> {
        let (&rows, rest) = self.shape.split_first()?;
        if count == 0 || !rows.is_multiple_of(count) {
            return None;
        }
        let part_bytes = self.bytes.len() / count;
        let shape: Vec<usize> = std::iter::once(rows / count)
            .chain(rest.iter().copied())
            .collect();
        let part = |i| Self {
            dtype: self.dtype,
            shape: shape.clone(),
            bytes: self.bytes.slice(i * part_bytes..(i + 1) * part_bytes),
        };
        Some((0..count).map(part).collect())
    }

    /// Parts stacked along the first dimension; `None` when types or the other dimensions differ.
    pub(super) fn concatenated_rows(parts: &[Self]) -> Option<Self> {
        let first = parts.first()?;
        let (_, rest) = first.shape.split_first()?;
        let mut rows = 0;
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.bytes.len()).sum());
        for part in parts {
            let (part_rows, part_rest) = part.shape.split_first()?;
            if part.dtype != first.dtype || part_rest != rest {
                return None;
            }
            rows += part_rows;
            bytes.extend_from_slice(&part.bytes);
        }
        let shape = std::iter::once(rows).chain(rest.iter().copied()).collect();
        Some(Self {
            dtype: first.dtype,
            shape,
            bytes: bytes.into(),
        })
    }
}

/// Bytes that a tensor takes, `None` on overflow.
pub(super) fn byte_length(dtype: Dtype, shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(dtype.size(), |total, &dim| total.checked_mul(dim))
}

/// Little-endian bytes of the elements.
pub(super) fn encode<T: Copy, const N: usize>(
    values: &[T],
    to_bytes: impl Fn(T) -> [u8; N],
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * N);
    for &value in values {
        bytes.extend_from_slice(&to_bytes(value));
    }
    bytes
}

fn decode<const N: usize>(bytes: &[u8], from_bytes: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|chunk| from_bytes(*chunk))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> RawTensor {
        RawTensor::from_f32(vec![2, 3], &[1., 2., 3., 4., 5., 6.]).unwrap()
    }

    #[test]
    fn bytes_that_do_not_fill_the_shape_are_refused() {
        assert!(RawTensor::new(Dtype::F32, vec![2], vec![0; 7]).is_err());
        assert!(RawTensor::new(Dtype::F32, vec![usize::MAX, 2], vec![0; 8]).is_err());
        assert!(RawTensor::new(Dtype::F32, vec![], vec![0; 4]).is_ok());
    }

    #[test]
    fn a_shape_that_overflows_before_a_zero_dimension_is_refused() {
        assert!(RawTensor::new(Dtype::F32, vec![usize::MAX, 4, 0], vec![]).is_err());
    }

    #[test]
    fn every_element_type_reads_as_f32() {
        let read = |dtype, bytes: &[u8]| {
            let shape = vec![bytes.len() / Dtype::size(dtype)];
            RawTensor::new(dtype, shape, bytes.to_vec())
                .unwrap()
                .to_f32()
        };
        assert_eq!(read(Dtype::F64, &(-2.5f64).to_le_bytes()), [-2.5]);
        assert_eq!(read(Dtype::F16, &f16::from_f32(-2.5).to_le_bytes()), [-2.5]);
        assert_eq!(
            read(Dtype::Bf16, &bf16::from_f32(-2.5).to_le_bytes()),
            [-2.5]
        );
        assert_eq!(read(Dtype::I64, &(-7i64).to_le_bytes()), [-7.0]);
        assert_eq!(read(Dtype::I32, &(-7i32).to_le_bytes()), [-7.0]);
        assert_eq!(read(Dtype::I16, &(-7i16).to_le_bytes()), [-7.0]);
        assert_eq!(read(Dtype::I8, &[0xF9]), [-7.0]);
        assert_eq!(read(Dtype::U8, &[249]), [249.0]);
        assert_eq!(read(Dtype::Bool, &[0, 1, 2]), [0.0, 1.0, 1.0]);
    }

    #[test]
    fn transposing_twice_gives_the_matrix_back() {
        let transposed = matrix().transposed().unwrap();
        assert_eq!(transposed.to_f32(), [1., 4., 2., 5., 3., 6.]);
        assert_eq!(transposed.transposed().unwrap(), matrix());
    }

    #[test]
    fn splitting_and_concatenating_rows_are_inverse() {
        let parts = matrix().split_rows(2).unwrap();
        assert_eq!(parts[1].to_f32(), [4., 5., 6.]);
        assert_eq!(RawTensor::concatenated_rows(&parts).unwrap(), matrix());
        assert!(matrix().split_rows(3).is_none());
    }

    #[test]
    fn f16_is_refused_where_it_would_overflow() {
        let fits = RawTensor::from_f32(vec![1], &[65_504.0]).unwrap();
        let overflows = RawTensor::from_f32(vec![1], &[70_000.0]).unwrap();
        assert_eq!(fits.to_f16().unwrap().to_f32(), [65_504.0]);
        assert!(overflows.to_f16().is_none());
    }

    #[test]
    fn non_finite_elements_are_found_in_every_float_type() {
        for (dtype, bytes) in [
            (Dtype::F64, f64::NAN.to_le_bytes().to_vec()),
            (Dtype::F32, f32::INFINITY.to_le_bytes().to_vec()),
            (Dtype::F16, f16::NAN.to_le_bytes().to_vec()),
            (Dtype::Bf16, bf16::NEG_INFINITY.to_le_bytes().to_vec()),
        ] {
            assert!(
                !RawTensor::new(dtype, vec![1], bytes).unwrap().is_finite(),
                "{dtype}"
            );
        }
        assert!(matrix().is_finite());
    }
}
