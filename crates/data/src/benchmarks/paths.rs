//! Files of a set, by names that tables give.

use std::path::{Component, Path, PathBuf};

use super::{BenchmarkError, ProbeDataset, SampleFault};
use crate::decode;

/// Refuses a root that lacks any of these files or folders, and names all that it lacks.
///
/// # Errors
/// [`BenchmarkError::NoFolder`] or [`BenchmarkError::Missing`].
pub(super) fn require(
    dataset: ProbeDataset,
    root: &Path,
    needed: &[String],
) -> Result<(), BenchmarkError> {
    if !root.is_dir() {
        return Err(BenchmarkError::NoFolder {
            dataset,
            root: root.to_owned(),
        });
    }
    let is_missing = |name: &&String| !root.join(name).exists();
    let missing: Vec<String> = needed.iter().filter(is_missing).cloned().collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(BenchmarkError::Missing {
        dataset,
        root: root.to_owned(),
        missing,
    })
}

/// A path below `folder` by a name from a table, which must not lead out of it.
///
/// # Errors
/// [`SampleFault::Name`].
pub(super) fn below(folder: &Path, name: &str) -> Result<PathBuf, SampleFault> {
    let is_plain = Path::new(name)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if is_plain && !name.is_empty() {
        Ok(folder.join(name))
    } else {
        Err(SampleFault::Name(name.to_owned()))
    }
}

/// The names in a folder, hidden ones left out, in the order of their bytes, as Python sorts them.
///
/// # Errors
/// A folder that can't be listed.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, BenchmarkError> {
    let unreadable = |error: std::io::Error| BenchmarkError::read(folder, error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !decode::is_hidden(&entry.path()) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The pictures in a folder of frames, ordered as [`names`]; a folder that isn't there is the
/// sample's fault.
///
/// # Errors
/// [`SampleFault::NoFile`] for a folder that is missing or holds no picture.
pub(super) fn pictures(folder: &Path) -> Result<Vec<String>, SampleFault> {
    let mut found = names(folder).unwrap_or_default();
    found.retain(|name| decode::is_picture_name(Path::new(name)));
    if found.is_empty() {
        return Err(SampleFault::NoFile(folder.to_owned()));
    }
    Ok(found)
}

/// The path, if there is a file.
///
/// # Errors
/// [`SampleFault::NoFile`].
pub(super) fn existing(path: PathBuf) -> Result<PathBuf, SampleFault> {
    if path.is_file() {
        Ok(path)
    } else {
        Err(SampleFault::NoFile(path))
    }
}
