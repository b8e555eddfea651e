//! What each emotion does to a body.

use emotionclip::Emotion;

use super::blendable;

blendable! {
    /// The state of a body; lengths in units of the figure's height, hands measured from the
    /// middle of the base, y downwards.
    Pose {
        /// Turn of the trunk about its base in radians, to the right.
        lean,
        /// Height of the trunk in units of its height at rest.
        stretch,
        /// How far the shoulders are drawn up.
        shrug,
        /// Turn of the head in radians, clockwise.
        head_tilt,
        /// Where the face points, -1..=1, to the right.
        head_turn,
        /// Where the face points, -1..=1, downwards.
        head_nod,
        /// How far the head sinks between the shoulders.
        head_drop,
        /// Size of the head: above 1 when it comes towards the viewer.
        head_scale,
        /// The left hand of the picture.
        left_x, left_y,
        /// The right hand of the picture.
        right_x, right_y,
        /// How far the hands are open, 0 is a fist.
        left_open, right_open,
        /// How far the elbows stick out.
        left_elbow, right_elbow,
        /// Reach of a fast tremble.
        tremble,
        /// Reach of a rhythmic bounce.
        bounce,
    }
}

impl Pose {
    /// Standing at ease.
    const NEUTRAL: Self = Self {
        lean: 0.0,
        stretch: 1.0,
        shrug: 0.0,
        head_tilt: 0.0,
        head_turn: 0.0,
        head_nod: 0.0,
        head_drop: 0.0,
        head_scale: 1.0,
        left_x: -0.25,
        left_y: -0.09,
        right_x: 0.25,
        right_y: -0.09,
        left_open: 0.3,
        right_open: 0.3,
        left_elbow: 0.3,
        right_elbow: 0.3,
        tremble: 0.0,
        bounce: 0.0,
    };

    /// Both hands at once.
    const fn hands(self, left: (f32, f32), right: (f32, f32), open: f32, elbow: f32) -> Self {
        Self {
            left_x: left.0,
            left_y: left.1,
            right_x: right.0,
            right_y: right.1,
            left_open: open,
            right_open: open,
            left_elbow: elbow,
            right_elbow: elbow,
            ..self
        }
    }

    /// One of an emotion's three postures.
    pub(super) fn of(emotion: Emotion, posture: usize) -> Self {
        let rest = Self::NEUTRAL;
        match emotion {
            Emotion::Neutral => match posture {
                0 => rest,
                1 => rest.hands((-0.05, -0.11), (0.05, -0.11), 0.2, 0.6),
                _ => rest.hands((-0.26, -0.08), (0.19, -0.10), 0.2, 0.5),
            },
            Emotion::Anger => {
                let base = Self {
                    shrug: 0.025,
                    head_nod: 0.25,
                    head_drop: 0.03,
                    head_scale: 1.08,
                    tremble: 0.006,
                    ..rest
                };
                match posture {
                    0 => base.hands((-0.35, -0.12), (0.35, -0.12), 0.0, 0.8),
                    1 => base.hands((-0.18, -0.13), (0.18, -0.13), 0.0, 1.0),
                    _ => Self {
                        lean: 0.12,
                        ..base.hands((-0.19, -0.13), (0.35, -0.50), 0.0, 1.0)
                    },
                }
            }
            Emotion::Disgust => {
                let base = Self {
                    lean: -0.20,
                    head_turn: -0.6,
                    head_tilt: -0.20,
                    shrug: 0.01,
                    ..rest
                };
                match posture {
                    0 => base.hands((-0.10, -0.16), (0.36, -0.33), 1.0, 0.5),
                    1 => base.hands((0.20, -0.20), (0.38, -0.27), 1.0, 0.4),
                    _ => Self {
                        stretch: 0.93,
                        ..base.hands((-0.06, -0.14), (0.10, -0.17), 0.8, 0.9)
                    },
                }
            }
            Emotion::Fear => {
                let base = Self {
                    stretch: 0.88,
                    shrug: 0.05,
                    head_drop: 0.02,
                    head_scale: 0.95,
                    tremble: 0.016,
                    ..rest
                };
                match posture {
                    0 => base.hands((-0.15, -0.34), (0.15, -0.34), 0.7, 0.9),
                    1 => base.hands((0.13, -0.26), (-0.13, -0.24), 0.5, 0.7),
                    _ => Self {
                        lean: -0.10,
                        ..base.hands((-0.25, -0.66), (0.25, -0.66), 0.9, 1.0)
                    },
                }
            }
            Emotion::Joy => {
                let base = Self {
                    stretch: 1.04,
                    head_tilt: 0.10,
                    head_nod: -0.15,
                    bounce: 0.025,
                    ..rest
                };
                match posture {
                    0 => base.hands((-0.36, -0.82), (0.36, -0.82), 1.0, 0.4),
                    1 => base.hands((-0.39, -0.55), (0.39, -0.55), 1.0, 0.3),
                    _ => Self {
                        lean: -0.06,
                        ..base.hands((-0.37, -0.30), (0.36, -0.84), 0.9, 0.3)
                    },
                }
            }
            Emotion::Sadness => {
                let base = Self {
                    stretch: 0.88,
                    head_tilt: 0.26,
                    head_nod: 0.5,
                    head_drop: 0.06,
                    head_scale: 0.97,
                    ..rest
                };
                match posture {
                    0 => base.hands((-0.19, -0.02), (0.19, -0.02), 0.2, 0.1),
                    1 => Self {
                        left_x: -0.19,
                        left_y: -0.02,
                        right_x: 0.20,
                        right_y: -0.45,
                        right_open: 0.2,
                        right_elbow: 1.0,
                        ..base
                    },
                    _ => Self {
                        lean: 0.13,
                        ..base.hands((-0.06, -0.04), (0.06, -0.04), 0.2, 0.3)
                    },
                }
            }
            Emotion::Surprise => {
                let base = Self {
                    stretch: 1.06,
                    shrug: 0.03,
                    head_nod: -0.25,
                    head_drop: -0.01,
                    ..rest
                };
                match posture {
                    0 => base.hands((-0.35, -0.58), (0.35, -0.58), 1.0, 0.9),
                    1 => Self {
                        lean: -0.10,
                        ..base.hands((-0.37, -0.36), (0.37, -0.36), 1.0, 0.6)
                    },
                    _ => base.hands((-0.24, -0.47), (0.36, -0.34), 1.0, 0.9),
                }
            }
        }
    }

    /// The same posture seen in a mirror.
    pub(super) fn mirrored(self) -> Self {
        Self {
            lean: -self.lean,
            head_tilt: -self.head_tilt,
            head_turn: -self.head_turn,
            left_x: -self.right_x,
            left_y: self.right_y,
            right_x: -self.left_x,
            right_y: self.left_y,
            left_open: self.right_open,
            right_open: self.left_open,
            left_elbow: self.right_elbow,
            right_elbow: self.left_elbow,
            ..self
        }
    }
}
