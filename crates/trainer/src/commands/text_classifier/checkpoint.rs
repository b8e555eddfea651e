//! A run's checkpoint.

use std::path::Path;

use burn::tensor::Device;
use emotionclip::optim::KeyedOptimizer;
use emotionclip::parameters::to_state_dict;
use emotionclip::text_classifier::TextClassifier;
use serde::{Deserialize, Serialize};

use super::average::Average;
use crate::models::CheckpointKind;

/// What stands before the keys of the trained parameters, of their means and of the moments.
const MODEL: &str = "model/";
const AVERAGE: &str = "average/";
const MOMENTS: &str = "optimizer/";

const KIND: CheckpointKind = CheckpointKind {
    key: "emotionclip_text_classifier_run",
    name: "a text classifier's run",
};

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
    let parts = [
        (MODEL, to_state_dict(&trained.model)?),
        (AVERAGE, to_state_dict(&trained.average.model)?),
        (MOMENTS, trained.optimizer.state()?),
    ];
    KIND.save(path, state.step, state, parts)
}

/// Reads a checkpoint into what is trained, which is of the same architecture.
///
/// # Errors
/// Bad input if the file is damaged or of another run.
pub fn load(path: &Path, trained: &mut Trained, device: &Device) -> anyhow::Result<RunState> {
    let file = KIND.read::<RunState>(path)?;
    trained.model = file.model(MODEL, trained.model.clone())?;
    trained.average.model = file.model(AVERAGE, trained.average.model.clone())?;
    file.optimizer(MOMENTS, &mut trained.optimizer, device)?;
    Ok(file.state)
}
