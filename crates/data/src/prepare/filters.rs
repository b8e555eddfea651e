//! Which sentences become clips.

use serde::{Deserialize, Serialize};

/// The release's filters, as settings. All are strict where the release's are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IndexFilters {
    /// Seconds that a sentence must be longer than.
    pub longer_than_secs: f64,
    /// Seconds that a sentence must be shorter than.
    pub shorter_than_secs: f64,
    /// Frames that a clip needs.
    pub min_frames: usize,
    /// Characters that a sentence needs.
    pub min_characters: usize,
    /// Highest neutral score.
    pub max_neutral: f64,
    /// Smallest share of frames with somebody in them.
    pub min_has_person: f64,
    /// Score that a box must exceed to count as somebody.
    pub person_score: f32,
    /// Largest distance in bits at which a frame counts as one of an evaluation set's.
    pub max_hash_distance: u32,
}

impl Default for IndexFilters {
    /// Recipe of the paper's release: 2 s < duration < 10 s, at least 8 frames, 3 characters, a neutral
    /// score of at most 0.05, people or not.
    fn default() -> Self {
        Self {
            longer_than_secs: 2.0,
            shorter_than_secs: 10.0,
            min_frames: 8,
            min_characters: 3,
            max_neutral: 0.05,
            min_has_person: 0.0,
            person_score: 0.0,
            max_hash_distance: 4,
        }
    }
}

/// Why a sentence becomes no clip. One that has several reasons counts under the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// Its video stands in an evaluation set, by its id.
    EvaluationVideo,
    /// Its frames look like some of an evaluation set.
    EvaluationFrames,
    /// It is not long enough.
    TooShort,
    /// It is too long.
    TooLong,
    /// It has too few frames.
    TooFewFrames,
    /// Some of its frames don't exist: the captions are longer than the video.
    FramesMissing,
    /// It has too few characters.
    TextTooShort,
    /// It sounds neutral.
    Neutral,
    /// Too few of its frames show somebody.
    NobodyThere,
    /// The same words were said at the same time of the same video before.
    Repeated,
}

impl DropReason {
    /// The reason for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::EvaluationVideo => "the video stands in an evaluation set (by id)",
            Self::EvaluationFrames => "frames look like an evaluation set's (by perceptual hash)",
            Self::TooShort => "too short",
            Self::TooLong => "too long",
            Self::TooFewFrames => "too few frames",
            Self::FramesMissing => "frames missing: the captions outlast the video",
            Self::TextTooShort => "too few characters",
            Self::Neutral => "neutral",
            Self::NobodyThere => "nobody there",
            Self::Repeated => "repeated",
        }
    }
}
