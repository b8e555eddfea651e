//! What stands behind real faces: six kinds of background, from plain gradients to the drawn
//! corpus's places out of focus.

use super::render::Plane;
use crate::synthetic::background::Backdrop as Place;
use crate::synthetic::canvas::{Canvas, Colour};
use crate::synthetic::draws::{Draws, mix};

/// Number of background kinds.
const KINDS: usize = 6;

/// How many shapes a kind scatters.
const PIECES: usize = 14;

/// Most cells a side of the coarse noise, and of the fine one.
const COARSE: (f32, f32) = (2.0, 6.0);
const FINE: (f32, f32) = (7.0, 20.0);

/// A background before it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Backdrop {
    kind: usize,
    colours: [[f32; 3]; 4],
    /// Direction of gradients and patterns, radians.
    angle: f32,
    /// Cells a side of the coarse and the fine noise.
    cells: (f32, f32),
    /// How strongly the fine noise shows.
    grain: f32,
    /// Key of the noise's values.
    key: u64,
    /// Four numbers in `[0, 1)` a piece: place, place, size, size.
    pieces: [[f32; 4]; PIECES],
    /// Radius of the blur in units of the side.
    blur: f32,
    place: Place,
    /// Where the camera is at the beginning and at the end, each in `[-1, 1]`.
    path: [(f32, f32); 2],
}

impl Backdrop {
    pub(super) fn draw(draws: &mut Draws) -> Self {
        let kind = draws.below(KINDS);
        let hue = draws.unit();
        let value = draws.between(0.1, 0.9);
        let colours = std::array::from_fn(|_| {
            let Colour(red, green, blue) = Colour::from_hsv(
                hue + draws.between(-0.18, 0.18) + if draws.chance(0.25) { 0.5 } else { 0.0 },
                draws.between(0.0, 0.65),
                (value + draws.between(-0.35, 0.35)).clamp(0.04, 1.0),
            );
            [red, green, blue].map(f32::from)
        });
        Self {
            kind,
            colours,
            angle: draws.between(0.0, std::f32::consts::TAU),
            cells: (
                draws.between(COARSE.0, COARSE.1),
                draws.between(FINE.0, FINE.1),
            ),
            grain: draws.between(0.0, 0.35),
            key: draws.bits(),
            pieces: std::array::from_fn(|_| std::array::from_fn(|_| draws.unit())),
            blur: draws.between(-0.02, 0.05).max(0.0),
            place: Place::draw(draws),
            path: std::array::from_fn(|_| (draws.between(-1.0, 1.0), draws.between(-1.0, 1.0))),
        }
    }

    /// Which kind of background it is, `0..6`.
    pub(super) fn kind(&self) -> usize {
        self.kind
    }

    /// Where the camera is at a time in `[0, 1]`, each in `[-1, 1]`.
    pub(super) fn camera(&self, time: f32) -> (f32, f32) {
        let [(x0, y0), (x1, y1)] = self.path;
        (x0 + (x1 - x0) * time, y0 + (y1 - y0) * time)
    }

    /// Paints a plane of `side` pixels.
    pub(super) fn paint(&self, side: usize) -> Plane {
        let mut plane = Plane::new(side);
        match self.kind {
            0 => self.gradient(&mut plane),
            1 => self.clouds(&mut plane),
            2 => self.pattern(&mut plane),
            3 => self.panels(&mut plane),
            4 => self.lights(&mut plane),
            _ => self.place(&mut plane),
        }
        self.shade(&mut plane);
        let radius = (self.blur * side as f32).round() as usize;
        if radius > 0 {
            blur(&mut plane, radius);
        }
        plane
    }

    /// From one colour over a second to a third.
    fn gradient(&self, plane: &mut Plane) {
        let (sin, cos) = self.angle.sin_cos();
        let [first, second, third, _] = self.colours;
        fill(plane, |y| {
            move |x| {
                let along: f32 = (0.5 + 0.71 * ((x - 0.5) * cos + (y - 0.5) * sin)).clamp(0.0, 1.0);
                if along < 0.5 {
                    mixed(first, second, 2.0 * along)
                } else {
                    mixed(second, third, 2.0 * along - 1.0)
                }
            }
        });
    }

    /// Blurred noise between three colours.
    fn clouds(&self, plane: &mut Plane) {
        let (base, tint) = (
            self.noise(0, self.cells.0),
            self.noise(1, 0.7 * self.cells.0),
        );
        let [first, second, third, _] = self.colours;
        fill(plane, |y| {
            let (base, tint) = (base.line(y), tint.line(y));
            move |x| {
                let colour = mixed(first, second, smooth(base.at(x)));
                mixed(colour, third, 0.8 * smooth(tint.at(x)))
            }
        });
    }

    /// Stripes, checks or dots.
    fn pattern(&self, plane: &mut Plane) {
        let (sin, cos) = self.angle.sin_cos();
        let [first, second, ..] = self.colours;
        let [choice, frequency, other, edge] = self.pieces[0];
        let turns = std::f32::consts::TAU * (2.0 + 8.0 * frequency);
        let sharpness = 1.5 + 5.0 * edge;
        fill(plane, |y| {
            move |x| {
                let along = (turns * (x * cos + y * sin)).sin();
                let across = (turns * (0.6 + 0.8 * other) * (y * cos - x * sin)).sin();
                let wave = match (choice * 3.0) as usize {
                    0 => along,
                    1 => along * across,
                    _ => along + across - 0.8,
                };
                mixed(first, second, (0.5 + sharpness * wave).clamp(0.0, 1.0))
            }
        });
    }

    /// Upright rectangles, as of shelves, frames and windows.
    fn panels(&self, plane: &mut Plane) {
        let [wall, ..] = self.colours;
        fill(plane, |_| move |_| wall);
        let side = plane.side() as f32;
        for (index, [x, y, width, height]) in self.pieces.into_iter().enumerate() {
            let colour = mixed(self.colours[1 + index % 3], wall, 0.5 * y);
            let (width, height) = (0.04 + 0.3 * width * width, 0.06 + 0.5 * height * height);
            let columns = plane.span((x * 1.2 - 0.1) * side, width * side);
            for row in plane.span((y * 1.2 - 0.1) * side, height * side) {
                for pixel in plane.row_mut(row, columns.clone()) {
                    *pixel = [colour[0], colour[1], colour[2], 0.0];
                }
            }
        }
    }

    /// Lights out of focus before the dark.
    fn lights(&self, plane: &mut Plane) {
        let [first, second, third, fourth] = self.colours;
        let dark = [first, second].map(|colour| mixed(colour, [0.0; 3], 0.6));
        fill(plane, |y| move |_| mixed(dark[0], dark[1], y));
        let side = plane.side() as f32;
        for (index, [x, y, size, strength]) in self.pieces.into_iter().enumerate() {
            let colour = mixed(
                [third, fourth][index % 2],
                [255.0, 236.0, 200.0],
                0.3 + 0.4 * strength,
            );
            let radius = (0.02 + 0.1 * size) * side;
            let opacity = 0.2 + 0.5 * strength;
            let (x, y) = ((x * 1.1 - 0.05) * side, (y * 1.1 - 0.05) * side);
            let columns = plane.span(x, radius);
            for row in plane.span(y, radius) {
                let down = row as f32 + 0.5 - y;
                let start = columns.start;
                for (column, pixel) in plane.row_mut(row, columns.clone()).iter_mut().enumerate() {
                    let across = (start + column) as f32 + 0.5 - x;
                    let inside = radius - (across * across + down * down).sqrt();
                    let covered = opacity * inside.clamp(0.0, 1.0);
                    for (value, over) in pixel.iter_mut().zip(colour) {
                        *value += (over - *value) * covered;
                    }
                }
            }
        }
    }

    /// One of the drawn corpus's places.
    fn place(&self, plane: &mut Plane) {
        let Some(mut canvas) = u32::try_from(plane.side()).ok().and_then(Canvas::new) else {
            return;
        };
        self.place.paint(&mut canvas);
        let colours = canvas.rgba().as_chunks::<4>().0;
        for (pixel, colour) in plane.pixels_mut().iter_mut().zip(colours) {
            *pixel = colour.map(f32::from);
        }
    }

    /// Uneven light and a grain over everything.
    fn shade(&self, plane: &mut Plane) {
        let (coarse, fine) = (self.noise(2, self.cells.0), self.noise(3, self.cells.1));
        let side = plane.side();
        let step = 1.0 / side as f32;
        for row in 0..side {
            let y = (row as f32 + 0.5) * step;
            let (coarse, fine) = (coarse.line(y), fine.line(y));
            for (column, pixel) in plane.row_mut(row, 0..side).iter_mut().enumerate() {
                let x = (column as f32 + 0.5) * step;
                let uneven = 0.82 + 0.36 * coarse.at(x);
                let factor = uneven * (1.0 + self.grain * (fine.at(x) - 0.5));
                for value in pixel.iter_mut() {
                    *value = (*value * factor).min(255.0);
                }
            }
        }
    }

    fn noise(&self, layer: u64, cells: f32) -> Noise {
        Noise::new(mix(self.key.wrapping_add(layer)), cells)
    }
}

/// Random values on a grid, smoothly joined.
struct Noise {
    cells: f32,
    stride: usize,
    values: Vec<f32>,
}

impl Noise {
    fn new(key: u64, cells: f32) -> Self {
        let stride = cells.ceil() as usize + 2;
        let value = |index: usize| (mix(key.wrapping_add(index as u64)) >> 40) as f32;
        Self {
            cells,
            stride,
            values: (0..stride * stride)
                .map(|index| value(index) / (1 << 24) as f32)
                .collect(),
        }
    }

    /// The values along a line across, at a height in `[0, 1]`.
    fn line(&self, y: f32) -> NoiseLine {
        let y = y * self.cells;
        let row = y as usize;
        let down = smooth(y - row as f32);
        let rows = self.values.chunks_exact(self.stride).skip(row);
        let pair = rows.clone().zip(rows.skip(1)).next();
        let values = pair.map_or_else(Vec::new, |(upper, lower)| {
            let between = |(above, below): (&f32, &f32)| above + (below - above) * down;
            upper.iter().zip(lower).map(between).collect()
        });
        NoiseLine {
            cells: self.cells,
            values,
        }
    }
}

/// A line of [`Noise`].
struct NoiseLine {
    cells: f32,
    values: Vec<f32>,
}

impl NoiseLine {
    /// In `[0, 1)`, at a place in `[0, 1]`.
    fn at(&self, x: f32) -> f32 {
        let x = x * self.cells;
        let column = x as usize;
        match self.values.get(column..column + 2) {
            Some(&[left, right]) => left + (right - left) * smooth(x - column as f32),
            _ => 0.5,
        }
    }
}

fn smooth(value: f32) -> f32 {
    value * value * (3.0 - 2.0 * value)
}

fn mixed(from: [f32; 3], to: [f32; 3], amount: f32) -> [f32; 3] {
    std::array::from_fn(|channel| from[channel] + (to[channel] - from[channel]) * amount)
}

/// Sets every pixel by its place in `[0, 1]`²: `line` gives the colours along a height.
fn fill<Line: Fn(f32) -> [f32; 3]>(plane: &mut Plane, line: impl Fn(f32) -> Line) {
    let side = plane.side();
    let step = 1.0 / side as f32;
    for row in 0..side {
        let colour = line((row as f32 + 0.5) * step);
        for (column, pixel) in plane.row_mut(row, 0..side).iter_mut().enumerate() {
            let [red, green, blue] = colour((column as f32 + 0.5) * step);
            *pixel = [red, green, blue, 0.0];
        }
    }
}

/// Two passes of a box blur each way, close to a Gaussian.
fn blur(plane: &mut Plane, radius: usize) {
    let side = plane.side();
    let mut line = vec![[0.0; 4]; side];
    for _ in 0..2 {
        for row in 0..side {
            blur_line(plane.pixels_mut(), row * side, 1, radius, &mut line);
        }
        for column in 0..side {
            blur_line(plane.pixels_mut(), column, side, radius, &mut line);
        }
    }
}

/// Blurs the pixels `first`, `first + step`, …, as many as `line` has; beyond the ends they go on
/// as at the ends.
fn blur_line(
    pixels: &mut [[f32; 4]],
    first: usize,
    step: usize,
    radius: usize,
    line: &mut [[f32; 4]],
) {
    let last = line.len() - 1;
    for (place, value) in line.iter_mut().enumerate() {
        *value = pixels[first + place * step];
    }
    let weight = 1.0 / (2 * radius + 1) as f32;
    let mut sum: [f32; 4] = line[0].map(|value| value * (radius + 1) as f32);
    for ahead in 1..=radius {
        add(&mut sum, line[ahead.min(last)], 1.0);
    }
    for place in 0..=last {
        pixels[first + place * step] = sum.map(|value| value * weight);
        add(&mut sum, line[(place + radius + 1).min(last)], 1.0);
        add(&mut sum, line[place.saturating_sub(radius)], -1.0);
    }
}

fn add(sum: &mut [f32; 4], value: [f32; 4], factor: f32) {
    for (sum, value) in sum.iter_mut().zip(value) {
        *sum += value * factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Split;

    fn backdrop(index: u64) -> Backdrop {
        Backdrop::draw(&mut Draws::numbered(4, Split::Train, index, 2003, 0))
    }

    #[test]
    fn every_kind_paints_visible_colours_and_no_two_are_alike() {
        let mut kinds = [0; KINDS];
        let mut before: Option<Plane> = None;
        for index in 0..120 {
            let backdrop = backdrop(index);
            kinds[backdrop.kind()] += 1;
            let mut plane = backdrop.paint(70);
            let pixels = plane.pixels_mut();
            assert!(
                pixels
                    .iter()
                    .flatten()
                    .all(|value| (-0.01..=255.01).contains(value))
            );
            let tones = pixels.iter().map(|pixel| pixel[..3].iter().sum::<f32>());
            let (low, high) = tones.fold((f32::MAX, f32::MIN), |(low, high), tone| {
                (low.min(tone), high.max(tone))
            });
            assert!(high - low > 6.0, "kind {} is flat", backdrop.kind());
            if let Some(before) = &mut before {
                assert!(before.pixels_mut() != pixels);
            }
            before = Some(plane);
        }
        // Each is one sixth: 20 of 120, with a deviation of 4.1.
        assert!(kinds.iter().all(|count| *count >= 5), "{kinds:?}");
    }

    #[test]
    fn a_blur_keeps_the_mean_of_a_line_and_flattens_it() {
        let mut plane = Plane::new(40);
        for (index, pixel) in plane.pixels_mut().iter_mut().enumerate() {
            let on = (10..30).contains(&(index % 40)) && (10..30).contains(&(index / 40));
            *pixel = [if on { 200.0 } else { 0.0 }; 4];
        }
        let sum = |plane: &mut Plane| -> f32 { plane.pixels_mut().iter().map(|one| one[0]).sum() };
        let before = sum(&mut plane);
        blur(&mut plane, 3);
        // What is more than twice the radius from the edge loses nothing over it.
        assert!((sum(&mut plane) / before - 1.0).abs() < 1e-3);
        let edge = plane.row_mut(20, 10..11)[0][0];
        assert!((60.0..140.0).contains(&edge), "{edge}");
        assert!((plane.row_mut(20, 20..21)[0][0] - 200.0).abs() < 0.1);
    }
}
