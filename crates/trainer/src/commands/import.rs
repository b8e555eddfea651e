//! `import`: any CLIP or EmotionCLIP checkpoint to a model file.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::ValueEnum;
use emotionclip::checkpoint::{
    self, ActivationHint, SourceFormat, StateDict, hugging_face_activation,
    resize_visual_positions, to_release_keys,
};
use emotionclip::config::Activation;
use emotionclip::parameters::{Completeness, load_state_dict, parameter_count};
use emotionclip::preprocess::{CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, Preprocess};
use emotionclip::pretrained::{CONFIG_KEY, PREPROCESS_KEY, default_preprocess};
use emotionclip::{EmotionClipConfig, Preset, Pretrained};
use serde::Serialize;

use crate::context::{Context, write_atomically};
use crate::failure::{OrBadInput, bad_input};
use crate::inputs::files::{one_line, read_file, read_text, safetensors_metadata};
use crate::models::{architecture, hub, named};

/// What the release puts before the keys of the temporal encoder.
const TEMPORAL: &str = "visual_head.";

const EXAMPLES: &str = "\
Examples:
  trainer import emotionclip_latest.pt --out emotionclip.safetensors
  trainer import hf://laion/CLIP-ViT-B-32-laion2B-s34B-b79K --out start.safetensors
  trainer import ViT-B-16.pt --preset vit_b_16 --out start.safetensors
  trainer import odd.safetensors --config odd.toml --out odd-model.safetensors

Reads safetensors and PyTorch files of the EmotionCLIP release, OpenCLIP, OpenAI's CLIP and Hugging
Face's CLIPModel, without running any code in them. The architecture follows from the tensors'
shapes (64 channels a head) unless --preset or --config tells it. A file with a CLIP backbone only
gets a fresh temporal encoder. Downloads from hf:// go on where they stopped and are checked;
HF_ENDPOINT names another hub.";

/// Options of `import`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct ImportArgs {
    /// Checkpoint file, or `hf://owner/name[@rev][/file]`
    #[arg(value_name = "CHECKPOINT")]
    source: String,
    /// Model file to write
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
    /// Architecture by name: vit_b_32, vit_b_16, mini or nano
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    preset: Option<Preset>,
    /// Architecture as a TOML or JSON file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Activation of the two towers; default: what the file or its origin says
    #[arg(long, value_enum)]
    activation: Option<ActivationName>,
    /// Channel statistics that frames are normalised with; default: the file's own, else imagenet
    #[arg(long, value_enum)]
    normalise: Option<Statistics>,
    /// Seed of the temporal encoder where the file has none
    #[arg(long, default_value_t = emotionclip::model::DEFAULT_SEED)]
    seed: u64,
}

/// Name of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ActivationName {
    Gelu,
    QuickGelu,
}

/// Mean and deviation of the colour channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Statistics {
    /// ImageNet's, as the EmotionCLIP release
    Imagenet,
    /// CLIP's own, for a CLIP that is used as it is
    Clip,
}

#[derive(Debug, Serialize)]
struct ImportResult {
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    format: &'static str,
    activation: Activation,
    parameters: usize,
    fresh_temporal_encoder: bool,
    resized_positions: bool,
    out: String,
    bytes: usize,
    sha256: String,
    config: EmotionClipConfig,
}

/// A checkpoint's bytes and what lay beside it.
struct Source {
    name: String,
    bytes: Bytes,
    /// Hugging Face's `config.json`.
    hugging_face: Option<Vec<u8>>,
    /// OpenCLIP's `open_clip_config.json`.
    open_clip: Option<Vec<u8>>,
    commit: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// Bad input for a checkpoint or configuration that can't be used; a failed download or write.
pub fn run(args: &ImportArgs, context: &Context) -> anyhow::Result<()> {
    // A misspelt configuration shows before a long download.
    let given = given_config(args)?;
    let source = Source::open(&args.source, context)?;
    let in_file = |error: &dyn std::fmt::Display| bad_input(named(&source.name, &error));
    let state =
        checkpoint::read(source.bytes.clone(), &source.name).map_err(|error| in_file(&error))?;
    let imported = to_release_keys(state).map_err(|error| in_file(&error))?;
    let mut tensors = imported.tensors;
    let mut config = match (given, own_config(&source)?) {
        (Some(config), _) | (None, Some(config)) => config,
        (None, None) => infer(&tensors, &source.name)?,
    };
    if let Some(activation) = activation(args, &source, imported.format, imported.activation_hint)?
    {
        config.activation = activation;
    }

    let positions = "backbone.visual.positional_embedding";
    let rows = |tensors: &StateDict| tensors.get(positions).map(|table| table.shape().to_vec());
    let before = rows(&tensors);
    config.validate().or_bad_input(&source.name)?;
    resize_visual_positions(&mut tensors, config.vision.grid()).map_err(|error| in_file(&error))?;
    let resized_positions = rows(&tensors) != before;
    let has_temporal = tensors.keys().any(|key| key.starts_with(TEMPORAL));
    let completeness = if has_temporal {
        Completeness::Whole
    } else {
        Completeness::Backbone
    };
    // The CPU holds any model; nothing is computed here.
    let model = config.init_seeded(args.seed, &burn::tensor::Device::flex())?;
    let model = load_state_dict(model, &tensors, completeness).map_err(|error| in_file(&error))?;
    let needs_temporal = emotionclip::parameters::parameters(&model)
        .iter()
        .any(|one| one.key.starts_with(TEMPORAL));
    let fresh_temporal_encoder = needs_temporal && !has_temporal;
    if fresh_temporal_encoder {
        tracing::warn!(
            "{}: no temporal encoder inside; it starts fresh from seed {}: pre-train before use",
            source.name,
            args.seed
        );
    }

    let preprocess = preprocess(args, &source, &config)?;
    let parameters = parameter_count(&model);
    let pretrained = Pretrained::new(model, preprocess).or_bad_input(&source.name)?;
    let bytes = pretrained.to_bytes()?;
    write_atomically(&args.out, &bytes)?;
    let result = ImportResult {
        source: args.source.clone(),
        commit: source.commit,
        format: format_name(imported.format),
        activation: config.activation,
        parameters,
        fresh_temporal_encoder,
        resized_positions,
        out: args.out.display().to_string(),
        bytes: bytes.len(),
        sha256: Pretrained::hash(&bytes),
        config,
    };
    context.finish(&result, &text(&result))
}

fn text(result: &ImportResult) -> String {
    let temporal = if result.fresh_temporal_encoder {
        "fresh"
    } else {
        "from the file"
    };
    let positions = if result.resized_positions {
        "resized to the grid"
    } else {
        "as they were"
    };
    let activation = match result.activation {
        Activation::Gelu => "gelu",
        Activation::QuickGelu => "quick_gelu",
    };
    format!(
        "{} ({})\nparameters        {}\nactivation        {activation}\ntemporal encoder  {temporal}\n\
         positions         {positions}\nwritten to        {} ({} bytes)\nsha256            {}",
        result.source, result.format, result.parameters, result.out, result.bytes, result.sha256
    )
}

impl Source {
    fn open(source: &str, context: &Context) -> anyhow::Result<Self> {
        let read_beside = |path: Option<PathBuf>| path.and_then(|path| std::fs::read(path).ok());
        if hub::is_reference(source) {
            let mut repository = hub::Repository::open(source)?;
            let path = repository.weights(context)?;
            return Ok(Self {
                name: source.to_owned(),
                bytes: read_file(&path)?.into(),
                hugging_face: read_beside(repository.optional("config.json", context)),
                open_clip: read_beside(repository.optional("open_clip_config.json", context)),
                commit: repository.commit,
            });
        }
        let path = Path::new(source);
        let beside = |name: &str| read_beside(Some(path.with_file_name(name)));
        Ok(Self {
            name: source.to_owned(),
            bytes: read_file(path)?.into(),
            hugging_face: beside("config.json"),
            open_clip: beside("open_clip_config.json"),
            commit: None,
        })
    }
}

/// The configuration that the options name.
fn given_config(args: &ImportArgs) -> anyhow::Result<Option<EmotionClipConfig>> {
    let Some(path) = &args.config else {
        return Ok(args.preset.map(Preset::config));
    };
    let text = read_text(path)?;
    let is_json = path
        .extension()
        .is_some_and(|found| found.eq_ignore_ascii_case("json"));
    let config: Result<EmotionClipConfig, String> = if is_json {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.to_string())
    };
    let config =
        config.map_err(|error| bad_input(format!("{}: {}", path.display(), one_line(error))))?;
    config.validate().or_bad_input(path.display())?;
    Ok(Some(config))
}

/// The configuration inside a model file of ours.
fn own_config(source: &Source) -> anyhow::Result<Option<EmotionClipConfig>> {
    let metadata = safetensors_metadata(&source.bytes);
    let Some(json) = metadata.get(CONFIG_KEY) else {
        return Ok(None);
    };
    let config = serde_json::from_str(json);
    config
        .or_bad_input(format!("{}: metadata `{CONFIG_KEY}`", source.name))
        .map(Some)
}

/// The preprocessing of a model file of ours, else that of the input size.
fn preprocess(
    args: &ImportArgs,
    source: &Source,
    config: &EmotionClipConfig,
) -> anyhow::Result<Preprocess> {
    let own: Option<Preprocess> = match safetensors_metadata(&source.bytes).get(PREPROCESS_KEY) {
        Some(json) => {
            let entry = format!("{}: metadata `{PREPROCESS_KEY}`", source.name);
            Some(serde_json::from_str(json).or_bad_input(entry)?)
        }
        None => None,
    };
    let own = own.filter(|own| own.crop as usize == config.vision.image_size);
    let mut preprocess = own.unwrap_or_else(|| default_preprocess(config));
    match args.normalise {
        Some(Statistics::Imagenet) => {
            (preprocess.mean, preprocess.std) = (IMAGENET_MEAN, IMAGENET_STD);
        }
        Some(Statistics::Clip) => (preprocess.mean, preprocess.std) = (CLIP_MEAN, CLIP_STD),
        None => {}
    }
    Ok(preprocess)
}

fn infer(tensors: &StateDict, name: &str) -> anyhow::Result<EmotionClipConfig> {
    architecture::infer(tensors).map_err(|problem| {
        bad_input(format!(
            "{name}: its tensors don't tell the architecture ({problem}); give --preset or --config"
        ))
    })
}

/// The activation by option, by the weights themselves, by the files beside them, or by the
/// family's custom. `None` leaves the configuration's.
fn activation(
    args: &ImportArgs,
    source: &Source,
    format: SourceFormat,
    hint: Option<ActivationHint>,
) -> anyhow::Result<Option<Activation>> {
    if let Some(name) = args.activation {
        return Ok(Some(match name {
            ActivationName::Gelu => Activation::Gelu,
            ActivationName::QuickGelu => Activation::QuickGelu,
        }));
    }
    let hint = match (hint, format) {
        (Some(hint), _) => Some(hint),
        (None, SourceFormat::HuggingFace) => match &source.hugging_face {
            Some(json) => {
                let beside = format!("{}: config.json beside it", source.name);
                Some(hugging_face_activation(json).or_bad_input(beside)?)
            }
            None if args.config.is_some() => None,
            None => {
                tracing::warn!(
                    "{}: no config.json beside it; taking quick_gelu as transformers does \
                     (--activation gelu for weights from OpenCLIP)",
                    source.name
                );
                Some(ActivationHint::QuickGelu)
            }
        },
        (None, SourceFormat::OpenClip) => source.open_clip.as_deref().and_then(quick_gelu_flag),
        (None, SourceFormat::Release | SourceFormat::OpenAi) => None,
    };
    Ok(hint.map(|hint| match hint {
        ActivationHint::Gelu => Activation::Gelu,
        ActivationHint::QuickGelu => Activation::QuickGelu,
    }))
}

/// `model_cfg.quick_gelu` of OpenCLIP's configuration; exact GELU where it is left out.
fn quick_gelu_flag(json: &[u8]) -> Option<ActivationHint> {
    let config: serde_json::Value = serde_json::from_slice(json).ok()?;
    let quick = config
        .get("model_cfg")?
        .get("quick_gelu")
        .and_then(serde_json::Value::as_bool);
    Some(if quick == Some(true) {
        ActivationHint::QuickGelu
    } else {
        ActivationHint::Gelu
    })
}

/// A family's name for people.
pub fn format_name(format: SourceFormat) -> &'static str {
    match format {
        SourceFormat::Release => "EmotionCLIP release",
        SourceFormat::OpenClip => "OpenCLIP",
        SourceFormat::OpenAi => "OpenAI CLIP",
        SourceFormat::HuggingFace => "Hugging Face CLIPModel",
    }
}
