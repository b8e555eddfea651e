//! What each emotion does to a face and to a body.
//!
//! Both are plain vectors of numbers, so that the way from neutral to the full expression is a
//! straight line and face and posture can be switched on and off one by one. Every emotion has
//! three postures and small deviations, otherwise one joint would give it away.

use emotionclip::Emotion;

use super::draws::Draws;

mod face;
mod pose;

pub(super) use face::Face;
pub(super) use pose::Pose;

/// Declares a struct of numbers that can be blended field by field.
macro_rules! blendable {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(in crate::synthetic) struct $name { $($(#[$field_meta])* pub(in crate::synthetic) $field: f32),+ }

        impl $name {
            /// The way from this state to another, `amount` 0 here and 1 there.
            pub(super) fn towards(&self, other: &Self, amount: f32) -> Self {
                Self { $($field: self.$field + (other.$field - self.$field) * amount),+ }
            }
        }
    };
}

use blendable;

/// How one figure shows an emotion. It is drawn the same way whatever the emotion is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Manner {
    /// Chooses among the postures of an emotion.
    posture: usize,
    /// Chooses among the mouths of an emotion.
    mouth: usize,
    /// Left and right are swapped.
    mirrored: bool,
    /// How much of the full expression the face reaches.
    face: f32,
    /// How much of the full expression the body reaches.
    body: f32,
    /// Deviations, each uniform in `[-1, 1)`.
    jitter: [f32; 12],
}

impl Manner {
    /// Draws a manner; `restraint` is the probability of a body that shows little.
    pub(super) fn draw(draws: &mut Draws, restraint: f32) -> Self {
        let restrained = draws.chance(restraint);
        let [little, much] = [draws.between(0.1, 0.4), draws.between(0.85, 1.1)];
        Self {
            posture: draws.below(3),
            mouth: draws.below(2),
            mirrored: draws.chance(0.5),
            face: draws.between(0.9, 1.1),
            body: if restrained { little } else { much },
            jitter: std::array::from_fn(|_| draws.between(-1.0, 1.0)),
        }
    }

    /// The face of an emotion at `progress` from neutral (0) to the full expression (1).
    pub(super) fn face(&self, emotion: Emotion, progress: f32) -> Face {
        let mut rest = Face::NEUTRAL;
        rest.brow_lift += 0.03 * self.jitter[0];
        rest.eye_top += 0.03 * self.jitter[1];
        rest.mouth_width += 0.05 * self.jitter[2];
        rest.mouth_curve += 0.03 * self.jitter[3];
        rest.gaze_x += 0.5 * self.jitter[4];
        let mut goal = Face::of(emotion, self.mouth);
        goal.brow_lift += 0.04 * self.jitter[0];
        goal.eye_top += 0.03 * self.jitter[1];
        goal.mouth_width *= 1.0 + 0.12 * self.jitter[2];
        goal.mouth_open *= 1.0 + 0.15 * self.jitter[5];
        goal.gaze_x += 0.3 * self.jitter[4];
        let mut face = rest.towards(&goal, progress * self.face);
        if self.mirrored {
            face.brow_skew = -face.brow_skew;
            face.mouth_skew = -face.mouth_skew;
            face.gaze_x = -face.gaze_x;
        }
        face
    }

    /// The posture of an emotion at `progress` from neutral (0) to the full expression (1).
    pub(super) fn pose(&self, emotion: Emotion, progress: f32) -> Pose {
        let mut rest = Pose::of(Emotion::Neutral, self.posture);
        rest.lean += 0.03 * self.jitter[6];
        rest.head_tilt += 0.05 * self.jitter[7];
        rest.head_turn += 0.25 * self.jitter[8];
        let mut goal = Pose::of(emotion, self.posture);
        goal.lean += 0.03 * self.jitter[6];
        goal.head_tilt += 0.05 * self.jitter[7];
        goal.head_turn += 0.25 * self.jitter[8];
        goal.left_x += 0.025 * self.jitter[9];
        goal.left_y += 0.025 * self.jitter[10];
        goal.right_x += 0.025 * self.jitter[11];
        goal.right_y += 0.025 * self.jitter[9];
        let pose = rest.towards(&goal, progress * self.body);
        if self.mirrored { pose.mirrored() } else { pose }
    }
}
