//! Draws hair and headgear in the head's own frame (half height 1, middle at the origin).

use tiny_skia::{Path, PathBuilder};

use super::canvas::{Canvas, Point};
use super::identity::{HairStyle, Traits};

/// The part of the hair behind the head and the shoulders.
pub(super) fn draw_behind(canvas: &mut Canvas, traits: &Traits) {
    let width = traits.head_width;
    let hair = traits.hair.darker(0.18);
    match traits.hair_style {
        HairStyle::Long => {
            canvas.ellipse((0.0, -0.1), (width + 0.2, 1.12), hair);
            canvas.rectangle((-width - 0.18, -0.1), (width + 0.18, 1.25), hair);
        }
        HairStyle::Bob => {
            canvas.ellipse((0.0, -0.08), (width + 0.24, 1.1), hair);
            canvas.rectangle((-width - 0.22, 0.0), (width + 0.22, 0.72), hair);
        }
        HairStyle::Bun => canvas.ellipse((0.0, -1.12), (0.36, 0.32), hair),
        HairStyle::Ponytail => {
            canvas.ellipse((width + 0.12, 0.25), (0.26, 0.72), hair);
            canvas.ellipse((width + 0.02, -0.42), (0.26, 0.26), traits.accent);
        }
        HairStyle::Curls => {
            for (x, y) in curls(width) {
                canvas.ellipse((x, y), (0.40, 0.38), hair);
            }
        }
        HairStyle::Bald
        | HairStyle::Short
        | HairStyle::SideParting
        | HairStyle::Spikes
        | HairStyle::Cap => {}
    }
}

/// The part of the hair in front of the head. It ends above the brows' highest place.
pub(super) fn draw_over(canvas: &mut Canvas, traits: &Traits) {
    let width = traits.head_width;
    let hair = traits.hair;
    match traits.hair_style {
        HairStyle::Bald => {}
        HairStyle::Short | HairStyle::Bun => canvas.fill(crown(width, -0.52, -0.52), hair),
        HairStyle::Bob | HairStyle::Long => canvas.fill(crown(width + 0.08, -0.58, -0.44), hair),
        HairStyle::SideParting => canvas.fill(crown(width + 0.02, -0.86, -0.38), hair),
        HairStyle::Ponytail => canvas.fill(crown(width, -0.44, -0.66), hair),
        HairStyle::Curls => {
            for (x, y) in curls(width).into_iter().filter(|(_, y)| *y < -0.7) {
                canvas.ellipse((x, y + 0.02), (0.32, 0.26), hair);
            }
        }
        HairStyle::Spikes => spikes(canvas, traits),
        HairStyle::Cap => {
            canvas.fill(crown(width + 0.05, -0.56, -0.56), traits.accent);
            let brim = traits.accent.darker(0.3);
            canvas.ellipse((0.22, -0.60), (0.95, 0.12), brim);
        }
    }
}

/// Hair over the top of the head, down to a height at the left temple and at the right.
fn crown(width: f32, left: f32, right: f32) -> Option<Path> {
    let edge = width + 0.06;
    let mut path = PathBuilder::new();
    path.move_to(-edge, -0.10);
    path.cubic_to(-edge, -1.50, edge, -1.50, edge, -0.10);
    path.quad_to(edge - 0.10, right - 0.02, 0.55 * edge, right - 0.08);
    path.quad_to(0.0, 0.5 * (left + right) - 0.14, -0.55 * edge, left - 0.08);
    path.quad_to(-edge + 0.10, left - 0.02, -edge, -0.10);
    path.close();
    path.finish()
}

fn spikes(canvas: &mut Canvas, traits: &Traits) {
    let edge = traits.head_width + 0.04;
    let points: [Point; 11] = [
        (-edge, -0.15),
        (-edge - 0.14, -0.78),
        (-0.66, -0.82),
        (-0.52, -1.28),
        (-0.18, -1.0),
        (0.10, -1.38),
        (0.34, -0.98),
        (0.74, -1.20),
        (0.70, -0.76),
        (edge + 0.14, -0.70),
        (edge, -0.15),
    ];
    let mut path = PathBuilder::new();
    path.move_to(points[0].0, points[0].1);
    for point in &points[1..] {
        path.line_to(point.0, point.1);
    }
    path.quad_to(0.72 * edge, -0.60, 0.0, -0.62);
    path.quad_to(-0.72 * edge, -0.60, -edge, -0.15);
    path.close();
    canvas.fill(path.finish(), traits.hair);
}

fn curls(width: f32) -> [Point; 8] {
    [
        (-width - 0.08, 0.10),
        (-width - 0.10, -0.40),
        (-0.72, -0.82),
        (-0.26, -1.04),
        (0.26, -1.04),
        (0.72, -0.82),
        (width + 0.10, -0.40),
        (width + 0.08, 0.10),
    ]
}
