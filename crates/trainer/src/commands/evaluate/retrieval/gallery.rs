//! The faces to choose from, and which of them are nearest to each sentence.

use emotionclip::Emotion;

/// Nearest faces kept a sentence: a bootstrap that draws the faces anew leaves out all of them with
/// probability e⁻⁶⁴.
const KEPT: usize = 64;

/// A choice of faces, with the nearest of them to every sentence asked so far.
#[derive(Clone, Debug)]
pub struct Gallery {
    /// Numbers of the faces in the split.
    faces: Vec<u32>,
    /// Of each sentence the nearest faces' numbers, the nearest first; at least one.
    ranked: Vec<Vec<u32>>,
}

impl Gallery {
    /// A choice of at least one face.
    pub fn new(faces: Vec<u32>) -> Self {
        Self {
            faces,
            ranked: Vec::new(),
        }
    }

    /// How many faces there are.
    pub fn len(&self) -> usize {
        self.faces.len()
    }

    /// Ranks the faces for a sentence by its similarity to every face of the split. Equal faces
    /// stand in the order of the split.
    pub fn ask(&mut self, similarities: &[f32]) {
        let similarity = |face: &u32| {
            similarities
                .get(*face as usize)
                .copied()
                .unwrap_or(f32::NEG_INFINITY)
        };
        let nearer = |one: &u32, other: &u32| {
            let order = similarity(other).total_cmp(&similarity(one));
            order.then(one.cmp(other))
        };
        let mut nearest = self.faces.clone();
        if nearest.len() > KEPT {
            nearest.select_nth_unstable_by(KEPT, nearer);
            nearest.truncate(KEPT);
        }
        nearest.sort_unstable_by(nearer);
        self.ranked.push(nearest);
    }

    /// The nearest faces of each sentence, the nearest first.
    pub fn ranked(&self) -> &[Vec<u32>] {
        &self.ranked
    }

    /// The nearest face of each sentence.
    pub fn nearest_faces(&self) -> Vec<u32> {
        let first = |ranked: &Vec<u32>| ranked.first().copied().unwrap_or_default();
        self.ranked.iter().map(first).collect()
    }

    /// What the nearest face of each sentence shows.
    pub fn nearest(&self, shown: &[Emotion]) -> Vec<Emotion> {
        self.vote(shown, 1)
    }

    /// What most of the `voters` nearest faces show; of equally frequent emotions that of the
    /// nearest face among them.
    pub fn vote(&self, shown: &[Emotion], voters: usize) -> Vec<Emotion> {
        let elect = |ranked: &Vec<u32>| {
            let mut votes = [0_usize; Emotion::COUNT];
            for emotion in emotions(ranked, shown, voters) {
                votes[emotion.index()] += 1;
            }
            let most = votes.iter().copied().max().unwrap_or(0);
            emotions(ranked, shown, voters)
                .find(|emotion| votes[emotion.index()] == most)
                .unwrap_or(Emotion::Neutral)
        };
        self.ranked.iter().map(elect).collect()
    }

    /// Share of the `number` nearest faces that show what was said, of each sentence.
    pub fn precision(&self, shown: &[Emotion], truth: &[Emotion], number: usize) -> Vec<f64> {
        let share = |(ranked, truth): (&Vec<u32>, &Emotion)| {
            let nearest = number.min(ranked.len()).max(1);
            let right = emotions(ranked, shown, number).filter(|emotion| emotion == truth);
            right.count() as f64 / nearest as f64
        };
        self.ranked.iter().zip(truth).map(share).collect()
    }
}

/// What the first `number` faces of a ranking show.
fn emotions<'a>(
    ranked: &'a [u32],
    shown: &'a [Emotion],
    number: usize,
) -> impl Iterator<Item = Emotion> + 'a {
    let nearest = ranked.iter().take(number);
    nearest.filter_map(|face| shown.get(*face as usize).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: [Emotion; 5] = [
        Emotion::Joy,
        Emotion::Fear,
        Emotion::Neutral,
        Emotion::Fear,
        Emotion::Joy,
    ];

    #[test]
    fn faces_are_ranked_and_vote() {
        let mut gallery = Gallery::new((0..5).collect());
        gallery.ask(&[0.9, 0.8, 0.1, 0.7, -0.2]);
        gallery.ask(&[0.0, 0.0, 0.5, 0.0, 0.1]);
        assert_eq!(gallery.ranked(), [[0, 1, 3, 2, 4], [2, 4, 0, 1, 3]]);
        assert_eq!(gallery.nearest(&SHOWN), [Emotion::Joy, Emotion::Neutral]);
        assert_eq!(gallery.vote(&SHOWN, 3), [Emotion::Fear, Emotion::Joy]);
        // Two each: the nearer emotion wins.
        assert_eq!(gallery.vote(&SHOWN, 5), [Emotion::Joy, Emotion::Joy]);
        let truth = [Emotion::Fear, Emotion::Joy];
        assert_eq!(gallery.precision(&SHOWN, &truth, 4), [0.5, 0.5]);
        assert_eq!(gallery.precision(&SHOWN, &truth, 10), [0.4, 0.4]);
    }

    #[test]
    fn only_faces_of_the_choice_are_found() {
        let mut gallery = Gallery::new(vec![1, 4]);
        gallery.ask(&[0.9, 0.1, 0.8, 0.7, 0.2]);
        assert_eq!((gallery.len(), gallery.nearest_faces()), (2, vec![4]));
    }

    #[test]
    fn large_galleries_keep_the_nearest() {
        let count = 1000;
        let similarities: Vec<f32> = (0..count).map(|face| ((face * 7) % count) as f32).collect();
        let mut gallery = Gallery::new((0..count as u32).collect());
        gallery.ask(&similarities);
        let found: Vec<f32> = gallery.ranked()[0]
            .iter()
            .map(|face| similarities[*face as usize])
            .collect();
        let expected: Vec<f32> = (0..KEPT).map(|rank| (count - 1 - rank) as f32).collect();
        assert_eq!(found, expected);
    }
}
