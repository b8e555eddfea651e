//! The plan of a scene: who stands where, how they move and what they feel, before any pixel.
//!
//! A plan holds no text, so nothing of an utterance or a label can get into a picture.

use emotionclip::Emotion;

use super::background::Backdrop;
use super::canvas::Point;
use super::draws::{Draws, Purpose};
use super::expression::Manner;
use super::identity::Identity;
use super::light::Light;
use super::{FigureCount, Split, SyntheticConfig};

/// Width of a figure's box in units of its height.
pub const BOX_ASPECT: f32 = 0.84;

/// The most figures in a scene.
pub const MAX_FIGURES: usize = 3;

/// Where a figure's box stands: pose-independent, in units of the picture's side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Middle of the box.
    pub x: f32,
    /// Bottom of the box.
    pub base: f32,
    /// Height of the box; its width is [`BOX_ASPECT`] times that.
    pub height: f32,
}

impl Placement {
    /// Left, top, right and bottom of the box.
    pub fn bounds(&self) -> [f32; 4] {
        let half = self.height * BOX_ASPECT / 2.0;
        [
            self.x - half,
            self.base - self.height,
            self.x + half,
            self.base,
        ]
    }

    /// Area shared with another box in units of the smaller of the two.
    fn overlap(&self, other: &Self) -> f32 {
        let [left, top, right, bottom] = self.bounds();
        let [other_left, other_top, other_right, other_bottom] = other.bounds();
        let width = (right.min(other_right) - left.max(other_left)).max(0.0);
        let height = (bottom.min(other_bottom) - top.max(other_top)).max(0.0);
        let smaller = self.height.min(other.height);
        width * height / (smaller * smaller * BOX_ASPECT)
    }
}

/// How a figure moves over the clip, whatever it feels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Motion {
    /// Way of the box from the first frame to the last, in units of the picture's side.
    pub(super) drift: (f32, f32),
    /// Turn of the whole figure about its base in radians.
    pub(super) turn: f32,
    /// Reach of the sway in radians.
    pub(super) sway: f32,
    /// Sways a clip.
    pub(super) rate: f32,
    /// Where in its sway the figure starts, radians.
    pub(super) phase: f32,
    /// When the expression begins and ends, as shares of the clip; it has ended by the last frame.
    pub(super) onset: f32,
    pub(super) peak: f32,
}

impl Motion {
    fn draw(draws: &mut Draws) -> Self {
        Self {
            drift: (draws.between(-0.035, 0.035), draws.between(-0.015, 0.015)),
            turn: draws.between(-0.06, 0.06),
            sway: draws.between(0.01, 0.045),
            rate: draws.between(0.6, 1.8),
            phase: draws.between(0.0, std::f32::consts::TAU),
            onset: draws.between(0.0, 0.25),
            peak: draws.between(0.65, 1.0),
        }
    }

    /// How far the expression is at a time in `[0, 1]`: 0 at the start, 1 at the end, smooth.
    pub(super) fn progress(&self, time: f32) -> f32 {
        let ramp = ((time - self.onset) / (self.peak - self.onset)).clamp(0.0, 1.0);
        ramp * ramp * (3.0 - 2.0 * ramp)
    }
}

/// One figure of a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Who it is.
    pub identity: Identity,
    /// Where its box stands in the middle of the clip.
    pub placement: Placement,
    /// What it feels.
    pub emotion: Emotion,
    pub(super) motion: Motion,
    pub(super) manner: Manner,
}

impl Figure {
    /// Where the box stands at a time in `[0, 1]`. It follows the figure's drift, never its pose.
    pub fn placement_at(&self, time: f32) -> Placement {
        let (across, down) = self.motion.drift;
        Placement {
            x: self.placement.x + across * (time - 0.5),
            base: self.placement.base + down * (time - 0.5),
            ..self.placement
        }
    }
}

/// Everything a picture of a scene depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// One to three figures.
    pub(super) figures: Vec<Figure>,
    /// Which of them is the subject.
    pub(super) subject: usize,
    pub(super) backdrop: Backdrop,
    pub(super) light: Light,
}

impl Scene {
    /// Plans a scene.
    pub(super) fn plan(config: &SyntheticConfig, split: Split, index: u64) -> Self {
        let draws = |purpose| Draws::new(config.seed, split, index, purpose);
        let mut layout = draws(Purpose::Layout);
        let count = match config.figures {
            FigureCount::Single | FigureCount::Placed => 1,
            FigureCount::Multi => 2 + layout.below(MAX_FIGURES - 1),
            FigureCount::Mixed => 1 + layout.below(MAX_FIGURES),
        };
        let subject = layout.below(count);
        let placements = arrange(&mut layout, count);
        let emotions = emotions(config.seed, split, index, count, subject);
        let mut identity = draws(Purpose::Identity);
        let mut motion = draws(Purpose::Motion);
        let mut manner = draws(Purpose::Manner);
        let figures = placements
            .into_iter()
            .zip(emotions)
            .map(|(placement, emotion)| Figure {
                identity: Identity::draw(&mut identity, split),
                placement,
                emotion,
                motion: Motion::draw(&mut motion),
                manner: Manner::draw(&mut manner, config.restraint),
            })
            .collect();
        Self {
            figures,
            subject,
            backdrop: Backdrop::draw(&mut draws(Purpose::Background)),
            light: Light::draw(&mut draws(Purpose::Light)),
        }
    }

    /// The figures, one to three.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// Which of the figures is the subject.
    pub fn subject_index(&self) -> usize {
        self.subject
    }

    /// The subject.
    pub fn subject(&self) -> &Figure {
        &self.figures[self.subject]
    }

    /// What the subject feels.
    pub fn emotion(&self) -> Emotion {
        self.subject().emotion
    }

    /// The same scene in which the figures feel something else; the list is gone through in a
    /// circle, an empty one changes nothing.
    pub fn with_emotions(mut self, emotions: &[Emotion]) -> Self {
        for (figure, emotion) in self.figures.iter_mut().zip(emotions.iter().cycle()) {
            figure.emotion = *emotion;
        }
        self
    }

    /// The emotions of the figures which are not the subject, in the figures' order.
    pub fn others(&self) -> Vec<Emotion> {
        let others = self
            .figures
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != self.subject);
        others.map(|(_, figure)| figure.emotion).collect()
    }

    /// The background's kind as a number, for tests of independence.
    pub fn background_kind(&self) -> usize {
        self.backdrop.kind()
    }
}

/// The emotion of every figure, all different. The subject's runs through a fresh permutation of
/// the seven every seven samples, so that any run of samples is balanced.
fn emotions(seed: u64, split: Split, index: u64, count: usize, subject: usize) -> Vec<Emotion> {
    let block = Emotion::COUNT as u64;
    let mut order = Emotion::ALL;
    Draws::new(seed, split, index / block, Purpose::EmotionOrder).shuffle(&mut order);
    let own = order[(index % block) as usize];
    let mut rest: Vec<Emotion> = Emotion::ALL
        .into_iter()
        .filter(|other| *other != own)
        .collect();
    Draws::new(seed, split, index, Purpose::OtherEmotions).shuffle(&mut rest);
    rest.truncate(count - 1);
    rest.insert(subject, own);
    rest
}

/// Places the figures so that their boxes hardly overlap.
fn arrange(draws: &mut Draws, count: usize) -> Vec<Placement> {
    const TRIES: usize = 60;
    const ALLOWED_OVERLAP: f32 = 0.06;
    let (low, high) = match count {
        1 => (0.60, 0.92),
        2 => (0.50, 0.70),
        _ => (0.46, 0.56),
    };
    for _ in 0..TRIES {
        let mut placed: Vec<Placement> = Vec::with_capacity(count);
        for _ in 0..count {
            let height = draws.between(low, high);
            let half = height * BOX_ASPECT / 2.0;
            let placement = Placement {
                x: draws.between(half - 0.03, 1.03 - half),
                base: draws.between(height - 0.03, 1.0),
                height,
            };
            if placed
                .iter()
                .all(|other| placement.overlap(other) <= ALLOWED_OVERLAP)
            {
                placed.push(placement);
            }
        }
        if placed.len() == count {
            return placed;
        }
    }
    // The quarters of the picture always have room.
    let mut quarters = [(0.25, 0.52), (0.75, 0.52), (0.25, 0.98), (0.75, 0.98)];
    draws.shuffle(&mut quarters);
    let mut quarter = |(x, base): Point| Placement {
        x: x + draws.between(-0.03, 0.03),
        base: base + draws.between(-0.02, 0.02),
        height: draws.between(0.46, 0.52),
    };
    quarters.into_iter().take(count).map(&mut quarter).collect()
}
