//! Word vectors that the token embeddings start from.
//!
//! Forty thousand comments are few to learn what words mean; vectors that were trained on billions of
//! words know it already. The format is that of GloVe and of word2vec's text files: a word and its
//! numbers a line, apart by spaces; word2vec's first line, of two counts, is passed over.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use emotionclip::checkpoint::RawTensor;
use emotionclip::parameters::{Completeness, load_state_dict, to_state_dict};
use emotionclip::text_classifier::PretrainedTextClassifier;
use emotionclip::tokenizer::ClipTokenizer;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::failure::{OrBadInput, bad_input};

const EMBEDDING: &str = "token_embedding.weight";

/// Factor that brings GloVe's numbers, of about 0.4, near those of a fresh encoder's layers.
const DEFAULT_SCALE: f32 = 0.25;

/// Where token embeddings start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorsConfig {
    /// The file.
    pub file: std::path::PathBuf,
    /// Factor on its numbers.
    #[serde(default = "default_scale")]
    pub scale: f32,
}

const fn default_scale() -> f32 {
    DEFAULT_SCALE
}

impl VectorsConfig {
    /// The vectors in `file` at the usual scale.
    pub fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            scale: DEFAULT_SCALE,
        }
    }
}

/// What was found in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Tokens of the vocabulary that are whole words with a vector.
    pub tokens: usize,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// Starts the embedding of every token that is a whole word with the word's vector, in its first
/// features; what the file doesn't know keeps its random start.
///
/// # Errors
/// Bad input for a file that can't be read, is none of word vectors, has wider ones than the
/// encoder, or knows no word of the vocabulary.
pub fn start_from(
    config: &VectorsConfig,
    classifier: &mut PretrainedTextClassifier,
) -> anyhow::Result<Found> {
    let name = config.file.display().to_string();
    let words = whole_words(&classifier.tokenizer);
    let width = classifier.model.config().text.width;
    let mut state = to_state_dict(&classifier.model)?;
    let Some(table) = state.get_mut(EMBEDDING) else {
        anyhow::bail!("the encoder has no {EMBEDDING}");
    };
    let mut values = table.to_f32();
    let mut hash = Sha256::new();
    let mut tokens = 0;
    let mut dimensions = None;
    let file = File::open(&config.file).or_bad_input(&name)?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).or_bad_input(&name)? == 0 {
            break;
        }
        hash.update(&line);
        let fault = |problem: String| bad_input(format!("{name}: line {number}: {problem}"));
        let text = std::str::from_utf8(&line).map_err(|_| fault("not UTF-8 text".to_owned()))?;
        let mut fields = text.trim_end().split(' ');
        let word = fields.next().unwrap_or_default();
        let count = fields.clone().count();
        if number == 1 && count == 1 {
            continue;
        }
        let expected = *dimensions.get_or_insert(count);
        if count != expected || count == 0 {
            return Err(fault(format!(
                "{count} numbers after the word instead of {}; give vectors in the format of GloVe",
                expected.max(1)
            )));
        }
        if count > width {
            return Err(fault(format!(
                "vectors of {count} numbers for an encoder of width {width}; give smaller ones or \
                 raise model.text.width"
            )));
        }
        let Some(token) = words.get(word) else {
            continue;
        };
        let row = &mut values[token * width..][..count];
        for (value, field) in row.iter_mut().zip(fields) {
            *value = field
                .parse::<f32>()
                .ok()
                .filter(|number| number.is_finite())
                .ok_or_else(|| fault(format!("'{field}' is no number")))?
                * config.scale;
        }
        tokens += 1;
    }
    if tokens == 0 {
        return Err(bad_input(format!(
            "{name}: no word of the vocabulary inside; give vectors of English words"
        )));
    }
    *table = RawTensor::from_f32(table.shape().to_vec(), &values)?;
    classifier.model = load_state_dict(classifier.model.clone(), &state, Completeness::Whole)?;
    Ok(Found {
        tokens,
        sha256: hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    })
}

/// The tokens that are a word on their own, by that word.
fn whole_words(tokenizer: &ClipTokenizer) -> HashMap<String, usize> {
    let words = (0..tokenizer.sot()).filter_map(|id| {
        // A token that ends a word is spelled with the space behind it.
        let spelled = tokenizer.decode(&[id]);
        let word = spelled.strip_suffix(' ')?;
        Some((word.to_owned(), id as usize))
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::BadInput;
    use burn::tensor::Device;
    use emotionclip::text_classifier::TextClassifierConfig;

    fn classifier() -> PretrainedTextClassifier {
        let mut config = TextClassifierConfig::small();
        config.text.vocab_size = 514 + 2000;
        config.text.width = 8;
        let model = config.init(1, &Device::flex()).unwrap();
        PretrainedTextClassifier::new(model).unwrap()
    }

    fn embedding(classifier: &PretrainedTextClassifier, word: &str) -> Vec<f32> {
        let ids = classifier.tokenizer.tokenize(word);
        assert_eq!(ids.len(), 1, "{word} is one token");
        let table = to_state_dict(&classifier.model).unwrap()[EMBEDDING].to_f32();
        table[8 * ids[0] as usize..][..8].to_vec()
    }

    #[test]
    fn words_of_the_vocabulary_start_from_their_vectors() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vectors.txt");
        std::fs::write(&file, "3 3\nhappy 1 2 -4\nqwertyuiop 9 9 9\n, 4 0 0\n").unwrap();
        let mut started = classifier();
        let before = embedding(&started, "happy");
        let other = embedding(&started, "the");
        let found = start_from(&VectorsConfig::new(&file), &mut started).unwrap();
        assert_eq!(found.tokens, 2);
        let after = embedding(&started, "happy");
        assert_eq!(after[..3], [0.25, 0.5, -1.0]);
        assert_eq!(after[3..], before[3..], "the rest stays random");
        assert_eq!(embedding(&started, ",")[..3], [1.0, 0.0, 0.0]);
        assert_eq!(embedding(&started, "the"), other);
    }

    #[test]
    fn files_of_something_else_are_refused_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vectors.txt");
        for (content, expected) in [
            ("happy 1 2\nsad 1\n", "line 2: 1 numbers"),
            ("happy 1 x\n", "line 1: 'x' is no number"),
            ("happy 1 inf\n", "'inf' is no number"),
            ("happy 1 2 3 4 5 6 7 8 9\n", "width 8"),
            ("qwertyuiop 1 2\n", "no word of the vocabulary"),
            ("", "no word of the vocabulary"),
            ("happy\n\n", "line 1: 0 numbers"),
        ] {
            std::fs::write(&file, content).unwrap();
            let error = start_from(&VectorsConfig::new(&file), &mut classifier()).unwrap_err();
            assert!(error.is::<BadInput>());
            let message = error.to_string();
            assert!(
                message.contains("vectors.txt") && message.contains(expected),
                "{message}"
            );
        }
    }
}
