//! How a training face is varied: what augmentation does to the pixels of one face.

use super::config::Augmentation;
use super::{FACE_PIXELS, FACE_SIDE};
use crate::synthetic::draws::Draws;

/// Smallest area that is worth painting over, as a share of the face's.
const LEAST_ERASED: f32 = 0.02;

/// Middle of the grey values, about which contrast changes.
const MIDDLE: f32 = 128.0;

/// One draw of the augmentation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Variation {
    /// In units of the frame's side.
    shift: (f32, f32),
    scale: f32,
    /// Radians.
    rotation: f32,
    flip: bool,
    /// Grey levels.
    brightness: f32,
    contrast: f32,
    erased: Option<Erased>,
    /// Whether a single face takes its tint.
    pub(super) tinted: bool,
}

/// A rectangle that is painted over, in pixels of the face.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Erased {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
    grey: u8,
}

impl Variation {
    /// Draws one; always the same number of draws, whatever the settings.
    pub(super) fn draw(draws: &mut Draws, augmentation: &Augmentation) -> Self {
        let both = |draws: &mut Draws, reach: f32| draws.between(-reach, reach);
        let shift = (
            both(draws, augmentation.shift),
            both(draws, augmentation.shift),
        );
        let smallest = -augmentation.scale - augmentation.shrink;
        let scale = draws.between(smallest, augmentation.scale);
        let rotation = both(draws, augmentation.rotation_degrees.to_radians());
        let brightness = both(draws, augmentation.brightness * 255.0);
        let contrast = both(draws, augmentation.contrast);
        let erased = Erased::draw(draws, augmentation.erase_area);
        Self {
            shift,
            scale: scale.exp(),
            rotation,
            flip: draws.chance(augmentation.flip),
            brightness,
            contrast: contrast.exp(),
            erased: draws.chance(augmentation.erase).then_some(erased),
            tinted: draws.chance(augmentation.tint),
        }
    }

    /// The same with nothing painted over.
    pub(super) fn without_erasing(self) -> Self {
        Self {
            erased: None,
            ..self
        }
    }

    /// The face's grey values with everything but its place changed.
    pub(super) fn apply(&self, pixels: &[u8]) -> Vec<u8> {
        let side = FACE_SIDE as usize;
        let mut changed = Vec::with_capacity(FACE_PIXELS);
        for row in pixels.chunks_exact(side) {
            let grey = |value: &u8| {
                let value = (f32::from(*value) - MIDDLE) * self.contrast + MIDDLE;
                // `as` saturates at 0 and 255.
                (value + self.brightness).round() as u8
            };
            if self.flip {
                changed.extend(row.iter().rev().map(grey));
            } else {
                changed.extend(row.iter().map(grey));
            }
        }
        if let Some(erased) = &self.erased {
            for row in changed
                .chunks_exact_mut(side)
                .take(erased.bottom)
                .skip(erased.top)
            {
                row[erased.left..erased.right].fill(erased.grey);
            }
        }
        changed
    }

    /// Where a point of the frame, in units of its side from its middle, lies on the face, in units
    /// of the face's side from its middle: the matrix's rows and the offset.
    pub(super) fn frame_to_face(&self) -> [[f32; 3]; 2] {
        let (sin, cos) = self.rotation.sin_cos();
        let (a, b) = (cos / self.scale, sin / self.scale);
        let (x, y) = self.shift;
        [[a, b, -(a * x + b * y)], [-b, a, b * x - a * y]]
    }
}

impl Erased {
    fn draw(draws: &mut Draws, largest: f32) -> Self {
        let side = FACE_SIDE as f32;
        let area = draws.between(LEAST_ERASED.min(largest), largest);
        let aspect = draws.between(-0.7, 0.7).exp();
        let width = ((area * aspect).sqrt() * side).min(side).round();
        let height = ((area / aspect).sqrt() * side).min(side).round();
        let left = (draws.unit() * (side - width + 1.0)).floor();
        let top = (draws.unit() * (side - height + 1.0)).floor();
        let edge = |value: f32| value.clamp(0.0, side) as usize;
        Self {
            left: edge(left),
            top: edge(top),
            right: edge(left + width),
            bottom: edge(top + height),
            grey: (draws.unit() * 256.0) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Split;

    fn variation(index: u64, augmentation: &Augmentation) -> Variation {
        let mut draws = Draws::numbered(3, Split::Train, index, 2001, 0);
        Variation::draw(&mut draws, augmentation)
    }

    #[test]
    fn no_augmentation_changes_nothing() {
        let pixels: Vec<u8> = (0..FACE_PIXELS).map(|index| index as u8).collect();
        for index in 0..50 {
            let none = variation(index, &Augmentation::NONE);
            assert_eq!(none.apply(&pixels), pixels);
            assert_eq!(none.frame_to_face(), [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
            assert!(!none.tinted);
        }
    }

    #[test]
    fn each_strength_has_its_effect() {
        let pixels: Vec<u8> = (0..FACE_PIXELS)
            .map(|index| (index % 200) as u8 + 20)
            .collect();
        let mirror = Augmentation {
            flip: 1.0,
            ..Augmentation::NONE
        };
        let mirrored = variation(0, &mirror).apply(&pixels);
        assert_eq!(mirrored[0], pixels[47]);
        let brighter = Augmentation {
            brightness: 0.2,
            ..Augmentation::NONE
        };
        let means: Vec<f32> = (0..200)
            .map(|index| {
                let varied = variation(index, &brighter).apply(&pixels);
                varied.iter().map(|value| f32::from(*value)).sum::<f32>() / FACE_PIXELS as f32
            })
            .collect();
        let (low, high) = means
            .iter()
            .fold((255.0_f32, 0.0_f32), |(low, high), mean| {
                (low.min(*mean), high.max(*mean))
            });
        // ±51 levels around the mean of about 119, of which 200 draws come near the ends.
        assert!(
            (66.0..80.0).contains(&low) && (158.0..172.0).contains(&high),
            "{low} {high}"
        );
        let smaller = Augmentation {
            shrink: 1.0,
            ..Augmentation::NONE
        };
        let scales = (0..200).map(|index| variation(index, &smaller).scale);
        let (low, high) = scales.fold((1.0_f32, 0.0_f32), |(low, high), scale| {
            (low.min(scale), high.max(scale))
        });
        assert!(
            (0.367..0.39).contains(&low) && (0.97..=1.0).contains(&high),
            "{low} {high}"
        );
        let erase = Augmentation {
            erase: 1.0,
            erase_area: 0.2,
            ..Augmentation::NONE
        };
        for index in 0..100 {
            let erased = variation(index, &erase).apply(&pixels);
            let changed = erased.iter().zip(&pixels).filter(|(a, b)| a != b).count();
            // 2 to 20 %, rounded to whole pixels by half a row and a column at most.
            let share = changed as f32 / FACE_PIXELS as f32;
            assert!((0.01..0.23).contains(&share), "{share}");
        }
    }

    #[test]
    fn the_place_on_the_face_undoes_shift_turn_and_scale() {
        let augmentation = Augmentation {
            shift: 0.1,
            scale: 0.3,
            rotation_degrees: 30.0,
            ..Augmentation::NONE
        };
        for index in 0..50 {
            let varied = variation(index, &augmentation);
            let [across, down] = varied.frame_to_face();
            let (u, v) = (0.2, -0.3);
            let (sin, cos) = varied.rotation.sin_cos();
            let x = varied.scale * (cos * u - sin * v) + varied.shift.0;
            let y = varied.scale * (sin * u + cos * v) + varied.shift.1;
            assert!((across[0] * x + across[1] * y + across[2] - u).abs() < 1e-5);
            assert!((down[0] * x + down[1] * y + down[2] - v).abs() < 1e-5);
        }
    }
}
