//! What the commands are given: files, labels, subjects, and clips with their features.

pub mod cache;
pub mod features;
pub mod files;
pub mod labels;
pub mod subject;
