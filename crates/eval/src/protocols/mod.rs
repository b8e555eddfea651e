//! The linear-probe protocols of the five benchmarks, as EmotionCLIP's release runs them.
//!
//! | set | probe | C | measured on | scores |
//! |---|---|---|---|---|
//! | BoLD | one-vs-rest; ridge for the values | 3.16 | validation | macro mAP, macro AUC; R² |
//! | MovieGraphs | one-vs-rest | 10 | validation, test | top-1 hit rate |
//! | MELD | multinomial | 8 | validation, test | accuracy, weighted F1 |
//! | EMOTIC | one-vs-rest | 2.5 | validation, test | macro mAP, macro AUC |
//! | LIRIS-ACCEDE | ridge, then Savitzky–Golay | – | test | mean squared error, Pearson |
//!
//! Features are scaled to norm 1. Solvers run to the optimum of scikit-learn's objective; the
//! release's own stops about 1e-4 short of it.

mod classes;
mod error;
mod outcome;
mod published;
mod systems;
mod values;

use emotionclip::probe::Features;
use emotionclip_data::benchmarks::ProbeDataset;
use emotionclip_data::synthetic::Split;

pub use error::ProtocolError;
pub use outcome::{ClassScore, FittedProbe, Metric, PartConfusion, ProtocolOutcome, ProtocolScore};
pub use published::{PAPER, PublishedScore, published};
pub use systems::{PublishedSystem, SystemScore, published_systems};

/// Features and truth of a part of a set.
#[derive(Clone, Debug)]
pub struct ProtocolPart<'a> {
    /// Which part.
    pub split: Split,
    /// `[N, E]`, of any norm.
    pub features: Features<'a>,
    /// Classes of each sample, `N` lists of indices in [`ProbeDataset::classes`].
    pub labels: Vec<Vec<usize>>,
    /// Numbers of each sample, `N` lists in the order of [`ProbeDataset::values`].
    pub values: Vec<Vec<f64>>,
}

/// Fits the protocol's probes on `train` and measures them on each of `held_out`.
///
/// # Errors
/// Labels or values that don't fit the set or the features; a problem without a solution (a single
/// class to train on); a metric without a value (no class with both positives and negatives, fewer
/// test seconds of LIRIS-ACCEDE than the smoothing's window).
pub fn evaluate(
    dataset: ProbeDataset,
    train: &ProtocolPart<'_>,
    held_out: &[ProtocolPart<'_>],
) -> Result<ProtocolOutcome, ProtocolError> {
    for part in core::iter::once(train).chain(held_out) {
        part.check(dataset)?;
    }
    let mut outcome = ProtocolOutcome::new(dataset);
    match dataset {
        ProbeDataset::Bold => {
            let probe = outcome.fit_one_vs_rest(train, 3.16)?;
            outcome.rank_classes(&probe, held_out)?;
            let values = outcome.fit_ridge(train)?;
            outcome.explain_values(&values, held_out)?;
        }
        ProbeDataset::MovieGraphs => {
            let probe = outcome.fit_one_vs_rest(train, 10.0)?;
            outcome.hit_labels(&probe, held_out)?;
        }
        ProbeDataset::Meld => {
            let probe = outcome.fit_multinomial(train, 8.0)?;
            outcome.classify(&probe, held_out)?;
        }
        ProbeDataset::Emotic => {
            let probe = outcome.fit_one_vs_rest(train, 2.5)?;
            outcome.rank_classes(&probe, held_out)?;
        }
        ProbeDataset::LirisAccede => {
            let values = outcome.fit_ridge(train)?;
            outcome.follow_films(&values, held_out)?;
        }
    }
    Ok(outcome)
}

impl ProtocolPart<'_> {
    /// Refuses lists that don't fit the set or the features.
    fn check(&self, dataset: ProbeDataset) -> Result<(), ProtocolError> {
        let samples = self.features.samples();
        for (what, found) in [("labels", self.labels.len()), ("values", self.values.len())] {
            if found != samples {
                return Err(ProtocolError::Length {
                    what,
                    expected: samples,
                    found,
                });
            }
        }
        let classes = dataset.classes().len();
        for (sample, labels) in self.labels.iter().enumerate() {
            if let Some(&label) = labels.iter().find(|label| **label >= classes) {
                return Err(ProtocolError::Label { sample, label });
            }
            if dataset == ProbeDataset::Meld && labels.len() != 1 {
                return Err(ProtocolError::OneLabel { sample });
            }
        }
        let numbers = dataset.values().len();
        let short = |values: &Vec<f64>| values.len() != numbers;
        match self.values.iter().position(short) {
            Some(sample) => Err(ProtocolError::Values { sample, numbers }),
            None => Ok(()),
        }
    }

    /// `[N, classes]`, whether each sample has each class.
    fn flags(&self, classes: usize) -> Vec<bool> {
        let row = |labels: &Vec<usize>| -> Vec<bool> {
            (0..classes).map(|class| labels.contains(&class)).collect()
        };
        self.labels.iter().flat_map(row).collect()
    }

    /// The one label of each sample; [`Self::check`] has seen that there is one.
    fn single_labels(&self) -> Vec<usize> {
        self.labels.iter().flatten().copied().collect()
    }

    /// One of the numbers of every sample.
    fn column(&self, output: usize) -> Vec<f64> {
        let value = |values: &Vec<f64>| values.get(output).copied().unwrap_or_default();
        self.values.iter().map(value).collect()
    }
}
