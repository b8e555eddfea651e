//! EmoCLIP's schedule: a rate that drops at given epochs.

use serde::{Deserialize, Serialize};

/// `torch.optim.lr_scheduler.MultiStepLR`, as a pure function of the epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiStep {
    /// Epochs, counted from 0, that begin with a drop; in any order, and one that stands twice
    /// drops twice.
    pub milestones: Vec<usize>,
    /// What the rate is multiplied by at each.
    pub factor: f64,
}

impl MultiStep {
    /// EmoCLIP's training on sample captions: × 0.1 at epochs 15, 35 and 50.
    pub fn captions() -> Self {
        Self {
            milestones: vec![15, 35, 50],
            factor: 0.1,
        }
    }

    /// EmoCLIP's supervised and leave-one-class-out training: × 0.1 at epochs 25 and 50.
    pub fn supervised() -> Self {
        Self {
            milestones: vec![25, 50],
            factor: 0.1,
        }
    }

    /// The learning rate of epoch `epoch` (from 0) for a base rate.
    pub fn learning_rate(&self, base: f64, epoch: usize) -> f64 {
        let passed = self
            .milestones
            .iter()
            .filter(|milestone| **milestone <= epoch);
        passed.fold(base, |rate, _| rate * self.factor)
    }
}
