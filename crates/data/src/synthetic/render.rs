//! From the plan of a scene to frames and subject masks.

use std::ops::Range;

use emotionclip::{Clip, Emotion};
use image::{GrayImage, Luma};
use tiny_skia::Transform;

use super::canvas::Canvas;
use super::draws::{Draws, Purpose};
use super::figure::Moment;
use super::scene::{Figure, Placement, Scene};
use super::{Appearance, MaskKind, Split, SyntheticConfig};

/// Renders the frames of a range onto copies of a blank canvas.
pub(super) fn render(
    scene: &Scene,
    config: &SyntheticConfig,
    blank: &Canvas,
    (split, index): (Split, u64),
    frames: Range<usize>,
) -> Clip {
    let appearance = config.appearance;
    let mut backdrop = blank.clone();
    scene.backdrop.paint(&mut backdrop);
    let mut canvas = backdrop.clone();
    let mut order: Vec<&Figure> = scene.figures.iter().collect();
    // Who stands further down is nearer.
    order.sort_by(|a, b| a.placement.base.total_cmp(&b.placement.base));
    let mut clip = Clip {
        frames: Vec::new(),
        masks: Vec::new(),
    };
    for frame in frames {
        let time = config.time_of(frame);
        if appearance.draw_figures {
            canvas.copy_from(&backdrop);
            for figure in &order {
                draw_figure(&mut canvas, figure, appearance, time);
            }
        }
        let mut noise = Draws::keyed(config.seed, split, index, Purpose::Noise, frame as u32);
        clip.frames
            .push(scene.light.develop(canvas.rgba(), config.size, &mut noise));
        let subject = scene.subject();
        clip.masks.push(match config.mask {
            MaskKind::Box => box_mask(&subject.placement_at(time), config.size),
            MaskKind::Silhouette => silhouette(blank.clone(), subject, appearance, time),
        });
    }
    clip
}

fn draw_figure(canvas: &mut Canvas, figure: &Figure, appearance: Appearance, time: f32) {
    let motion = &figure.motion;
    let progress = motion.progress(time);
    let shown = |visible| {
        if visible {
            figure.emotion
        } else {
            Emotion::Neutral
        }
    };
    let placement = figure.placement_at(time);
    let angle = std::f32::consts::TAU * motion.rate * time + motion.phase;
    let moment = Moment {
        traits: figure.identity.traits(),
        face: figure.manner.face(shown(appearance.face), progress),
        pose: figure.manner.pose(shown(appearance.posture), progress),
        turn: motion.turn + motion.sway * angle.sin(),
        clock: motion.phase + 14.0 * time,
    };
    let local = Transform::from_translate(placement.x, placement.base)
        .pre_concat(Transform::from_scale(placement.height, placement.height));
    canvas.nested(local, |canvas| moment.draw(canvas));
}

/// The pixels that a box touches.
fn box_mask(placement: &Placement, size: u32) -> GrayImage {
    let [left, top, right, bottom] = placement.bounds();
    let scale = size as f32;
    // `as` saturates, so what lies outside the picture is clipped.
    let first = |edge: f32| (edge * scale).floor() as u32;
    let last = |edge: f32| ((edge * scale).ceil() as u32).min(size);
    let mut mask = GrayImage::new(size, size);
    for y in first(top)..last(bottom) {
        for x in first(left)..last(right) {
            mask.put_pixel(x, y, Luma([u8::MAX]));
        }
    }
    mask
}

/// The pixels that the figure itself, without its shadow's faint edge, covers by more than half.
fn silhouette(mut canvas: Canvas, figure: &Figure, appearance: Appearance, time: f32) -> GrayImage {
    draw_figure(&mut canvas, figure, appearance, time);
    let mut mask = GrayImage::new(canvas.size(), canvas.size());
    for (covered, pixel) in mask.pixels_mut().zip(canvas.rgba().chunks_exact(4)) {
        covered[0] = if pixel[3] > 127 { u8::MAX } else { 0 };
    }
    mask
}
