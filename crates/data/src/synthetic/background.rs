//! What stands behind the figures: eight kinds of place, each in its own colours and proportions.

use super::canvas::{Canvas, Colour, Point};
use super::draws::Draws;

/// Number of background kinds.
const KINDS: usize = 8;

/// How many shapes a kind scatters at most.
const PIECES: usize = 8;

/// A background before it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Backdrop {
    kind: usize,
    wall: Colour,
    floor: Colour,
    accent: Colour,
    detail: Colour,
    /// Where the floor begins, from the top.
    horizon: f32,
    /// Three numbers in `[0, 1)` a piece: place, place, size.
    pieces: [[f32; 3]; PIECES],
}

impl Backdrop {
    pub(crate) fn draw(draws: &mut Draws) -> Self {
        let kind = draws.below(KINDS);
        let hue = draws.unit();
        let wall = Colour::from_hsv(hue, draws.between(0.08, 0.45), draws.between(0.55, 0.95));
        let floor = Colour::from_hsv(
            hue + draws.between(0.1, 0.6),
            draws.between(0.08, 0.40),
            draws.between(0.45, 0.85),
        );
        let accent = Colour::from_hsv(
            hue + draws.between(0.2, 0.8),
            draws.between(0.15, 0.55),
            draws.between(0.40, 0.95),
        );
        let detail = if draws.chance(0.5) {
            wall.darker(0.25)
        } else {
            wall.lighter(0.4)
        };
        Self {
            kind,
            wall,
            floor,
            accent,
            detail,
            horizon: draws.between(0.26, 0.44),
            pieces: std::array::from_fn(|_| std::array::from_fn(|_| draws.unit())),
        }
    }

    /// Which kind of place it is, `0..8`.
    pub(crate) fn kind(&self) -> usize {
        self.kind
    }

    /// Paints the whole unit square.
    pub(crate) fn paint(&self, canvas: &mut Canvas) {
        canvas.rectangle((0.0, 0.0), (1.0, 1.0), self.wall);
        match self.kind {
            0 => self.room(canvas),
            1 => self.hills(canvas),
            2 => self.wallpaper(canvas),
            3 => self.tiles(canvas),
            4 => self.city(canvas),
            5 => self.forest(canvas),
            6 => self.bubbles(canvas),
            _ => self.shore(canvas),
        }
    }

    fn ground(&self, canvas: &mut Canvas) {
        canvas.rectangle((0.0, self.horizon), (1.0, 1.0), self.floor);
    }

    /// A wall with a window, a picture and a rug.
    fn room(&self, canvas: &mut Canvas) {
        self.ground(canvas);
        canvas.rectangle(
            (0.0, self.horizon - 0.02),
            (1.0, self.horizon),
            self.wall.darker(0.35),
        );
        let [[across, rug, size], [picture, ..], ..] = self.pieces;
        let (left, right) = (0.05 + 0.5 * across, 0.27 + 0.5 * across + 0.1 * size);
        let (top, bottom) = (0.05, self.horizon - 0.07);
        canvas.rectangle(
            (left - 0.02, top - 0.02),
            (right + 0.02, bottom + 0.02),
            self.detail,
        );
        canvas.rectangle((left, top), (right, bottom), Colour(186, 220, 240));
        let middle = 0.5 * (left + right);
        canvas.rectangle((middle - 0.008, top), (middle + 0.008, bottom), self.detail);
        let picture = (right + 0.06 + 0.2 * picture, 0.10);
        canvas.rectangle(
            picture,
            (picture.0 + 0.13, picture.1 + 0.12),
            self.accent.darker(0.3),
        );
        canvas.rectangle(
            (picture.0 + 0.02, picture.1 + 0.02),
            (picture.0 + 0.11, picture.1 + 0.10),
            self.accent,
        );
        canvas.ellipse((0.2 + 0.6 * rug, 0.85), (0.34, 0.10), self.accent);
    }

    /// Sky, sun and two ranges of hills.
    fn hills(&self, canvas: &mut Canvas) {
        let [[sun, height, size], near, far, ..] = self.pieces;
        canvas.ellipse(
            (sun, 0.05 + 0.15 * height),
            ball(0.05 + 0.05 * size),
            self.wall.lighter(0.6),
        );
        for (index, hill) in [far, near].into_iter().enumerate() {
            let colour = self.accent.mixed(self.floor, 0.35 + 0.3 * index as f32);
            for (side, offset) in [-0.1, 0.55].into_iter().enumerate() {
                let x = offset + 0.5 * hill[side];
                canvas.ellipse(
                    (x, self.horizon + 0.08),
                    (0.42, 0.16 + 0.12 * hill[2]),
                    colour,
                );
            }
        }
        canvas.rectangle((0.0, self.horizon + 0.06), (1.0, 1.0), self.floor);
    }

    /// Vertical stripes above a plain floor.
    fn wallpaper(&self, canvas: &mut Canvas) {
        let [[width, phase, border], ..] = self.pieces;
        let width = 0.05 + 0.10 * width;
        let mut left = -phase * 2.0 * width;
        while left < 1.0 {
            canvas.rectangle(
                (left.max(0.0), 0.0),
                ((left + width).min(1.0), 1.0),
                self.detail,
            );
            left += 2.0 * width;
        }
        self.ground(canvas);
        let rail = 0.015 + 0.02 * border;
        canvas.rectangle((0.0, self.horizon - rail), (1.0, self.horizon), self.accent);
    }

    /// A chequered floor seen in perspective.
    fn tiles(&self, canvas: &mut Canvas) {
        self.ground(canvas);
        let [[vanishing, ..], ..] = self.pieces;
        let vanishing = 0.2 + 0.6 * vanishing;
        let dark = self.floor.darker(0.22);
        let columns = 9;
        let edge = |column: usize, y: f32| {
            let at_bottom = -0.75 + 2.5 * column as f32 / columns as f32;
            vanishing
                + (at_bottom - vanishing)
                    * (0.25 + 0.75 * (y - self.horizon) / (1.0 - self.horizon))
        };
        let mut top = self.horizon;
        for row in 0..5 {
            let bottom = (top + 0.06 + 0.035 * row as f32).min(1.0);
            for column in (row % 2..columns).step_by(2) {
                canvas.polygon(
                    &[
                        (edge(column, top), top),
                        (edge(column + 1, top), top),
                        (edge(column + 1, bottom), bottom),
                        (edge(column, bottom), bottom),
                    ],
                    dark,
                );
            }
            top = bottom;
        }
    }

    /// Houses with lit windows.
    fn city(&self, canvas: &mut Canvas) {
        for (index, [x, height, width]) in self.pieces.into_iter().enumerate() {
            let left = (index as f32 + 0.5 * x) / PIECES as f32 - 0.04;
            let right = left + 0.10 + 0.08 * width;
            let top = self.horizon * (0.15 + 0.6 * height);
            let colour = self.accent.darker(0.1 + 0.4 * width);
            canvas.rectangle((left, top), (right, self.horizon + 0.02), colour);
            let lit = colour.mixed(Colour(250, 230, 160), 0.55);
            for floor in 0..2 {
                let y = top + 0.03 + 0.07 * floor as f32;
                if y + 0.03 < self.horizon {
                    canvas.rectangle((left + 0.03, y), (left + 0.06, y + 0.03), lit);
                }
            }
        }
        self.ground(canvas);
    }

    /// Trees at the edge of a meadow.
    fn forest(&self, canvas: &mut Canvas) {
        self.ground(canvas);
        for [x, height, width] in self.pieces {
            let (x, foot) = (x * 1.1 - 0.05, self.horizon + 0.04);
            let half = 0.05 + 0.04 * width;
            let top = foot - 0.16 - 0.2 * height;
            canvas.rectangle(
                (x - 0.012, foot - 0.06),
                (x + 0.012, foot + 0.03),
                Colour(92, 66, 48),
            );
            let leaves = self.accent.mixed(Colour(62, 120, 74), 0.45 + 0.3 * width);
            canvas.polygon(
                &[(x - half, foot - 0.04), (x, top), (x + half, foot - 0.04)],
                leaves,
            );
        }
    }

    /// An abstract pattern of discs.
    fn bubbles(&self, canvas: &mut Canvas) {
        for (index, [x, y, size]) in self.pieces.into_iter().enumerate() {
            let colour = match index % 3 {
                0 => self.accent,
                1 => self.detail,
                _ => self.floor,
            };
            canvas.ellipse(
                (x, y),
                ball(0.05 + 0.13 * size),
                self.wall.mixed(colour, 0.6),
            );
        }
    }

    /// Sea, sand and an umbrella.
    fn shore(&self, canvas: &mut Canvas) {
        let sea = self.accent.mixed(Colour(60, 130, 180), 0.6);
        canvas.rectangle((0.0, self.horizon * 0.6), (1.0, self.horizon), sea);
        canvas.rectangle(
            (0.0, self.horizon),
            (1.0, 1.0),
            self.floor.mixed(Colour(236, 214, 160), 0.6),
        );
        for [x, y, length] in self.pieces {
            let y = self.horizon * (0.64 + 0.32 * y);
            let right = x + 0.06 + 0.10 * length;
            canvas.rectangle((x, y), (right, y + 0.012), sea.lighter(0.35));
        }
        let [[x, ..], ..] = self.pieces;
        let (x, y) = (0.1 + 0.8 * x, self.horizon + 0.02);
        canvas.line(&[(x, y - 0.12), (x, y + 0.08)], 0.014, Colour(120, 96, 72));
        canvas.polygon(
            &[(x - 0.12, y - 0.08), (x, y - 0.18), (x + 0.12, y - 0.08)],
            self.accent,
        );
    }
}

fn ball(radius: f32) -> Point {
    (radius, radius)
}
