//! A training's checkpoint.

use std::path::Path;

use burn::tensor::Device;
use emotionclip::optim::KeyedOptimizer;
use emotionclip::parameters::{Keyed, to_state_dict};
use serde::{Deserialize, Serialize};

use crate::models::CheckpointKind;

const MODEL: &str = "model/";
const OPTIMIZER: &str = "optimizer/";
const KIND: CheckpointKind = CheckpointKind {
    key: "emoclip_run",
    name: "an EmoCLIP run",
};

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
    let parts = [
        (MODEL, to_state_dict(model)?),
        (OPTIMIZER, optimizer.state()?),
    ];
    KIND.save(path, state.step, state, parts)
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
    let file = KIND.read::<RunState>(path)?;
    let model = file.model(MODEL, model)?;
    file.optimizer(OPTIMIZER, optimizer, device)?;
    Ok((model, file.state))
}
