//! Products of matrices that the cache holds, on the thread that asks for them.
//!
//! [`product`](super::product) is made for few rows and weights from memory; the parts of a
//! convolution are the other way round, which is what the `gemm` crate behind burn's CPU engine is
//! good at.

use gemm::Parallelism;

/// A matrix over borrowed numbers: element (r, c) is number `r · row_stride + c · column_stride`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `[rows, columns]` in row order.
    pub(super) fn new(numbers: &'a [f32], columns: usize) -> Self {
        Self {
            numbers,
            rows: numbers.len() / columns.max(1),
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// `[rows, columns]` whose rows begin every `stride` numbers.
    pub(super) fn strided(numbers: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        Self {
            numbers,
            rows,
            columns,
            row_stride: stride,
            column_stride: 1,
        }
    }

    /// The same numbers with rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Whether every element lies within the numbers.
    fn is_whole(&self) -> bool {
        let last = |count: usize, stride: usize| Some(count.checked_sub(1)? * stride);
        let last = last(self.rows, self.row_stride).zip(last(self.columns, self.column_stride));
        last.is_none_or(|(row, column)| row + column < self.numbers.len())
    }
}

/// Writes `lhs · rhs` to `output`, in row order, or adds it to what is there.
///
/// # Panics
///
/// If the shapes disagree.
pub(super) fn multiply(output: &mut [f32], lhs: Matrix<'_>, rhs: Matrix<'_>, add: bool) {
    assert_eq!(lhs.columns, rhs.rows, "depth of a product");
    assert_eq!(output.len(), lhs.rows * rhs.columns, "size of a product");
    assert!(lhs.is_whole() && rhs.is_whole(), "extent of the operands");
    let stride = |stride: usize| stride as isize;
    #[allow(
        unsafe_code,
        reason = "the library takes pointers; the assertions above keep them inside their slices"
    )]
    // SAFETY: of a `Matrix` no element lies behind the last of its last row, and that lies in the slice;
    // the output is as large as the product and borrowed exclusively.
    unsafe {
        gemm::gemm(
            lhs.rows,
            rhs.columns,
            lhs.columns,
            output.as_mut_ptr(),
            1,
            stride(rhs.columns),
            add,
            lhs.numbers.as_ptr(),
            stride(lhs.column_stride),
            stride(lhs.row_stride),
            rhs.numbers.as_ptr(),
            stride(rhs.column_stride),
            stride(rhs.row_stride),
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_transposes_are_those_of_the_copies() {
        let a: Vec<f32> = (0..6).map(|value| value as f32).collect();
        let b: Vec<f32> = (0..12).map(|value| (value * value % 7) as f32).collect();
        // [2, 3] · [3, 4]
        let mut plain = vec![0.0; 8];
        multiply(&mut plain, Matrix::new(&a, 3), Matrix::new(&b, 4), false);
        let expected: Vec<f32> = (0..8)
            .map(|at| (0..3).map(|k| a[at / 4 * 3 + k] * b[k * 4 + at % 4]).sum())
            .collect();
        assert_eq!(plain, expected);
        let flip = |numbers: &[f32], columns: usize| -> Vec<f32> {
            let rows = numbers.len() / columns;
            (0..numbers.len())
                .map(|at| numbers[at % rows * columns + at / rows])
                .collect()
        };
        let (at, bt) = (flip(&a, 3), flip(&b, 4));
        let mut turned = plain.clone();
        let lhs = Matrix::new(&at, 2).transposed();
        let rhs = Matrix::new(&bt, 3).transposed();
        multiply(&mut turned, lhs, rhs, true);
        let doubled: Vec<f32> = expected.iter().map(|value| 2.0 * value).collect();
        assert_eq!(turned, doubled);
    }
}
