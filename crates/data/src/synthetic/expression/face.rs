//! What each emotion does to a face.

use emotionclip::Emotion;

use super::blendable;

blendable! {
    /// The state of a face; lengths in units of the head's radius.
    Face {
        /// How far the brows are raised.
        brow_lift,
        /// Positive: the inner ends of the brows are down (anger); negative: up (grief, fear).
        brow_slope,
        /// How much higher the right brow is than the left.
        brow_skew,
        /// Half height of the opening of the eyes above their middle.
        eye_top,
        /// Half height of the opening below the middle; negative pushes the lower lid up.
        eye_bottom,
        /// Positive: the inner corners of the eyes are down; negative: up.
        eye_slope,
        /// Radius of the pupils.
        pupil,
        /// Where the eyes look, -1..=1, to the right.
        gaze_x,
        /// Where the eyes look, -1..=1, downwards.
        gaze_y,
        /// Half width of the mouth.
        mouth_width,
        /// How far the mouth is open.
        mouth_open,
        /// Positive: the corners of the mouth are up; negative: down.
        mouth_curve,
        /// How much higher the right corner of the mouth is.
        mouth_skew,
        /// Height of a wave along the lips.
        mouth_wave,
        /// Share of the open mouth that teeth fill.
        teeth,
        /// How far the tongue is out.
        tongue,
        /// Depth of the creases beside the nose.
        creases,
    }
}

impl Face {
    /// A relaxed face.
    pub(super) const NEUTRAL: Self = Self {
        brow_lift: 0.05,
        brow_slope: -0.02,
        brow_skew: 0.0,
        eye_top: 0.17,
        eye_bottom: 0.15,
        eye_slope: 0.0,
        pupil: 0.14,
        gaze_x: 0.0,
        gaze_y: 0.0,
        mouth_width: 0.27,
        mouth_open: 0.0,
        mouth_curve: 0.02,
        mouth_skew: 0.0,
        mouth_wave: 0.0,
        teeth: 0.0,
        tongue: 0.0,
        creases: 0.0,
    };

    /// The full expression of an emotion, with one of two mouths.
    pub(super) fn of(emotion: Emotion, mouth: usize) -> Self {
        let first = mouth == 0;
        let rest = Self::NEUTRAL;
        match emotion {
            Emotion::Neutral => rest,
            Emotion::Anger => Self {
                brow_lift: -0.13,
                brow_slope: 0.20,
                eye_top: 0.11,
                eye_bottom: 0.13,
                eye_slope: 0.09,
                pupil: 0.12,
                mouth_width: if first { 0.42 } else { 0.36 },
                mouth_open: if first { 0.30 } else { 0.05 },
                mouth_curve: if first { -0.10 } else { -0.22 },
                teeth: if first { 1.0 } else { 0.0 },
                creases: 0.35,
                ..rest
            },
            Emotion::Disgust => Self {
                brow_lift: -0.08,
                brow_slope: 0.06,
                brow_skew: 0.16,
                eye_top: 0.05,
                eye_bottom: 0.06,
                gaze_x: -0.7,
                mouth_width: 0.34,
                mouth_open: if first { 0.20 } else { 0.10 },
                mouth_curve: -0.15,
                mouth_skew: 0.14,
                mouth_wave: if first { 0.0 } else { 0.05 },
                tongue: if first { 0.34 } else { 0.22 },
                creases: 1.0,
                ..rest
            },
            Emotion::Fear => Self {
                brow_lift: 0.20,
                brow_slope: -0.19,
                eye_top: 0.29,
                eye_bottom: 0.25,
                eye_slope: -0.04,
                pupil: 0.075,
                mouth_width: if first { 0.38 } else { 0.30 },
                mouth_open: if first { 0.17 } else { 0.24 },
                mouth_curve: -0.10,
                mouth_wave: 0.07,
                teeth: if first { 0.9 } else { 0.3 },
                ..rest
            },
            Emotion::Joy => Self {
                brow_lift: 0.16,
                eye_top: if first { 0.10 } else { 0.20 },
                eye_bottom: if first { -0.07 } else { 0.06 },
                pupil: 0.15,
                mouth_width: 0.48,
                mouth_open: if first { 0.38 } else { 0.22 },
                mouth_curve: 0.26,
                teeth: 0.45,
                ..rest
            },
            Emotion::Sadness => Self {
                brow_lift: 0.08,
                brow_slope: -0.22,
                eye_top: 0.06,
                eye_bottom: 0.13,
                eye_slope: -0.08,
                gaze_y: 0.7,
                mouth_width: if first { 0.30 } else { 0.36 },
                mouth_open: if first { 0.02 } else { 0.10 },
                mouth_curve: -0.24,
                mouth_wave: if first { 0.0 } else { 0.03 },
                ..rest
            },
            Emotion::Surprise => Self {
                brow_lift: 0.32,
                eye_top: 0.30,
                eye_bottom: 0.27,
                pupil: 0.15,
                mouth_width: if first { 0.20 } else { 0.25 },
                mouth_open: if first { 0.46 } else { 0.36 },
                mouth_curve: 0.0,
                ..rest
            },
        }
    }
}
