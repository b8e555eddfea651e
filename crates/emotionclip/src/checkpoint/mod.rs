//! Checkpoints from bytes and to bytes, independent of the tensor engine.
//!
//! Weights reach a user in many files: the EmotionCLIP release's training pickle, OpenCLIP's and
//! OpenAI's CLIP, Hugging Face's `CLIPModel`, our own safetensors. All of them end up here as one
//! [`StateDict`] under the release's keys, checked as a whole against what the model expects:
//!
//! 1. [`read`] recognises the container and gives the tensors under the file's own keys;
//! 2. [`to_release_keys`] recognises the family of keys and renames, joins and transposes;
//! 3. [`resize_visual_positions`] fits the positional table to the model's grid;
//! 4. [`verify`] names everything missing, unexpected, misshapen or non-finite in one error.
//!
//! [`write_safetensors`], [`to_hugging_face_keys`] and [`web`] lead out again. Nothing here touches
//! a file, runs code from a checkpoint, or allocates much more than the file's own size: tensors
//! are slices of the bytes given.

mod error;
mod keys;
mod positions;
mod safetensors;
mod tensor;
mod torch;
mod verify;
pub mod web;

use bytes::Bytes;

pub use self::error::CheckpointError;
pub use self::keys::{
    ActivationHint, Imported, SourceFormat, add_release_buffers, hugging_face_activation,
    to_hugging_face_keys, to_release_keys,
};
pub use self::positions::{resize_positional_embedding, resize_visual_positions};
pub use self::safetensors::write_safetensors;
pub use self::tensor::{Dtype, RawTensor, StateDict};
pub use self::verify::{Mismatch, Misshapen, verify};

use self::error::{Fault, shorten};

/// What data-parallel training puts before every key.
const DATA_PARALLEL_PREFIX: &str = "module.";

/// Reads a checkpoint of any supported container: safetensors, a `torch.save` archive or stream, a
/// TorchScript archive. `name` is used in errors only.
///
/// Of a training checkpoint the state dict under `model` is taken, else that under `state_dict`,
/// else the top level. A leading `module.` is taken off every key. Keys are otherwise those of the
/// file.
///
/// # Errors
/// Every kind of [`CheckpointError`] that names a file.
pub fn read(bytes: impl Into<Bytes>, name: &str) -> Result<StateDict, CheckpointError> {
    let bytes = bytes.into();
    if bytes.is_empty() {
        return Err(CheckpointError::Empty {
            file: name.to_owned(),
        });
    }
    let read = if bytes.starts_with(b"PK") {
        torch::read_archive(&bytes)
    } else if bytes.get(8) == Some(&b'{') {
        safetensors::read(&bytes)
    } else if bytes.first() == Some(&0x80) {
        torch::read_stream(&bytes)
    } else {
        let (file, hint) = (name.to_owned(), hint(&bytes));
        return Err(CheckpointError::UnknownFormat { file, hint });
    };
    read.and_then(without_prefix)
        .map_err(|fault| fault.in_file(name))
}

/// As [`read`], for a safetensors file and nothing else: a program that reads no other carries no
/// other reader.
///
/// # Errors
/// Those of [`read`] that concern safetensors.
pub fn read_safetensors(bytes: impl Into<Bytes>, name: &str) -> Result<StateDict, CheckpointError> {
    let read = safetensors::read(&bytes.into());
    read.and_then(without_prefix)
        .map_err(|fault| fault.in_file(name))
}

/// What an unknown file looks like.
fn hint(bytes: &[u8]) -> String {
    if bytes.starts_with(b"version https://git-lfs") {
        "a Git LFS pointer: fetch the file itself with `git lfs pull`".into()
    } else if bytes.trim_ascii_start().starts_with(b"<") {
        "a web page, so the download went wrong".into()
    } else {
        format!("{} bytes of unknown content", bytes.len())
    }
}

fn without_prefix(state: StateDict) -> Result<StateDict, Fault> {
    if !state
        .keys()
        .any(|key| key.starts_with(DATA_PARALLEL_PREFIX))
    {
        return Ok(state);
    }
    let mut stripped = StateDict::new();
    for (key, tensor) in state {
        let key = key
            .strip_prefix(DATA_PARALLEL_PREFIX)
            .map_or(key.clone(), str::to_owned);
        if stripped.contains_key(&key) {
            return Err(Fault::damaged(format!(
                "`{}` stands both with and without `module.`",
                shorten(&key)
            )));
        }
        stripped.insert(key, tensor);
    }
    Ok(stripped)
}
