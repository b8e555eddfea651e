//! What the corpus promises, checked on samples.

mod descriptions;
pub(crate) mod independence;
mod pictures;
mod sampling;

use super::*;

/// A small corpus: fast to draw, large enough to be seen.
fn corpus(split: Split, figures: FigureCount) -> SyntheticCorpus {
    let config = SyntheticConfig {
        figures,
        seed: 11,
        ..SyntheticConfig::default()
    };
    SyntheticCorpus::new(config, split).expect("the settings are in range")
}
