//! Zero-shot accuracy on the synthetic corpus, during and after training.

use burn::tensor::Tensor;
use emotionclip::zero_shot::{LabelSet, ZeroShot};
use emotionclip::{Clip, Emotion, Pretrained};
use emotionclip_data::synthetic::{SyntheticCorpus, label_texts};

/// Clips embedded at once; bounds memory.
const BATCH: usize = 50;

/// The seven emotions by their committed label texts, encoded once.
///
/// # Errors
///
/// If the label file is broken, which a test of the data crate rules out.
pub fn emotion_labels(pretrained: &Pretrained) -> anyhow::Result<ZeroShot> {
    let labels = Emotion::ALL
        .iter()
        .zip(label_texts()?)
        .map(|(emotion, texts)| (emotion.name().to_owned(), texts.clone()))
        .collect();
    Ok(ZeroShot::new(pretrained, &LabelSet::new(labels)?))
}

/// Rows of seven values.
///
/// # Errors
///
/// If the device fails to give the tensor back.
pub fn rows_of_seven(values: Tensor<2>) -> anyhow::Result<Vec<[f32; Emotion::COUNT]>> {
    let values: Vec<f32> = values.try_into_vec_as::<f32>()?;
    Ok(values.as_chunks::<{ Emotion::COUNT }>().0.to_vec())
}

/// The emotion with the highest score.
pub fn argmax(scores: &[f32; Emotion::COUNT]) -> Emotion {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    Emotion::ALL[best]
}

/// Unit embeddings of the corpus's clips `0..count`, in batches; `tick` is called after each.
pub fn embed_corpus(
    pretrained: &Pretrained,
    corpus: &SyntheticCorpus,
    count: usize,
    tick: impl Fn(usize),
) -> anyhow::Result<Vec<Tensor<2>>> {
    let mut parts = Vec::new();
    for start in (0..count).step_by(BATCH) {
        let end = count.min(start + BATCH);
        let clips: Vec<Clip> = (start..end)
            .map(|index| corpus.sample(index as u64).clip)
            .collect();
        parts.push(pretrained.embed_clips(&clips)?);
        tick(end - start);
    }
    Ok(parts)
}

/// Truth and similarities of the corpus's clips `0..count`.
pub fn classify(
    pretrained: &Pretrained,
    corpus: &SyntheticCorpus,
    count: usize,
    tick: impl Fn(usize),
) -> anyhow::Result<Vec<(Emotion, [f32; 7])>> {
    let labels = emotion_labels(pretrained)?;
    let embeddings = Tensor::cat(embed_corpus(pretrained, corpus, count, tick)?, 0);
    let scores = rows_of_seven(labels.similarities(embeddings))?;
    let truth = (0..count).map(|index| corpus.scene(index as u64).emotion());
    Ok(truth.zip(scores).collect())
}

/// Share of right answers.
pub fn accuracy(readings: &[(Emotion, [f32; 7])]) -> f64 {
    let right = readings
        .iter()
        .filter(|(truth, scores)| argmax(scores) == *truth)
        .count();
    right as f64 / readings.len().max(1) as f64
}
