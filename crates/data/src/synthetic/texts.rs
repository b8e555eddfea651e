//! What the figures say, what the labels are called, and how a sentiment model would score it.

use std::sync::LazyLock;

use emotionclip::Emotion;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::draws::mix;
use super::{Split, SyntheticError};

const UTTERANCES: &str = include_str!("../../assets/utterances.toml");
const LABELS: &str = include_str!("../../assets/labels.toml");

/// The zero-shot texts of every emotion, in the order of [`Emotion::ALL`].
pub type LabelTexts = [Vec<String>; Emotion::COUNT];

/// The utterances of one emotion.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spoken {
    train: Vec<String>,
    validation: Vec<String>,
    test: Vec<String>,
}

impl Spoken {
    fn of(&self, split: Split) -> &[String] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }
}

/// A file with one entry an emotion; one missing or one too many is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PerEmotion<T> {
    anger: T,
    disgust: T,
    fear: T,
    joy: T,
    neutral: T,
    sadness: T,
    surprise: T,
}

pub(crate) type Parsed<T> = Result<[T; Emotion::COUNT], String>;

static SPOKEN: LazyLock<Parsed<Spoken>> = LazyLock::new(|| parse(UTTERANCES));
static LABEL_TEXTS: LazyLock<Parsed<Vec<String>>> = LazyLock::new(|| parse(LABELS));

/// A TOML file with one entry an emotion, in the order of [`Emotion::ALL`].
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Parsed<T> {
    let PerEmotion {
        anger,
        disgust,
        fear,
        joy,
        neutral,
        sadness,
        surprise,
    } = toml::from_str(text).map_err(|error| error.to_string())?;
    Ok([anger, disgust, fear, joy, neutral, sadness, surprise])
}

/// Makes sure that both files can be read and that no list is empty.
pub(super) fn check() -> Result<(), SyntheticError> {
    let spoken = SPOKEN.as_ref().map_err(|reason| SyntheticError::Asset {
        file: "utterances.toml",
        reason: reason.clone(),
    })?;
    let empty = spoken
        .iter()
        .any(|one| Split::ALL.iter().any(|split| one.of(*split).is_empty()));
    if empty {
        return Err(SyntheticError::Asset {
            file: "utterances.toml",
            reason: "a list of utterances is empty".to_owned(),
        });
    }
    label_texts().map(|_| ())
}

/// The utterances of an emotion in a split. No utterance stands in two splits or two emotions.
///
/// Empty where the embedded file is broken, which [`SyntheticCorpus::new`] reports.
///
/// [`SyntheticCorpus::new`]: super::SyntheticCorpus::new
pub fn utterances(split: Split, emotion: Emotion) -> &'static [String] {
    SPOKEN
        .as_ref()
        .map_or(&[], |spoken| spoken[emotion.index()].of(split))
}

/// The zero-shot texts of every emotion.
///
/// # Errors
///
/// When the embedded file is broken.
pub fn label_texts() -> Result<&'static LabelTexts, SyntheticError> {
    LABEL_TEXTS
        .as_ref()
        .map_err(|reason| SyntheticError::Asset {
            file: "labels.toml",
            reason: reason.clone(),
        })
}

/// How a classifier that errs on an emotion spreads the rest of its belief: which emotions are
/// near. Rows and columns in the order of [`Emotion::ALL`]; only the ratios in a row count.
const CONFUSION: [[f32; Emotion::COUNT]; Emotion::COUNT] = [
    // anger: disgust first, then sadness and surprise
    [0.0, 5.0, 1.5, 0.3, 2.0, 2.0, 1.0],
    // disgust: anger first
    [5.0, 0.0, 1.5, 0.2, 2.0, 1.5, 1.5],
    // fear: surprise first, then sadness
    [1.0, 1.0, 0.0, 0.2, 1.5, 2.5, 4.0],
    // joy: surprise and neutral
    [0.2, 0.2, 0.3, 0.0, 3.0, 0.8, 4.0],
    // neutral: a little of everything
    [1.0, 1.0, 1.0, 1.5, 0.0, 1.5, 1.5],
    // sadness: neutral, fear and anger
    [1.5, 1.0, 2.0, 0.3, 3.0, 0.0, 0.6],
    // surprise: fear and joy
    [0.8, 1.0, 4.0, 3.0, 1.5, 0.5, 0.0],
];

/// Logits that a sentiment classifier could give an utterance of an emotion.
///
/// The softmax gives the emotion 0.80 to 0.98 and shares out the rest among its neighbours, each
/// share scaled by up to e^±0.8. The numbers are a function of the text, so an utterance has the
/// same logits wherever it is said.
pub fn sentiment_logits(text: &str, emotion: Emotion) -> [f32; Emotion::COUNT] {
    let mut state = text
        .bytes()
        .fold(mix(emotion.index() as u64), |state, byte| {
            mix(state ^ u64::from(byte))
        });
    let mut unit = || {
        state = mix(state);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let peak = 0.80 + 0.18 * unit();
    let own = emotion.index();
    let shares = CONFUSION[own].map(|share| share * (1.6 * unit() - 0.8).exp());
    let total: f32 = shares.iter().sum();
    let mut logits = shares.map(|share| ((1.0 - peak) * share / total).max(1e-6).ln());
    logits[own] = peak.ln();
    // A classifier's logits are centred, more or less.
    let mean = logits.iter().sum::<f32>() / Emotion::COUNT as f32;
    logits.map(|logit| logit - mean)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Lower case, words only.
    fn bare(text: &str) -> String {
        let kept = text
            .chars()
            .filter(|c| c.is_alphanumeric() || c.is_whitespace());
        let kept: String = kept.collect::<String>().to_lowercase();
        kept.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn no_utterance_occurs_twice() {
        let mut seen = HashMap::new();
        for split in Split::ALL {
            for emotion in Emotion::ALL {
                for text in utterances(split, emotion) {
                    if let Some(other) = seen.insert(bare(text), (split, emotion)) {
                        panic!("'{text}' of {split:?}/{emotion} stands in {other:?} too");
                    }
                }
            }
        }
    }

    #[test]
    fn there_are_enough_utterances_of_three_to_fourteen_words() {
        for emotion in Emotion::ALL {
            for (split, least) in Split::ALL.into_iter().zip([100, 12, 18]) {
                let texts = utterances(split, emotion);
                assert!(texts.len() >= least, "{emotion} {split:?}: {}", texts.len());
                for text in texts {
                    let words = text.split_whitespace().count();
                    assert!((3..=14).contains(&words), "{words} words: {text}");
                }
            }
        }
    }

    #[test]
    fn no_label_text_is_an_utterance() {
        let labels = label_texts().expect("the embedded file is well formed");
        let mut said = Vec::new();
        for split in Split::ALL {
            for emotion in Emotion::ALL {
                said.extend(utterances(split, emotion).iter().map(|text| bare(text)));
            }
        }
        for texts in labels {
            assert!(texts.len() >= 4);
            for text in texts {
                assert!(!said.contains(&bare(text)), "'{text}' is an utterance");
            }
        }
    }

    #[test]
    fn sentiment_peaks_at_the_emotion_and_is_a_function_of_the_text() {
        for split in Split::ALL {
            for emotion in Emotion::ALL {
                for text in utterances(split, emotion) {
                    let logits = sentiment_logits(text, emotion);
                    assert_eq!(logits, sentiment_logits(text, emotion));
                    let total: f32 = logits.iter().map(|logit| logit.exp()).sum();
                    let peak = logits[emotion.index()].exp() / total;
                    // The floor of 1e-6 a share takes at most 7e-6 from the peak.
                    assert!((0.799..0.981).contains(&peak), "{peak} for {text}");
                }
            }
        }
    }
}
