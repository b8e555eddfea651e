//! A face made ready for pasting: tinted, with a soft outline, at the size it is seen at.

use image::GrayImage;
use image::imageops::{FilterType, resize};

use super::FACE_SIDE;
use super::render::Plane;
use crate::synthetic::canvas::Colour;
use crate::synthetic::draws::Draws;

/// Smallest and largest side of a sprite in pixels.
const SIDES: (f32, f32) = (8.0, 256.0);

/// How a face is presented, whatever it shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Looks {
    tone: Tone,
    /// Half width of the outline in half sides of the box.
    width: f32,
    /// From an ellipse, 0, to a square with round corners, 1.
    squareness: f32,
    /// Width of the soft edge in half sides of the box.
    feather: f32,
    hair: Option<Colour>,
    clothes: Option<Colour>,
}

impl Looks {
    pub(super) fn draw(draws: &mut Draws) -> Self {
        let tone = Tone::draw(draws);
        let hair = Colour::from_hsv(
            draws.between(0.02, 0.12),
            draws.between(0.1, 0.7),
            draws.between(0.08, 0.7),
        );
        let clothes = Colour::from_hsv(
            draws.unit(),
            draws.between(0.0, 0.7),
            draws.between(0.1, 0.9),
        );
        Self {
            tone,
            width: draws.between(0.86, 0.99),
            squareness: draws.between(0.1, 0.9),
            feather: draws.between(0.08, 0.24),
            hair: draws.chance(0.75).then_some(hair),
            clothes: draws.chance(0.8).then_some(clothes),
        }
    }

    /// The colours of all grey values.
    pub(super) fn palette(&self) -> [[u8; 3]; 256] {
        std::array::from_fn(|grey| {
            self.tone
                .colour(grey as f32)
                .map(|value| value.round() as u8)
        })
    }

    /// How opaque the face is at a point in half sides of the box from its middle.
    fn opacity(&self, across: f32, down: f32) -> f32 {
        let (x, y) = ((across / self.width).powi(2), down.powi(2));
        let round = (x + y).sqrt();
        let square = (x * x + y * y).sqrt().sqrt();
        let distance = round + (square - round) * self.squareness;
        let inside = ((1.0 - distance) / self.feather).clamp(0.0, 1.0);
        inside * inside * (3.0 - 2.0 * inside)
    }
}

/// A tint of a grey picture: black stays black and white stays white.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tone([f32; 3]);

impl Tone {
    fn draw(draws: &mut Draws) -> Self {
        let warmth = draws.between(0.3, 1.1);
        let green = draws.between(-0.06, 0.1);
        let depth = draws.between(-0.25, 0.1);
        let grey = draws.chance(0.15);
        if grey {
            return Self([1.0; 3]);
        }
        Self([
            (depth - 0.32 * warmth).exp(),
            (depth + green).exp(),
            (depth + 0.34 * warmth).exp(),
        ])
    }

    /// The colour of a grey value, both 0..=255.
    fn colour(&self, grey: f32) -> [f32; 3] {
        self.0.map(|gamma| 255.0 * (grey / 255.0).powf(gamma))
    }
}

/// A face as premultiplied RGBA, with a transparent border of a pixel.
#[derive(Clone, Debug)]
pub(super) struct Sprite {
    /// With the border.
    stride: usize,
    texels: Vec<[f32; 4]>,
    looks: Looks,
}

/// Where and how a sprite is painted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pose {
    /// Middle in pixels of the plane.
    pub(super) x: f32,
    pub(super) y: f32,
    /// Side of the box in pixels.
    pub(super) side: f32,
    /// Radians, clockwise.
    pub(super) tilt: f32,
}

impl Sprite {
    /// Of `[48, 48]` grey values, for a box that is about `side` pixels wide.
    pub(super) fn new(pixels: Vec<u8>, looks: Looks, side: f32) -> Self {
        let side = side.round().clamp(SIDES.0, SIDES.1) as u32;
        let filter = if side < FACE_SIDE {
            FilterType::Triangle
        } else {
            FilterType::CatmullRom
        };
        let small = GrayImage::from_raw(FACE_SIDE, FACE_SIDE, pixels).unwrap_or_default();
        let face = resize(&small, side, side, filter);
        let stride = side as usize + 2;
        let palette = looks.palette();
        let mut texels = vec![[0.0; 4]; stride * stride];
        for (x, y, pixel) in face.enumerate_pixels() {
            let from_middle = |place: u32| (place as f32 + 0.5) / side as f32 * 2.0 - 1.0;
            let opacity = looks.opacity(from_middle(x), from_middle(y));
            let [red, green, blue] = palette[usize::from(pixel[0])].map(f32::from);
            texels[(y as usize + 1) * stride + x as usize + 1] =
                [red * opacity, green * opacity, blue * opacity, opacity];
        }
        Self {
            stride,
            texels,
            looks,
        }
    }

    /// Paints the shoulders.
    pub(super) fn paint_body(&self, plane: &mut Plane, pose: Pose) {
        let Pose { x, y, side, .. } = pose;
        if let Some(clothes) = self.looks.clothes {
            plane.bust((x, y + 0.9 * side), (0.72 * side, 0.54 * side), clothes);
        }
    }

    /// Paints hair and face.
    pub(super) fn paint_head(&self, plane: &mut Plane, pose: Pose) {
        let Pose { x, y, side, tilt } = pose;
        if let Some(hair) = self.looks.hair {
            let middle = (x + 0.06 * side * tilt.sin(), y - 0.06 * side);
            plane.ellipse(middle, (0.52 * side, 0.55 * side), hair);
        }
        let inner = (self.stride - 2) as f32;
        let (sin, cos) = tilt.sin_cos();
        let step = inner / side;
        let (step_x, step_y) = (cos * step, -sin * step);
        let reach = 0.5 * side * (cos.abs() + sin.abs());
        let (columns, rows) = (plane.span(x, reach), plane.span(y, reach));
        for row in rows {
            let down = row as f32 + 0.5 - y;
            let start = columns.start as f32 + 0.5 - x;
            // In texels, where the border makes up for the half pixel to the first middle.
            let mut u = (start * cos + down * sin) * step + 0.5 * inner + 0.5;
            let mut v = (down * cos - start * sin) * step + 0.5 * inner + 0.5;
            for pixel in plane.row_mut(row, columns.clone()) {
                if let Some(over) = self.texel(u, v) {
                    let rest = 1.0 - over[3];
                    for (under, over) in pixel.iter_mut().zip(over) {
                        *under = over + *under * rest;
                    }
                }
                u += step_x;
                v += step_y;
            }
        }
    }

    /// The premultiplied colour at a place in texels, between four of them; `None` outside.
    fn texel(&self, u: f32, v: f32) -> Option<[f32; 4]> {
        let last = (self.stride - 1) as f32;
        if !(u >= 0.0 && v >= 0.0 && u < last && v < last) {
            return None;
        }
        let (column, row) = (u as usize, v as usize);
        let (right, down) = (u - column as f32, v - row as f32);
        let first = row * self.stride + column;
        let upper = self.texels.get(first..first + 2)?;
        let lower = self
            .texels
            .get(first + self.stride..first + self.stride + 2)?;
        Some(std::array::from_fn(|channel| {
            let above = upper[0][channel] + (upper[1][channel] - upper[0][channel]) * right;
            let below = lower[0][channel] + (lower[1][channel] - lower[0][channel]) * right;
            above + (below - above) * down
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Split;

    fn looks(index: u64) -> Looks {
        Looks::draw(&mut Draws::numbered(9, Split::Train, index, 2002, 0))
    }

    #[test]
    fn outlines_are_soft_and_end_inside_the_box() {
        for index in 0..200 {
            let looks = looks(index);
            assert_eq!(looks.opacity(0.0, 0.0), 1.0);
            for along in [-1.0, -0.6, 0.0, 0.4, 1.0] {
                assert_eq!(looks.opacity(along, 1.0), 0.0);
                assert_eq!(looks.opacity(1.0, along), 0.0);
            }
            // No step: within a hundredth of the box the opacity changes by little.
            for place in 0..100 {
                let at = |place: f32| looks.opacity(place / 100.0, 0.2);
                let change = at(place as f32) - at(place as f32 + 1.0);
                assert!((0.0..0.25).contains(&change), "{change}");
            }
        }
    }

    #[test]
    fn tints_keep_black_white_and_order() {
        for index in 0..200 {
            let palette = looks(index).palette();
            assert_eq!(palette[0], [0, 0, 0]);
            assert_eq!(palette[255], [255, 255, 255]);
            for channel in 0..3 {
                assert!(
                    palette
                        .windows(2)
                        .all(|two| two[0][channel] <= two[1][channel])
                );
            }
        }
    }

    #[test]
    fn an_upright_sprite_of_its_own_size_keeps_the_pixels() {
        let pixels: Vec<u8> = (0..48 * 48).map(|index| (index % 251) as u8).collect();
        let looks = Looks {
            tone: Tone([1.0; 3]),
            hair: None,
            clothes: None,
            ..looks(0)
        };
        let sprite = Sprite::new(pixels.clone(), looks, 48.0);
        let mut plane = Plane::new(64);
        let pose = Pose {
            x: 30.0,
            y: 34.0,
            side: 48.0,
            tilt: 0.0,
        };
        sprite.paint_head(&mut plane, pose);
        // Around the middle the face is opaque.
        for (x, y) in [(30, 34), (25, 30), (35, 40)] {
            let expected = f32::from(pixels[(y - 10) * 48 + x - 6]);
            let found = plane.row_mut(y, x..x + 1)[0];
            assert!((found[0] - expected).abs() < 0.01, "{found:?} at {x}, {y}");
        }
        assert_eq!(plane.row_mut(5, 5..6)[0], [0.0; 4]);
    }
}
