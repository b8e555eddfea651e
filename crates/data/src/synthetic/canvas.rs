//! A thin layer over `tiny-skia`: shapes in scene units on a pixel buffer.
//!
//! All drawing code speaks in units of its own (the scene, a figure, a head) and nests them by
//! transforms, which is what makes the pictures independent of the resolution.

use tiny_skia::{
    FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Shader, Stroke, Transform,
};

/// An opaque colour, 0..=255 a channel, sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Colour(pub(crate) u8, pub(crate) u8, pub(crate) u8);

impl Colour {
    /// Nearly black, for mouths, pupils and lines.
    pub(crate) const INK: Self = Self(34, 24, 28);
    /// The white of eyes and teeth.
    pub(crate) const WHITE: Self = Self(252, 252, 250);

    /// The way from this colour to another, `amount` in `[0, 1]`.
    pub(crate) fn mixed(self, other: Self, amount: f32) -> Self {
        let channel = |from: u8, to: u8| {
            (f32::from(from) + (f32::from(to) - f32::from(from)) * amount).round() as u8
        };
        Self(
            channel(self.0, other.0),
            channel(self.1, other.1),
            channel(self.2, other.2),
        )
    }

    /// Darker by `amount` in `[0, 1]`.
    pub(crate) fn darker(self, amount: f32) -> Self {
        self.mixed(Self(20, 12, 24), amount)
    }

    /// Lighter by `amount` in `[0, 1]`.
    pub(crate) fn lighter(self, amount: f32) -> Self {
        self.mixed(Self(255, 255, 255), amount)
    }

    /// From hue in turns, saturation and value in `[0, 1]`.
    pub(crate) fn from_hsv(hue: f32, saturation: f32, value: f32) -> Self {
        let channel = |offset: f32| {
            let position = (offset + hue.rem_euclid(1.0) * 6.0).rem_euclid(6.0);
            let ramp = position.min(4.0 - position).clamp(0.0, 1.0);
            ((value - value * saturation * ramp) * 255.0).round() as u8
        };
        Self(channel(5.0), channel(3.0), channel(1.0))
    }

    /// Brightness of the colour as an eye weighs it, 0..=255 (Rec. 601 weights).
    pub(crate) fn luma(self) -> f32 {
        0.299 * f32::from(self.0) + 0.587 * f32::from(self.1) + 0.114 * f32::from(self.2)
    }
}

/// A point in the units of the current transform, y downwards.
pub(crate) type Point = (f32, f32);

/// A square pixel buffer with a current transform.
#[derive(Clone, Debug)]
pub(crate) struct Canvas {
    pixels: Pixmap,
    transform: Transform,
}

impl Canvas {
    /// A transparent canvas of `size` × `size` pixels on which the scene is the unit square.
    /// `None` where `size` is 0 or so large that its bytes can't be counted.
    pub(crate) fn new(size: u32) -> Option<Self> {
        let pixels = Pixmap::new(size, size)?;
        Some(Self {
            pixels,
            transform: Transform::from_scale(size as f32, size as f32),
        })
    }

    /// The pixels, premultiplied RGBA, row by row.
    pub(crate) fn rgba(&self) -> &[u8] {
        self.pixels.data()
    }

    /// Copies another canvas of the same size.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.pixels.data_mut().copy_from_slice(other.pixels.data());
    }

    /// Side of the canvas in pixels.
    pub(crate) fn size(&self) -> u32 {
        self.pixels.width()
    }

    /// Draws inside a nested frame of reference.
    pub(crate) fn nested(&mut self, local: Transform, draw: impl FnOnce(&mut Self)) {
        let outer = self.transform;
        self.transform = outer.pre_concat(local);
        draw(self);
        self.transform = outer;
    }

    /// Whether something of this length in the current units is worth drawing: below two thirds of
    /// a pixel it is only noise and time.
    pub(crate) fn resolves(&self, length: f32) -> bool {
        let (sx, kx) = (self.transform.sx, self.transform.ky);
        length * (sx * sx + kx * kx).sqrt() >= 0.66
    }

    fn paint(colour: Colour, opacity: f32) -> Paint<'static> {
        let alpha = (opacity * 255.0).round() as u8;
        let Colour(red, green, blue) = colour;
        Paint {
            shader: Shader::SolidColor(tiny_skia::Color::from_rgba8(red, green, blue, alpha)),
            ..Paint::default()
        }
    }

    /// Fills a path.
    pub(crate) fn fill(&mut self, path: Option<Path>, colour: Colour) {
        self.fill_translucent(path, colour, 1.0);
    }

    /// Fills a path with an opacity in `[0, 1]`.
    pub(crate) fn fill_translucent(&mut self, path: Option<Path>, colour: Colour, opacity: f32) {
        if let Some(path) = path {
            let paint = Self::paint(colour, opacity);
            self.pixels
                .fill_path(&path, &paint, FillRule::Winding, self.transform, None);
        }
    }

    /// Draws along a path with round ends and corners.
    pub(crate) fn stroke(&mut self, path: Option<Path>, width: f32, colour: Colour) {
        if let Some(path) = path {
            let stroke = Stroke {
                width,
                line_cap: LineCap::Round,
                line_join: LineJoin::Round,
                ..Stroke::default()
            };
            let paint = Self::paint(colour, 1.0);
            self.pixels
                .stroke_path(&path, &paint, &stroke, self.transform, None);
        }
    }

    /// An ellipse by its centre and half axes.
    pub(crate) fn ellipse(&mut self, centre: Point, radii: Point, colour: Colour) {
        self.fill(ellipse(centre, radii), colour);
    }

    /// A rectangle by its corners.
    pub(crate) fn rectangle(&mut self, from: Point, to: Point, colour: Colour) {
        if let Some(rect) = Rect::from_ltrb(from.0, from.1, to.0, to.1) {
            let mut paint = Self::paint(colour, 1.0);
            // Axis-aligned edges need no smoothing, and without it the fill is a plain copy.
            paint.anti_alias = false;
            self.pixels.fill_rect(rect, &paint, self.transform, None);
        }
    }

    /// A polygon.
    pub(crate) fn polygon(&mut self, points: &[Point], colour: Colour) {
        self.fill(polygon(points), colour);
    }

    /// A line with round ends.
    pub(crate) fn line(&mut self, points: &[Point], width: f32, colour: Colour) {
        self.stroke(polyline(points), width, colour);
    }
}

/// The path of an ellipse; `None` where it has no area.
pub(crate) fn ellipse(centre: Point, radii: Point) -> Option<Path> {
    let rect = Rect::from_ltrb(
        centre.0 - radii.0,
        centre.1 - radii.1,
        centre.0 + radii.0,
        centre.1 + radii.1,
    )?;
    PathBuilder::from_oval(rect)
}

/// The closed path through the points.
pub(crate) fn polygon(points: &[Point]) -> Option<Path> {
    let mut path = PathBuilder::new();
    trace(&mut path, points);
    path.close();
    path.finish()
}

/// The open path through the points.
pub(crate) fn polyline(points: &[Point]) -> Option<Path> {
    let mut path = PathBuilder::new();
    trace(&mut path, points);
    path.finish()
}

fn trace(path: &mut PathBuilder, points: &[Point]) {
    if let Some((first, rest)) = points.split_first() {
        path.move_to(first.0, first.1);
        for point in rest {
            path.line_to(point.0, point.1);
        }
    }
}

/// An open curve from one point to another, bent towards a control point.
pub(crate) fn arc(from: Point, control: Point, to: Point) -> Option<Path> {
    let mut path = PathBuilder::new();
    path.move_to(from.0, from.1);
    path.quad_to(control.0, control.1, to.0, to.1);
    path.finish()
}

/// A closed shape between two corners, bulging up by `above` and down by `below` from the line
/// between the corners; a negative bulge goes the other way.
pub(crate) fn lens(from: Point, to: Point, above: f32, below: f32) -> Option<Path> {
    // A cubic whose two controls lie h away from its chord departs from it by 3/4 h.
    let (above, below) = (above * 4.0 / 3.0, below * 4.0 / 3.0);
    let mut path = PathBuilder::new();
    path.move_to(from.0, from.1);
    path.cubic_to(from.0, from.1 - above, to.0, to.1 - above, to.0, to.1);
    path.cubic_to(to.0, to.1 + below, from.0, from.1 + below, from.0, from.1);
    path.close();
    path.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hsv_gives_the_primary_colours() {
        assert_eq!(Colour::from_hsv(0.0, 1.0, 1.0), Colour(255, 0, 0));
        assert_eq!(Colour::from_hsv(1.0 / 3.0, 1.0, 1.0), Colour(0, 255, 0));
        assert_eq!(Colour::from_hsv(2.0 / 3.0, 1.0, 1.0), Colour(0, 0, 255));
        assert_eq!(Colour::from_hsv(0.4, 0.0, 0.5), Colour(128, 128, 128));
    }

    #[test]
    fn a_shape_covers_the_same_part_of_the_picture_at_every_size() {
        for size in [32, 64, 200] {
            let mut canvas = Canvas::new(size).expect("the size is small");
            canvas.ellipse((0.5, 0.5), (0.3, 0.3), Colour::WHITE);
            let alpha: f64 = canvas
                .rgba()
                .chunks_exact(4)
                .map(|pixel| f64::from(pixel[3]) / 255.0)
                .sum();
            let share = alpha / f64::from(size * size);
            // π · 0.3² = 0.2827; a quarter of a pixel's error along the rim of 1.9 at 32 pixels.
            assert!((share - 0.2827).abs() < 0.015, "share {share} at {size}");
        }
    }
}
