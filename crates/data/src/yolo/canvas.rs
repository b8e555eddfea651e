//! Pictures as YOLO sees them: fitted into a grey canvas.

use image::RgbImage;
use image::imageops::{FilterType, resize};

/// Grey around the picture, as all YOLOs are trained with.
const GREY: f32 = 114.0 / 255.0;

/// Where a picture lies in the detector's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Canvas {
    picture: [f32; 2],
    scale: f32,
    offset: [f32; 2],
}

impl Canvas {
    /// Fits a picture into `[width, height]`, the grey shared between both sides; gives `[3, height,
    /// width]` in `[0, 1]`, RGB.
    pub(super) fn fit(picture: &RgbImage, [width, height]: [usize; 2]) -> (Self, Vec<f32>) {
        let size = [picture.width(), picture.height()].map(|side| side.max(1) as f32);
        let scale = (width as f32 / size[0]).min(height as f32 / size[1]);
        let inner = [0, 1].map(|axis| {
            let limit = [width, height][axis];
            ((size[axis] * scale).round() as usize).clamp(1, limit.max(1))
        });
        let left = (width - inner[0].min(width)) / 2;
        let top = (height - inner[1].min(height)) / 2;
        let small = resize(
            picture,
            inner[0] as u32,
            inner[1] as u32,
            FilterType::Triangle,
        );
        let mut values = vec![GREY; 3 * width * height];
        for (x, y, pixel) in small.enumerate_pixels() {
            let place = (top + y as usize) * width + left + x as usize;
            for (channel, value) in pixel.0.into_iter().enumerate() {
                if let Some(target) = values.get_mut(channel * width * height + place) {
                    *target = f32::from(value) / 255.0;
                }
            }
        }
        let canvas = Self {
            picture: size,
            scale,
            offset: [left as f32, top as f32],
        };
        (canvas, values)
    }

    /// Left, top, right and bottom in the picture's pixels, cut at its edges; none if nothing is left.
    pub(super) fn to_picture(self, edges: [f32; 4]) -> Option<[f32; 4]> {
        let [x1, y1, x2, y2] = edges;
        let undo = |value: f32, axis: usize| {
            ((value - self.offset[axis]) / self.scale).clamp(0.0, self.picture[axis])
        };
        let cut = [undo(x1, 0), undo(y1, 1), undo(x2, 0), undo(y2, 1)];
        let has_area = cut[0] < cut[2] && cut[1] < cut[3];
        (has_area && edges.iter().all(|edge| edge.is_finite())).then_some(cut)
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_wide_picture_lies_between_grey_bars_and_boxes_come_back() {
        let picture = RgbImage::from_pixel(200, 100, Rgb([255, 0, 51]));
        let (canvas, values) = Canvas::fit(&picture, [64, 64]);
        let at = |channel: usize, x: usize, y: usize| values[channel * 64 * 64 + y * 64 + x];
        assert_eq!(
            [at(0, 5, 15), at(0, 5, 16), at(1, 5, 47), at(2, 63, 40)],
            [GREY, 1.0, 0.0, 0.2]
        );
        assert_eq!(at(2, 5, 48), GREY);
        // 64 / 200 = 0.32, sixteen rows of grey above.
        let back = canvas.to_picture([32.0, 16.0, 80.0, 32.0]).unwrap();
        for (value, expected) in back.into_iter().zip([100.0, 0.0, 200.0, 50.0]) {
            // A handful of operations in single precision on numbers up to 200.
            assert!((value - expected).abs() < 1e-4, "{back:?}");
        }
        assert_eq!(canvas.to_picture([0.0, 0.0, 64.0, 10.0]), None, "grey only");
        assert_eq!(canvas.to_picture([f32::NAN, 16.0, 64.0, 40.0]), None);
    }
}
