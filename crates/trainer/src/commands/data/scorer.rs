//! The frozen classifier that sentences are scored with.

use std::path::Path;
use std::sync::Mutex;

use burn::tensor::Device;
use bytes::Bytes;
use emotionclip::text_classifier::PretrainedTextClassifier;
use emotionclip::{Emotion, Pretrained};
use emotionclip_data::prepare::{SentenceScore, TextScorer};

use super::roberta;
use crate::failure::bad_input;
use crate::inputs::files::read_file;
use crate::models::builtin;

/// A classifier of our own; one text batch at a time, for the device is one.
pub struct OwnClassifier {
    classifier: Mutex<PretrainedTextClassifier>,
    identity: String,
}

/// Opens a classifier; the built-in one without a path.
///
/// # Errors
/// Bad input if the file is none.
pub fn open(path: Option<&Path>, device: &Device) -> anyhow::Result<Box<dyn TextScorer>> {
    if let Some(folder) = path.filter(|path| path.is_dir()) {
        return roberta::scorer(folder, device);
    }
    let (bytes, name) = match path {
        Some(path) => (Bytes::from(read_file(path)?), path.display().to_string()),
        None => (
            Bytes::from_static(builtin::TEXT_CLASSIFIER),
            "built-in text classifier".to_owned(),
        ),
    };
    let identity = Pretrained::hash(&bytes);
    let classifier = PretrainedTextClassifier::from_bytes(bytes, &name, device)
        .map_err(|error| bad_input(error.to_string()))?;
    Ok(Box::new(OwnClassifier {
        classifier: Mutex::new(classifier),
        identity,
    }))
}

impl TextScorer for OwnClassifier {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn score(&self, texts: &[&str]) -> Result<Vec<SentenceScore>, String> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let classifier = self.classifier.lock();
        let classifier = classifier.map_err(|_| "the classifier failed in another thread")?;
        let logits = classifier
            .logits(texts)
            .map_err(|error| error.to_string())?;
        let score = |logits: [f32; Emotion::COUNT]| SentenceScore {
            logits,
            neutral: classifier.probabilities(logits)[Emotion::Neutral.index()],
        };
        Ok(logits.into_iter().map(score).collect())
    }
}
