//! The benchmark that a command works on.

use std::path::PathBuf;

use clap::ValueEnum;
use emotionclip::zero_shot::LabelSet;
use emotionclip_data::dfer::{
    Benchmark, DferDataset, DferError, DferOptions, LabelKind, descriptions, descriptions_from,
};
use serde::{Deserialize, Serialize};

use crate::failure::bad_input;
use crate::inputs::files::read_text;

/// Which benchmark and which of its parts.
#[derive(clap::Args, Clone, Debug)]
pub struct DatasetArgs {
    /// Benchmark: mafw, dfew, ferv39k or afew
    #[arg(long, value_name = "NAME")]
    dataset: Option<Benchmark>,
    /// Its folder; `trainer emoclip layout NAME` shows what it must hold
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Folder of the clips below the root, where it isn't one of those that `layout` shows
    #[arg(long, value_name = "DIR")]
    clips: Option<PathBuf>,
    /// Which labels; only MAFW has compound ones
    #[arg(long, value_enum, default_value_t = Labels::Single)]
    labels: Labels,
    /// Folds by number, from 1, with commas between; default: all
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    folds: Vec<usize>,
    /// Texts of the classes: a TOML table of lists, emotion = ["…"]; default: those of this project
    #[arg(long, value_name = "FILE.toml")]
    descriptions: Option<PathBuf>,
}

/// [`LabelKind`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Labels {
    Single,
    Compound,
}

/// [`DatasetArgs`], as a run keeps them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetConfig {
    /// Which benchmark.
    pub dataset: Benchmark,
    /// Its folder.
    pub root: PathBuf,
    /// Folder of the clips below it, where it is an unusual one.
    pub clips: Option<PathBuf>,
    /// Which labels.
    pub labels: LabelKind,
    /// Folds, from 1; empty for all.
    pub folds: Vec<usize>,
    /// File with the classes' texts; those of this project without one.
    pub descriptions: Option<PathBuf>,
}

/// A benchmark found on disk, and its classes in words.
#[derive(Debug)]
pub struct OpenDataset {
    /// Classes, folds, samples.
    pub dataset: DferDataset,
    /// One label a class, in the classes' order.
    pub texts: LabelSet,
    /// Rows of its tables that can't be used, over the opened folds.
    pub skipped: usize,
}

impl DatasetArgs {
    /// The options, checked for those that must be given.
    ///
    /// # Errors
    /// Bad input when the benchmark or its folder wasn't named.
    pub fn config(&self) -> anyhow::Result<DatasetConfig> {
        let dataset = self
            .dataset
            .ok_or_else(|| bad_input("--dataset: give mafw, dfew, ferv39k or afew"))?;
        let root = self.root.clone().ok_or_else(|| {
            bad_input(format!(
                "--root: give the folder of {dataset}, which comes from {}",
                dataset.home()
            ))
        })?;
        Ok(DatasetConfig {
            dataset,
            root,
            clips: self.clips.clone(),
            labels: match self.labels {
                Labels::Single => LabelKind::Single,
                Labels::Compound => LabelKind::Compound,
            },
            folds: self.folds.clone(),
            descriptions: self.descriptions.clone(),
        })
    }
}

impl DatasetConfig {
    /// Reads the tables and the texts, lists the clips, and warns about rows left out.
    ///
    /// # Errors
    /// Bad input for a folder, table or file of texts that isn't there or doesn't fit.
    pub fn open(&self) -> anyhow::Result<OpenDataset> {
        let fault = |error| data_fault(&error, Some(self.dataset));
        // The texts first: they cost nothing.
        let texts = match &self.descriptions {
            Some(path) => {
                let text = read_text(path)?;
                descriptions_from(self.dataset, &path.display().to_string(), &text)
            }
            None => descriptions(self.dataset),
        };
        let texts = texts.map_err(fault)?;
        let options = DferOptions {
            labels: self.labels,
            clips: self.clips.clone(),
            folds: self.folds.clone(),
            ..DferOptions::default()
        };
        let dataset = DferDataset::open(self.dataset, &self.root, &options).map_err(fault)?;
        let texts = dataset.describe(&texts).map_err(fault)?;
        let skipped = || dataset.folds().iter().flat_map(|fold| &fold.skipped);
        let count = skipped().count();
        if let Some(first) = skipped().next() {
            tracing::warn!("{count} rows can't be used and are left out, the first: {first}");
        }
        Ok(OpenDataset {
            skipped: count,
            texts,
            dataset,
        })
    }
}

/// A fault of the data on one line; the tree that some messages end with is a command away.
pub fn data_fault(error: &DferError, benchmark: Option<Benchmark>) -> anyhow::Error {
    let message = error.to_string();
    let Some((line, _)) = message.split_once('\n') else {
        return bad_input(message);
    };
    let line = line.trim_end_matches(':').trim_end_matches(". Its folder");
    bad_input(match benchmark {
        Some(benchmark) => format!(
            "{line}; `trainer emoclip layout {}` shows what it must hold",
            benchmark.slug()
        ),
        None => line.to_owned(),
    })
}
