//! A model ready to use: weights, configuration, tokenizer and preprocessing as one file's bytes.
//!
//! The file is a safetensors file under the release's keys whose metadata carries the rest as JSON,
//! so any safetensors reader sees plain tensors, and one file is enough to embed a clip.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::card::ModelCard;
use crate::checkpoint::{CheckpointError, write_safetensors};
use crate::clip::Clip;
use crate::config::{ConfigError, EmotionClipConfig};
use crate::model::{EmotionClip, l2_normalize};
use crate::model_file::{self, FileConfig, ModelFile};
use crate::parameters::{Completeness, load_state_dict, to_state_dict};
use crate::preprocess::{Crops, Preprocess, PreprocessError};
use crate::stem;
use crate::tokenizer::{ClipTokenizer, TokenizerConfig, TokenizerError, Truncation};

/// Metadata key of the model's configuration, JSON of [`EmotionClipConfig`].
pub const CONFIG_KEY: &str = "emotionclip_config";
/// Metadata key of the preprocessing, JSON of [`Preprocess`].
pub const PREPROCESS_KEY: &str = "emotionclip_preprocess";
/// Metadata key of the tokenizer's settings, JSON of [`TokenizerConfig`].
pub const TOKENIZER_KEY: &str = "emotionclip_tokenizer";

/// A model with everything that it needs to embed pictures and words.
#[derive(Clone, Debug)]
pub struct Pretrained {
    /// The three encoders.
    pub model: EmotionClip,
    /// The tokenizer that the text encoder was trained with.
    pub tokenizer: ClipTokenizer,
    /// The preprocessing that the frame encoder was trained with.
    pub preprocess: Preprocess,
    /// What must be known of the model, if somebody wrote it down.
    pub card: Option<ModelCard>,
}

/// Why a model file can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainedError {
    /// The tensors can't be read or don't fit.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The tensors of a file don't fit the configuration in it.
    #[error("{file}: {error}")]
    Tensors {
        /// Name of the file.
        file: String,
        /// What does not fit.
        error: CheckpointError,
    },
    /// The file is a checkpoint, but not one that carries its configuration.
    #[error("{file}: no model configuration inside; run `trainer import` on it first")]
    NoConfig {
        /// Name of the file.
        file: String,
    },
    /// The metadata is not what this version writes.
    #[error("{file}: metadata `{key}`: {problem}")]
    Metadata {
        /// Name of the file.
        file: String,
        /// The metadata entry.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The configuration describes no model.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tokenizer can't be built.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A frame can't be preprocessed.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// A clip with another number of frames than the model takes.
    #[error("the clip has {found} frames, the model takes {expected}")]
    FrameCount {
        /// Frames of the clip.
        found: usize,
        /// Frames that the temporal encoder was built for.
        expected: usize,
    },
}

impl FileConfig for EmotionClipConfig {
    const KEY: &'static str = CONFIG_KEY;

    fn towers(&self) -> EmotionClipConfig {
        self.clone()
    }

    fn default_preprocess(&self) -> Preprocess {
        default_preprocess(self)
    }

    fn default_tokenizer(&self) -> TokenizerConfig {
        tokenizer_config(self)
    }
}

impl Pretrained {
    /// Joins a model with the preprocessing that it was trained with; the tokenizer follows from
    /// the model's configuration.
    ///
    /// # Errors
    ///
    /// If the tokenizer can't be built.
    #[cfg(feature = "bundled-merges")]
    pub fn new(model: EmotionClip, preprocess: Preprocess) -> Result<Self, PretrainedError> {
        let tokenizer = ClipTokenizer::new(tokenizer_config(model.config()))?;
        Ok(Self {
            model,
            tokenizer,
            preprocess,
            card: None,
        })
    }

    /// The same model for use alone: a normalisation that the stem was trained with becomes part of
    /// its convolutions ([`StemNorm::Batch`](crate::config::StemNorm::Batch)).
    ///
    /// # Errors
    ///
    /// If the device fails to give a tensor back.
    pub fn folded(self) -> Result<Self, PretrainedError> {
        let config = self.model.config();
        if !stem::is_normalised(config) {
            return Ok(self);
        }
        let mut tensors = to_state_dict(&self.model)?;
        let config = stem::fold(config, &mut tensors)?;
        let model = config.init(&self.device())?;
        Ok(Self {
            model: load_state_dict(model, &tensors, Completeness::Whole)?,
            ..self
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
        let file = ModelFile::<EmotionClipConfig>::read(bytes.into(), name, tokenizer)?;
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

    /// Embeds clips as unit vectors, `[clips.len(), E]`, with centre crops.
    ///
    /// # Errors
    ///
    /// If a clip has another number of frames than the model takes or can't be preprocessed.
    pub fn embed_clips(&self, clips: &[Clip]) -> Result<Tensor<2>, PretrainedError> {
        let expected = self.model.config().temporal.frames;
        let mut frames = Vec::new();
        let mut masks = Vec::new();
        let mut size = self.preprocess.crop as usize;
        for clip in clips {
            let found = clip.frames.len();
            if found != expected {
                return Err(PretrainedError::FrameCount { found, expected });
            }
            let prepared = self.preprocess.clip(clip, &Crops::Centre)?;
            size = prepared.size;
            frames.extend_from_slice(&prepared.frames);
            masks.extend_from_slice(&prepared.masks);
        }
        let count = clips.len();
        let device = self.device();
        let frames = TensorData::new(frames, [count, expected, 3, size, size]);
        let masks = TensorData::new(masks, [count, expected, size, size]);
        let features = self.model.encode_video(
            Tensor::from_data(frames, &device),
            Tensor::from_data(masks, &device),
        );
        Ok(l2_normalize(features))
    }

    /// The device that holds the weights.
    pub fn device(&self) -> Device {
        self.model.logit_scale.val().device()
    }

    /// SHA-256 of a model file in hexadecimal, the identity that probes and caches refer to.
    pub fn hash(bytes: &[u8]) -> String {
        Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// The tokenizer of a text encoder: its vocabulary gives the number of merges.
pub fn tokenizer_config(config: &EmotionClipConfig) -> TokenizerConfig {
    TokenizerConfig {
        merges: Some(config.text.merges()),
        context_length: config.text.context_length,
        ..TokenizerConfig::default()
    }
}

/// The release's preprocessing for its own input size, a plain square for the small models.
pub fn default_preprocess(config: &EmotionClipConfig) -> Preprocess {
    if config.vision.image_size == 224 {
        Preprocess::release()
    } else {
        Preprocess::square(u32::try_from(config.vision.image_size).unwrap_or(u32::MAX))
    }
}

/// Token rows as an integer tensor `[B, L]`, the padding behind the longest text cut off.
///
/// Attention is causal, so nothing behind the last end-of-text token is ever read.
pub fn token_tensor(rows: &[Vec<u32>], device: &Device) -> Tensor<2, Int> {
    let used = |row: &Vec<u32>| {
        row.iter()
            .rposition(|id| *id != 0)
            .map_or(1, |last| last + 1)
    };
    let length = rows.iter().map(used).max().unwrap_or(1);
    let ids: Vec<i32> = rows
        .iter()
        .flat_map(|row| row.iter().take(length))
        .map(|id| i32::try_from(*id).unwrap_or(i32::MAX))
        .collect();
    Tensor::from_data(TensorData::new(ids, [rows.len(), length]), device)
}

#[cfg(test)]
#[cfg(feature = "bundled-merges")]
mod tests {
    use super::*;

    fn pretrained() -> Pretrained {
        let mut config = EmotionClipConfig::nano();
        config.vision.layers = 1;
        config.text.layers = 1;
        let model = config.init(&Device::flex()).unwrap();
        Pretrained::new(model, default_preprocess(&config)).unwrap()
    }

    fn read(pretrained: &Pretrained) -> Result<Pretrained, PretrainedError> {
        let bytes = pretrained.to_bytes().unwrap();
        Pretrained::from_bytes(bytes, "model.safetensors", &Device::flex())
    }

    #[test]
    fn a_model_file_gives_the_same_model_back() {
        let original = pretrained();
        let again = read(&original).unwrap();
        assert_eq!(again.to_bytes().unwrap(), original.to_bytes().unwrap());
        let embed = |model: &Pretrained| {
            model
                .embed_texts(&["so glad"])
                .try_into_vec_as::<f32>()
                .unwrap()
        };
        assert_eq!(embed(&again), embed(&original));
    }

    #[test]
    fn metadata_that_does_not_fit_the_model_is_named() {
        let message = |changed: Pretrained| read(&changed).unwrap_err().to_string();
        let mut changed = pretrained();
        changed.preprocess = Preprocess::release();
        assert_eq!(
            message(changed),
            "model.safetensors: metadata `emotionclip_preprocess`: crop is 224, the frame encoder \
             takes 64 pixels"
        );
        let mut changed = pretrained();
        changed.tokenizer = ClipTokenizer::new(TokenizerConfig::default()).unwrap();
        assert!(message(changed).contains("it makes 49408 ids, the text encoder has 2514"));
        let mut changed = pretrained();
        let mut settings = changed.tokenizer.config().clone();
        settings.context_length = 77;
        changed.tokenizer = ClipTokenizer::new(settings).unwrap();
        assert!(message(changed).contains("context_length is 77, the text encoder's 32"));
    }
}
