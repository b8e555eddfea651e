//! From 8-bit levels to the encoder's numbers and back.

use image::RgbImage;

use super::config::Preprocess;
use super::error::PreprocessError;

/// The normalised value of each level, by channel. 256 values a channel are cheaper than two
/// divisions a pixel and the same to the last bit.
pub(super) type Levels = [[f32; 256]; 3];

impl Preprocess {
    /// (level / 255 − mean) / std in f32, in torchvision's order of operations.
    pub(super) fn levels(&self) -> Box<Levels> {
        let mut levels = Box::new([[0.0; 256]; 3]);
        for ((channel, mean), std) in levels.iter_mut().zip(self.mean).zip(self.std) {
            for (level, value) in (0u8..=u8::MAX).zip(channel) {
                *value = (f32::from(level) / 255.0 - mean) / std;
            }
        }
        levels
    }

    /// The picture that a normalised frame `[3, crop, crop]` shows, for reports. Values outside
    /// the range of a picture are clipped, NaN becomes black.
    ///
    /// # Errors
    /// [`PreprocessError::Length`] when `frame` is not 3 · `crop` · `crop` long.
    pub fn denormalise(&self, frame: &[f32]) -> Result<RgbImage, PreprocessError> {
        let side = self.crop as usize;
        let plane = side.saturating_mul(side);
        let wrong_length = || PreprocessError::Length {
            what: "the frame",
            length: frame.len(),
            expected: plane.saturating_mul(3),
        };
        if frame.len() != plane.saturating_mul(3) {
            return Err(wrong_length());
        }
        let mut pixels = vec![0; frame.len()];
        for (index, value) in frame.iter().enumerate() {
            let (channel, position) = (index / plane, index % plane);
            let level = (value * self.std[channel] + self.mean[channel]) * 255.0;
            pixels[3 * position + channel] = level.round() as u8;
        }
        RgbImage::from_raw(self.crop, self.crop, pixels).ok_or_else(wrong_length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_survives_the_round_trip() {
        for config in [
            Preprocess::square(16),
            Preprocess {
                crop: 16,
                ..Preprocess::emoclip()
            },
        ] {
            let levels = config.levels();
            let frame: Vec<f32> = levels.iter().flatten().copied().collect();
            let picture = config.denormalise(&frame).unwrap();
            for (level, pixel) in (0..=u8::MAX).zip(picture.pixels()) {
                assert_eq!(pixel.0, [level; 3]);
            }
        }
    }

    #[test]
    fn out_of_range_values_are_clipped_and_lengths_checked() {
        let config = Preprocess::square(1);
        let picture = config
            .denormalise(&[f32::INFINITY, -1e9, f32::NAN])
            .unwrap();
        assert_eq!(picture.get_pixel(0, 0).0, [255, 0, 0]);
        assert!(config.denormalise(&[0.0; 4]).is_err());
    }
}
