//! What the emotions are called where people talk as they do in GoEmotions.

use std::sync::LazyLock;

use super::error::FaceError;
use crate::synthetic::{LabelTexts, parse_per_emotion};

const LABELS: &str = include_str!("../../assets/faces/labels.toml");

static LABEL_TEXTS: LazyLock<Result<LabelTexts, String>> =
    LazyLock::new(|| parse_per_emotion(LABELS));

/// The zero-shot texts of every emotion, for models that learned from GoEmotions.
///
/// # Errors
///
/// When the embedded file is broken.
pub fn label_texts() -> Result<&'static LabelTexts, FaceError> {
    LABEL_TEXTS
        .as_ref()
        .map_err(|reason| FaceError::Labels(reason.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_emotion_has_texts() {
        assert!(label_texts().unwrap().iter().all(|texts| texts.len() >= 3));
    }
}
