//! Sizes and offsets: how large a frame gets and which part of it the model sees.

use core::ops::Range;

use super::error::PreprocessError;

/// Most pixels a resized picture or an intermediate of it may have: 8192 x 8192, far above any
/// video frame and 200 MB as RGB.
pub(super) const MAX_PIXELS: u64 = 1 << 26;

/// A rectangle of a resized picture, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Number of columns.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
}

impl Window {
    /// The whole of a picture of `[width, height]` pixels.
    pub fn whole([width, height]: [u32; 2]) -> Self {
        Self {
            left: 0,
            top: 0,
            width,
            height,
        }
    }

    /// The columns it spans.
    pub fn columns(self) -> Range<u32> {
        self.left..self.left + self.width
    }

    /// The rows it spans.
    pub fn rows(self) -> Range<u32> {
        self.top..self.top + self.height
    }
}

/// `[width, height]` after bringing the shorter side to `shorter`, as torchvision's `resize` of a
/// single size: the longer side is ⌊shorter · long / short⌋.
///
/// # Errors
/// The picture is empty, or so elongated that the result has more than 2^26 pixels.
pub(super) fn shorter_side_size(
    [width, height]: [u32; 2],
    shorter: u32,
) -> Result<[u32; 2], PreprocessError> {
    if width == 0 || height == 0 || shorter == 0 {
        return Err(PreprocessError::EmptyPicture { width, height });
    }
    let scaled = |side: u32, short: u32| u64::from(shorter) * u64::from(side) / u64::from(short);
    let (target_width, target_height) = if width <= height {
        (u64::from(shorter), scaled(height, width))
    } else {
        (scaled(width, height), u64::from(shorter))
    };
    // The longer side is below 2^64 / 2^32, so the product of two sides may overflow.
    let pixels = target_width.saturating_mul(target_height);
    match (u32::try_from(target_width), u32::try_from(target_height)) {
        (Ok(new_width), Ok(new_height)) if pixels <= MAX_PIXELS => Ok([new_width, new_height]),
        _ => Err(PreprocessError::TooLarge {
            width,
            height,
            target_width,
            target_height,
            limit: MAX_PIXELS,
        }),
    }
}

/// Where a centre crop of `crop` begins in a side of `side >= crop` pixels:
/// round-half-even((side − crop) / 2), as torchvision's `center_crop`.
pub(super) fn centre_offset(side: u32, crop: u32) -> u32 {
    let slack = side.saturating_sub(crop);
    let half = slack / 2;
    // An odd slack lies halfway between two offsets, of which Python's rounding takes the even one.
    half + (slack & half & 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_side_is_floored() {
        assert_eq!(shorter_side_size([1280, 720], 256), Ok([455, 256]));
        assert_eq!(shorter_side_size([720, 1280], 256), Ok([256, 455]));
        assert_eq!(shorter_side_size([37, 23], 61), Ok([98, 61]));
        assert_eq!(shorter_side_size([256, 256], 256), Ok([256, 256]));
    }

    #[test]
    fn an_absurd_aspect_ratio_is_refused() {
        let error = shorter_side_size([1, u32::MAX], 256);
        assert!(matches!(error, Err(PreprocessError::TooLarge { .. })));
        assert!(matches!(
            shorter_side_size([0, 5], 256),
            Err(PreprocessError::EmptyPicture { .. })
        ));
    }

    #[test]
    fn half_pixel_offsets_round_to_even() {
        // round(0.5) = 0, round(1.5) = 2, round(2.5) = 2, round(115.5) = 116 in Python.
        for (side, expected) in [(224, 0), (225, 0), (226, 1), (227, 2), (229, 2), (455, 116)] {
            assert_eq!(centre_offset(side, 224), expected, "side {side}");
        }
    }
}
