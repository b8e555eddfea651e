//! Matrices that hold one block of columns for each of many problems.
//!
//! Block `k` of a column-major matrix is the columns `k·width .. (k + 1)·width`, which lie side by
//! side in memory, so a block is also a slice.

use nalgebra::DMatrix;

/// The values of block `k`.
pub(super) fn block(matrix: &DMatrix<f64>, k: usize, width: usize) -> &[f64] {
    let size = matrix.nrows() * width;
    &matrix.as_slice()[k * size..(k + 1) * size]
}

/// The values of block `k`, to change.
pub(super) fn block_mut(matrix: &mut DMatrix<f64>, k: usize, width: usize) -> &mut [f64] {
    let size = matrix.nrows() * width;
    &mut matrix.as_mut_slice()[k * size..(k + 1) * size]
}

/// The blocks listed, side by side.
pub(super) fn select_blocks(matrix: &DMatrix<f64>, blocks: &[usize], width: usize) -> DMatrix<f64> {
    let mut values = Vec::with_capacity(matrix.nrows() * width * blocks.len());
    for &k in blocks {
        values.extend_from_slice(block(matrix, k, width));
    }
    DMatrix::from_vec(matrix.nrows(), width * blocks.len(), values)
}

/// Block `to` of `target` plus `factor` times block `from` of `source`.
pub(super) fn add_block(
    target: &mut DMatrix<f64>,
    to: usize,
    factor: f64,
    source: &DMatrix<f64>,
    from: usize,
    width: usize,
) {
    let added = block(source, from, width);
    for (value, added) in block_mut(target, to, width).iter_mut().zip(added) {
        *value += factor * added;
    }
}

/// Inner product of block `of_a` of `a` with block `of_b` of `b`.
pub(super) fn dot(
    a: &DMatrix<f64>,
    of_a: usize,
    b: &DMatrix<f64>,
    of_b: usize,
    width: usize,
) -> f64 {
    let pairs = block(a, of_a, width).iter().zip(block(b, of_b, width));
    pairs.map(|(a, b)| a * b).sum()
}

/// Sum of matrices of one shape, in order; an empty matrix for none.
pub(super) fn sum(parts: Vec<DMatrix<f64>>) -> DMatrix<f64> {
    parts
        .into_iter()
        .reduce(|sum, part| sum + part)
        .unwrap_or_else(|| DMatrix::zeros(0, 0))
}
