//! What can be chosen about the classifier.

use serde::{Deserialize, Serialize};

use crate::config::{Activation, ConfigError, TextConfig};

/// Which tokens a token sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextAttention {
    /// Itself and those before it, as in CLIP's text encoder.
    Causal,
    /// All tokens of the text.
    #[default]
    Bidirectional,
}

/// What of a text's tokens the head reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPooling {
    /// The end-of-text token, as CLIP's text encoder does.
    End,
    /// The mean over the tokens.
    Mean,
    /// The mean and, beside it, the largest value of each feature: one angry word among thirty
    /// calm ones is lost in a mean.
    #[default]
    MeanMax,
}

impl TextPooling {
    /// Features that the head reads, over the encoder's width.
    pub const fn features(self) -> usize {
        match self {
            Self::End | Self::Mean => 1,
            Self::MeanMax => 2,
        }
    }
}

/// How logits become probabilities, in the loss as in the predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// One distribution over the emotions. A text with several labels has its mass shared equally
    /// among them; the loss is the cross-entropy.
    #[default]
    Softmax,
    /// A probability for each emotion on its own; the loss is the binary cross-entropy.
    Sigmoid,
}

/// The architecture of a [`TextClassifier`](super::TextClassifier).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextClassifierConfig {
    /// The encoder: vocabulary, context, width, depth.
    pub text: TextConfig,
    /// Non-linearity of the feed-forward blocks.
    #[serde(default)]
    pub activation: Activation,
    /// Which tokens a token sees.
    #[serde(default)]
    pub attention: TextAttention,
    /// What the head reads.
    #[serde(default)]
    pub pooling: TextPooling,
    /// How logits become probabilities.
    #[serde(default)]
    pub objective: Objective,
    /// Dropout of the embedded tokens' features, in training only.
    pub embedding_dropout: f64,
    /// Dropout of what the head reads, in training only.
    pub head_dropout: f64,
}

impl TextClassifierConfig {
    /// The classifier that comes with `trainer`.
    pub fn small() -> Self {
        Self {
            text: TextConfig {
                context_length: 48,
                vocab_size: 514 + 20_000,
                width: 128,
                layers: 1,
                heads: 4,
            },
            activation: Activation::Gelu,
            attention: TextAttention::Bidirectional,
            pooling: TextPooling::MeanMax,
            objective: Objective::Softmax,
            embedding_dropout: 0.4,
            head_dropout: 0.5,
        }
    }

    /// Checks that the numbers describe a model.
    ///
    /// # Errors
    ///
    /// Names the first field that is zero, does not divide what it must, or lies outside its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let error = |field, problem: String| Err(ConfigError { field, problem });
        let TextConfig {
            context_length,
            vocab_size,
            width,
            heads,
            ..
        } = self.text;
        if width == 0 || heads == 0 {
            return error("text.width", "width and heads must be at least 1".into());
        }
        if !width.is_multiple_of(heads) {
            let problem = format!("{heads} must divide width ({width})");
            return error("text.heads", problem);
        }
        if context_length < 3 {
            return error("text.context_length", "must be at least 3".into());
        }
        if !(514..=49_408).contains(&vocab_size) {
            let problem = format!(
                "{vocab_size} must lie in 514..=49408 (512 bytes, at most 48894 merges, two specials)"
            );
            return error("text.vocab_size", problem);
        }
        for (field, dropout) in [
            ("embedding_dropout", self.embedding_dropout),
            ("head_dropout", self.head_dropout),
        ] {
            if !(0.0..1.0).contains(&dropout) {
                return error(field, format!("{dropout} must lie in [0, 1)"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_classifier_is_valid_and_impossible_ones_are_named() {
        let small = TextClassifierConfig::small();
        assert_eq!(small.validate(), Ok(()));
        type Fault = (&'static str, fn(&mut TextClassifierConfig));
        let faulty: [Fault; 6] = [
            ("text.width", |config| config.text.width = 0),
            ("text.heads", |config| config.text.heads = 5),
            ("text.context_length", |config| {
                config.text.context_length = 2;
            }),
            ("text.vocab_size", |config| config.text.vocab_size = 100),
            ("embedding_dropout", |config| config.embedding_dropout = 1.0),
            ("head_dropout", |config| config.head_dropout = f64::NAN),
        ];
        for (field, change) in faulty {
            let mut config = small.clone();
            change(&mut config);
            assert_eq!(config.validate().unwrap_err().field, field);
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        let mut value = serde_json::to_value(TextClassifierConfig::small()).unwrap();
        assert!(serde_json::from_value::<TextClassifierConfig>(value.clone()).is_ok());
        value["pool"] = "end".into();
        assert!(serde_json::from_value::<TextClassifierConfig>(value).is_err());
    }
}
