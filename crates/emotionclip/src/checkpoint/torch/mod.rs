//! PyTorch files: `torch.save` archives, TorchScript archives and the older single-stream pickles.
//!
//! burn's `pytorch-reader` was considered first. It opens files by path, so it cannot serve the
//! browser, and it reads objects of unknown classes where we must refuse them; hence an own reader.

mod callables;
mod legacy;
mod machine;
mod opcode;
mod pickle;
mod rebuild;
mod script;
mod strided;
mod value;
mod zip;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;

use self::callables::Policy;
use self::value::{Pickle, Storage, TensorView, Value, ValueId};
use self::zip::Archive;
use super::StateDict;
use super::error::{Fault, shorten};

pub(super) use self::legacy::read as read_stream;

/// Top-level entries listed when a file has no tensors.
const SHOWN_ENTRIES: usize = 8;

/// Reads a zip archive of `torch.save` or `torch.jit.save`.
pub(super) fn read_archive(bytes: &Bytes) -> Result<StateDict, Fault> {
    let archive = Archive::open(bytes.clone())?;
    let root = root_folder(&archive)?;
    if let Some(order) = archive.get(&format!("{root}byteorder"))?
        && &order[..] != b"little"
    {
        return Err(Fault::unsupported(
            "its tensors are big-endian; save it again on a little-endian machine",
        ));
    }
    let is_script = archive.names().any(|name| {
        let name = name.strip_prefix(&root).unwrap_or_default();
        name == "constants.pkl" || name.starts_with("code/")
    });
    let policy = if is_script {
        Policy::TorchScript
    } else {
        Policy::Checkpoint
    };
    let data = archive.get(&format!("{root}data.pkl"))?.unwrap_or_default();
    let pickle = pickle::parse(&data, policy, bytes.len())?;

    let storage = |storage: &Storage| {
        let name = format!("{root}data/{}", storage.key);
        let data = archive.get(&name)?;
        data.ok_or_else(|| Fault::damaged(format!("the archive lacks `{}`", shorten(&name))))
    };
    collect(&pickle, bytes.len(), storage)
}

/// The folder that all entries lie in, with its slash: the one with `data.pkl`.
fn root_folder(archive: &Archive) -> Result<String, Fault> {
    let mut roots = archive
        .names()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .filter(|root| root.is_empty() || root.find('/') == Some(root.len() - 1));
    match (roots.next(), roots.next()) {
        (Some(root), None) => Ok(root.to_owned()),
        (None, _) => Err(Fault::unsupported(
            "a zip archive without data.pkl, so not of `torch.save`; unpack it and give the \
             checkpoint inside",
        )),
        (Some(_), Some(_)) => Err(Fault::damaged("the archive holds two checkpoints")),
    }
}

/// The state dict of a parsed file, its bytes fetched once a storage through `fetch`.
fn collect(
    pickle: &Pickle,
    file_size: usize,
    fetch: impl Fn(&Storage) -> Result<Bytes, Fault>,
) -> Result<StateDict, Fault> {
    let mut storages = HashMap::new();
    let mut copy_budget = file_size;
    let mut state = StateDict::new();
    for (key, view) in tensors(pickle)? {
        let storage = match storages.entry(view.storage.key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(fetch(&view.storage)?),
        };
        let tensor = strided::materialise(view, storage, &mut copy_budget)
            .map_err(|fault| in_tensor(&key, fault))?;
        state.insert(key, tensor);
    }
    Ok(state)
}

fn in_tensor(key: &str, fault: Fault) -> Fault {
    match fault {
        Fault::Damaged(detail) => Fault::Damaged(format!("tensor `{}`: {detail}", shorten(key))),
        other => other,
    }
}

/// The tensors of the state dict within the file: under `model`, else under `state_dict`, else at
/// the top level, else those of a TorchScript module.
fn tensors<'p, 'a>(pickle: &'p Pickle<'a>) -> Result<Vec<(String, &'p TensorView<'a>)>, Fault> {
    let Value::Dict(root) = pickle.root() else {
        return match pickle.root() {
            Value::Module(_) => script::tensors(pickle),
            _ => Err(Fault::NoTensors("something other than a dict".into())),
        };
    };
    let nested = ["model", "state_dict"].into_iter().filter_map(|wanted| {
        let (_, value) = pickle.entries(root).find(|(key, _)| *key == wanted)?;
        match pickle.get(value) {
            Value::Dict(dict) => Some(dict),
            _ => None,
        }
    });
    for dict in nested.chain([root]) {
        let found: Vec<_> = direct_tensors(pickle, dict).collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let mut entries: Vec<_> = pickle
        .entries(root)
        .map(|(key, _)| format!("`{}`", shorten(key)))
        .collect();
    if entries.len() > SHOWN_ENTRIES {
        entries.truncate(SHOWN_ENTRIES);
        entries.push("…".into());
    }
    Err(Fault::NoTensors(if entries.is_empty() {
        "nothing".into()
    } else {
        entries.join(", ")
    }))
}

fn direct_tensors<'p, 'a>(
    pickle: &'p Pickle<'a>,
    dict: &'p [(ValueId, ValueId)],
) -> impl Iterator<Item = (String, &'p TensorView<'a>)> {
    pickle
        .entries(dict)
        .filter_map(|(key, value)| match pickle.get(value) {
            Value::Tensor(view) => Some((key.to_owned(), &**view)),
            _ => None,
        })
}
