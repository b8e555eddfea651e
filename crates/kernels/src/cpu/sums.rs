//! Sums of columns over many rows.
//!
//! Rows are taken in parts of fixed size: sums are f32 within blocks of [`BLOCK`] rows, beyond that
//! f64 and in the order of the parts, so they are the same for every number of threads, and their
//! error is that of `BLOCK` additions.

use std::ops::{AddAssign, Range};

use rayon::prelude::*;

/// Rows whose sums are taken in f32.
const BLOCK: usize = 64;
/// Rows a task.
pub(super) const PART: usize = 16 * BLOCK;

/// Two sums a column over `length` numbers in rows of `width`: `add` adds a block of them, of which it
/// is given the place.
pub(super) fn column_sums(
    length: usize,
    width: usize,
    add: impl Fn(Range<usize>, [&mut [f32]; 2]) + Sync,
) -> [Vec<f64>; 2] {
    let cut = |range: Range<usize>, rows: usize| {
        let (end, step) = (range.end, rows * width.max(1));
        let starts = range.step_by(step);
        starts.map(move |start| start..end.min(start + step))
    };
    let parts: Vec<Range<usize>> = cut(0..length, PART).collect();
    let parts: Vec<[Vec<f64>; 2]> = parts
        .into_par_iter()
        .map(|part| {
            let mut totals = [vec![0.0; width], vec![0.0; width]];
            let mut sums = [vec![0.0; width], vec![0.0; width]];
            for block in cut(part, BLOCK) {
                let [first, second] = &mut sums;
                first.fill(0.0);
                second.fill(0.0);
                add(block, [first, second]);
                for (total, sums) in totals.iter_mut().zip(&sums) {
                    for (total, sum) in total.iter_mut().zip(sums) {
                        *total += f64::from(*sum);
                    }
                }
            }
            totals
        })
        .collect();
    let (first, second): (Vec<_>, Vec<_>) = parts.into_iter().map(|[a, b]| (a, b)).unzip();
    [first, second].map(|parts| total(width, parts))
}

/// The sum of parts of `length` numbers each, in their order.
pub(super) fn total<T: Copy + Default + AddAssign>(length: usize, parts: Vec<Vec<T>>) -> Vec<T> {
    let mut total = vec![T::default(); length];
    for part in parts {
        for (total, part) in total.iter_mut().zip(part) {
            *total += part;
        }
    }
    total
}
