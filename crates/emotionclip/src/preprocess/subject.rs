//! From detected boxes to the subject's mask, by the rules of each corpus.
//!
//! The corpora differ in the coordinates of their boxes, in the size the mask is drawn at and in
//! whether a score counts, and a mask drawn by another rule is another input to the model.

use image::{GrayImage, Luma, RgbImage};
use serde::{Deserialize, Serialize};

use super::config::{Preprocess, Resampling};
use super::error::PreprocessError;
use super::geometry::MAX_PIXELS;

/// Side of the square the detector saw the frame letterboxed to, in pixels.
const DETECTOR_SIDE: f64 = 640.0;
/// The detector pads the shorter side only up to a multiple of its stride, not to the square.
const DETECTOR_STRIDE: f64 = 32.0;
/// Boxes at or below this score are dropped where scores count.
const SCORE_THRESHOLD: f32 = 0.5;

/// A box around a subject: left, top, right and bottom, in the pixels of its
/// [`MaskProtocol`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectBox {
    /// Left edge in pixels.
    pub x1: f32,
    /// Top edge in pixels.
    pub y1: f32,
    /// Right edge in pixels, exclusive.
    pub x2: f32,
    /// Bottom edge in pixels, exclusive.
    pub y2: f32,
    /// Detector's confidence in [0, 1]; a box without one counts as certain.
    #[serde(default)]
    pub score: Option<f32>,
}

impl SubjectBox {
    /// The box around a person's joints `[x, y, confidence]` in pixels, as BoLD stores them. A
    /// joint whose three numbers are zero was not found; `None` when none was found.
    pub fn from_joints(joints: &[[f32; 3]]) -> Option<Self> {
        joints
            .iter()
            .filter(|joint| **joint != [0.0; 3])
            .map(|&[x, y, _]| Self {
                x1: x,
                y1: y,
                x2: x,
                y2: y,
                score: None,
            })
            .reduce(|all, joint| Self {
                x1: all.x1.min(joint.x1),
                y1: all.y1.min(joint.y1),
                x2: all.x2.max(joint.x2),
                y2: all.y2.max(joint.y2),
                score: None,
            })
    }

    pub(super) fn is_finite(&self) -> bool {
        [self.x1, self.y1, self.x2, self.y2]
            .iter()
            .all(|coordinate| coordinate.is_finite())
    }
}

/// What to do about the letterbox of the release's detector.
///
/// The detector saw the frame scaled by r = min(640/w, 640/h) and centred on a canvas whose sides
/// are padded to multiples of 32, and the release stored its boxes in that canvas. Undoing only
/// the scale leaves the boxes off by the padding: 12 canvas pixels for 16:9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Letterbox {
    /// Undo the scale only, as the release: for comparison with the authors' own results.
    Release,
    /// Subtract the padding, then undo the scale.
    #[default]
    Corrected,
}

impl Letterbox {
    /// `[left, top]` padding to subtract from a box in a frame of `[width, height]` pixels, in
    /// pixels of the detector's canvas.
    fn padding(self, frame: [u32; 2]) -> [f64; 2] {
        match self {
            Self::Release => [0.0; 2],
            Self::Corrected => {
                let scale = detector_scale(frame);
                frame.map(|side| {
                    let scaled = (f64::from(side) * scale).round_ties_even();
                    let total = (DETECTOR_SIDE - scaled).rem_euclid(DETECTOR_STRIDE);
                    // An odd padding has its larger half on the right or bottom.
                    (total / 2.0).floor()
                })
            }
        }
    }
}

/// The rule by which a corpus' boxes become a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "corpus", rename_all = "snake_case", deny_unknown_fields)]
pub enum MaskProtocol {
    /// The captioned corpus, MELD and MovieGraphs: boxes in the detector's canvas, scores above
    /// 0.5, drawn at the resized frame's size.
    Captioned {
        /// Treatment of the detector's letterbox.
        #[serde(default)]
        letterbox: Letterbox,
    },
    /// LIRIS-ACCEDE: as `Captioned`, but drawn at the original size and resized with the frame.
    LirisAccede {
        /// Treatment of the detector's letterbox.
        #[serde(default)]
        letterbox: Letterbox,
    },
    /// BoLD: boxes around joints ([`SubjectBox::from_joints`]) in the original frame's pixels,
    /// drawn at the original size and resized with the frame.
    Bold,
    /// EMOTIC: annotated boxes in the original frame's pixels, drawn at the resized frame's size.
    Emotic,
}

impl MaskProtocol {
    /// Whether the mask is drawn after resizing.
    fn draws_resized(self, preprocess: &Preprocess) -> bool {
        match self {
            Self::LirisAccede { .. } | Self::Bold => false,
            // EmoCLIP resizes normalised floats, so a frame cannot be resized ahead of it and the
            // mask stays at the size its frame has.
            Self::Captioned { .. } | Self::Emotic => {
                preprocess.resampling == Resampling::Antialiased
            }
        }
    }

    /// The mask of the boxes in a frame of `[width, height]` pixels: 255 inside any box, 0
    /// elsewhere. Its size is the frame's, or the resized frame's where the protocol draws there.
    /// Edges round outward to whole pixels and are clipped to the frame; a box outside the frame
    /// covers nothing.
    ///
    /// # Errors
    /// A box with a coordinate that is no finite number, or a frame that cannot be resized.
    pub fn mask(
        self,
        boxes: &[SubjectBox],
        frame: [u32; 2],
        preprocess: &Preprocess,
    ) -> Result<GrayImage, PreprocessError> {
        let resized = preprocess.resized_size(frame)?;
        let size = if self.draws_resized(preprocess) {
            resized
        } else {
            frame
        };
        let [width, height] = size;
        if u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(PreprocessError::TooLarge {
                width: frame[0],
                height: frame[1],
                target_width: u64::from(width),
                target_height: u64::from(height),
                limit: MAX_PIXELS,
            });
        }
        let (scale, [left, top]) = match self {
            Self::Captioned { letterbox } | Self::LirisAccede { letterbox } => {
                (detector_scale(size), letterbox.padding(frame))
            }
            Self::Bold => (1.0, [0.0; 2]),
            Self::Emotic => (fitting_scale(frame.map(f64::from), size), [0.0; 2]),
        };
        let mut mask = GrayImage::new(width, height);
        for (index, subject) in boxes.iter().enumerate() {
            if !subject.is_finite() {
                return Err(PreprocessError::BoxNotFinite { index });
            }
            if self.keeps(subject) {
                let start = |edge: f32, padding: f64| ((f64::from(edge) - padding) / scale).floor();
                let end = |edge: f32, padding: f64| ((f64::from(edge) - padding) / scale).ceil();
                fill(
                    &mut mask,
                    [start(subject.x1, left), start(subject.y1, top)],
                    [end(subject.x2, left), end(subject.y2, top)],
                );
            }
        }
        Ok(mask)
    }

    /// Whether a box counts: where the release looks at scores, only one above 0.5 does.
    fn keeps(self, subject: &SubjectBox) -> bool {
        match self {
            Self::Captioned { .. } | Self::LirisAccede { .. } => {
                subject.score.is_none_or(|score| score > SCORE_THRESHOLD)
            }
            Self::Bold | Self::Emotic => true,
        }
    }
}

impl Preprocess {
    /// A frame and its subject mask at one size, ready for a [`Clip`](crate::clip::Clip): resized
    /// when the protocol draws masks at the resized size, else as it came.
    ///
    /// # Errors
    /// As [`MaskProtocol::mask`].
    pub fn subject_frame(
        &self,
        frame: RgbImage,
        boxes: &[SubjectBox],
        protocol: MaskProtocol,
    ) -> Result<(RgbImage, GrayImage), PreprocessError> {
        let mask = protocol.mask(boxes, [frame.width(), frame.height()], self)?;
        let frame = if mask.dimensions() == frame.dimensions() {
            frame
        } else {
            self.resize_frame(&frame)?
        };
        Ok((frame, mask))
    }
}

/// Scale from a frame to the detector's canvas.
fn detector_scale(frame: [u32; 2]) -> f64 {
    fitting_scale([DETECTOR_SIDE; 2], frame)
}

/// The scale that fits `[width, height]` pixels into a canvas.
fn fitting_scale(canvas: [f64; 2], [width, height]: [u32; 2]) -> f64 {
    (canvas[0] / f64::from(width)).min(canvas[1] / f64::from(height))
}

/// Fills the pixels from `start` to `end`, exclusive, both `[x, y]`. The casts saturate, which
/// clips at 0; the zips clip at the far sides.
fn fill(mask: &mut GrayImage, start: [f64; 2], end: [f64; 2]) {
    let (width, height) = mask.dimensions();
    let span = |axis: usize, side: u32| start[axis] as u32..(end[axis] as u32).min(side);
    for y in span(1, height) {
        for x in span(0, width) {
            mask.put_pixel(x, y, Luma([u8::MAX]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTIONED: MaskProtocol = MaskProtocol::Captioned {
        letterbox: Letterbox::Corrected,
    };

    fn subject(x1: f32, y1: f32, x2: f32, y2: f32, score: Option<f32>) -> SubjectBox {
        SubjectBox {
            x1,
            y1,
            x2,
            y2,
            score,
        }
    }

    fn area(mask: &GrayImage) -> usize {
        mask.pixels().filter(|pixel| pixel.0 == [255]).count()
    }

    #[test]
    fn wide_frames_are_padded_above_and_tall_ones_at_the_left() {
        // 1280x720 becomes 640x360, padded to 384 rows: 12 above; 853x480 becomes 640x360 too.
        assert_eq!(Letterbox::Corrected.padding([1280, 720]), [0.0, 12.0]);
        assert_eq!(Letterbox::Corrected.padding([853, 480]), [0.0, 12.0]);
        assert_eq!(Letterbox::Corrected.padding([720, 1280]), [12.0, 0.0]);
        assert_eq!(Letterbox::Corrected.padding([640, 480]), [0.0, 0.0]);
        assert_eq!(Letterbox::Release.padding([1280, 720]), [0.0, 0.0]);
    }

    #[test]
    fn the_correction_moves_a_box_up_by_the_padding() {
        // At 455x256 the canvas scale is 640/455, so 12 canvas rows are 8.5 rows of the mask.
        let boxes = [subject(100.0, 112.0, 200.0, 312.0, Some(0.9))];
        let first_row = |letterbox| {
            let mask = MaskProtocol::Captioned { letterbox }
                .mask(&boxes, [1280, 720], &Preprocess::release())
                .unwrap();
            assert_eq!(mask.dimensions(), (455, 256));
            mask.enumerate_pixels()
                .find(|(_, _, pixel)| pixel.0 == [255])
                .map(|(_, y, _)| y)
        };
        assert_eq!(first_row(Letterbox::Release), Some(79));
        assert_eq!(first_row(Letterbox::Corrected), Some(71));
    }

    #[test]
    fn low_scores_are_dropped_only_where_scores_count() {
        let config = Preprocess::square(64);
        for (score, kept) in [
            (Some(0.5), false),
            (Some(f32::NAN), false),
            (Some(0.51), true),
            (None, true),
        ] {
            let boxes = [subject(10.0, 10.0, 30.0, 30.0, score)];
            for (protocol, expected) in [
                (CAPTIONED, kept),
                (MaskProtocol::Bold, true),
                (MaskProtocol::Emotic, true),
            ] {
                let mask = protocol.mask(&boxes, [64, 64], &config).unwrap();
                assert_eq!(area(&mask) > 0, expected, "{protocol:?} {score:?}");
            }
        }
    }

    #[test]
    fn boxes_outside_the_frame_cover_nothing() {
        let outside = [
            subject(-50.0, 10.0, -5.0, 60.0, None),
            subject(10.0, -90.0, 60.0, -5.0, None),
            subject(900.0, 10.0, 950.0, 60.0, None),
            subject(10.0, 900.0, 60.0, 950.0, None),
            subject(60.0, 60.0, 10.0, 10.0, None),
        ];
        for protocol in [CAPTIONED, MaskProtocol::Bold, MaskProtocol::Emotic] {
            let mask = protocol.mask(&outside, [320, 240], &Preprocess::release());
            assert_eq!(area(&mask.unwrap()), 0, "{protocol:?}");
        }
    }

    #[test]
    fn a_box_beyond_every_side_covers_the_whole_frame() {
        let boxes = [subject(-1e9, -1e9, 1e9, 1e9, None)];
        let mask = MaskProtocol::Bold.mask(&boxes, [31, 17], &Preprocess::square(16));
        assert_eq!(area(&mask.unwrap()), 31 * 17);
    }

    #[test]
    fn no_box_gives_an_empty_mask_and_a_broken_one_an_error() {
        let config = Preprocess::release();
        assert_eq!(area(&CAPTIONED.mask(&[], [64, 64], &config).unwrap()), 0);
        let boxes = [subject(0.0, f32::NAN, 4.0, 4.0, None)];
        assert_eq!(
            CAPTIONED.mask(&boxes, [64, 64], &config),
            Err(PreprocessError::BoxNotFinite { index: 0 })
        );
        assert!(CAPTIONED.mask(&[], [0, 64], &config).is_err());
        assert!(MaskProtocol::Bold.mask(&[], [1 << 14; 2], &config).is_err());
    }

    #[test]
    fn joints_that_were_not_found_do_not_widen_the_box() {
        let joints = [[0.0; 3], [12.4, 30.6, 0.8], [20.1, 8.2, 0.9]];
        let found = SubjectBox::from_joints(&joints).unwrap();
        assert_eq!(found, subject(12.4, 8.2, 20.1, 30.6, None));
        assert_eq!(SubjectBox::from_joints(&[[0.0; 3]; 18]), None);
    }

    #[test]
    fn protocols_are_read_from_config_with_the_correction_as_default() {
        let read = |text: &str| serde_json::from_str::<MaskProtocol>(text);
        assert_eq!(read(r#"{"corpus":"captioned"}"#).unwrap(), CAPTIONED);
        assert_eq!(
            read(r#"{"corpus":"liris_accede","letterbox":"release"}"#).unwrap(),
            MaskProtocol::LirisAccede {
                letterbox: Letterbox::Release
            }
        );
        assert!(read(r#"{"corpus":"meld"}"#).is_err());
    }

    #[test]
    fn frame_and_mask_come_out_at_one_size() {
        let config = Preprocess::square(32);
        for (protocol, size) in [(CAPTIONED, (64, 32)), (MaskProtocol::Bold, (100, 50))] {
            let (frame, mask) = config
                .subject_frame(RgbImage::new(100, 50), &[], protocol)
                .unwrap();
            assert_eq!(frame.dimensions(), size);
            assert_eq!(mask.dimensions(), size);
        }
    }
}
