//! What must be known of a model before its readings are believed, and how it wants to be asked.

use serde::{Deserialize, Serialize};

use crate::emotion::Emotion;

/// Metadata key of a model file's card, JSON of [`ModelCard`]; a file need not have one.
pub const CARD_KEY: &str = "emotionclip_card";

/// What people and programs must know of a model that its tensors don't tell.
///
/// It travels with the model: in the metadata of a model file, and as `card.json` in a web bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelCard {
    /// Name for menus.
    pub name: String,
    /// What the model was trained on, as the end of the sentence "Trained on …".
    pub trained_on: String,
    /// What that means for its readings, one sentence.
    pub caution: String,
    /// Whether the model learned from faces that fill the frame: then it is shown the close-up of
    /// whoever is meant, not the whole picture with a mask.
    #[serde(default)]
    pub close_up: bool,
    /// Labels that suit the model, each with the texts that stand for it.
    pub labels: Vec<LabelText>,
}

/// A label and the texts that stand for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelText {
    /// Name in readings.
    pub name: String,
    /// At least one sentence.
    pub texts: Vec<String>,
}

impl LabelText {
    /// The seven emotions in a plain template, for a model that names no labels.
    pub fn emotions() -> Vec<Self> {
        let label = |emotion: Emotion| Self {
            name: emotion.to_string(),
            texts: vec![format!("a person feeling {emotion}")],
        };
        Emotion::ALL.into_iter().map(label).collect()
    }

    /// The seven emotions with the texts of each, in the order of [`Emotion::ALL`].
    pub fn of_emotions(texts: &[Vec<String>; Emotion::COUNT]) -> Vec<Self> {
        let label = |(emotion, texts): (Emotion, &Vec<String>)| Self {
            name: emotion.to_string(),
            texts: texts.clone(),
        };
        Emotion::ALL.into_iter().zip(texts).map(label).collect()
    }
}

impl ModelCard {
    /// The texts that stand for an emotion, if it is one of the labels.
    pub fn texts(&self, emotion: Emotion) -> Option<&[String]> {
        let found = self
            .labels
            .iter()
            .find(|label| label.name == emotion.name());
        found.map(|label| label.texts.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_emotion_and_unknown_fields_refused() {
        let mut texts = [const { Vec::new() }; Emotion::COUNT];
        texts[Emotion::Joy.index()] = vec!["so glad".to_owned()];
        let card = ModelCard {
            labels: LabelText::of_emotions(&texts),
            ..ModelCard::default()
        };
        assert_eq!(card.texts(Emotion::Joy), Some(&["so glad".to_owned()][..]));
        assert_eq!(ModelCard::default().texts(Emotion::Joy), None);
        let json = serde_json::to_string(&card).unwrap();
        assert_eq!(serde_json::from_str::<ModelCard>(&json).unwrap(), card);
        let unknown = json.replacen("\"name\"", "\"nickname\":\"\",\"name\"", 1);
        assert!(serde_json::from_str::<ModelCard>(&unknown).is_err());
    }
}
