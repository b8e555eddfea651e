//! Zero-shot accuracy on the synthetic corpus, during and after training.

use burn::tensor::Tensor;
use emotionclip::{Clip, Emotion, Pretrained};
use emotionclip_data::synthetic::{SyntheticCorpus, label_texts};

/// Clips embedded at once; bounds memory.
const BATCH: usize = 50;

/// The text embedding of each emotion, `[7, E]`: the mean of its label texts' unit embeddings,
/// scaled to unit length.
#[derive(Clone, Debug)]
pub struct LabelBank {
    embeddings: Tensor<2>,
}

impl LabelBank {
    /// Encodes the committed label texts.
    pub fn new(pretrained: &Pretrained) -> anyhow::Result<Self> {
        let rows: Vec<Tensor<2>> = label_texts()?
            .iter()
            .map(|texts| pretrained.embed_texts(texts).mean_dim(0))
            .collect();
        Ok(Self { embeddings: emotionclip::model::l2_normalize(Tensor::cat(rows, 0)) })
    }

    /// Cosine similarities of unit embeddings `[N, E]` with the emotions, `N` rows of 7.
    pub fn similarities(&self, embeddings: Tensor<2>) -> anyhow::Result<Vec<[f32; 7]>> {
        let scores = embeddings.matmul(self.embeddings.clone().transpose());
        let values: Vec<f32> = scores.try_into_vec_as::<f32>()?;
        Ok(values.as_chunks::<{ Emotion::COUNT }>().0.to_vec())
    }
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
        let clips: Vec<Clip> =
            (start..end).map(|index| corpus.sample(index as u64).clip).collect();
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
    let labels = LabelBank::new(pretrained)?;
    let embeddings = Tensor::cat(embed_corpus(pretrained, corpus, count, tick)?, 0);
    let scores = labels.similarities(embeddings)?;
    let truth = (0..count).map(|index| corpus.scene(index as u64).emotion());
    Ok(truth.zip(scores).collect())
}

/// Share of right answers.
pub fn accuracy(readings: &[(Emotion, [f32; 7])]) -> f64 {
    let right = readings.iter().filter(|(truth, scores)| argmax(scores) == *truth).count();
    right as f64 / readings.len().max(1) as f64
}
