//! From the plan of a clip to frames and subject masks.

use std::ops::Range;

use emotionclip::Clip;
use image::{GrayImage, Luma, RgbImage};

use super::config::{FaceConfig, FaceView};
use super::scene::{FacePlacement, FaceScene, Purpose, SceneFace};
use super::sprite::{Pose, Sprite};
use super::store::FaceSplit;
use super::{FACE_PIXELS, FACE_SIDE};
use crate::synthetic::canvas::{Colour, Point};
use crate::synthetic::draws::Draws;

/// How far the camera can move over the background, in units of the frame's side.
const CAMERA_REACH: f32 = 0.06;

/// Grey of a frame without its single face.
const EMPTY: u8 = 128;

/// A square picture that is worked on: RGB of 0..=255 and an unused fourth value a pixel.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    side: usize,
    pixels: Vec<[f32; 4]>,
}

impl Plane {
    /// A black one.
    pub(super) fn new(side: usize) -> Self {
        Self {
            side,
            pixels: vec![[0.0; 4]; side * side],
        }
    }

    /// Side in pixels.
    pub(super) fn side(&self) -> usize {
        self.side
    }

    /// All pixels by rows.
    pub(super) fn pixels_mut(&mut self) -> &mut [[f32; 4]] {
        &mut self.pixels
    }

    /// Some pixels of a row; both must be inside.
    pub(super) fn row_mut(&mut self, row: usize, columns: Range<usize>) -> &mut [[f32; 4]] {
        let start = row * self.side;
        &mut self.pixels[start + columns.start..start + columns.end]
    }

    /// The rows or columns within `reach` of `middle`, cut to the plane.
    pub(super) fn span(&self, middle: f32, reach: f32) -> Range<usize> {
        // `as` saturates below 0.
        let start = (middle - reach).floor() as usize;
        let end = ((middle + reach).ceil() as usize).min(self.side);
        start.min(end)..end
    }

    /// Paints an ellipse with an edge that is soft over some pixels.
    pub(super) fn ellipse(&mut self, middle: Point, radii: Point, colour: Colour) {
        let rows = self.span(middle.1, radii.1);
        self.rounded((middle, radii), colour, rows, false);
    }

    /// Paints the upper half of an ellipse and all that is below it: shoulders and a body.
    pub(super) fn bust(&mut self, middle: Point, radii: Point, colour: Colour) {
        let rows = self.span(middle.1, radii.1).start..self.side;
        self.rounded((middle, radii), colour, rows, true);
    }

    /// An ellipse in some rows, which goes on below its middle as wide as there if `is_bust`.
    fn rounded(
        &mut self,
        (middle, radii): (Point, Point),
        colour: Colour,
        rows: Range<usize>,
        is_bust: bool,
    ) {
        let colour = [colour.0, colour.1, colour.2].map(f32::from);
        let hardness = 1.0 / (0.12 + 1.0 / radii.0.min(radii.1));
        let columns = self.span(middle.0, radii.0);
        for row in rows {
            let down = (row as f32 + 0.5 - middle.1) / radii.1;
            let down = if is_bust { down.min(0.0) } else { down };
            let first = columns.start;
            for (column, pixel) in self.row_mut(row, columns.clone()).iter_mut().enumerate() {
                let across = ((first + column) as f32 + 0.5 - middle.0) / radii.0;
                let distance = (across * across + down * down).sqrt();
                let opacity = ((1.0 - distance) * hardness).clamp(0.0, 1.0);
                for (under, over) in pixel.iter_mut().zip(colour) {
                    *under += (over - *under) * opacity;
                }
            }
        }
    }

    /// Fills this plane with a part of a larger one that begins `offset` pixels from its corner.
    fn copy_part(&mut self, larger: &Self, offset: Point) {
        let most = (larger.side - self.side).saturating_sub(1) as f32;
        let (left, top) = (offset.0.clamp(0.0, most), offset.1.clamp(0.0, most));
        let (column, row) = (left as usize, top as usize);
        let (right, down) = (left - column as f32, top - row as f32);
        let side = self.side;
        for (y, line) in self.pixels.chunks_exact_mut(side).enumerate() {
            let start = (row + y) * larger.side + column;
            let upper = &larger.pixels[start..=start + side];
            let lower = &larger.pixels[start + larger.side..=start + larger.side + side];
            let pairs = upper.windows(2).zip(lower.windows(2));
            for (pixel, (upper, lower)) in line.iter_mut().zip(pairs) {
                for (channel, value) in pixel.iter_mut().enumerate() {
                    let above = upper[0][channel] + (upper[1][channel] - upper[0][channel]) * right;
                    let below = lower[0][channel] + (lower[1][channel] - lower[0][channel]) * right;
                    *value = above + (below - above) * down;
                }
            }
        }
    }

    /// As opaque RGBA bytes.
    fn write_rgba(&self, rgba: &mut Vec<u8>) {
        rgba.clear();
        for [red, green, blue, _] in &self.pixels {
            // `as` saturates at 0 and 255.
            let byte = |value: &f32| (value + 0.5) as u8;
            rgba.extend([byte(red), byte(green), byte(blue), u8::MAX]);
        }
    }
}

/// Renders the frames of a range.
pub(super) fn render(
    scene: &FaceScene,
    config: &FaceConfig,
    faces: &FaceSplit,
    index: u64,
    frames: Range<usize>,
) -> Clip {
    match config.view_of(index) {
        FaceView::Single => {
            let picture = single(scene.subject(), config, faces);
            Clip::whole(vec![picture; frames.len()])
        }
        FaceView::Scenes => render_scene(scene, config, faces, index, frames),
    }
}

/// A face that fills the frame.
fn single(face: &SceneFace, config: &FaceConfig, faces: &FaceSplit) -> RgbImage {
    if !config.draw_faces {
        return RgbImage::from_pixel(config.size, config.size, image::Rgb([EMPTY; 3]));
    }
    let varied = face.variation.apply(faces.pixels(face.face));
    let palette = if face.variation.tinted {
        face.looks.palette()
    } else {
        std::array::from_fn(|grey| [grey as u8; 3])
    };
    let [across, down] = face.variation.frame_to_face();
    warped(&varied, config.size, across, down, &palette)
}

/// Face `index` of the split as it is, enlarged to `size` pixels.
pub(super) fn plain(pixels: &[u8], size: u32) -> RgbImage {
    let grey = std::array::from_fn(|grey| [grey as u8; 3]);
    warped(pixels, size, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], &grey)
}

/// `[48, 48]` grey values under an affine map from the frame to the face, both in units of their
/// sides from their middles; beyond its edges the face goes on mirrored.
fn warped(
    pixels: &[u8],
    size: u32,
    across: [f32; 3],
    down: [f32; 3],
    palette: &[[u8; 3]; 256],
) -> RgbImage {
    debug_assert_eq!(pixels.len(), FACE_PIXELS);
    let side = FACE_SIDE as usize;
    let last = (side - 1) as f32;
    let scale = FACE_SIDE as f32;
    let unit = 1.0 / size as f32;
    // Where a place on the face lies between two pixels: the first, the second, the way.
    let between = |place: f32| {
        let place = (place + 0.5) * scale - 0.5;
        let place = place.max(-1.0 - place);
        let place = place.min(2.0 * last + 1.0 - place).clamp(0.0, last);
        let first = place as usize;
        (first, (first + 1).min(side - 1), place - first as f32)
    };
    let mut picture = RgbImage::new(size, size);
    for (row, line) in picture.chunks_exact_mut(size as usize * 3).enumerate() {
        let y = (row as f32 + 0.5) * unit - 0.5;
        for (column, pixel) in line.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let x = (column as f32 + 0.5) * unit - 0.5;
            let (left, right, along) = between(across[0] * x + across[1] * y + across[2]);
            let (top, bottom, below) = between(down[0] * x + down[1] * y + down[2]);
            let at = |column: usize, row: usize| f32::from(pixels[row * side + column]);
            let upper = at(left, top) + (at(right, top) - at(left, top)) * along;
            let lower = at(left, bottom) + (at(right, bottom) - at(left, bottom)) * along;
            let grey = (upper + (lower - upper) * below + 0.5) as u8;
            *pixel = palette[usize::from(grey)];
        }
    }
    picture
}

fn render_scene(
    scene: &FaceScene,
    config: &FaceConfig,
    faces: &FaceSplit,
    index: u64,
    frames: Range<usize>,
) -> Clip {
    let size = config.size as usize;
    let scale = config.size as f32;
    let reach = (CAMERA_REACH * scale).ceil();
    let backdrop = scene.backdrop.paint(size + 2 * reach as usize + 1);
    let mut cast: Vec<(&SceneFace, Sprite)> = Vec::new();
    if config.draw_faces {
        for face in scene.faces() {
            let pixels = face
                .variation
                .without_erasing()
                .apply(faces.pixels(face.face));
            let side = face.placement.side * scale;
            cast.push((face, Sprite::new(pixels, face.looks, side)));
        }
    }
    // Who is further down is nearer.
    cast.sort_by(|(a, _), (b, _)| a.placement.y.total_cmp(&b.placement.y));

    let mut clip = Clip {
        frames: Vec::with_capacity(frames.len()),
        masks: Vec::with_capacity(frames.len()),
    };
    let mut plane = Plane::new(size);
    let mut rgba = Vec::new();
    for frame in frames {
        let time = config.time_of(frame);
        let (across, down) = scene.backdrop.camera(time);
        plane.copy_part(&backdrop, (reach * (1.0 + across), reach * (1.0 + down)));
        let pose = |face: &SceneFace| {
            let placement = face.placement_at(time);
            Pose {
                x: placement.x * scale,
                y: placement.y * scale,
                side: placement.side * scale,
                tilt: face.tilt_at(time),
            }
        };
        // Nobody's shoulders hide a face.
        for (face, sprite) in &cast {
            sprite.paint_body(&mut plane, pose(face));
        }
        for (face, sprite) in &cast {
            sprite.paint_head(&mut plane, pose(face));
        }
        plane.write_rgba(&mut rgba);
        let purpose = Purpose::Noise as u16;
        let mut noise = Draws::numbered(config.seed, faces.split(), index, purpose, frame as u32);
        let light = scene.light[0].mixed(&scene.light[1], time);
        clip.frames
            .push(light.develop(&rgba, config.size, &mut noise));
        let subject = scene.subject().placement_at(time);
        clip.masks
            .push(box_mask(&subject, scene.box_jitter, config.size));
    }
    clip
}

/// The pixels that a box touches, its edges off by `jitter` of its side.
pub(super) fn box_mask(placement: &FacePlacement, jitter: [f32; 4], size: u32) -> GrayImage {
    let bounds = placement.bounds();
    let edge = |index: usize| (bounds[index] + jitter[index] * placement.side) * size as f32;
    // `as` saturates, so what lies outside the frame is cut off.
    let (left, top) = (edge(0).floor() as u32, edge(1).floor() as u32);
    let right = (edge(2).ceil() as u32).min(size);
    let bottom = (edge(3).ceil() as u32).min(size);
    let mut mask = GrayImage::new(size, size);
    for y in top..bottom {
        for x in left..right {
            mask.put_pixel(x, y, Luma([u8::MAX]));
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_face_of_its_own_size_is_itself() {
        let pixels: Vec<u8> = (0..FACE_PIXELS).map(|index| (index * 7) as u8).collect();
        let picture = plain(&pixels, FACE_SIDE);
        for (pixel, grey) in picture.pixels().zip(&pixels) {
            assert_eq!(pixel.0, [*grey; 3]);
        }
    }

    #[test]
    fn an_enlarged_face_keeps_its_mean() {
        let pixels: Vec<u8> = (0..FACE_PIXELS).map(|index| (index % 256) as u8).collect();
        let mean = |values: &mut dyn Iterator<Item = u8>| {
            let values: Vec<f64> = values.map(f64::from).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let before = mean(&mut pixels.iter().copied());
        for size in [64, 96, 224] {
            let picture = plain(&pixels, size);
            let after = mean(&mut picture.pixels().map(|pixel| pixel[0]));
            // The edge's pixels weigh a little more or less: 1 % of the range.
            assert!((before - after).abs() < 2.6, "{before} {after} at {size}");
        }
    }

    #[test]
    fn a_mask_is_cut_to_the_frame() {
        let placement = FacePlacement {
            x: 0.1,
            y: 0.5,
            side: 0.5,
        };
        let mask = box_mask(&placement, [0.0; 4], 64);
        let covered = mask.pixels().filter(|pixel| pixel[0] > 0).count();
        // Columns 0..=22 (0.35 · 64 = 22.4) and rows 16..48.
        assert_eq!(covered, 23 * 32);
        let wider = box_mask(&placement, [0.0, -0.125, 0.0, 0.125], 64);
        let covered = wider.pixels().filter(|pixel| pixel[0] > 0).count();
        assert_eq!(covered, 23 * 40);
    }

    #[test]
    fn a_part_of_a_plane_moves_by_parts_of_a_pixel() {
        let mut large = Plane::new(8);
        for (index, pixel) in large.pixels_mut().iter_mut().enumerate() {
            *pixel = [(index % 8) as f32, (index / 8) as f32, 0.0, 0.0];
        }
        let mut small = Plane::new(4);
        small.copy_part(&large, (1.25, 2.5));
        assert_eq!(small.row_mut(0, 0..1)[0], [1.25, 2.5, 0.0, 0.0]);
        assert_eq!(small.row_mut(3, 3..4)[0], [4.25, 5.5, 0.0, 0.0]);
        // Too far is as far as it goes.
        small.copy_part(&large, (9.0, -1.0));
        assert_eq!(small.row_mut(0, 0..1)[0], [3.0, 0.0, 0.0, 0.0]);
    }
}
