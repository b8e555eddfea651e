//! A run's checkpoints: whole or absent, whatever happens while they are written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use burn::tensor::Device;
use bytes::Bytes;
use emotionclip::Pretrained;
use emotionclip::checkpoint::{self, write_safetensors};
use emotionclip::optim::AdamW;
use serde::{Deserialize, Serialize};

use crate::failure::{OrBadInput, bad_input};

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
const PREFIX: &str = "step-";
/// Of the folder that a checkpoint is written in.
const PARTIAL: &str = ".partial-";

/// What a run must know besides tensors. Data order and dropout follow from the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Steps done.
    pub step: usize,
    /// Seconds spent in training so far.
    pub train_seconds: f64,
    /// Pairs trained on so far.
    pub clips: u64,
}

/// A folder of checkpoints `step-N/`.
#[derive(Clone, Debug)]
pub struct CheckpointFolder {
    folder: PathBuf,
    keep: usize,
}

impl CheckpointFolder {
    /// The checkpoints of the run in `run`; the newest `keep` are kept.
    pub fn new(run: &Path, keep: usize) -> Self {
        Self {
            folder: run.join("checkpoints"),
            keep: keep.max(1),
        }
    }

    /// The newest checkpoint, if there is one.
    pub fn latest(&self) -> anyhow::Result<Option<PathBuf>> {
        Ok(self.list()?.pop().map(|(_, path)| path))
    }

    fn list(&self) -> anyhow::Result<Vec<(usize, PathBuf)>> {
        if !self.folder.is_dir() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in
            fs::read_dir(&self.folder).with_context(|| self.folder.display().to_string())?
        {
            let path = entry?.path();
            let step = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.strip_prefix(PREFIX))
                .and_then(|step| step.parse().ok());
            if let Some(step) = step {
                found.push((step, path));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Writes a checkpoint into a folder of its own and renames it into place; one of this step that is
    /// there already is the same.
    ///
    /// # Errors
    ///
    /// If the disk refuses; earlier checkpoints stay as they are and no partial one is left.
    pub fn save(
        &self,
        state: &RunState,
        pretrained: &Pretrained,
        optimizer: &AdamW,
    ) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("{}: cannot create", self.folder.display()))?;
        let target = self.folder.join(format!("{PREFIX}{}", state.step));
        if target.exists() {
            return Ok(target);
        }
        // Removed by its drop if anything below fails.
        let partial = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempdir_in(&self.folder)
            .with_context(|| format!("{}: cannot write", self.folder.display()))?;
        let moments = write_safetensors(&optimizer.state()?, &BTreeMap::new());
        for (name, bytes) in [
            (MODEL, pretrained.to_bytes()?),
            (OPTIMIZER, moments),
            (STATE, serde_json::to_vec_pretty(state)?),
        ] {
            write_synced(&partial.path().join(name), &bytes).with_context(|| {
                format!(
                    "{}: the checkpoint of step {} could not be written; free some space and use \
                     --resume (earlier checkpoints are untouched)",
                    target.display(),
                    state.step
                )
            })?;
        }
        fs::rename(partial.path(), &target).with_context(|| target.display().to_string())?;
        // The folder now lives under its new name: nothing is left to remove.
        let _ = partial.keep();
        self.remove_old()?;
        Ok(target)
    }

    fn remove_old(&self) -> anyhow::Result<()> {
        let all = self.list()?;
        let old = all.len().saturating_sub(self.keep);
        let old = all.into_iter().take(old).map(|(_, path)| path);
        // Those that a killed process was writing: the run is this one's alone.
        let partial = fs::read_dir(&self.folder)?
            .flatten()
            .map(|entry| entry.path());
        let partial = partial.filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(PARTIAL))
        });
        for path in old.chain(partial) {
            fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// What [`load`] finds in a checkpoint.
#[derive(Debug)]
pub struct Restored {
    /// The model.
    pub pretrained: Pretrained,
    /// Step and times.
    pub state: RunState,
    /// Moments of the optimizer.
    pub moments: checkpoint::StateDict,
}

/// Reads the checkpoint in `folder`.
///
/// # Errors
///
/// Bad input if a file is missing or damaged.
pub fn load(folder: &Path, device: &Device) -> anyhow::Result<Restored> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path)
            .or_bad_input(path.display())
            .map(|bytes| (path, bytes))
    };
    let (path, bytes) = read(STATE)?;
    let state = serde_json::from_slice(&bytes).or_bad_input(path.display())?;
    let (path, bytes) = read(MODEL)?;
    let name = path.display().to_string();
    let pretrained = Pretrained::from_bytes(Bytes::from(bytes), &name, device)
        .map_err(|error| bad_input(error.to_string()))?;
    let (path, bytes) = read(OPTIMIZER)?;
    let moments = checkpoint::read(Bytes::from(bytes), &path.display().to_string())
        .map_err(|error| bad_input(error.to_string()))?;
    Ok(Restored {
        pretrained,
        state,
        moments,
    })
}
