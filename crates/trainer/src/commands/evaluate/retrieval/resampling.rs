//! How sure a mean recall is, and what it would be if faces showed anything.

use emotionclip::Emotion;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::gallery::Gallery;
use super::{ASKED, Shuffled};

/// Seed of the resamplings, so that a report repeats.
const SEED: u64 = 0;
/// Resamplings: the ends of a 95 % interval stand on 25 of them each.
const RESAMPLINGS: usize = 1000;
/// Permutations of the faces' emotions.
const PERMUTATIONS: usize = 100;

/// 95 % percentile interval of the mean per-class recall when sentences are drawn anew within their
/// class and faces among all: a few faces are nearest to many sentences, so sentences alone would
/// look surer than they are.
pub fn bootstrap(gallery: &Gallery, truth: &[Emotion], shown: &[Emotion]) -> (f64, f64) {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut of_class: [Vec<usize>; Emotion::COUNT] = Default::default();
    for (sentence, emotion) in truth.iter().enumerate() {
        of_class[emotion.index()].push(sentence);
    }
    let faces = shown.len();
    let mut is_drawn = vec![false; faces];
    let mut recalls: Vec<f64> = (0..RESAMPLINGS)
        .map(|_| {
            is_drawn.fill(false);
            for _ in 0..faces {
                is_drawn[random.random_range(0..faces)] = true;
            }
            let mut sum = 0.0;
            for sentences in of_class.iter().filter(|sentences| !sentences.is_empty()) {
                let right = (0..sentences.len()).filter(|_| {
                    let sentence = sentences[random.random_range(0..sentences.len())];
                    let nearest = nearest_drawn(gallery, sentence, &is_drawn);
                    nearest.is_some_and(|face| shown[face as usize] == truth[sentence])
                });
                sum += right.count() as f64 / sentences.len() as f64;
            }
            sum / ASKED as f64
        })
        .collect();
    recalls.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (share * (RESAMPLINGS - 1) as f64).round() as usize;
        recalls.get(place).copied().unwrap_or_default()
    };
    (at(0.025), at(0.975))
}

/// The nearest face to a sentence among those drawn.
fn nearest_drawn(gallery: &Gallery, sentence: usize, is_drawn: &[bool]) -> Option<u32> {
    let ranked = gallery.ranked().get(sentence)?;
    let drawn = |face: &&u32| is_drawn.get(**face as usize).copied().unwrap_or(false);
    ranked.iter().find(drawn).copied()
}

/// Mean per-class recall of the same faces when what they show is shuffled among all.
pub fn shuffled(retrieved: &[u32], truth: &[Emotion], shown: &[Emotion]) -> Shuffled {
    let mut random = ChaCha8Rng::seed_from_u64(SEED + 1);
    let mut emotions = shown.to_vec();
    let recalls: Vec<f64> = (0..PERMUTATIONS)
        .map(|_| {
            for last in (1..emotions.len()).rev() {
                emotions.swap(last, random.random_range(0..=last));
            }
            let right: Vec<f64> = retrieved
                .iter()
                .zip(truth)
                .map(|(face, truth)| {
                    let face = emotions.get(*face as usize);
                    f64::from(u8::from(face == Some(truth)))
                })
                .collect();
            super::class_mean(truth, &right)
        })
        .collect();
    let mean = recalls.iter().sum::<f64>() / PERMUTATIONS as f64;
    let squares: f64 = recalls.iter().map(|recall| (recall - mean).powi(2)).sum();
    let marked = shown
        .iter()
        .filter(|emotion| **emotion != Emotion::Neutral)
        .count();
    Shuffled {
        mean_recall: mean,
        deviation: (squares / (PERMUTATIONS - 1) as f64).sqrt(),
        permutations: PERMUTATIONS,
        expected: marked as f64 / shown.len().max(1) as f64 / ASKED as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn six(count: usize) -> Vec<Emotion> {
        let six = Emotion::ALL
            .into_iter()
            .filter(|emotion| *emotion != Emotion::Neutral);
        six.flat_map(|emotion| vec![emotion; count]).collect()
    }

    #[test]
    fn shuffled_faces_give_what_is_expected() {
        // 60 faces of each of seven emotions, of which the first of each emotion is retrieved.
        let shown: Vec<Emotion> = Emotion::ALL
            .into_iter()
            .flat_map(|emotion| vec![emotion; 60])
            .collect();
        let truth = six(10);
        let retrieved: Vec<u32> = (0..truth.len() as u32).map(|index| index * 7).collect();
        let found = shuffled(&retrieved, &truth, &shown);
        assert!((found.expected - 1.0 / 7.0).abs() < 1e-12);
        // Five standard errors of the mean.
        let bound = 5.0 * found.deviation / (PERMUTATIONS as f64).sqrt();
        assert!(found.deviation > 0.01 && found.deviation < 0.1, "{found:?}");
        assert!(
            (found.mean_recall - found.expected).abs() < bound,
            "{found:?}"
        );
    }

    #[test]
    fn the_interval_holds_the_recall_and_narrows_with_sentences() {
        let shown = six(40);
        let width = |sentences: usize| {
            let truth = six(sentences);
            let mut gallery = Gallery::new((0..shown.len() as u32).collect());
            for (sentence, emotion) in truth.iter().enumerate() {
                // Every other sentence is nearest to faces of its emotion, the rest to others.
                let is_right = sentence % 2 == 0;
                let similarities: Vec<f32> = shown
                    .iter()
                    .enumerate()
                    .map(|(face, shown)| {
                        let near = f32::from(u8::from((shown == emotion) == is_right));
                        near + ((face * 31 + sentence * 17) % 97) as f32 * 1e-3
                    })
                    .collect();
                gallery.ask(&similarities);
            }
            let (low, high) = bootstrap(&gallery, &truth, &shown);
            assert!(low < 0.5 && high > 0.5, "{low} {high}");
            high - low
        };
        // Binomial: 2 · 1.96 · sqrt(0.25 / n) with 6 · 20 and 6 · 180 sentences.
        let (few, many) = (width(20), width(180));
        assert!((few - 0.179).abs() < 0.05, "{few}");
        assert!((many - 0.0596).abs() < 0.02, "{many}");
    }
}
