//! The configuration that a checkpoint's shapes tell.
//!
//! Almost everything about a CLIP model shows in its tensors. What doesn't is settled as all
//! released CLIP models have it: 64 channels an attention head.

use emotionclip::EmotionClipConfig;
use emotionclip::checkpoint::StateDict;
use emotionclip::config::{
    Activation, PatchStem, SapWeight, SubjectEncoding, TemporalConfig, TemporalFusion, TextConfig,
    VisionConfig, VisionInit,
};

/// Channels of an attention head.
const HEAD_WIDTH: usize = 64;

/// The paper's temporal encoder, for checkpoints without one.
const FRESH_FRAMES: usize = 8;
const FRESH_LAYERS: usize = 6;
const FRESH_FEED_FORWARD: usize = 2048;

/// Reads a configuration off a state dict under the release's keys.
///
/// # Errors
/// A sentence that says which tensor is missing or of no known form.
pub fn infer(state: &StateDict) -> Result<EmotionClipConfig, String> {
    let shapes = Shapes(state);
    let [text_width, embed_dim] = shapes.of("backbone.text_projection")?;
    Ok(EmotionClipConfig {
        embed_dim,
        activation: Activation::Gelu,
        vision: shapes.vision()?,
        text: shapes.text(text_width)?,
        temporal: shapes.temporal(embed_dim)?,
    })
}

struct Shapes<'a>(&'a StateDict);

impl Shapes<'_> {
    fn of<const D: usize>(&self, key: &str) -> Result<[usize; D], String> {
        let tensor = self
            .0
            .get(key)
            .ok_or_else(|| format!("there is no `{key}`"))?;
        let shape = tensor.shape();
        shape
            .try_into()
            .map_err(|_| format!("`{key}` has the shape {shape:?}"))
    }

    /// How many numbers follow a prefix: layers of a stack.
    fn count(&self, prefix: &str) -> usize {
        let number = |key: &String| {
            let rest = key.strip_prefix(prefix)?;
            rest.split('.').next()?.parse::<usize>().ok()
        };
        self.0
            .keys()
            .filter_map(number)
            .max()
            .map_or(0, |last| last.saturating_add(1))
    }

    fn vision(&self) -> Result<VisionConfig, String> {
        let [width, _, patch_size, _] = self.of("backbone.visual.conv1.weight")?;
        let [rows, _] = self.of("backbone.visual.positional_embedding")?;
        if self.count("backbone.visual.stem.") > 0 {
            return Err("a convolutional stem's strides don't show in its shapes".to_owned());
        }
        let patches = rows.saturating_sub(1);
        let grid = patches.isqrt();
        if grid * grid != patches {
            return Err(format!("{patches} positions of patches are no square grid"));
        }
        let blocks = "backbone.visual.transformer.resblocks.";
        let [hidden, _] = self.of(&format!("{blocks}0.mlp.c_fc.weight"))?;
        let saam_layers = self.count("backbone.visual.saam.");
        Ok(VisionConfig {
            image_size: grid * patch_size,
            patch_size,
            width,
            layers: self.count(blocks),
            heads: heads(width, "the frame encoder")?,
            mlp_ratio: hidden / width.max(1),
            stem: PatchStem::Linear,
            subject: if saam_layers > 0 {
                SubjectEncoding::Saam {
                    layers: saam_layers,
                }
            } else {
                SubjectEncoding::Sap
            },
            sap_weight: SapWeight::Coverage,
            init: VisionInit::Random,
        })
    }

    fn text(&self, width: usize) -> Result<TextConfig, String> {
        let [vocab_size, _] = self.of("backbone.token_embedding.weight")?;
        let [context_length, _] = self.of("backbone.positional_embedding")?;
        Ok(TextConfig {
            context_length,
            vocab_size,
            width,
            layers: self.count("backbone.transformer.resblocks."),
            heads: heads(width, "the text encoder")?,
        })
    }

    fn temporal(&self, embed_dim: usize) -> Result<TemporalConfig, String> {
        let mut config = TemporalConfig {
            fusion: TemporalFusion::Transformer,
            frames: FRESH_FRAMES,
            layers: FRESH_LAYERS,
            heads: heads(embed_dim, "the temporal encoder")?,
            feed_forward: FRESH_FEED_FORWARD,
            dropout: 0.1,
        };
        if self
            .0
            .contains_key("visual_head.frame_position_embedding.weight")
        {
            let [frames, _] = self.of("visual_head.frame_position_embedding.weight")?;
            let layers = "visual_head.fusion_layer.layers.";
            let [feed_forward, _] = self.of(&format!("{layers}0.linear1.weight"))?;
            config.frames = frames;
            config.layers = self.count(layers);
            config.feed_forward = feed_forward;
        } else if self.0.contains_key("visual_head.fusion_layer.weight") {
            config.fusion = TemporalFusion::Conv1d;
        }
        Ok(config)
    }
}

fn heads(width: usize, of: &str) -> Result<usize, String> {
    if width >= HEAD_WIDTH && width.is_multiple_of(HEAD_WIDTH) {
        return Ok(width / HEAD_WIDTH);
    }
    Err(format!(
        "{of} is {width} wide, which tells no number of attention heads"
    ))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use emotionclip::parameters::to_state_dict;

    use super::*;

    /// Small, and of the proportions that the inference assumes.
    fn config() -> EmotionClipConfig {
        let mut config = EmotionClipConfig::nano();
        config.embed_dim = 64;
        config.vision.stem = PatchStem::Linear;
        config.vision.init = VisionInit::Random;
        config.vision.width = 128;
        config.vision.heads = 2;
        config.text.width = 64;
        config.text.heads = 1;
        config.temporal.heads = 1;
        config
    }

    #[test]
    fn shapes_tell_the_configuration_that_made_them() {
        let mut saam = config();
        saam.vision.subject = SubjectEncoding::Saam { layers: 2 };
        for config in [config(), saam] {
            let model = config.init(&Device::flex()).unwrap();
            assert_eq!(infer(&to_state_dict(&model).unwrap()).unwrap(), config);
        }
    }

    #[test]
    fn a_backbone_gets_the_papers_temporal_encoder() {
        let model = config().init(&Device::flex()).unwrap();
        let mut state = to_state_dict(&model).unwrap();
        state.retain(|key, _| !key.starts_with("visual_head."));
        let temporal = infer(&state).unwrap().temporal;
        assert_eq!(
            (temporal.frames, temporal.layers, temporal.feed_forward),
            (8, 6, 2048)
        );
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        let fault = |config: &EmotionClipConfig| {
            let model = config.init(&Device::flex()).unwrap();
            infer(&to_state_dict(&model).unwrap()).unwrap_err()
        };
        assert!(fault(&EmotionClipConfig::nano()).contains("stem"));
        let mut odd = config();
        odd.vision.width = 96;
        assert!(fault(&odd).contains("96 wide"));
        assert!(
            infer(&StateDict::new())
                .unwrap_err()
                .contains("text_projection")
        );
    }
}
