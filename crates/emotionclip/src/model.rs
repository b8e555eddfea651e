//! EmotionCLIP: the three encoders and the learned temperature.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use crate::config::{ConfigError, EmotionClipConfig};
use crate::nn::{Init, ParameterInit};
use crate::temporal::TemporalEncoder;
use crate::text::TextTransformer;
use crate::vision::VisionTransformer;

/// CLIP's initial temperature, `ln(1 / 0.07)`.
pub const INITIAL_LOGIT_SCALE: f32 = 2.659_26;

/// Upper bound of the logit-scale parameter, `ln 100`; the lower bound is 0.
pub const MAX_LOGIT_SCALE: f32 = 4.605_170_2;

/// Seed of a model made by [`EmotionClipConfig::init`]; the release's own seed.
pub const DEFAULT_SEED: u64 = 2022;

/// The whole model.
#[derive(Module, Debug)]
pub struct EmotionClip {
    /// Frame encoder.
    pub visual: VisionTransformer,
    /// Text encoder.
    pub text: TextTransformer,
    /// Temporal encoder.
    pub temporal: TemporalEncoder,
    /// Logarithm of the similarity's scale, `[1]`.
    pub logit_scale: Param<Tensor<1>>,
    #[module(skip)]
    config: EmotionClipConfig,
}

/// Normalised embeddings of a batch of pairs.
#[derive(Clone, Debug)]
pub struct PairEmbeddings {
    /// Clip embeddings `[B, E]` of unit length.
    pub video: Tensor<2>,
    /// Text embeddings `[B, E]` of unit length.
    pub text: Tensor<2>,
}

impl EmotionClipConfig {
    /// Creates a model with fresh parameters from [`DEFAULT_SEED`].
    ///
    /// # Errors
    ///
    /// If the configuration describes no model.
    pub fn init(&self, device: &Device) -> Result<EmotionClip, ConfigError> {
        self.init_seeded(DEFAULT_SEED, device)
    }

    /// Creates a model with fresh parameters: the same seed gives the same numbers on any device.
    ///
    /// # Errors
    ///
    /// If the configuration describes no model.
    pub fn init_seeded(&self, seed: u64, device: &Device) -> Result<EmotionClip, ConfigError> {
        self.validate()?;
        let mut init = ParameterInit::new(seed, device);
        Ok(EmotionClip {
            visual: self.vision.init(self.embed_dim, self.activation, &mut init),
            text: self.text.init(self.embed_dim, self.activation, &mut init),
            temporal: self.temporal.init(self.embed_dim, &mut init),
            logit_scale: init.parameter([1], Init::Constant(INITIAL_LOGIT_SCALE)),
            config: self.clone(),
        })
    }
}

impl EmotionClip {
    /// The configuration that the model was built from.
    pub fn config(&self) -> &EmotionClipConfig {
        &self.config
    }

    /// Encodes frames `[N, 3, S, S]` and masks `[N, S, S]` to frame features `[N, E]`, not
    /// normalised.
    pub fn encode_frames(&self, frames: Tensor<4>, masks: Tensor<3>) -> Tensor<2> {
        self.visual.forward(frames, masks)
    }

    /// Encodes clips `[B, T, 3, S, S]` with masks `[B, T, S, S]` to clip features `[B, E]`, not
    /// normalised.
    pub fn encode_video(&self, frames: Tensor<5>, masks: Tensor<4>) -> Tensor<2> {
        let [batch, time, channels, height, width] = frames.dims();
        let features = self.visual.forward(
            frames.reshape([batch * time, channels, height, width]),
            masks.reshape([batch * time, height, width]),
        );
        self.temporal
            .forward(features.reshape([batch, time, self.config.embed_dim]))
    }

    /// Encodes token ids `[B, L]` to text features `[B, E]`, not normalised.
    pub fn encode_text(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        self.text.forward(tokens)
    }

    /// Embeds a batch of clips and their texts on the unit sphere.
    pub fn forward(
        &self,
        frames: Tensor<5>,
        masks: Tensor<4>,
        tokens: Tensor<2, Int>,
    ) -> PairEmbeddings {
        PairEmbeddings {
            video: l2_normalize(self.encode_video(frames, masks)),
            text: l2_normalize(self.encode_text(tokens)),
        }
    }

    /// The factor on cosine similarities, `exp(logit_scale)`, `[1]`.
    pub fn similarity_scale(&self) -> Tensor<1> {
        self.logit_scale.val().exp()
    }

    /// The model with its logit scale clamped to `[0, ln 100]`, as the release does after a step.
    #[must_use]
    pub fn clamp_logit_scale(mut self) -> Self {
        self.logit_scale = self.logit_scale.map(|scale| {
            let require_grad = scale.is_require_grad();
            // Clamped first: burn's `detach` keeps a leaf's wish for a gradient, and what is
            // computed from such a leaf can't be a leaf itself.
            scale
                .clamp(0.0, MAX_LOGIT_SCALE)
                .detach()
                .set_require_grad(require_grad)
        });
        self
    }
}

/// Rows of `features` scaled to unit length; a zero row stays zero.
///
/// As `torch.nn.functional.normalize`: the norm is bounded below by 1e-12.
pub fn l2_normalize(features: Tensor<2>) -> Tensor<2> {
    let squared = features.clone().powi_scalar(2).sum_dim(1);
    // The bound stands under the root: the root's gradient at 0 is infinite.
    features / squared.clamp_min(1e-24).sqrt()
}
