//! The folder that the steps work in.
//!
//! ```text
//! videos/<id>/frames/00000000.jpg …   one every 1/8 s
//! videos/<id>/video.json              what the frames were made from, their number, size and digest
//! videos/<id>/captions.json           sentences with times
//! videos/<id>/sentiment.json          logits and neutral score of each sentence
//! videos/<id>/boxes.json              people in each frame
//! reports/<step>.json                 what was skipped, and why
//! index.json, index-report.{json,md}  which sentences become clips, and what was dropped
//! shards/                             the clips
//! ```

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::error::PrepareError;
use crate::folder_lock::FolderLock;

/// How names of unfinished files and folders begin.
pub(super) const PARTIAL: &str = ".partial-";

/// Most bytes of a file of ours that is read whole.
const LARGEST_FILE: u64 = 1 << 30;

/// The output folder, locked for one process.
#[derive(Debug)]
pub struct WorkFolder {
    root: PathBuf,
    _lock: FolderLock,
}

impl WorkFolder {
    /// Opens or creates the folder.
    ///
    /// # Errors
    /// If it can't be written, or another process works in it.
    pub fn open(root: &Path) -> Result<Self, PrepareError> {
        std::fs::create_dir_all(root.join("videos")).map_err(PrepareError::io(root))?;
        let lock = FolderLock::take(root).map_err(PrepareError::io(root))?;
        Ok(Self {
            root: root.to_owned(),
            _lock: lock.ok_or_else(|| PrepareError::Locked(root.to_owned()))?,
        })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a video.
    pub fn video(&self, id: &str) -> PathBuf {
        self.root.join("videos").join(id)
    }

    /// The ids of all videos that have a folder, sorted.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn ids(&self) -> Result<Vec<String>, PrepareError> {
        let folder = self.root.join("videos");
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(PrepareError::io(&folder))? {
            let entry = entry.map_err(PrepareError::io(&folder))?;
            if let Ok(name) = entry.file_name().into_string()
                && entry.path().is_dir()
                && !name.starts_with('.')
            {
                ids.push(name);
            }
        }
        ids.sort();
        Ok(ids)
    }
}

/// Writes a file beside its place and renames it.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), PrepareError> {
    let partial = partial_of(path);
    let written = (|| {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    })();
    written.map_err(PrepareError::io(path))
}

/// Writes a value as JSON, as [`write_file`].
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), PrepareError> {
    let mut bytes = serde_json::to_vec(value)
        .map_err(|error| PrepareError::io(path)(std::io::Error::other(error)))?;
    bytes.push(b'\n');
    write_file(path, &bytes)
}

/// A file that a step wrote; none if it is not there or not whole.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let length = std::fs::metadata(path).ok()?.len();
    if length > LARGEST_FILE {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The place where a file or folder is made before it is moved to its own. The same each time, so what
/// a killed run left is written over.
pub(crate) fn partial_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{PARTIAL}{name}"))
}

/// What something was made from, as a hash of it.
pub(crate) fn stamp(made_from: &impl Serialize) -> String {
    // Values of our own types always have a JSON form.
    let bytes = serde_json::to_vec(made_from).unwrap_or_default();
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
