//! The same preparation for a picture that is in a graphics processor's memory: the host says which
//! pixels count how much, the device does the sums.
//!
//! The sums are PIL's integers and the levels' values come from one table, so frame, mask and coverage
//! are those of [`Preprocess::clip`] to the bit.

use burn::tensor::Tensor;
use emotionclip_kernels::{DevicePicture, Resample};

use super::config::{Preprocess, Resampling};
use super::error::PreprocessError;
use super::geometry::Window;
use super::interpolate::{Taps as MaskTaps, bilinear_taps};
use super::normalise::Levels;
use super::resize::{PRECISION_BITS, window_taps};
use super::subject::SubjectBox;

/// Who the subject of a picture is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SubjectArea {
    /// Nobody: an empty mask.
    Nobody,
    /// All of the picture.
    Whole,
    /// A box in the picture's pixels, as [`MaskProtocol::Bold`](super::MaskProtocol::Bold) draws it.
    Box(SubjectBox),
}

/// A frame and its mask on a device, as a frame encoder takes them.
#[derive(Clone, Debug)]
pub struct DeviceFrame {
    /// Normalised RGB, `[3, size, size]`.
    pub frame: Tensor<3>,
    /// 1 where the subject is, 0 elsewhere, `[size, size]`.
    pub mask: Tensor<2>,
    /// The columns of the mask, from and to, that are 1 in each row.
    rows: Vec<[u32; 2]>,
}

impl DeviceFrame {
    /// As [`patch_coverage`](super::patch_coverage) gives for the mask, without asking the device.
    ///
    /// # Errors
    /// The mask's side is no multiple of `patch`.
    pub fn coverage(&self, patch: usize) -> Result<Vec<f32>, PreprocessError> {
        let size = self.rows.len();
        if patch == 0 || size == 0 || !size.is_multiple_of(patch) {
            return Err(PreprocessError::Patch { size, patch });
        }
        let mut covered = Vec::with_capacity((size / patch) * (size / patch));
        for rows in self.rows.chunks_exact(patch) {
            for left in (0..size as u32).step_by(patch) {
                let right = left + patch as u32;
                let in_patch =
                    |[from, to]: &[u32; 2]| to.min(&right).saturating_sub(*from.max(&left));
                let pixels: u32 = rows.iter().map(in_patch).sum();
                covered.push(pixels as f32 / (patch * patch) as f32);
            }
        }
        Ok(covered)
    }
}

impl Preprocess {
    /// Whether a device can prepare pictures with these settings: those of the EmotionCLIP family.
    pub fn fits_device(&self) -> bool {
        self.resampling == Resampling::Antialiased
    }

    /// Prepares a picture where it is, with a centre crop: what [`clip`](Self::clip) makes of the same
    /// pixels and the subject's mask.
    ///
    /// # Errors
    /// Impossible settings or settings that no device prepares with, an empty or absurdly elongated
    /// picture, a box with a coordinate that is no finite number.
    pub fn frame_on_device(
        &self,
        picture: &DevicePicture,
        subject: SubjectArea,
    ) -> Result<DeviceFrame, PreprocessError> {
        self.validate()?;
        if !self.fits_device() {
            return Err(PreprocessError::NotOnDevice);
        }
        let size = picture.size();
        let resized = self.resized_size(size)?;
        let [left, top] = self.centre_crop(resized);
        let window = Window {
            left,
            top,
            width: self.crop,
            height: self.crop,
        };
        let [columns, rows] = window_taps(size, resized, window)?;
        let area = match subject {
            SubjectArea::Nobody => [[0; 2]; 2],
            SubjectArea::Whole => size.map(|side| [0, side]),
            SubjectArea::Box(subject) => drawn(subject, size)?,
        };
        let spans = mask_rows(area, size, resized, window);
        let (frame, mask) = picture.resample(&Resample {
            columns,
            rows,
            fraction_bits: PRECISION_BITS,
            levels: self.levels(),
            side: self.crop as usize,
            corner: [0; 2],
            margin: 0.0,
            mask: spans.clone(),
        });
        // It has as many rows as the frame, so there is a mask.
        let mask = mask.ok_or(PreprocessError::NotOnDevice)?;
        Ok(DeviceFrame {
            frame,
            mask,
            rows: spans,
        })
    }
}

/// A picture on a device resized to `resized` without a crop, its levels replaced by `levels`, in a
/// square of `side` at `left` and `top`; the rest of the square is `margin`.
pub(crate) fn resize_on_device(
    picture: &DevicePicture,
    resized: [u32; 2],
    levels: Box<Levels>,
    [side, left, top]: [usize; 3],
    margin: f32,
) -> Result<Tensor<3>, PreprocessError> {
    let [columns, rows] = window_taps(picture.size(), resized, Window::whole(resized))?;
    let (frame, _) = picture.resample(&Resample {
        columns,
        rows,
        fraction_bits: PRECISION_BITS,
        levels,
        side,
        corner: [left, top],
        margin,
        mask: Vec::new(),
    });
    Ok(frame)
}

/// Columns and rows, from and to, that a box covers: its edges rounded outward and clipped.
fn drawn(subject: SubjectBox, size: [u32; 2]) -> Result<[[u32; 2]; 2], PreprocessError> {
    if !subject.is_finite() {
        return Err(PreprocessError::BoxNotFinite { index: 0 });
    }
    // The casts saturate, which clips at 0.
    let span = |from: f32, to: f32, side: u32| [from.floor() as u32, (to.ceil() as u32).min(side)];
    Ok([
        span(subject.x1, subject.x2, size[0]),
        span(subject.y1, subject.y2, size[1]),
    ])
}

/// The columns, from and to, that are 1 in each row of the window of a resized mask that is 1 in one
/// rectangle. Sums in the order of `interpolate`, so that ties at one half fall as they do there.
fn mask_rows(
    [across, down]: [[u32; 2]; 2],
    size: [u32; 2],
    resized: [u32; 2],
    window: Window,
) -> Vec<[u32; 2]> {
    let columns = bilinear_taps(size[0], resized[0], window.columns());
    let rows = bilinear_taps(size[1], resized[1], window.rows());
    let within = |[from, to]: [u32; 2], pixel: usize| (from as usize..to as usize).contains(&pixel);
    let across: Vec<f32> = columns
        .iter()
        .map(|taps: &MaskTaps<2>| taps.sum(|pixel| f32::from(within(across, pixel))))
        .collect();
    let covers = |share: &f32, taps: &MaskTaps<2>| {
        taps.sum(|row| if within(down, row) { *share } else { 0.0 }) > 0.5
    };
    rows.iter()
        .map(|taps| {
            // Shares rise from the left edge to 1 and fall to the right one, so the row has no gap.
            let from = across.iter().position(|share| covers(share, taps));
            let to = across.iter().rposition(|share| covers(share, taps));
            match (from, to) {
                (Some(from), Some(to)) => [from as u32, to as u32 + 1],
                _ => [0; 2],
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, RgbImage};

    use super::super::{Crops, MaskProtocol, patch_coverage};
    use super::*;
    use crate::clip::Clip;

    /// The mask's rows beside the mask that the clip's preparation draws, for boxes with whole and
    /// broken edges, across every border, with nothing in them, and for edges whose resized place is
    /// exactly between two pixels.
    #[test]
    fn rows_are_those_of_the_mask_drawn_and_resized() {
        let edges = [
            [10.0, 5.0, 40.0, 30.0],
            [10.2, 5.7, 40.9, 30.1],
            [-5.0, -9.0, 12.0, 14.0],
            [33.0, 21.0, 900.0, 900.0],
            [20.0, 20.0, 21.0, 21.0],
            [20.0, 20.0, 20.0, 20.0],
            [40.0, 30.0, 10.0, 5.0],
            [-9.0, -9.0, -1.0, -1.0],
            [900.0, 1.0, 950.0, 9.0],
        ];
        let configs = [
            Preprocess::square(16),
            Preprocess::square(64),
            Preprocess {
                resize: 40,
                crop: 32,
                ..Preprocess::release()
            },
        ];
        let mut partly = 0;
        for size @ [width, height] in [[64, 48], [48, 64], [61, 37], [7, 90], [640, 361], [32, 32]]
        {
            for config in &configs {
                for [x1, y1, x2, y2] in edges {
                    let subject = SubjectBox {
                        x1,
                        y1,
                        x2,
                        y2,
                        score: None,
                    };
                    let mask = MaskProtocol::Bold.mask(&[subject], size, config).unwrap();
                    let clip = Clip {
                        frames: vec![RgbImage::new(width, height)],
                        masks: vec![mask],
                    };
                    let wanted = config.clip(&clip, &Crops::Centre).unwrap().masks;
                    let resized = config.resized_size(size).unwrap();
                    let [left, top] = config.centre_crop(resized);
                    let side = config.crop;
                    let window = Window {
                        left,
                        top,
                        width: side,
                        height: side,
                    };
                    let rows = mask_rows(drawn(subject, size).unwrap(), size, resized, window);
                    let found: Vec<f32> = rows
                        .iter()
                        .flat_map(|[from, to]| {
                            (0..side).map(move |x| f32::from((*from..*to).contains(&x)))
                        })
                        .collect();
                    assert_eq!(found, wanted, "{size:?} {config:?} {subject:?}");
                    partly += usize::from(found.contains(&0.0) && found.contains(&1.0));

                    let device = burn::tensor::Device::flex();
                    let frame = DeviceFrame {
                        frame: Tensor::zeros([1, 1, 1], &device),
                        mask: Tensor::zeros([1, 1], &device),
                        rows,
                    };
                    for patch in [1, 8, side as usize] {
                        let wanted = patch_coverage(&wanted, side as usize, patch).unwrap();
                        assert_eq!(frame.coverage(patch).unwrap(), wanted);
                    }
                    assert!(frame.coverage(5).is_err());
                }
            }
        }
        // Not only masks that are full or empty.
        assert!(partly > 40, "{partly}");
    }

    #[test]
    fn the_whole_picture_and_nobody_are_full_and_empty_masks() {
        let (size, resized) = ([61, 37], [52, 32]);
        let window = Window {
            left: 10,
            top: 0,
            width: 32,
            height: 32,
        };
        for (area, level) in [([[0, 61], [0, 37]], 255), ([[0; 2]; 2], 0)] {
            let config = Preprocess::square(32);
            let clip = Clip {
                frames: vec![RgbImage::new(61, 37)],
                masks: vec![GrayImage::from_pixel(61, 37, Luma([level]))],
            };
            let wanted = config.clip(&clip, &Crops::Centre).unwrap().masks;
            let rows = mask_rows(area, size, resized, window);
            let covered = f32::from(level > 0);
            assert_eq!(wanted, vec![covered; 32 * 32]);
            assert!(
                rows.iter()
                    .all(|[from, to]| to - from == 32 * u32::from(level > 0))
            );
        }
    }
}
