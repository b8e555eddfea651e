//! The release's optimisation: parameter groups, AdamW and the warm-up schedule (MODEL §1.7).

mod adamw;
mod gradients;
mod groups;
mod schedule;

pub use adamw::{AdamW, AdamWConfig, OptimizerState};
pub use gradients::ParameterGradients;
pub use groups::{GroupRates, ParameterGroup, Rate, Tower};
pub use schedule::{Schedule, ScheduleError};
