//! What EmoCLIP's release does to a clip's frames before and in training.
//!
//! Preparing a frame is [`Preprocess::emoclip`]: normalise, resize without antialiasing, crop the
//! centre. In training the prepared clip is then turned and mirrored as one, since a face that tilts
//! from frame to frame would be a motion nobody made.

use rand::{Rng, RngExt};

use super::EmoClipConfig;
use crate::preprocess::{Preprocess, PreprocessError};

/// Largest rotation in training, to either side, in degrees.
pub const MAX_ROTATION_DEGREES: f64 = 6.0;

/// The release's preprocessing for its own input size, a plain square for the small models.
pub fn default_preprocess(config: &EmoClipConfig) -> Preprocess {
    if config.vision.image_size == 224 {
        Preprocess::emoclip()
    } else {
        Preprocess::square(u32::try_from(config.vision.image_size).unwrap_or(u32::MAX))
    }
}

/// One rotation, then one reflection, for all frames of a clip: torchvision's `rotate` with nearest
/// pixels and zeros outside, and `hflip`.
///
/// The zeros come after normalising, so the corners are of the mean colour and not black.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipVariation {
    /// Counter-clockwise angle in degrees.
    pub angle_degrees: f64,
    /// Whether left and right change places.
    pub flip: bool,
}

impl ClipVariation {
    /// Leaves a clip as it is: evaluation.
    pub const NONE: Self = Self {
        angle_degrees: 0.0,
        flip: false,
    };

    /// An angle anywhere within [`MAX_ROTATION_DEGREES`] and a flip half of the time.
    pub fn draw(rng: &mut impl Rng) -> Self {
        Self {
            angle_degrees: rng.random_range(-MAX_ROTATION_DEGREES..=MAX_ROTATION_DEGREES),
            flip: rng.random_bool(0.5),
        }
    }

    /// Varies prepared frames `[T, 3, size, size]` in place.
    ///
    /// # Errors
    ///
    /// [`PreprocessError::Length`] when the values are not those of whole frames.
    pub fn apply(&self, frames: &mut [f32], size: usize) -> Result<(), PreprocessError> {
        let plane = size * size;
        let frame = 3 * plane;
        if frame == 0 || !frames.len().is_multiple_of(frame) {
            return Err(PreprocessError::Length {
                what: "the clip",
                length: frames.len(),
                expected: frames.len().div_ceil(frame.max(1)) * frame,
            });
        }
        if *self == Self::NONE {
            return Ok(());
        }
        let sources = self.sources(size);
        let mut original = vec![0.0; plane];
        for values in frames.chunks_exact_mut(plane) {
            original.copy_from_slice(values);
            for (value, source) in values.iter_mut().zip(&sources) {
                *value = source.map_or(0.0, |source| original[source]);
            }
        }
        Ok(())
    }

    /// Where each pixel of a plane comes from, in row order; `None` from outside.
    fn sources(&self, size: usize) -> Vec<Option<usize>> {
        // In f32 and in torch's order of operations, so that a pixel between two others falls to
        // the same side.
        let half = size as f32 / 2.0;
        let angle = self.angle_degrees.to_radians();
        let (cos, sin) = (angle.cos() as f32 / half, angle.sin() as f32 / half);
        let nearest = |normalised: f32| {
            let position = ((normalised + 1.0) * half - 0.5).round_ties_even();
            (position >= 0.0 && position < size as f32).then_some(position as usize)
        };
        let from_centre = |index: usize| index as f32 + 0.5 - half;
        let source = |row: usize, column: usize| {
            let column = if self.flip { size - 1 - column } else { column };
            let (x, y) = (from_centre(column), from_centre(row));
            let from_column = nearest(x * cos - y * sin)?;
            let from_row = nearest(x * sin + y * cos)?;
            Some(from_row * size + from_column)
        };
        (0..size * size)
            .map(|index| source(index / size, index % size))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// Two frames of 4 × 4 pixels whose values say where they are.
    fn frames() -> Vec<f32> {
        (0..2 * 3 * 16).map(|index| index as f32).collect()
    }

    #[test]
    fn no_variation_changes_nothing() {
        let mut varied = frames();
        ClipVariation::NONE.apply(&mut varied, 4).unwrap();
        assert_eq!(varied, frames());
    }

    #[test]
    fn flipping_twice_gives_the_clip_back() {
        let flip = ClipVariation {
            flip: true,
            ..ClipVariation::NONE
        };
        let mut varied = frames();
        flip.apply(&mut varied, 4).unwrap();
        assert_eq!(varied[..4], [3.0, 2.0, 1.0, 0.0]);
        flip.apply(&mut varied, 4).unwrap();
        assert_eq!(varied, frames());
    }

    #[test]
    fn a_quarter_turn_brings_the_right_edge_to_the_top() {
        let quarter = ClipVariation {
            angle_degrees: 90.0,
            flip: false,
        };
        let mut varied = frames();
        quarter.apply(&mut varied, 4).unwrap();
        assert_eq!(varied[..4], [3.0, 7.0, 11.0, 15.0]);
        assert_eq!(varied[16..20], [19.0, 23.0, 27.0, 31.0]);
    }

    #[test]
    fn what_turns_in_from_outside_is_zero() {
        let mut varied = vec![1.0; 3 * 64 * 64];
        let variation = ClipVariation {
            angle_degrees: MAX_ROTATION_DEGREES,
            flip: false,
        };
        variation.apply(&mut varied, 64).unwrap();
        assert_eq!(varied[0], 0.0);
        assert_eq!(varied[32 * 64 + 32], 1.0);
    }

    #[test]
    fn draws_are_repeatable_and_within_bounds() {
        let draw = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..100)
                .map(|_| ClipVariation::draw(&mut rng))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        let drawn = draw(3);
        let angles = drawn.iter().map(|variation| variation.angle_degrees);
        assert!(
            angles
                .clone()
                .all(|angle| angle.abs() <= MAX_ROTATION_DEGREES)
        );
        assert!(
            angles.clone().any(|angle| angle > 3.0) && angles.clone().any(|angle| angle < -3.0)
        );
        let flips = drawn.iter().filter(|variation| variation.flip).count();
        assert!((30..=70).contains(&flips), "{flips} of 100");
    }

    #[test]
    fn parts_of_frames_are_refused() {
        let error = ClipVariation::NONE.apply(&mut [0.0; 50], 4).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the clip has 50 values where 96 are needed; pass one whole frame"
        );
        assert!(ClipVariation::NONE.apply(&mut [], 0).is_err());
    }

    #[test]
    fn presets_have_preprocessing_of_their_input_size() {
        use crate::emoclip::EmoClipPreset;

        for preset in EmoClipPreset::ALL {
            let config = preset.config();
            let preprocess = default_preprocess(&config);
            assert_eq!(preprocess.crop as usize, config.vision.image_size);
        }
        assert_eq!(
            default_preprocess(&EmoClipConfig::vit_b_32()),
            Preprocess::emoclip()
        );
    }
}
