//! Training texts as batches that depend on the seed and the step alone.

use burn::tensor::{Device, Tensor, TensorData};
use emotionclip::Emotion;
use emotionclip::pretrained::token_tensor;
use emotionclip::text_classifier::{PretrainedTextClassifier, pad};
use emotionclip_data::goemotions::Utterance;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Batches among whose texts those of like length are put together.
const SORTED_BATCHES: usize = 32;

/// Texts as ids with their labels.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// Ids from start to end token, without padding.
    pub rows: Vec<Vec<u32>>,
    /// Whether each emotion is among the labels.
    pub labels: Vec<[bool; Emotion::COUNT]>,
}

impl Encoded {
    /// Encodes utterances as the classifier reads them.
    pub fn new(utterances: &[Utterance], classifier: &PretrainedTextClassifier) -> Self {
        let row = |utterance: &Utterance| {
            let mut row = classifier.encode(&utterance.text);
            row.truncate(row.iter().rposition(|id| *id != 0).map_or(0, |end| end + 1));
            row
        };
        Self {
            rows: utterances.iter().map(row).collect(),
            labels: utterances.iter().map(Utterance::indicator).collect(),
        }
    }

    /// Weight of each emotion: its share of the labels, over the mean share, to minus `power`. An
    /// emotion without a text weighs 1.
    pub fn class_weights(&self, power: f64) -> [f32; Emotion::COUNT] {
        let counts: Vec<f64> = (0..Emotion::COUNT)
            .map(|class| self.labels.iter().filter(|labels| labels[class]).count() as f64)
            .collect();
        let mean = counts.iter().sum::<f64>() / Emotion::COUNT as f64;
        std::array::from_fn(|class| {
            if counts[class] > 0.0 {
                (mean / counts[class]).powf(power) as f32
            } else {
                1.0
            }
        })
    }
}

/// The order of one epoch: indices of each batch, the incomplete last one dropped.
///
/// A batch costs what its longest text does, so texts of like length share one; which ones do, and
/// in which order the batches come, is drawn anew for every epoch.
pub fn epoch_order(
    rows: &[Vec<u32>],
    batch_size: usize,
    seed: u64,
    epoch: usize,
) -> Vec<Vec<usize>> {
    let mut random = generator(seed, epoch as u64, 0);
    let mut indices: Vec<usize> = (0..rows.len()).collect();
    indices.shuffle(&mut random);
    indices.truncate(rows.len() / batch_size * batch_size);
    let mut batches = Vec::with_capacity(rows.len() / batch_size);
    for group in indices.chunks_mut(batch_size * SORTED_BATCHES) {
        group.sort_by_key(|index| rows[*index].len());
        batches.extend(group.chunks(batch_size).map(<[usize]>::to_vec));
    }
    batches.shuffle(&mut random);
    batches
}

/// A generator of its own for each use and number of a run.
fn generator(seed: u64, number: u64, purpose: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(2 * number + purpose);
    random
}

/// One step's tensors: ids `[B, L]` with words dropped, and labels `[B, 7]` of zeros and ones.
pub fn tensors(
    texts: &Encoded,
    batch: &[usize],
    word_dropout: f64,
    seed: u64,
    step: usize,
    device: &Device,
) -> (Tensor<2, burn::tensor::Int>, Tensor<2>) {
    let mut random = generator(seed, step as u64, 1);
    let mut rows: Vec<Vec<u32>> = batch
        .iter()
        .map(|index| drop_words(&texts.rows[*index], word_dropout, &mut random))
        .collect();
    pad(&mut rows);
    let labels: Vec<f32> = batch
        .iter()
        .flat_map(|index| texts.labels[*index])
        .map(f32::from)
        .collect();
    let labels = TensorData::new(labels, [batch.len(), Emotion::COUNT]);
    (
        token_tensor(&rows, device),
        Tensor::from_data(labels, device),
    )
}

/// The row with some of its tokens left out; start and end stay.
fn drop_words(row: &[u32], chance: f64, random: &mut ChaCha8Rng) -> Vec<u32> {
    let last = row.len().saturating_sub(1);
    row.iter()
        .enumerate()
        .filter(|(place, _)| *place == 0 || *place == last || random.random::<f64>() >= chance)
        .map(|(_, id)| *id)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<u32>> {
        (0..103).map(|n| vec![1; 2 + (n * 7) % 13]).collect()
    }

    #[test]
    fn an_epoch_takes_every_text_once_and_each_epoch_another_order() {
        let rows = rows();
        let order = epoch_order(&rows, 10, 5, 0);
        assert_eq!(order, epoch_order(&rows, 10, 5, 0));
        assert_ne!(order, epoch_order(&rows, 10, 5, 1));
        assert_ne!(order, epoch_order(&rows, 10, 6, 0));
        let mut seen: Vec<usize> = order.concat();
        assert_eq!((order.len(), seen.len()), (10, 100));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 100);
    }

    #[test]
    fn batches_hold_texts_of_like_length() {
        let rows = rows();
        let spread: usize = epoch_order(&rows, 10, 5, 0)
            .iter()
            .map(|batch| {
                let lengths = batch.iter().map(|index| rows[*index].len());
                lengths.clone().max().unwrap() - lengths.min().unwrap()
            })
            .sum();
        // Ten batches over thirteen lengths: sorted they differ by two or so, unsorted by twelve.
        assert!(spread < 30, "{spread}");
    }

    #[test]
    fn dropped_words_leave_start_and_end() {
        let row: Vec<u32> = (0..200).collect();
        let mut random = generator(1, 2, 1);
        let kept = drop_words(&row, 0.25, &mut random);
        assert_eq!((kept[0], kept[kept.len() - 1]), (0, 199));
        // 198 tokens at three quarters: 148 ± 6 is a standard deviation.
        assert!((120..=180).contains(&kept.len()), "{}", kept.len());
        assert_eq!(drop_words(&row, 0.0, &mut random), row);
        assert_eq!(drop_words(&[7, 8], 0.99, &mut random), [7, 8]);
    }

    #[test]
    fn rare_emotions_weigh_more_by_the_power() {
        let mut labels = vec![[false; 7]; 9];
        for (index, labels) in labels.iter_mut().enumerate() {
            labels[usize::from(index == 0)] = true;
        }
        let texts = Encoded {
            rows: vec![Vec::new(); 9],
            labels,
        };
        assert_eq!(texts.class_weights(0.0), [1.0; 7]);
        let weights = texts.class_weights(1.0);
        assert!((weights[1] / weights[0] - 8.0).abs() < 1e-5, "{weights:?}");
        assert!((weights[6] - 1.0).abs() < 1e-6, "an emotion without a text");
    }
}
