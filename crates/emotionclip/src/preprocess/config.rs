//! The settings of the preprocessing and the presets of the two releases.

use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::error::PreprocessError;
use super::geometry::{centre_offset, shorter_side_size};
use super::resize::resize_bicubic;

/// Mean of ImageNet's RGB channels in [0, 1], used by the EmotionCLIP release.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of ImageNet's RGB channels in [0, 1], used by the EmotionCLIP release.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
/// Mean of CLIP's RGB channels in [0, 1], used by the EmoCLIP release.
pub const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Standard deviation of CLIP's RGB channels in [0, 1], used by the EmoCLIP release.
pub const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// Largest `resize` accepted: no encoder of this family sees more than a few hundred pixels.
const MAX_RESIZE: u32 = 4096;

/// How and when a frame is resized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resampling {
    /// The 8-bit picture by PIL's bicubic with antialiasing, then normalised (EmotionCLIP).
    #[default]
    Antialiased,
    /// The normalised floats by torch's bicubic without antialiasing (EmoCLIP).
    Interpolated,
}

/// How frames and masks become the tensors of a frame encoder: resize the shorter side, crop a
/// square, normalise each channel to (value − `mean`) / `std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Length of the shorter side after resizing, in pixels.
    pub resize: u32,
    /// Side of the square crop, in pixels; at most `resize`.
    pub crop: u32,
    /// Mean of each RGB channel, of values in [0, 1].
    pub mean: [f32; 3],
    /// Standard deviation of each RGB channel, of values in [0, 1].
    pub std: [f32; 3],
    /// How and when a frame is resized.
    #[serde(default)]
    pub resampling: Resampling,
}

impl Default for Preprocess {
    fn default() -> Self {
        Self::release()
    }
}

impl Preprocess {
    /// The EmotionCLIP release: shorter side 256, crop 224, ImageNet's mean and deviation.
    pub const fn release() -> Self {
        Self {
            resize: 256,
            crop: 224,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
            resampling: Resampling::Antialiased,
        }
    }

    /// The EmotionCLIP release on EMOTIC: shorter side and crop 224.
    pub const fn emotic() -> Self {
        Self::square(224)
    }

    /// The EmoCLIP release: shorter side and crop 224, CLIP's mean and deviation, interpolated
    /// after normalising.
    pub const fn emoclip() -> Self {
        Self {
            resize: 224,
            crop: 224,
            mean: CLIP_MEAN,
            std: CLIP_STD,
            resampling: Resampling::Interpolated,
        }
    }

    /// For small models: shorter side and crop `size`, ImageNet's mean and deviation.
    pub const fn square(size: u32) -> Self {
        Self {
            resize: size,
            crop: size,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
            resampling: Resampling::Antialiased,
        }
    }

    /// Checks that clips can be prepared with these settings.
    ///
    /// # Errors
    /// [`PreprocessError::Config`] names the first field that no clip can be prepared with.
    pub fn validate(&self) -> Result<(), PreprocessError> {
        let refuse =
            |field, value: String, rule| Err(PreprocessError::Config { field, value, rule });
        if !(1..=MAX_RESIZE).contains(&self.resize) {
            return refuse(
                "resize",
                self.resize.to_string(),
                "set it between 1 and 4096 pixels",
            );
        }
        if !(1..=self.resize).contains(&self.crop) {
            return refuse(
                "crop",
                self.crop.to_string(),
                "set it between 1 and preprocess.resize, or the frame is smaller than the crop",
            );
        }
        if !self.mean.iter().all(|mean| mean.is_finite()) {
            return refuse("mean", format!("{:?}", self.mean), "set finite numbers");
        }
        if !self.std.iter().all(|std| std.is_finite() && *std > 0.0) {
            return refuse(
                "std",
                format!("{:?}", self.std),
                "set finite numbers above zero",
            );
        }
        Ok(())
    }

    /// `[width, height]` of a frame of `[width, height]` pixels after resizing: the shorter side is
    /// `resize`, the longer ⌊`resize` · long / short⌋.
    ///
    /// # Errors
    /// The frame is empty, or so elongated that it would become larger than 2^26 pixels.
    pub fn resized_size(&self, frame: [u32; 2]) -> Result<[u32; 2], PreprocessError> {
        shorter_side_size(frame, self.resize)
    }

    /// Resizes a frame as [`Resampling::Antialiased`] does, without cropping. A frame resized
    /// before passes through [`Preprocess::clip`] unchanged.
    ///
    /// # Errors
    /// As [`Preprocess::resized_size`].
    pub fn resize_frame(&self, frame: &RgbImage) -> Result<RgbImage, PreprocessError> {
        let (width, height) = frame.dimensions();
        let [new_width, new_height] = self.resized_size([width, height])?;
        if (width, height) == (new_width, new_height) {
            return Ok(frame.clone());
        }
        resize_bicubic(frame, new_width, new_height)
    }

    /// The largest `[left, top]` offset of a crop in a frame of `width` x `height` pixels (before
    /// resizing); a random crop draws each coordinate from 0 to it, both included. `[0, 0]` for a
    /// frame that [`Preprocess::clip`] refuses.
    pub fn crop_range(&self, width: u32, height: u32) -> [u32; 2] {
        match self.resized_size([width, height]) {
            Ok(resized) => resized.map(|side| side.saturating_sub(self.crop)),
            Err(_) => [0, 0],
        }
    }

    /// The part of a frame of `[width, height]` pixels that the centre crop keeps: left, top, right
    /// and bottom edge in the frame's pixels.
    ///
    /// # Errors
    /// As [`resized_size`](Self::resized_size).
    pub fn centre_view(&self, frame: [u32; 2]) -> Result<[f32; 4], PreprocessError> {
        let resized = self.resized_size(frame)?;
        let [left, top] = self.centre_crop(resized);
        let [x, y] = [0, 1].map(|axis| frame[axis] as f32 / resized[axis] as f32);
        Ok([
            left as f32 * x,
            top as f32 * y,
            (left + self.crop) as f32 * x,
            (top + self.crop) as f32 * y,
        ])
    }

    /// `[left, top]` of the centre crop in a resized frame of `[width, height]` pixels.
    pub(super) fn centre_crop(&self, resized: [u32; 2]) -> [u32; 2] {
        resized.map(|side| centre_offset(side, self.crop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_survive_json() {
        for preset in [
            Preprocess::release(),
            Preprocess::emotic(),
            Preprocess::emoclip(),
            Preprocess::square(64),
        ] {
            assert_eq!(preset.validate(), Ok(()));
            let text = serde_json::to_string(&preset).unwrap();
            assert_eq!(serde_json::from_str::<Preprocess>(&text).unwrap(), preset);
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = r#"{"resize":64,"crop":64,"mean":[0,0,0],"std":[1,1,1],"centre":true}"#;
        let error = serde_json::from_str::<Preprocess>(text).unwrap_err();
        assert!(error.to_string().contains("centre"), "{error}");
    }

    #[test]
    fn each_impossible_setting_is_named() {
        let base = Preprocess::release();
        let broken = [
            (
                "resize",
                Preprocess {
                    resize: 0,
                    ..base.clone()
                },
            ),
            (
                "resize",
                Preprocess {
                    resize: 1 << 20,
                    ..base.clone()
                },
            ),
            (
                "crop",
                Preprocess {
                    crop: 0,
                    ..base.clone()
                },
            ),
            (
                "crop",
                Preprocess {
                    crop: 257,
                    ..base.clone()
                },
            ),
            (
                "mean",
                Preprocess {
                    mean: [f32::NAN; 3],
                    ..base.clone()
                },
            ),
            (
                "std",
                Preprocess {
                    std: [0.0; 3],
                    ..base
                },
            ),
        ];
        for (name, config) in broken {
            match config.validate() {
                Err(PreprocessError::Config { field, .. }) => assert_eq!(field, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_crop_range_ends_where_the_resized_frame_does() {
        let release = Preprocess::release();
        assert_eq!(release.crop_range(1280, 720), [455 - 224, 256 - 224]);
        assert_eq!(release.crop_range(10, 20), [32, 512 - 224]);
        assert_eq!(release.crop_range(0, 720), [0, 0]);
    }
}
