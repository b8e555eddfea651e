//! Free sentences retrieve faces: what the face shows that is nearest to what somebody said.

mod gallery;
mod resampling;

use burn::tensor::{Tensor, TensorData};
use emotionclip::Emotion;
use emotionclip_data::faces::FaceSplit;
use serde::Serialize;

use self::gallery::Gallery;
use self::resampling::{bootstrap, shuffled};
use super::encoder::{Embeddings, Encoder};
use super::faces::{EmbeddedFaces, PictureReading};
use super::scored::Scored;
use crate::context::Context;
use crate::models::read_back;

/// Sentences compared with all faces at once.
const QUERIES: usize = 256;
/// Faces that vote for an emotion.
const VOTERS: usize = 10;
/// Emotions that sentences are taken of: all but neutral.
const ASKED: usize = Emotion::COUNT - 1;

/// What shuffling the faces' emotions gives: the same faces are retrieved, but show anything.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shuffled {
    /// Mean over the permutations of the mean per-class recall.
    pub mean_recall: f64,
    /// Standard deviation of it from one permutation to the next.
    pub deviation: f64,
    /// How many permutations.
    pub permutations: usize,
    /// What it is expected to be: a sixth of the share of faces that are not neutral.
    pub expected: f64,
}

/// Always answering with the emotion that most sentences have.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Majority {
    /// Which.
    pub emotion: Emotion,
    /// Mean per-class recall: that class's is 1, the others' 0.
    pub mean_recall: f64,
}

/// Recall by one kind of gallery.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GalleryScores {
    /// Faces to choose from.
    pub faces: usize,
    /// Mean per-class recall of the nearest face's emotion.
    pub mean_recall: f64,
    /// The same of the emotion that most of the ten nearest faces show.
    pub mean_recall_of_ten: f64,
    /// Share of the ten nearest faces with the sentence's emotion, mean over the classes.
    pub mean_precision_of_ten: f64,
}

/// Scores of retrieval.
#[derive(Clone, Debug, Serialize)]
pub struct RetrievalResult {
    /// Sentences with one label, of the six emotions.
    pub sentences: usize,
    /// How faces are read.
    pub picture: PictureReading,
    /// All faces of the split, neutral ones too.
    #[serde(flatten)]
    pub all_faces: GalleryScores,
    /// 95 % bootstrap interval of the mean recall, over sentences and faces.
    pub interval: (f64, f64),
    /// How many different faces are nearest to some sentence.
    pub faces_retrieved: usize,
    /// Sentence's emotion against that of the nearest face.
    pub nearest: Scored,
    /// The same among faces that are not neutral only.
    pub without_neutral: GalleryScores,
    /// Baselines.
    pub majority: Majority,
    /// Baselines.
    pub shuffled: Shuffled,
}

/// Retrieves a face of the split for every sentence of the split that is not neutral.
///
/// # Errors
/// A failing device.
pub fn measure(
    encoder: &Encoder,
    data: &FaceSplit,
    faces: &EmbeddedFaces,
    picture: PictureReading,
    context: &Context,
) -> anyhow::Result<RetrievalResult> {
    let asked = data
        .utterances()
        .iter()
        .filter(|utterance| utterance.emotion != Emotion::Neutral);
    let (texts, truth): (Vec<&str>, Vec<Emotion>) = asked
        .map(|utterance| (utterance.text.as_str(), utterance.emotion))
        .unzip();
    let bar = context.progress(texts.len() as u64, "retrieval");
    let sentences = encoder.embed_texts(&texts, |done| bar.inc(done))?;
    bar.finish_and_clear();

    let shown = &faces.emotions;
    let every: Vec<u32> = (0..shown.len() as u32).collect();
    let marked: Vec<u32> = every
        .iter()
        .copied()
        .filter(|face| shown[*face as usize] != Emotion::Neutral)
        .collect();
    let mut all = Gallery::new(every);
    let mut without_neutral = Gallery::new(marked);
    compare(encoder, &sentences, faces.vectors(picture), |row| {
        all.ask(row);
        without_neutral.ask(row);
    })?;

    let nearest = Scored::new(&truth, all.nearest(shown))?;
    let mut retrieved = all.nearest_faces();
    retrieved.sort_unstable();
    retrieved.dedup();
    Ok(RetrievalResult {
        sentences: truth.len(),
        picture,
        all_faces: gallery_scores(&all, &truth, shown),
        interval: bootstrap(&all, &truth, shown),
        faces_retrieved: retrieved.len(),
        nearest,
        without_neutral: gallery_scores(&without_neutral, &truth, shown),
        majority: majority(&truth),
        shuffled: shuffled(&all.nearest_faces(), &truth, shown),
    })
}

/// Calls `ask` with the similarities of each sentence to all faces.
fn compare(
    encoder: &Encoder,
    sentences: &Embeddings,
    faces: &Embeddings,
    mut ask: impl FnMut(&[f32]),
) -> anyhow::Result<()> {
    let device = encoder.device();
    let matrix = |values: &[f32], width: usize| -> Tensor<2> {
        let shape = [values.len() / width, width];
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &device)
    };
    let count = faces.rows().len();
    let faces = matrix(&faces.values, faces.width).transpose();
    for queries in sentences.values.chunks(QUERIES * sentences.width) {
        let similarities = matrix(queries, sentences.width).matmul(faces.clone());
        read_back(similarities)?
            .chunks_exact(count)
            .for_each(&mut ask);
    }
    Ok(())
}

fn gallery_scores(gallery: &Gallery, truth: &[Emotion], shown: &[Emotion]) -> GalleryScores {
    let hits = |read: &[Emotion]| -> Vec<f64> {
        let pairs = read.iter().zip(truth);
        pairs
            .map(|(read, truth)| f64::from(u8::from(read == truth)))
            .collect()
    };
    GalleryScores {
        faces: gallery.len(),
        mean_recall: class_mean(truth, &hits(&gallery.nearest(shown))),
        mean_recall_of_ten: class_mean(truth, &hits(&gallery.vote(shown, VOTERS))),
        mean_precision_of_ten: class_mean(truth, &gallery.precision(shown, truth, VOTERS)),
    }
}

/// Mean over the six emotions of the mean of the values of an emotion's sentences.
fn class_mean(truth: &[Emotion], values: &[f64]) -> f64 {
    let mut sums = [0.0; Emotion::COUNT];
    let mut counts = [0_usize; Emotion::COUNT];
    for (emotion, value) in truth.iter().zip(values) {
        sums[emotion.index()] += value;
        counts[emotion.index()] += 1;
    }
    let means = sums.iter().zip(counts);
    means
        .map(|(sum, count)| sum / count.max(1) as f64)
        .sum::<f64>()
        / ASKED as f64
}

fn majority(truth: &[Emotion]) -> Majority {
    let count = |emotion: Emotion| truth.iter().filter(|truth| **truth == emotion).count();
    let mut emotion = Emotion::Anger;
    for other in Emotion::ALL {
        if count(other) > count(emotion) {
            emotion = other;
        }
    }
    let answers: Vec<f64> = truth
        .iter()
        .map(|truth| f64::from(u8::from(*truth == emotion)))
        .collect();
    Majority {
        emotion,
        mean_recall: class_mean(truth, &answers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_weigh_alike_however_many_sentences_they_have() {
        let six: Vec<Emotion> = Emotion::ALL
            .into_iter()
            .filter(|emotion| *emotion != Emotion::Neutral)
            .collect();
        let truth = [six.clone(), vec![Emotion::Joy; 6]].concat();
        let found = majority(&truth);
        assert_eq!(found.emotion, Emotion::Joy);
        assert!((found.mean_recall - 1.0 / 6.0).abs() < 1e-12);
        let right = vec![1.0; truth.len()];
        assert!((class_mean(&truth, &right) - 1.0).abs() < 1e-12);
        // Half of joy's right, all others wrong.
        let mut half = vec![0.0; 12];
        half[8..].fill(1.0);
        let share = 4.0 / 7.0 / 6.0;
        assert!((class_mean(&truth, &half) - share).abs() < 1e-12);
    }
}
