//! Work on the chunks of a data set, on all cores where there are threads.
//!
//! Results come back in the order of the chunks and how rows are cut into chunks depends on their
//! number alone, so sums over chunks are the same to the last bit whatever the number of cores.

#[cfg(not(target_family = "wasm"))]
use rayon::prelude::*;

/// Rows of a chunk, at least: enough to keep a matrix product busy.
const SMALLEST_CHUNK: usize = 256;

/// Chunks, at most: each holds a partial sum.
const MOST_CHUNKS: usize = 64;

/// The row ranges that `rows` rows are cut into.
pub(super) fn chunks(rows: usize) -> Vec<(usize, usize)> {
    let size = rows.div_ceil(MOST_CHUNKS).max(SMALLEST_CHUNK);
    (0..rows)
        .step_by(size)
        .map(|first| (first, (first + size).min(rows)))
        .collect()
}

/// `work` on every item, results in order.
pub(super) fn map<S: Sync, T: Send>(items: &[S], work: impl Fn(&S) -> T + Sync + Send) -> Vec<T> {
    #[cfg(not(target_family = "wasm"))]
    {
        items.par_iter().map(work).collect()
    }
    #[cfg(target_family = "wasm")]
    {
        items.iter().map(work).collect()
    }
}

/// `work` on every item, which it may change, results in order.
pub(super) fn map_mut<S: Send, T: Send>(
    items: &mut [S],
    work: impl Fn(&mut S) -> T + Sync + Send,
) -> Vec<T> {
    #[cfg(not(target_family = "wasm"))]
    {
        items.par_iter_mut().map(work).collect()
    }
    #[cfg(target_family = "wasm")]
    {
        items.iter_mut().map(work).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_all_rows_once() {
        for rows in [0, 1, 255, 256, 257, 16_384, 16_385, 1_000_003] {
            let ranges = chunks(rows);
            assert!(ranges.len() <= MOST_CHUNKS);
            let mut next = 0;
            for (first, last) in ranges {
                assert_eq!(first, next);
                assert!(last > first);
                next = last;
            }
            assert_eq!(next, rows);
        }
    }
}
