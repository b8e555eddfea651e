//! The model that a command asks for: a file, a web bundle, a repository, or the built-in one.

pub mod architecture;
pub mod builtin;
pub mod bundle;
mod checkpoint_file;
pub mod hub;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use burn::tensor::{Device, Tensor};
use bytes::Bytes;
use emotionclip::{Clip, Pretrained};
use emotionclip_data::synthetic::{self, LabelTexts};

pub use builtin::Builtin;
pub use checkpoint_file::CheckpointKind;

use crate::context::Context;
use crate::failure::{OrBadInput, bad_input};
use crate::inputs::files::{one_line, read_file};
use crate::inputs::subject::SubjectChoice;

/// The weights of a checkpoint folder.
const WEIGHTS: &str = "model.safetensors";

/// The option that names a model.
#[derive(clap::Args, Clone, Debug)]
pub struct ModelArgs {
    /// mini or nano (built in), model file or folder, web bundle, or `hf://owner/name[@rev][/file]`
    ///
    /// Default: mini. A model file is what `import`, `export` and `pretrain` write.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
}

/// A model and where it came from.
#[derive(Clone, Debug)]
pub struct LoadedModel {
    /// The model.
    pub pretrained: Pretrained,
    /// Name for people.
    pub name: String,
    /// Identity that probes and caches refer to.
    pub hash: String,
    /// Size of its file or files in bytes.
    pub bytes: u64,
}

/// What the option asks for.
enum Choice<'a> {
    Builtin(Builtin),
    Given(&'a str),
}

impl ModelArgs {
    /// A file of a built-in model's name is read, not shadowed.
    fn choice(&self) -> Choice<'_> {
        let Some(source) = self.model.as_deref() else {
            return Choice::Builtin(Builtin::Mini);
        };
        match Builtin::named(source) {
            Some(model) if !Path::new(source).exists() => Choice::Builtin(model),
            _ => Choice::Given(source),
        }
    }

    /// The texts of the seven emotions where `--labels` gives none: a built-in model's own, and for
    /// any other the general ones.
    ///
    /// # Errors
    ///
    /// If a committed file is broken, which tests of the data crate rule out.
    pub fn label_texts(&self) -> anyhow::Result<&'static LabelTexts> {
        match self.choice() {
            Choice::Builtin(model) => model.label_texts(),
            Choice::Given(_) => Ok(synthetic::label_texts()?),
        }
    }

    /// Whom `predict` reads where nobody is named.
    pub fn default_subject(&self) -> SubjectChoice {
        match self.choice() {
            Choice::Builtin(Builtin::Mini) => SubjectChoice::Face(NonZeroUsize::MIN),
            Choice::Builtin(Builtin::Nano) | Choice::Given(_) => SubjectChoice::Whole,
        }
    }

    /// Loads the model onto a device.
    ///
    /// # Errors
    /// Bad input for a model that is missing, damaged or none; a failed download.
    pub fn load(&self, device: &Device, context: &Context) -> anyhow::Result<LoadedModel> {
        let source = match self.choice() {
            Choice::Builtin(model) => {
                let bytes = Bytes::from_static(model.bytes());
                return LoadedModel::from_bytes(bytes, model.name(), device);
            }
            Choice::Given(source) => source,
        };
        if hub::is_reference(source) {
            let mut repository = hub::Repository::open(source)?;
            let path = repository.weights(context)?;
            return LoadedModel::from_bytes(read_file(&path)?.into(), source, device);
        }
        let path = Path::new(source);
        if !path.is_dir() {
            return LoadedModel::from_bytes(read_file(path)?.into(), source, device);
        }
        if bundle::is_bundle(path) {
            return bundle::read(path, device);
        }
        let weights: PathBuf = path.join(WEIGHTS);
        if !weights.is_file() {
            return Err(bad_input(format!(
                "{source}: neither {} (a web bundle) nor {WEIGHTS} inside; give a model file",
                bundle::MANIFEST_NAME
            )));
        }
        let name = weights.display().to_string();
        LoadedModel::from_bytes(read_file(&weights)?.into(), &name, device)
    }
}

impl LoadedModel {
    fn from_bytes(bytes: Bytes, name: &str, device: &Device) -> anyhow::Result<Self> {
        let (hash, length) = (Pretrained::hash(&bytes), bytes.len() as u64);
        let pretrained = Pretrained::from_bytes(bytes, name, device)
            .map_err(|error| bad_input(named(name, &error)))?;
        tracing::info!("model: {name}");
        Ok(Self {
            pretrained,
            name: name.to_owned(),
            hash,
            bytes: length,
        })
    }

    /// Frames a clip, `T`.
    pub fn frames(&self) -> usize {
        self.pretrained.model.config().temporal.frames
    }

    /// Unit embeddings of clips, `[clips.len(), E]`, row after row.
    ///
    /// # Errors
    /// Bad input for clips that can't be prepared; a failing device.
    pub fn embed_clips(&self, clips: &[Clip]) -> anyhow::Result<Vec<f32>> {
        let embedded = self.pretrained.embed_clips(clips).or_bad_input("input")?;
        self.values(embedded)
    }

    /// The values of embeddings, which must be finite.
    ///
    /// # Errors
    /// A failing device, or weights that overflow.
    pub fn values(&self, embedded: Tensor<2>) -> anyhow::Result<Vec<f32>> {
        let values = read_back(embedded)?;
        anyhow::ensure!(
            values.iter().all(|value| value.is_finite()),
            "{}: the model gave an embedding that is not finite; check its weights with `inspect`",
            self.name
        );
        Ok(values)
    }
}

/// The values of a matrix on a device.
///
/// # Errors
/// A failing device.
pub fn read_back(tensor: Tensor<2>) -> anyhow::Result<Vec<f32>> {
    tensor
        .try_into_vec_as::<f32>()
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("reading from the device")
}

/// An error on one line that begins with the file's name.
pub fn named(name: &str, error: &impl std::fmt::Display) -> String {
    let line = one_line(error);
    if line.starts_with(name) {
        line
    } else {
        format!("{name}: {line}")
    }
}
