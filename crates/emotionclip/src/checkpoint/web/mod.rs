//! The web bundle: weights in shards small enough to cache and to fetch in parallel, in the
//! precision a page can afford, with a manifest that says what to expect.
//!
//! Shards are safetensors files. Config and tokenizer travel along as they are. Vectors (biases,
//! norms) and scalars stay f32: they are small, and precision matters most there.

mod manifest;
mod quantize;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::manifest::{FileEntry, MANIFEST_NAME, Manifest, Quantization, TensorEntry};

use self::manifest::{FORMAT, VERSION};
use self::quantize::Quantized;
use super::{CheckpointError, Dtype, RawTensor, StateDict, safetensors, write_safetensors};

/// The least cosine between a tensor and its int8 form. One with heavier outliers stays in f16:
/// with n weights a channel, one that dwarfs all others costs up to n / (12 · 127²) of the energy.
const LEAST_COSINE: f64 = 0.999;

/// Default size of a shard: small enough to retry and to keep several in flight.
const DEFAULT_SHARD_BYTES: usize = 16 << 20;

/// Name of the `number`th shard (from 1) of so many.
fn shard_name(number: usize, count: usize) -> String {
    format!("model-{number:05}-of-{count:05}.safetensors")
}

/// Whether a file has a shard's name, of any number of shards.
pub fn is_shard_name(name: &str) -> bool {
    let numbers = name
        .strip_prefix("model-")
        .and_then(|rest| rest.strip_suffix(".safetensors"))
        .and_then(|rest| rest.split_once("-of-"));
    numbers.is_some_and(|(number, count)| {
        let numbers = (number.parse(), count.parse());
        matches!(numbers, (Ok(number), Ok(count)) if shard_name(number, count) == name)
    })
}

/// Precision of the matrices and convolution kernels in a bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As trained.
    F32,
    /// Half the size; cosine of the embeddings ≥ 0.999.
    #[default]
    F16,
    /// A quarter of the size: symmetric, one scale per output channel, f16 where that would lose
    /// too much.
    Int8,
}

/// How to write a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebOptions {
    /// Precision of the weights.
    pub precision: Precision,
    /// Tensor bytes after which a new shard is begun. A larger tensor gets a shard of its own.
    pub shard_bytes: usize,
}

impl Default for WebOptions {
    fn default() -> Self {
        Self {
            precision: Precision::default(),
            shard_bytes: DEFAULT_SHARD_BYTES,
        }
    }
}

/// A bundle in memory.
#[derive(Clone, Debug)]
pub struct WebBundle {
    /// The manifest, to be written as [`MANIFEST_NAME`] by means of [`WebBundle::manifest_json`].
    pub manifest: Manifest,
    /// Every other file by name: shards first, then what was passed along.
    pub files: Vec<(String, Bytes)>,
}

impl WebBundle {
    /// The manifest's bytes, the same for the same bundle.
    pub fn manifest_json(&self) -> Vec<u8> {
        // Strings, numbers and maps with string keys always have a JSON form.
        serde_json::to_vec_pretty(&self.manifest).unwrap_or_default()
    }
}

/// Writes a bundle. `extra_files` (config, tokenizer) are passed along untouched. The same input
/// always gives the same bytes.
///
/// # Errors [`CheckpointError::Bundle`] when a tensor is not finite, or two files or tensors would
/// share a name.
pub fn export(
    state: &StateDict,
    extra_files: &[(String, Bytes)],
    options: WebOptions,
) -> Result<WebBundle, CheckpointError> {
    let mut shards: Vec<StateDict> = Vec::new();
    let mut filled = 0;
    let mut placed: Vec<(&String, usize, Encoded)> = Vec::new();
    for (name, tensor) in state {
        if !tensor.is_finite() {
            return Err(fault(format!(
                "tensor `{name}` holds NaN or infinity; export a sound model"
            )));
        }
        let encoded = encode(name, tensor, options.precision)?;
        let size = encoded.byte_length();
        if shards.is_empty() || (filled > 0 && filled + size > options.shard_bytes) {
            shards.push(StateDict::new());
            filled = 0;
        }
        filled += size;
        let index = shards.len() - 1;
        if let (Some(shard), Some(scales)) = (shards.last_mut(), &encoded.scales) {
            let scale_name = scale_name(name);
            if state.contains_key(&scale_name) {
                return Err(fault(format!(
                    "tensor `{scale_name}` has the name of a scale"
                )));
            }
            shard.insert(scale_name, scales.clone());
        }
        if let Some(shard) = shards.last_mut() {
            shard.insert(name.clone(), encoded.tensor.clone());
        }
        placed.push((name, index, encoded));
    }

    let file_name = |index: usize| shard_name(index + 1, shards.len());
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let shard_files = shards
        .iter()
        .enumerate()
        .map(|(index, shard)| (file_name(index), write_safetensors(shard, &metadata).into()));
    let files: Vec<(String, Bytes)> = shard_files.chain(extra_files.iter().cloned()).collect();

    let mut file_entries = BTreeMap::new();
    for (name, content) in &files {
        let entry = FileEntry {
            bytes: content.len() as u64,
            sha256: sha256(content),
        };
        if name == MANIFEST_NAME || file_entries.insert(name.clone(), entry).is_some() {
            return Err(fault(format!("two files would be named `{name}`")));
        }
    }
    let tensors = placed.into_iter().map(|(name, index, encoded)| {
        let entry = TensorEntry {
            file: file_name(index),
            dtype: encoded.tensor.dtype().name().to_owned(),
            shape: encoded.tensor.shape().to_vec(),
            quantization: encoded.scales.is_some().then(|| Quantization {
                axis: output_axis(name),
                scale: scale_name(name),
            }),
        };
        (name.clone(), entry)
    });
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        precision: options.precision,
        files: file_entries,
        tensors: tensors.collect(),
    };
    Ok(WebBundle { manifest, files })
}

/// Reads a bundle back into a state dict, floats as f32. Of `files`, the shards must be there;
/// every file that the manifest knows is checked against its length and SHA-256.
///
/// # Errors
/// [`CheckpointError::Bundle`] when the manifest is not one, or the files are not what it says.
pub fn import(
    manifest_json: &[u8],
    files: &BTreeMap<String, Bytes>,
) -> Result<StateDict, CheckpointError> {
    let manifest = read_manifest(manifest_json)?;
    for name in manifest.files.keys() {
        if let Some(content) = files.get(name) {
            check_file(&manifest, name, content)?;
        }
    }
    let shards: BTreeSet<&String> = manifest.tensors.values().map(|entry| &entry.file).collect();
    let mut state = StateDict::new();
    for name in shards {
        let content = files
            .get(name)
            .filter(|_| manifest.files.contains_key(name));
        let content = content.ok_or_else(|| fault(format!("`{name}` is missing")))?;
        state.append(&mut decode_shard(&manifest, name, content)?);
    }
    Ok(state)
}

/// Reads `model.json`.
///
/// # Errors
/// [`CheckpointError::Bundle`] when it is not a manifest, or one of another version.
pub fn read_manifest(manifest_json: &[u8]) -> Result<Manifest, CheckpointError> {
    let manifest: Manifest = serde_json::from_slice(manifest_json)
        .map_err(|error| fault(format!("{MANIFEST_NAME} is not a manifest: {error}")))?;
    if manifest.format != FORMAT || manifest.version != VERSION {
        return Err(fault(format!(
            "{MANIFEST_NAME} is of `{}` version {}, this program reads `{FORMAT}` version \
             {VERSION}; export the model again",
            manifest.format, manifest.version
        )));
    }
    Ok(manifest)
}

/// Checks a file of the bundle against its length and SHA-256.
///
/// # Errors
/// [`CheckpointError::Bundle`] when the manifest does not know it or describes another.
pub fn check_file(manifest: &Manifest, name: &str, content: &[u8]) -> Result<(), CheckpointError> {
    let expected = manifest
        .files
        .get(name)
        .ok_or_else(|| fault(format!("`{name}` is not listed in {MANIFEST_NAME}")))?;
    if content.len() as u64 != expected.bytes || sha256(content) != expected.sha256 {
        return Err(fault(format!(
            "`{name}` is not the file that {MANIFEST_NAME} describes; fetch it again"
        )));
    }
    Ok(())
}

/// Reads the tensors of one shard, floats as f32: for a page that can't hold all of them at once.
///
/// # Errors
/// [`CheckpointError::Bundle`] when the shard is not what the manifest says.
pub fn import_shard(
    manifest: &Manifest,
    name: &str,
    content: &Bytes,
) -> Result<StateDict, CheckpointError> {
    check_file(manifest, name, content)?;
    decode_shard(manifest, name, content)
}

fn decode_shard(
    manifest: &Manifest,
    name: &str,
    content: &Bytes,
) -> Result<StateDict, CheckpointError> {
    let shard = safetensors::read(content).map_err(|error| error.in_file(name))?;
    let mut state = StateDict::new();
    for (key, entry) in &manifest.tensors {
        if entry.file != name {
            continue;
        }
        let tensor = decode(key, entry, &shard).ok_or_else(|| {
            fault(format!(
                "tensor `{key}` in `{name}` is not as {MANIFEST_NAME} says"
            ))
        })?;
        state.insert(key.clone(), tensor);
    }
    Ok(state)
}

/// A tensor as stored.
struct Encoded {
    tensor: RawTensor,
    scales: Option<RawTensor>,
}

impl Encoded {
    fn byte_length(&self) -> usize {
        let scales = self
            .scales
            .as_ref()
            .map_or(0, |scales| scales.bytes().len());
        self.tensor.bytes().len() + scales
    }
}

fn encode(
    name: &str,
    tensor: &RawTensor,
    precision: Precision,
) -> Result<Encoded, CheckpointError> {
    let plain = |tensor| {
        Ok(Encoded {
            tensor,
            scales: None,
        })
    };
    if !tensor.dtype().is_float() {
        return plain(tensor.clone());
    }
    if precision == Precision::F32 || tensor.shape().len() < 2 {
        return plain(tensor.clone().into_f32());
    }
    // Other ranks are SAAM's gates and depthwise kernels: small, and without long channels.
    if precision == Precision::Int8
        && matches!(tensor.shape().len(), 2 | 4)
        && let Some(encoded) = encode_int8(name, tensor)?
    {
        return Ok(encoded);
    }
    plain(tensor.to_f16().unwrap_or_else(|| tensor.clone().into_f32()))
}

/// `None` where int8 would lose too much.
fn encode_int8(name: &str, tensor: &RawTensor) -> Result<Option<Encoded>, CheckpointError> {
    let (shape, axis) = (tensor.shape(), output_axis(name));
    let values = tensor.to_f32();
    let Some(Quantized {
        values: integers,
        scales,
    }) = quantize::quantize(&values, shape, axis)
    else {
        return Ok(None);
    };
    let restored = quantize::dequantize(integers.iter().copied(), &scales, shape, axis);
    if restored.is_none_or(|restored| quantize::cosine(&values, &restored) < LEAST_COSINE) {
        return Ok(None);
    }
    let bytes: Vec<u8> = integers.into_iter().map(i8::cast_unsigned).collect();
    Ok(Some(Encoded {
        tensor: RawTensor::new(Dtype::I8, shape.to_vec(), bytes)?,
        scales: Some(RawTensor::from_f32(vec![scales.len()], &scales)?),
    }))
}

/// `None` when the stored tensor contradicts its manifest entry.
fn decode(name: &str, entry: &TensorEntry, shard: &StateDict) -> Option<RawTensor> {
    let stored = shard.get(name)?;
    if stored.dtype().name() != entry.dtype || stored.shape() != entry.shape {
        return None;
    }
    let Some(quantization) = &entry.quantization else {
        let is_float = stored.dtype().is_float();
        return Some(if is_float {
            stored.clone().into_f32()
        } else {
            stored.clone()
        });
    };
    let scales = shard.get(&quantization.scale)?;
    if stored.dtype() != Dtype::I8 || scales.dtype() != Dtype::F32 {
        return None;
    }
    let integers = stored.bytes().iter().map(|byte| byte.cast_signed());
    let values = quantize::dequantize(
        integers,
        &scales.to_f32(),
        stored.shape(),
        quantization.axis,
    )?;
    RawTensor::from_f32(stored.shape().to_vec(), &values).ok()
}

/// The dimension of a matrix's or kernel's outputs. Linear layers and kernels keep it first, as do
/// tables their tokens; only CLIP's two bare projections are stored `[in, out]`.
fn output_axis(name: &str) -> usize {
    let is_projection = name.ends_with(".proj") || name.ends_with(".text_projection");
    usize::from(is_projection)
}

fn scale_name(name: &str) -> String {
    format!("{name}.int8_scale")
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn fault(detail: String) -> CheckpointError {
    CheckpointError::Bundle { detail }
}
