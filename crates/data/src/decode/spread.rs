//! A fixed number of frames out of a clip of any length.

use super::{DecodeError, Frame};

/// Bytes of frames that may be held while their number is not known yet.
const HELD_BYTES: usize = 256 << 20;

/// Indices of `count` frames spread over a clip of `length`: ⌊linspace(0, length − 1, count)⌋, the
/// release's uniform sampling. A shorter clip repeats frames; an empty one gives none.
pub fn spread_indices(length: usize, count: usize) -> Vec<usize> {
    if length == 0 {
        return Vec::new();
    }
    let last = length - 1;
    let steps = count.saturating_sub(1).max(1);
    (0..count).map(|index| index * last / steps).collect()
}

/// `count` frames spread over all of `frames`, whose number need not be known.
///
/// While frames fit into 256 MiB the choice is that of [`spread_indices`]; of a longer clip only
/// every second, fourth … frame is kept to choose from, so memory stays bounded.
///
/// # Errors
/// The first error among the frames.
pub fn spread(
    frames: impl Iterator<Item = Result<Frame, DecodeError>>,
    count: usize,
) -> Result<Vec<Frame>, DecodeError> {
    spread_within(frames, count, HELD_BYTES)
}

fn spread_within<E>(
    frames: impl Iterator<Item = Result<Frame, E>>,
    count: usize,
    budget: usize,
) -> Result<Vec<Frame>, E> {
    let mut held: Vec<Frame> = Vec::new();
    let mut bytes = 0;
    let mut stride = 1;
    for (index, frame) in frames.enumerate() {
        let frame = frame?;
        if index % stride != 0 {
            continue;
        }
        bytes += frame.picture.as_raw().len();
        held.push(frame);
        if bytes > budget && held.len() > 2 * count.max(1) {
            let mut position = 0;
            held.retain(|_| {
                position += 1;
                position % 2 == 1
            });
            bytes = held.iter().map(|frame| frame.picture.as_raw().len()).sum();
            stride *= 2;
        }
    }
    let indices = spread_indices(held.len(), count);
    Ok(indices
        .into_iter()
        .filter_map(|index| held.get(index).cloned())
        .collect())
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    fn times(length: usize, count: usize, budget: usize) -> Vec<f64> {
        let frames = (0..length).map(|index| {
            let time = index as f64;
            let picture = RgbImage::new(1, 1);
            Ok::<_, ()>(Frame { time, picture })
        });
        let chosen = spread_within(frames, count, budget).unwrap();
        chosen.iter().map(|frame| frame.time).collect()
    }

    #[test]
    fn indices_are_those_of_numpy() {
        // np.floor(np.linspace(0, n - 1, 8)) for n = 8, 20, 3.
        assert_eq!(spread_indices(8, 8), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(spread_indices(20, 8), [0, 2, 5, 8, 10, 13, 16, 19]);
        assert_eq!(spread_indices(3, 8), [0, 0, 0, 0, 1, 1, 1, 2]);
        assert_eq!(spread_indices(5, 1), [0]);
        assert!(spread_indices(0, 8).is_empty());
    }

    #[test]
    fn frames_that_fit_are_chosen_exactly() {
        assert_eq!(times(20, 4, usize::MAX), [0.0, 6.0, 12.0, 19.0]);
        assert_eq!(times(0, 4, usize::MAX), [] as [f64; 0]);
    }

    #[test]
    fn a_long_clip_is_covered_to_its_end_in_little_memory() {
        // A budget of 16 frames of 3 bytes.
        let times = times(1000, 4, 48);
        assert_eq!(times[0], 0.0);
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
        assert!(times[3] > 850.0, "{times:?}");
    }
}
