//! `model.json`: what a web bundle consists of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Precision;

/// The file name of the manifest.
pub const MANIFEST_NAME: &str = "model.json";

/// The value of [`Manifest::format`].
pub(super) const FORMAT: &str = "emotionclip-web";

/// The only version written and read so far.
pub(super) const VERSION: u32 = 1;

/// Describes every file and tensor of a web bundle, so that a page can show progress in bytes,
/// check what it got, and fetch shards in parallel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always `emotionclip-web`.
    pub format: String,
    /// Version of this layout.
    pub version: u32,
    /// The precision that was asked for; single tensors may be kept wider.
    pub precision: Precision,
    /// Every file of the bundle but the manifest, by name: weight shards and the files passed
    /// along.
    pub files: BTreeMap<String, FileEntry>,
    /// Every tensor, by key.
    pub tensors: BTreeMap<String, TensorEntry>,
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// One tensor of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorEntry {
    /// The shard that holds it.
    pub file: String,
    /// Element type as stored, by its safetensors name.
    pub dtype: String,
    /// Shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// How stored integers become weights; absent for tensors stored as floats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
}

/// Symmetric int8: weight = scale of its channel · stored integer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// The dimension of the output channels.
    pub axis: usize,
    /// The f32 tensor of one scale a channel, in the same file.
    pub scale: String,
}
