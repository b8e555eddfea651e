//! What other systems report on the same sets, each from a source that was read.
//!
//! Figures on another footing are left out (scores that mix several metrics, other label sets), and so are
//! those for which no source was at hand.

use emotionclip_data::benchmarks::ProbeDataset;
use emotionclip_data::synthetic::Split;
use serde::Serialize;

use super::Metric;

/// A figure of another system.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SystemScore {
    /// Of which number, where the figure is of one alone.
    pub output: Option<&'static str>,
    /// Which metric.
    pub metric: Metric,
    /// Its value; shares in `[0, 1]`.
    pub value: f64,
}

/// What another system reports on a set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PublishedSystem {
    /// Its name.
    pub name: &'static str,
    /// When it was published.
    pub year: u16,
    /// What it is given.
    pub input: &'static str,
    /// On which part; `None` where the source doesn't say.
    pub part: Option<Split>,
    /// The figures.
    pub scores: &'static [SystemScore],
    /// Where they were read.
    pub source: &'static str,
}

const fn score(metric: Metric, value: f64) -> SystemScore {
    SystemScore {
        output: None,
        metric,
        value,
    }
}

const fn of(output: &'static str, metric: Metric, value: f64) -> SystemScore {
    SystemScore {
        output: Some(output),
        metric,
        value,
    }
}

const BOLD: [PublishedSystem; 2] = [
    PublishedSystem {
        name: "Pikoulis et al.",
        year: 2021,
        input: "bodies and context",
        part: None,
        scores: &[
            score(Metric::MacroMap, 0.1929),
            score(Metric::MacroAuc, 0.6682),
        ],
        source: LEADERBOARD,
    },
    PublishedSystem {
        name: "Pikoulis et al.",
        year: 2021,
        input: "bodies and context",
        part: Some(Split::Test),
        scores: &[score(Metric::R2, 0.1597)],
        source: "leaderboard (wizwand)",
    },
];

const MELD: [PublishedSystem; 5] = [
    PublishedSystem {
        name: "FacialMMT, faces alone",
        year: 2023,
        input: "faces",
        part: Some(Split::Test),
        scores: &[score(Metric::WeightedF1, 0.3653)],
        source: "its repository, NUSTM/FacialMMT (a model trained again)",
    },
    PublishedSystem {
        name: "FacialMMT-RoBERTa",
        year: 2023,
        input: "words, sound, faces",
        part: Some(Split::Test),
        scores: &[score(Metric::WeightedF1, 0.6673)],
        source: "its repository, NUSTM/FacialMMT (a model trained again)",
    },
    PublishedSystem {
        name: "MM-DFN",
        year: 2022,
        input: "words, sound, pictures",
        part: Some(Split::Test),
        scores: &[
            score(Metric::Accuracy, 0.6249),
            score(Metric::WeightedF1, 0.5946),
        ],
        source: "its repository, zerohd4869/MM-DFN",
    },
    PublishedSystem {
        name: "MMGCN",
        year: 2021,
        input: "words, sound, pictures",
        part: Some(Split::Test),
        scores: &[score(Metric::WeightedF1, 0.5865)],
        source: "leaderboard (wizwand)",
    },
    PublishedSystem {
        name: "COSMIC",
        year: 2020,
        input: "words",
        part: Some(Split::Test),
        scores: &[score(Metric::WeightedF1, 0.6521)],
        source: "its authors' repository, declare-lab/conv-emotion",
    },
];

const LEADERBOARD: &str = "leaderboard (Papers With Code)";

const fn on_emotic(
    name: &'static str,
    year: u16,
    input: &'static str,
    map: &'static [SystemScore; 1],
    source: &'static str,
) -> PublishedSystem {
    PublishedSystem {
        name,
        year,
        input,
        part: None,
        scores: map,
        source,
    }
}

const EMOTIC: [PublishedSystem; 4] = [
    on_emotic(
        "EmotiCon (depth)",
        2020,
        "faces, gait, context, distances",
        &[score(Metric::MacroMap, 0.3548)],
        "its abstract, arXiv 2003.06692",
    ),
    on_emotic(
        "EmotiCon (GCN)",
        2020,
        "faces, gait, context, who is there",
        &[score(Metric::MacroMap, 0.3203)],
        LEADERBOARD,
    ),
    on_emotic(
        "Kosti et al., fusion",
        2020,
        "body and picture",
        &[score(Metric::MacroMap, 0.2738)],
        LEADERBOARD,
    ),
    on_emotic(
        "CAER-Net",
        2019,
        "face and picture",
        &[score(Metric::MacroMap, 0.2084)],
        LEADERBOARD,
    ),
];

/// Second-hand: notes that cite Tables 1 and 5 of arXiv 1909.01763.
const MEDIAEVAL: &str = "second-hand, after arXiv 1909.01763 (MediaEval 2018)";

/// Mean squared error and correlation of valence and of arousal.
const fn both(valence: [f64; 2], arousal: [f64; 2]) -> [SystemScore; 4] {
    [
        of("valence", Metric::Mse, valence[0]),
        of("valence", Metric::Pearson, valence[1]),
        of("arousal", Metric::Mse, arousal[0]),
        of("arousal", Metric::Pearson, arousal[1]),
    ]
}

const fn at_mediaeval(
    name: &'static str,
    year: u16,
    scores: &'static [SystemScore; 4],
) -> PublishedSystem {
    PublishedSystem {
        name,
        year,
        input: "pictures and sound",
        part: Some(Split::Test),
        scores,
        source: MEDIAEVAL,
    }
}

const LIRIS_ACCEDE: [PublishedSystem; 7] = [
    at_mediaeval("Ou et al.", 2019, &both([0.071, 0.444], [0.137, 0.419])),
    at_mediaeval("GLA", 2018, &both([0.084, 0.278], [0.133, 0.351])),
    at_mediaeval(
        "Yi, Wang and Li",
        2018,
        &both([0.090, 0.301], [0.136, 0.175]),
    ),
    at_mediaeval("THUHCSI", 2018, &both([0.092, 0.305], [0.140, 0.087])),
    at_mediaeval("Ko et al.", 2018, &both([0.102, 0.114], [0.149, 0.083])),
    at_mediaeval("Quan et al.", 2018, &both([0.115, 0.146], [0.171, 0.091])),
    at_mediaeval("CERTH-ITI", 2018, &both([0.117, 0.098], [0.138, 0.054])),
];

/// Other systems on a set, as far as figures of the same metrics were found.
pub const fn published_systems(dataset: ProbeDataset) -> &'static [PublishedSystem] {
    match dataset {
        ProbeDataset::Bold => &BOLD,
        ProbeDataset::MovieGraphs => &[],
        ProbeDataset::Meld => &MELD,
        ProbeDataset::Emotic => &EMOTIC,
        ProbeDataset::LirisAccede => &LIRIS_ACCEDE,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn figures_are_of_metrics_that_the_protocol_measures_and_within_their_range() {
        for dataset in ProbeDataset::ALL {
            for system in published_systems(dataset) {
                let metrics: BTreeSet<&str> =
                    system.scores.iter().map(|one| one.metric.slug()).collect();
                let measured: &[Metric] = match dataset {
                    ProbeDataset::Bold => &[Metric::MacroMap, Metric::MacroAuc, Metric::R2],
                    ProbeDataset::MovieGraphs => &[Metric::Top1HitRate],
                    ProbeDataset::Meld => &[Metric::Accuracy, Metric::WeightedF1],
                    ProbeDataset::Emotic => &[Metric::MacroMap, Metric::MacroAuc],
                    ProbeDataset::LirisAccede => &[Metric::Mse, Metric::Pearson],
                };
                let measured: BTreeSet<&str> = measured.iter().map(|one| one.slug()).collect();
                assert!(metrics.is_subset(&measured), "{}", system.name);
                for one in system.scores {
                    assert!((0.0..1.0).contains(&one.value), "{}", system.name);
                    let outputs = dataset.values();
                    assert!(one.output.is_none_or(|name| outputs.contains(&name)));
                }
            }
        }
    }
}
