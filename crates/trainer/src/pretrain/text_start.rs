//! A text encoder that knows words before it meets pictures: those of the built-in text classifier.

use burn::tensor::Device;
use bytes::Bytes;
use emotionclip::checkpoint::{RawTensor, StateDict};
use emotionclip::parameters::to_state_dict;
use emotionclip::text_classifier::PretrainedTextClassifier;
use serde::{Deserialize, Serialize};

use crate::failure::{OrBadInput, bad_input};
use crate::models::builtin;

/// Key of the table with a row a token.
const TOKENS: &str = "token_embedding.weight";
/// The last rows of a table: start and end of text.
const SPECIALS: usize = 2;

/// How the text encoder starts when there is no `start_from`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextStart {
    /// From random parameters.
    #[default]
    Random,
    /// Token embeddings, positions and blocks from the built-in text classifier, as many as both
    /// have. A table of byte-pair merges begins with that of fewer merges, so tokens keep their
    /// meaning.
    Classifier,
}

/// Puts the classifier's parameters in place of the encoder's random ones.
///
/// # Errors
///
/// Bad input if the encoder has another width than the classifier, or more tokens.
pub fn from_classifier(tensors: &mut StateDict, device: &Device) -> anyhow::Result<()> {
    let bytes = Bytes::from_static(builtin::TEXT_CLASSIFIER);
    let classifier = PretrainedTextClassifier::from_bytes(bytes, "text classifier", device)?;
    for (name, known) in to_state_dict(&classifier.model)? {
        let own = |key: &&String| !key.contains("visual") && key.ends_with(&format!(".{name}"));
        let Some(key) = tensors.keys().find(own).cloned() else {
            continue;
        };
        let Some(fresh) = tensors.get(&key) else {
            continue;
        };
        let started = first_rows(&known, fresh.shape(), name == TOKENS)
            .ok_or_else(|| {
                bad_input(format!(
                    "text_start = \"classifier\": the classifier's {name} is {:?}, the encoder's \
                     {:?}; set model.text.width to the classifier's and take no more tokens, or \
                     leave text_start out",
                    known.shape(),
                    fresh.shape()
                ))
            })?
            .or_bad_input(&name)?;
        tensors.insert(key, started);
    }
    Ok(())
}

/// The first rows of a table, and with `specials` also its last ones as the last; nothing if the
/// shapes differ in more than that.
fn first_rows(
    known: &RawTensor,
    shape: &[usize],
    specials: bool,
) -> Option<Result<RawTensor, emotionclip::checkpoint::CheckpointError>> {
    if known.shape() == shape {
        return Some(Ok(known.clone()));
    }
    let (&[rows, width], &[wanted, wanted_width]) = (known.shape(), shape) else {
        return None;
    };
    if width != wanted_width || wanted > rows || wanted < SPECIALS {
        return None;
    }
    let values = known.to_f32();
    let tail = if specials { SPECIALS } else { 0 };
    let mut kept = values[..(wanted - tail) * width].to_vec();
    kept.extend_from_slice(&values[(rows - tail) * width..]);
    Some(RawTensor::from_f32(shape.to_vec(), &kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_table_keeps_the_first_tokens_and_the_specials() {
        let table: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let table = RawTensor::from_f32(vec![6, 2], &table).unwrap();
        let kept = first_rows(&table, &[4, 2], true).unwrap().unwrap();
        assert_eq!(kept.to_f32(), [0.0, 1.0, 2.0, 3.0, 8.0, 9.0, 10.0, 11.0]);
        let positions = first_rows(&table, &[2, 2], false).unwrap().unwrap();
        assert_eq!(positions.to_f32(), [0.0, 1.0, 2.0, 3.0]);
        assert!(first_rows(&table, &[7, 2], true).is_none());
        assert!(first_rows(&table, &[4, 3], true).is_none());
    }
}
