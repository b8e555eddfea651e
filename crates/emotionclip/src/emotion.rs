//! The seven emotions of the frozen sentiment model, in the order of its logits.
//!
//! The order is that of `j-hartmann/emotion-english-distilroberta-base`, whose logits guide the
//! loss in the authors' release, so a `[f32; 7]` of sentiment logits can be indexed by
//! [`Emotion::index`].

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of Ekman's six basic emotions or neutral.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Emotion {
    /// Anger, index 0.
    Anger,
    /// Disgust, index 1.
    Disgust,
    /// Fear, index 2.
    Fear,
    /// Joy, index 3.
    Joy,
    /// No marked emotion, index 4.
    Neutral,
    /// Sadness, index 5.
    Sadness,
    /// Surprise, index 6.
    Surprise,
}

impl Emotion {
    /// How many emotions there are, and so the length of a sentiment logit vector.
    pub const COUNT: usize = 7;

    /// All emotions in the order of the sentiment logits.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Anger,
        Self::Disgust,
        Self::Fear,
        Self::Joy,
        Self::Neutral,
        Self::Sadness,
        Self::Surprise,
    ];

    /// Position of this emotion in a vector of sentiment logits, `0..7`.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Lower-case English name, as in label files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anger => "anger",
            Self::Disgust => "disgust",
            Self::Fear => "fear",
            Self::Joy => "joy",
            Self::Neutral => "neutral",
            Self::Sadness => "sadness",
            Self::Surprise => "surprise",
        }
    }
}

impl fmt::Display for Emotion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// The name given is not one of the seven emotions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no emotion; use anger, disgust, fear, joy, neutral, sadness or surprise")]
pub struct UnknownEmotion(pub String);

impl FromStr for Emotion {
    type Err = UnknownEmotion;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|emotion| emotion.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownEmotion(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indices_round_trip() {
        for (index, emotion) in Emotion::ALL.into_iter().enumerate() {
            assert_eq!(emotion.index(), index);
            assert_eq!(emotion.name().parse(), Ok(emotion));
        }
        assert!("happiness".parse::<Emotion>().is_err());
    }
}
