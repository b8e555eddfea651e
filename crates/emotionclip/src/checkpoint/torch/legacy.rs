//! The single-stream format of PyTorch before 1.6 (`_use_new_zipfile_serialization=False`): five
//! pickles one after the other, then the storages.

use std::collections::HashMap;

use bytes::Bytes;

use super::callables::Policy;
use super::pickle::parse;
use super::value::{Pickle, Storage, Value};
use crate::checkpoint::error::{Fault, shorten};
use crate::checkpoint::{Dtype, StateDict};

/// The magic number 0x1950a86a20f9469cfc6c as the first pickle holds it, after the protocol.
const MAGIC: &[u8] = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
/// Bytes of the `PROTO` opcode and its argument.
const PROTOCOL: usize = 2;
const FORMAT_VERSION: i64 = 1001;

/// Reads a stream of pickles. One without the magic number holds no tensors, but is read to say
/// whether it is hostile.
pub(in crate::checkpoint) fn read(bytes: &Bytes) -> Result<StateDict, Fault> {
    let is_legacy = bytes
        .get(PROTOCOL..)
        .is_some_and(|rest| rest.starts_with(MAGIC));
    if !is_legacy {
        parse(bytes, Policy::Checkpoint, bytes.len())?;
        return Err(Fault::unsupported(
            "a pickle without tensors; save it with `torch.save`",
        ));
    }
    let mut at = PROTOCOL + MAGIC.len();
    let version = next(bytes, &mut at)?;
    if !matches!(version.root(), Value::Int(FORMAT_VERSION)) {
        return Err(Fault::unsupported(
            "an unknown version of PyTorch's old format; save it again",
        ));
    }
    let system = next(bytes, &mut at)?;
    if is_big_endian(&system) {
        return Err(Fault::unsupported(
            "its tensors are big-endian; save it again on a little-endian machine",
        ));
    }
    let saved = next(bytes, &mut at)?;
    let keys = next(bytes, &mut at)?;
    let storages = storages(bytes, at, &saved, &keys)?;
    super::collect(&saved, bytes.len(), |storage: &Storage| {
        let data = storages.get(storage.key).cloned();
        data.ok_or_else(|| Fault::damaged(format!("storage `{}` is missing", shorten(storage.key))))
    })
}

fn next<'a>(bytes: &'a Bytes, at: &mut usize) -> Result<Pickle<'a>, Fault> {
    let rest = bytes.get(*at..).unwrap_or_default();
    let pickle = parse(rest, Policy::Checkpoint, bytes.len())?;
    *at += pickle.consumed;
    Ok(pickle)
}

fn is_big_endian(system: &Pickle) -> bool {
    let Value::Dict(entries) = system.root() else {
        return false;
    };
    system.entries(entries).any(|(key, value)| {
        key == "little_endian" && matches!(system.get(value), Value::Bool(false))
    })
}

/// Each storage is its element count and its elements, in the order of the key list.
fn storages<'k>(
    bytes: &Bytes,
    mut at: usize,
    saved: &Pickle,
    keys: &Pickle<'k>,
) -> Result<HashMap<&'k str, Bytes>, Fault> {
    let dtypes: HashMap<&str, Dtype> = saved
        .values
        .iter()
        .filter_map(|value| match value {
            Value::Storage(storage) => Some((storage.key, storage.dtype)),
            _ => None,
        })
        .collect();
    let Value::List(list) = keys.root() else {
        return Err(Fault::damaged("the list of storages is missing"));
    };
    let mut storages = HashMap::new();
    for &key in list {
        let Value::Str(key) = *keys.get(key) else {
            return Err(Fault::damaged("a storage's key is not a string"));
        };
        let cut = || Fault::damaged(format!("storage `{}` is cut off", shorten(key)));
        let dtype = *dtypes
            .get(key)
            .ok_or_else(|| Fault::damaged("a storage that no tensor refers to"))?;
        let count = bytes
            .get(at..)
            .and_then(<[u8]>::first_chunk)
            .ok_or_else(cut)?;
        let start = at + size_of::<u64>();
        let end = usize::try_from(u64::from_le_bytes(*count))
            .ok()
            .and_then(|count| count.checked_mul(dtype.size())?.checked_add(start))
            .filter(|&end| end <= bytes.len())
            .ok_or_else(cut)?;
        storages.insert(key, bytes.slice(start..end));
        at = end;
    }
    Ok(storages)
}
