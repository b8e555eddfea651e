//! `act(x W + b) + residual` for few rows: time goes into reading W, so it is read once.
//!
//! W is taken in blocks of [`DEPTH`] rows and [`STRIP`] columns. A block is copied side by side into
//! columns of a few vectors, which the level-2 cache holds; all rows of x are multiplied with it, a few
//! at a time with their sums in registers, and meanwhile the next block is fetched from memory.
//! Strips of columns go to threads. Sums are taken up block by block, so an element is wrong by at
//! most `DEPTH + K / DEPTH + 2` roundings of its absolute terms.

use std::ops::Range;

use pulp::{Simd, WithSimd, bytemuck};

use super::{math, threads, vectorised};
use crate::Activation;

/// Rows of x whose sums are in registers: with four vectors of columns 24 of AVX-512's 32 registers,
/// with two 12 of AVX2's 16. In a page 4 with three: 12 of the 15 that V8 leaves of AVX's; 8 or 12 with
/// one and 6 with two were no faster there.
const ROWS: usize = if IN_PAGE { 4 } else { 6 };
/// Rows of W in a block. In a page, whose vectors are short, sums have to stay in registers for longer
/// to outweigh their way from and to the output.
const DEPTH: usize = if IN_PAGE { 192 } else { 64 };
/// Columns of W in a block, and of the output in a task.
const STRIP: usize = 192;
/// Rows of x in a task: with those of a strip their sums fill half of a level-2 cache.
const TASK_ROWS: usize = 32 * ROWS;
/// Numbers in a line of the cache.
const LINE: usize = 16;
/// Whether the code is for a page, where vectors have four numbers, a browser assigns the registers and
/// nothing can be fetched ahead.
const IN_PAGE: bool = cfg!(target_family = "wasm");
/// Numbers that are copied at a time where a block is packed: a line, or what a page's tile is made of.
const PIECE: usize = if IN_PAGE { 4 } else { LINE };

/// How weights lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightLayout {
    /// `[K, N]`.
    Plain,
    /// `[N, K]`.
    Transposed,
}

/// What a product is made of; `x` `[M, K]`, `residual` `[M, N]`, all in row order.
pub(super) struct Operands<'a> {
    pub x: &'a [f32],
    pub depth: usize,
    pub weight: &'a [f32],
    pub width: usize,
    pub layout: WeightLayout,
    pub bias: Option<&'a [f32]>,
    pub residual: Option<&'a [f32]>,
    pub activation: Activation,
}

/// Writes the product to `output` `[M, N]`, which must be 0.
pub(super) fn product(operands: &Operands<'_>, output: &mut [f32]) {
    let (depth, width) = (operands.depth, operands.width);
    let strips = width.div_ceil(STRIP);
    let groups = output.len().div_ceil(TASK_ROWS * width.max(1));
    let rows = packed_rows(operands.x, depth);
    let mut tasks: Vec<Task<'_, '_>> = (0..strips * groups)
        .map(|index| {
            // Groups of rows that share a strip follow each other.
            let (strip, group) = (index / groups, index % groups);
            Task {
                operands,
                rows: &rows[group * TASK_ROWS * depth..],
                first_row: group * TASK_ROWS,
                columns: strip * STRIP..width.min((strip + 1) * STRIP),
                output: Vec::with_capacity(TASK_ROWS),
            }
        })
        .collect();
    for (row, output) in output.chunks_exact_mut(width.max(1)).enumerate() {
        for (strip, part) in output.chunks_mut(STRIP).enumerate() {
            tasks[strip * groups + row / TASK_ROWS].output.push(part);
        }
    }
    threads::for_each(tasks, vectorised);
}

/// Blocks of rows as they are multiplied: [`ROWS`] of them, and what is left in threes and ones.
fn blocks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let count = match rows - start {
            0 => return None,
            1 | 2 => 1,
            3..ROWS => 3,
            _ => ROWS,
        };
        start += count;
        Some(start - count..start)
    })
}

/// The rows of x, each block of them column by column.
fn packed_rows(x: &[f32], depth: usize) -> Vec<f32> {
    let mut packed = vec![0.0; x.len()];
    for block in blocks(x.len() / depth.max(1)) {
        let count = block.len();
        let packed = &mut packed[block.start * depth..block.end * depth];
        let rows = &x[block.start * depth..block.end * depth];
        for (row, values) in rows.chunks_exact(depth).enumerate() {
            for (column, value) in packed.chunks_exact_mut(count).zip(values) {
                column[row] = *value;
            }
        }
    }
    packed
}

/// A strip of columns for a group of rows.
struct Task<'a, 'o> {
    operands: &'a Operands<'a>,
    /// From the group's first on, as [`packed_rows`] has them.
    rows: &'a [f32],
    first_row: usize,
    columns: Range<usize>,
    output: Vec<&'o mut [f32]>,
}

impl WithSimd for Task<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if IN_PAGE {
            self.compute::<S, 3>(simd);
        } else if S::REGISTER_COUNT >= 32 {
            self.compute::<S, 4>(simd);
        } else {
            self.compute::<S, 2>(simd);
        }
    }
}

impl Task<'_, '_> {
    #[inline(always)]
    fn compute<S: Simd, const VECTORS: usize>(mut self, simd: S) {
        let lanes = VECTORS * S::F32_LANES;
        let width = self.columns.len().next_multiple_of(lanes);
        let mut memory = vec![0.0_f32; DEPTH * width + LINE];
        let aligned = memory.as_ptr().align_offset(size_of::<[f32; LINE]>());
        let block = &mut memory[aligned.min(LINE)..][..DEPTH * width];
        for first in (0..self.operands.depth).step_by(DEPTH) {
            let depth = first..self.operands.depth.min(first + DEPTH);
            self.pack(depth.clone(), lanes, block);
            self.multiply::<S, VECTORS>(simd, depth, block);
        }
        self.finish(simd);
    }

    /// Copies a block of W: tile after tile of `lanes` columns, in each row after row.
    #[inline(always)]
    fn pack(&self, depth: Range<usize>, lanes: usize, block: &mut [f32]) {
        let Operands {
            weight,
            width,
            depth: stride,
            layout,
            ..
        } = *self.operands;
        match layout {
            WeightLayout::Plain => {
                for (at, row) in depth.enumerate() {
                    let columns = &weight[row * width..][self.columns.clone()];
                    for (tile, columns) in columns.chunks(lanes).enumerate() {
                        let place = (tile * DEPTH + at) * lanes;
                        // Line by line, because a call to copy so little costs as much again.
                        let (lines, rest) = columns.as_chunks::<PIECE>();
                        let (to, end) = block[place..][..columns.len()].as_chunks_mut::<PIECE>();
                        for (to, line) in to.iter_mut().zip(lines) {
                            *to = *line;
                        }
                        end.copy_from_slice(rest);
                    }
                }
            }
            WeightLayout::Transposed => {
                for (at, column) in self.columns.clone().enumerate() {
                    let values = &weight[column * stride..][depth.clone()];
                    let tile = &mut block[at / lanes * lanes * DEPTH..];
                    for (row, value) in tile.chunks_exact_mut(lanes).zip(values) {
                        row[at % lanes] = *value;
                    }
                }
            }
        }
    }

    /// Adds the products of all rows with a block of W.
    #[inline(always)]
    fn multiply<S: Simd, const VECTORS: usize>(
        &mut self,
        simd: S,
        depth: Range<usize>,
        block: &[f32],
    ) {
        let lanes = VECTORS * S::F32_LANES;
        let mut ahead = self.lines_ahead(depth.end);
        for (tile, panel) in block.chunks_exact(DEPTH * lanes).enumerate() {
            let (panel, _) = S::as_simd_f32s(&panel[..depth.len() * lanes]);
            let (panel, _) = panel.as_chunks::<VECTORS>();
            let columns = tile * lanes..self.columns.len().min((tile + 1) * lanes);
            for rows in blocks(self.output.len()) {
                let count = rows.len();
                let packed = &self.rows[rows.start * self.operands.depth..];
                let packed = &packed[depth.start * count..depth.end * count];
                let output = &mut self.output[rows];
                let ahead = ahead.next().unwrap_or(Lines::none(panel));
                let columns = columns.clone();
                match count {
                    ROWS => add::<S, ROWS, VECTORS>(simd, packed, panel, ahead, output, columns),
                    3 => add::<S, 3, VECTORS>(simd, packed, panel, ahead, output, columns),
                    _ => add::<S, 1, VECTORS>(simd, packed, panel, ahead, output, columns),
                }
            }
        }
    }

    /// The lines of the next block: one of each row of W, then the next of each. Transposed weights
    /// are read along their rows, which the processor foresees.
    fn lines_ahead(&self, row: usize) -> impl Iterator<Item = Lines> + use<> {
        let width = self.operands.width;
        let next = match self.operands.layout {
            WeightLayout::Plain => self.operands.weight.get(row * width..),
            WeightLayout::Transposed => None,
        };
        let start = next.map(|rows| rows.as_ptr().wrapping_add(self.columns.start));
        let lines = self.columns.len().div_ceil(LINE);
        start.into_iter().flat_map(move |start| {
            (0..lines).map(move |line| Lines {
                address: start.wrapping_add(line * LINE),
                stride: width,
            })
        })
    }

    /// Bias, activation and residual.
    #[inline(always)]
    fn finish<S: Simd>(mut self, simd: S) {
        let Operands {
            width,
            bias,
            residual,
            activation,
            ..
        } = *self.operands;
        if bias.is_none() && residual.is_none() && activation == Activation::None {
            return;
        }
        let zeros = [0.0_f32; STRIP];
        let columns = self.columns.clone();
        let none = &zeros[..columns.len()];
        let bias = bias.map_or(none, |bias| &bias[columns.clone()]);
        let (biases, last_bias) = S::as_simd_f32s(bias);
        for (row, output) in self.output.iter_mut().enumerate() {
            let row = (self.first_row + row) * width;
            let residual = residual.map_or(none, |all| &all[row..][columns.clone()]);
            let (residuals, last_residual) = S::as_simd_f32s(residual);
            let (outputs, last) = S::as_mut_simd_f32s(output);
            for ((y, bias), residual) in outputs.iter_mut().zip(biases).zip(residuals) {
                *y = end(simd, activation, *y, *bias, *residual);
            }
            let parts = [&*last, last_bias, last_residual];
            let [y, bias, residual] = parts.map(|part| simd.partial_load_f32s(part));
            simd.partial_store_f32s(last, end(simd, activation, y, bias, residual));
        }
    }
}

/// `act(y + bias) + residual`. No closure: those aren't inlined for sure, and a vector's operations are
/// calls elsewhere.
#[inline(always)]
fn end<S: Simd>(
    simd: S,
    activation: Activation,
    y: S::f32s,
    bias: S::f32s,
    residual: S::f32s,
) -> S::f32s {
    let y = math::activate(simd, activation, simd.add_f32s(y, bias));
    simd.add_f32s(y, residual)
}

/// Lines of memory that will be needed, `stride` numbers apart.
#[derive(Clone, Copy)]
struct Lines {
    address: *const f32,
    stride: usize,
}

impl Lines {
    /// One that is in the cache anyhow.
    fn none<T>(panel: &[T]) -> Self {
        Self {
            address: panel.as_ptr().cast(),
            stride: 0,
        }
    }

    /// Asks for the next.
    #[inline(always)]
    fn fetch(&mut self) {
        #[cfg(target_arch = "x86_64")]
        #[allow(
            unsafe_code,
            reason = "a prefetch reads nothing that the program sees; any address will do"
        )]
        // SAFETY: as the reason says.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.address.cast());
        }
        self.address = self.address.wrapping_add(self.stride);
    }
}

/// The products of a few rows and a tile of W. By index and returned as a value, because sums that
/// anything points to stay in memory.
#[inline(always)]
fn sums<S: Simd, const COUNT: usize, const VECTORS: usize>(
    simd: S,
    rows: &[f32],
    panel: &[[S::f32s; VECTORS]],
    mut ahead: Lines,
) -> [[S::f32s; VECTORS]; COUNT] {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; COUNT];
    for (x, weights) in rows.as_chunks::<COUNT>().0.iter().zip(panel) {
        ahead.fetch();
        for row in 0..COUNT {
            let x = simd.splat_f32s(x[row]);
            for column in 0..VECTORS {
                sums[row][column] = simd.mul_add_e_f32s(x, weights[column], sums[row][column]);
            }
        }
    }
    sums
}

/// Adds the products of a few rows and a tile of W to the output's `columns`.
#[inline(always)]
fn add<S: Simd, const COUNT: usize, const VECTORS: usize>(
    simd: S,
    rows: &[f32],
    panel: &[[S::f32s; VECTORS]],
    ahead: Lines,
    output: &mut [&mut [f32]],
    columns: Range<usize>,
) {
    let sums = sums::<S, COUNT, VECTORS>(simd, rows, panel, ahead);
    for (output, sums) in output.iter_mut().zip(sums) {
        let output = &mut output[columns.clone()];
        if output.len() == VECTORS * S::F32_LANES {
            let (output, _) = S::as_mut_simd_f32s(output);
            for (output, sum) in output.iter_mut().zip(sums) {
                *output = simd.add_f32s(*output, sum);
            }
        } else {
            let sums: &[f32] = bytemuck::cast_slice(&sums);
            for (output, sum) in output.iter_mut().zip(sums) {
                *output += sum;
            }
        }
    }
}
