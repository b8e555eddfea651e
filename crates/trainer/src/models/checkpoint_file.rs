//! A training's checkpoint as one file, so a rename replaces all of it or nothing: what is trained
//! as tensors under a prefix a part, what else a run must know as JSON in the metadata.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use burn::tensor::Device;
use emotionclip::checkpoint::{self, StateDict, write_safetensors};
use emotionclip::optim::KeyedOptimizer;
use emotionclip::parameters::{Completeness, Keyed, load_state_dict};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::named;
use crate::context::write_atomically;
use crate::failure::{OrBadInput as _, bad_input};
use crate::inputs::files::{read_file, safetensors_metadata};

/// What a kind of run calls itself.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointKind {
    /// Key of the state in the file's metadata.
    pub key: &'static str,
    /// In an error, as in "no checkpoint of an `EmoCLIP` run".
    pub name: &'static str,
}

impl CheckpointKind {
    /// Writes the state of a run after `step` steps and its parts, each under its prefix.
    ///
    /// # Errors
    /// If the disk refuses; an earlier checkpoint stays as it is.
    pub fn save<S: Serialize, const N: usize>(
        self,
        path: &Path,
        step: usize,
        state: &S,
        parts: [(&str, StateDict); N],
    ) -> anyhow::Result<()> {
        let mut tensors = StateDict::new();
        for (prefix, part) in parts {
            tensors.extend(
                part.into_iter()
                    .map(|(key, tensor)| (format!("{prefix}{key}"), tensor)),
            );
        }
        let json = serde_json::to_string(state).context("writing the run's state as JSON")?;
        let metadata = BTreeMap::from([(self.key.to_owned(), json)]);
        write_atomically(path, &write_safetensors(&tensors, &metadata)).with_context(|| {
            format!(
                "the checkpoint of step {step} could not be written; free some space and use \
                 --resume (the earlier one is untouched)"
            )
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Bad input if the file is damaged or of another kind.
    pub fn read<S: DeserializeOwned>(self, path: &Path) -> anyhow::Result<CheckpointFile<S>> {
        let name = path.display().to_string();
        let bytes = read_file(path)?;
        let metadata = safetensors_metadata(&bytes);
        let tensors =
            checkpoint::read(bytes, &name).map_err(|error| bad_input(named(&name, &error)))?;
        let state = metadata
            .get(self.key)
            .ok_or_else(|| bad_input(format!("{name}: no checkpoint of {}", self.name)))?;
        let state = serde_json::from_str(state).or_bad_input(&name)?;
        Ok(CheckpointFile {
            name,
            tensors,
            state,
        })
    }
}

/// What a checkpoint holds.
#[derive(Clone, Debug)]
pub struct CheckpointFile<S> {
    name: String,
    tensors: StateDict,
    /// What the run must know besides tensors.
    pub state: S,
}

impl<S> CheckpointFile<S> {
    /// The part under a prefix as a model of the same architecture.
    ///
    /// # Errors
    /// Bad input if a parameter is missing or of another shape.
    pub fn model<M: Keyed>(&self, prefix: &str, model: M) -> anyhow::Result<M> {
        load_state_dict(model, &self.part(prefix), Completeness::Whole)
            .map_err(|error| bad_input(named(&self.name, &error)))
    }

    /// The part under a prefix into an optimizer.
    ///
    /// # Errors
    /// Bad input if it is of another optimizer or model.
    pub fn optimizer(
        &self,
        prefix: &str,
        optimizer: &mut KeyedOptimizer,
        device: &Device,
    ) -> anyhow::Result<()> {
        optimizer
            .load_state(&self.part(prefix), device)
            .map_err(|error| bad_input(named(&self.name, &error)))
    }

    fn part(&self, prefix: &str) -> StateDict {
        let under = |(key, tensor): (&String, &checkpoint::RawTensor)| {
            Some((key.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        };
        self.tensors.iter().filter_map(under).collect()
    }
}
