//! What the folder of every training run has: its configuration, and one process at a time.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use emotionclip_data::folder_lock::FolderLock;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::write_atomically;
use crate::failure::bad_input;
use crate::inputs::files::{one_line, read_text};

/// The configuration in a run's folder.
pub const CONFIG: &str = "config.toml";

/// The configuration of a run to go on with.
///
/// # Errors
/// Bad input for a folder without a run.
pub fn existing_config(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join(CONFIG);
    if path.exists() {
        return Ok(path);
    }
    Err(bad_input(format!(
        "{}: there is no run to resume; name its folder with --run or leave --resume out",
        folder.display()
    )))
}

/// Makes sure that a new run doesn't overwrite one.
///
/// # Errors
/// Bad input for a folder with a run.
pub fn refuse_existing(folder: &Path) -> anyhow::Result<()> {
    if folder.join(CONFIG).exists() {
        return Err(occupied(folder));
    }
    Ok(())
}

/// Bad input: a new run in a folder that has one.
pub fn occupied(folder: &Path) -> anyhow::Error {
    bad_input(format!(
        "{}: there is a run already; continue it with --resume or name another --run",
        folder.display()
    ))
}

/// The configuration of a run: that in its folder when it goes on, else the one that was asked for,
/// for which the folder must be free.
///
/// # Errors
/// Bad input for a folder that has no run to go on with, or has one already, and for a configuration
/// that is none; what `asked` returns.
pub fn open_config<T: DeserializeOwned>(
    folder: &Path,
    resume: bool,
    asked: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    if !resume {
        refuse_existing(folder)?;
        return asked();
    }
    let path = existing_config(folder)?;
    toml::from_str(&read_text(&path)?)
        .map_err(|error| bad_input(format!("{}: {}", path.display(), one_line(error.message()))))
}

/// Writes a run's configuration and gives it as text.
///
/// # Errors
/// If the disk refuses.
pub fn write_config<T: Serialize>(folder: &Path, config: &T) -> anyhow::Result<String> {
    let text = toml::to_string(config).context("writing the configuration as TOML")?;
    write_atomically(&folder.join(CONFIG), text.as_bytes())?;
    Ok(text)
}

/// A run's folder, locked: two processes would mix their checkpoints and metrics.
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
    fn a_new_run_needs_a_free_folder_and_a_resumed_one_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        let open = |resume| open_config(run, resume, || Ok("asked".to_owned()));
        assert_eq!(open(false).unwrap(), "asked");
        let error = open(true).unwrap_err().to_string();
        assert!(error.contains("no run to resume"), "{error}");
        std::fs::write(run.join(CONFIG), "= not TOML").unwrap();
        let error = open(false).unwrap_err().to_string();
        assert!(error.contains("a run already"), "{error}");
        let error = open(true).unwrap_err().to_string();
        assert!(
            error.contains(CONFIG) && error.lines().count() == 1,
            "{error}"
        );
    }

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
