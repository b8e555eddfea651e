//! The probe's file, `probe.safetensors`, which the command line and the page both write and read.
//!
//! | entry | content |
//! |---|---|
//! | tensor `weight` | F32 `[O, D]` |
//! | tensor `bias` | F32 `[O]` |
//! | metadata `emotionclip_probe` | JSON: `version` (1), `kind` (`multinomial`, `one_vs_rest` or `ridge`), `labels` (O strings), `normalise` (bool), `model_hash` (string or null), perhaps `subject` (string, as the trainer's `--subject`) |
//!
//! All metadata is one entry because safetensors keeps entries in no order: so equal probes have
//! equal bytes.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::{HeadKind, LinearHead, ProbeError};

/// Key of the metadata entry.
const METADATA_KEY: &str = "emotionclip_probe";

/// Version of the layout written.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    kind: HeadKind,
    labels: Vec<String>,
    normalise: bool,
    model_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
}

impl LinearHead {
    /// The bytes of the probe's file.
    ///
    /// # Errors
    /// None for a valid probe; what the serialiser reports is passed on.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, ProbeError> {
        let header = Header {
            version: VERSION,
            kind: self.kind(),
            labels: self.labels().to_vec(),
            normalise: self.normalises(),
            model_hash: self.model_hash().map(str::to_owned),
            subject: self.subject().map(str::to_owned),
        };
        let header = serde_json::to_string(&header).map_err(file_error)?;
        let weight = little_endian(self.weights());
        let bias = little_endian(self.bias());
        let view = |shape, bytes| TensorView::new(Dtype::F32, shape, bytes).map_err(file_error);
        let tensors = [
            ("weight", view(vec![self.outputs(), self.width()], &weight)?),
            ("bias", view(vec![self.outputs()], &bias)?),
        ];
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), header)]);
        safetensors::serialize(tensors, Some(metadata)).map_err(file_error)
    }

    /// Reads the bytes of a probe's file.
    ///
    /// # Errors
    /// [`ProbeError::File`] says what the file lacks; inconsistent or not finite contents are
    /// refused as [`LinearHead::new`] does.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, ProbeError> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(file_error)?;
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(METADATA_KEY))
            .ok_or_else(|| {
                file_error(format!(
                    "no '{METADATA_KEY}' entry in the metadata; this is no probe"
                ))
            })?;
        let version = serde_json::from_str::<serde_json::Value>(header)
            .map_err(file_error)?
            .get("version")
            .and_then(serde_json::Value::as_u64);
        if version != Some(u64::from(VERSION)) {
            return Err(file_error(format!(
                "layout version {}; this program reads version {VERSION}",
                version.map_or_else(|| "missing".to_owned(), |version| version.to_string())
            )));
        }
        let header: Header = serde_json::from_str(header).map_err(file_error)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(file_error)?;
        let (weight_shape, weights) = read(&tensors, "weight")?;
        let (bias_shape, bias) = read(&tensors, "bias")?;
        let (&[outputs, width], &[biases]) = (weight_shape.as_slice(), bias_shape.as_slice())
        else {
            return Err(file_error(format!(
                "weight {weight_shape:?} and bias {bias_shape:?}; [O, D] and [O] expected"
            )));
        };
        if outputs != biases {
            return Err(file_error(format!(
                "weight has {outputs} outputs and bias {biases}"
            )));
        }
        let head = Self::new(header.kind, width, weights, bias, header.labels)?
            .with_normalisation(header.normalise);
        let head = match header.model_hash {
            Some(hash) => head.with_model_hash(hash),
            None => head,
        };
        Ok(match header.subject {
            Some(subject) => head.with_subject(subject),
            None => head,
        })
    }
}

fn file_error(error: impl ToString) -> ProbeError {
    ProbeError::File(error.to_string())
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Shape and values of an F32 tensor.
fn read(tensors: &SafeTensors<'_>, name: &str) -> Result<(Vec<usize>, Vec<f32>), ProbeError> {
    let view = tensors.tensor(name).map_err(file_error)?;
    if view.dtype() != Dtype::F32 {
        return Err(file_error(format!(
            "tensor '{name}' is {:?}; F32 expected",
            view.dtype()
        )));
    }
    let (values, _) = view.data().as_chunks::<4>();
    let values = values.iter().map(|&bytes| f32::from_le_bytes(bytes));
    Ok((view.shape().to_vec(), values.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> LinearHead {
        LinearHead::new(
            HeadKind::OneVsRest,
            3,
            vec![0.5, -1.0, 2.0, 1e-20, 3.0, -1e30],
            vec![0.25, -1e30],
            vec!["a \"quoted\" label".into(), "freude 😀".into()],
        )
        .expect("consistent")
        .with_normalisation(true)
        .with_model_hash("sha256:00ff")
    }

    fn message(bytes: &[u8]) -> String {
        LinearHead::from_safetensors(bytes)
            .expect_err("bad file")
            .to_string()
    }

    /// A file with these metadata and the tensors of a valid probe.
    fn with_header(header: &str) -> Vec<u8> {
        let bytes = [0_u8; 8];
        let tensors = [
            (
                "weight",
                TensorView::new(Dtype::F32, vec![2, 1], &bytes).expect("fits"),
            ),
            (
                "bias",
                TensorView::new(Dtype::F32, vec![2], &bytes).expect("fits"),
            ),
        ];
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), header.to_owned())]);
        safetensors::serialize(tensors, Some(metadata)).expect("serialises")
    }

    #[test]
    fn probes_survive_the_file_and_equal_probes_have_equal_bytes() {
        let bytes = head().to_safetensors().expect("serialises");
        assert_eq!(LinearHead::from_safetensors(&bytes), Ok(head()));
        assert_eq!(head().to_safetensors(), Ok(bytes));
    }

    #[test]
    fn truncated_and_foreign_files_are_refused() {
        let bytes = head().to_safetensors().expect("serialises");
        for length in [0, 4, 8, 60, bytes.len() - 1] {
            assert!(message(&bytes[..length]).starts_with("probe file: "));
        }
        let none: [(&str, TensorView<'_>); 0] = [];
        let foreign = safetensors::serialize(none, None).expect("serialises");
        assert!(message(&foreign).contains("this is no probe"));
    }

    #[test]
    fn bad_headers_are_named() {
        let good = r#"{"version":1,"kind":"ridge","labels":["v","a"],"normalise":false,"model_hash":null}"#;
        assert!(LinearHead::from_safetensors(&with_header(good)).is_ok());
        for (from, to, expected) in [
            ("\"version\":1", "\"version\":7", "layout version 7"),
            ("\"version\":1,", "", "layout version missing"),
            ("ridge", "forest", "unknown variant `forest`"),
            ("[\"v\",\"a\"]", "[\"v\"]", "labels: 1 given, 2 expected"),
            ("\"normalise\":false,", "", "missing field `normalise`"),
            ("null}", "null,\"x\":1}", "unknown field `x`"),
            ("{", "", "trailing characters"),
        ] {
            let message = message(&with_header(&good.replacen(from, to, 1)));
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn misshapen_tensors_are_named() {
        let header =
            r#"{"version":1,"kind":"ridge","labels":["v"],"normalise":false,"model_hash":null}"#;
        let bytes = [0_u8; 16];
        let file = |weight: (Dtype, Vec<usize>), bias: Vec<usize>| {
            let size = |shape: &[usize], width| shape.iter().product::<usize>() * width;
            let width = if weight.0 == Dtype::F32 { 4 } else { 2 };
            let tensors = [
                (
                    "weight",
                    TensorView::new(weight.0, weight.1.clone(), &bytes[..size(&weight.1, width)])
                        .expect("fits"),
                ),
                (
                    "bias",
                    TensorView::new(Dtype::F32, bias.clone(), &bytes[..size(&bias, 4)])
                        .expect("fits"),
                ),
            ];
            let metadata = HashMap::from([(METADATA_KEY.to_owned(), header.to_owned())]);
            message(&safetensors::serialize(tensors, Some(metadata)).expect("serialises"))
        };
        assert!(file((Dtype::F16, vec![1, 2]), vec![1]).contains("F32 expected"));
        assert!(file((Dtype::F32, vec![4]), vec![1]).contains("[O, D] and [O] expected"));
        assert!(file((Dtype::F32, vec![2, 2]), vec![1]).contains("2 outputs and bias 1"));
        assert!(file((Dtype::F32, vec![1, 0]), vec![1]).contains("empty"));
    }
}
