//! Clip embeddings of an endless stream, one new frame at a time.
//!
//! A camera shows a window of `T` frames of which all but one were there a moment ago. The frame
//! encoder is by far the larger part of the work and sees each frame alone, so its features are kept
//! and only the temporal encoder runs over the whole window again.

use std::collections::VecDeque;

use burn::tensor::{Tensor, TensorData};
use image::{GrayImage, RgbImage};

use crate::clip::Clip;
use crate::model::{EmotionClip, l2_normalize};
use crate::preprocess::{Crops, Preprocess, PreprocessError};

/// What a stream does before it has shown a whole window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WarmUp {
    /// No embedding until `T` frames are there.
    #[default]
    Wait,
    /// The missing frames are copies of the oldest one: an embedding from the first frame on.
    RepeatFirst,
}

/// Why a frame can't be taken; the window stays as it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamingError {
    /// A tensor of another shape than the model's input.
    #[error("the {what} has the shape {found:?}, the model takes {expected:?}")]
    Shape {
        /// `frame`, `mask` or `masks`.
        what: &'static str,
        /// Shape given.
        found: Vec<usize>,
        /// Shape needed.
        expected: Vec<usize>,
    },
    /// The picture can't be preprocessed.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
}

/// A frame of the window.
#[derive(Clone, Debug)]
struct Held {
    /// Kept for the day the subject changes, `[1, 3, S, S]`.
    frame: Tensor<4>,
    /// What the frame encoder made of it, `[1, E]`.
    feature: Tensor<2>,
}

/// A sliding window over the last `T` frames of a stream.
///
/// Every embedding equals that of [`EmotionClip::encode_video`] over the same frames and masks, up
/// to the order in which a device sums.
///
/// ```
/// use emotionclip::preprocess::Preprocess;
/// use emotionclip::streaming::{StreamingEncoder, WarmUp};
/// use emotionclip::EmotionClipConfig;
/// use burn::tensor::Device;
/// use image::{GrayImage, Luma, RgbImage};
///
/// let mut config = EmotionClipConfig::nano();
/// config.temporal.frames = 2;
/// let model = config.init(&Device::flex())?;
/// let mut stream = StreamingEncoder::new(model, Preprocess::square(64), WarmUp::Wait);
///
/// let frame = RgbImage::new(96, 72);
/// let subject = GrayImage::from_pixel(96, 72, Luma([255]));
/// assert!(stream.push_picture(&frame, &subject)?.is_none());
/// let embedding = stream.push_picture(&frame, &subject)?.expect("the window is full");
/// assert_eq!(embedding.dims(), [1, 96]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StreamingEncoder {
    model: EmotionClip,
    preprocess: Preprocess,
    warm_up: WarmUp,
    window: VecDeque<Held>,
}

impl StreamingEncoder {
    /// An empty window for `model`; a clone of a model shares its weights.
    ///
    /// Give a model on a device without autodiff (burn's `valid()` makes one): training mode would
    /// drop features and keep every frame's graph.
    pub fn new(model: EmotionClip, preprocess: Preprocess, warm_up: WarmUp) -> Self {
        Self {
            model,
            preprocess,
            warm_up,
            window: VecDeque::new(),
        }
    }

    /// Takes a preprocessed frame `[3, S, S]` with its subject mask `[S, S]` in `[0, 1]`, both on
    /// the model's device, and gives the window's unit embedding `[1, E]`, or `None` while the
    /// window waits to be full.
    ///
    /// # Errors
    ///
    /// If a shape differs from the model's input.
    pub fn push(
        &mut self,
        frame: Tensor<3>,
        mask: Tensor<2>,
    ) -> Result<Option<Tensor<2>>, StreamingError> {
        let side = self.side();
        expect_shape("frame", &frame.dims(), &[3, side, side])?;
        expect_shape("mask", &mask.dims(), &[side, side])?;
        let frame = frame.unsqueeze_dim::<4>(0);
        let feature = self
            .model
            .encode_frames(frame.clone(), mask.unsqueeze_dim::<3>(0));
        if self.window.len() >= self.capacity() {
            self.window.pop_front();
        }
        self.window.push_back(Held { frame, feature });
        Ok(self.embedding())
    }

    /// As [`push`](Self::push) for a picture and its mask of the same size (255 where the subject
    /// is), through the stream's preprocessing with a centre crop.
    ///
    /// # Errors
    ///
    /// If the picture can't be preprocessed, or the preprocessing makes another size than the model
    /// takes.
    pub fn push_picture(
        &mut self,
        frame: &RgbImage,
        mask: &GrayImage,
    ) -> Result<Option<Tensor<2>>, StreamingError> {
        let clip = Clip {
            frames: vec![frame.clone()],
            masks: vec![mask.clone()],
        };
        let prepared =
            self.preprocess
                .clip(&clip, &Crops::Centre)
                .map_err(|error| match error {
                    // The stream's caller knows of no frame 0.
                    PreprocessError::Frame { problem, .. } => *problem,
                    other => other,
                })?;
        let side = prepared.size;
        let device = self.model.logit_scale.val().device();
        let frame = TensorData::new(prepared.frames, [3, side, side]);
        let mask = TensorData::new(prepared.masks, [side, side]);
        self.push(
            Tensor::from_data(frame, &device),
            Tensor::from_data(mask, &device),
        )
    }

    /// Makes someone else the subject of the frames already in the window, and gives the window's
    /// embedding as [`push`](Self::push) does.
    ///
    /// `masks` `[n, S, S]` cover the new subject in each of the [`len`](Self::len) frames, oldest
    /// first. Their features depend on the subject, so all of them are encoded again. Without masks
    /// of the past, [`reset`](Self::reset) instead: a window of two subjects is a reading of neither.
    ///
    /// # Errors
    ///
    /// If the masks differ from the frames held in number, or from the model's input in size.
    pub fn change_subject(
        &mut self,
        masks: Tensor<3>,
    ) -> Result<Option<Tensor<2>>, StreamingError> {
        let side = self.side();
        expect_shape("masks", &masks.dims(), &[self.window.len(), side, side])?;
        for (index, held) in self.window.iter_mut().enumerate() {
            let mask = masks.clone().narrow(0, index, 1);
            held.feature = self.model.encode_frames(held.frame.clone(), mask);
        }
        Ok(self.embedding())
    }

    /// Forgets all frames, for a cut or another subject.
    pub fn reset(&mut self) {
        self.window.clear();
    }

    /// Frames held, at most [`capacity`](Self::capacity).
    pub fn len(&self) -> usize {
        self.window.len()
    }

    /// Whether no frame is held.
    pub fn is_empty(&self) -> bool {
        self.window.is_empty()
    }

    /// Frames of a full window, `T`.
    pub fn capacity(&self) -> usize {
        self.model.config().temporal.frames
    }

    /// The window's unit embedding `[1, E]`, if there is one yet.
    pub fn embedding(&self) -> Option<Tensor<2>> {
        let oldest = self.window.front()?;
        let missing = self.capacity().saturating_sub(self.window.len());
        if missing > 0 && self.warm_up == WarmUp::Wait {
            return None;
        }
        let copies = std::iter::repeat_n(&oldest.feature, missing);
        let features = self.window.iter().map(|held| &held.feature);
        let features = Tensor::cat(copies.chain(features).cloned().collect(), 0);
        Some(l2_normalize(
            self.model.temporal.forward(features.unsqueeze_dim::<3>(0)),
        ))
    }

    /// Side of the model's input in pixels.
    fn side(&self) -> usize {
        self.model.config().vision.image_size
    }
}

fn expect_shape(
    what: &'static str,
    found: &[usize],
    expected: &[usize],
) -> Result<(), StreamingError> {
    if found == expected {
        return Ok(());
    }
    Err(StreamingError::Shape {
        what,
        found: found.to_vec(),
        expected: expected.to_vec(),
    })
}

#[cfg(test)]
mod tests;
