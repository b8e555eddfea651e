//! The releases' optimisation: EmotionCLIP's parameter groups, AdamW and warm-up schedule, EmoCLIP's
//! SGD, Adam and stepwise schedule.

mod adamw;
mod gradients;
mod groups;
mod keyed;
mod method;
mod multi_step;
mod schedule;

pub use adamw::{AdamW, AdamWConfig, OptimizerState};
pub use gradients::ParameterGradients;
pub use groups::{GroupRates, ParameterGroup, Rate, Tower};
pub use keyed::KeyedOptimizer;
pub use method::{Method, WeightDecay};
pub use multi_step::MultiStep;
pub use schedule::{Schedule, ScheduleError};
