//! Sharing out a split's faces, so that two trainings meet different people.

use serde::{Deserialize, Serialize};

/// One face in this many is set aside.
const SET_ASIDE: usize = 4;

/// Which of a split's faces stand in scenes. Every emotion's faces are shared out alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FacePart {
    /// All of them.
    #[default]
    All,
    /// One in four, set aside for a training that must not meet the others.
    SetAside,
    /// Those that aren't set aside.
    Rest,
}

impl FacePart {
    /// Whether the face at a place in its emotion's list belongs to the part.
    pub(super) const fn takes(self, place: usize) -> bool {
        match self {
            Self::All => true,
            Self::SetAside => place.is_multiple_of(SET_ASIDE),
            Self::Rest => !place.is_multiple_of(SET_ASIDE),
        }
    }
}
