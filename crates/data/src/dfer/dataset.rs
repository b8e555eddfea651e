//! A benchmark opened: its classes, its folds and their samples.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use emotionclip::zero_shot::LabelSet;
use serde::{Deserialize, Serialize};

use super::error::{DferError, SkippedRow};
use super::frames::ClipFrames;
use super::part::{Annotation, Part};
use super::{Benchmark, afew, descriptions, dfew, ferv39k, mafw};
use crate::synthetic::Split;

/// Which labels a benchmark is read with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelKind {
    /// One emotion a clip.
    #[default]
    Single,
    /// One or several at once, each combination a class of its own (MAFW only: 11 + 32 classes).
    Compound,
}

/// How a benchmark is read.
#[derive(Clone, Debug, PartialEq)]
pub struct DferOptions {
    /// Which labels.
    pub labels: LabelKind,
    /// Folder of the clips below the root, where it isn't one of those that
    /// [`Benchmark::layout`] shows.
    pub clips: Option<PathBuf>,
    /// Folds to open, from 1; empty for all.
    pub folds: Vec<usize>,
    /// Share of a fold's rows that may be unusable, in `[0, 1]`.
    pub damage_limit: f64,
}

impl Default for DferOptions {
    fn default() -> Self {
        Self {
            labels: LabelKind::Single,
            clips: None,
            folds: Vec::new(),
            damage_limit: 0.01,
        }
    }
}

/// A clip with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DferSample {
    /// Its name in the benchmark, the same in every fold.
    pub key: String,
    /// Its folder of frames or its video.
    pub path: PathBuf,
    /// Index into [`DferDataset::classes`].
    pub label: usize,
    /// Indices into [`Benchmark::emotions`], rising; one unless labels are compound.
    pub emotions: Vec<usize>,
    /// A sentence about what is seen and how the person looks, where there is one.
    pub caption: Option<String>,
}

impl DferSample {
    /// Opens the clip.
    ///
    /// # Errors
    /// As [`ClipFrames::open`].
    pub fn frames(&self) -> Result<ClipFrames, DferError> {
        ClipFrames::open(&self.path)
    }
}

/// One train/test split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Its number, from 1.
    pub number: usize,
    /// What is trained on.
    pub train: Vec<DferSample>,
    /// What is tested on.
    pub test: Vec<DferSample>,
    /// Rows that can't be used.
    pub skipped: Vec<SkippedRow>,
}

impl Fold {
    /// The training samples that have a caption: all that EmoCLIP is trained on.
    pub fn captioned(&self) -> impl Iterator<Item = &DferSample> {
        self.train.iter().filter(|sample| sample.caption.is_some())
    }

    /// The fold of the leave-one-class-out protocol: trained on without an emotion and tested on
    /// that emotion's clips only. Compound clips count as each of their emotions.
    pub fn leave_out(&self, emotion: usize) -> Self {
        let having = |samples: &[DferSample], wanted: bool| {
            let samples = samples.iter();
            samples
                .filter(|sample| sample.emotions.contains(&emotion) == wanted)
                .cloned()
                .collect()
        };
        Self {
            number: self.number,
            train: having(&self.train, false),
            test: having(&self.test, true),
            skipped: self.skipped.clone(),
        }
    }
}

/// A benchmark that was found on disk.
#[derive(Clone, Debug)]
pub struct DferDataset {
    benchmark: Benchmark,
    classes: Vec<Vec<usize>>,
    names: Vec<String>,
    folds: Vec<Fold>,
}

impl DferDataset {
    /// Reads the tables and lists the clips; no frame is decoded yet.
    ///
    /// # Errors
    /// Tables or clips that aren't there or can't be read, more unusable rows than allowed, a fold
    /// or kind of label that the benchmark doesn't have.
    pub fn open(
        benchmark: Benchmark,
        root: &Path,
        options: &DferOptions,
    ) -> Result<Self, DferError> {
        if options.labels == LabelKind::Compound && benchmark != Benchmark::Mafw {
            return Err(DferError::NoCompoundLabels(benchmark));
        }
        let mut numbers = options.folds.clone();
        if numbers.is_empty() {
            numbers.extend(1..=benchmark.folds());
        }
        numbers.sort_unstable();
        numbers.dedup();
        if let Some(&fold) = numbers
            .iter()
            .find(|fold| !(1..=benchmark.folds()).contains(*fold))
        {
            return Err(DferError::Fold { benchmark, fold });
        }
        if !root.is_dir() {
            return Err(DferError::NoFolder {
                benchmark,
                root: root.to_owned(),
            });
        }
        let raw = match benchmark {
            Benchmark::Mafw => read_folds(&mafw::Mafw::open(root, options)?, &numbers, options)?,
            Benchmark::Dfew => read_folds(&dfew::Dfew::open(root, options)?, &numbers, options)?,
            Benchmark::Ferv39k => {
                read_folds(&ferv39k::Ferv39k::open(root, options)?, &numbers, options)?
            }
            Benchmark::Afew => read_folds(&afew::Afew::open(root, options)?, &numbers, options)?,
        };
        Ok(Self::labelled(benchmark, raw))
    }

    /// Gives the combinations of emotions numbers: single ones first, in their order.
    fn labelled(benchmark: Benchmark, raw: Vec<RawFold>) -> Self {
        let single = (0..benchmark.emotions().len()).map(|emotion| vec![emotion]);
        let samples = raw
            .iter()
            .flat_map(|fold| fold.train.iter().chain(&fold.test));
        let occurring = samples.map(|(annotation, _)| annotation.emotions.clone());
        let classes: BTreeSet<(usize, Vec<usize>)> = single
            .chain(occurring)
            .map(|emotions| (emotions.len(), emotions))
            .collect();
        let classes: Vec<Vec<usize>> = classes.into_iter().map(|(_, emotions)| emotions).collect();
        let sample = |(annotation, path): (Annotation, PathBuf)| DferSample {
            key: annotation.key,
            path,
            label: classes
                .iter()
                .position(|emotions| *emotions == annotation.emotions)
                .unwrap_or_default(),
            emotions: annotation.emotions,
            caption: annotation.caption,
        };
        let folds = raw
            .into_iter()
            .map(|fold| Fold {
                number: fold.number,
                train: fold.train.into_iter().map(sample).collect(),
                test: fold.test.into_iter().map(sample).collect(),
                skipped: fold.skipped,
            })
            .collect();
        let names = classes
            .iter()
            .map(|emotions| class_name(benchmark, emotions))
            .collect();
        Self {
            benchmark,
            classes,
            names,
            folds,
        }
    }

    /// Which benchmark this is.
    pub fn benchmark(&self) -> Benchmark {
        self.benchmark
    }

    /// The classes' names. Combinations of emotions are joined as in MAFW's tables: `fear_surprise`.
    pub fn classes(&self) -> &[String] {
        &self.names
    }

    /// The folds opened, by number.
    pub fn folds(&self) -> &[Fold] {
        &self.folds
    }

    /// The classes with the texts that come with this crate (see [`super::descriptions()`]).
    ///
    /// # Errors
    /// When the embedded file is broken.
    pub fn descriptions(&self) -> Result<LabelSet, DferError> {
        self.describe(&descriptions(self.benchmark)?)
    }

    /// The classes with texts of single emotions; a combination has those of all its emotions.
    ///
    /// # Errors
    /// When `texts` lacks an emotion.
    pub fn describe(&self, texts: &LabelSet) -> Result<LabelSet, DferError> {
        descriptions::of_classes(self.benchmark, &self.classes, &self.names, texts)
    }
}

/// The name of a combination of emotions.
fn class_name(benchmark: Benchmark, emotions: &[usize]) -> String {
    let names = emotions
        .iter()
        .filter_map(|emotion| benchmark.emotions().get(*emotion));
    names.copied().collect::<Vec<_>>().join("_")
}

/// A fold before its classes have numbers.
struct RawFold {
    number: usize,
    train: Vec<(Annotation, PathBuf)>,
    test: Vec<(Annotation, PathBuf)>,
    skipped: Vec<SkippedRow>,
}

/// What the readers of the four layouts have in common.
pub(super) trait Reader {
    /// Which benchmark.
    const BENCHMARK: Benchmark;

    /// Its folder.
    fn root(&self) -> &Path;

    /// A part of a fold: `Split::Train` or `Split::Test`.
    ///
    /// # Errors
    /// A table that isn't there or can't be read.
    fn part(&self, fold: usize, part: Split) -> Result<Part, DferError>;
}

fn read_folds<R: Reader>(
    reader: &R,
    numbers: &[usize],
    options: &DferOptions,
) -> Result<Vec<RawFold>, DferError> {
    let read = |number: &usize| {
        let mut train = reader.part(*number, Split::Train)?;
        let test = reader.part(*number, Split::Test)?;
        train.leave_to(&test);
        let rows = train.rows() + test.rows();
        let (train, mut skipped) = train.into_parts();
        let (test, skipped_in_test) = test.into_parts();
        skipped.extend(skipped_in_test);
        if skipped.len() as f64 > options.damage_limit * rows as f64 {
            return Err(DferError::Damaged {
                benchmark: R::BENCHMARK,
                fold: *number,
                rows,
                limit: options.damage_limit,
                skipped,
            });
        }
        for (part, samples) in [("training", &train), ("test", &test)] {
            if samples.is_empty() {
                let what = format!("{part} samples in fold {number}");
                return Err(missing(R::BENCHMARK, reader.root(), &what));
            }
        }
        Ok(RawFold {
            number: *number,
            train,
            test,
            skipped,
        })
    };
    numbers.iter().map(read).collect()
}

/// The error of a part that isn't there.
pub(super) fn missing(benchmark: Benchmark, root: &Path, what: &str) -> DferError {
    DferError::Missing {
        benchmark,
        root: root.to_owned(),
        missing: what.to_owned(),
    }
}
