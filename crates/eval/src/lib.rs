//! Metrics, protocols and reports.

pub mod folds;
pub mod metrics;
pub mod report;
pub mod sinks;
