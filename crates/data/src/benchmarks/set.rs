//! Opening a set.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{
    BenchmarkError, ProbeDataset, ProbePart, bold, emotic, liris_accede, meld, movie_graphs, paths,
};

/// What a model sees of a second of LIRIS-ACCEDE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LirisInput {
    /// The labelled frame again and again, as the release evaluates.
    #[default]
    RepeatedFrame,
    /// The frames of the window around it.
    Window,
}

/// How a set is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbeOptions {
    /// Frames of a clip, at least one; the release's 8 by default.
    pub frames: usize,
    /// What is seen of LIRIS-ACCEDE.
    pub liris_input: LirisInput,
    /// Share of a part's samples that may be unusable before the set is refused.
    pub max_skipped: f64,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self {
            frames: 8,
            liris_input: LirisInput::RepeatedFrame,
            max_skipped: 0.01,
        }
    }
}

/// A benchmark found on disk.
#[derive(Clone, Debug)]
pub struct ProbeSet {
    /// Which one.
    pub dataset: ProbeDataset,
    /// Its parts: the training part, then those that are tested on.
    pub parts: Vec<ProbePart>,
}

impl ProbeSet {
    /// Looks whether a folder holds what the set consists of, which takes no time.
    ///
    /// # Errors
    /// A folder that is missing or lacks files or folders; all of them are named.
    pub fn check(dataset: ProbeDataset, root: &Path) -> Result<(), BenchmarkError> {
        let needed = match dataset {
            ProbeDataset::Bold => bold::needed(),
            ProbeDataset::MovieGraphs => movie_graphs::needed(),
            ProbeDataset::Meld => meld::needed(),
            ProbeDataset::Emotic => emotic::needed(),
            ProbeDataset::LirisAccede => liris_accede::needed(),
        };
        paths::require(dataset, root, &needed)
    }

    /// Reads the tables of a set and lists what is to be looked at; no frame is decoded.
    ///
    /// # Errors
    /// A folder that is missing or lacks something, a table that can't be read, more unusable
    /// samples than allowed.
    pub fn open(
        dataset: ProbeDataset,
        root: &Path,
        options: &ProbeOptions,
    ) -> Result<Self, BenchmarkError> {
        Self::check(dataset, root)?;
        let options = &ProbeOptions {
            frames: options.frames.max(1),
            ..*options
        };
        let parts = match dataset {
            ProbeDataset::Bold => bold::read(root, options)?,
            ProbeDataset::MovieGraphs => movie_graphs::read(root, options)?,
            ProbeDataset::Meld => meld::read(root, options)?,
            ProbeDataset::Emotic => emotic::read(root, options)?,
            ProbeDataset::LirisAccede => liris_accede::read(root, options)?,
        };
        Ok(Self { dataset, parts })
    }
}
