//! Scenes of four faces with four emotions: whether the one is read that the mask is on.

use std::sync::Arc;

use anyhow::Context as _;
use burn::tensor::{Tensor, TensorData};
use emotionclip::preprocess::{Crops, Preprocess, PreprocessedClip};
use emotionclip::{Clip, Emotion};
use emotionclip_data::faces::{FaceConfig, FaceCorpus, FaceSplit};
use serde::Serialize;

use super::super::emoclip::clips::ahead;
use super::encoder::{Embeddings, Encoder};
use super::scored::{Points, Scored, interval, read_as};
use crate::context::Context;
use crate::failure::OrBadInput as _;

/// Scenes embedded at once.
const BATCH: usize = 8;

/// How often masks on another face do what.
#[derive(Clone, Debug, Serialize)]
pub struct OtherFace {
    /// Share of scenes in which the face under the mask is read.
    pub read: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
    /// Share of scenes in which the subject's emotion is read although the mask is elsewhere.
    pub subject_read: f64,
}

/// Which scenes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScenesAsked {
    /// How many.
    pub count: usize,
    /// Faces in each.
    pub faces: usize,
}

/// Scores on scenes.
#[derive(Clone, Debug, Serialize)]
pub struct ScenesResult {
    /// How many.
    pub scenes: usize,
    /// Faces in each.
    pub faces: usize,
    /// Frames of each.
    pub frames: usize,
    /// Seed of the scenes, which is kept from training.
    pub seed: u64,
    /// With the mask on the subject.
    pub subject: Scored,
    /// The same scenes without a subject.
    pub empty_mask: Scored,
    /// What the mask is worth.
    pub gain: Points,
    /// The same scenes with the mask on another face.
    pub other_face: OtherFace,
}

/// Which masks scenes are read under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Masks {
    Subject,
    All,
}

/// What a number of scenes were read as.
#[derive(Clone, Debug, Default)]
struct Readings {
    truth: Vec<Emotion>,
    /// What the face shows that the mask on another face is on.
    other_truth: Vec<Emotion>,
    subject: Vec<Emotion>,
    empty: Vec<Emotion>,
    other: Vec<Emotion>,
}

/// A scene ready to be encoded.
struct Prepared {
    emotion: Emotion,
    other_emotion: Emotion,
    clip: PreprocessedClip,
    other_masks: Vec<f32>,
}

/// Reads scenes with the mask on the subject, on nobody and on another face.
///
/// # Errors
/// Bad input for a model whose preprocessing can't take the scenes; a failing device.
pub fn measure(
    encoder: &Encoder,
    data: &Arc<FaceSplit>,
    classes: &Embeddings,
    asked: ScenesAsked,
    context: &Context,
) -> anyhow::Result<ScenesResult> {
    let ScenesAsked { count, faces } = asked;
    let read = read(encoder, data, classes, asked, Masks::All, context)?;
    let share = |wanted: &[Emotion]| {
        let pairs = read.other.iter().zip(wanted);
        pairs.filter(|(read, wanted)| read == wanted).count() as f64 / count.max(1) as f64
    };
    let (other_read, subject_read) = (share(&read.other_truth), share(&read.truth));
    let subject = Scored::new(&read.truth, read.subject)?;
    let empty_mask = Scored::new(&read.truth, read.empty)?;
    Ok(ScenesResult {
        scenes: count,
        faces,
        frames: encoder.facts().frames,
        seed: FaceConfig::EVALUATION_SEED,
        gain: Points::between(&subject.right, &empty_mask.right)?,
        subject,
        empty_mask,
        other_face: OtherFace {
            read: other_read,
            interval: interval(other_read, count),
            subject_read,
        },
    })
}

/// Reads the same scenes with the mask on the subject only.
///
/// # Errors
/// As [`measure`].
pub fn measure_subject(
    encoder: &Encoder,
    data: &Arc<FaceSplit>,
    classes: &Embeddings,
    asked: ScenesAsked,
    context: &Context,
) -> anyhow::Result<Scored> {
    let read = read(encoder, data, classes, asked, Masks::Subject, context)?;
    Scored::new(&read.truth, read.subject)
}

fn read(
    encoder: &Encoder,
    data: &Arc<FaceSplit>,
    classes: &Embeddings,
    asked: ScenesAsked,
    masks: Masks,
    context: &Context,
) -> anyhow::Result<Readings> {
    let ScenesAsked { count, faces } = asked;
    let frames = encoder.facts().frames;
    let config = FaceConfig::evaluation(encoder.drawn_size(), frames, faces);
    let corpus = FaceCorpus::new(config, Arc::clone(data)).or_bad_input("corpus")?;
    let bar = context.progress(count as u64, "scenes");
    let preprocess = encoder.preprocess();
    let make = |batch: usize| -> anyhow::Result<Vec<Prepared>> {
        let scenes = batch * BATCH..count.min((batch + 1) * BATCH);
        scenes
            .map(|index| prepare(preprocess, &corpus, index as u64))
            .collect()
    };
    let as_emotions = |values: Vec<f32>| {
        let width = encoder.width();
        read_as(&Embeddings { values, width }, classes)
    };
    let mut readings = Readings::default();
    ahead(0..count.div_ceil(BATCH), make, |batch| {
        let scenes = batch.len();
        let mut clips = Vec::with_capacity(scenes);
        let mut other_masks = Vec::new();
        for prepared in batch {
            readings.truth.push(prepared.emotion);
            readings.other_truth.push(prepared.other_emotion);
            other_masks.extend(prepared.other_masks);
            clips.push(prepared.clip);
        }
        let (pictures, subject) = encoder.tensors(&clips);
        let shape = subject.dims();
        let device = subject.device();
        let embed = |masks: Tensor<3>| -> anyhow::Result<Vec<Emotion>> {
            let embedded = encoder.embed_clips(scenes, pictures.clone(), masks)?;
            Ok(as_emotions(embedded))
        };
        readings.subject.extend(embed(subject)?);
        if masks == Masks::All {
            readings.empty.extend(embed(Tensor::zeros(shape, &device))?);
            let other = Tensor::from_data(TensorData::new(other_masks, shape), &device);
            readings.other.extend(embed(other)?);
        }
        bar.inc(scenes as u64);
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(readings)
}

fn prepare(preprocess: &Preprocess, corpus: &FaceCorpus, index: u64) -> anyhow::Result<Prepared> {
    let scene = corpus.scene(index);
    let faces = scene.faces();
    // Faces stand in the order of their places, which a random layout gives: the next is any other.
    let other = faces
        .get((scene.subject_index() + 1) % faces.len())
        .context("a scene has faces")?;
    let clip = corpus.sample(index).clip;
    let prepared = preprocess.clip(&clip, &Crops::Centre);
    let prepared = prepared.or_bad_input("scenes")?;
    let elsewhere = Clip {
        frames: clip.frames,
        masks: corpus.masks_on(other),
    };
    let elsewhere = preprocess.clip(&elsewhere, &Crops::Centre);
    Ok(Prepared {
        emotion: scene.emotion(),
        other_emotion: other.emotion,
        clip: prepared,
        other_masks: elsewhere.or_bad_input("scenes")?.masks,
    })
}
