//! The releases' optimisation: EmotionCLIP's parameter groups, AdamW and warm-up schedule, EmoCLIP's
//! SGD, Adam and stepwise schedule.
//!
//! The optimizers take burn's gradients and need the feature `autodiff`; rates and schedules don't.

#[cfg(feature = "autodiff")]
mod adamw;
#[cfg(feature = "autodiff")]
mod gradients;
mod groups;
#[cfg(feature = "autodiff")]
mod keyed;
#[cfg(feature = "autodiff")]
mod method;
mod multi_step;
mod schedule;

#[cfg(feature = "autodiff")]
pub use adamw::{AdamW, AdamWConfig, OptimizerState};
#[cfg(feature = "autodiff")]
pub use gradients::ParameterGradients;
pub use groups::{GroupRates, ParameterGroup, Rate, Tower};
#[cfg(feature = "autodiff")]
pub use keyed::KeyedOptimizer;
#[cfg(feature = "autodiff")]
pub use method::{Method, WeightDecay};
pub use multi_step::MultiStep;
pub use schedule::{Schedule, ScheduleError};
