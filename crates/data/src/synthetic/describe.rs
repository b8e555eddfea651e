//! What a drawn scene looks like, in words without any emotion.

use super::SyntheticCorpus;
use super::draws::{Draws, Purpose};
use super::scene::{Figure, Scene};
use crate::description::{Facts, Seen, describe};

const NOUNS: [[&str; 2]; 3] = [
    ["figure", "figures"],
    ["person", "people"],
    ["doll", "dolls"],
];

/// In the order of [`Scene::background_kind`].
const BACKGROUNDS: [&str; 8] = [
    "a room",
    "hills",
    "wallpaper",
    "tiles",
    "a city",
    "a forest",
    "bubbles",
    "the sea",
];

impl SyntheticCorpus {
    /// What the scene of a sample looks like: how many figures stand where and how large, before
    /// what and in what light; with `moving` also how they drift. Made from the plan without its
    /// emotions, so it can't tell them, and it doesn't say who the subject is.
    pub fn description(&self, index: u64, moving: bool) -> String {
        let (seed, split) = (self.config().seed, self.split());
        let mut draws = Draws::new(seed, split, index, Purpose::Description);
        describe(&facts(&self.scene(index)), moving, &mut draws)
    }
}

fn facts(scene: &Scene) -> Facts {
    let seen = |figure: &Figure| Seen {
        middle: (
            figure.placement.x,
            figure.placement.base - 0.5 * figure.placement.height,
        ),
        side: figure.placement.height,
        drift: figure.motion.drift.0,
        growth: 0.0,
    };
    Facts {
        nouns: &NOUNS,
        seen: scene.figures().iter().map(seen).collect(),
        background: BACKGROUNDS.get(scene.background_kind()).copied(),
        brightness: [scene.light.brightness(); 2],
        redness: scene.light.redness(),
    }
}
