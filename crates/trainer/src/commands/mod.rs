//! The commands that query a model, one file each.

pub mod ablate;
pub mod bench;
mod classification;
pub mod data;
mod dataset;
pub mod embed;
pub mod emoclip;
pub mod evaluate;
pub mod export;
pub mod import;
pub mod inspect;
pub mod predict;
pub mod probe;
pub mod text_classifier;
pub mod zero_shot;
