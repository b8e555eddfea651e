//! What can be wrong with a benchmark's folder.

use core::fmt;
use std::path::PathBuf;

use emotionclip::zero_shot::LabelError;

use super::Benchmark;
use crate::decode::DecodeError;

/// Rows that an error names before it only counts them.
const NAMED_ROWS: usize = 3;

/// Why a benchmark, or a clip of it, can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DferError {
    /// The folder given isn't there.
    #[error(
        "{benchmark}: there is no folder '{}'; give the folder of the set, which comes from {}:\n{}",
        root.display(),
        benchmark.home(),
        benchmark.layout()
    )]
    NoFolder {
        /// The benchmark.
        benchmark: Benchmark,
        /// The folder given.
        root: PathBuf,
    },
    /// A folder or table isn't there.
    #[error(
        "{benchmark}: {} has no {missing}; get the set from {} and unpack all of it. Its folder:\n{}",
        root.display(),
        benchmark.home(),
        benchmark.layout()
    )]
    Missing {
        /// The benchmark.
        benchmark: Benchmark,
        /// The folder given.
        root: PathBuf,
        /// What should be in it.
        missing: String,
    },
    /// More rows than allowed can't be used.
    #[error(
        "{benchmark}, fold {fold}: {} of {rows} samples can't be used and {:.1}% may be: {}; \
         get the set from {} and unpack all of it. Its folder:\n{}",
        skipped.len(),
        100.0 * limit,
        Named(skipped),
        benchmark.home(),
        benchmark.layout()
    )]
    Damaged {
        /// The benchmark.
        benchmark: Benchmark,
        /// The fold, from 1.
        fold: usize,
        /// Rows read.
        rows: usize,
        /// Share of them that may be unusable.
        limit: f64,
        /// Those that can't be used.
        skipped: Vec<SkippedRow>,
    },
    /// A table can't be read.
    #[error("{}: cannot be read ({reason})", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system or the parser says.
        reason: String,
    },
    /// A clip can't be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A frame was asked for that a clip doesn't have.
    #[error("{}: frame {index} was asked for, and there are {frames}", path.display())]
    Frame {
        /// The clip.
        path: PathBuf,
        /// The frame, from 0.
        index: usize,
        /// Frames of the clip.
        frames: usize,
    },
    /// The benchmark has no such fold.
    #[error("{benchmark} has no fold {fold}; give 1 to {}", benchmark.folds())]
    Fold {
        /// The benchmark.
        benchmark: Benchmark,
        /// The fold asked for.
        fold: usize,
    },
    /// Only MAFW has compound labels.
    #[error("{0} has no compound labels; only MAFW has")]
    NoCompoundLabels(Benchmark),
    /// A file of class descriptions is no table of texts.
    #[error("{file}: {reason}")]
    DescriptionFile {
        /// The file.
        file: String,
        /// What the parser says.
        reason: String,
    },
    /// A file of class descriptions lacks a class.
    #[error("{file}: no texts for '{class}'; write at least one")]
    NoDescription {
        /// The file.
        file: String,
        /// The class.
        class: String,
    },
    /// A file of class descriptions has a class that the benchmark doesn't.
    #[error("{file}: '{class}' is no class of {benchmark}; take it out or correct its name")]
    UnknownClass {
        /// The file.
        file: String,
        /// The name in the file.
        class: String,
        /// The benchmark.
        benchmark: Benchmark,
    },
    /// A class has an empty text, or none.
    #[error("{file}: {error}")]
    Descriptions {
        /// The file.
        file: String,
        /// What is wrong.
        error: LabelError,
    },
}

/// A row of an annotation table that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedRow {
    /// The table.
    pub file: PathBuf,
    /// The row's line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: RowFault,
}

impl fmt::Display for SkippedRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}: {}",
            self.file.display(),
            self.line,
            self.fault
        )
    }
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowFault {
    /// It has other fields than its table's rows have.
    #[error("expected {expected}, found '{found}'")]
    Fields {
        /// What a row holds.
        expected: &'static str,
        /// The row, shortened.
        found: String,
    },
    /// Its label is none of the benchmark's.
    #[error("'{0}' is no label")]
    Label(String),
    /// No frames or video of that name were unpacked.
    #[error("clip '{key}' is not in {}", folder.display())]
    NoClip {
        /// The clip.
        key: String,
        /// Where it should be.
        folder: PathBuf,
    },
    /// The clip stands in an earlier row.
    #[error("clip '{key}' stands on line {first} already")]
    Twice {
        /// The clip.
        key: String,
        /// The line of the earlier row.
        first: usize,
    },
    /// The clip is tested on as well.
    #[error("clip '{0}' is in the test part of this fold too; not trained on")]
    Tested(String),
    /// The tables with and without captions disagree.
    #[error("clip '{key}' is '{here}' here and '{there}' in the table without captions")]
    Disagreement {
        /// The clip.
        key: String,
        /// Label in this table.
        here: String,
        /// Label in the other.
        there: String,
    },
}

/// The first rows in full, the rest as a number.
struct Named<'a>(&'a [SkippedRow]);

impl fmt::Display for Named<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, row) in self.0.iter().take(NAMED_ROWS).enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(formatter, "{separator}{row}")?;
        }
        match self.0.len().saturating_sub(NAMED_ROWS) {
            0 => Ok(()),
            more => write!(formatter, "; and {more} more"),
        }
    }
}
