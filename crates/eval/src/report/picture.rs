//! Pictures inside the page: embedded as data, with the subject's box drawn over them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, ImageBuffer, ImageEncoder as _, Luma, RgbImage};

use super::colour;
use super::data::{AttentionMap, SubjectBox};
use super::format::escape;

/// How finely pictures are embedded.
#[derive(Clone, Copy)]
pub(super) struct PictureQuality {
    /// Factor on the longest side asked for.
    scale: f32,
    /// JPEG quality, 1 to 100.
    jpeg: u8,
}

/// From best to smallest; each step about halves the bytes.
const STEPS: [PictureQuality; 5] = [
    PictureQuality {
        scale: 1.0,
        jpeg: 85,
    },
    PictureQuality {
        scale: 0.8,
        jpeg: 75,
    },
    PictureQuality {
        scale: 0.6,
        jpeg: 65,
    },
    PictureQuality {
        scale: 0.4,
        jpeg: 55,
    },
    PictureQuality {
        scale: 0.25,
        jpeg: 40,
    },
];

impl PictureQuality {
    /// Full size and quality.
    pub(super) const BEST: Self = STEPS[0];

    fn side(self, pixels: u32) -> u32 {
        (pixels as f32 * self.scale).round().max(8.0) as u32
    }
}

/// The page at the best quality whose size is at most `limit` bytes, else at the smallest.
pub(super) fn smallest_fitting(limit: usize, render: impl Fn(PictureQuality) -> String) -> String {
    let mut page = render(PictureQuality::BEST);
    for quality in STEPS.into_iter().skip(1) {
        if page.len() <= limit {
            break;
        }
        page = render(quality);
    }
    page
}

/// A picture in an `<svg>` that scales with its column, the subject's box over it.
///
/// `side` bounds the longest side in pixels. Nothing is drawn for a picture without pixels.
pub(super) fn figure(
    picture: &RgbImage,
    subject: Option<SubjectBox>,
    alt: &str,
    side: u32,
    quality: PictureQuality,
) -> String {
    let (width, height) = picture.dimensions();
    let Some(data) = data_uri(picture, side, quality) else {
        return String::new();
    };
    format!(
        "<svg class=\"picture\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\
         <image width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" href=\"{data}\"/>\
         {}</svg>",
        escape(alt),
        subject
            .map(|subject| outline(subject, width, height))
            .unwrap_or_default(),
    )
}

/// White on black, so that the box shows on any picture and in print. A box that is not finite
/// has no place and is left out.
fn outline(subject: SubjectBox, width: u32, height: u32) -> String {
    let SubjectBox {
        left,
        top,
        right,
        bottom,
    } = subject;
    if ![left, top, right, bottom]
        .iter()
        .all(|edge| edge.is_finite())
    {
        return String::new();
    }
    let (width, height) = (width as f32, height as f32);
    let left = subject.left.clamp(0.0, width);
    let top = subject.top.clamp(0.0, height);
    let right = subject.right.clamp(left, width);
    let bottom = subject.bottom.clamp(top, height);
    let rectangle = format!(
        "x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"",
        right - left,
        bottom - top
    );
    format!("<rect class=\"box-halo\" {rectangle}/><rect class=\"box\" {rectangle}/>")
}

/// The picture as a `data:` address, its longest side at most `side` pixels: PNG where that is
/// not much larger than JPEG (drawn pictures), else JPEG (photographs).
fn data_uri(picture: &RgbImage, side: u32, quality: PictureQuality) -> Option<String> {
    let picture = fit(picture, quality.side(side))?;
    let (width, height) = picture.dimensions();
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, quality.jpeg)
        .write_image(picture.as_raw(), width, height, ExtendedColorType::Rgb8)
        .ok()?;
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(picture.as_raw(), width, height, ExtendedColorType::Rgb8)
        .ok()?;
    let (kind, bytes) = if png.len() <= jpeg.len() + jpeg.len() / 4 {
        ("png", png)
    } else {
        ("jpeg", jpeg)
    };
    Some(format!("data:image/{kind};base64,{}", BASE64.encode(bytes)))
}

/// Shrinks to `side` if larger; `None` for a picture without pixels.
fn fit(picture: &RgbImage, side: u32) -> Option<RgbImage> {
    let (width, height) = picture.dimensions();
    let longest = width.max(height);
    if width == 0 || height == 0 {
        return None;
    }
    Some(if longest > side {
        resize_longest(picture, side)
    } else {
        picture.clone()
    })
}

fn resize_longest(picture: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let factor = f64::from(side) / f64::from(width.max(height).max(1));
    let scaled = |pixels: u32| (f64::from(pixels) * factor).round().max(1.0) as u32;
    imageops::resize(
        picture,
        scaled(width),
        scaled(height),
        FilterType::CatmullRom,
    )
}

/// The frame in grey with the attention glowing over it, longest side `side` pixels.
///
/// Weights are divided by the map's largest, so maps of different layers show where and not how
/// much. `None` when the map or the frame is empty or the map is not `grid × grid`.
pub(super) fn heat_overlay(frame: &RgbImage, map: &AttentionMap, side: u32) -> Option<RgbImage> {
    let cells = map.grid.checked_mul(map.grid)?;
    if cells == 0 || map.weights.len() != cells || frame.width() == 0 || frame.height() == 0 {
        return None;
    }
    let weights = || {
        map.weights
            .iter()
            .map(|weight| if weight.is_finite() { *weight } else { 0.0 })
    };
    let largest = weights().fold(f32::MIN_POSITIVE, f32::max);
    let grid = u32::try_from(map.grid).ok()?;
    let coarse: ImageBuffer<Luma<f32>, Vec<f32>> = ImageBuffer::from_raw(
        grid,
        grid,
        weights().map(|weight| weight / largest).collect(),
    )?;
    let mut picture = resize_longest(frame, side);
    let (width, height) = picture.dimensions();
    let smooth = imageops::resize(&coarse, width, height, FilterType::CatmullRom);
    for (pixel, Luma([value])) in picture.pixels_mut().zip(smooth.pixels()) {
        let [red, green, blue] = pixel.0.map(f32::from);
        let grey = 0.299 * red + 0.587 * green + 0.114 * blue;
        // The frame stays recognisable where nothing is attended and yields where much is.
        let cover = 0.40 + 0.34 * value.clamp(0.0, 1.0);
        let glow = colour::heat(*value).map(f32::from);
        pixel.0 = glow.map(|channel| (channel * cover + grey * (1.0 - cover)).round() as u8);
    }
    Some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(grid: usize, weights: Vec<f32>) -> AttentionMap {
        AttentionMap {
            layer: 1,
            grid,
            weights,
        }
    }

    #[test]
    fn overlay_is_brightest_over_the_attended_patch() {
        let frame = RgbImage::from_pixel(40, 20, image::Rgb([90, 90, 90]));
        let overlay = heat_overlay(&frame, &map(2, vec![0.0, 0.0, 0.0, 0.5]), 80).unwrap();
        assert_eq!(overlay.dimensions(), (80, 40));
        let sum = |x, y| overlay.get_pixel(x, y).0.map(u32::from).iter().sum::<u32>();
        assert!(sum(79, 39) > 2 * sum(0, 0));
    }

    #[test]
    fn malformed_maps_and_empty_pictures_are_left_out() {
        let frame = RgbImage::new(4, 4);
        assert!(heat_overlay(&frame, &map(2, vec![1.0]), 80).is_none());
        assert!(heat_overlay(&frame, &map(0, vec![]), 80).is_none());
        assert!(heat_overlay(&RgbImage::new(0, 4), &map(1, vec![1.0]), 80).is_none());
        assert!(heat_overlay(&frame, &map(1, vec![f32::NAN]), 80).is_some());
        assert_eq!(
            figure(&RgbImage::new(0, 0), None, "", 80, PictureQuality::BEST),
            ""
        );
    }

    #[test]
    fn large_pictures_shrink_and_keep_their_shape() {
        let picture = fit(&RgbImage::new(400, 100), 200).unwrap();
        assert_eq!(picture.dimensions(), (200, 50));
        assert_eq!(
            fit(&RgbImage::new(40, 10), 200).unwrap().dimensions(),
            (40, 10)
        );
    }

    #[test]
    fn pages_over_the_limit_are_rendered_smaller() {
        let page = smallest_fitting(50, |quality| "x".repeat((100.0 * quality.scale) as usize));
        assert_eq!(page.len(), 40);
        let hopeless = smallest_fitting(1, |quality| "x".repeat((100.0 * quality.scale) as usize));
        assert_eq!(hopeless.len(), 25);
    }
}
