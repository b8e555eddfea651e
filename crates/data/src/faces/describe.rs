//! What a scene of faces looks like, in words without any emotion.

use super::config::FaceView;
use super::corpus::FaceCorpus;
use super::scene::{FaceScene, Purpose, SceneFace};
use crate::description::{Facts, Seen, describe};
use crate::synthetic::draws::Draws;

const NOUNS: [[&str; 2]; 3] = [["face", "faces"], ["person", "people"], ["head", "heads"]];

/// In the order of [`FaceScene::background_kind`].
const BACKGROUNDS: [&str; 6] = [
    "a smooth gradient",
    "soft clouds of colour",
    "a regular pattern",
    "shelves and frames",
    "lights in the dark",
    "a drawn place",
];

impl FaceCorpus {
    /// What the scene of a sample looks like: how many faces stand where and how large, before what
    /// and in what light; with `moving` also how they move and the light changes. Made from the
    /// plan without its emotions, so it can't tell them, and it doesn't say who the subject is.
    pub fn description(&self, index: u64, moving: bool) -> String {
        let purpose = Purpose::Description as u16;
        let mut draws = Draws::numbered(self.config().seed, self.split(), index, purpose, 0);
        let facts = facts(&self.scene(index), self.config().view_of(index));
        describe(&facts, moving, &mut draws)
    }
}

fn facts(scene: &FaceScene, view: FaceView) -> Facts {
    let [first, last] = &scene.light;
    // A face that fills the frame is drawn without surroundings, light or motion.
    let (background, still) = match view {
        FaceView::Single => (None, true),
        FaceView::Scenes => (BACKGROUNDS.get(scene.background_kind()).copied(), false),
    };
    let seen = |face: &SceneFace| Seen {
        middle: (face.placement.x, face.placement.y),
        side: face.placement.side,
        drift: if still { 0.0 } else { face.motion.drift.0 },
        growth: if still { 0.0 } else { face.motion.growth },
    };
    Facts {
        nouns: &NOUNS,
        seen: scene.faces().iter().map(seen).collect(),
        background,
        brightness: [first.brightness(), last.brightness()],
        redness: 0.5 * (first.redness() + last.redness()),
    }
}
