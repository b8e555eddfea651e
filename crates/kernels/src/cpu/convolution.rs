//! 3×3 convolutions of channels-last pictures with their gradients, as products of matrices.
//!
//! A picture is unfolded to a row of nine neighbours a pixel, a few pictures at a time so that the
//! level-2 cache holds them, and never as a whole batch: reading and writing that would take as long
//! as the products. The backward pass unfolds again instead of keeping it.

use rayon::prelude::*;

use super::matrix::{Matrix, multiply};
use super::sums::total;

/// Numbers of unfolded pictures that are worked on at a time: 1 MiB, half of a level-2 cache.
const UNFOLDED: usize = 256 * 1024;

/// Parts that a batch is cut into for the gradient of the weights. A constant, not the number of
/// threads: sums are taken in the order of the parts, so they are the same everywhere.
const PARTS: usize = 8;

/// Neighbours of a pixel.
const NEIGHBOURS: usize = 9;

/// A convolution of pictures `[N, height, width, input]` by weights `[9·input, output]`, the
/// neighbours in row order, with a border of one pixel of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Convolution {
    pub height: usize,
    pub width: usize,
    pub input: usize,
    pub output: usize,
    pub stride: usize,
}

impl Convolution {
    /// Height and width of the output.
    pub(super) fn output_size(&self) -> [usize; 2] {
        [self.height, self.width].map(|side| (side - 1) / self.stride + 1)
    }

    fn output_pixels(&self) -> usize {
        self.output_size().iter().product()
    }

    fn picture(&self) -> usize {
        self.height * self.width * self.input
    }

    fn depth(&self) -> usize {
        NEIGHBOURS * self.input
    }

    /// Pictures that are unfolded together.
    fn group(&self) -> usize {
        (UNFOLDED / (self.output_pixels() * self.depth()).max(1)).max(1)
    }

    /// Which of a picture's numbers each neighbour of a row of output pixels begins at: for every
    /// neighbour row inside the picture its number, 0 to 2, and its first pixel.
    fn rows(&self, row: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Self {
            height,
            width,
            stride,
            ..
        } = *self;
        (0..3).filter_map(move |down| {
            let y = (row * stride + down).checked_sub(1)?;
            (y < height).then_some((down, y * width))
        })
    }

    /// The neighbours left to right of an output column that are inside: the first one's number, the
    /// pixel in its row that it is, and how many there are.
    fn columns(&self, column: usize) -> (usize, usize, usize) {
        let middle = column * self.stride;
        let first = usize::from(middle == 0);
        let last = if middle + 1 < self.width { 3 } else { 2 };
        (first, middle + first - 1, last - first)
    }

    /// Unfolds pictures to rows of neighbours.
    fn unfold(&self, pictures: &[f32], rows: &mut [f32]) {
        let input = self.input;
        let [_, width] = self.output_size();
        let per_picture = self.output_pixels() * self.depth();
        let pictures = pictures.chunks_exact(self.picture());
        for (picture, rows) in pictures.zip(rows.chunks_exact_mut(per_picture)) {
            for (y, line) in rows.chunks_exact_mut(width * self.depth()).enumerate() {
                let inside = self.rows(y).count() == 3;
                for (x, row) in line.chunks_exact_mut(self.depth()).enumerate() {
                    let (first, pixel, count) = self.columns(x);
                    if !inside || count < 3 {
                        row.fill(0.0);
                    }
                    for (down, start) in self.rows(y) {
                        let to = &mut row[(3 * down + first) * input..][..count * input];
                        to.copy_from_slice(&picture[(start + pixel) * input..][..count * input]);
                    }
                }
            }
        }
    }

    /// Adds rows of neighbours back to the pixels that they are of.
    fn fold(&self, rows: &[f32], pictures: &mut [f32]) {
        let input = self.input;
        let [_, width] = self.output_size();
        let per_picture = self.output_pixels() * self.depth();
        let pictures = pictures.chunks_exact_mut(self.picture());
        for (picture, rows) in pictures.zip(rows.chunks_exact(per_picture)) {
            for (y, line) in rows.chunks_exact(width * self.depth()).enumerate() {
                for (x, row) in line.chunks_exact(self.depth()).enumerate() {
                    let (first, pixel, count) = self.columns(x);
                    for (down, start) in self.rows(y) {
                        let from = &row[(3 * down + first) * input..][..count * input];
                        let to = &mut picture[(start + pixel) * input..][..count * input];
                        for (to, from) in to.iter_mut().zip(from) {
                            *to += from;
                        }
                    }
                }
            }
        }
    }

    /// Writes the convolution of `pictures` to `output`.
    pub(super) fn forward(&self, pictures: &[f32], weight: &[f32], output: &mut [f32]) {
        let group = self.group();
        let inputs = pictures.par_chunks(group * self.picture());
        let outputs = output.par_chunks_mut(group * self.output_pixels() * self.output);
        inputs
            .zip(outputs)
            .for_each_init(Vec::new, |rows, (pictures, output)| {
                let count = pictures.len() / self.picture();
                rows.resize(count * self.output_pixels() * self.depth(), 0.0);
                self.unfold(pictures, rows);
                let rows = Matrix::new(rows, self.depth());
                multiply(output, rows, Matrix::new(weight, self.output), false);
            });
    }

    /// The gradient of the weights, and that of the pictures where it is wanted; `grad_pictures` must
    /// be 0.
    pub(super) fn backward(
        &self,
        pictures: &[f32],
        weight: &[f32],
        grad: &[f32],
        mut grad_pictures: Option<&mut [f32]>,
    ) -> Vec<f32> {
        let count = pictures.len() / self.picture();
        let share = count.div_ceil(PARTS).max(1);
        let group = self.group();
        let per_output = self.output_pixels() * self.output;
        let mut wanted: Vec<Option<&mut [f32]>> = match &mut grad_pictures {
            Some(all) => all.chunks_mut(share * self.picture()).map(Some).collect(),
            None => Vec::new(),
        };
        wanted.resize_with(count.div_ceil(share), || None);
        let parts: Vec<Vec<f32>> = pictures
            .par_chunks(share * self.picture())
            .zip(grad.par_chunks(share * per_output))
            .zip(wanted.into_par_iter())
            .map(|((pictures, grad), mut grad_pictures)| {
                let mut sum = vec![0.0; self.depth() * self.output];
                let mut rows = Vec::new();
                let groups = pictures.chunks(group * self.picture());
                for (index, pictures) in groups.enumerate() {
                    let start = index * group;
                    let count = pictures.len() / self.picture();
                    let grad = &grad[start * per_output..][..count * per_output];
                    rows.resize(count * self.output_pixels() * self.depth(), 0.0);
                    self.unfold(pictures, &mut rows);
                    let unfolded = Matrix::new(&rows, self.depth()).transposed();
                    let grad = Matrix::new(grad, self.output);
                    multiply(&mut sum, unfolded, grad, true);
                    if let Some(grad_pictures) = &mut grad_pictures {
                        let weight = Matrix::new(weight, self.output).transposed();
                        multiply(&mut rows, grad, weight, false);
                        let to = &mut grad_pictures[start * self.picture()..];
                        self.fold(&rows, &mut to[..count * self.picture()]);
                    }
                }
                sum
            })
            .collect();
        total(self.depth() * self.output, parts)
    }
}
