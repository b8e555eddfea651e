//! EmoCLIP: CLIP, the temporal transformer and a temperature of its own.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use super::{EmoClipConfig, TemporalTransformer, TrainableTowers};
use crate::config::ConfigError;
use crate::loss::SentimentGuidance;
use crate::model::{DEFAULT_SEED, INITIAL_LOGIT_SCALE, PairEmbeddings, l2_normalize};
use crate::nn::{Init, ParameterInit};
use crate::parameters::train_only;
use crate::text::TextTransformer;
use crate::vision::VisionTransformer;

/// The CLIP that EmoCLIP is built on.
#[derive(Module, Debug)]
pub struct ClipBackbone {
    /// Image tower.
    pub visual: VisionTransformer,
    /// Text tower.
    pub text: TextTransformer,
    /// CLIP's own logit scale, `[1]`: carried along, used by nothing.
    pub logit_scale: Param<Tensor<1>>,
}

/// The whole model.
#[derive(Module, Debug)]
pub struct EmoClip {
    /// CLIP's towers.
    pub backbone: ClipBackbone,
    /// Temporal transformer over the frames' features.
    pub temporal: TemporalTransformer,
    /// Logarithm of the similarity's scale, `[1]`. It starts at CLIP's and is never clamped.
    pub logit_scale: Param<Tensor<1>>,
    #[module(skip)]
    config: EmoClipConfig,
}

impl EmoClipConfig {
    /// Creates a model with fresh parameters from [`DEFAULT_SEED`].
    ///
    /// # Errors
    ///
    /// If the configuration describes no model.
    pub fn init(&self, device: &Device) -> Result<EmoClip, ConfigError> {
        self.init_seeded(DEFAULT_SEED, device)
    }

    /// Creates a model with fresh parameters: the same seed gives the same numbers on any device.
    ///
    /// # Errors
    ///
    /// If the configuration describes no model.
    pub fn init_seeded(&self, seed: u64, device: &Device) -> Result<EmoClip, ConfigError> {
        self.validate()?;
        let mut init = ParameterInit::new(seed, device);
        let logit_scale = Init::Constant(INITIAL_LOGIT_SCALE);
        Ok(EmoClip {
            backbone: ClipBackbone {
                visual: self.vision.init(self.embed_dim, self.activation, &mut init),
                text: self.text.init(self.embed_dim, self.activation, &mut init),
                logit_scale: init.parameter([1], logit_scale),
            },
            temporal: self.temporal.init(self.embed_dim, &mut init),
            logit_scale: init.parameter([1], logit_scale),
            config: self.clone(),
        })
    }
}

impl EmoClip {
    /// The configuration that the model was built from.
    pub fn config(&self) -> &EmoClipConfig {
        &self.config
    }

    /// The model with gradients for what is trained and none for the rest.
    #[must_use]
    pub fn with_trainable(self, towers: TrainableTowers) -> Self {
        train_only(self, |key| towers.rate_factor(key).is_some())
    }

    /// Encodes frames `[N, 3, S, S]` to frame features `[N, E]`, not normalised.
    pub fn encode_frames(&self, frames: Tensor<4>) -> Tensor<2> {
        encode_frames(&self.backbone.visual, frames)
    }

    /// Encodes clips `[B, T, 3, S, S]` to clip features `[B, E]`, not normalised.
    ///
    /// # Panics
    ///
    /// If T exceeds [`TemporalTransformer::max_frames`]; callers check what users supply.
    pub fn encode_video(&self, frames: Tensor<5>) -> Tensor<2> {
        encode_video(&self.backbone.visual, &self.temporal, frames)
    }

    /// Encodes token ids `[B, L]` to text features `[B, E]`, not normalised.
    pub fn encode_text(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        self.backbone.text.forward(tokens)
    }

    /// Embeds a batch of clips `[B, T, 3, S, S]` and their texts `[B, L]` on the unit sphere.
    ///
    /// # Panics
    ///
    /// As [`encode_video`](Self::encode_video).
    pub fn forward(&self, frames: Tensor<5>, tokens: Tensor<2, Int>) -> PairEmbeddings {
        PairEmbeddings {
            video: l2_normalize(self.encode_video(frames)),
            text: l2_normalize(self.encode_text(tokens)),
        }
    }

    /// The factor on cosine similarities, `exp(logit_scale)`, `[1]`.
    pub fn similarity_scale(&self) -> Tensor<1> {
        self.logit_scale.val().exp()
    }

    /// The mean of the two cross-entropies of `B` pairs' logits `[B, B]`, `[1]`: the
    /// sentiment-guided loss without guidance.
    pub fn loss(&self, pairs: PairEmbeddings) -> Tensor<1> {
        let [batch, _] = pairs.video.dims();
        let unguided = SentimentGuidance {
            beta: 0.0,
            ..SentimentGuidance::default()
        };
        let sentiment = Tensor::zeros([batch, 1], &pairs.video.device());
        unguided.loss(pairs.video, pairs.text, self.similarity_scale(), sentiment)
    }
}

/// Frames `[N, 3, S, S]` through an image tower without a subject.
pub(super) fn encode_frames(visual: &VisionTransformer, frames: Tensor<4>) -> Tensor<2> {
    let [count, _, height, width] = frames.dims();
    // The tower takes a mask whatever its variant; a vanilla one does not look at it.
    let nobody = Tensor::zeros([count, height, width], &frames.device());
    visual.forward(frames, nobody)
}

/// Clips `[B, T, 3, S, S]` through an image tower and the temporal transformer.
pub(super) fn encode_video(
    visual: &VisionTransformer,
    temporal: &TemporalTransformer,
    frames: Tensor<5>,
) -> Tensor<2> {
    let [batch, time, channels, height, width] = frames.dims();
    let features = encode_frames(
        visual,
        frames.reshape([batch * time, channels, height, width]),
    );
    let [_, embed_dim] = features.dims();
    temporal.forward(features.reshape([batch, time, embed_dim]))
}
