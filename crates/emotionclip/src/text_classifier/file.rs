//! A trained classifier as one file's bytes.
//!
//! | entry | content |
//! |---|---|
//! | tensors | the parameters, f32 or f16, under the keys of CLIP's text encoder and `head.*` |
//! | metadata `emotionclip_text_classifier` | JSON: `version` (1), `config`, `tokenizer`, `thresholds` (7 numbers) |

use std::collections::BTreeMap;

use burn::tensor::Device;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{TextClassifier, TextClassifierConfig, unmask};
use crate::checkpoint::{self, CheckpointError, write_safetensors};
use crate::config::ConfigError;
use crate::emotion::Emotion;
use crate::parameters::{Completeness, load_state_dict, to_state_dict};
use crate::pretrained::token_tensor;
use crate::tokenizer::{ClipTokenizer, TokenizerConfig, TokenizerError, Truncation};

/// Metadata key of everything but the tensors.
pub const METADATA_KEY: &str = "emotionclip_text_classifier";

/// Version of the layout written.
const VERSION: u32 = 1;

/// Texts a forward pass.
const BATCH: usize = 128;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    config: TextClassifierConfig,
    tokenizer: TokenizerConfig,
    thresholds: [f32; Emotion::COUNT],
}

/// A classifier with its tokenizer and decision thresholds.
#[derive(Clone, Debug)]
pub struct PretrainedTextClassifier {
    /// Encoder and head.
    pub model: TextClassifier,
    /// The tokenizer that the encoder was trained with.
    pub tokenizer: ClipTokenizer,
    /// An emotion is predicted where its probability is at least this; chosen on validation texts.
    pub thresholds: [f32; Emotion::COUNT],
}

/// Why a classifier's file can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextClassifierError {
    /// The tensors can't be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The tensors of a file don't fit the configuration in it.
    #[error("{file}: {error}")]
    Tensors {
        /// Name of the file.
        file: String,
        /// What does not fit.
        error: CheckpointError,
    },
    /// The file is a checkpoint of something else.
    #[error(
        "{file}: no text classifier: the metadata has no `{METADATA_KEY}`; give a file that \
         `trainer text-classifier train` wrote"
    )]
    NoConfig {
        /// Name of the file.
        file: String,
    },
    /// The metadata is not what this version writes.
    #[error("{file}: metadata `{METADATA_KEY}`: {problem}")]
    Metadata {
        /// Name of the file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The configuration describes no model.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tokenizer can't be built.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The device failed, or the weights overflow.
    #[error("{0}")]
    Compute(String),
}

impl PretrainedTextClassifier {
    /// Joins a model with the tokenizer that follows from its configuration. The thresholds are
    /// those of a model that nothing is known about: 0.5.
    ///
    /// # Errors
    ///
    /// If the tokenizer can't be built.
    #[cfg(feature = "bundled-merges")]
    pub fn new(model: TextClassifier) -> Result<Self, TextClassifierError> {
        let tokenizer = ClipTokenizer::new(tokenizer_config(model.config()))?;
        Ok(Self {
            model,
            tokenizer,
            thresholds: [0.5; Emotion::COUNT],
        })
    }

    /// Reads a file that [`to_bytes`](Self::to_bytes) or [`to_f16_bytes`](Self::to_f16_bytes)
    /// wrote. `name` is used in errors.
    ///
    /// # Errors
    ///
    /// If the file is damaged, is none of a text classifier, or its parts don't fit each other.
    #[cfg(feature = "bundled-merges")]
    pub fn from_bytes(
        bytes: impl Into<Bytes>,
        name: &str,
        device: &Device,
    ) -> Result<Self, TextClassifierError> {
        Self::from_bytes_with(bytes, name, device, ClipTokenizer::new)
    }

    /// As `from_bytes`, with a tokenizer that the caller makes from the settings in the file: for
    /// builds that carry no merges.
    ///
    /// # Errors
    ///
    /// If the file is damaged, is none of a text classifier, or its parts don't fit each other;
    /// what `tokenizer` returns.
    pub fn from_bytes_with(
        bytes: impl Into<Bytes>,
        name: &str,
        device: &Device,
        tokenizer: impl FnOnce(TokenizerConfig) -> Result<ClipTokenizer, TokenizerError>,
    ) -> Result<Self, TextClassifierError> {
        let bytes = bytes.into();
        // Read first: it checks the header that the metadata is then taken from.
        let tensors = checkpoint::read(bytes.clone(), name)?;
        let header = header(&bytes, name)?;
        let tokenizer = tokenizer(header.tokenizer.clone())?;
        let text = &header.config.text;
        let (ids, rows) = (tokenizer.vocab_size(), text.vocab_size);
        if ids != rows {
            let problem = format!("the tokenizer makes {ids} ids, the encoder has {rows}");
            return Err(fault(name, problem));
        }
        let (length, limit) = (tokenizer.config().context_length, text.context_length);
        if length > limit {
            let problem = format!("the tokenizer's context is {length}, the encoder's {limit}");
            return Err(fault(name, problem));
        }
        let model = header.config.init(0, device)?;
        let model = load_state_dict(model, &tensors, Completeness::Whole).map_err(|error| {
            TextClassifierError::Tensors {
                file: name.to_owned(),
                error,
            }
        })?;
        Ok(Self {
            model,
            tokenizer,
            thresholds: header.thresholds,
        })
    }

    /// The classifier as one safetensors file, f32.
    ///
    /// # Errors
    ///
    /// If the device fails to give a tensor back.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TextClassifierError> {
        Ok(write_safetensors(
            &to_state_dict(&self.model)?,
            &self.metadata(),
        ))
    }

    /// The classifier as one safetensors file with its matrices in f16 and its vectors in f32.
    ///
    /// # Errors
    ///
    /// If the device fails to give a tensor back.
    pub fn to_f16_bytes(&self) -> Result<Vec<u8>, TextClassifierError> {
        let mut state = to_state_dict(&self.model)?;
        for tensor in state.values_mut().filter(|tensor| tensor.shape().len() > 1) {
            // A weight beyond 65,504 stays as it is; the reader takes either.
            if let Some(half) = tensor.to_f16() {
                *tensor = half;
            }
        }
        Ok(write_safetensors(&state, &self.metadata()))
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let header = Header {
            version: VERSION,
            config: self.model.config().clone(),
            tokenizer: self.tokenizer.config().clone(),
            thresholds: self.thresholds,
        };
        // Numbers, strings and structs of them always have a JSON form.
        let header = serde_json::to_string(&header).unwrap_or_default();
        BTreeMap::from([(METADATA_KEY.to_owned(), header)])
    }

    /// The ids of a text as the encoder takes them, the masks of `GoEmotions` replaced by words.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(&unmask(text), Truncation::KeepEot)
    }

    /// Logits of each text in the order of [`Emotion::ALL`]: what the sentiment-guided loss takes.
    ///
    /// # Errors
    ///
    /// If the device fails, or the weights are such that a logit is not finite.
    pub fn logits<S: AsRef<str>>(
        &self,
        texts: &[S],
    ) -> Result<Vec<[f32; Emotion::COUNT]>, TextClassifierError> {
        let rows: Vec<Vec<u32>> = texts
            .iter()
            .map(|text| self.encode(text.as_ref()))
            .collect();
        self.logits_of_tokens(&rows)
    }

    /// As [`logits`](Self::logits), of token ids that [`encode`](Self::encode) made, with or without
    /// the padding behind them.
    ///
    /// # Errors
    ///
    /// If the device fails, or the weights are such that a logit is not finite.
    pub fn logits_of_tokens(
        &self,
        rows: &[Vec<u32>],
    ) -> Result<Vec<[f32; Emotion::COUNT]>, TextClassifierError> {
        let device = self.model.device();
        // Texts of like length together: a batch costs what its longest text does.
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|index| rows.get(*index).map_or(0, |row| used(row)));
        let mut logits = vec![[0.0; Emotion::COUNT]; rows.len()];
        for batch in order.chunks(BATCH) {
            let mut tokens: Vec<Vec<u32>> =
                batch.iter().map(|index| rows[*index].clone()).collect();
            pad(&mut tokens);
            let values = self
                .model
                .forward(token_tensor(&tokens, &device))
                .try_into_vec_as::<f32>()
                .map_err(|error| TextClassifierError::Compute(error.to_string()))?;
            let (values, _) = values.as_chunks::<{ Emotion::COUNT }>();
            for (index, row) in batch.iter().zip(values) {
                if row.iter().any(|value| !value.is_finite()) {
                    return Err(TextClassifierError::Compute(
                        "the text classifier gave a logit that is not finite; check its weights"
                            .to_owned(),
                    ));
                }
                logits[*index] = *row;
            }
        }
        Ok(logits)
    }

    /// Probabilities of one text's logits, by the objective that the classifier was trained for.
    pub fn probabilities(&self, logits: [f32; Emotion::COUNT]) -> [f32; Emotion::COUNT] {
        self.model.config().objective.probabilities(logits)
    }

    /// The emotions whose probability reaches their threshold; none, one or several.
    pub fn predicted(&self, logits: [f32; Emotion::COUNT]) -> Vec<Emotion> {
        let probabilities = self.probabilities(logits);
        Emotion::ALL
            .into_iter()
            .filter(|emotion| probabilities[emotion.index()] >= self.thresholds[emotion.index()])
            .collect()
    }
}

/// Ids of a row up to its end token.
fn used(row: &[u32]) -> usize {
    row.iter()
        .rposition(|id| *id != 0)
        .map_or(0, |last| last + 1)
}

/// Brings rows to one length with zeros behind them.
pub fn pad(rows: &mut [Vec<u32>]) {
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    for row in rows {
        row.resize(longest, 0);
    }
}

/// The tokenizer of a classifier: its vocabulary gives the number of merges.
pub fn tokenizer_config(config: &TextClassifierConfig) -> TokenizerConfig {
    TokenizerConfig {
        merges: Some(config.text.merges()),
        context_length: config.text.context_length,
        ..TokenizerConfig::default()
    }
}

fn fault(file: &str, problem: String) -> TextClassifierError {
    TextClassifierError::Metadata {
        file: file.to_owned(),
        problem,
    }
}

fn header(bytes: &[u8], name: &str) -> Result<Header, TextClassifierError> {
    let no_config = || TextClassifierError::NoConfig {
        file: name.to_owned(),
    };
    let (_, metadata) = safetensors::SafeTensors::read_metadata(bytes).map_err(|_| no_config())?;
    let entries = metadata.metadata().clone().unwrap_or_default();
    let text = entries.get(METADATA_KEY).ok_or_else(no_config)?;
    let wrong = |error: serde_json::Error| fault(name, error.to_string());
    let value: serde_json::Value = serde_json::from_str(text).map_err(wrong)?;
    let version = value.get("version").and_then(serde_json::Value::as_u64);
    if version != Some(u64::from(VERSION)) {
        let found = version.map_or_else(|| "missing".to_owned(), |version| version.to_string());
        let problem = format!("layout version {found}; this program reads version {VERSION}");
        return Err(fault(name, problem));
    }
    let header: Header = serde_json::from_value(value).map_err(wrong)?;
    if header.thresholds.iter().any(|value| !value.is_finite()) {
        return Err(fault(name, "a threshold is not finite".to_owned()));
    }
    Ok(header)
}

#[cfg(test)]
#[cfg(feature = "bundled-merges")]
mod tests {
    use super::*;

    fn classifier() -> PretrainedTextClassifier {
        let mut config = TextClassifierConfig::small();
        config.text.vocab_size = 514 + 300;
        config.text.width = 16;
        config.text.context_length = 16;
        let model = config.init(11, &Device::flex()).unwrap();
        let mut classifier = PretrainedTextClassifier::new(model).unwrap();
        classifier.thresholds[3] = 0.25;
        classifier
    }

    fn read(bytes: Vec<u8>) -> Result<PretrainedTextClassifier, TextClassifierError> {
        PretrainedTextClassifier::from_bytes(bytes, "sentiment.safetensors", &Device::flex())
    }

    const TEXTS: [&str; 3] = [
        "so glad!",
        "",
        "leave me alone, all of you, and never come back",
    ];

    #[test]
    fn a_file_gives_the_same_classifier_back() {
        let original = classifier();
        let again = read(original.to_bytes().unwrap()).unwrap();
        assert_eq!(again.to_bytes().unwrap(), original.to_bytes().unwrap());
        assert_eq!(again.thresholds, original.thresholds);
        assert_eq!(
            again.logits(&TEXTS).unwrap(),
            original.logits(&TEXTS).unwrap()
        );
    }

    #[test]
    fn half_precision_halves_the_file_and_keeps_the_logits() {
        let original = classifier();
        let (whole, half) = (
            original.to_bytes().unwrap(),
            original.to_f16_bytes().unwrap(),
        );
        assert!(
            half.len() * 10 < whole.len() * 6,
            "{} {}",
            half.len(),
            whole.len()
        );
        let again = read(half).unwrap();
        let pairs = again.logits(&TEXTS).unwrap();
        for (left, right) in pairs.iter().zip(original.logits(&TEXTS).unwrap()) {
            for (left, right) in left.iter().zip(right) {
                // 2⁻¹¹ of each weight, through few layers at logits of about 1.
                assert!((left - right).abs() < 5e-3, "{left} {right}");
            }
        }
    }

    #[test]
    fn texts_are_answered_in_their_order_whatever_their_lengths() {
        let classifier = classifier();
        let texts: Vec<String> = (0..150).map(|n| "word ".repeat(1 + (n * 7) % 12)).collect();
        let together = classifier.logits(&texts).unwrap();
        let trimmed: Vec<Vec<u32>> = texts
            .iter()
            .map(|text| classifier.encode(text))
            .map(|row| row[..used(&row)].to_vec())
            .collect();
        assert_eq!(classifier.logits_of_tokens(&trimmed).unwrap(), together);
        for index in [0, 1, 77, 149] {
            let alone = classifier.logits(&texts[index..=index]).unwrap()[0];
            for (left, right) in alone.iter().zip(together[index]) {
                assert!((left - right).abs() < 1e-5, "{index}");
            }
        }
    }

    #[test]
    fn masks_are_read_as_words() {
        let classifier = classifier();
        assert_eq!(
            classifier.encode("[NAME] left"),
            classifier.encode("someone left")
        );
    }

    #[test]
    fn an_emotion_is_predicted_from_its_threshold_on() {
        let mut classifier = classifier();
        let logits = [0.0, 0.0, 3.0, 3.0, 0.0, 0.0, 0.0];
        let probability = classifier.probabilities(logits)[3];
        classifier.thresholds = [0.9; 7];
        assert_eq!(classifier.predicted(logits), []);
        classifier.thresholds[3] = probability;
        assert_eq!(classifier.predicted(logits), [Emotion::Joy]);
    }

    #[test]
    fn what_is_no_classifier_is_refused_by_name() {
        let bytes = classifier().to_bytes().unwrap();
        let message = |bytes: Vec<u8>| read(bytes).unwrap_err().to_string();
        for length in [0, 7, 100, bytes.len() - 1] {
            assert!(message(bytes[..length].to_vec()).starts_with("sentiment.safetensors: "));
        }
        let state = to_state_dict(&classifier().model).unwrap();
        assert!(
            message(write_safetensors(&state, &BTreeMap::new())).contains("no text classifier")
        );
        let with = |from: &str, to: &str| {
            let mut metadata = classifier().metadata();
            let entry = metadata.get_mut(METADATA_KEY).unwrap();
            assert!(entry.contains(from), "{entry}");
            *entry = entry.replacen(from, to, 1);
            message(write_safetensors(&state, &metadata))
        };
        assert!(with("\"version\":1", "\"version\":2").contains("layout version 2"));
        assert!(with("\"heads\":4", "\"heads\":5").contains("text.heads"));
        assert!(with("\"vocab_size\":814", "\"vocab_size\":900").contains("makes 814 ids"));
        assert!(with("\"context_length\":16", "\"context_length\":8").contains("context is 16"));
        assert!(with("\"width\":16", "\"width\":32").contains("misshapen"));
        assert!(with("\"pooling\"", "\"pool\"").contains("pool"));
    }
}
