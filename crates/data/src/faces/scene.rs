//! The plan of a clip: which faces stand where, how they move, and what is around them, before any
//! pixel. A plan holds no text.

use emotionclip::Emotion;

use super::backdrop::Backdrop;
use super::config::{Augmentation, FaceConfig, FaceSampling, FaceView};
use super::layout::arrange;
use super::permutation::permuted;
use super::sprite::Looks;
use super::store::FaceSplit;
use super::warp::Variation;
use crate::synthetic::Split;
use crate::synthetic::draws::Draws;
use crate::synthetic::light::Light;

/// What a stream of draws decides. The numbers are part of the corpus: changing one changes every
/// picture. None is one of the drawn corpus's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Purpose {
    /// The order in which items are stored.
    StoredOrder = 1024,
    /// The order of the emotions inside a block of seven samples.
    EmotionOrder = 1025,
    /// The order in which an emotion's faces, or all faces, are gone through.
    FaceOrder = 1026,
    /// The emotions of the faces which are not the subject, and whose faces they are.
    Others = 1027,
    /// How many faces, where and how large, and which is the subject.
    Layout = 1028,
    /// Tint, outline, hair and clothes of the faces.
    Looks = 1029,
    /// Drift, sway, tilt and growth of the faces.
    Motion = 1030,
    /// The background's kind, colours and shapes, and how the camera moves over it.
    Backdrop = 1031,
    /// The light at the beginning and at the end.
    Light = 1032,
    /// How training faces are varied.
    Variation = 1033,
    /// Which utterance is said.
    Utterance = 1034,
    /// The pixel noise of a frame, which is the part.
    Noise = 1035,
    /// The words of a neutral description.
    Description = 1036,
}

/// Where a face's square box stands, in units of the frame's side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FacePlacement {
    /// Middle of the box, from the left.
    pub x: f32,
    /// Middle of the box, from the top.
    pub y: f32,
    /// Side of the box.
    pub side: f32,
}

impl FacePlacement {
    /// Left, top, right and bottom of the box.
    pub fn bounds(&self) -> [f32; 4] {
        let half = self.side / 2.0;
        [self.x - half, self.y - half, self.x + half, self.y + half]
    }
}

/// How a face moves over the clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Motion {
    /// Way from the first frame to the last, in units of the frame's side.
    pub(super) drift: (f32, f32),
    /// Reach of the sway, in the same units.
    sway: (f32, f32),
    /// Sways a clip.
    rate: f32,
    /// Where in its sway the face starts, radians.
    phase: f32,
    /// The side at the end is e^`growth` times that at the start.
    pub(super) growth: f32,
    /// Tilt of the head in radians, and how far it swings.
    tilt: (f32, f32),
}

impl Motion {
    fn draw(draws: &mut Draws) -> Self {
        Self {
            drift: (draws.between(-0.06, 0.06), draws.between(-0.04, 0.04)),
            sway: (draws.between(0.0, 0.012), draws.between(0.0, 0.008)),
            rate: draws.between(0.5, 2.0),
            phase: draws.between(0.0, std::f32::consts::TAU),
            growth: draws.between(-0.16, 0.16),
            tilt: (draws.between(-0.2, 0.2), draws.between(0.0, 0.1)),
        }
    }

    fn swing(&self, time: f32) -> f32 {
        (std::f32::consts::TAU * self.rate * time + self.phase).sin()
    }
}

/// One face of a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SceneFace {
    /// Which face of the split.
    pub face: usize,
    /// What it shows.
    pub emotion: Emotion,
    /// Where its box stands in the middle of the clip.
    pub placement: FacePlacement,
    pub(super) motion: Motion,
    pub(super) looks: Looks,
    pub(super) variation: Variation,
}

impl SceneFace {
    /// Where the box stands at a time in `[0, 1]`. At least 84 % of each side stay in the frame.
    pub fn placement_at(&self, time: f32) -> FacePlacement {
        let late = time - 0.5;
        let Motion {
            drift,
            sway,
            growth,
            ..
        } = self.motion;
        let swing = self.motion.swing(time);
        let side = (self.placement.side * (growth * late).exp()).min(1.0);
        let inside = |middle: f32| {
            let least = 0.34 * side;
            middle.clamp(least, 1.0 - least)
        };
        FacePlacement {
            x: inside(self.placement.x + drift.0 * late + sway.0 * swing),
            y: inside(self.placement.y + drift.1 * late + sway.1 * swing),
            side,
        }
    }

    /// Tilt of the head at a time in `[0, 1]`, radians.
    pub(super) fn tilt_at(&self, time: f32) -> f32 {
        let (tilt, reach) = self.motion.tilt;
        tilt + reach * self.motion.swing(time)
    }
}

/// Everything a clip's pictures depend on besides the faces' pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct FaceScene {
    faces: Vec<SceneFace>,
    subject: usize,
    /// How far left, top, right and bottom of the subject's mask are off, in units of its side.
    pub(super) box_jitter: [f32; 4],
    pub(super) backdrop: Backdrop,
    /// At the beginning and at the end.
    pub(super) light: [Light; 2],
}

impl FaceScene {
    /// Plans a clip.
    pub(super) fn plan(config: &FaceConfig, faces: &FaceSplit, index: u64) -> Self {
        let split = faces.split();
        let draws =
            |purpose: Purpose| Draws::numbered(config.seed, split, index, purpose as u16, 0);
        let augmentation = match split {
            Split::Train => config.augmentation,
            Split::Validation | Split::Test => Augmentation::NONE,
        };
        let mut layout = draws(Purpose::Layout);
        let (count, placements) = match config.view_of(index) {
            FaceView::Single => {
                let whole = FacePlacement {
                    x: 0.5,
                    y: 0.5,
                    side: 1.0,
                };
                (1, vec![whole])
            }
            FaceView::Scenes => {
                let spread = config.max_faces - config.min_faces + 1;
                let count = config.min_faces + layout.below(spread);
                (count, arrange(&mut layout, count))
            }
        };
        let subject = layout.below(count);
        let cast = cast(config, faces, index, count, subject);
        let mut looks = draws(Purpose::Looks);
        let mut motion = draws(Purpose::Motion);
        let mut variation = draws(Purpose::Variation);
        let planned = placements
            .into_iter()
            .zip(cast)
            .map(|(placement, face)| SceneFace {
                face,
                emotion: faces.emotion(face),
                placement,
                motion: Motion::draw(&mut motion),
                looks: Looks::draw(&mut looks),
                variation: Variation::draw(&mut variation, &augmentation),
            })
            .collect();
        let mut light = draws(Purpose::Light);
        let first = Light::draw(&mut light);
        let last = Light::draw(&mut light);
        let amount = light.between(0.0, 0.8);
        let jitter = augmentation.box_jitter;
        Self {
            faces: planned,
            subject,
            box_jitter: std::array::from_fn(|_| variation.between(-jitter, jitter)),
            backdrop: Backdrop::draw(&mut draws(Purpose::Backdrop)),
            light: [first, first.mixed(&last, amount)],
        }
    }

    /// The faces, one to four.
    pub fn faces(&self) -> &[SceneFace] {
        &self.faces
    }

    /// Which of the faces is the subject.
    pub fn subject_index(&self) -> usize {
        self.subject
    }

    /// The subject.
    pub fn subject(&self) -> &SceneFace {
        &self.faces[self.subject]
    }

    /// What the subject shows.
    pub fn emotion(&self) -> Emotion {
        self.subject().emotion
    }

    /// What the other faces show, in their order.
    pub fn others(&self) -> Vec<Emotion> {
        let others = self.faces.iter().enumerate();
        others
            .filter(|(index, _)| *index != self.subject)
            .map(|(_, face)| face.emotion)
            .collect()
    }

    /// The same plan with other faces of the split, for tests; the emotions stay as they were.
    #[cfg(test)]
    pub(super) fn with_faces(mut self, faces: impl IntoIterator<Item = usize>) -> Self {
        for (planned, face) in self.faces.iter_mut().zip(faces) {
            planned.face = face;
        }
        self
    }

    /// The background's kind as a number, for tests of independence.
    pub fn background_kind(&self) -> usize {
        self.backdrop.kind()
    }
}

/// Which faces of the split are in a clip, with emotions that are all different.
fn cast(
    config: &FaceConfig,
    faces: &FaceSplit,
    index: u64,
    count: usize,
    subject: usize,
) -> Vec<usize> {
    let own = subject_of(config, faces, index);
    let mut draws = Draws::numbered(config.seed, faces.split(), index, Purpose::Others as u16, 0);
    let mut rest: Vec<Emotion> = Emotion::ALL
        .into_iter()
        .filter(|emotion| *emotion != faces.emotion(own))
        .collect();
    draws.shuffle(&mut rest);
    let mut cast: Vec<usize> = rest[..count - 1]
        .iter()
        .map(|emotion| {
            let candidates = faces.faces_of(*emotion);
            candidates[draws.below(candidates.len())] as usize
        })
        .collect();
    cast.insert(subject, own);
    cast
}

/// The subject's face.
fn subject_of(config: &FaceConfig, faces: &FaceSplit, index: u64) -> usize {
    let split = faces.split();
    let key = |epoch: u64, part: u32| {
        let purpose = Purpose::FaceOrder as u16;
        Draws::numbered(config.seed, split, epoch, purpose, part).bits()
    };
    let pick = |list: &[u32], visit: u64, part: u32| {
        let length = list.len() as u64;
        let place = permuted(
            key(visit / length, part),
            list.len(),
            (visit % length) as usize,
        );
        list[place] as usize
    };
    match config.sampling {
        FaceSampling::Natural => pick(faces.all_faces(), index, Emotion::COUNT as u32),
        FaceSampling::Balanced => {
            let block = Emotion::COUNT as u64;
            let visit = index / block;
            let mut order = Emotion::ALL;
            let purpose = Purpose::EmotionOrder as u16;
            Draws::numbered(config.seed, split, visit, purpose, 0).shuffle(&mut order);
            let emotion = order[(index % block) as usize];
            pick(faces.faces_of(emotion), visit, emotion.index() as u32)
        }
    }
}
