//! What can be chosen about the tokenizer.

use serde::{Deserialize, Serialize};

use super::TokenizerError;

/// The number of merges in CLIP's vocabulary of 49408 ids.
pub const CLIP_MERGES: usize = 48_894;

/// Settings of a [`ClipTokenizer`](super::ClipTokenizer).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenizerConfig {
    /// How many merges to use, the first ones of the list; `None` uses all of them. A vocabulary
    /// of `V` ids has `V - 514` merges.
    pub merges: Option<usize>,
    /// How SOT and EOT are written inside a text.
    pub specials: SpecialTokens,
    /// Ids in an encoded text, SOT and EOT included.
    pub context_length: usize,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self {
            merges: None,
            specials: SpecialTokens::default(),
            context_length: 77,
        }
    }
}

impl TokenizerConfig {
    pub(super) fn validate(&self) -> Result<(), TokenizerError> {
        if self.context_length < 2 {
            return Err(TokenizerError::ContextTooShort {
                context_length: self.context_length,
            });
        }
        Ok(())
    }
}

/// The literals that stand for SOT and EOT when a text contains them. As in both references, a
/// literal counts only where a piece starts: glued to punctuation before it (`!<end_of_text>`)
/// it is ordinary text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpecialTokens {
    /// `<start_of_text>` and `<end_of_text>`: OpenCLIP and the EmotionCLIP release.
    #[default]
    OpenClip,
    /// `<|startoftext|>` and `<|endoftext|>`: OpenAI's CLIP, used by EmoCLIP.
    OpenAi,
}

impl SpecialTokens {
    /// The literal of SOT.
    pub fn start(self) -> &'static str {
        match self {
            Self::OpenClip => "<start_of_text>",
            Self::OpenAi => "<|startoftext|>",
        }
    }

    /// The literal of EOT.
    pub fn end(self) -> &'static str {
        match self {
            Self::OpenClip => "<end_of_text>",
            Self::OpenAi => "<|endoftext|>",
        }
    }
}

/// What happens to a text that is longer than the context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// The last id becomes EOT: OpenCLIP and OpenAI's CLIP.
    #[default]
    KeepEot,
    /// The ids are cut and EOT is lost, so that the text encoder, which reads its feature at the
    /// largest id, reads it at SOT: the EmotionCLIP release.
    Release,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_survives_json() {
        let config = TokenizerConfig {
            merges: Some(2000),
            specials: SpecialTokens::OpenAi,
            context_length: 32,
        };
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(
            json,
            r#"{"merges":2000,"specials":"open_ai","context_length":32}"#
        );
        assert_eq!(
            serde_json::from_str::<TokenizerConfig>(&json).unwrap(),
            config
        );
        assert_eq!(
            serde_json::to_string(&Truncation::KeepEot).unwrap(),
            r#""keep_eot""#
        );
    }

    #[test]
    fn missing_fields_take_their_defaults_and_unknown_ones_are_refused() {
        let config: TokenizerConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, TokenizerConfig::default());
        assert!(serde_json::from_str::<TokenizerConfig>(r#"{"merge":1}"#).is_err());
    }
}
