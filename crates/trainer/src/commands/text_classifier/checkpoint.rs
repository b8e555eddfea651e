//! A run's checkpoint: one file, so a rename replaces all of it or nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use burn::tensor::Device;
use emotionclip::checkpoint::{self, StateDict, write_safetensors};
use emotionclip::optim::KeyedOptimizer;
use emotionclip::parameters::{Completeness, load_state_dict, to_state_dict};
use emotionclip::text_classifier::TextClassifier;
use serde::{Deserialize, Serialize};

use super::average::Average;
use crate::context::write_atomically;
use crate::failure::{OrBadInput, bad_input};
use crate::inputs::files::{read_file, safetensors_metadata};
use crate::models::named;

/// What stands before the keys of the trained parameters, of their means and of the moments.
const MODEL: &str = "model/";
const AVERAGE: &str = "average/";
const MOMENTS: &str = "optimizer/";

/// Metadata key of the state.
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

/// What is trained.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The classifier, on the autodiff device.
    pub model: TextClassifier,
    /// The running mean of its parameters.
    pub average: Average,
    /// The optimizer with its moments.
    pub optimizer: KeyedOptimizer,
}

/// Writes a checkpoint.
///
/// # Errors
/// If the disk refuses; an earlier checkpoint stays as it is.
pub fn save(path: &Path, state: &RunState, trained: &Trained) -> anyhow::Result<()> {
    let mut tensors = StateDict::new();
    for (prefix, part) in [
        (MODEL, to_state_dict(&trained.model)?),
        (AVERAGE, to_state_dict(&trained.average.model)?),
        (MOMENTS, trained.optimizer.state()?),
    ] {
        tensors.extend(
            part.into_iter()
                .map(|(key, tensor)| (format!("{prefix}{key}"), tensor)),
        );
    }
    let json = serde_json::to_string(state).context("writing the run's state as JSON")?;
    let metadata = BTreeMap::from([(STATE.to_owned(), json)]);
    write_atomically(path, &write_safetensors(&tensors, &metadata)).with_context(|| {
        format!(
            "the checkpoint of step {} could not be written; free some space and use --resume (the \
             earlier one is untouched)",
            state.step
        )
    })
}

/// Reads a checkpoint into what is trained, which is of the same architecture.
///
/// # Errors
/// Bad input if the file is damaged or of another run.
pub fn load(path: &Path, trained: &mut Trained, device: &Device) -> anyhow::Result<RunState> {
    let name = path.display().to_string();
    let bytes = read_file(path)?;
    let metadata = safetensors_metadata(&bytes);
    let tensors = checkpoint::read(bytes, &name).map_err(|error| bad_input(error.to_string()))?;
    let state = metadata
        .get(STATE)
        .ok_or_else(|| bad_input(format!("{name}: no checkpoint of a text classifier's run")))?;
    let state: RunState = serde_json::from_str(state).or_bad_input(&name)?;
    let part = |prefix: &str| -> StateDict {
        tensors
            .iter()
            .filter_map(|(key, tensor)| {
                Some((key.strip_prefix(prefix)?.to_owned(), tensor.clone()))
            })
            .collect()
    };
    let read = |model: &TextClassifier, prefix| {
        load_state_dict(model.clone(), &part(prefix), Completeness::Whole)
            .map_err(|error| bad_input(named(&name, &error)))
    };
    trained.model = read(&trained.model, MODEL)?;
    trained.average.model = read(&trained.average.model, AVERAGE)?;
    trained
        .optimizer
        .load_state(&part(MOMENTS), device)
        .map_err(|error| bad_input(named(&name, &error)))?;
    Ok(state)
}
