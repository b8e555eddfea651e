//! Draws the head and the face on it.
//!
//! Local units: the head's half height is 1, its middle the origin, y points down. The features
//! are larger and bolder than nature's, because a head in a scene of three figures is fifteen
//! pixels wide.

use tiny_skia::{Path, PathBuilder};

use super::canvas::{Canvas, Colour, Point, arc, lens};
use super::expression::Face;
use super::identity::Traits;

const EYE_X: f32 = 0.40;
const EYE_Y: f32 = -0.02;
const EYE_HALF: f32 = 0.235;
const BROW_Y: f32 = -0.40;
const MOUTH_Y: f32 = 0.53;
/// Below this opening an eye is drawn as a line.
const SHUT: f32 = 0.075;

/// Draws the head; `facing` turns the features to the right and down.
pub(super) fn draw(canvas: &mut Canvas, traits: &Traits, face: &Face, facing: Point) {
    let skin = traits.skin;
    let rim = skin.darker(0.45);
    let width = traits.head_width;
    canvas.ellipse((-width - 0.02, 0.05), (0.17, 0.21), rim);
    canvas.ellipse((width + 0.02, 0.05), (0.17, 0.21), rim);
    canvas.ellipse((0.0, 0.0), (width + 0.05, 1.05), rim);
    canvas.ellipse((0.0, 0.0), (width - 0.02, 0.98), skin);
    if canvas.resolves(0.05) {
        for side in [-1.0, 1.0] {
            canvas.ellipse((side * width, 0.06), (0.11, 0.14), skin.darker(0.12));
        }
    }
    let shift = (0.24 * facing.0, 0.20 * facing.1);
    let placed = |x: f32, y: f32| (x * width + shift.0, y + shift.1);
    for side in [-1.0, 1.0] {
        eye(canvas, face, placed(side * EYE_X, EYE_Y), side);
    }
    nose(canvas, traits, face, placed(0.0, 0.22));
    mouth(canvas, traits, face, placed(0.0, MOUTH_Y));
    let hair = if traits.hair.luma() > 110.0 {
        traits.hair.darker(0.5)
    } else {
        traits.hair
    };
    let brow_colour = hair.darker(0.55);
    for side in [-1.0, 1.0] {
        brow(
            canvas,
            face,
            placed(side * EYE_X, BROW_Y),
            side,
            brow_colour,
        );
    }
}

/// `side` is -1 for the left eye of the picture and 1 for the right.
fn eye(canvas: &mut Canvas, face: &Face, centre: Point, side: f32) {
    let inner = (centre.0 - side * EYE_HALF, centre.1 + face.eye_slope);
    let outer = (centre.0 + side * EYE_HALF, centre.1 - face.eye_slope);
    if face.eye_top + face.eye_bottom < 2.0 * SHUT {
        // A closed eye: the lids meet, arched as the lower lid is pushed up.
        let rise = 0.5 * (face.eye_top - face.eye_bottom);
        let control = (centre.0, centre.1 - 3.4 * rise);
        let drop = 1.0 * rise;
        let ends = ((inner.0, inner.1 + drop), (outer.0, outer.1 + drop));
        canvas.stroke(arc(ends.0, control, ends.1), 0.13, Colour::INK);
        return;
    }
    let rim = 0.045;
    canvas.fill(
        lens(
            (inner.0 - side * rim, inner.1),
            (outer.0 + side * rim, outer.1),
            face.eye_top + rim + 0.03,
            face.eye_bottom + rim,
        ),
        Colour::INK,
    );
    canvas.fill(
        lens(inner, outer, face.eye_top, face.eye_bottom),
        Colour::WHITE,
    );
    let room = 0.5 * (face.eye_top + face.eye_bottom);
    let radius = face.pupil.min(room + 0.03);
    let middle = centre.1 + 0.5 * (face.eye_bottom - face.eye_top);
    let pupil = (
        centre.0 + face.gaze_x * (EYE_HALF - face.pupil) * 0.8,
        middle + face.gaze_y * (room - 0.6 * radius).max(0.0),
    );
    canvas.ellipse(pupil, (face.pupil, radius), Colour::INK);
    if canvas.resolves(0.05) {
        let glint = 0.3 * radius;
        canvas.ellipse(
            (pupil.0 + glint, pupil.1 - glint),
            (glint, glint),
            Colour::WHITE,
        );
    }
}

fn brow(canvas: &mut Canvas, face: &Face, centre: Point, side: f32, colour: Colour) {
    let lift = face.brow_lift + 0.5 * side * face.brow_skew;
    let y = centre.1 - lift;
    let inner = (centre.0 - side * 0.25, y + face.brow_slope);
    let outer = (centre.0 + side * 0.27, y - 0.6 * face.brow_slope);
    let arch = 0.10 + 0.25 * face.brow_lift.max(0.0);
    let control = (centre.0 + side * 0.04, 0.5 * (inner.1 + outer.1) - arch);
    canvas.stroke(arc(inner, control, outer), 0.16, colour);
}

fn nose(canvas: &mut Canvas, traits: &Traits, face: &Face, centre: Point) {
    let colour = traits.skin.darker(0.38);
    let up = 0.06 * face.creases;
    canvas.ellipse((centre.0, centre.1 - up), (0.085, 0.065), colour);
    if face.creases > 0.15 {
        let depth = face.creases.min(1.0);
        for side in [-1.0, 1.0] {
            let from = (centre.0 + side * 0.13, centre.1 - 0.12);
            let to = (
                centre.0 + side * (0.16 + 0.12 * depth),
                centre.1 + 0.10 * depth,
            );
            canvas.stroke(
                arc(from, (to.0, from.1), to),
                0.03 + 0.05 * depth,
                traits.skin.darker(0.30 + 0.15 * depth),
            );
        }
    }
}

fn mouth(canvas: &mut Canvas, traits: &Traits, face: &Face, centre: Point) {
    let half = face.mouth_width;
    let left = (
        centre.0 - half,
        centre.1 - face.mouth_curve * 0.6 + 0.5 * face.mouth_skew,
    );
    let right = (
        centre.0 + half,
        centre.1 - face.mouth_curve * 0.6 - 0.5 * face.mouth_skew,
    );
    let open = face.mouth_open;
    let sag = face.mouth_curve;
    if open < 0.06 {
        let line = wavy(left, right, sag * 1.2, face.mouth_wave);
        canvas.stroke(line, 0.14, Colour::INK);
    } else {
        let lips = |grow: f32| {
            let from = (left.0 - grow, left.1);
            let to = (right.0 + grow, right.1);
            let (above, below) = (0.42 * open - sag * 0.9, 0.62 * open + sag * 0.9);
            lens(from, to, above + grow, below + grow)
        };
        canvas.fill(lips(0.05), Colour::INK);
        canvas.fill(lips(-0.01), Colour(118, 32, 42));
        if face.teeth > 0.05 {
            teeth(canvas, face, left, right);
        }
    }
    if face.tongue > 0.05 {
        let length = face.tongue;
        let root = centre.1 + 0.05;
        let x = centre.0 + 0.25 * half * face.mouth_skew.signum();
        let outline = traits.skin.mixed(Colour(120, 20, 40), 0.75);
        let path = |grow: f32| tongue((x, root), 0.17 + grow, length + grow);
        canvas.fill(path(0.04), outline);
        canvas.fill(path(-0.01), Colour(232, 96, 112));
    }
}

/// The teeth: the upper part of the opening, or all of it when they are bared.
fn teeth(canvas: &mut Canvas, face: &Face, left: Point, right: Point) {
    let open = face.mouth_open;
    let sag = face.mouth_curve;
    let (above, below) = (0.42 * open - sag * 0.9, 0.62 * open + sag * 0.9);
    let share = face.teeth;
    let inset = 0.06;
    let from = (left.0 + inset, left.1);
    let to = (right.0 - inset, right.1);
    let bottom = -above + (above + below) * share;
    canvas.fill(lens(from, to, above * 0.92, bottom * 0.92), Colour::WHITE);
    if share > 0.6 {
        let middle = 0.5 * (bottom - above);
        let line = wavy(from, to, middle * 1.33, face.mouth_wave);
        canvas.stroke(line, 0.05, Colour::INK);
        if canvas.resolves(0.09) {
            for place in [0.28, 0.5, 0.72] {
                let x = from.0 + (to.0 - from.0) * place;
                let y = from.1 + (to.1 - from.1) * place + middle;
                let reach = 0.32 * (above + below);
                canvas.line(&[(x, y - reach), (x, y + reach)], 0.035, Colour::INK);
            }
        }
    }
}

fn tongue(root: Point, half: f32, length: f32) -> Option<Path> {
    let (x, y) = root;
    let mut path = PathBuilder::new();
    path.move_to(x - half, y);
    path.line_to(x + half, y);
    path.cubic_to(
        x + half,
        y + 1.33 * length,
        x - half,
        y + 1.33 * length,
        x - half,
        y,
    );
    path.close();
    path.finish()
}

/// A line from one corner to the other that sags in the middle and may be wavy.
fn wavy(from: Point, to: Point, sag: f32, wave: f32) -> Option<Path> {
    if wave < 0.015 {
        let middle = (0.5 * (from.0 + to.0), 0.5 * (from.1 + to.1) + 1.5 * sag);
        return arc(from, middle, to);
    }
    const STEPS: usize = 8;
    let mut path = PathBuilder::new();
    for step in 0..=STEPS {
        let place = step as f32 / STEPS as f32;
        let bow = 4.0 * place * (1.0 - place) * 0.75 * sag;
        let ripple = if step % 2 == 0 { wave } else { -wave };
        let x = from.0 + (to.0 - from.0) * place;
        let y = from.1 + (to.1 - from.1) * place + bow + ripple;
        if step == 0 {
            path.move_to(x, y);
        } else {
            path.line_to(x, y);
        }
    }
    path.finish()
}
