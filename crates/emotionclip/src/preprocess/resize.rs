//! PIL's 8-bit bicubic resize with antialiasing, bit for bit.
//!
//! The models were trained on frames resized by PIL, so its fixed-point arithmetic is part of the
//! model's input. It filters the rows first, rounds and clips to 8 bits, then filters the columns.
//! Pillow 13 swaps the two when the height shrinks much more than the width, which a resize that
//! keeps the aspect ratio never does; earlier versions, the releases' among them, never swap.
//!
//! `fast_image_resize` filters the columns first, which clips overshoots elsewhere: up to 9 levels
//! off on a photograph and 28 on noise. Forced into PIL's order it still differs by up to 2 levels
//! when upscaling, because its weights have 16 bits and PIL's 32: outside the tolerance of one
//! level.

use core::ops::Range;

use emotionclip_kernels::Taps;
use image::RgbImage;

use super::error::PreprocessError;
use super::geometry::{MAX_PIXELS, Window};

/// Fraction bits of PIL's weights: 32 less 8 of the pixel and 2 for overshoot and sign.
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;
/// Half a level in fixed point, so that the shift rounds to nearest.
const HALF: i32 = 1 << (PRECISION_BITS - 1);
const CHANNELS: usize = 3;

/// Resizes a picture to `width` x `height` pixels exactly as PIL's
/// `Image.resize((width, height), Image.BICUBIC)`, rows filtered before columns.
///
/// # Errors
/// Either picture is empty, or the resize needs more than 2^26 pixels.
pub fn resize_bicubic(
    picture: &RgbImage,
    width: u32,
    height: u32,
) -> Result<RgbImage, PreprocessError> {
    resize_bicubic_window(picture, [width, height], Window::whole([width, height]))
}

/// The part `window` of [`resize_bicubic`] to `[width, height]`, computing nothing outside it.
/// The caller keeps `window` inside the resized picture.
pub(super) fn resize_bicubic_window(
    picture: &RgbImage,
    [width, height]: [u32; 2],
    window: Window,
) -> Result<RgbImage, PreprocessError> {
    let (source_width, source_height) = picture.dimensions();
    let [columns, rows] = window_taps([source_width, source_height], [width, height], window)?;
    // Taps advance with the output, so the first and the last row bound what is read.
    let first_row = rows.first().map_or(0, |taps| taps.start);
    let last_row = rows
        .last()
        .map_or(0, |taps| taps.start + taps.weights.len());
    let narrowed = filter_rows(
        picture.as_raw(),
        source_width as usize,
        first_row..last_row,
        &columns,
    );
    let resized = filter_columns(&narrowed, columns.len(), first_row, &rows);
    RgbImage::from_raw(window.width, window.height, resized).ok_or(PreprocessError::EmptyPicture {
        width: window.width,
        height: window.height,
    })
}

/// The taps of both axes for the part `window` of a picture of `source` pixels that becomes `target`.
///
/// # Errors
/// As [`resize_bicubic`].
pub(super) fn window_taps(
    source: [u32; 2],
    target: [u32; 2],
    window: Window,
) -> Result<[Vec<Taps>; 2], PreprocessError> {
    for [width, height] in [source, target] {
        if width == 0 || height == 0 {
            return Err(PreprocessError::EmptyPicture { width, height });
        }
    }
    let rows_of = |height: u32| u64::from(window.width) * u64::from(height);
    if rows_of(source[1].max(window.height)) > MAX_PIXELS {
        return Err(PreprocessError::TooLarge {
            width: source[0],
            height: source[1],
            target_width: u64::from(target[0]),
            target_height: u64::from(target[1]),
            limit: MAX_PIXELS,
        });
    }
    Ok([
        filter_taps(source[0], target[0], window.columns()),
        filter_taps(source[1], target[1], window.rows()),
    ])
}

/// Catmull-Rom kernel, a = −0.5, of support 2.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.5;
    let x = distance.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Taps of the output pixels `outputs` when `source` pixels become `target`.
fn filter_taps(source: u32, target: u32, outputs: Range<u32>) -> Vec<Taps> {
    let scale = f64::from(source) / f64::from(target);
    // Antialiasing: when shrinking, the kernel widens by the scale.
    let filter_scale = scale.max(1.0);
    let support = 2.0 * filter_scale;
    let narrowing = 1.0 / filter_scale;
    outputs
        .map(|output| {
            let centre = (f64::from(output) + 0.5) * scale;
            // The casts truncate toward zero and saturate, as PIL's to int followed by its clamps.
            let start = (centre - support + 0.5) as u32;
            let end = ((centre + support + 0.5) as u32).min(source);
            let raw: Vec<f64> = (start..end)
                .map(|pixel| cubic((f64::from(pixel) - centre + 0.5) * narrowing))
                .collect();
            let sum: f64 = raw.iter().sum();
            let weights = raw.iter().map(|weight| to_fixed(weight / sum)).collect();
            Taps {
                start: start as usize,
                weights,
            }
        })
        .collect()
}

/// A weight in fixed point, halves rounded away from zero.
fn to_fixed(weight: f64) -> i32 {
    (weight * f64::from(1 << PRECISION_BITS)).round() as i32
}

/// A fixed-point sum as a level.
fn to_level(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// Filters every source row of `rows` down to one pixel per element of `columns`.
fn filter_rows(
    pixels: &[u8],
    source_width: usize,
    rows: Range<usize>,
    columns: &[Taps],
) -> Vec<u8> {
    let mut filtered = Vec::with_capacity(rows.len() * columns.len() * CHANNELS);
    let source_rows = pixels.chunks_exact(source_width * CHANNELS);
    for row in source_rows.skip(rows.start).take(rows.len()) {
        for taps in columns {
            let mut sums = [HALF; CHANNELS];
            let window = row[taps.start * CHANNELS..].chunks_exact(CHANNELS);
            for (pixel, weight) in window.zip(&taps.weights) {
                for (sum, level) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*level) * weight;
                }
            }
            filtered.extend(sums.map(to_level));
        }
    }
    filtered
}

/// Filters the columns of a picture of `width` pixels whose first row is the source's
/// `first_row`, down to one row per element of `rows`.
fn filter_columns(pixels: &[u8], width: usize, first_row: usize, rows: &[Taps]) -> Vec<u8> {
    let row_length = width * CHANNELS;
    let mut filtered = Vec::with_capacity(rows.len() * row_length);
    let mut sums = vec![HALF; row_length];
    for taps in rows {
        sums.fill(HALF);
        let window = pixels[(taps.start - first_row) * row_length..].chunks_exact(row_length);
        for (row, weight) in window.zip(&taps.weights) {
            for (sum, level) in sums.iter_mut().zip(row) {
                *sum += i32::from(*level) * weight;
            }
        }
        filtered.extend(sums.iter().map(|&sum| to_level(sum)));
    }
    filtered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x * 7 + y) as u8, (y * 11) as u8, (x * 3 + y * 5) as u8])
        })
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let picture = gradient(31, 17);
        assert_eq!(resize_bicubic(&picture, 31, 17), Ok(picture));
    }

    #[test]
    fn a_flat_picture_stays_flat_at_every_scale() {
        let picture = RgbImage::from_pixel(29, 13, image::Rgb([3, 128, 255]));
        for (width, height) in [(1, 1), (7, 90), (200, 5)] {
            let resized = resize_bicubic(&picture, width, height).unwrap();
            assert!(resized.pixels().all(|pixel| pixel.0 == [3, 128, 255]));
        }
    }

    #[test]
    fn a_window_equals_the_crop_of_the_whole() {
        let picture = gradient(90, 61);
        for size in [[45, 30], [133, 88]] {
            let window = Window {
                left: 5,
                top: 9,
                width: 20,
                height: 13,
            };
            let whole = resize_bicubic(&picture, size[0], size[1]).unwrap();
            let part = resize_bicubic_window(&picture, size, window).unwrap();
            let crop = image::imageops::crop_imm(&whole, 5, 9, 20, 13).to_image();
            assert_eq!(part, crop);
        }
    }

    #[test]
    fn empty_and_absurd_pictures_are_errors() {
        let empty = RgbImage::new(0, 4);
        assert!(matches!(
            resize_bicubic(&empty, 4, 4),
            Err(PreprocessError::EmptyPicture { .. })
        ));
        let picture = gradient(4, 4);
        assert!(matches!(
            resize_bicubic(&picture, 4, 0),
            Err(PreprocessError::EmptyPicture { .. })
        ));
        assert!(matches!(
            resize_bicubic(&picture, u32::MAX, u32::MAX),
            Err(PreprocessError::TooLarge { .. })
        ));
    }
}
