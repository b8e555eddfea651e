//! A run's checkpoint: one file, so a rename replaces all of it or nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use burn::tensor::Device;
use emotionclip::checkpoint::{self, StateDict, write_safetensors};
use emotionclip::text_classifier::TextClassifier;
use serde::{Deserialize, Serialize};

use super::optimizer::Optimizer;
use crate::context::write_atomically;
use crate::failure::{OrBadInput, bad_input};
use crate::inputs::files::{read_file, safetensors_metadata};

const PREFIX: &str = "model/";
const STATE: &str = "emotionclip_text_classifier_run";

/// What a run must know besides tensors. Data order and dropout follow from the step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Steps done.
    pub step: usize,
    /// Seconds spent in training so far.
    pub train_seconds: f64,
    /// Best macro-F1 on the validation texts so far; 0 before the first.
    pub best_macro_f1: f64,
    /// Epoch of the best, counted from 1; 0 before the first.
    pub best_epoch: usize,
    /// Whether training stopped for want of a better score.
    pub stopped: bool,
}

/// Writes parameters, optimizer and state.
///
/// # Errors
/// If the disk refuses; an earlier checkpoint stays as it is.
pub fn save(
    path: &Path,
    state: &RunState,
    model: &TextClassifier,
    optimizer: &Optimizer,
) -> anyhow::Result<()> {
    let mut tensors = optimizer.state()?;
    for (key, tensor) in model.to_state_dict()? {
        tensors.insert(format!("{PREFIX}{key}"), tensor);
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
pub fn load(
    path: &Path,
    model: TextClassifier,
    optimizer: &mut Optimizer,
    device: &Device,
) -> anyhow::Result<(TextClassifier, RunState)> {
    let name = path.display().to_string();
    let bytes = read_file(path)?;
    let metadata = safetensors_metadata(&bytes);
    let tensors =
        checkpoint::read(bytes, &name).map_err(|error| bad_input(error.to_string()))?;
    let state = metadata
        .get(STATE)
        .ok_or_else(|| bad_input(format!("{name}: no checkpoint of a text classifier's run")))?;
    let state: RunState = serde_json::from_str(state).or_bad_input(&name)?;
    let (model_tensors, moments): (StateDict, StateDict) = tensors
        .into_iter()
        .partition(|(key, _)| key.starts_with(PREFIX));
    let model_tensors = model_tensors
        .into_iter()
        .map(|(key, tensor)| (key.replacen(PREFIX, "", 1), tensor))
        .collect();
    let model = model
        .load_state_dict(&model_tensors)
        .map_err(|error| bad_input(crate::models::named(&name, &error)))?;
    optimizer.load_state(&moments, device).or_bad_input(&name)?;
    Ok((model, state))
}
