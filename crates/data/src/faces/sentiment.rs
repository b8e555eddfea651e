//! The sentiment logits that come with an utterance: a classifier's, or its label's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use emotionclip::Emotion;
use serde::Deserialize;

use super::error::FaceError;

/// Probability that [`logits_of_label`] takes from the label and shares out among the other six.
pub const LABEL_SMOOTHING: f32 = 0.1;

/// Logits whose softmax gives the label 0.9 and each other emotion a sixth of 0.1: what stands in
/// for a classifier where none was asked.
pub fn logits_of_label(label: Emotion) -> [f32; Emotion::COUNT] {
    let mut logits = [(LABEL_SMOOTHING / (Emotion::COUNT - 1) as f32).ln(); Emotion::COUNT];
    logits[label.index()] = (1.0 - LABEL_SMOOTHING).ln();
    logits
}

/// Where utterances get their logits from.
pub(super) enum Sentiments {
    /// From their labels.
    Labels,
    /// From a classifier, by text.
    Classified(HashMap<String, [f32; Emotion::COUNT]>),
}

impl Sentiments {
    /// Reads a classifier's answers: lines of `{"text": "…", "logits": [7 numbers]}` in the order of
    /// [`Emotion::ALL`]; without files, the labels tell.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, FaceError> {
        if paths.is_empty() {
            return Ok(Self::Labels);
        }
        let mut table = HashMap::new();
        for path in paths {
            read_answers(path, &mut table)?;
        }
        Ok(Self::Classified(table))
    }

    /// The logits of an utterance; `None` where the classifier wasn't asked.
    pub(super) fn of(&self, text: &str, label: Emotion) -> Option<[f32; Emotion::COUNT]> {
        match self {
            Self::Labels => Some(logits_of_label(label)),
            Self::Classified(table) => table.get(text).copied(),
        }
    }
}

fn read_answers(
    path: &Path,
    table: &mut HashMap<String, [f32; Emotion::COUNT]>,
) -> Result<(), FaceError> {
    #[derive(Deserialize)]
    struct Line {
        text: String,
        logits: [f32; Emotion::COUNT],
    }
    let content = std::fs::read_to_string(path).map_err(|error| {
        FaceError::read(path, &error, "the JSON lines of a sentiment classifier")
    })?;
    for (number, line) in content.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let at = |reason: String| {
            let form = "each line is {\"text\": \"…\", \"logits\": [seven numbers]}";
            FaceError::content(path, format!("line {}: {reason}; {form}", number + 1))
        };
        let parsed: Line = serde_json::from_str(line).map_err(|error| at(error.to_string()))?;
        if parsed.logits.iter().any(|logit| !logit.is_finite()) {
            return Err(at("a logit is no finite number".to_owned()));
        }
        table.insert(parsed.text.trim().to_owned(), parsed.logits);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logits_of_a_label_are_a_distribution_with_the_stated_smoothing() {
        for emotion in Emotion::ALL {
            let probabilities = logits_of_label(emotion).map(f32::exp);
            let total: f32 = probabilities.iter().sum();
            assert!((total - 1.0).abs() < 1e-6, "{total}");
            let own = probabilities[emotion.index()];
            assert!((own - (1.0 - LABEL_SMOOTHING)).abs() < 1e-6, "{own}");
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logits.jsonl");
        let good = r#"{"text": "So. ", "logits": [1, 2, 3, 4, 5, 6, 7.5]}"#;
        std::fs::write(&path, format!("{good}\n\n")).unwrap();
        let read = Sentiments::read(std::slice::from_ref(&path)).unwrap();
        let logits = read.of("So.", Emotion::Joy).unwrap();
        assert_eq!(logits, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.5]);
        assert!(read.of("Other", Emotion::Joy).is_none());
        for bad in [
            r#"{"text": "So.", "logits": [1, 2]}"#,
            r#"{"logits": [1, 2, 3, 4, 5, 6, 7]}"#,
            r#"{"text": "So.", "logits": [1, 2, 3, 4, 5, 6, 1e60]}"#,
        ] {
            std::fs::write(&path, format!("{good}\n{bad}\n")).unwrap();
            let error = Sentiments::read(std::slice::from_ref(&path))
                .err()
                .unwrap()
                .to_string();
            assert!(error.contains("logits.jsonl: line 2: "), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
