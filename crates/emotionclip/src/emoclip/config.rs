//! EmoCLIP's architecture as a serialisable value, its presets, and what of it is trained.

use serde::{Deserialize, Serialize};

use crate::config::{
    Activation, ConfigError, EmotionClipConfig, MAX_NUMBER, MAX_PARAMETERS, SubjectEncoding,
    TemporalConfig, TemporalFusion, TextConfig, VisionConfig,
};
use crate::optim::Rate;

/// Largest joint width of the heads; the release's is 16,384.
const MAX_INNER_WIDTH: usize = 1 << 24;

/// What a tower that is trained along learns at, as a fraction of the rate of the rest.
const TOWER_RATE_FACTOR: f64 = 0.001;

/// The temporal transformer: a class token, then pre-norm blocks over the frames' features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmoClipTemporalConfig {
    /// Frames a clip in training. Any number from 1 to `positions` − 1 can be encoded.
    pub frames: usize,
    /// Rows of the positional table; the first is the class token's.
    pub positions: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Attention heads a block.
    pub heads: usize,
    /// Width of one head. It is free of the token width: the release's heads are four times as
    /// wide as its tokens.
    pub head_width: usize,
    /// Hidden width of the feed-forward part.
    pub feed_forward: usize,
}

/// A whole EmoCLIP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmoClipConfig {
    /// Width of the shared embedding, and of the temporal transformer's tokens.
    pub embed_dim: usize,
    /// Non-linearity of the image and text towers.
    pub activation: Activation,
    /// Image tower; it has no subject, [`SubjectEncoding::Vanilla`].
    pub vision: VisionConfig,
    /// Text tower.
    pub text: TextConfig,
    /// Temporal transformer.
    pub temporal: EmoClipTemporalConfig,
}

/// The named sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmoClipPreset {
    /// The release's: OpenAI's CLIP ViT-B/32, 224 px, 32 frames.
    VitB32,
    /// The towers of EmotionCLIP's `mini`.
    Mini,
    /// The towers of EmotionCLIP's `nano`.
    Nano,
}

impl EmoClipPreset {
    /// All presets.
    pub const ALL: [Self; 3] = [Self::VitB32, Self::Mini, Self::Nano];

    /// The name used on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VitB32 => "vit_b_32",
            Self::Mini => "mini",
            Self::Nano => "nano",
        }
    }

    /// The configuration behind the name.
    pub fn config(self) -> EmoClipConfig {
        match self {
            Self::VitB32 => EmoClipConfig::vit_b_32(),
            Self::Mini => EmoClipConfig::mini(),
            Self::Nano => EmoClipConfig::nano(),
        }
    }
}

impl core::str::FromStr for EmoClipPreset {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let wanted = name.replace('-', "_");
        Self::ALL
            .into_iter()
            .find(|preset| preset.name() == wanted)
            .ok_or_else(|| ConfigError {
                field: "preset",
                problem: format!("'{name}' is unknown; EmoCLIP has vit_b_32, mini and nano"),
            })
    }
}

impl EmoClipConfig {
    /// The release's model.
    pub fn vit_b_32() -> Self {
        let towers = EmotionClipConfig {
            activation: Activation::QuickGelu,
            ..EmotionClipConfig::vit_b_32()
        };
        let temporal = EmoClipTemporalConfig {
            frames: 32,
            positions: 1024,
            layers: 2,
            heads: 8,
            head_width: 2048,
            feed_forward: 512,
        };
        Self::on(towers, temporal)
    }

    /// A model for the browser, on the towers of EmotionCLIP's `mini`.
    ///
    /// All heads together are 1.5 times as wide as a token; the release's 32 times would make the
    /// temporal transformer several times larger than both towers.
    pub fn mini() -> Self {
        let temporal = EmoClipTemporalConfig {
            frames: 8,
            positions: 64,
            layers: 2,
            heads: 4,
            head_width: 48,
            feed_forward: 128,
        };
        Self::on(EmotionClipConfig::mini(), temporal)
    }

    /// A model that trains in minutes on two CPU cores, about 1 M parameters.
    pub fn nano() -> Self {
        let temporal = EmoClipTemporalConfig {
            frames: 4,
            positions: 64,
            layers: 2,
            heads: 4,
            head_width: 48,
            feed_forward: 96,
        };
        Self::on(EmotionClipConfig::nano(), temporal)
    }

    /// This temporal transformer on the towers of an EmotionCLIP, without its subject.
    #[must_use]
    pub fn on_towers_of(self, towers: &EmotionClipConfig) -> Self {
        Self::on(towers.clone(), self.temporal)
    }

    /// EmotionCLIP's towers without a subject under another temporal encoder.
    fn on(towers: EmotionClipConfig, temporal: EmoClipTemporalConfig) -> Self {
        Self {
            embed_dim: towers.embed_dim,
            activation: towers.activation,
            vision: VisionConfig {
                subject: SubjectEncoding::Vanilla,
                ..towers.vision
            },
            text: towers.text,
            temporal,
        }
    }

    /// Checks that the numbers describe a model.
    ///
    /// # Errors
    ///
    /// Names the first field that is zero, too large, does not divide what it must, or is of
    /// EmotionCLIP only.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let error = |field, problem: String| Err(ConfigError { field, problem });
        self.towers().validate()?;
        if self.vision.subject != SubjectEncoding::Vanilla {
            let problem = "must be 'vanilla': EmoCLIP's image tower knows no subject";
            return error("vision.subject", problem.to_owned());
        }
        let temporal = &self.temporal;
        let numbers = [
            ("temporal.frames", temporal.frames),
            ("temporal.positions", temporal.positions),
            ("temporal.layers", temporal.layers),
            ("temporal.heads", temporal.heads),
            ("temporal.head_width", temporal.head_width),
            ("temporal.feed_forward", temporal.feed_forward),
        ];
        for (field, value) in numbers {
            if !(1..=MAX_NUMBER).contains(&value) {
                return error(field, format!("{value} must lie in 1..={MAX_NUMBER}"));
            }
        }
        if temporal.positions <= temporal.frames {
            let problem = format!(
                "{} must exceed frames ({}): the class token takes the first",
                temporal.positions, temporal.frames
            );
            return error("temporal.positions", problem);
        }
        if temporal.heads.saturating_mul(temporal.head_width) > MAX_INNER_WIDTH {
            let problem = format!("heads · head_width must not exceed {MAX_INNER_WIDTH}");
            return error("temporal.head_width", problem);
        }
        let inner = (temporal.heads * temporal.head_width) as f64;
        let block = self.embed_dim as f64 * (4.0 * inner + 2.0 * temporal.feed_forward as f64);
        if temporal.layers as f64 * block > MAX_PARAMETERS {
            let problem = format!(
                "makes more than {:.0} billion parameters",
                MAX_PARAMETERS / 1e9
            );
            return error("temporal", problem);
        }
        if temporal.heads == 1 && temporal.head_width == self.embed_dim {
            // The release leaves `to_out` out in this one case.
            let problem = "one head as wide as the embedding has no projection behind it in the \
                           release; take another width";
            return error("temporal.head_width", problem.to_owned());
        }
        Ok(())
    }

    /// The towers as an EmotionCLIP whose temporal encoder has no numbers to check.
    pub(super) fn towers(&self) -> EmotionClipConfig {
        EmotionClipConfig {
            embed_dim: self.embed_dim,
            activation: self.activation,
            vision: self.vision.clone(),
            text: self.text.clone(),
            temporal: TemporalConfig {
                fusion: TemporalFusion::Mean,
                frames: 1,
                layers: 0,
                heads: 1,
                feed_forward: 1,
                dropout: 0.0,
            },
        }
    }
}

/// Which parts of CLIP are trained along with the temporal transformer and the logit scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainableTowers {
    /// None: CLIP stays as it is.
    #[default]
    Frozen,
    /// All of the image tower, at a thousandth of the rate.
    Visual,
    /// The text tower's transformer blocks, without embeddings, final norm and projection, at a
    /// thousandth of the rate.
    Text,
    /// What `Visual` and `Text` train.
    Both,
    /// Both towers whole and at the full rate, for training from scratch; not in the release.
    Whole,
}

impl TrainableTowers {
    /// What the parameter's rate is multiplied by; `None` if it is not trained.
    ///
    /// `key` is that of a file: `backbone.visual.conv1.weight`.
    pub fn rate_factor(self, key: &str) -> Option<f64> {
        let Some(tower) = key.strip_prefix("backbone.") else {
            return Some(1.0);
        };
        let is_visual = tower.starts_with("visual.");
        let is_text_block = tower.starts_with("transformer.");
        let along = match self {
            Self::Frozen => false,
            Self::Visual => is_visual,
            Self::Text => is_text_block,
            Self::Both => is_visual || is_text_block,
            // CLIP's own scale is in no formula.
            Self::Whole => return (tower != "logit_scale").then_some(1.0),
        };
        along.then_some(TOWER_RATE_FACTOR)
    }

    /// The parameter's rate, for [`KeyedOptimizer`](crate::optim::KeyedOptimizer).
    pub fn rate(self, key: &str, base: Rate) -> Option<Rate> {
        let factor = self.rate_factor(key)?;
        Some(Rate {
            learning_rate: base.learning_rate * factor,
            ..base
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_found_by_name() {
        for preset in EmoClipPreset::ALL {
            assert_eq!(preset.config().validate(), Ok(()));
            assert_eq!(preset.name().parse(), Ok(preset));
            let json = serde_json::to_string(&preset.config()).unwrap();
            let again: EmoClipConfig = serde_json::from_str(&json).unwrap();
            assert_eq!(again, preset.config());
        }
        assert_eq!("vit-b-32".parse(), Ok(EmoClipPreset::VitB32));
        assert!("vit_b_16".parse::<EmoClipPreset>().is_err());
    }

    #[test]
    fn unknown_keys_are_refused() {
        let mut value = serde_json::to_value(EmoClipConfig::nano()).unwrap();
        value["temporal"]["dropout"] = 0.1.into();
        let error = serde_json::from_value::<EmoClipConfig>(value).unwrap_err();
        assert!(error.to_string().contains("dropout"), "{error}");
    }

    #[test]
    fn impossible_models_are_named() {
        type Change = fn(&mut EmoClipConfig);
        let cases: [(&str, Change); 8] = [
            ("vision.heads", |config| config.vision.heads = 5),
            ("vision.subject", |config| {
                config.vision.subject = SubjectEncoding::Sap;
            }),
            ("temporal.layers", |config| config.temporal.layers = 0),
            ("temporal.head_width", |config| {
                config.temporal.head_width = usize::MAX;
            }),
            ("temporal.head_width", |config| {
                config.temporal.head_width = MAX_NUMBER;
                config.temporal.heads = MAX_NUMBER;
            }),
            ("temporal.head_width", |config| {
                config.temporal.heads = 1;
                config.temporal.head_width = config.embed_dim;
            }),
            ("temporal.positions", |config| {
                config.temporal.positions = config.temporal.frames;
            }),
            ("text.vocab_size", |config| config.text.vocab_size = 100),
        ];
        for (field, change) in cases {
            let mut config = EmoClipConfig::nano();
            change(&mut config);
            assert_eq!(config.validate().unwrap_err().field, field);
        }
    }

    #[test]
    fn towers_follow_at_a_thousandth_or_stay() {
        let keys = [
            "temporal.cls_token",
            "logit_scale",
            "backbone.visual.proj",
            "backbone.transformer.resblocks.0.ln_1.weight",
            "backbone.token_embedding.weight",
            "backbone.logit_scale",
        ];
        let along = Some(TOWER_RATE_FACTOR);
        let full = Some(1.0);
        for (towers, expected) in [
            (
                TrainableTowers::Frozen,
                [full, full, None, None, None, None],
            ),
            (
                TrainableTowers::Visual,
                [full, full, along, None, None, None],
            ),
            (TrainableTowers::Text, [full, full, None, along, None, None]),
            (
                TrainableTowers::Both,
                [full, full, along, along, None, None],
            ),
            (TrainableTowers::Whole, [full, full, full, full, full, None]),
        ] {
            assert_eq!(keys.map(|key| towers.rate_factor(key)), expected);
        }
    }
}
