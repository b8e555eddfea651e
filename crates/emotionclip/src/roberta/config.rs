//! `config.json` of a `RoBERTa` folder.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Largest of any length in a configuration; XLM-R's vocabulary has 250,002.
const LARGEST: usize = 1 << 20;

/// What a model classifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RobertaTask {
    /// Whole texts.
    Sequence,
    /// Each token.
    Token,
}

/// The architecture. Keys that don't concern inference are passed over: Hugging Face writes many.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RobertaConfig {
    /// `roberta` or `xlm-roberta`.
    pub model_type: String,
    /// The class that wrote the folder, which says the task.
    pub architectures: Vec<String>,
    /// Rows of the table of tokens.
    pub vocab_size: usize,
    /// Features a token.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads a layer.
    pub num_attention_heads: usize,
    /// Features inside a feed-forward.
    pub intermediate_size: usize,
    /// Activation of the feed-forward; `gelu` is the exact one.
    pub hidden_act: String,
    /// Rows of the table of positions, those before the first included.
    pub max_position_embeddings: usize,
    /// Rows of the table of token types, of which the first is used.
    pub type_vocab_size: usize,
    /// Added to the variance.
    pub layer_norm_eps: f64,
    /// Id of the padding; the first token's position is the next number.
    #[serde(default = "RobertaConfig::default_padding")]
    pub pad_token_id: u32,
    /// Names of the classes by their numbers as text.
    #[serde(default)]
    pub id2label: BTreeMap<String, String>,
}

impl RobertaConfig {
    fn default_padding() -> u32 {
        1
    }

    /// Checks that a model can be built.
    ///
    /// # Errors
    /// A message that names the key.
    pub fn validate(&self) -> Result<(), String> {
        if !matches!(self.model_type.as_str(), "roberta" | "xlm-roberta") {
            return Err(format!(
                "model_type: '{}' is not read; give a roberta or xlm-roberta folder",
                self.model_type
            ));
        }
        if self.hidden_act != "gelu" {
            return Err(format!(
                "hidden_act: '{}' is not read, only gelu",
                self.hidden_act
            ));
        }
        for (key, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ] {
            if !(1..=LARGEST).contains(&value) {
                return Err(format!("{key}: {value} is out of range"));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err("hidden_size: must be a multiple of num_attention_heads".to_owned());
        }
        if !(self.layer_norm_eps.is_finite() && self.layer_norm_eps > 0.0) {
            return Err("layer_norm_eps: must be a number above 0".to_owned());
        }
        // Two special tokens and at least one of a text.
        if self.longest() < 3 {
            return Err("max_position_embeddings: no room for a text".to_owned());
        }
        self.task()?;
        self.labels().map(|_| ())
    }

    /// What the model classifies.
    ///
    /// # Errors
    /// A message, for a model without a classifier.
    pub fn task(&self) -> Result<RobertaTask, String> {
        let ends = |suffix: &str| self.architectures.iter().any(|name| name.ends_with(suffix));
        if ends("ForSequenceClassification") {
            Ok(RobertaTask::Sequence)
        } else if ends("ForTokenClassification") {
            Ok(RobertaTask::Token)
        } else {
            let found = self.architectures.join(", ");
            Err(format!(
                "architectures: '{found}' classifies neither texts nor tokens"
            ))
        }
    }

    /// Names of the classes in the order of the logits.
    ///
    /// # Errors
    /// A message, if the numbers have a gap or there are none.
    pub fn labels(&self) -> Result<Vec<String>, String> {
        let names: Option<Vec<String>> = (0..self.id2label.len())
            .map(|number| self.id2label.get(&number.to_string()).cloned())
            .collect();
        names
            .filter(|names| !names.is_empty())
            .ok_or_else(|| "id2label: must name the classes 0, 1, 2 …".to_owned())
    }

    /// Tokens of a text at most, special ones included.
    pub fn longest(&self) -> usize {
        self.max_position_embeddings
            .saturating_sub(self.pad_token_id as usize + 1)
    }
}
