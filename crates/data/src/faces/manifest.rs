//! What a built corpus says about itself: counts, sources, terms, and the hash of every file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::synthetic::Split;

/// Name of the manifest in a corpus's folder.
pub const MANIFEST: &str = "manifest.toml";

/// Version of the corpus's files.
pub(super) const VERSION: u32 = 1;

/// What a built corpus holds and what it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the files' layout.
    pub version: u32,
    /// Seed of the order in which items are stored.
    pub seed: u64,
    /// Where the sentiment logits come from.
    pub sentiment: SentimentSource,
    /// Counts of every split: train, validation, test.
    pub splits: Vec<SplitCounts>,
    /// The data sets, with their terms.
    pub sources: Vec<Source>,
    /// What was left out and why.
    pub dropped: Vec<Dropped>,
    /// Every other file of the corpus by name.
    pub files: BTreeMap<String, FileEntry>,
}

impl Manifest {
    /// Reads the text of a manifest.
    ///
    /// # Errors
    ///
    /// What is wrong with it, on one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = toml::from_str(text)
            .map_err(|error| error.message().lines().collect::<Vec<_>>().join("; "))?;
        if manifest.version == VERSION {
            Ok(manifest)
        } else {
            Err(format!("version {} instead of {VERSION}", manifest.version))
        }
    }
}

/// Where the sentiment logits of the utterances come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "from", deny_unknown_fields)]
pub enum SentimentSource {
    /// From each utterance's label: no classifier was asked.
    Labels {
        /// Probability shared out among the other six emotions.
        smoothing: f32,
    },
    /// From a classifier's answers.
    Classifier {
        /// SHA-256 of the files of answers.
        sha256: Vec<String>,
    },
}

/// What a split holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitCounts {
    /// Which split.
    pub split: Split,
    /// Faces, all of them.
    pub faces: usize,
    /// Faces among them that only the measure of single faces uses.
    pub single_only: usize,
    /// Utterances.
    pub utterances: usize,
    /// Faces by emotion, without those of the single measure only.
    pub faces_by_emotion: BTreeMap<String, usize>,
    /// Utterances by emotion.
    pub utterances_by_emotion: BTreeMap<String, usize>,
}

/// A data set the corpus is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What it is and who made it.
    pub name: String,
    /// Under which terms it may be used.
    pub terms: String,
}

/// A number of items that were left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// `face` or `utterance`.
    pub what: String,
    /// From which split.
    pub split: Split,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: usize,
}

/// A file of the corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// The terms of FER2013 and GoEmotions.
pub(super) fn sources() -> Vec<Source> {
    let source = |name: &str, terms: &str| Source {
        name: name.to_owned(),
        terms: terms.to_owned(),
    };
    vec![
        source(
            "FER2013: Goodfellow et al., Challenges in Representation Learning, 2013",
            "for research; the pictures stay their owners'",
        ),
        source(
            "GoEmotions: Demszky et al., 2020, its labels grouped to Ekman's six and neutral",
            "Apache-2.0",
        ),
    ]
}
