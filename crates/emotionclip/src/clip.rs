//! The unit of visual input: a short run of frames and, in each, where the subject is.

use image::{GrayImage, RgbImage};

/// A clip of `T` frames with the subject's mask in each.
///
/// `frames` and `masks` have the same length and, at the same index, the same size in pixels. A
/// mask pixel is 255 where the subject covers it and 0 elsewhere; an all-zero mask says that no
/// subject is known.
#[derive(Clone, Debug)]
pub struct Clip {
    /// RGB frames in time order.
    pub frames: Vec<RgbImage>,
    /// One mask a frame.
    pub masks: Vec<GrayImage>,
}

impl Clip {
    /// A clip whose subject is the whole picture in every frame.
    pub fn whole(frames: Vec<RgbImage>) -> Self {
        let masks = frames
            .iter()
            .map(|frame| {
                GrayImage::from_pixel(frame.width(), frame.height(), image::Luma([u8::MAX]))
            })
            .collect();
        Self { frames, masks }
    }

    /// The same clip with every mask emptied: the model then knows no subject.
    pub fn without_subject(mut self) -> Self {
        for mask in &mut self.masks {
            mask.fill(0);
        }
        self
    }
}
