//! Random draws that depend on nothing but what they are for.
//!
//! Every decision of a sample has a stream of its own, keyed by (seed, split, index, purpose). Two
//! keys never meet, because the four numbers stand side by side in the cipher's key instead of
//! being hashed together. That is what makes a sample independent of call order and thread, and
//! what makes "the size of the subject is independent of its emotion" true by construction.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::Split;

/// What a stream of draws decides. The discriminants are part of the corpus: changing one changes
/// every picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Purpose {
    /// The order of the emotions inside a block of seven samples.
    EmotionOrder = 1,
    /// The emotions of the figures which are not the subject.
    OtherEmotions = 2,
    /// How many figures, where and how large, and which is the subject.
    Layout = 3,
    /// Who the figures are.
    Identity = 4,
    /// The background's kind, colours and shapes.
    Background = 5,
    /// Brightness, gradient, tint and the strength of the noise.
    Light = 6,
    /// Drift, sway and timing of the figures.
    Motion = 7,
    /// Which of an emotion's postures a figure takes and its small deviations.
    Manner = 8,
    /// Which utterance is said.
    Utterance = 9,
    /// The words of a neutral description.
    Description = 10,
    /// The pixel noise of one frame; the frame's number is added.
    Noise = 256,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream for one purpose of one sample.
    pub(crate) fn new(seed: u64, split: Split, index: u64, purpose: Purpose) -> Self {
        Self::keyed(seed, split, index, purpose, 0)
    }

    /// The stream for one purpose of one part (a frame, say) of one sample.
    pub(crate) fn keyed(seed: u64, split: Split, index: u64, purpose: Purpose, part: u32) -> Self {
        Self::numbered(seed, split, index, purpose as u16, part)
    }

    /// The stream for a purpose of another corpus, by a number that no [`Purpose`] has.
    pub(crate) fn numbered(seed: u64, split: Split, index: u64, purpose: u16, part: u32) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&index.to_le_bytes());
        key[16] = split as u8;
        key[18..20].copy_from_slice(&purpose.to_le_bytes());
        key[20..24].copy_from_slice(&part.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in `[0, 1)`, a multiple of 2⁻²⁴ so that the value is exact in `f32`.
    pub(crate) fn unit(&mut self) -> f32 {
        const STEP: f32 = 1.0 / (1 << 24) as f32;
        (self.0.next_u32() >> 8) as f32 * STEP
    }

    /// Uniform between two numbers.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..count`; `count` must not be 0. The bias is below 2⁻³² · count.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.0.next_u32()) * count as u64) >> 32) as usize
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Shuffles in place (Fisher–Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Mixes 64 bits so that every input bit reaches every output bit (the finaliser of `SplitMix64`).
pub(crate) const fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_different_keys_differ_and_equal_keys_agree() {
        let first = |split, index, purpose| Draws::new(7, split, index, purpose).bits();
        let base = first(Split::Train, 3, Purpose::Layout);
        assert_eq!(base, first(Split::Train, 3, Purpose::Layout));
        assert_ne!(base, first(Split::Test, 3, Purpose::Layout));
        assert_ne!(base, first(Split::Train, 4, Purpose::Layout));
        assert_ne!(base, first(Split::Train, 3, Purpose::Light));
    }

    #[test]
    fn units_stay_below_one_and_fill_the_interval() {
        let mut draws = Draws::new(0, Split::Train, 0, Purpose::Layout);
        let units: Vec<f32> = (0..4000).map(|_| draws.unit()).collect();
        assert!(units.iter().all(|unit| (0.0..1.0).contains(unit)));
        let mean = units.iter().sum::<f32>() / units.len() as f32;
        // The mean of 4000 uniform numbers has a deviation of 0.2887 / 63.2 = 0.0046; 5 of them.
        assert!((mean - 0.5).abs() < 0.023, "mean {mean}");
    }
}
