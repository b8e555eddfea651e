//! An EmoCLIP ready to use, as one file: [`Pretrained`](crate::Pretrained)'s counterpart.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use bytes::Bytes;

use super::{EmoClip, EmoClipConfig};
use crate::card::ModelCard;
use crate::checkpoint::write_safetensors;
use crate::clip::Clip;
use crate::config::EmotionClipConfig;
use crate::model::l2_normalize;
use crate::model_file::{self, FileConfig, ModelFile};
use crate::parameters::to_state_dict;
use crate::preprocess::{Crops, Preprocess};
use crate::pretrained::{PretrainedError, token_tensor};
use crate::tokenizer::{ClipTokenizer, SpecialTokens, TokenizerConfig, TokenizerError, Truncation};

/// Metadata key of the model's configuration, JSON of [`EmoClipConfig`]. It tells an EmoCLIP from
/// an EmotionCLIP.
pub const EMOCLIP_CONFIG_KEY: &str = "emoclip_config";

/// An EmoCLIP with everything that it needs to embed clips and descriptions.
#[derive(Clone, Debug)]
pub struct PretrainedEmoClip {
    /// Towers and temporal transformer.
    pub model: EmoClip,
    /// The tokenizer that the text tower was trained with.
    pub tokenizer: ClipTokenizer,
    /// The preprocessing that the image tower was trained with.
    pub preprocess: Preprocess,
    /// What must be known of the model, if somebody wrote it down.
    pub card: Option<ModelCard>,
}

impl FileConfig for EmoClipConfig {
    const KEY: &'static str = EMOCLIP_CONFIG_KEY;

    fn towers(&self) -> EmotionClipConfig {
        Self::towers(self)
    }

    fn default_preprocess(&self) -> Preprocess {
        super::default_preprocess(self)
    }

    fn default_tokenizer(&self) -> TokenizerConfig {
        tokenizer_config(self)
    }
}

impl PretrainedEmoClip {
    /// Joins a model with the preprocessing that it was trained with; the tokenizer follows from
    /// the model's configuration.
    ///
    /// # Errors
    ///
    /// If the tokenizer can't be built.
    #[cfg(feature = "bundled-merges")]
    pub fn new(model: EmoClip, preprocess: Preprocess) -> Result<Self, PretrainedError> {
        let tokenizer = ClipTokenizer::new(tokenizer_config(model.config()))?;
        Ok(Self {
            model,
            tokenizer,
            preprocess,
            card: None,
        })
    }

    /// Reads a model file that [`to_bytes`](Self::to_bytes) wrote. `name` is used in errors.
    ///
    /// # Errors
    ///
    /// If the file is damaged, carries no configuration, or its tensors, tokenizer or preprocessing
    /// don't fit it.
    #[cfg(feature = "bundled-merges")]
    pub fn from_bytes(
        bytes: impl Into<Bytes>,
        name: &str,
        device: &Device,
    ) -> Result<Self, PretrainedError> {
        Self::from_bytes_with(bytes, name, device, ClipTokenizer::new)
    }

    /// As `from_bytes`, with a tokenizer that the caller makes from the settings in the file: for
    /// builds that carry no merges.
    ///
    /// # Errors
    ///
    /// If the file is damaged, carries no configuration, or its tensors, tokenizer or preprocessing
    /// don't fit it; what `tokenizer` returns.
    pub fn from_bytes_with(
        bytes: impl Into<Bytes>,
        name: &str,
        device: &Device,
        tokenizer: impl FnOnce(TokenizerConfig) -> Result<ClipTokenizer, TokenizerError>,
    ) -> Result<Self, PretrainedError> {
        let file = ModelFile::<EmoClipConfig>::read(bytes.into(), name, tokenizer)?;
        Ok(Self {
            model: file.fill(file.config.init(device)?)?,
            tokenizer: file.tokenizer,
            preprocess: file.preprocess,
            card: file.card,
        })
    }

    /// The model as one safetensors file, f32.
    ///
    /// # Errors
    ///
    /// If the device fails to give a tensor back.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PretrainedError> {
        Ok(write_safetensors(
            &to_state_dict(&self.model)?,
            &self.metadata(),
        ))
    }

    /// The metadata that makes a safetensors file of the model's tensors a model file.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let card = self.card.as_ref();
        model_file::metadata(self.model.config(), &self.preprocess, &self.tokenizer, card)
    }

    /// Embeds texts as unit vectors, `[texts.len(), E]`.
    pub fn embed_texts<S: AsRef<str>>(&self, texts: &[S]) -> Tensor<2> {
        let rows = self.tokenizer.encode_batch(texts, Truncation::KeepEot);
        l2_normalize(self.model.encode_text(token_tensor(&rows, &self.device())))
    }

    /// Embeds clips as unit vectors, `[clips.len(), E]`, with centre crops. Clips may differ in
    /// length; masks are not looked at.
    ///
    /// # Errors
    ///
    /// If a clip has no frames or more than the temporal transformer takes, or can't be
    /// preprocessed.
    pub fn embed_clips(&self, clips: &[Clip]) -> Result<Tensor<2>, PretrainedError> {
        let expected = self.model.temporal.max_frames();
        let device = self.device();
        let mut embeddings = Vec::with_capacity(clips.len());
        for clip in clips {
            let found = clip.frames.len();
            if found > expected {
                return Err(PretrainedError::FrameCount { found, expected });
            }
            let prepared = self.preprocess.clip(clip, &Crops::Centre)?;
            let size = prepared.size;
            let frames = TensorData::new(prepared.frames, [1, found, 3, size, size]);
            let frames = Tensor::from_data(frames, &device);
            embeddings.push(self.model.encode_video(frames));
        }
        if embeddings.is_empty() {
            let width = self.model.config().embed_dim;
            return Ok(Tensor::zeros([0, width], &device));
        }
        Ok(l2_normalize(Tensor::cat(embeddings, 0)))
    }

    /// The device that holds the weights.
    pub fn device(&self) -> Device {
        self.model.logit_scale.val().device()
    }
}

/// The tokenizer of a text tower: its vocabulary gives the number of merges, the special tokens are
/// spelled as OpenAI's CLIP has them.
fn tokenizer_config(config: &EmoClipConfig) -> TokenizerConfig {
    TokenizerConfig {
        specials: SpecialTokens::OpenAi,
        ..crate::pretrained::tokenizer_config(&config.towers())
    }
}

#[cfg(test)]
#[cfg(feature = "bundled-merges")]
mod tests {
    use super::*;
    use crate::emoclip::default_preprocess;
    use image::RgbImage;

    fn pretrained() -> PretrainedEmoClip {
        let mut config = EmoClipConfig::nano();
        config.vision.layers = 1;
        config.text.layers = 1;
        let model = config.init(&Device::flex()).unwrap();
        PretrainedEmoClip::new(model, default_preprocess(&config)).unwrap()
    }

    #[test]
    fn a_model_file_gives_the_same_model_back() {
        let original = pretrained();
        let bytes = original.to_bytes().unwrap();
        let again = PretrainedEmoClip::from_bytes(bytes.clone(), "m", &Device::flex()).unwrap();
        assert_eq!(again.to_bytes().unwrap(), bytes);
        let embed = |model: &PretrainedEmoClip| {
            let embedded = model.embed_texts(&["a brow that is drawn together"]);
            embedded.try_into_vec_as::<f32>().unwrap()
        };
        assert_eq!(embed(&again), embed(&original));
    }

    #[test]
    fn an_emotionclip_file_is_told_apart() {
        let metadata = BTreeMap::from([("emotionclip_config".to_owned(), "{}".to_owned())]);
        let state = to_state_dict(&pretrained().model).unwrap();
        let bytes = write_safetensors(&state, &metadata);
        let error = PretrainedEmoClip::from_bytes(bytes, "m", &Device::flex()).unwrap_err();
        assert!(matches!(error, PretrainedError::NoConfig { .. }), "{error}");
    }

    #[test]
    fn clips_of_different_lengths_are_embedded_and_overlong_ones_refused() {
        let pretrained = pretrained();
        let clip = |frames| Clip::whole(vec![RgbImage::new(80, 60); frames]);
        let embedded = pretrained.embed_clips(&[clip(1), clip(3)]).unwrap();
        assert_eq!(embedded.dims(), [2, 96]);
        assert_eq!(pretrained.embed_clips(&[]).unwrap().dims(), [0, 96]);
        let most = pretrained.model.temporal.max_frames();
        let error = pretrained.embed_clips(&[clip(most + 1)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the clip has 64 frames, the model takes 63"
        );
        assert!(pretrained.embed_clips(&[clip(0)]).is_err());
    }
}
