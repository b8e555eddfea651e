//! The classes in a model's space, and what clips are read as.

use burn::tensor::{Device, Tensor, TensorData};
use emotionclip::emoclip::{ClipWindow, EmoClip, PretrainedEmoClip};
use emotionclip::model::l2_normalize;
use emotionclip::pretrained::token_tensor;
use emotionclip::tokenizer::{ClipTokenizer, Truncation};
use emotionclip::zero_shot::LabelSet;
use emotionclip_data::dfer::DferSample;
use indicatif::ProgressBar;
use serde::Serialize;

use super::super::classification::argmax;
use super::clips::{self, Purpose, ahead, draws};
use crate::failure::OrBadInput as _;
use crate::models::read_back;

/// Texts encoded at once.
const TEXT_BATCH: usize = 64;

/// The texts of all classes as tokens, and how they are averaged.
#[derive(Clone, Debug, Serialize)]
pub struct ClassTexts {
    rows: Vec<Vec<u32>>,
    /// `[C, N]`: 1/n at each of a class's n texts.
    weights: Vec<f32>,
    classes: usize,
}

impl ClassTexts {
    /// Encodes the texts of a label set.
    pub fn new(tokenizer: &ClipTokenizer, labels: &LabelSet) -> Self {
        let texts = labels.labels().iter().flat_map(|label| &label.texts);
        let texts: Vec<&str> = texts.map(String::as_str).collect();
        let classes = labels.labels().len();
        let mut weights = vec![0.0; classes * texts.len()];
        let mut column = 0;
        for (row, label) in weights.chunks_exact_mut(texts.len()).zip(labels.labels()) {
            let count = label.texts.len();
            row[column..column + count].fill(1.0 / count as f32);
            column += count;
        }
        Self {
            rows: tokenizer.encode_batch(&texts, Truncation::KeepEot),
            weights,
            classes,
        }
    }

    /// The classes' unit vectors `[C, E]`: means of their texts' unit vectors, of unit length again.
    pub fn embed(&self, model: &EmoClip, device: &Device) -> Tensor<2> {
        let chunks = self.rows.chunks(TEXT_BATCH);
        let texts = chunks.map(|rows| l2_normalize(model.encode_text(token_tensor(rows, device))));
        let weights = TensorData::new(self.weights.clone(), [self.classes, self.rows.len()]);
        let weights = Tensor::<2>::from_data(weights, device);
        l2_normalize(weights.matmul(Tensor::cat(texts.collect(), 0)))
    }
}

/// The class that each clip is most similar to.
///
/// # Errors
/// Bad input for a clip that can't be read; weights that overflow; a failing device.
pub fn predict(
    model: &PretrainedEmoClip,
    classes: &Tensor<2>,
    samples: &[DferSample],
    window: ClipWindow,
    seed: u64,
    bar: &ProgressBar,
) -> anyhow::Result<Vec<usize>> {
    let mut predicted = Vec::with_capacity(samples.len());
    let read = |sample: usize| {
        let mut random = draws(seed, Purpose::Test { sample });
        clips::read(&samples[sample].path, window, &mut random)
    };
    ahead(0..samples.len(), read, |clip| {
        let path = || samples[predicted.len()].path.display().to_string();
        let embedded = model.embed_clips(&[clip]).or_bad_input(path())?;
        let row = read_back(embedded.matmul(classes.clone().transpose()))?;
        anyhow::ensure!(
            row.iter().all(|similarity| similarity.is_finite()),
            "{}: the model gave an embedding that is not finite; check its weights with `inspect`",
            path()
        );
        predicted.push(argmax(&row));
        bar.inc(1);
        Ok(())
    })?;
    Ok(predicted)
}
