//! What the sheets share.

use image::{GrayImage, Rgb, RgbImage};

/// The frame with the subject's mask outlined.
pub fn outlined(frame: &RgbImage, mask: &GrayImage) -> RgbImage {
    let mut marked = frame.clone();
    let covered = |x: i64, y: i64| {
        let inside = x >= 0 && y >= 0 && x < mask.width().into() && y < mask.height().into();
        inside && mask.get_pixel(x as u32, y as u32)[0] > 0
    };
    for (x, y, pixel) in marked.enumerate_pixels_mut() {
        let (x, y) = (i64::from(x), i64::from(y));
        let edge = [(-1, 0), (1, 0), (0, -1), (0, 1)]
            .iter()
            .any(|(dx, dy)| !covered(x + dx, y + dy));
        if covered(x, y) && edge {
            *pixel = Rgb([250, 210, 30]);
        }
    }
    marked
}
