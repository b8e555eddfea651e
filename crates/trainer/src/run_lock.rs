//! One process in a run's folder at a time: two would mix their checkpoints and metrics.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use emotionclip_data::folder_lock::FolderLock;

/// A run's folder, locked.
#[derive(Debug)]
pub struct RunLock {
    _lock: FolderLock,
}

/// Another process works in the folder.
#[derive(Debug)]
pub struct InUse {
    folder: PathBuf,
}

impl fmt::Display for InUse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: another process works on this run; wait until it ends, or name another folder",
            self.folder.display()
        )
    }
}

impl std::error::Error for InUse {}

impl RunLock {
    /// Locks a folder, which is made if it isn't there.
    ///
    /// # Errors
    ///
    /// [`InUse`], or the disk's refusal.
    pub fn take(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot create the run's folder", folder.display()))?;
        let lock = FolderLock::take(folder)
            .with_context(|| format!("{}: cannot lock the run's folder", folder.display()))?;
        match lock {
            Some(lock) => Ok(Self { _lock: lock }),
            None => Err(anyhow::Error::new(InUse {
                folder: folder.to_owned(),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_holders_until_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let held = RunLock::take(&run).unwrap();
        let error = RunLock::take(&run).unwrap_err();
        assert!(error.is::<InUse>(), "{error}");
        assert!(error.to_string().contains("another process"), "{error}");
        drop(held);
        RunLock::take(&run).unwrap();
    }
}
