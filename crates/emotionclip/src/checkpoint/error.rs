//! What can be wrong with a checkpoint, each as one clear message.

use super::{Dtype, Mismatch};

/// Why a checkpoint could not be read, mapped or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file holds no bytes at all.
    #[error("{file}: the file is empty; copy or download it again")]
    Empty {
        /// The name given by the caller.
        file: String,
    },
    /// The first bytes are of no format this crate reads.
    #[error(
        "{file}: neither safetensors nor a PyTorch file ({hint}); \
         give a .safetensors, .pt, .pth or .bin checkpoint"
    )]
    UnknownFormat {
        /// The name given by the caller.
        file: String,
        /// What the bytes look like instead.
        hint: String,
    },
    /// The format is known, the content contradicts it.
    #[error("{file}: damaged or truncated: {detail}; copy or download it again")]
    Damaged {
        /// The name given by the caller.
        file: String,
        /// What is wrong, and where.
        detail: String,
    },
    /// A valid file that uses something this crate does not read.
    #[error("{file}: {detail}")]
    Unsupported {
        /// The name given by the caller.
        file: String,
        /// What it uses, and what to do instead.
        detail: String,
    },
    /// A pickle that names a class or function beyond tensors and plain containers.
    #[error(
        "{file}: refused, because it names the foreign class `{class}` (nothing was run); \
         save only `model.state_dict()`, or use safetensors"
    )]
    ForeignClass {
        /// The name given by the caller.
        file: String,
        /// The dotted name, such as `os.system`.
        class: String,
    },
    /// A readable file without a single tensor where a state dict is looked for.
    #[error(
        "{file}: no tensors under `model`, `state_dict` or at the top level, which holds \
         {entries}; save `model.state_dict()`"
    )]
    NoTensors {
        /// The name given by the caller.
        file: String,
        /// The first few top-level entries.
        entries: String,
    },
    /// The bytes of a tensor do not fill its shape.
    #[error("a {dtype} tensor of shape {shape:?} cannot hold {bytes} bytes")]
    TensorSize {
        /// Element type.
        dtype: Dtype,
        /// Declared shape.
        shape: Vec<usize>,
        /// Bytes given.
        bytes: usize,
    },
    /// One tensor has a shape or type that the operation cannot take.
    #[error("tensor `{name}`: {detail}")]
    Tensor {
        /// The tensor's key.
        name: String,
        /// What is wrong, and what was expected.
        detail: String,
    },
    /// The keys are of no known model family.
    #[error(
        "no known CLIP layout: expected keys of EmotionCLIP, OpenCLIP, OpenAI or Hugging Face, \
         found {found}"
    )]
    UnknownKeys {
        /// The first few keys.
        found: String,
    },
    /// The tensors do not fit the model; all of them are listed.
    #[error("{0}")]
    Mismatch(Box<Mismatch>),
    /// A Hugging Face `config.json` that says nothing usable about the activation.
    #[error("config.json: {detail}")]
    Config {
        /// What is wrong, and what was expected.
        detail: String,
    },
    /// The device failed to give a tensor back.
    #[error("reading from the device failed: {0}")]
    Device(String),
    /// An optimizer state that belongs to another model.
    #[error("optimizer state: {0}; resume with the run's own configuration")]
    Optimizer(String),
    /// A web bundle whose manifest and files disagree, or that cannot be written.
    #[error("web bundle: {detail}")]
    Bundle {
        /// What is wrong, and what to do.
        detail: String,
    },
}

/// A fault found below the level that knows the file's name.
#[derive(Debug)]
pub(super) enum Fault {
    Damaged(String),
    Unsupported(String),
    ForeignClass(String),
    NoTensors(String),
}

impl Fault {
    pub(super) fn damaged(detail: impl Into<String>) -> Self {
        Self::Damaged(detail.into())
    }

    pub(super) fn unsupported(detail: impl Into<String>) -> Self {
        Self::Unsupported(detail.into())
    }

    /// The public error, for the file of that name.
    pub(super) fn in_file(self, file: &str) -> CheckpointError {
        let file = file.to_owned();
        match self {
            Self::Damaged(detail) => CheckpointError::Damaged { file, detail },
            Self::Unsupported(detail) => CheckpointError::Unsupported { file, detail },
            Self::ForeignClass(class) => CheckpointError::ForeignClass { file, class },
            Self::NoTensors(entries) => CheckpointError::NoTensors { file, entries },
        }
    }
}

/// Keeps a name from a damaged file printable, short and on one line.
pub(super) fn shorten(name: &str) -> String {
    const LONGEST: usize = 120;
    name.chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect()
}
