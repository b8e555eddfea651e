//! The golden files of `parity/goldens`, and how near a result must come to them.
//!
//! The files hold float64 results rounded to float32 (see `parity/README.md`), so a distance measured
//! here is the error of the Rust side alone. Everything panics on trouble: a golden that can't be read
//! is a broken checkout, not a case to handle.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use emotionclip::checkpoint::{RawTensor, StateDict};
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;

/// Largest relative L2 error of an embedding in f32.
pub const EMBEDDING_ERROR: f64 = 1e-4;

/// Smallest cosine between an embedding in f32 and the reference.
pub const EMBEDDING_COSINE: f64 = 0.99999;

/// Largest relative L2 error of a gradient in f32.
pub const GRADIENT_ERROR: f64 = 1e-3;

/// A tensor of a golden file; every element type fits f64.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Its shape, empty for a scalar.
    pub shape: Vec<usize>,
    /// Its values in row-major order.
    pub values: Vec<f64>,
}

/// One golden file.
#[derive(Clone, Debug)]
pub struct Golden {
    name: String,
    config: serde_json::Value,
    tensors: BTreeMap<String, Reference>,
}

/// How far a result lies from its reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// L2 norm of the difference over the reference's; the norm itself if the reference is all zero.
    pub relative_l2: f64,
    /// Cosine between the two; 1 if the reference is all zero.
    pub cosine: f64,
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "relative L2 {:.1e}, cosine {:.7}",
            self.relative_l2, self.cosine
        )
    }
}

impl Distance {
    /// The distance of `actual` from `expected`.
    ///
    /// # Panics
    ///
    /// If their lengths differ.
    pub fn between(actual: &[f32], expected: &[f64]) -> Self {
        assert_eq!(actual.len(), expected.len(), "number of values");
        let mut difference = 0.0;
        let mut dot = 0.0;
        let mut norms = [0.0, 0.0];
        for (&actual, &expected) in actual.iter().zip(expected) {
            let actual = f64::from(actual);
            difference += (actual - expected).powi(2);
            dot += actual * expected;
            norms[0] += actual * actual;
            norms[1] += expected * expected;
        }
        if norms[1] == 0.0 {
            return Self {
                relative_l2: difference.sqrt(),
                cosine: 1.0,
            };
        }
        let cosine = dot / (norms[0] * norms[1]).sqrt();
        Self {
            relative_l2: (difference / norms[1]).sqrt(),
            cosine,
        }
    }

    /// The farthest of the rows, `width` values each.
    pub fn worst_row(actual: &[f32], expected: &[f64], width: usize) -> Self {
        assert_eq!(actual.len(), expected.len(), "number of values");
        let rows = actual.chunks(width).zip(expected.chunks(width));
        let mut worst = Self {
            relative_l2: 0.0,
            cosine: 1.0,
        };
        for (actual, expected) in rows {
            let row = Self::between(actual, expected);
            // `max` and `min` would drop a NaN, which is the worst of all.
            if row.relative_l2.is_nan() || row.relative_l2 > worst.relative_l2 {
                worst.relative_l2 = row.relative_l2;
            }
            if row.cosine.is_nan() || row.cosine < worst.cosine {
                worst.cosine = row.cosine;
            }
        }
        worst
    }

    /// Whether an embedding this far off is within the tolerance for f32.
    pub fn is_embedding_close(&self) -> bool {
        self.relative_l2 <= EMBEDDING_ERROR && self.cosine >= EMBEDDING_COSINE
    }
}

impl Golden {
    /// Reads `parity/goldens/<name>.safetensors`.
    pub fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("parity")
            .join("goldens");
        Self::read_file(&folder.join(format!("{name}.safetensors")))
    }

    /// Reads a file of the goldens' form from anywhere.
    pub fn read_file(path: &Path) -> Self {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (_, header) =
            SafeTensors::read_metadata(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let config = header
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get("config"))
            .map_or(serde_json::Value::Null, |config| {
                serde_json::from_str(config).unwrap_or_else(|error| panic!("{name}: {error}"))
            });
        let file =
            SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let tensors = file
            .tensors()
            .into_iter()
            .map(|(key, view)| {
                let values = decode(view.dtype(), view.data());
                (
                    key,
                    Reference {
                        shape: view.shape().to_vec(),
                        values,
                    },
                )
            })
            .collect();
        Self {
            name,
            config,
            tensors,
        }
    }

    /// The part of the header's configuration at a JSON pointer (`""` is all of it).
    pub fn config<T: DeserializeOwned>(&self, pointer: &str) -> T {
        let part = self.config.pointer(pointer);
        let part = part.unwrap_or_else(|| panic!("{}: no config at {pointer}", self.name));
        serde_json::from_value(part.clone())
            .unwrap_or_else(|error| panic!("{}: {pointer}: {error}", self.name))
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> &Reference {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("{}: no tensor {name}", self.name))
    }

    /// All tensors below a prefix, by the rest of their names.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Reference)> {
        self.tensors.iter().filter_map(move |(name, tensor)| {
            let rest = name.strip_prefix(prefix)?.strip_prefix('/')?;
            Some((rest, tensor))
        })
    }

    /// A float tensor on a device.
    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let Reference { shape, values } = self.get(name);
        let data = TensorData::new(as_f32(values), shape.clone());
        Tensor::from_data(data, device)
    }

    /// Token ids on a device.
    pub fn ids(&self, name: &str, device: &Device) -> Tensor<2, Int> {
        let Reference { shape, values } = self.get(name);
        let ids: Vec<i64> = values.iter().map(|id| *id as i64).collect();
        Tensor::from_data(TensorData::new(ids, shape.clone()), device)
    }

    /// The tensors below a prefix as a checkpoint's.
    pub fn state_dict(&self, prefix: &str) -> StateDict {
        self.below(prefix)
            .map(|(key, Reference { shape, values })| {
                let raw = RawTensor::from_f32(shape.clone(), &as_f32(values));
                (
                    key.to_owned(),
                    raw.unwrap_or_else(|error| panic!("{key}: {error}")),
                )
            })
            .collect()
    }

    /// Compares embeddings `[.., E]` row by row.
    ///
    /// # Panics
    ///
    /// If shapes differ or a row is out of tolerance.
    pub fn expect_embeddings<const D: usize>(&self, name: &str, actual: Tensor<D>) {
        let expected = self.get(name);
        assert_eq!(actual.dims().to_vec(), expected.shape, "{name}");
        let width = expected.shape.last().copied().unwrap_or(1);
        let distance = Distance::worst_row(&values(actual), &expected.values, width);
        println!("{name}: {distance}");
        assert!(distance.is_embedding_close(), "{name}: {distance}");
    }

    /// Compares a tensor as a whole.
    ///
    /// # Panics
    ///
    /// If shapes differ or the relative L2 error exceeds `tolerance`.
    pub fn expect_close<const D: usize>(&self, name: &str, actual: Tensor<D>, tolerance: f64) {
        let expected = self.get(name);
        let shape = actual.dims().to_vec();
        let scalar = expected.shape.is_empty() && shape.iter().all(|side| *side == 1);
        assert!(
            scalar || shape == expected.shape,
            "{name}: {shape:?}, not {:?}",
            expected.shape
        );
        let distance = Distance::between(&values(actual), &expected.values);
        println!("{name}: {distance}");
        assert!(distance.relative_l2 <= tolerance, "{name}: {distance}");
    }

    /// Compares gradients, or any tensors under checkpoint keys, with those below `prefix`, one by one.
    ///
    /// # Panics
    ///
    /// If the keys differ or a tensor's relative L2 error exceeds `tolerance`; all such are named.
    pub fn expect_state(&self, prefix: &str, actual: &StateDict, tolerance: f64) {
        let mut worst = 0.0_f64;
        let mut failures = Vec::new();
        for (key, expected) in self.below(prefix) {
            let Some(actual) = actual.get(key) else {
                failures.push(format!("{key}: absent"));
                continue;
            };
            assert_eq!(actual.shape(), expected.shape, "{key}");
            let error = Distance::between(&actual.to_f32(), &expected.values).relative_l2;
            worst = worst.max(error);
            if error.is_nan() || error > tolerance {
                failures.push(format!("{key}: relative L2 {error:.1e}"));
            }
        }
        println!("{prefix}: worst relative L2 {worst:.1e}");
        assert!(failures.is_empty(), "{prefix}:\n{}", failures.join("\n"));
        for key in actual.keys() {
            let is_copy = key == "backbone.logit_scale" || key == "visual_head.position_ids";
            let known = is_copy || self.tensors.contains_key(&format!("{prefix}/{key}"));
            assert!(known, "{prefix}: {key} has no reference");
        }
    }
}

/// A tensor's values in row-major order.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .try_into_vec_as::<f32>()
        .expect("a device of these tests gives its values back")
}

fn as_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}

fn decode(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    match dtype {
        Dtype::F32 => elements(bytes, |bytes| f64::from(f32::from_le_bytes(bytes))),
        Dtype::F64 => elements(bytes, f64::from_le_bytes),
        Dtype::I64 => elements(bytes, |bytes| i64::from_le_bytes(bytes) as f64),
        other => panic!("goldens hold F32, F64 and I64, not {other:?}"),
    }
}

fn elements<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|chunk| value(*chunk))
        .collect()
}
