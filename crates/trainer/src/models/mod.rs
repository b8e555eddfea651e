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
use emotionclip::card::{CARD_KEY, ModelCard};
use emotionclip::{Clip, Emotion, Pretrained};
use emotionclip_data::synthetic::{self, LabelTexts};

pub use builtin::Builtin;
pub use checkpoint_file::CheckpointKind;

use crate::context::Context;
use crate::failure::{OrBadInput, bad_input};
use crate::inputs::files::{one_line, read_file, safetensors_metadata};
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

    /// Finds the model and reads its card; nothing goes to a device yet.
    ///
    /// # Errors
    /// Bad input for a model that is missing or a card that is none; a failed download.
    pub fn open(&self, context: &Context) -> anyhow::Result<OpenedModel> {
        let source = match self.choice() {
            Choice::Builtin(model) => {
                return OpenedModel::file(Bytes::from_static(model.bytes()), model.name());
            }
            Choice::Given(source) => source,
        };
        if hub::is_reference(source) {
            let mut repository = hub::Repository::open(source)?;
            let path = repository.weights(context)?;
            return OpenedModel::file(read_file(&path)?.into(), source);
        }
        let path = Path::new(source);
        if !path.is_dir() {
            return OpenedModel::file(read_file(path)?.into(), source);
        }
        if bundle::is_bundle(path) {
            return Ok(OpenedModel {
                name: source.to_owned(),
                card: bundle::card(path)?,
                content: Content::Bundle(path.to_owned()),
            });
        }
        let weights: PathBuf = path.join(WEIGHTS);
        if !weights.is_file() {
            return Err(bad_input(format!(
                "{source}: neither {} (a web bundle) nor {WEIGHTS} inside; give a model file",
                bundle::MANIFEST_NAME
            )));
        }
        let name = weights.display().to_string();
        OpenedModel::file(read_file(&weights)?.into(), &name)
    }

    /// Loads the model onto a device.
    ///
    /// # Errors
    /// Bad input for a model that is missing, damaged or none; a failed download.
    pub fn load(&self, device: &Device, context: &Context) -> anyhow::Result<LoadedModel> {
        self.open(context)?.load(device)
    }
}

/// A model that was found and is not yet on a device.
#[derive(Clone, Debug)]
pub struct OpenedModel {
    name: String,
    content: Content,
    card: Option<ModelCard>,
}

#[derive(Clone, Debug)]
enum Content {
    File(Bytes),
    /// The folder.
    Bundle(PathBuf),
}

impl OpenedModel {
    fn file(bytes: Bytes, name: &str) -> anyhow::Result<Self> {
        let card = match safetensors_metadata(&bytes).get(CARD_KEY) {
            Some(text) => Some(serde_json::from_str(text).or_bad_input(format!("{name}: card"))?),
            None => None,
        };
        Ok(Self {
            name: name.to_owned(),
            content: Content::File(bytes),
            card,
        })
    }

    /// The texts of the seven emotions where `--labels` gives none: the card's, and for emotions that
    /// it has no texts for, the general ones.
    ///
    /// # Errors
    ///
    /// If a committed file is broken, which tests of the data crate rule out.
    pub fn label_texts(&self) -> anyhow::Result<LabelTexts> {
        let mut texts = synthetic::label_texts()?.clone();
        for emotion in Emotion::ALL {
            let own = self.card.as_ref().and_then(|card| card.texts(emotion));
            if let Some(own) = own.filter(|own| !own.is_empty()) {
                texts[emotion.index()] = own.to_vec();
            }
        }
        Ok(texts)
    }

    /// Whom `predict` reads where nobody is named: the face, for a model that learned from faces that
    /// fill the frame.
    pub fn default_subject(&self) -> SubjectChoice {
        if self.card.as_ref().is_some_and(|card| card.close_up) {
            SubjectChoice::Face(NonZeroUsize::MIN)
        } else {
            SubjectChoice::Whole
        }
    }

    /// Loads the model onto a device.
    ///
    /// # Errors
    /// Bad input for a model that is damaged or none.
    pub fn load(self, device: &Device) -> anyhow::Result<LoadedModel> {
        match self.content {
            Content::File(bytes) => LoadedModel::from_bytes(bytes, &self.name, device),
            Content::Bundle(folder) => bundle::read(&folder, device),
        }
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
