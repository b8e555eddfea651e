//! Draws one figure: trunk, arms and hands, then the head on top.
//!
//! Local units: the box's height is 1, the origin is the middle of its base, y points down. The
//! trunk is drawn in a frame of its own which leans and stretches; the arms are solved from where
//! the hands should be.

use tiny_skia::{Path, PathBuilder, Transform};

use super::canvas::{Canvas, Colour, Point, ellipse};
use super::expression::{Face, Pose};
use super::face;
use super::hair;
use super::identity::{BodyShape, Pattern, Traits};
use super::scene::BOX_ASPECT;

/// Height of the shoulders of a figure at rest.
const SHOULDER: f32 = 0.385;
/// From the shoulders up to the middle of the head.
const NECK: f32 = 0.245;
/// Half height of a head.
const HEAD: f32 = 0.232;
/// Length of the upper arm, and of the lower.
const ARM: f32 = 0.21;
const ARM_WIDTH: f32 = 0.088;
const HAND: f32 = 0.056;

/// What a figure looks like at one moment.
pub(super) struct Moment {
    pub(super) traits: Traits,
    pub(super) face: Face,
    pub(super) pose: Pose,
    /// Turn of the whole figure about its base, radians: its own turn and its sway.
    pub(super) turn: f32,
    /// Seconds of a fast clock for tremble and bounce, in radians.
    pub(super) clock: f32,
}

impl Moment {
    /// Draws the figure into its box.
    pub(super) fn draw(&self, canvas: &mut Canvas) {
        let traits = &self.traits;
        let pose = &self.pose;
        let shake = pose.tremble * (self.clock * 5.3).sin();
        let hop = pose.bounce * (0.5 + 0.5 * (self.clock * 2.1).sin());
        canvas.fill_translucent(ellipse((0.0, -0.005), (0.25, 0.03)), Colour::INK, 0.28);
        let whole = Transform::from_translate(shake, -0.012 - hop)
            .pre_concat(Transform::from_rotate(self.turn.to_degrees()));
        canvas.nested(whole, |canvas| {
            let trunk = Transform::from_rotate(pose.lean.to_degrees())
                .pre_concat(Transform::from_scale(1.0, pose.stretch));
            let head = self.head_frame();
            canvas.nested(head, |canvas| hair::draw_behind(canvas, traits));
            canvas.nested(trunk, |canvas| self.draw_trunk(canvas));
            canvas.nested(head, |canvas| {
                face::draw(canvas, traits, &self.face, (pose.head_turn, pose.head_nod));
                hair::draw_over(canvas, traits);
            });
            self.draw_arms(canvas, trunk);
        });
    }

    /// The head's frame: its half height is the unit, its middle the origin.
    fn head_frame(&self) -> Transform {
        let pose = &self.pose;
        let shoulder = SHOULDER * pose.stretch;
        let reach = shoulder + NECK - pose.head_drop;
        let (sin, cos) = pose.lean.sin_cos();
        let size = HEAD * pose.head_scale;
        Transform::from_translate(reach * sin, -reach * cos)
            .pre_concat(Transform::from_rotate(
                (0.5 * pose.lean + pose.head_tilt).to_degrees(),
            ))
            .pre_concat(Transform::from_scale(size, size))
    }

    fn shoulder_half(&self) -> f32 {
        0.145 * self.traits.torso_width
    }

    fn draw_trunk(&self, canvas: &mut Canvas) {
        let traits = &self.traits;
        let half = self.shoulder_half();
        let width = traits.torso_width;
        let top = -SHOULDER - self.pose.shrug;
        let clothes = traits.clothes;
        canvas.rectangle(
            (-0.055, top - 0.05),
            (0.055, top + 0.04),
            traits.skin.darker(0.2),
        );
        match traits.body {
            BodyShape::Bell => canvas.fill(trunk(half, 0.22 * width, top, 0.0), clothes),
            BodyShape::Barrel => canvas.fill(trunk(half, 0.165 * width, top, 0.0), clothes),
            BodyShape::Legged => {
                let trousers = traits.accent.darker(0.45);
                let leg = 0.085 * width;
                for side in [-1.0, 1.0] {
                    let x = side * leg;
                    canvas.rectangle((x - 0.07, -0.16), (x + 0.07, 0.0), trousers);
                }
                canvas.fill(trunk(half, 0.165 * width, top, -0.11), clothes);
            }
        }
        self.draw_pattern(canvas, top);
    }

    fn draw_pattern(&self, canvas: &mut Canvas, top: f32) {
        let traits = &self.traits;
        let accent = traits.accent;
        let half = 0.135 * traits.torso_width;
        match traits.pattern {
            Pattern::Plain => {}
            Pattern::Bands => {
                for y in [0.10, 0.20] {
                    canvas.rectangle((-half, top + y), (half, top + y + 0.045), accent);
                }
            }
            Pattern::Buttons => {
                for y in [0.10, 0.17, 0.24] {
                    canvas.ellipse((0.0, top + y), (0.02, 0.02), accent.lighter(0.3));
                }
            }
            Pattern::Scarf => {
                canvas.ellipse((0.0, top + 0.02), (0.13, 0.045), accent);
                canvas.rectangle((0.03, top + 0.03), (0.09, top + 0.17), accent.darker(0.1));
            }
            Pattern::Apron => {
                canvas.rectangle((-0.09, top + 0.11), (0.09, -0.07), accent.lighter(0.35));
            }
        }
    }

    fn draw_arms(&self, canvas: &mut Canvas, trunk: Transform) {
        let pose = &self.pose;
        let half = self.shoulder_half() - 0.01;
        let height = -SHOULDER - pose.shrug + 0.05;
        let arms = [
            (
                -half,
                (pose.left_x, pose.left_y),
                pose.left_open,
                pose.left_elbow,
                -1.0,
            ),
            (
                half,
                (pose.right_x, pose.right_y),
                pose.right_open,
                pose.right_elbow,
                1.0,
            ),
        ];
        let upper = self.traits.clothes.darker(0.22);
        let lower = if self.traits.long_sleeves {
            upper
        } else {
            self.traits.skin.darker(0.06)
        };
        let skin = self.traits.skin;
        for (shoulder, hand, open, bend, side) in arms {
            let shoulder = mapped(trunk, (shoulder, height));
            // The hands follow the lean of the trunk but not its stretch, so that they stay where
            // the head is.
            let lean = Transform::from_rotate((0.7 * pose.lean).to_degrees());
            let hand = inside_box(mapped(lean, hand));
            let elbow = elbow(shoulder, hand, bend * side);
            canvas.line(
                &[shoulder, elbow, hand],
                ARM_WIDTH + 0.022,
                Colour::INK.mixed(upper, 0.35),
            );
            if self.traits.long_sleeves {
                canvas.line(&[shoulder, elbow, hand], ARM_WIDTH, upper);
            } else {
                canvas.line(&[elbow, hand], ARM_WIDTH - 0.012, lower);
                canvas.line(&[shoulder, elbow], ARM_WIDTH, upper);
            }
            let along = (hand.1 - elbow.1).atan2(hand.0 - elbow.0);
            let frame = Transform::from_translate(hand.0, hand.1)
                .pre_concat(Transform::from_rotate(along.to_degrees()));
            canvas.nested(frame, |canvas| {
                let outline = skin.darker(0.62);
                canvas.fill(self::hand(open, HAND + 0.014, 0.014), outline);
                canvas.fill(self::hand(open, HAND, 0.0), skin);
            });
        }
    }
}

/// The outline of a trunk from the shoulders down to a hem.
fn trunk(shoulder: f32, hem: f32, top: f32, bottom: f32) -> Option<Path> {
    let neck = 0.045;
    let mut path = PathBuilder::new();
    path.move_to(-neck, top - 0.015);
    path.line_to(neck, top - 0.015);
    path.quad_to(shoulder, top - 0.01, shoulder + 0.012, top + 0.09);
    path.quad_to(shoulder + 0.02, 0.5 * (top + bottom), hem, bottom - 0.03);
    path.quad_to(hem, bottom, hem - 0.05, bottom);
    path.line_to(-hem + 0.05, bottom);
    path.quad_to(-hem, bottom, -hem, bottom - 0.03);
    path.quad_to(
        -shoulder - 0.02,
        0.5 * (top + bottom),
        -shoulder - 0.012,
        top + 0.09,
    );
    path.quad_to(-shoulder, top - 0.01, -neck, top - 0.015);
    path.close();
    path.finish()
}

/// A hand at the origin that points along x: a fist, or a palm with spread fingers.
fn hand(open: f32, radius: f32, rim: f32) -> Option<Path> {
    if open < 0.5 {
        return ellipse((0.02, 0.0), (radius * 1.08, radius * 1.08));
    }
    let mut path = PathBuilder::new();
    path.push_path(&ellipse((0.015, 0.0), (radius * 0.95, radius * 0.95))?);
    for angle in [-1.15_f32, -0.4, 0.35, 1.05] {
        let (sin, cos) = angle.sin_cos();
        let length = if angle > 1.0 { 0.070 } else { 0.095 } + rim;
        let half = 0.017 + rim;
        path.move_to(0.015 - sin * half, cos * half);
        path.line_to(0.015 + cos * length - sin * half, sin * length + cos * half);
        path.line_to(0.015 + cos * length + sin * half, sin * length - cos * half);
        path.line_to(0.015 + sin * half, -cos * half);
        path.close();
    }
    path.finish()
}

fn mapped(transform: Transform, point: Point) -> Point {
    let mut mapped = tiny_skia::Point::from_xy(point.0, point.1);
    transform.map_point(&mut mapped);
    (mapped.x, mapped.y)
}

/// Keeps a hand with its fingers inside the figure's box.
fn inside_box(hand: Point) -> Point {
    let half = BOX_ASPECT / 2.0 - 0.075;
    (hand.0.clamp(-half, half), hand.1.clamp(-0.88, -0.05))
}

/// Where the elbow is, two bones of equal length between shoulder and hand; a hand out of reach
/// stretches the arm. `bend` is the share of the full bend, its sign the side.
fn elbow(shoulder: Point, hand: Point, bend: f32) -> Point {
    let (across, down) = (hand.0 - shoulder.0, hand.1 - shoulder.1);
    let distance = (across * across + down * down).sqrt().max(1e-3);
    let out = (ARM * ARM - 0.25 * distance * distance).max(0.0).sqrt() * bend.abs();
    let middle = (shoulder.0 + 0.5 * across, shoulder.1 + 0.5 * down);
    // Of the two sides of the line choose the one away from the body.
    let (normal_x, normal_y) = (-down / distance, across / distance);
    let sign = if normal_x * bend >= 0.0 { 1.0 } else { -1.0 };
    (
        middle.0 + sign * normal_x * out,
        middle.1 + sign * normal_y * out,
    )
}
