//! Features kept between runs, under the hash of all that they depend on.
//!
//! An entry is found only by the very model, file content, preprocessing and subject that made it,
//! so nothing ever has to be declared stale. It is a file of little-endian f32 and is written
//! beside its place and renamed; one of another length than expected is made anew.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use emotionclip_data::decode::Media;
use sha2::{Digest, Sha256};

use crate::context::write_atomically;
use crate::failure::OrBadInput;

/// Raised when features are computed otherwise from the same input.
const VERSION: &str = "emotionclip features 1";

/// Options of the cache.
#[derive(clap::Args, Clone, Debug)]
pub struct CacheArgs {
    /// Where features are kept between runs; default: emotionclip/features in the user's cache
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Compute all features anew and keep none
    #[arg(long, conflicts_with = "cache")]
    pub no_cache: bool,
}

impl CacheArgs {
    /// The folder to use, if any.
    pub fn folder(&self) -> Option<PathBuf> {
        if self.no_cache {
            return None;
        }
        self.cache.clone().or_else(default_folder)
    }
}

/// The user's cache folder by the rules of the operating system.
fn default_folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        std::env::home_dir().map(|home| home.join("Library/Caches"))
    } else {
        let set = variable("XDG_CACHE_HOME").map(PathBuf::from);
        set.or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
    };
    Some(base?.join("emotionclip").join("features"))
}

/// A folder of features.
#[derive(Clone, Debug)]
pub struct FeatureCache {
    folder: PathBuf,
}

/// The name of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheKey(String);

impl CacheKey {
    /// The key of `media` under `settings`: model hash, preprocessing, subject, sampling.
    ///
    /// # Errors
    /// Bad input for a file that can't be read.
    pub fn new(settings: &[&str], media: &Media) -> anyhow::Result<Self> {
        Self::of_files(settings, media.files())
    }

    /// The key of `files`, in their order, under `settings`.
    ///
    /// # Errors
    /// Bad input for a file that can't be read.
    pub fn of_files(settings: &[&str], files: &[impl AsRef<Path>]) -> anyhow::Result<Self> {
        let mut digest = Sha256::new();
        let mut add = |part: &[u8]| {
            // With lengths, so that parts can't flow into each other.
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        };
        add(VERSION.as_bytes());
        for setting in settings {
            add(setting.as_bytes());
        }
        for path in files {
            let path = path.as_ref();
            add(&hash_file(path).or_bad_input(path.display())?);
        }
        Ok(Self(format!("{:x}", digest.finalize())))
    }
}

fn hash_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut digest = Sha256::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut digest)?;
    Ok(digest.finalize().to_vec())
}

impl FeatureCache {
    /// The cache in a folder, which is made when the first entry is kept.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, key: &CacheKey) -> PathBuf {
        let shelf = key.0.get(..2).unwrap_or_default();
        self.folder.join(shelf).join(format!("{}.f32", key.0))
    }

    /// The entry, if there is a sound one of `width` values.
    pub fn get(&self, key: &CacheKey, width: usize) -> Option<Vec<f32>> {
        let bytes = std::fs::read(self.path(key)).ok()?;
        let (values, rest) = bytes.as_chunks::<4>();
        let values: Vec<f32> = values
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect();
        let sound = rest.is_empty() && values.len() == width;
        (sound && values.iter().all(|value| value.is_finite())).then_some(values)
    }

    /// Keeps an entry.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn put(&self, key: &CacheKey, values: &[f32]) -> anyhow::Result<()> {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        write_atomically(&self.path(key), &bytes).context("keeping features for the next run")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_by_its_own_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.png");
        std::fs::write(&file, "one").unwrap();
        let media = Media::Picture(file.clone());
        let cache = FeatureCache::new(folder.path().join("cache"));
        let key = CacheKey::new(&["model", "whole"], &media).unwrap();
        assert!(cache.get(&key, 2).is_none());
        cache.put(&key, &[1.0, -0.5]).unwrap();
        assert_eq!(cache.get(&key, 2).unwrap(), [1.0, -0.5]);
        assert!(cache.get(&key, 3).is_none());
        assert_ne!(CacheKey::new(&["mode", "lwhole"], &media).unwrap(), key);
        std::fs::write(&file, "two").unwrap();
        assert_ne!(CacheKey::new(&["model", "whole"], &media).unwrap(), key);
    }
}
