//! Plain drawings that stand in for frames.

use emotionclip_eval::report::SubjectBox;
use image::{Rgb, RgbImage};

/// Side of a frame in pixels.
pub const SIDE: u32 = 96;

/// A number in `[0, 1)` that looks random and depends on its arguments alone.
pub fn noise(a: u32, b: u32) -> f64 {
    let mixed = a.wrapping_mul(0x9e37_79b9) ^ b.wrapping_mul(0x85eb_ca6b).rotate_left(13);
    f64::from((mixed ^ (mixed >> 15)).wrapping_mul(0x2c1b_3c6d) >> 8) / f64::from(1u32 << 24)
}

/// Fills an ellipse with centre `(x, y)` and radii `(rx, ry)`.
fn ellipse(picture: &mut RgbImage, (x, y): (f32, f32), (rx, ry): (f32, f32), colour: Rgb<u8>) {
    for (column, row, pixel) in picture.enumerate_pixels_mut() {
        let (dx, dy) = ((column as f32 - x) / rx, (row as f32 - y) / ry);
        if dx * dx + dy * dy <= 1.0 {
            *pixel = colour;
        }
    }
}

/// A scene of two plain figures at `progress` of its clip, and the box of the first.
pub fn scene(seed: u32, progress: f32) -> (RgbImage, SubjectBox) {
    let shade = |salt| (60.0 + 150.0 * noise(seed, salt)) as u8;
    let sky = [shade(1), shade(2), shade(3)];
    let mut picture = RgbImage::from_fn(SIDE, SIDE, |_, row| {
        let dim = if row > 2 * SIDE / 3 {
            0.65
        } else {
            1.0 - row as f32 / 400.0
        };
        Rgb(sky.map(|channel| (f32::from(channel) * dim) as u8))
    });
    let places = [
        14.0 + 30.0 * noise(seed, 5) as f32,
        62.0 + 18.0 * noise(seed, 6) as f32,
    ];
    let mut subject = SubjectBox {
        left: 0.0,
        top: 0.0,
        right: 0.0,
        bottom: 0.0,
    };
    for (figure, x) in (0u32..).zip(places) {
        let head = 40.0 + 8.0 * noise(seed, 7 + figure) as f32 + 4.0 * progress;
        let clothes = Rgb([shade(10 + figure), shade(12 + figure), shade(14 + figure)]);
        let skin = Rgb([224, 178, 146]);
        ellipse(&mut picture, (x, head + 30.0), (11.0, 22.0), clothes);
        ellipse(&mut picture, (x, head), (9.0, 11.0), skin);
        for eye in [-3.5, 3.5] {
            ellipse(
                &mut picture,
                (x + eye, head - 2.0),
                (1.4, 1.4 + progress),
                Rgb([40, 32, 30]),
            );
        }
        ellipse(
            &mut picture,
            (x, head + 5.0),
            (1.0 + 3.0 * progress, 1.5),
            Rgb([120, 40, 40]),
        );
        if figure == 0 {
            subject = SubjectBox {
                left: x - 13.0,
                top: head - 13.0,
                right: x + 13.0,
                bottom: head + 54.0,
            };
        }
    }
    (picture, subject)
}
