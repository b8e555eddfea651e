//! Metrics, protocols and reports.

pub mod folds;
pub mod metrics;
pub mod protocols;
pub mod report;
pub mod sinks;
