//! The five benchmarks that EmotionCLIP is probed on: BoLD, MovieGraphs, MELD, EMOTIC and
//! LIRIS-ACCEDE.
//!
//! They are licensed and never part of this project; whoever has one points at its folder, laid
//! out as the authors' release expects it, and gets the parts of the protocol as lists of samples:
//! which frames are looked at, where the people are in each, and what is true. Nothing is decoded
//! here. [`ProbeDataset::layout`] shows what a folder must hold, and so does the error when
//! something of it is missing.
//!
//! A sample that can't be used (an unknown label, a clip that wasn't unpacked) is skipped, counted
//! and named with its file and line; past a limit the set is refused, because numbers on half of
//! it aren't comparable. Defects that the published sets are known to have are left out by name.
//!
//! ```no_run
//! use emotionclip_data::benchmarks::{ProbeDataset, ProbeOptions, ProbeSet};
//!
//! let meld = ProbeSet::open(ProbeDataset::Meld, "MELD".as_ref(), &ProbeOptions::default())?;
//! for part in &meld.parts {
//!     println!("{}: {} clips", part.name(), part.samples.len());
//! }
//! # Ok::<(), emotionclip_data::benchmarks::BenchmarkError>(())
//! ```
//!
//! [`fixtures`] writes miniatures of all five in exactly these layouts, so that a whole protocol can
//! be tried without any of them.

mod bold;
mod boxes;
mod classes;
mod dataset;
mod emotic;
mod error;
pub mod fixtures;
mod liris_accede;
mod meld;
mod movie_graphs;
mod part;
mod paths;
mod set;

#[cfg(test)]
mod tests;

pub use dataset::{ProbeDataset, UnknownDataset};
pub use error::{BenchmarkError, SampleFault, SkippedSample};
pub use part::{ProbePart, ProbeSample, SubjectFrame};
pub use set::{LirisInput, ProbeOptions, ProbeSet};
