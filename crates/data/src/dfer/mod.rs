//! Benchmarks of dynamic facial expression recognition: MAFW, DFEW, FERV39K and AFEW.
//!
//! They are licensed and never part of this project; whoever has one points at its folder, as it
//! comes out of its archives or as EmoCLIP's release keeps it, and gets folds of samples whose
//! frames are read when they are asked for. Both layouts of each set are shown by
//! [`Benchmark::layout`], and by the error when something of it isn't there.
//!
//! A row of an annotation table that can't be used (an unknown label, a clip that wasn't unpacked)
//! is skipped, counted and named with its file and line; past a limit the set is refused, because
//! numbers on half of it aren't comparable.
//!
//! ```no_run
//! use emotionclip_data::dfer::{Benchmark, DferDataset, DferOptions};
//!
//! let mafw = DferDataset::open(Benchmark::Mafw, "MAFW".as_ref(), &DferOptions::default())?;
//! let texts = mafw.descriptions()?;
//! assert_eq!(texts.labels().len(), mafw.classes().len());
//! for fold in mafw.folds() {
//!     for sample in &fold.test {
//!         let clip = sample.frames()?;
//!         // Every fourth frame; only those are decoded.
//!         let indices: Vec<usize> = (0..clip.count()).step_by(4).collect();
//!         let pictures = clip.read(&indices)?;
//!     }
//! }
//! # Ok::<(), emotionclip_data::dfer::DferError>(())
//! ```
//!
//! [`fixtures`] writes miniatures of all four sets, so that a whole protocol can be tried without
//! any of them.

mod afew;
mod benchmark;
mod clips;
mod dataset;
mod descriptions;
mod dfew;
mod error;
mod ferv39k;
pub mod fixtures;
mod frames;
mod mafw;
mod part;
mod table;

#[cfg(test)]
mod tests;

pub use benchmark::{Benchmark, UnknownBenchmark};
pub use dataset::{DferDataset, DferOptions, DferSample, Fold, LabelKind};
pub use descriptions::{descriptions, descriptions_from};
pub use error::{DferError, RowFault, SkippedRow};
pub use frames::ClipFrames;
