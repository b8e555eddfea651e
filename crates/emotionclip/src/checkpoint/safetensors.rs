//! The safetensors format: a JSON header, then the tensors' bytes end to end.
//!
//! Headers are parsed and checked (contiguous, non-overlapping, sizes that match shapes) by the
//! `safetensors` crate. Files are written here, because that crate keeps its metadata in a hash map
//! and so does not always give the same bytes for the same tensors.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ::safetensors::Dtype as FileDtype;
use ::safetensors::tensor::Metadata;
use bytes::Bytes;
use serde::Serialize;

use super::error::{Fault, shorten};
use super::{Dtype, RawTensor, StateDict};

/// Bytes of the length that precedes the header.
const PREFIX: usize = 8;

/// Largest header read. ViT-B/32's is about 50 kB; parsing takes a few times the header's size, so
/// this also bounds what a hostile one can make us allocate.
const MAX_HEADER: usize = 2 << 20;

pub(super) fn read(bytes: &Bytes) -> Result<StateDict, Fault> {
    let (prefix, rest) = bytes
        .split_first_chunk::<PREFIX>()
        .ok_or_else(|| Fault::damaged("no header"))?;
    let declared = u64::from_le_bytes(*prefix);
    let length = usize::try_from(declared).unwrap_or(usize::MAX);
    let header = rest.get(..length).ok_or_else(|| {
        Fault::damaged(format!(
            "a header of {declared} bytes in a file of {}",
            bytes.len()
        ))
    })?;
    if length > MAX_HEADER {
        return Err(Fault::damaged(format!(
            "a header of {declared} bytes is not plausible"
        )));
    }
    let metadata: Metadata = serde_json::from_slice(header)
        .map_err(|error| Fault::damaged(format!("invalid safetensors header: {error}")))?;
    let data = bytes.slice(PREFIX + length..);
    if metadata.data_len() != data.len() {
        return Err(Fault::damaged(format!(
            "the header describes {} bytes of tensors, {} follow it",
            metadata.data_len(),
            data.len()
        )));
    }

    let mut state = StateDict::new();
    for (name, info) in metadata.tensors() {
        let dtype = from_file_dtype(info.dtype).ok_or_else(|| {
            Fault::unsupported(format!(
                "tensor `{}` has the element type {:?}; convert it to F32 or F16",
                shorten(&name),
                info.dtype
            ))
        })?;
        let (start, end) = info.data_offsets;
        if start > end || end > data.len() {
            return Err(Fault::damaged("a tensor lies outside the file"));
        }
        let tensor = RawTensor::new(dtype, info.shape.clone(), data.slice(start..end))
            .map_err(|error| Fault::damaged(error.to_string()))?;
        state.insert(name, tensor);
    }
    Ok(state)
}

/// Writes tensors as a safetensors file. The same tensors and metadata always give the same bytes:
/// wide element types first, as Python's reader needs every tensor aligned to its element, then by
/// key; the header padded to eight bytes.
///
/// Python's `safetensors` shows `metadata` as the file's metadata; `{"format": "pt"}` is what
/// transformers expects to find there.
pub fn write_safetensors(state: &StateDict, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Entry<'a> {
        Metadata(&'a BTreeMap<String, String>),
        Tensor {
            dtype: &'static str,
            shape: &'a [usize],
            data_offsets: [usize; 2],
        },
    }

    let mut layout: Vec<_> = state.iter().collect();
    layout.sort_by_key(|(_, tensor)| Reverse(tensor.dtype().size()));

    let mut header = BTreeMap::new();
    if !metadata.is_empty() {
        header.insert("__metadata__", Entry::Metadata(metadata));
    }
    let mut end = 0;
    for (name, tensor) in &layout {
        let start = end;
        end += tensor.bytes().len();
        let dtype = tensor.dtype().name();
        let data_offsets = [start, end];
        header.insert(
            name,
            Entry::Tensor {
                dtype,
                shape: tensor.shape(),
                data_offsets,
            },
        );
    }
    // Strings, numbers and maps with string keys always have a JSON form.
    let mut header = serde_json::to_vec(&header).unwrap_or_default();
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut file = Vec::with_capacity(PREFIX + header.len() + end);
    file.extend_from_slice(&(header.len() as u64).to_le_bytes());
    file.extend_from_slice(&header);
    for (_, tensor) in layout {
        file.extend_from_slice(tensor.bytes());
    }
    file
}

fn from_file_dtype(dtype: FileDtype) -> Option<Dtype> {
    Some(match dtype {
        FileDtype::F64 => Dtype::F64,
        FileDtype::F32 => Dtype::F32,
        FileDtype::F16 => Dtype::F16,
        FileDtype::BF16 => Dtype::Bf16,
        FileDtype::I64 => Dtype::I64,
        FileDtype::I32 => Dtype::I32,
        FileDtype::I16 => Dtype::I16,
        FileDtype::I8 => Dtype::I8,
        FileDtype::U8 => Dtype::U8,
        FileDtype::BOOL => Dtype::Bool,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Bytes {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes.into()
    }

    fn is_damaged(bytes: &Bytes) -> bool {
        matches!(read(bytes), Err(Fault::Damaged(_)))
    }

    #[test]
    fn what_is_written_reads_back_and_is_the_same_bytes_each_time() {
        let state = StateDict::from([
            (
                "b".into(),
                RawTensor::from_f32(vec![2, 1], &[1.0, -2.0]).unwrap(),
            ),
            ("a".into(), RawTensor::from_i64(vec![1], &[9]).unwrap()),
            (
                "scalar".into(),
                RawTensor::from_f32(vec![], &[0.5]).unwrap(),
            ),
            (
                "empty".into(),
                RawTensor::from_f32(vec![0, 3], &[]).unwrap(),
            ),
        ]);
        let metadata: BTreeMap<_, _> = ["x", "y", "z"]
            .map(|key| (key.to_owned(), "1".to_owned()))
            .into();
        let written = write_safetensors(&state, &metadata);
        assert_eq!(write_safetensors(&state, &metadata), written);
        assert_eq!(read(&written.into()).unwrap(), state);
    }

    #[test]
    fn an_empty_state_dict_round_trips() {
        let written = write_safetensors(&StateDict::new(), &BTreeMap::new());
        assert!(read(&written.into()).unwrap().is_empty());
    }

    #[test]
    fn overlapping_duplicate_and_leaking_offsets_are_damage() {
        let a = r#""a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#;
        for (header, bytes) in [
            (
                format!(r#"{{{a},"b":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}}}"#),
                4,
            ),
            (
                format!(r#"{{{a},"b":{{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}}}"#),
                6,
            ),
            (
                format!(r#"{{{a},"b":{{"dtype":"U8","shape":[4],"data_offsets":[5,9]}}}}"#),
                9,
            ),
            (
                format!(r#"{{{a},"a":{{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}}}"#),
                8,
            ),
            (format!("{{{a}}}"), 3),
            (format!("{{{a}}}"), 5),
        ] {
            assert!(is_damaged(&file(&header, &vec![0; bytes])), "{header}");
        }
    }

    #[test]
    fn offsets_and_shapes_near_the_largest_integer_are_damage() {
        let max = usize::MAX;
        for header in [
            format!(r#"{{"a":{{"dtype":"U8","shape":[{max}],"data_offsets":[0,{max}]}}}}"#),
            format!(r#"{{"a":{{"dtype":"F64","shape":[{max},2],"data_offsets":[0,8]}}}}"#),
            format!(r#"{{"a":{{"dtype":"U8","shape":[2],"data_offsets":[{max},1]}}}}"#),
        ] {
            assert!(is_damaged(&file(&header, &[0; 8])), "{header}");
        }
    }

    #[test]
    fn an_enormous_header_length_is_damage() {
        for length in [9, 1 << 40, u64::MAX] {
            let mut bytes = u64::to_le_bytes(length).to_vec();
            bytes.extend_from_slice(b"{}");
            assert!(is_damaged(&bytes.into()));
        }
    }

    #[test]
    fn an_element_type_without_a_counterpart_names_the_tensor() {
        let header = r#"{"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#;
        let Err(Fault::Unsupported(detail)) = read(&file(header, &[0])) else {
            panic!("read an F8 tensor");
        };
        assert!(detail.contains("`w`"), "{detail}");
    }
}
