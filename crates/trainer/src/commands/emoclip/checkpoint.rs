//! A training's checkpoint: one file, so a rename replaces all of it or nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use burn::tensor::Device;
use emotionclip::checkpoint::{self, StateDict, write_safetensors};
use emotionclip::optim::KeyedOptimizer;
use emotionclip::parameters::{Completeness, Keyed, load_state_dict, to_state_dict};
use serde::{Deserialize, Serialize};

use crate::context::write_atomically;
use crate::failure::{OrBadInput as _, bad_input};
use crate::inputs::files::{read_file, safetensors_metadata};
use crate::models::named;

const MODEL: &str = "model/";
const OPTIMIZER: &str = "optimizer/";
const STATE: &str = "emoclip_run";

/// What a training must know besides tensors. Order, windows and variations follow from the step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Steps done.
    pub step: usize,
    /// Clips that are trained on, which with the batch size gives the steps of an epoch.
    pub samples: usize,
    /// Loss of the last step.
    pub loss: f64,
    /// Seconds spent in training so far.
    pub train_seconds: f64,
}

/// Writes parameters, optimizer and state.
///
/// # Errors
/// If the disk refuses; an earlier checkpoint stays as it is.
pub fn save<M: Keyed>(
    path: &Path,
    state: &RunState,
    model: &M,
    optimizer: &KeyedOptimizer,
) -> anyhow::Result<()> {
    let mut tensors = StateDict::new();
    for (prefix, part) in [
        (MODEL, to_state_dict(model)?),
        (OPTIMIZER, optimizer.state()?),
    ] {
        for (key, tensor) in part {
            tensors.insert(format!("{prefix}{key}"), tensor);
        }
    }
    let state_json = serde_json::to_string(state).context("writing the run's state as JSON")?;
    let metadata = BTreeMap::from([(STATE.to_owned(), state_json)]);
    write_atomically(path, &write_safetensors(&tensors, &metadata)).with_context(|| {
        format!(
            "the checkpoint of step {} could not be written; free some space and use --resume (the \
             earlier one is untouched)",
            state.step
        )
    })
}

/// Reads a checkpoint into a model of the same architecture and its optimizer.
///
/// # Errors
/// Bad input if the file is damaged or of another run.
pub fn load<M: Keyed>(
    path: &Path,
    model: M,
    optimizer: &mut KeyedOptimizer,
    device: &Device,
) -> anyhow::Result<(M, RunState)> {
    let name = path.display().to_string();
    let bytes = read_file(path)?;
    let metadata = safetensors_metadata(&bytes);
    let tensors =
        checkpoint::read(bytes, &name).map_err(|error| bad_input(named(&name, &error)))?;
    let state = metadata
        .get(STATE)
        .ok_or_else(|| bad_input(format!("{name}: no checkpoint of an EmoCLIP run")))?;
    let state: RunState = serde_json::from_str(state).or_bad_input(&name)?;
    let part = |prefix: &str| -> StateDict {
        let tensors = tensors.iter();
        tensors
            .filter_map(|(key, tensor)| {
                Some((key.strip_prefix(prefix)?.to_owned(), tensor.clone()))
            })
            .collect()
    };
    let model = load_state_dict(model, &part(MODEL), Completeness::Whole)
        .map_err(|error| bad_input(named(&name, &error)))?;
    optimizer
        .load_state(&part(OPTIMIZER), device)
        .map_err(|error| bad_input(named(&name, &error)))?;
    Ok((model, state))
}
