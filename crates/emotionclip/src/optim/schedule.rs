//! Learning-rate schedules as pure functions of the step.
//!
//! Nothing is carried from step to step, so a resumed run continues with the same numbers.

use serde::{Deserialize, Serialize};

/// A learning-rate schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, tag = "kind")]
pub enum Schedule {
    /// The release's: cosine over epochs after a linear warm-up by steps toward the rate that the
    /// cosine has reached when the warm-up ends.
    Release {
        /// Length of the cosine in epochs.
        epochs: usize,
        /// Warm-up in steps.
        warmup_steps: usize,
        /// The warm-up starts at this fraction of the base rate.
        warmup_factor: f64,
        /// The rate at the cosine's end, η.
        minimum: f64,
    },
    /// Linear warm-up, then one cosine by steps down to a fraction of the base rate.
    Cosine {
        /// Warm-up in steps.
        warmup_steps: usize,
        /// The rate at the end as a fraction of the base rate.
        final_fraction: f64,
    },
    /// The base rate throughout.
    Constant,
}

/// A schedule that can't be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// An epoch without steps.
    #[error("the corpus has fewer clips than one batch: lower the batch size or add clips")]
    EmptyEpoch,
    /// A cosine without length.
    #[error("schedule.epochs must be at least 1")]
    NoEpochs,
}

impl Schedule {
    /// The recipe of the paper: 25 epochs, 10,000 steps of warm-up.
    pub const fn release() -> Self {
        Self::Release {
            epochs: 25,
            warmup_steps: 10_000,
            warmup_factor: 1e-5,
            minimum: 1e-10,
        }
    }

    /// Checks the schedule against an epoch of `steps_per_epoch` steps.
    ///
    /// # Errors
    ///
    /// If an epoch has no steps or the cosine no epochs.
    pub fn validate(&self, steps_per_epoch: usize) -> Result<(), ScheduleError> {
        if steps_per_epoch == 0 {
            return Err(ScheduleError::EmptyEpoch);
        }
        match self {
            Self::Release { epochs: 0, .. } => Err(ScheduleError::NoEpochs),
            _ => Ok(()),
        }
    }

    /// The learning rate of step `step` (from 0) for a group with the rate `base`, in a run of
    /// `total_steps` with `steps_per_epoch` steps an epoch.
    pub fn learning_rate(
        &self,
        base: f64,
        step: usize,
        steps_per_epoch: usize,
        total_steps: usize,
    ) -> f64 {
        match *self {
            Self::Constant => base,
            Self::Cosine {
                warmup_steps,
                final_fraction,
            } => {
                if step < warmup_steps {
                    return base * (step + 1) as f64 / warmup_steps as f64;
                }
                let length = total_steps.saturating_sub(warmup_steps).max(1) as f64;
                let progress = ((step - warmup_steps) as f64 / length).min(1.0);
                let cosine = 0.5 * (1.0 + (core::f64::consts::PI * progress).cos());
                base * (final_fraction + (1.0 - final_fraction) * cosine)
            }
            Self::Release {
                epochs,
                warmup_steps,
                warmup_factor,
                minimum,
            } => {
                let steps_per_epoch = steps_per_epoch.max(1);
                let cosine = |epoch: usize| {
                    let angle = core::f64::consts::PI * epoch as f64 / epochs.max(1) as f64;
                    minimum + (base - minimum) * (1.0 + angle.cos()) / 2.0
                };
                if step < warmup_steps {
                    let progress = step as f64 / warmup_steps as f64;
                    let target = cosine(warmup_steps / steps_per_epoch);
                    warmup_factor * base * (1.0 - progress) + target * progress
                } else {
                    cosine(step / steps_per_epoch)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_warms_up_from_nearly_nothing_and_ends_above_its_minimum() {
        let schedule = Schedule::release();
        let rate = |step| schedule.learning_rate(5e-5, step, 1000, 25_000);
        assert!((rate(0) - 5e-10).abs() < 1e-20);
        assert!(rate(9_999) > rate(5_000));
        assert!(rate(24_999) > 1e-10, "the last epoch runs at c(24)");
    }

    #[test]
    fn cosine_reaches_base_after_warm_up_and_its_floor_at_the_end() {
        let schedule = Schedule::Cosine {
            warmup_steps: 10,
            final_fraction: 0.1,
        };
        assert!((schedule.learning_rate(1.0, 9, 1, 100) - 1.0).abs() < 1e-12);
        assert!((schedule.learning_rate(1.0, 10, 1, 100) - 1.0).abs() < 1e-12);
        assert!((schedule.learning_rate(1.0, 100, 1, 100) - 0.1).abs() < 1e-12);
    }
}
