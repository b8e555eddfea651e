//! Zero-shot accuracy on a corpus of pairs, during and after training.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData};
use emotionclip::model::l2_normalize;
use emotionclip::preprocess::Crops;
use emotionclip::zero_shot::{LabelSet, ZeroShot};
use emotionclip::{Clip, Emotion, Pretrained};
use emotionclip_data::pairs::PairedCorpus;
use emotionclip_data::synthetic::LabelTexts;

/// Clips embedded at once; bounds memory.
const BATCH: usize = 50;

/// The seven emotions by their label texts, encoded once.
///
/// # Errors
///
/// If an emotion has no text.
pub fn emotion_labels(pretrained: &Pretrained, texts: &LabelTexts) -> anyhow::Result<ZeroShot> {
    let labels = Emotion::ALL
        .iter()
        .zip(texts)
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
    corpus: &dyn PairedCorpus,
    count: usize,
    tick: impl Fn(usize),
) -> anyhow::Result<Vec<Tensor<2>>> {
    let mut parts = Vec::new();
    for start in (0..count).step_by(BATCH) {
        let end = count.min(start + BATCH);
        let clips: Vec<Clip> = (start..end)
            .map(|index| Ok(corpus.pair(index as u64)?.clip))
            .collect::<anyhow::Result<_>>()?;
        parts.push(pretrained.embed_clips(&clips)?);
        tick(end - start);
    }
    Ok(parts)
}

/// Truth and similarities of the corpus's clips `0..count`.
pub fn classify(
    pretrained: &Pretrained,
    texts: &LabelTexts,
    corpus: &dyn PairedCorpus,
    count: usize,
    tick: impl Fn(usize),
) -> anyhow::Result<Vec<(Emotion, [f32; 7])>> {
    let labels = emotion_labels(pretrained, texts)?;
    let embeddings = Tensor::cat(embed_corpus(pretrained, corpus, count, tick)?, 0);
    let scores = rows_of_seven(labels.similarities(embeddings))?;
    let truth = (0..count).map(|index| corpus.emotion(index as u64));
    Ok(truth.zip(scores).collect())
}

/// Truth and similarities of the single frames of fullest expression of the clips `0..count`,
/// without the temporal encoder: what a stage that trains on frames can be judged by.
pub fn classify_frames(
    pretrained: &Pretrained,
    texts: &LabelTexts,
    corpus: &dyn PairedCorpus,
    count: usize,
) -> anyhow::Result<Vec<(Emotion, [f32; 7])>> {
    let labels = emotion_labels(pretrained, texts)?;
    let mut readings = Vec::with_capacity(count);
    for start in (0..count).step_by(BATCH) {
        let end = count.min(start + BATCH);
        let embeddings = embed_peaks(pretrained, corpus, start..end)?;
        let scores = rows_of_seven(labels.similarities(embeddings))?;
        let truth = (start..end).map(|index| corpus.emotion(index as u64));
        readings.extend(truth.zip(scores));
    }
    Ok(readings)
}

/// Unit embeddings of single frames, without the temporal encoder.
fn embed_peaks(
    pretrained: &Pretrained,
    corpus: &dyn PairedCorpus,
    range: Range<usize>,
) -> anyhow::Result<Tensor<2>> {
    let device = pretrained.device();
    let (mut frames, mut masks, mut size) = (Vec::new(), Vec::new(), 0);
    let count = range.len();
    for index in range {
        let sample = corpus.peak_pair(index as u64)?;
        let prepared = pretrained.preprocess.clip(&sample.clip, &Crops::Centre)?;
        frames.extend_from_slice(&prepared.frames);
        masks.extend_from_slice(&prepared.masks);
        size = prepared.size;
    }
    Ok(l2_normalize(pretrained.model.encode_frames(
        Tensor::from_data(TensorData::new(frames, [count, 3, size, size]), &device),
        Tensor::from_data(TensorData::new(masks, [count, size, size]), &device),
    )))
}

/// Share of the scenes `0..count` whose own description is the nearest among those of some fifty
/// scenes: what a stage that trains on descriptions can be judged by. With `moving` clips are
/// compared, else single frames.
pub fn described(
    pretrained: &Pretrained,
    corpus: &dyn PairedCorpus,
    count: usize,
    moving: bool,
) -> anyhow::Result<f64> {
    let mut right = 0;
    for start in (0..count).step_by(BATCH) {
        let range = start..count.min(start + BATCH);
        let texts: Vec<String> = range
            .clone()
            .map(|index| corpus.description(index as u64, moving))
            .collect();
        let embeddings = if moving {
            let clips: Vec<Clip> = range
                .map(|index| Ok(corpus.pair(index as u64)?.clip))
                .collect::<anyhow::Result<_>>()?;
            pretrained.embed_clips(&clips)?
        } else {
            embed_peaks(pretrained, corpus, range)?
        };
        let scores = embeddings.matmul(pretrained.embed_texts(&texts).transpose());
        let nearest: Vec<i64> = scores.argmax(1).try_into_vec_as::<i64>()?;
        let nearest = nearest.iter().map(|index| usize::try_from(*index).ok());
        right += nearest
            .zip(0..)
            .filter(|(nearest, own)| *nearest == Some(*own))
            .count();
    }
    Ok(right as f64 / count.max(1) as f64)
}

/// Share of right answers.
pub fn accuracy(readings: &[(Emotion, [f32; 7])]) -> f64 {
    let right = readings
        .iter()
        .filter(|(truth, scores)| argmax(scores) == *truth)
        .count();
    right as f64 / readings.len().max(1) as f64
}
