//! Zero-shot classification: class names in words instead of a trained head.
//!
//! A class is one or several texts. Its vector is CLIP's prompt ensemble: the mean of the texts' unit
//! embeddings, scaled back to unit length. A clip's probabilities are the softmax of its cosines with
//! the classes' vectors, times the scale that the model learned.

mod error;
mod labels;

pub use error::LabelError;
pub use labels::{Label, LabelSet, PromptTemplate};

use burn::tensor::{Tensor, activation};

use crate::model::l2_normalize;
use crate::pretrained::Pretrained;

/// Texts encoded at once: enough to fill a device, few enough that a thousand labels of a full-size
/// model don't fill its memory.
const TEXT_BATCH: usize = 64;

/// A classifier made of words.
///
/// ```
/// use emotionclip::zero_shot::{LabelSet, PromptTemplate, ZeroShot};
/// use emotionclip::pretrained::{Pretrained, default_preprocess};
/// use emotionclip::EmotionClipConfig;
/// use burn::tensor::Device;
///
/// let config = EmotionClipConfig::nano();
/// let pretrained = Pretrained::new(config.init(&Device::flex())?, default_preprocess(&config))?;
/// let template: PromptTemplate = "a person feeling {label}".parse()?;
/// let labels = LabelSet::from_lines("joy\nsadness\n", &template)?;
/// let classifier = ZeroShot::new(&pretrained, &labels);
/// let probabilities = classifier.classify(pretrained.embed_texts(&["I am so glad!"]));
/// assert_eq!(probabilities.dims(), [1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ZeroShot {
    names: Vec<String>,
    classes: Tensor<2>,
    scale: Tensor<1>,
}

impl ZeroShot {
    /// Encodes the labels' texts once, on the model's device.
    pub fn new(pretrained: &Pretrained, labels: &LabelSet) -> Self {
        let texts: Vec<&str> = labels
            .labels()
            .iter()
            .flat_map(|label| label.texts.iter())
            .map(String::as_str)
            .collect();
        let embedded = texts
            .chunks(TEXT_BATCH)
            .map(|texts| pretrained.embed_texts(texts))
            .collect();
        let counts: Vec<usize> = labels
            .labels()
            .iter()
            .map(|label| label.texts.len())
            .collect();
        Self {
            names: labels
                .labels()
                .iter()
                .map(|label| label.name.clone())
                .collect(),
            classes: ensemble(Tensor::cat(embedded, 0), &counts),
            scale: pretrained.model.similarity_scale(),
        }
    }

    /// The classes' names, in the order of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The classes' unit vectors, `[C, E]`.
    pub fn class_embeddings(&self) -> Tensor<2> {
        self.classes.clone()
    }

    /// Cosines of unit embeddings `[N, E]` with the classes, `[N, C]` in [−1, 1].
    pub fn similarities(&self, embeddings: Tensor<2>) -> Tensor<2> {
        embeddings.matmul(self.classes.clone().transpose())
    }

    /// Probabilities of the classes for unit embeddings `[N, E]`: `[N, C]`, each row's sum 1.
    pub fn classify(&self, embeddings: Tensor<2>) -> Tensor<2> {
        let scale = self.scale.clone().unsqueeze_dim::<2>(0);
        activation::softmax(self.similarities(embeddings) * scale, 1)
    }
}

/// Means of consecutive runs of `counts` unit vectors `[N, E]`, of unit length again: `[C, E]`.
fn ensemble(embeddings: Tensor<2>, counts: &[usize]) -> Tensor<2> {
    let mut start = 0;
    let means = counts
        .iter()
        .map(|&count| {
            let mean = embeddings.clone().narrow(0, start, count).mean_dim(0);
            start += count;
            mean
        })
        .collect();
    l2_normalize(Tensor::cat(means, 0))
}

#[cfg(test)]
#[cfg(feature = "bundled-merges")]
mod tests {
    use super::*;
    use crate::config::EmotionClipConfig;
    use crate::pretrained::default_preprocess;
    use burn::tensor::Device;

    fn pretrained() -> Pretrained {
        let mut config = EmotionClipConfig::nano();
        config.text.layers = 1;
        config.vision.layers = 1;
        let model = config.init_seeded(1, &Device::flex()).unwrap();
        Pretrained::new(model, default_preprocess(&config)).unwrap()
    }

    fn labels(entries: &[(&str, &[&str])]) -> LabelSet {
        let entries = entries.iter().map(|(name, texts)| {
            (
                (*name).to_owned(),
                texts.iter().map(|text| (*text).to_owned()).collect(),
            )
        });
        LabelSet::new(entries.collect()).unwrap()
    }

    fn values(tensor: Tensor<2>) -> Vec<f32> {
        tensor.try_into_vec_as::<f32>().unwrap()
    }

    #[test]
    fn a_class_is_the_renormalised_mean_of_its_texts() {
        let device = Device::flex();
        let embeddings = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], &device);
        let classes = values(ensemble(embeddings, &[2, 1]));
        let half = 0.5_f32.sqrt();
        for (found, expected) in classes.iter().zip([half, half, 0.0, -1.0]) {
            // A mean, a norm and a division round a handful of times at 6e-8.
            assert!((found - expected).abs() < 1e-6, "{classes:?}");
        }
    }

    #[test]
    fn probabilities_are_the_softmax_of_scaled_cosines() {
        let pretrained = pretrained();
        let labels = labels(&[
            ("joy", &["I am happy!", "what a great day"]),
            ("fear", &["run!"]),
            ("anger", &["how dare you"]),
        ]);
        let classifier = ZeroShot::new(&pretrained, &labels);
        assert_eq!(classifier.names(), ["joy", "fear", "anger"]);
        let embeddings = pretrained.embed_texts(&["run!", "hello"]);
        let cosines = values(classifier.similarities(embeddings.clone()));
        let found = values(classifier.classify(embeddings));
        let scale = values(pretrained.model.similarity_scale().unsqueeze_dim(0))[0];
        for (found, cosines) in found.chunks(3).zip(cosines.chunks(3)) {
            let exponentials: Vec<f32> = cosines
                .iter()
                .map(|cosine| (scale * cosine).exp())
                .collect();
            let sum: f32 = exponentials.iter().sum();
            for (found, exponential) in found.iter().zip(exponentials) {
                // Logits of up to 14.3 are rounded to 1e-6, which their exponential inherits.
                assert!((found - exponential / sum).abs() < 1e-5);
            }
        }
        // A text's cosine with a class of that very text; the sum of 96 squares rounds to 1e-6.
        assert!((cosines[1] - 1.0).abs() < 1e-5, "{cosines:?}");
    }

    #[test]
    fn labels_beyond_one_batch_keep_their_order() {
        let pretrained = pretrained();
        let texts: Vec<String> = (0..TEXT_BATCH + 2)
            .map(|index| format!("label {index}"))
            .collect();
        let template = PromptTemplate::default();
        let labels = LabelSet::from_names(&texts, &template).unwrap();
        let classifier = ZeroShot::new(&pretrained, &labels);
        let last = pretrained.embed_texts(&texts[TEXT_BATCH + 1..]);
        let cosines = values(classifier.similarities(last));
        assert_eq!(cosines.len(), TEXT_BATCH + 2);
        assert!((cosines[TEXT_BATCH + 1] - 1.0).abs() < 1e-5);
    }
}
