//! A folder's model with its tokenizer.

use burn::tensor::{Device, Int, Tensor, TensorData};
use bytes::Bytes;
use tokenizers::Tokenizer;

use super::config::{RobertaConfig, RobertaTask};
use super::error::RobertaError;
use super::model::RobertaClassifier;
use crate::checkpoint;
use crate::emotion::Emotion;
use crate::parameters::{Completeness, load_state_dict};

/// Tokens that a text is cut to for its logits: CLIP's context, as in the release.
pub const SENTIMENT_TOKENS: usize = 77;
/// Texts a forward pass.
const BATCH: usize = 32;
/// Words of a text without punctuation that are looked at together.
const WORDS: usize = 200;
/// Words on both sides of those that are looked at along with them: the first and the last of a run lack
/// what decides about them.
const MARGIN: usize = 15;

/// A classifier with its tokenizer.
#[derive(Clone, Debug)]
pub struct PretrainedRoberta {
    model: RobertaClassifier,
    tokenizer: Tokenizer,
    labels: Vec<String>,
}

/// What a token classifier says about a word.
pub type WordLabel = String;

impl PretrainedRoberta {
    /// Joins the files of a folder: `config.json`, `tokenizer.json` and the weights in any form that
    /// [`checkpoint::read`] takes. `name` is used in errors.
    ///
    /// # Errors
    /// If a file is damaged, describes no such model, or they don't fit each other.
    pub fn from_files(
        config: &[u8],
        tokenizer: &[u8],
        weights: impl Into<Bytes>,
        name: &str,
        device: &Device,
    ) -> Result<Self, RobertaError> {
        let file = name.to_owned();
        let config: RobertaConfig =
            serde_json::from_slice(config).map_err(|error| RobertaError::Config {
                file: file.clone(),
                problem: error.to_string(),
            })?;
        let of_config = |problem: String| RobertaError::Config {
            file: file.clone(),
            problem,
        };
        let of_tokenizer = |problem: String| RobertaError::Tokenizer {
            file: file.clone(),
            problem,
        };
        let of_weights = |error| RobertaError::Weights {
            file: file.clone(),
            error,
        };
        let model = config.init(0, device).map_err(of_config)?;
        let labels = config.labels().map_err(of_config)?;
        let mut tokenizer = Tokenizer::from_bytes(tokenizer).map_err(|error| {
            of_tokenizer(format!("{error}; give the one that belongs to the weights"))
        })?;
        // Lengths are decided here, not by what the file was saved with.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| of_tokenizer(error.to_string()))?;
        let ids = tokenizer.get_vocab_size(true);
        if ids > config.vocab_size {
            return Err(of_tokenizer(format!(
                "{ids} ids, the weights have {}",
                config.vocab_size
            )));
        }
        let tensors = checkpoint::read(weights, name).map_err(of_weights)?;
        let model = load_state_dict(model, &tensors, Completeness::Whole).map_err(of_weights)?;
        Ok(Self {
            model,
            tokenizer,
            labels,
        })
    }

    /// What the model classifies.
    pub fn task(&self) -> RobertaTask {
        // Checked when the model was built.
        self.config().task().unwrap_or(RobertaTask::Sequence)
    }

    /// Names of the classes in the order of the logits.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The architecture.
    pub fn config(&self) -> &RobertaConfig {
        self.model.encoder().config()
    }

    /// For each emotion in the order of [`Emotion::ALL`], the number of its class.
    ///
    /// # Errors
    /// If the classes are not the seven emotions, or it is no classifier of texts.
    pub fn emotion_classes(&self) -> Result<[usize; Emotion::COUNT], String> {
        let mut classes = [0; Emotion::COUNT];
        let is_whole = self.task() == RobertaTask::Sequence && self.labels.len() == Emotion::COUNT;
        for (class, emotion) in classes.iter_mut().zip(Emotion::ALL) {
            let found = self
                .labels
                .iter()
                .position(|label| label.eq_ignore_ascii_case(emotion.name()));
            *class = found.filter(|_| is_whole).ok_or_else(|| {
                let names = Emotion::ALL.map(Emotion::name).join(", ");
                format!(
                    "its classes are {}; give a classifier of texts with the classes {names}",
                    self.labels.join(", ")
                )
            })?;
        }
        Ok(classes)
    }

    /// Logits of each text, cut to `longest` tokens and to what the model has positions for.
    ///
    /// # Errors
    /// A text that the tokenizer refuses, a failing device, a logit that is not finite.
    pub fn logits(&self, texts: &[&str], longest: usize) -> Result<Vec<Vec<f32>>, RobertaError> {
        let rows: Vec<Vec<u32>> = texts
            .iter()
            .map(|text| {
                Ok(shortened(
                    self.encode(text)?.get_ids(),
                    longest.min(self.config().longest()),
                ))
            })
            .collect::<Result<_, RobertaError>>()?;
        let found = self.forward(&rows)?;
        Ok(found
            .into_iter()
            .filter_map(|mut rows| (!rows.is_empty()).then(|| rows.swap_remove(0)))
            .collect())
    }

    /// A label for each word of a text without punctuation: that of the word's last token.
    ///
    /// # Errors
    /// As [`PretrainedRoberta::logits`].
    pub fn word_labels(&self, words: &[&str]) -> Result<Vec<WordLabel>, RobertaError> {
        let mut labels = Vec::with_capacity(words.len());
        for start in (0..words.len()).step_by(WORDS) {
            let end = words.len().min(start + WORDS);
            let from = start.saturating_sub(MARGIN);
            let seen = words
                .get(from..words.len().min(end + MARGIN))
                .unwrap_or_default();
            let found = self.labels_of(seen)?;
            labels.extend(found.into_iter().skip(start - from).take(end - start));
        }
        Ok(labels)
    }

    fn labels_of(&self, words: &[&str]) -> Result<Vec<WordLabel>, RobertaError> {
        let text = words.join(" ");
        let encoding = self.encode(&text)?;
        let ids = shortened(encoding.get_ids(), self.config().longest());
        let count = ids.len();
        let logits = self.forward(&[ids])?.into_iter().next().unwrap_or_default();
        let class = |token: usize| {
            let row = logits.get(token)?;
            let best = row
                .iter()
                .enumerate()
                .max_by(|(_, a), (_, b)| a.total_cmp(b))?;
            self.labels.get(best.0).cloned()
        };
        let none = self.labels.first().cloned().unwrap_or_default();
        let mut end = 0;
        let mut labels = Vec::with_capacity(words.len());
        for word in words {
            end += word.len();
            // Offsets are bytes of the text. The last token behind a cut is the end mark.
            let covers = |token: &usize| {
                encoding
                    .get_offsets()
                    .get(*token)
                    .is_some_and(|(from, to)| *from < end && end <= *to)
            };
            let token = (0..count.saturating_sub(1)).rev().find(covers);
            labels.push(token.and_then(class).unwrap_or_else(|| none.clone()));
            end += 1;
        }
        Ok(labels)
    }

    fn encode(&self, text: &str) -> Result<tokenizers::Encoding, RobertaError> {
        self.tokenizer.encode(text, true).map_err(|error| {
            RobertaError::Compute(format!("the tokenizer refuses a text ({error})"))
        })
    }

    /// Logits of each row: one for a text, one a token for tokens.
    fn forward(&self, rows: &[Vec<u32>]) -> Result<Vec<Vec<Vec<f32>>>, RobertaError> {
        let device = self.model.device();
        // Texts of like length together: a batch costs what its longest text does.
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|index| rows.get(*index).map_or(0, Vec::len));
        let mut found = vec![Vec::new(); rows.len()];
        for batch in order.chunks(BATCH) {
            let chosen: Vec<&Vec<u32>> =
                batch.iter().filter_map(|index| rows.get(*index)).collect();
            let lengths: Vec<usize> = chosen.iter().map(|row| row.len()).collect();
            let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
            let ids: Vec<i32> = chosen
                .iter()
                .flat_map(|row| {
                    let padding = std::iter::repeat(&self.config().pad_token_id);
                    row.iter().chain(padding).take(longest).map(|id| *id as i32)
                })
                .collect();
            let data = TensorData::new(ids, [chosen.len(), longest]);
            let logits = self
                .model
                .forward(Tensor::<2, Int>::from_data(data, &device), &lengths);
            let [_, tokens, classes] = logits.dims();
            let values = logits
                .try_into_vec_as::<f32>()
                .map_err(|error| RobertaError::Compute(error.to_string()))?;
            if values.iter().any(|value| !value.is_finite()) {
                let problem = "the model gave a logit that is not finite; check its weights";
                return Err(RobertaError::Compute(problem.to_owned()));
            }
            for (index, part) in batch.iter().zip(values.chunks(tokens * classes)) {
                if let Some(slot) = found.get_mut(*index) {
                    *slot = part.chunks(classes).map(<[f32]>::to_vec).collect();
                }
            }
        }
        Ok(found)
    }
}

/// Ids cut to a length; the last one, the end mark, stays.
fn shortened(ids: &[u32], longest: usize) -> Vec<u32> {
    match ids.split_last() {
        Some((end, rest)) if ids.len() > longest => {
            let kept = rest.iter().take(longest.saturating_sub(1));
            kept.chain(std::iter::once(end)).copied().collect()
        }
        _ => ids.to_vec(),
    }
}
