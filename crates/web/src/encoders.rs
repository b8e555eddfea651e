//! The model's two encoders by themselves, from plain numbers to plain numbers: what `cargo xtask
//! bench-web` measures beside other engines.

use burn::tensor::{Device, Int, Tensor, TensorData};
use emotionclip::{EmotionClip, Pretrained};
use wasm_bindgen::prelude::*;

use crate::SessionError;
use crate::bindings::{JsResult, thrown};
use crate::session::read;

/// The encoders of one model, on its device.
#[wasm_bindgen]
pub struct Encoders {
    model: EmotionClip,
    device: Device,
}

impl Encoders {
    pub(crate) fn new(pretrained: Pretrained) -> Self {
        Self {
            device: pretrained.device(),
            model: pretrained.model,
        }
    }
}

#[wasm_bindgen]
impl Encoders {
    /// Features `[count, embed_dim]` of normalised frames `[count, 3, S, S]` with subject masks
    /// `[count, S, S]`, not normalised.
    ///
    /// # Errors
    /// If the numbers are too few or too many, or the device fails.
    pub async fn frames(
        &mut self,
        frames: Vec<f32>,
        masks: Vec<f32>,
        count: usize,
    ) -> JsResult<Vec<f32>> {
        let side = self.model.config().vision.image_size;
        let frames = self.tensor("frames", frames, [count, 3, side, side])?;
        let masks = self.tensor("masks", masks, [count, side, side])?;
        let features = read(self.model.encode_frames(frames, masks)).await;
        features.map_err(|error| thrown(&error))
    }

    /// Features `[count, embed_dim]` of texts' ids `[count, context_length]`, not normalised.
    ///
    /// # Errors
    /// If the ids are too few or too many or no ids, or the device fails.
    pub async fn texts(&mut self, ids: Vec<i32>, count: usize) -> JsResult<Vec<f32>> {
        let text = &self.model.config().text;
        let vocabulary = 0..text.vocab_size as i32;
        let shape = [count, text.context_length];
        if ids.len() != shape.iter().product::<usize>()
            || !ids.iter().all(|id| vocabulary.contains(id))
        {
            return Err(wrong("ids", &shape));
        }
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, shape), &self.device);
        let features = read(self.model.encode_text(ids)).await;
        features.map_err(|error| thrown(&error))
    }

    fn tensor<const D: usize>(
        &self,
        what: &str,
        values: Vec<f32>,
        shape: [usize; D],
    ) -> JsResult<Tensor<D>> {
        if values.len() != shape.iter().product::<usize>() || values.is_empty() {
            return Err(wrong(what, &shape));
        }
        let data = TensorData::new(values, shape);
        Ok(Tensor::from_data(data, &self.device))
    }
}

fn wrong(what: &str, shape: &[usize]) -> JsValue {
    thrown(&SessionError::Picture(format!(
        "{what} of shape {shape:?} were expected"
    )))
}
