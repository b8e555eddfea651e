//! The release's optimisation: parameter groups, AdamW and the warm-up schedule (MODEL §1.7).

mod adamw;
mod groups;
mod schedule;

pub use adamw::{AdamW, AdamWConfig, OptimizerState};
pub use groups::{GroupRates, ParameterGroup, Rate, Tower};
pub use schedule::{Schedule, ScheduleError};
