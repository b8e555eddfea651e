//! `inspect`: what a checkpoint holds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use emotionclip::checkpoint::{self, RawTensor, StateDict, to_release_keys};
use emotionclip::pretrained::CONFIG_KEY;
use serde::Serialize;

use super::import::format_name;
use crate::context::Context;
use crate::failure::bad_input;
use crate::inputs::files::{read_file, safetensors_metadata};
use crate::models::{bundle, hub, named};

const EXAMPLES: &str = "\
Examples:
  trainer inspect model.safetensors
  trainer inspect ViT-B-32.pt --summary
  trainer inspect bundle/ --json

Reads every container that `import` reads, and web bundles; nothing in a pickle is run.";

/// Options of `inspect`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct InspectArgs {
    /// Checkpoint or model file, web bundle, or `hf://owner/name[@rev][/file]`
    #[arg(value_name = "CHECKPOINT")]
    source: String,
    /// Leave the table of tensors out
    #[arg(long)]
    summary: bool,
}

/// A tensor's line of the table.
#[derive(Debug, Serialize)]
struct TensorLine {
    key: String,
    dtype: &'static str,
    shape: Vec<usize>,
    /// Of the finite values; `null` where there are none.
    mean: Option<f64>,
    std: Option<f64>,
    non_finite: usize,
}

#[derive(Debug, Serialize)]
struct InspectResult {
    file: String,
    bytes: u64,
    container: &'static str,
    /// Family of the keys, where it is known.
    format: Option<&'static str>,
    parameters: u64,
    /// Parameters of each tower, where the family is known.
    towers: BTreeMap<&'static str, u64>,
    non_finite: usize,
    /// The configuration of a model file.
    config: Option<serde_json::Value>,
    metadata: BTreeMap<String, String>,
    tensors: Vec<TensorLine>,
}

/// What was read.
struct Opened {
    container: &'static str,
    bytes: u64,
    state: StateDict,
    metadata: BTreeMap<String, String>,
}

/// Runs the command.
///
/// # Errors
/// Bad input for a file that is no checkpoint; a failed download.
pub fn run(args: &InspectArgs, context: &Context) -> anyhow::Result<()> {
    let opened = open(&args.source, context)?;
    let tensors: Vec<TensorLine> = opened
        .state
        .iter()
        .map(|(key, tensor)| TensorLine::of(key, tensor))
        .collect();
    let parameters = |state: &StateDict, wanted: &dyn Fn(&str) -> bool| -> u64 {
        let counted = state
            .iter()
            .filter(|(key, tensor)| wanted(key) && tensor.dtype().is_float());
        counted.map(|(_, tensor)| tensor.len() as u64).sum()
    };
    let all = parameters(&opened.state, &|_| true);
    let imported = to_release_keys(opened.state).ok();
    let towers = imported.as_ref().map(|imported| {
        let count = |wanted: &dyn Fn(&str) -> bool| parameters(&imported.tensors, wanted);
        BTreeMap::from([
            ("frame encoder", count(&|key| tower(key) == Tower::Frame)),
            ("text encoder", count(&|key| tower(key) == Tower::Text)),
            (
                "temporal encoder",
                count(&|key| tower(key) == Tower::Temporal),
            ),
        ])
    });
    let config = opened
        .metadata
        .get(CONFIG_KEY)
        .and_then(|json| serde_json::from_str(json).ok());
    let result = InspectResult {
        file: args.source.clone(),
        bytes: opened.bytes,
        container: opened.container,
        format: imported.map(|imported| format_name(imported.format)),
        parameters: all,
        towers: towers.unwrap_or_default(),
        non_finite: tensors.iter().map(|tensor| tensor.non_finite).sum(),
        config,
        metadata: opened.metadata,
        tensors: if args.summary { Vec::new() } else { tensors },
    };
    context.finish(&result, &text(&result))
}

/// A part of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tower {
    Frame,
    Text,
    Temporal,
    Shared,
}

fn tower(key: &str) -> Tower {
    match key.strip_prefix("backbone.") {
        Some("logit_scale") => Tower::Shared,
        Some(rest) if rest.starts_with("visual.") => Tower::Frame,
        Some(_) => Tower::Text,
        None if key.starts_with("visual_head.") => Tower::Temporal,
        None => Tower::Shared,
    }
}

fn open(source: &str, context: &Context) -> anyhow::Result<Opened> {
    let path = if hub::is_reference(source) {
        hub::Repository::open(source)?.weights(context)?
    } else {
        PathBuf::from(source)
    };
    if path.is_dir() {
        return open_bundle(&path);
    }
    let bytes = bytes::Bytes::from(read_file(&path)?);
    let state = checkpoint::read(bytes.clone(), source)
        .map_err(|error| bad_input(named(source, &error)))?;
    let container = match bytes.first_chunk::<2>() {
        Some(b"PK") => "PyTorch archive",
        Some([0x80, _]) if bytes.get(8) != Some(&b'{') => "PyTorch stream",
        _ => "safetensors",
    };
    Ok(Opened {
        container,
        bytes: bytes.len() as u64,
        metadata: safetensors_metadata(&bytes),
        state,
    })
}

fn open_bundle(folder: &Path) -> anyhow::Result<Opened> {
    let model = bundle::read(folder, &burn::tensor::Device::flex())?;
    Ok(Opened {
        container: "web bundle",
        bytes: model.bytes,
        state: emotionclip::parameters::to_state_dict(&model.pretrained.model)?,
        metadata: model.pretrained.metadata(),
    })
}

impl TensorLine {
    fn of(key: &str, tensor: &RawTensor) -> Self {
        let values = tensor.to_f32();
        let finite: Vec<f64> = values
            .iter()
            .filter(|value| value.is_finite())
            .map(|value| f64::from(*value))
            .collect();
        let count = finite.len() as f64;
        let mean = (count > 0.0).then(|| finite.iter().sum::<f64>() / count);
        let deviation = mean.map(|mean| {
            let squares: f64 = finite.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / count).sqrt()
        });
        Self {
            key: key.to_owned(),
            dtype: tensor.dtype().name(),
            shape: tensor.shape().to_vec(),
            mean,
            std: deviation,
            non_finite: values.len() - finite.len(),
        }
    }
}

fn text(result: &InspectResult) -> String {
    let mut text = format!(
        "{}\ncontainer   {} ({} bytes)\nkeys        {}\nparameters  {}\n",
        result.file,
        result.container,
        result.bytes,
        result.format.unwrap_or("of no known family"),
        result.parameters
    );
    // Writing into a String never fails.
    for (tower, count) in &result.towers {
        let _ = writeln!(text, "  {tower:<18}{count}");
    }
    let _ = writeln!(text, "non-finite  {}", result.non_finite);
    if let Some(config) = &result.config {
        let _ = writeln!(text, "config      {config}");
    }
    for (key, value) in result.metadata.iter().filter(|(key, _)| *key != CONFIG_KEY) {
        let _ = writeln!(
            text,
            "metadata    {} = {}",
            key.escape_debug(),
            value.escape_debug()
        );
    }
    if result.tensors.is_empty() {
        return text;
    }
    let width = result
        .tensors
        .iter()
        .map(|tensor| tensor.key.chars().count())
        .max()
        .unwrap_or(0);
    let _ = writeln!(
        text,
        "\n{:width$}  type  {:<20} {:>12} {:>12}",
        "key", "shape", "mean", "std"
    );
    for tensor in &result.tensors {
        let number =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4e}"));
        let _ = write!(
            text,
            "{:width$}  {:<4}  {:<20} {:>12} {:>12}",
            tensor.key.escape_debug().to_string(),
            tensor.dtype,
            format!("{:?}", tensor.shape),
            number(tensor.mean),
            number(tensor.std),
        );
        if tensor.non_finite > 0 {
            let _ = write!(text, "  {} NOT FINITE", tensor.non_finite);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_of_the_finite_values() {
        let tensor = RawTensor::from_f32(vec![4], &[1.0, 3.0, f32::NAN, f32::INFINITY]).unwrap();
        let line = TensorLine::of("a", &tensor);
        assert_eq!(
            (line.mean, line.std, line.non_finite),
            (Some(2.0), Some(1.0), 2)
        );
        let empty = RawTensor::from_f32(vec![0], &[]).unwrap();
        assert_eq!(TensorLine::of("a", &empty).mean, None);
    }

    #[test]
    fn every_key_belongs_to_one_tower() {
        assert_eq!(tower("backbone.visual.proj"), Tower::Frame);
        assert_eq!(tower("backbone.ln_final.weight"), Tower::Text);
        assert_eq!(
            tower("visual_head.fusion_layer.norm.weight"),
            Tower::Temporal
        );
        assert_eq!(tower("backbone.logit_scale"), Tower::Shared);
        assert_eq!(tower("logit_scale"), Tower::Shared);
    }
}
