//! The report's pictures: attention over frames, re-weighted logits, readings.

use burn::tensor::{Tensor, TensorData};
use emotionclip::explain::AttentionSummary;
use emotionclip::preprocess::Crops;
use emotionclip::{Emotion, Pretrained};
use emotionclip_data::synthetic::{Sample, SyntheticCorpus, label_texts};
use emotionclip_eval::report::{
    AttentionExample, AttentionMap, Reading, ReadingExample, Reweighting, SubjectBox,
};
use image::GrayImage;

use crate::pretrain::{RunConfig, argmax, emotion_labels, rows_of_seven};

/// Scenes in the attention panel and the readings panel.
const ATTENTION_SCENES: u64 = 4;
const READING_SCENES: u64 = 8;
/// Pairs in the re-weighting panel: every emotion once, one of them twice.
const PAIRS: u64 = 8;

/// The mask's bounding box.
fn subject_box(mask: &GrayImage) -> Option<SubjectBox> {
    let covered = mask
        .enumerate_pixels()
        .filter(|(_, _, pixel)| pixel.0[0] > 0);
    covered.fold(None, |found: Option<SubjectBox>, (x, y, _)| {
        let (x, y) = (x as f32, y as f32);
        Some(found.map_or(
            SubjectBox {
                left: x,
                top: y,
                right: x + 1.0,
                bottom: y + 1.0,
            },
            |found| SubjectBox {
                left: found.left.min(x),
                top: found.top.min(y),
                right: found.right.max(x + 1.0),
                bottom: found.bottom.max(y + 1.0),
            },
        ))
    })
}

/// The human token's attention over the last frame in every layer (the paper's Fig. 5).
pub fn attention(
    pretrained: &Pretrained,
    corpus: &SyntheticCorpus,
) -> anyhow::Result<Vec<AttentionExample>> {
    let labels = emotion_labels(pretrained, label_texts()?)?;
    let device = pretrained.device();
    let mut examples = Vec::new();
    for index in 0..ATTENTION_SCENES {
        let sample = corpus.sample(index);
        let scores = rows_of_seven(
            labels.similarities(pretrained.embed_clips(std::slice::from_ref(&sample.clip))?),
        )?;
        let peak = sample.peak_frame;
        let prepared = pretrained.preprocess.clip(&sample.clip, &Crops::Centre)?;
        let size = prepared.size;
        let frame_length = 3 * size * size;
        let frame = prepared.frames[peak * frame_length..][..frame_length].to_vec();
        let mask = prepared.masks[peak * size * size..][..size * size].to_vec();
        let picture = pretrained.preprocess.denormalise(&frame)?;
        let summary = AttentionSummary::of(
            &pretrained.model.visual,
            Tensor::from_data(TensorData::new(frame, [3, size, size]), &device),
            Tensor::from_data(TensorData::new(mask, [size, size]), &device),
        )?;
        let layers = summary
            .human
            .into_iter()
            .enumerate()
            .map(|(layer, weights)| AttentionMap {
                layer: layer + 1,
                grid: summary.grid,
                weights,
            })
            .collect();
        examples.push(AttentionExample {
            caption: sample.text,
            truth: sample.emotion.name().to_owned(),
            prediction: scores
                .first()
                .map_or(String::new(), |row| argmax(row).to_string()),
            frame: picture,
            subject: sample.clip.masks.get(peak).and_then(subject_box),
            layers,
        });
    }
    Ok(examples)
}

/// A few test pairs with their logits before and after the sentiment guidance (Table 2).
pub fn reweighting(
    pretrained: &Pretrained,
    config: &RunConfig,
    corpus: &SyntheticCorpus,
) -> anyhow::Result<Reweighting> {
    let samples: Vec<Sample> = (0..PAIRS).map(|index| corpus.sample(index)).collect();
    let clips: Vec<_> = samples.iter().map(|sample| sample.clip.clone()).collect();
    let texts: Vec<&str> = samples.iter().map(|sample| sample.text.as_str()).collect();
    let device = pretrained.device();
    let sentiment: Vec<f32> = samples.iter().flat_map(|sample| sample.sentiment).collect();
    let sentiment = TensorData::new(sentiment, [samples.len(), Emotion::COUNT]);
    let weights = config.loss.weights(Tensor::from_data(sentiment, &device));
    let scale = pretrained.model.similarity_scale().unsqueeze_dim::<2>(0);
    let before = pretrained
        .embed_clips(&clips)?
        .matmul(pretrained.embed_texts(&texts).transpose())
        * scale;
    let after = before.clone() - weights.clone();
    // The anchor is a pair whose emotion another pair shares: there the weight is large.
    let last = samples.len() - 1;
    let anchor = samples[..last]
        .iter()
        .position(|sample| sample.emotion == samples[last].emotion)
        .unwrap_or(0);
    Ok(Reweighting {
        beta: config.loss.beta,
        anchor,
        captions: samples.iter().map(|sample| sample.text.clone()).collect(),
        sentiments: samples
            .iter()
            .map(|sample| argmax(&sample.sentiment).to_string())
            .collect(),
        frames: samples
            .iter()
            .filter_map(|sample| sample.clip.frames.get(sample.peak_frame).cloned())
            .collect(),
        weights: matrix(weights)?,
        logits_before: matrix(before)?,
        logits_after: matrix(after)?,
    })
}

fn matrix(tensor: Tensor<2>) -> anyhow::Result<Vec<Vec<f32>>> {
    let [_, width] = tensor.dims();
    let values: Vec<f32> = tensor.try_into_vec_as::<f32>()?;
    Ok(values.chunks(width.max(1)).map(<[f32]>::to_vec).collect())
}

/// Test clips with the probabilities of the seven emotions.
pub fn readings(
    pretrained: &Pretrained,
    corpus: &SyntheticCorpus,
) -> anyhow::Result<Vec<ReadingExample>> {
    let labels = emotion_labels(pretrained, label_texts()?)?;
    (0..READING_SCENES)
        .map(|index| {
            let sample = corpus.sample(index);
            let embedding = pretrained.embed_clips(std::slice::from_ref(&sample.clip))?;
            let probabilities = rows_of_seven(labels.classify(embedding))?;
            let row = probabilities.first().copied().unwrap_or_default();
            Ok(ReadingExample {
                subject: sample.clip.masks.iter().map(subject_box).collect(),
                frames: sample.clip.frames,
                utterance: sample.text,
                truth: sample.emotion.name().to_owned(),
                readings: Emotion::ALL
                    .iter()
                    .zip(row)
                    .map(|(emotion, probability)| Reading {
                        label: emotion.name().to_owned(),
                        probability,
                    })
                    .collect(),
            })
        })
        .collect()
}
