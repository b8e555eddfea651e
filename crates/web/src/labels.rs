//! The labels of the readings, each text encoded once and kept.

use std::collections::HashMap;

use emotionclip::Pretrained;
use emotionclip::card::LabelText;
use emotionclip::zero_shot::{LabelSet, ZeroShot};

use crate::SessionError;

/// The classes of the readings, on the host: a reading is a few hundred products, far less than
/// it costs to start a kernel for them.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    names: Vec<String>,
    /// Unit vectors, one a name.
    vectors: Vec<Vec<f32>>,
    /// Of all texts ever encoded with this model.
    known: HashMap<Vec<String>, Vec<f32>>,
    scale: f32,
}

impl Labels {
    /// Makes `labels` the classes; only texts that are new are encoded.
    ///
    /// # Errors
    /// No labels, an empty or repeated name, a label without text; a failing device. The labels
    /// stay as they were.
    pub async fn set(
        &mut self,
        pretrained: &Pretrained,
        labels: Vec<LabelText>,
    ) -> Result<(), SessionError> {
        let entries = labels.into_iter().map(|label| (label.name, label.texts));
        let set = LabelSet::new(entries.collect())?;
        let unknown: Vec<(String, Vec<String>)> = set
            .labels()
            .iter()
            .filter(|label| !self.known.contains_key(&label.texts))
            .map(|label| (label.name.clone(), label.texts.clone()))
            .collect();
        if !unknown.is_empty() {
            let texts: Vec<Vec<String>> = unknown.iter().map(|(_, texts)| texts.clone()).collect();
            let classifier = ZeroShot::new(pretrained, &LabelSet::new(unknown)?);
            let vectors = crate::session::read(classifier.class_embeddings()).await?;
            let width = vectors.len() / texts.len();
            for (texts, vector) in texts.into_iter().zip(vectors.chunks_exact(width)) {
                self.known.insert(texts, vector.to_vec());
            }
        }
        let scale = pretrained.model.similarity_scale().unsqueeze_dim::<2>(0);
        let scale = crate::session::read(scale).await?;
        self.scale = scale.first().copied().unwrap_or(1.0);
        self.names = set
            .labels()
            .iter()
            .map(|label| label.name.clone())
            .collect();
        self.vectors = set
            .labels()
            .iter()
            .filter_map(|label| self.known.get(&label.texts).cloned())
            .collect();
        Ok(())
    }

    /// Names in the order of the probabilities.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many different labels have been encoded.
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// Probabilities of the classes for a unit embedding: the softmax of its scaled cosines.
    pub fn classify(&self, embedding: &[f32]) -> Vec<f32> {
        let logits: Vec<f32> = self
            .vectors
            .iter()
            .map(|class| self.scale * dot(class, embedding))
            .collect();
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
        let total: f32 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / total).collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
