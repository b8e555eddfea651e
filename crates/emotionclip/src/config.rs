//! Every architectural choice as a serialisable value, and the named presets.
//!
//! A configuration travels with its weights: it is what turns a bag of tensors back into a model.
//! Unknown keys are errors, so that a misspelt option never trains silently with its default.

use serde::{Deserialize, Serialize};

/// Largest number accepted in a configuration; a file may say anything.
pub(crate) const MAX_NUMBER: usize = 1 << 20;
/// Most parameters accepted; the largest CLIP that was published, ViT-bigG/14, has 2.5 billion.
pub(crate) const MAX_PARAMETERS: f64 = 8e9;

/// Non-linearity of the feed-forward blocks; a property of the checkpoint, not a free choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Exact GELU, `x·Φ(x)`, as in LAION's OpenCLIP weights.
    #[default]
    Gelu,
    /// `x·σ(1.702x)`, as in OpenAI's weights.
    QuickGelu,
}

/// How the frame encoder learns which person is the subject (paper, section 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SubjectEncoding {
    /// A plain CLIP ViT that never sees the mask.
    Vanilla,
    /// Subject-aware prompting: a human token summed from the positional embeddings under the mask.
    #[default]
    Sap,
    /// Subject-aware attention masking in the first `layers` blocks (paper, equations 2–4).
    Saam {
        /// How many blocks, counted from the input, use the masked attention.
        layers: usize,
    },
}

/// Weight of patch `i`'s positional embedding in the SAP human token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SapWeight {
    /// The fraction of the patch that the mask covers (the authors' release).
    #[default]
    Coverage,
    /// 1 for every patch that the mask touches (the paper's sum over `P`).
    Indicator,
}

/// How pixels become patch embeddings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PatchStem {
    /// One linear map of each patch, as in ViT.
    #[default]
    Linear,
    /// 3×3 convolutions with ReLU before the linear map. Small vision transformers that are
    /// trained from scratch learn far faster with it (Xiao et al., 2021, "Early convolutions help
    /// transformers see better").
    Convolution {
        /// `[output channels, stride]` of each convolution; the product of the strides must divide
        /// the patch size.
        layers: Vec<[usize; 2]>,
        /// What stands between each convolution and its ReLU.
        #[serde(default, skip_serializing_if = "StemNorm::is_none")]
        norm: StemNorm,
    },
}

/// Normalisation in the convolutional stem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StemNorm {
    /// None.
    #[default]
    None,
    /// Batch normalisation: for training from scratch.
    /// [`Pretrained::folded`](crate::Pretrained::folded) makes it part of the convolutions.
    Batch,
}

impl StemNorm {
    const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// How the frame encoder's attention and positions start when it is trained from scratch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisionInit {
    /// As PyTorch and the release: Xavier attention, random positions.
    #[default]
    Random,
    /// Keys start equal to queries and positions as 2-D sinusoids, so that attention begins by
    /// comparing what tokens hold and the SAP token looks at the subject from the first step
    /// (after Trockman & Kolter, 2023, "Mimetic initialization of self-attention layers"). The
    /// class token starts as zero: all it holds then is what it attended to, where with keys equal
    /// to queries a random one attends mostly to itself.
    Mimetic,
}

/// The frame encoder: a ViT with a human token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionConfig {
    /// Side of the square input, pixels.
    pub image_size: usize,
    /// Side of a square patch, pixels.
    pub patch_size: usize,
    /// Token width.
    pub width: usize,
    /// Number of residual attention blocks.
    pub layers: usize,
    /// Attention heads a block.
    pub heads: usize,
    /// Hidden width of the feed-forward block over the token width.
    #[serde(default = "default_mlp_ratio")]
    pub mlp_ratio: usize,
    /// How pixels become patch embeddings.
    #[serde(default)]
    pub stem: PatchStem,
    /// How the subject enters.
    #[serde(default)]
    pub subject: SubjectEncoding,
    /// Weights of the SAP human token.
    #[serde(default)]
    pub sap_weight: SapWeight,
    /// How training from scratch begins; of no matter once weights are loaded.
    #[serde(default)]
    pub init: VisionInit,
}

const fn default_mlp_ratio() -> usize {
    4
}

impl VisionConfig {
    /// Patches along one side of the frame.
    pub const fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Number of patches, `m` in the paper.
    pub const fn patches(&self) -> usize {
        self.grid() * self.grid()
    }

    /// Number of tokens: class token, patches and, unless vanilla, the human token.
    pub fn tokens(&self) -> usize {
        let human = usize::from(self.subject != SubjectEncoding::Vanilla);
        1 + self.patches() + human
    }
}

/// The text encoder: CLIP's causal transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Tokens a text, start and end included.
    pub context_length: usize,
    /// Rows of the token table: 512 bytes + merges + start and end of text.
    pub vocab_size: usize,
    /// Token width.
    pub width: usize,
    /// Number of residual attention blocks.
    pub layers: usize,
    /// Attention heads a block.
    pub heads: usize,
}

impl TextConfig {
    /// Byte-pair merges that the vocabulary holds (`vocab_size` less 512 bytes and two specials).
    pub const fn merges(&self) -> usize {
        self.vocab_size.saturating_sub(514)
    }
}

/// How frame features become one clip feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemporalFusion {
    /// Six post-norm transformer layers with a residual around them (the default of the paper).
    #[default]
    Transformer,
    /// The mean over frames; no parameters.
    Mean,
    /// A depthwise convolution of kernel 3 over time, then the mean.
    #[serde(rename = "conv_1d")]
    Conv1d,
}

/// The temporal encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemporalConfig {
    /// How frames are fused.
    #[serde(default)]
    pub fusion: TemporalFusion,
    /// Frames a clip, `T`.
    pub frames: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Attention heads a layer.
    pub heads: usize,
    /// Hidden width of the feed-forward part.
    pub feed_forward: usize,
    /// Dropout probability in training.
    pub dropout: f64,
}

/// A whole EmotionCLIP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmotionClipConfig {
    /// Width of the shared embedding.
    pub embed_dim: usize,
    /// Non-linearity of the frame and text encoders.
    #[serde(default)]
    pub activation: Activation,
    /// Frame encoder.
    pub vision: VisionConfig,
    /// Text encoder.
    pub text: TextConfig,
    /// Temporal encoder.
    pub temporal: TemporalConfig,
}

/// A configuration that describes no possible model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// Dotted path of the offending field.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// The named model sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The paper's backbone: ViT-B/32, 224 px, 8 frames.
    VitB32,
    /// ViT-B/16: four times the patches.
    VitB16,
    /// 2.6 M parameters, for the browser: real faces, many words.
    Mini,
    /// About 1 M parameters, trained in minutes on a CPU.
    Nano,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 4] = [Self::VitB32, Self::VitB16, Self::Mini, Self::Nano];

    /// The name used on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VitB32 => "vit_b_32",
            Self::VitB16 => "vit_b_16",
            Self::Mini => "mini",
            Self::Nano => "nano",
        }
    }

    /// The configuration behind the name.
    pub fn config(self) -> EmotionClipConfig {
        match self {
            Self::VitB32 => EmotionClipConfig::vit_b_32(),
            Self::VitB16 => EmotionClipConfig::vit_b_16(),
            Self::Mini => EmotionClipConfig::mini(),
            Self::Nano => EmotionClipConfig::nano(),
        }
    }
}

impl core::str::FromStr for Preset {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let wanted = name.replace('-', "_");
        Self::ALL
            .into_iter()
            .find(|preset| preset.name() == wanted)
            .ok_or_else(|| ConfigError {
                field: "preset",
                problem: format!("'{name}' is unknown; use vit_b_32, vit_b_16, mini or nano"),
            })
    }
}

impl EmotionClipConfig {
    /// The paper's model: OpenCLIP ViT-B/32 and a six-layer temporal encoder over 8 frames.
    pub fn vit_b_32() -> Self {
        Self {
            embed_dim: 512,
            activation: Activation::Gelu,
            vision: VisionConfig {
                image_size: 224,
                patch_size: 32,
                width: 768,
                layers: 12,
                heads: 12,
                mlp_ratio: 4,
                stem: PatchStem::Linear,
                subject: SubjectEncoding::Sap,
                sap_weight: SapWeight::Coverage,
                init: VisionInit::Random,
            },
            text: TextConfig {
                context_length: 77,
                vocab_size: 49408,
                width: 512,
                layers: 12,
                heads: 8,
            },
            temporal: TemporalConfig {
                fusion: TemporalFusion::Transformer,
                frames: 8,
                layers: 6,
                heads: 8,
                feed_forward: 2048,
                dropout: 0.1,
            },
        }
    }

    /// The paper's model with patches of 16 pixels.
    pub fn vit_b_16() -> Self {
        let mut config = Self::vit_b_32();
        config.vision.patch_size = 16;
        config
    }

    /// A model for the browser that knows the words of a large vocabulary, 2.6 M parameters: the
    /// architecture of the weights for real faces. Frames are large enough for four faces, and most
    /// of the arithmetic is the stem's, whose last convolutions see a small face whole.
    pub fn mini() -> Self {
        Self {
            embed_dim: 128,
            vision: VisionConfig {
                image_size: 96,
                patch_size: 16,
                width: 128,
                stem: PatchStem::Convolution {
                    layers: vec![[32, 2], [48, 2], [96, 2], [128, 1], [128, 1]],
                    norm: StemNorm::None,
                },
                ..Self::nano().vision
            },
            text: TextConfig {
                context_length: 48,
                vocab_size: 514 + 10_000,
                width: 128,
                layers: 2,
                heads: 4,
            },
            temporal: TemporalConfig {
                frames: 8,
                feed_forward: 256,
                ..Self::nano().temporal
            },
            ..Self::nano()
        }
    }

    /// A model that trains in minutes on two CPU cores, about 1 M parameters.
    pub fn nano() -> Self {
        Self {
            embed_dim: 96,
            activation: Activation::Gelu,
            vision: VisionConfig {
                image_size: 64,
                patch_size: 8,
                width: 96,
                layers: 2,
                heads: 4,
                mlp_ratio: 3,
                stem: PatchStem::Convolution {
                    layers: vec![[24, 2], [48, 2], [96, 2]],
                    norm: StemNorm::None,
                },
                subject: SubjectEncoding::Sap,
                sap_weight: SapWeight::Coverage,
                init: VisionInit::Mimetic,
            },
            text: TextConfig {
                context_length: 32,
                vocab_size: 514 + 2000,
                width: 96,
                layers: 2,
                heads: 4,
            },
            temporal: TemporalConfig {
                fusion: TemporalFusion::Transformer,
                frames: 4,
                layers: 1,
                heads: 4,
                feed_forward: 192,
                dropout: 0.1,
            },
        }
    }

    /// Checks that the numbers describe a model.
    ///
    /// # Errors
    ///
    /// Names the first field that is zero, does not divide what it must, or exceeds what it indexes.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let positive = [
            ("embed_dim", self.embed_dim),
            ("vision.image_size", self.vision.image_size),
            ("vision.patch_size", self.vision.patch_size),
            ("vision.width", self.vision.width),
            ("vision.layers", self.vision.layers),
            ("vision.heads", self.vision.heads),
            ("vision.mlp_ratio", self.vision.mlp_ratio),
            ("text.width", self.text.width),
            ("text.layers", self.text.layers),
            ("text.heads", self.text.heads),
            ("temporal.frames", self.temporal.frames),
            ("temporal.heads", self.temporal.heads),
            ("temporal.feed_forward", self.temporal.feed_forward),
        ];
        for (field, value) in positive {
            if !(1..=MAX_NUMBER).contains(&value) {
                let problem = format!("{value} must lie in 1..={MAX_NUMBER}");
                return Err(ConfigError { field, problem });
            }
        }
        let divides = [
            (
                "vision.patch_size",
                self.vision.image_size,
                self.vision.patch_size,
                "image_size",
            ),
            (
                "vision.heads",
                self.vision.width,
                self.vision.heads,
                "width",
            ),
            ("text.heads", self.text.width, self.text.heads, "width"),
            (
                "temporal.heads",
                self.embed_dim,
                self.temporal.heads,
                "embed_dim",
            ),
        ];
        for (field, whole, part, of) in divides {
            if whole % part != 0 {
                let problem = format!("{part} must divide {of} ({whole})");
                return Err(ConfigError { field, problem });
            }
        }
        self.validate_details()
    }

    fn validate_details(&self) -> Result<(), ConfigError> {
        let error = |field, problem| Err(ConfigError { field, problem });
        if let SubjectEncoding::Saam { layers } = self.vision.subject
            && !(1..=self.vision.layers).contains(&layers)
        {
            let problem = format!(
                "saam layers {layers} must lie in 1..={}",
                self.vision.layers
            );
            return error("vision.subject", problem);
        }
        if let PatchStem::Convolution { layers, .. } = &self.vision.stem {
            if layers.is_empty() || layers.iter().flatten().any(|number| *number == 0) {
                return error(
                    "vision.stem",
                    "layers must be [channels, stride] pairs".into(),
                );
            }
            let stride = layers
                .iter()
                .try_fold(1_usize, |product, [_, stride]| product.checked_mul(*stride));
            if stride.is_none_or(|stride| !self.vision.patch_size.is_multiple_of(stride)) {
                let patch = self.vision.patch_size;
                let problem =
                    format!("the product of the strides must divide patch_size ({patch})");
                return error("vision.stem", problem);
            }
        }
        if self.text.context_length < 3 {
            return error("text.context_length", "must be at least 3".into());
        }
        if self.text.vocab_size < 514 || self.text.vocab_size > 49408 {
            let problem = format!(
                "{} must lie in 514..=49408 (512 bytes, at most 48894 merges, two specials)",
                self.text.vocab_size
            );
            return error("text.vocab_size", problem);
        }
        if self.temporal.fusion == TemporalFusion::Conv1d && self.temporal.frames < 3 {
            return error(
                "temporal.frames",
                "a conv_1d fusion needs at least 3 frames".into(),
            );
        }
        if !(0.0..1.0).contains(&self.temporal.dropout) {
            return error("temporal.dropout", "must lie in [0, 1)".into());
        }
        let parameters = self.rough_parameter_count();
        if parameters > MAX_PARAMETERS {
            let problem = format!(
                "these numbers make {:.0} billion parameters; {:.0} are the most",
                parameters / 1e9,
                MAX_PARAMETERS / 1e9
            );
            return error("model", problem);
        }
        Ok(())
    }

    /// The matrices of all encoders, in a type that no number of a file overflows.
    fn rough_parameter_count(&self) -> f64 {
        let of = |number: usize| number as f64;
        let blocks = |layers: usize, width: usize, hidden: f64| {
            of(layers) * (4.0 * of(width) * of(width) + 2.0 * of(width) * hidden)
        };
        let vision = &self.vision;
        let patches = (of(vision.image_size) / of(vision.patch_size)).powi(2);
        let patch = 3.0 * of(vision.patch_size) * of(vision.patch_size);
        let (mut channels, mut stem) = (3.0, patch * of(vision.width));
        if let PatchStem::Convolution { layers, .. } = &vision.stem {
            stem = 0.0;
            for [next, _] in layers {
                stem += 9.0 * channels * of(*next);
                channels = of(*next);
            }
        }
        let frame = stem
            + patches * of(vision.width)
            + blocks(
                vision.layers,
                vision.width,
                of(vision.mlp_ratio) * of(vision.width),
            );
        let text = &self.text;
        let rows = of(text.vocab_size) + of(text.context_length);
        let text = rows * of(text.width) + blocks(text.layers, text.width, 4.0 * of(text.width));
        let temporal = &self.temporal;
        let fused = of(temporal.frames) * of(self.embed_dim)
            + blocks(temporal.layers, self.embed_dim, of(temporal.feed_forward));
        frame + text + fused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_found_by_name() {
        for preset in Preset::ALL {
            assert_eq!(preset.config().validate(), Ok(()));
            assert_eq!(preset.name().parse(), Ok(preset));
        }
        assert_eq!("vit-b-32".parse(), Ok(Preset::VitB32));
        assert!("huge".parse::<Preset>().is_err());
    }

    #[test]
    fn unknown_keys_are_refused() {
        let mut value = serde_json::to_value(EmotionClipConfig::nano()).unwrap();
        assert!(serde_json::from_value::<EmotionClipConfig>(value.clone()).is_ok());
        value["vision"]["patchsize"] = 8.into();
        let error = serde_json::from_value::<EmotionClipConfig>(value).unwrap_err();
        assert!(error.to_string().contains("patchsize"), "{error}");
    }

    #[test]
    fn impossible_models_are_named() {
        let mut config = EmotionClipConfig::nano();
        config.vision.heads = 5;
        assert_eq!(config.validate().unwrap_err().field, "vision.heads");
        let mut config = EmotionClipConfig::nano();
        config.vision.subject = SubjectEncoding::Saam { layers: 9 };
        assert_eq!(config.validate().unwrap_err().field, "vision.subject");
        let mut config = EmotionClipConfig::nano();
        config.text.vocab_size = 100;
        assert_eq!(config.validate().unwrap_err().field, "text.vocab_size");
        // What a damaged or hostile file may say.
        let mut config = EmotionClipConfig::nano();
        config.temporal.frames = usize::MAX;
        assert_eq!(config.validate().unwrap_err().field, "temporal.frames");
        let mut config = EmotionClipConfig::nano();
        (config.text.width, config.text.layers) = (MAX_NUMBER, MAX_NUMBER);
        assert_eq!(config.validate().unwrap_err().field, "model");
        let mut config = EmotionClipConfig::nano();
        config.temporal.layers = usize::MAX;
        assert_eq!(config.validate().unwrap_err().field, "model");
    }
}
