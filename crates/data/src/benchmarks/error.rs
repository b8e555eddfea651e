//! What can be wrong with a benchmark's folder.

use core::fmt;
use std::path::{Path, PathBuf};

use super::ProbeDataset;

/// Samples that an error names before it only counts them.
const NAMED_SAMPLES: usize = 3;

/// Why a benchmark can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchmarkError {
    /// The folder given isn't there.
    #[error(
        "{dataset}: there is no folder '{}'; give the folder of the set, which comes from {}:\n{}",
        root.display(),
        dataset.home(),
        dataset.layout()
    )]
    NoFolder {
        /// The benchmark.
        dataset: ProbeDataset,
        /// The folder given.
        root: PathBuf,
    },
    /// Files or folders of the set aren't there.
    #[error(
        "{dataset}: {} has no {}; get the set from {} and unpack all of it. Its folder:\n{}",
        root.display(),
        missing.join(", no "),
        dataset.home(),
        dataset.layout()
    )]
    Missing {
        /// The benchmark.
        dataset: ProbeDataset,
        /// The folder given.
        root: PathBuf,
        /// What should be in it.
        missing: Vec<String>,
    },
    /// More samples than allowed can't be used.
    #[error(
        "{dataset}, {part}: {} of {samples} samples can't be used and {:.1}% may be: {}; \
         get the set from {} and unpack all of it. Its folder:\n{}",
        skipped.len(),
        100.0 * limit,
        Named(skipped),
        dataset.home(),
        dataset.layout()
    )]
    Damaged {
        /// The benchmark.
        dataset: ProbeDataset,
        /// The part, as the set calls it.
        part: &'static str,
        /// Samples that its tables name.
        samples: usize,
        /// Share of them that may be unusable.
        limit: f64,
        /// Those that can't be used.
        skipped: Vec<SkippedSample>,
    },
    /// A part has no sample.
    #[error("{dataset}, {part}: no sample; get the set from {} and unpack all of it", dataset.home())]
    Empty {
        /// The benchmark.
        dataset: ProbeDataset,
        /// The part, as the set calls it.
        part: &'static str,
    },
    /// A file can't be read or isn't what it should be.
    #[error("{}: {reason}; copy or download it again", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system or the parser says.
        reason: String,
    },
}

impl BenchmarkError {
    /// A file that is not what it should be.
    pub(super) fn read(path: &Path, reason: impl fmt::Display) -> Self {
        Self::Read {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// A sample that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedSample {
    /// The file that names it.
    pub file: PathBuf,
    /// Where in the file: `line 12`, or the sample's own name.
    pub place: String,
    /// What is wrong with it.
    pub fault: SampleFault,
}

impl fmt::Display for SkippedSample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        write!(formatter, "{file}, {}: {}", self.place, self.fault)
    }
}

/// What is wrong with a sample.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleFault {
    /// Its row has other fields than its table's rows have.
    #[error("expected {expected}, found {found}")]
    Fields {
        /// What a row holds.
        expected: String,
        /// What this one holds.
        found: String,
    },
    /// Its label is none of the benchmark's.
    #[error("'{0}' is no label")]
    Label(String),
    /// A field is no number.
    #[error("{field} is '{found}', which is no number")]
    Number {
        /// The field.
        field: String,
        /// What it holds.
        found: String,
    },
    /// A name that would lead out of the set's folder.
    #[error("'{0}' is no name of a file in the set")]
    Name(String),
    /// A file of it wasn't unpacked.
    #[error("{} is not there", .0.display())]
    NoFile(PathBuf),
    /// A file of it isn't what it should be.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The detector's file has no entry for a frame of it.
    #[error("no boxes for {0}")]
    NoBoxes(String),
    /// It refers to a scene or shot that its film doesn't have.
    #[error("the film has no {0}")]
    NoShot(String),
}

/// The first samples in full, the rest as a number.
struct Named<'a>(&'a [SkippedSample]);

impl fmt::Display for Named<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, sample) in self.0.iter().take(NAMED_SAMPLES).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{sample}")?;
        }
        match self.0.len().saturating_sub(NAMED_SAMPLES) {
            0 => Ok(()),
            more => write!(formatter, "; and {more} more"),
        }
    }
}
