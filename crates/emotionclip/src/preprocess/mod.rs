//! From pictures and boxes to the tensors of a frame encoder.
//!
//! An encoder is as good as its input is like the one it was trained on, so every step here is
//! the releases' own, rounding included: PIL's bicubic to the bit, torchvision's size and crop
//! rules, and each corpus' way from boxes to masks.
//!
//! ```
//! use emotionclip::preprocess::{Crops, MaskProtocol, Preprocess, SubjectBox};
//! use emotionclip::Clip;
//! use image::RgbImage;
//!
//! let preprocess = Preprocess::release();
//! let subject = SubjectBox { x1: 40.0, y1: 30.0, x2: 200.0, y2: 230.0, score: None };
//! let frame = RgbImage::new(320, 240);
//! let (frame, mask) = preprocess.subject_frame(frame, &[subject], MaskProtocol::Emotic)?;
//! let clip = Clip { frames: vec![frame], masks: vec![mask] };
//! let prepared = preprocess.clip(&clip, &Crops::Centre)?;
//! assert_eq!(prepared.frames.len(), 3 * 224 * 224);
//! # Ok::<(), emotionclip::preprocess::PreprocessError>(())
//! ```

mod config;
mod coverage;
mod device;
mod error;
mod geometry;
mod interpolate;
mod normalise;
mod resize;
mod subject;

use image::{GrayImage, RgbImage};

use crate::clip::Clip;
use geometry::Window;
use interpolate::{bicubic_taps, bilinear_taps, interpolate};
use normalise::Levels;
use resize::resize_bicubic_window;

pub use config::{CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, Preprocess, Resampling};
pub use coverage::patch_coverage;
pub(crate) use device::resize_on_device;
pub use device::{DeviceFrame, SubjectArea};
pub use emotionclip_kernels::DevicePicture;
pub use error::PreprocessError;
pub use resize::resize_bicubic;
pub use subject::{Letterbox, MaskProtocol, SubjectBox};

/// Most values a prepared clip may have: 2 GiB of f32, half the address space of a web page.
const MAX_CLIP_VALUES: usize = 1 << 29;

/// Where the crops of a clip begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Crops {
    /// The centre of each frame: evaluation.
    Centre,
    /// `[left, top]` of each frame's crop in pixels of the resized frame: training, where the
    /// release draws each frame's crop on its own. [`Preprocess::crop_range`] bounds them.
    PerFrame(Vec<[u32; 2]>),
}

/// A clip as a frame encoder reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct PreprocessedClip {
    /// Normalised RGB, `[T, 3, size, size]`.
    pub frames: Vec<f32>,
    /// 1 where the subject is, 0 elsewhere, `[T, size, size]`.
    pub masks: Vec<f32>,
    /// Number of frames T.
    pub frame_count: usize,
    /// Side of a frame in pixels.
    pub size: usize,
}

impl Preprocess {
    /// Prepares a clip: resizes each frame and its mask, crops both at the same place, normalises
    /// the frame and makes the mask binary (above one half after bilinear resizing).
    ///
    /// # Errors
    /// A clip without frames or with too many, masks that differ from the frames in number or
    /// size, crop offsets that differ from them in number or leave the frame, empty or absurdly
    /// elongated frames, impossible settings. What concerns one frame names it.
    pub fn clip(&self, clip: &Clip, crops: &Crops) -> Result<PreprocessedClip, PreprocessError> {
        self.validate()?;
        let size = self.crop as usize;
        let frame_count = clip.frames.len();
        let limit = MAX_CLIP_VALUES / (4 * size * size);
        if frame_count == 0 {
            return Err(PreprocessError::EmptyClip);
        }
        if frame_count > limit {
            return Err(PreprocessError::TooManyFrames {
                frames: frame_count,
                limit,
            });
        }
        if clip.masks.len() != frame_count {
            return Err(PreprocessError::MaskCount {
                frames: frame_count,
                masks: clip.masks.len(),
            });
        }
        let offsets: Vec<Option<[u32; 2]>> = match crops {
            Crops::Centre => vec![None; frame_count],
            Crops::PerFrame(offsets) if offsets.len() != frame_count => {
                return Err(PreprocessError::CropCount {
                    frames: frame_count,
                    offsets: offsets.len(),
                });
            }
            Crops::PerFrame(offsets) => offsets.iter().copied().map(Some).collect(),
        };

        let levels = self.levels();
        let mut frames = Vec::with_capacity(frame_count * 3 * size * size);
        let mut masks = Vec::with_capacity(frame_count * size * size);
        let pairs = clip.frames.iter().zip(&clip.masks).zip(offsets);
        for (index, ((frame, mask), offset)) in pairs.enumerate() {
            let in_frame = |problem| PreprocessError::Frame {
                index,
                problem: Box::new(problem),
            };
            let (resized, window) = self.crop_window(frame, mask, offset).map_err(in_frame)?;
            match self.resampling {
                Resampling::Antialiased => {
                    let cropped =
                        resize_bicubic_window(frame, resized, window).map_err(in_frame)?;
                    append_normalised(&mut frames, &cropped, &levels);
                }
                Resampling::Interpolated => {
                    append_interpolated(&mut frames, frame, &levels, resized, window);
                }
            }
            append_mask(&mut masks, mask, resized, window);
        }
        Ok(PreprocessedClip {
            frames,
            masks,
            frame_count,
            size,
        })
    }

    /// The resized size of a frame and the crop inside it.
    fn crop_window(
        &self,
        frame: &RgbImage,
        mask: &GrayImage,
        offset: Option<[u32; 2]>,
    ) -> Result<([u32; 2], Window), PreprocessError> {
        let (width, height) = frame.dimensions();
        let (mask_width, mask_height) = mask.dimensions();
        if (mask_width, mask_height) != (width, height) {
            return Err(PreprocessError::MaskSize {
                mask_width,
                mask_height,
                width,
                height,
            });
        }
        let resized = self.resized_size([width, height])?;
        let [left, top] = offset.unwrap_or_else(|| self.centre_crop(resized));
        let [max_left, max_top] = resized.map(|side| side.saturating_sub(self.crop));
        if left > max_left || top > max_top {
            return Err(PreprocessError::CropOutside {
                left,
                top,
                max_left,
                max_top,
            });
        }
        let window = Window {
            left,
            top,
            width: self.crop,
            height: self.crop,
        };
        Ok((resized, window))
    }
}

/// Appends `[3, H, W]` normalised values of a picture.
fn append_normalised(frames: &mut Vec<f32>, picture: &RgbImage, levels: &Levels) {
    for (channel, levels) in levels.iter().enumerate() {
        frames.extend(
            picture
                .pixels()
                .map(|pixel| levels[usize::from(pixel.0[channel])]),
        );
    }
}

/// Appends the window of a frame that is normalised first and then resized without antialiasing.
fn append_interpolated(
    frames: &mut Vec<f32>,
    frame: &RgbImage,
    levels: &Levels,
    resized: [u32; 2],
    window: Window,
) {
    let (width, height) = frame.dimensions();
    let columns = bicubic_taps(width, resized[0], window.columns());
    let rows = bicubic_taps(height, resized[1], window.rows());
    for (channel, levels) in levels.iter().enumerate() {
        let level = |index: usize| levels[usize::from(frame.as_raw()[3 * index + channel])];
        frames.extend(interpolate(level, width as usize, &rows, &columns));
    }
}

/// Appends the window of a resized mask, made binary.
fn append_mask(masks: &mut Vec<f32>, mask: &GrayImage, resized: [u32; 2], window: Window) {
    let (width, height) = mask.dimensions();
    let columns = bilinear_taps(width, resized[0], window.columns());
    let rows = bilinear_taps(height, resized[1], window.rows());
    let value = |index: usize| f32::from(mask.as_raw()[index]) / 255.0;
    let values = interpolate(value, width as usize, &rows, &columns);
    masks.extend(values.iter().map(|value| f32::from(*value > 0.5)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Luma, Rgb};

    fn clip_of(sizes: &[(u32, u32)]) -> Clip {
        Clip::whole(
            sizes
                .iter()
                .map(|&(width, height)| {
                    RgbImage::from_fn(width, height, |x, y| {
                        Rgb([(x * 5) as u8, (y * 3) as u8, (x * y) as u8])
                    })
                })
                .collect(),
        )
    }

    #[test]
    fn shapes_follow_the_config() {
        let clip = clip_of(&[(90, 60), (33, 70)]);
        for config in [
            Preprocess::square(16),
            Preprocess::release(),
            Preprocess::emoclip(),
        ] {
            let prepared = config.clip(&clip, &Crops::Centre).unwrap();
            let side = config.crop as usize;
            assert_eq!((prepared.frame_count, prepared.size), (2, side));
            assert_eq!(prepared.frames.len(), 2 * 3 * side * side);
            assert_eq!(prepared.masks, vec![1.0; 2 * side * side]);
        }
    }

    #[test]
    fn masks_stay_binary_and_empty_masks_empty() {
        let mut clip = clip_of(&[(57, 41)]);
        clip.masks[0] = GrayImage::from_fn(57, 41, |x, y| Luma([((x ^ y) & 1) as u8 * 255]));
        for size in [7, 41, 60] {
            let config = Preprocess::square(size);
            let prepared = config.clip(&clip, &Crops::Centre).unwrap();
            assert!(prepared.masks.iter().all(|mask| [0.0, 1.0].contains(mask)));
        }
        let prepared = Preprocess::square(20)
            .clip(&clip.without_subject(), &Crops::Centre)
            .unwrap();
        assert_eq!(prepared.masks, vec![0.0; 400]);
    }

    #[test]
    fn frame_and_mask_are_cropped_at_the_same_place() {
        // The left half is white and is the subject; at crop offset 0 all of the crop shows it.
        let frame = RgbImage::from_fn(64, 32, |x, _| Rgb([if x < 32 { 255 } else { 0 }; 3]));
        let mask = GrayImage::from_fn(64, 32, |x, _| Luma([if x < 32 { 255 } else { 0 }]));
        let clip = Clip {
            frames: vec![frame; 2],
            masks: vec![mask; 2],
        };
        let config = Preprocess::square(32);
        let crops = Crops::PerFrame(vec![[0, 0], [32, 0]]);
        let prepared = config.clip(&clip, &crops).unwrap();
        let white: Vec<f32> = prepared
            .frames
            .chunks_exact(3 * 32 * 32)
            .flat_map(|frame| &frame[..32 * 32])
            .map(|red| f32::from(*red > 0.0))
            .collect();
        assert_eq!(white, prepared.masks);
        assert_eq!(prepared.masks[..1024], [1.0; 1024]);
        assert_eq!(prepared.masks[1024..], [0.0; 1024]);
    }

    #[test]
    fn what_cannot_be_prepared_is_an_error() {
        let config = Preprocess::square(16);
        let run = |clip: &Clip, crops: Crops| config.clip(clip, &crops);
        let clip = clip_of(&[(40, 30)]);

        assert_eq!(
            run(&clip_of(&[]), Crops::Centre),
            Err(PreprocessError::EmptyClip)
        );
        let mut maskless = clip.clone();
        maskless.masks.clear();
        assert_eq!(
            run(&maskless, Crops::Centre),
            Err(PreprocessError::MaskCount {
                frames: 1,
                masks: 0
            })
        );
        assert_eq!(
            run(&clip, Crops::PerFrame(vec![])),
            Err(PreprocessError::CropCount {
                frames: 1,
                offsets: 0
            })
        );

        let [left, top] = config.crop_range(40, 30);
        assert!(run(&clip, Crops::PerFrame(vec![[left, top]])).is_ok());
        let outside = run(&clip, Crops::PerFrame(vec![[left + 1, top]])).unwrap_err();
        assert_eq!(
            outside.to_string(),
            "frame 0: crop offset (6, 0) lies outside the frame; the largest is (5, 0)"
        );

        let mut misfit = clip.clone();
        misfit.masks[0] = GrayImage::new(30, 40);
        let message = run(&misfit, Crops::Centre).unwrap_err().to_string();
        assert!(
            message.starts_with("frame 0: the mask is 30x40"),
            "{message}"
        );

        let message = run(&clip_of(&[(9, 9), (0, 9)]), Crops::Centre)
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("frame 1: a picture of 0x9"),
            "{message}"
        );

        let cropless = Preprocess {
            crop: 17,
            ..config.clone()
        };
        assert!(matches!(
            cropless.clip(&clip, &Crops::Centre),
            Err(PreprocessError::Config { field: "crop", .. })
        ));
        let huge = Preprocess::square(4096);
        assert!(matches!(
            huge.clip(&clip_of(&[(1, 1); 9]), &Crops::Centre),
            Err(PreprocessError::TooManyFrames {
                frames: 9,
                limit: 8
            })
        ));
    }
}
