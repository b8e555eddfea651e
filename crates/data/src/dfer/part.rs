//! From the rows of tables to the samples of a part: captions joined, clips found, faults kept.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::clips::ClipIndex;
use super::error::{DferError, RowFault, SkippedRow};
use super::table::{Row, Table};

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Annotation {
    /// The clip.
    pub(super) key: String,
    /// Indices of its emotions, rising.
    pub(super) emotions: Vec<usize>,
    /// A sentence about it.
    pub(super) caption: Option<String>,
}

/// A row and where it stands.
struct Entry {
    file: Arc<Path>,
    line: usize,
    annotation: Annotation,
}

impl Entry {
    fn skip(&self, fault: RowFault) -> SkippedRow {
        SkippedRow {
            file: self.file.to_path_buf(),
            line: self.line,
            fault,
        }
    }
}

/// The rows of a part, before its clips are looked for.
pub(super) struct Annotations {
    rows: usize,
    entries: Vec<Entry>,
    skipped: Vec<SkippedRow>,
}

impl Annotations {
    /// Reads a table. `parse` gives nothing for a line of headings.
    ///
    /// # Errors
    /// A file that can't be read.
    pub(super) fn read(
        path: &Path,
        parse: impl Fn(Row<'_>) -> Result<Option<Annotation>, RowFault>,
    ) -> Result<Self, DferError> {
        let table = Table::read(path)?;
        let file: Arc<Path> = Arc::from(table.path.as_path());
        let mut read = Self {
            rows: 0,
            entries: Vec::new(),
            skipped: Vec::new(),
        };
        let mut lines: HashMap<String, usize> = HashMap::new();
        for row in table.rows() {
            let fault = match parse(row) {
                Ok(None) => continue,
                Ok(Some(annotation)) => match lines.get(&annotation.key) {
                    Some(&first) => RowFault::Twice {
                        key: annotation.key,
                        first,
                    },
                    None => {
                        lines.insert(annotation.key.clone(), row.line);
                        read.rows += 1;
                        read.entries.push(Entry {
                            file: Arc::clone(&file),
                            line: row.line,
                            annotation,
                        });
                        continue;
                    }
                },
                Err(fault) => fault,
            };
            read.rows += 1;
            read.skipped.push(SkippedRow {
                file: file.to_path_buf(),
                line: row.line,
                fault,
            });
        }
        Ok(read)
    }

    /// Takes captions from another table of the same part, and with `add` its further clips too.
    pub(super) fn join(&mut self, captioned: Self, add: bool, name: impl Fn(&[usize]) -> String) {
        // A clip of both tables is one sample.
        self.rows += captioned.skipped.len();
        self.skipped.extend(captioned.skipped);
        let keys = self.entries.iter().enumerate();
        let places: HashMap<String, usize> = keys
            .map(|(place, entry)| (entry.annotation.key.clone(), place))
            .collect();
        for entry in captioned.entries {
            let place = places.get(&entry.annotation.key);
            let known = place.and_then(|place| self.entries.get_mut(*place));
            match known.map(|known| &mut known.annotation) {
                Some(known) if known.emotions == entry.annotation.emotions => {
                    known.caption = entry.annotation.caption;
                }
                Some(known) => {
                    let fault = RowFault::Disagreement {
                        key: known.key.clone(),
                        here: name(&entry.annotation.emotions),
                        there: name(&known.emotions),
                    };
                    self.skipped.push(entry.skip(fault));
                }
                None if add => {
                    self.rows += 1;
                    self.entries.push(entry);
                }
                None => {}
            }
        }
    }

    /// Sets captions by key.
    pub(super) fn set_captions(&mut self, mut captions: HashMap<String, String>) {
        for entry in &mut self.entries {
            entry.annotation.caption = captions.remove(&entry.annotation.key);
        }
    }

    /// Finds the clips.
    pub(super) fn find(self, clips: &ClipIndex) -> Part {
        let mut part = Part {
            rows: self.rows,
            samples: Vec::with_capacity(self.entries.len()),
            skipped: self.skipped,
        };
        for entry in self.entries {
            match clips.get(&entry.annotation.key) {
                Some(path) => part.samples.push(Found {
                    path: path.to_owned(),
                    entry,
                }),
                None => part.skipped.push(entry.skip(RowFault::NoClip {
                    key: entry.annotation.key.clone(),
                    folder: clips.folder.clone(),
                })),
            }
        }
        part
    }
}

/// A sample whose clip was found.
struct Found {
    path: PathBuf,
    entry: Entry,
}

/// A part of a fold: its samples and what was left out.
pub(super) struct Part {
    rows: usize,
    samples: Vec<Found>,
    skipped: Vec<SkippedRow>,
}

impl Part {
    /// A part that has no table: its clips stand in folders of their emotions.
    pub(super) fn of_clips(clips: Vec<(Annotation, PathBuf)>, folder: &Path) -> Self {
        let file: Arc<Path> = Arc::from(folder);
        let found = |(annotation, path)| Found {
            path,
            entry: Entry {
                file: Arc::clone(&file),
                line: 0,
                annotation,
            },
        };
        Self {
            rows: clips.len(),
            samples: clips.into_iter().map(found).collect(),
            skipped: Vec::new(),
        }
    }

    /// Rows read, unusable ones included.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Drops the samples that the other part tests on.
    pub(super) fn leave_to(&mut self, tested: &Self) {
        let keys = tested.samples.iter();
        let keys: HashSet<&str> = keys
            .map(|sample| sample.entry.annotation.key.as_str())
            .collect();
        let skipped = &mut self.skipped;
        self.samples.retain(|sample| {
            let key = &sample.entry.annotation.key;
            let is_tested = keys.contains(key.as_str());
            if is_tested {
                skipped.push(sample.entry.skip(RowFault::Tested(key.clone())));
            }
            !is_tested
        });
    }

    /// The samples with where their clips are, and the rows left out.
    pub(super) fn into_parts(self) -> (Vec<(Annotation, PathBuf)>, Vec<SkippedRow>) {
        let samples = self.samples.into_iter();
        let samples = samples.map(|sample| (sample.entry.annotation, sample.path));
        (samples.collect(), self.skipped)
    }
}
