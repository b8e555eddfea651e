//! What the paper reports.

use emotionclip_data::benchmarks::ProbeDataset;
use emotionclip_data::synthetic::Split;
use serde::Serialize;

use super::Metric;

/// Where the published figures stand.
pub const PAPER: &str = "EmotionCLIP (Zhang, Pan, Wang, CVPR 2023)";

/// A published figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PublishedScore {
    /// On which part.
    pub part: Split,
    /// Which metric.
    pub metric: Metric,
    /// Its value; shares in `[0, 1]`.
    pub value: f64,
}

const fn figure(part: Split, metric: Metric, value: f64) -> PublishedScore {
    PublishedScore {
        part,
        metric,
        value,
    }
}

const BOLD: [PublishedScore; 3] = [
    figure(Split::Validation, Metric::MacroMap, 0.2251),
    figure(Split::Validation, Metric::MacroAuc, 0.6930),
    figure(Split::Validation, Metric::R2, 0.133),
];
const MOVIE_GRAPHS: [PublishedScore; 2] = [
    figure(Split::Validation, Metric::Top1HitRate, 0.4160),
    figure(Split::Test, Metric::Top1HitRate, 0.3235),
];
const MELD: [PublishedScore; 2] = [
    figure(Split::Test, Metric::Accuracy, 0.4828),
    figure(Split::Test, Metric::WeightedF1, 0.3459),
];
const EMOTIC: [PublishedScore; 2] = [
    figure(Split::Test, Metric::MacroMap, 0.3291),
    figure(Split::Test, Metric::MacroAuc, 0.7141),
];

/// The paper's figures for a set; none for LIRIS-ACCEDE, as their source isn't at hand.
pub const fn published(dataset: ProbeDataset) -> &'static [PublishedScore] {
    match dataset {
        ProbeDataset::Bold => &BOLD,
        ProbeDataset::MovieGraphs => &MOVIE_GRAPHS,
        ProbeDataset::Meld => &MELD,
        ProbeDataset::Emotic => &EMOTIC,
        ProbeDataset::LirisAccede => &[],
    }
}
