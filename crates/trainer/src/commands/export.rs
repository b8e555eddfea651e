//! `export`: a model to the files that others read.

use std::path::PathBuf;

use anyhow::Context as _;
use burn::tensor::Device;
use bytes::Bytes;
use clap::ValueEnum;
use emotionclip::checkpoint::web::{Precision, WebOptions};
use emotionclip::checkpoint::{
    self, StateDict, to_hugging_face_keys, to_release_keys, write_safetensors,
};
use emotionclip::config::Activation;
use emotionclip::parameters::{Completeness, load_state_dict, to_state_dict};
use emotionclip::{Clip, Pretrained};
use emotionclip_data::synthetic::{self, Split, SyntheticConfig, SyntheticCorpus};
use serde::Serialize;

use crate::context::{Context, write_atomically};
use crate::failure::{OrBadInput, bad_input};
use crate::inputs::files::{one_line, read_file};
use crate::models::bundle::{self, NamedFile};
use crate::models::{ModelArgs, read_back};

/// The weights of a Hugging Face folder.
const WEIGHTS: &str = "model.safetensors";

/// Clips that an export is compared on.
const COMPARED_CLIPS: u64 = 4;

const EXAMPLES: &str = "\
Examples:
  trainer export --out nano.safetensors
  trainer export --model runs/a/checkpoints/step-500 --precision f16 --out a.safetensors
  trainer export --model a.safetensors --format hugging-face --out a-clip/
  trainer export --model a.safetensors --format web --precision int8 --shard-mb 8 --out web-model/

safetensors: one model file, under the release's keys. hugging-face: a folder that transformers'
CLIPModel loads, without the temporal encoder. web: a folder of shards with manifest (model.json),
configuration and tokenizer. What was written is read again and compared with the model: the least
cosine between embeddings of drawn clips and of texts. A normalised stem is made part of its convolutions. A card (what the model was trained on, what to beware
of, its labels, whether it is to be shown faces close up) goes along in the first and the last.";

/// Options of `export`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct ExportArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Safetensors)]
    format: Format,
    /// File to write, or folder for hugging-face and web
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Precision of the matrices; default: f32, for web f16
    #[arg(long, value_enum)]
    precision: Option<PrecisionName>,
    /// Size of a web shard in MiB
    #[arg(long, value_name = "MIB", default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    shard_mb: u32,
    /// Card to put into the export: JSON with name, trainedOn, caution, closeUp and labels; default: the
    /// model's own
    #[arg(long, value_name = "FILE.json")]
    card: Option<PathBuf>,
}

/// Kind of export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Safetensors,
    HuggingFace,
    Web,
}

/// Precision of the matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrecisionName {
    F32,
    F16,
    Int8,
}

#[derive(Debug, Serialize)]
struct WrittenFile {
    name: String,
    bytes: usize,
}

#[derive(Debug, Serialize)]
struct ExportResult<'a> {
    model: &'a str,
    format: String,
    precision: String,
    out: String,
    bytes: usize,
    files: Vec<WrittenFile>,
    /// Least cosine between embeddings by the export and by the model, of clips and of texts.
    clip_cosine: f32,
    text_cosine: f32,
}

/// Runs the command.
///
/// # Errors
/// Bad input for a model or target that can't be used; a failed write, or an export that reads back
/// as something else.
pub fn run(args: &ExportArgs, context: &Context) -> anyhow::Result<()> {
    let precision = args.precision.unwrap_or(match args.format {
        Format::Web => PrecisionName::F16,
        Format::Safetensors | Format::HuggingFace => PrecisionName::F32,
    });
    if precision == PrecisionName::Int8 && args.format != Format::Web {
        return Err(bad_input(
            "--precision int8 is for --format web only; use f32 or f16",
        ));
    }
    if args.format == Format::Safetensors && args.out.is_dir() {
        let message = format!("{}: a folder; name a file", args.out.display());
        return Err(bad_input(message));
    }
    let device = context.open_device()?.device;
    let mut model = args.model.load(&device, context)?;
    model.pretrained = model.pretrained.folded()?;
    if let Some(path) = &args.card {
        let card = serde_json::from_slice(&read_file(path)?).or_bad_input(path.display())?;
        model.pretrained.card = Some(card);
    }
    let model = model;
    let pretrained = &model.pretrained;

    let files = match args.format {
        Format::Safetensors => {
            let bytes = safetensors_bytes(pretrained, precision)?;
            write_atomically(&args.out, &bytes)?;
            vec![(args.out.display().to_string(), Bytes::from(bytes))]
        }
        Format::HuggingFace => {
            let files = hugging_face_files(pretrained, precision)?;
            bundle::write_folder(&args.out, &files)?;
            files
        }
        Format::Web => {
            let options = WebOptions {
                precision: match precision {
                    PrecisionName::F32 => Precision::F32,
                    PrecisionName::F16 => Precision::F16,
                    PrecisionName::Int8 => Precision::Int8,
                },
                shard_bytes: (args.shard_mb as usize) << 20,
            };
            let files = bundle::files(pretrained, options).or_bad_input(&model.name)?;
            bundle::write_folder(&args.out, &files)?;
            files
        }
    };

    let again = read_again(args, pretrained, &device)
        .with_context(|| format!("{}: reading the export again", args.out.display()))?;
    let (clip_cosine, text_cosine) = compare(pretrained, &again)?;
    let files: Vec<WrittenFile> = files
        .into_iter()
        .map(|(name, content)| WrittenFile {
            name,
            bytes: content.len(),
        })
        .collect();
    let name = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    let result = ExportResult {
        model: &model.name,
        format: match args.format {
            Format::HuggingFace => "hugging-face".to_owned(),
            other => name(&other),
        },
        precision: name(&precision),
        out: args.out.display().to_string(),
        bytes: files.iter().map(|file| file.bytes).sum(),
        files,
        clip_cosine,
        text_cosine,
    };
    context.finish(&result, &text(&result))
}

fn text(result: &ExportResult<'_>) -> String {
    let files: String = result
        .files
        .iter()
        .map(|file| format!("  {:>12} bytes  {}\n", file.bytes, file.name))
        .collect();
    format!(
        "{} as {} ({}) in {}\n{files}  {:>12} bytes in all\nleast cosine to the model: clips {:.6}, \
         texts {:.6}",
        result.model,
        result.format,
        result.precision,
        result.out,
        result.bytes,
        result.clip_cosine,
        result.text_cosine
    )
}

/// Matrices and kernels in f16 where they fit; vectors and scalars stay f32, as they are small and
/// precision matters most there.
pub fn at_precision(state: StateDict, precision: PrecisionName) -> StateDict {
    if precision != PrecisionName::F16 {
        return state;
    }
    let halve = |(key, tensor): (String, checkpoint::RawTensor)| {
        let is_matrix = tensor.dtype().is_float() && tensor.shape().len() > 1;
        let halved = if is_matrix { tensor.to_f16() } else { None };
        (key, halved.unwrap_or(tensor))
    };
    state.into_iter().map(halve).collect()
}

fn safetensors_bytes(pretrained: &Pretrained, precision: PrecisionName) -> anyhow::Result<Vec<u8>> {
    let state = at_precision(to_state_dict(&pretrained.model)?, precision);
    Ok(write_safetensors(&state, &pretrained.metadata()))
}

/// The weights and the configuration that `CLIPModel.from_pretrained` reads.
fn hugging_face_files(
    pretrained: &Pretrained,
    precision: PrecisionName,
) -> anyhow::Result<Vec<NamedFile>> {
    let state = to_state_dict(&pretrained.model)?;
    let state = to_hugging_face_keys(&state).map_err(|error| {
        bad_input(format!(
            "--format hugging-face: {}; use safetensors or web",
            one_line(error)
        ))
    })?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let weights = write_safetensors(&at_precision(state, precision), &metadata);
    let config = serde_json::to_vec_pretty(&hugging_face_config(pretrained))?;
    let preprocess = &pretrained.preprocess;
    let processor = serde_json::json!({
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": true,
        "size": { "shortest_edge": preprocess.resize },
        "resample": 3,
        "do_center_crop": true,
        "crop_size": { "height": preprocess.crop, "width": preprocess.crop },
        "do_normalize": true,
        "image_mean": preprocess.mean,
        "image_std": preprocess.std,
    });
    let processor = serde_json::to_vec_pretty(&processor)?;
    Ok(vec![
        (WEIGHTS.to_owned(), weights.into()),
        ("config.json".to_owned(), config.into()),
        ("preprocessor_config.json".to_owned(), processor.into()),
    ])
}

fn hugging_face_config(pretrained: &Pretrained) -> serde_json::Value {
    let config = pretrained.model.config();
    let activation = match config.activation {
        Activation::Gelu => "gelu",
        Activation::QuickGelu => "quick_gelu",
    };
    let (vision, text) = (&config.vision, &config.text);
    serde_json::json!({
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": config.embed_dim,
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_act": activation,
            "hidden_size": vision.width,
            "intermediate_size": vision.width * vision.mlp_ratio,
            "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.heads,
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "projection_dim": config.embed_dim,
        },
        "text_config": {
            "model_type": "clip_text_model",
            "hidden_act": activation,
            "hidden_size": text.width,
            "intermediate_size": text.width * 4,
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "max_position_embeddings": text.context_length,
            "vocab_size": text.vocab_size,
            "bos_token_id": text.vocab_size - 2,
            "eos_token_id": text.vocab_size - 1,
            "pad_token_id": 0,
            "projection_dim": config.embed_dim,
        },
    })
}

/// The exported model from its files. What a format has no place for is the model's own.
fn read_again(
    args: &ExportArgs,
    original: &Pretrained,
    device: &Device,
) -> anyhow::Result<Pretrained> {
    match args.format {
        Format::Safetensors => {
            let name = args.out.display().to_string();
            Ok(Pretrained::from_bytes(
                read_file(&args.out)?,
                &name,
                device,
            )?)
        }
        Format::Web => Ok(bundle::read(&args.out, device)?.pretrained),
        Format::HuggingFace => {
            let path = args.out.join(WEIGHTS);
            let state = checkpoint::read(read_file(&path)?, WEIGHTS)?;
            let tensors = to_release_keys(state)?.tensors;
            let mut again = original.clone();
            again.model = load_state_dict(again.model, &tensors, Completeness::Backbone)?;
            Ok(again)
        }
    }
}

/// Least cosine over a few clips and over the built-in label texts.
fn compare(original: &Pretrained, again: &Pretrained) -> anyhow::Result<(f32, f32)> {
    let config = original.model.config();
    let side = u32::try_from(config.vision.image_size).unwrap_or(SyntheticConfig::MAX_SIZE);
    let synthetic = SyntheticConfig {
        size: side.clamp(SyntheticConfig::MIN_SIZE, SyntheticConfig::MAX_SIZE),
        frames: config.temporal.frames,
        ..SyntheticConfig::default()
    };
    let corpus = SyntheticCorpus::new(synthetic, Split::Validation)?;
    let clips: Vec<Clip> = (0..COMPARED_CLIPS)
        .map(|index| corpus.sample(index).clip)
        .collect();
    let texts: Vec<&String> = synthetic::label_texts()?.iter().flatten().collect();
    let clip_cosine = least_cosine(original.embed_clips(&clips)?, again.embed_clips(&clips)?)?;
    let text_cosine = least_cosine(original.embed_texts(&texts), again.embed_texts(&texts))?;
    Ok((clip_cosine, text_cosine))
}

/// Least cosine between corresponding rows of unit length.
fn least_cosine(a: burn::tensor::Tensor<2>, b: burn::tensor::Tensor<2>) -> anyhow::Result<f32> {
    let width = a.dims()[1];
    let (a, b) = (read_back(a)?, read_back(b)?);
    let dot = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    Ok(a.chunks_exact(width)
        .zip(b.chunks_exact(width))
        .map(dot)
        .fold(1.0, f32::min))
}
