//! Metrics, protocols and reports.

pub mod metrics;
pub mod report;
pub mod sinks;
