//! Which clips were unpacked, and where each is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::error::DferError;
use crate::decode;

/// The clips below a folder, by key.
///
/// One listing of the folders costs far less than asking the disk for each of thousands of clips in
/// every place where it could be.
pub(super) struct ClipIndex {
    /// The folder listed.
    pub(super) folder: PathBuf,
    clips: HashMap<String, PathBuf>,
}

/// How a folder of clips is built.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Folders on the way to a clip that are part of its key.
    pub(super) levels: usize,
    /// Whether a folder only holds one of several archives' content and adds nothing to keys.
    pub(super) is_archive: fn(&str) -> bool,
    /// The key of a clip by the name of its folder or the stem of its video.
    pub(super) key: fn(&str) -> String,
}

impl ClipIndex {
    /// Lists the clips: folders and, by their names, videos.
    ///
    /// # Errors
    /// A folder that can't be listed.
    pub(super) fn list(folder: &Path, shape: Shape) -> Result<Self, DferError> {
        let mut clips = HashMap::new();
        collect(folder, "", shape.levels, shape, &mut clips)?;
        Ok(Self {
            folder: folder.to_owned(),
            clips,
        })
    }

    /// Where a clip is.
    pub(super) fn get(&self, key: &str) -> Option<&Path> {
        self.clips.get(key).map(PathBuf::as_path)
    }

    /// Whether there is no clip at all.
    pub(super) fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }

    /// The keys and places, by key.
    pub(super) fn into_sorted(self) -> Vec<(String, PathBuf)> {
        let mut clips: Vec<_> = self.clips.into_iter().collect();
        clips.sort();
        clips
    }
}

fn collect(
    folder: &Path,
    prefix: &str,
    levels: usize,
    shape: Shape,
    clips: &mut HashMap<String, PathBuf>,
) -> Result<(), DferError> {
    for path in entries(folder)? {
        let name = file_name(&path);
        if path.is_dir() {
            if (shape.is_archive)(&name) {
                collect(&path, prefix, levels, shape, clips)?;
            } else if levels > 0 {
                collect(&path, &format!("{prefix}{name}/"), levels - 1, shape, clips)?;
            } else {
                // Frames win over a video of the same name: they need no FFmpeg.
                clips.insert(format!("{prefix}{}", (shape.key)(&name)), path);
            }
        } else if levels == 0 && decode::is_media_name(&path) {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let key = format!("{prefix}{}", (shape.key)(&stem));
            clips.entry(key).or_insert(path);
        }
    }
    Ok(())
}

/// What a folder holds, hidden things left out, in the order in which people count.
///
/// # Errors
/// A folder that can't be listed.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DferError> {
    let unreadable = |error: std::io::Error| DferError::Read {
        path: folder.to_owned(),
        reason: error.to_string(),
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if !decode::is_hidden(&path) {
            paths.push(path);
        }
    }
    paths.sort_by_cached_key(|path| decode::natural_key(path));
    Ok(paths)
}

/// The last part of a path.
pub(super) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The first of `candidates` below `root` that exists.
pub(super) fn first_existing(root: &Path, candidates: &[&str]) -> Option<PathBuf> {
    let paths = candidates.iter().map(|name| root.join(name));
    paths.into_iter().find(|path| path.exists())
}
