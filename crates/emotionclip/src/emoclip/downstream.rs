//! Numbers from clips: EmoCLIP's video side under a small head, for symptom scores.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Tensor, activation};

use super::model::encode_video;
use super::{EmoClip, TemporalTransformer};
use crate::nn::ParameterInit;
use crate::vision::VisionTransformer;

/// `output(relu(hidden(x)))`, the hidden layer half as wide as the embedding.
#[derive(Module, Debug)]
pub struct RegressionHead {
    hidden: Linear,
    output: Linear,
}

/// EmoCLIP's image tower, which stays as it is, its temporal transformer and a head, which are
/// trained.
///
/// Its files hold the image tower alone under `backbone.*`, then `temporal.*` and `mlp.{0,2}.*`.
#[derive(Module, Debug)]
pub struct Downstream {
    /// Image tower, without gradients.
    pub backbone: VisionTransformer,
    /// Temporal transformer.
    pub temporal: TemporalTransformer,
    /// The head.
    pub mlp: RegressionHead,
}

impl Downstream {
    /// The video side of `model` under a fresh head with `outputs` outputs, drawn from `seed`.
    pub fn new(model: EmoClip, outputs: usize, seed: u64) -> Self {
        let width = model.config().embed_dim;
        let hidden = (width / 2).max(1);
        let device = model.logit_scale.lazy_device();
        let mut init = ParameterInit::new(seed, &device);
        Self {
            backbone: model.backbone.visual.freeze(),
            temporal: model.temporal,
            mlp: RegressionHead {
                hidden: init.linear(width, hidden),
                output: init.linear(hidden, outputs),
            },
        }
    }

    /// Predictions `[B, n]` for clips `[B, T, 3, S, S]`.
    ///
    /// # Panics
    ///
    /// If T exceeds [`TemporalTransformer::max_frames`]; callers check what users supply.
    pub fn forward(&self, frames: Tensor<5>) -> Tensor<2> {
        let feature = encode_video(&self.backbone, &self.temporal, frames);
        let hidden = activation::relu(self.mlp.hidden.forward(feature));
        self.mlp.output.forward(hidden)
    }
}
