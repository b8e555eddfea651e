//! The square that the network sees a picture in.

use burn::tensor::Tensor;
use image::RgbImage;

use super::face::{Bounds, Face, KeyPoints};
use crate::preprocess::{DevicePicture, PreprocessError, resize_bicubic, resize_on_device};

/// What the network was trained with where there is no picture: black.
const MARGIN: f32 = -1.0;

/// Where a picture lies in the network's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Canvas {
    /// Pixels of the canvas left of and above the picture.
    offset: [f32; 2],
    /// Pixels of the picture in one of the canvas, across and down.
    scale: [f32; 2],
}

impl Canvas {
    /// Shrinks or enlarges a picture until its longer side is `side`, and centres it: `[3, side,
    /// side]` in [−1, 1]. The shorter side is rounded to nearest; an odd margin has its larger half
    /// at the right or bottom.
    pub fn fit(picture: &RgbImage, side: usize) -> Result<(Self, Vec<f32>), PreprocessError> {
        let (width, height) = picture.dimensions();
        let (canvas, [fitted_width, fitted_height]) = Self::of([width, height], side)?;
        let resized = resize_bicubic(picture, fitted_width, fitted_height)?;
        let [left, top] = canvas.offset.map(|offset| offset as usize);

        let mut values = vec![MARGIN; 3 * side * side];
        for (plane, channel) in values.chunks_exact_mut(side * side).zip(0..) {
            let rows = plane.chunks_exact_mut(side).skip(top).zip(resized.rows());
            for (row, pixels) in rows {
                for (value, pixel) in row.iter_mut().skip(left).zip(pixels) {
                    *value = value_of(pixel.0[channel]);
                }
            }
        }
        Ok((canvas, values))
    }

    /// As [`fit`](Self::fit) for a picture on a device: the tensor `[3, side, side]` there.
    pub fn fit_on_device(
        picture: &DevicePicture,
        side: usize,
    ) -> Result<(Self, Tensor<3>), PreprocessError> {
        let (canvas, fitted) = Self::of(picture.size(), side)?;
        let levels = std::array::from_fn(|level| value_of(level as u8));
        let corner = canvas.offset.map(|offset| offset as usize);
        let levels = Box::new([levels; 3]);
        let values = resize_on_device(
            picture,
            fitted,
            levels,
            [side, corner[0], corner[1]],
            MARGIN,
        )?;
        Ok((canvas, values))
    }

    /// Where a picture of `[width, height]` pixels lies, and its size there.
    fn of(
        size @ [width, height]: [u32; 2],
        side: usize,
    ) -> Result<(Self, [u32; 2]), PreprocessError> {
        let target = u32::try_from(side).unwrap_or(u32::MAX);
        if width == 0 || height == 0 {
            return Err(PreprocessError::EmptyPicture { width, height });
        }
        let fitted = fitted_size(size, target);
        let ratio = |axis: usize| (f64::from(size[axis]) / f64::from(fitted[axis])) as f32;
        let canvas = Self {
            offset: fitted.map(|side| (target.saturating_sub(side) / 2) as f32),
            scale: [ratio(0), ratio(1)],
        };
        Ok((canvas, fitted))
    }

    /// A face in pixels of the canvas as one in pixels of the picture.
    pub fn to_picture(self, face: Face) -> Face {
        let point = |[x, y]: [f32; 2]| {
            [
                (x - self.offset[0]) * self.scale[0],
                (y - self.offset[1]) * self.scale[1],
            ]
        };
        let [x1, y1] = point([face.bounds.x1, face.bounds.y1]);
        let [x2, y2] = point([face.bounds.x2, face.bounds.y2]);
        Face {
            bounds: Bounds { x1, y1, x2, y2 },
            key_points: KeyPoints::from(face.key_points.points().map(point)),
            score: face.score,
        }
    }
}

/// What the network takes for a level.
fn value_of(level: u8) -> f32 {
    f32::from(level) / 127.5 - 1.0
}

/// `[width, height]` scaled so that the longer side is `target`; no side vanishes.
fn fitted_size(size: [u32; 2], target: u32) -> [u32; 2] {
    let longest = u64::from(size[0].max(size[1]));
    size.map(|side| {
        let doubled = 2 * u64::from(side) * u64::from(target) + longest;
        // At most `target`, so the conversion never saturates.
        u32::try_from(doubled / (2 * longest)).map_or(target, |fitted| fitted.max(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn the_longer_side_fills_the_canvas() {
        assert_eq!(fitted_size([640, 360], 256), [256, 144]);
        assert_eq!(fitted_size([360, 640], 256), [144, 256]);
        assert_eq!(fitted_size([3, 3], 256), [256, 256]);
        assert_eq!(fitted_size([1_000_000, 1], 256), [256, 1]);
        // 256 · 427 / 640 = 170.8.
        assert_eq!(fitted_size([640, 427], 256), [256, 171]);
    }

    #[test]
    fn a_picture_lies_in_the_middle_between_black_margins() {
        let picture = RgbImage::from_pixel(8, 4, Rgb([255, 0, 51]));
        let (canvas, values) = Canvas::fit(&picture, 8).unwrap();
        assert_eq!(canvas.offset, [0.0, 2.0]);
        assert_eq!(canvas.scale, [1.0, 1.0]);
        for (plane, expected) in values.chunks_exact(64).zip([1.0, -1.0, -0.6]) {
            assert_eq!(plane[..16], [MARGIN; 16]);
            assert_eq!(plane[48..], [MARGIN; 16]);
            // 51 / 127.5 − 1 in f32.
            assert!(
                plane[16..48]
                    .iter()
                    .all(|value| (value - expected).abs() < 1e-6)
            );
        }
    }

    #[test]
    fn points_come_back_to_where_the_picture_has_them() {
        let picture = RgbImage::new(1280, 720);
        let (canvas, _) = Canvas::fit(&picture, 256).unwrap();
        // 1280 becomes 256, five to one; 56 rows of margin above the 144 of the picture.
        let face = Face {
            bounds: Bounds {
                x1: 0.0,
                y1: 56.0,
                x2: 256.0,
                y2: 200.0,
            },
            key_points: KeyPoints::from([[128.0, 128.0]; 6]),
            score: 0.5,
        };
        let face = canvas.to_picture(face);
        let Bounds { x1, y1, x2, y2 } = face.bounds;
        assert_eq!([x1, y1, x2, y2], [0.0, 0.0, 1280.0, 720.0]);
        assert_eq!(face.key_points.nose, [640.0, 360.0]);
    }

    #[test]
    fn a_picture_without_pixels_is_refused() {
        assert!(matches!(
            Canvas::fit(&RgbImage::new(0, 5), 256),
            Err(PreprocessError::EmptyPicture { .. })
        ));
    }
}
