//! What every corpus of pairs has in common, so that a trainer need not know which it reads.

use emotionclip::{Clip, Emotion};

use crate::synthetic::{Sample, SyntheticCorpus, sentiment_logits, utterances};

/// A clip with what its subject says.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Name of the sample, unique in the corpus.
    pub key: String,
    /// The frames asked for, with the subject's mask in each.
    pub clip: Clip,
    /// What the subject says.
    pub text: String,
    /// Logits of a sentiment model for the text, in the order of [`Emotion::ALL`].
    pub sentiment: [f32; Emotion::COUNT],
    /// What the subject shows.
    pub emotion: Emotion,
    /// What the other people of the scene show, all different and different from the subject.
    pub others: Vec<Emotion>,
    /// The frame of the whole clip (not of those asked for) that shows the emotion best.
    pub peak_frame: usize,
}

/// Why a pair can't be given: what its corpus says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PairError(String);

impl PairError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// One split of a corpus: an unbounded sequence of pairs, each a function of its index.
pub trait PairedCorpus: Send + Sync {
    /// A pair with all its frames.
    ///
    /// # Errors
    /// If it has to be read and can't be.
    fn pair(&self, index: u64) -> Result<Pair, PairError>;

    /// A pair with only the frame that shows the emotion best; the others cost nothing.
    ///
    /// # Errors
    /// If it has to be read and can't be.
    fn peak_pair(&self, index: u64) -> Result<Pair, PairError>;

    /// The frame of [`peak_pair`](Self::peak_pair) with every person of it as the subject in turn:
    /// that pair first, then those of the others, on the same picture.
    ///
    /// A corpus that knows one person a clip gives that pair alone.
    ///
    /// # Errors
    /// As [`peak_pair`](Self::peak_pair).
    fn peak_group(&self, index: u64) -> Result<Vec<Pair>, PairError> {
        Ok(vec![self.peak_pair(index)?])
    }

    /// What the subject of a pair shows, without drawing it.
    ///
    /// Once a pair was made of another clip, because its own can't be read, this and
    /// [`spoken`](Self::spoken) tell of that clip.
    fn emotion(&self, index: u64) -> Emotion;

    /// Text and sentiment logits of a pair, without drawing it.
    fn spoken(&self, index: u64) -> (&str, [f32; Emotion::COUNT]);

    /// What a pair's scene looks like, without drawing it: how many stand where, before what, in
    /// what light and, if `moving`, how it changes over the clip. What anyone shows or feels, and
    /// who the subject is, isn't said.
    fn description(&self, index: u64, moving: bool) -> String;

    /// How many utterances of this split have an emotion as their dominant sentiment.
    fn alike_count(&self, dominant: Emotion) -> usize;

    /// One of the utterances that [`PairedCorpus::alike_count`] counts; empty where there is none
    /// of this number.
    fn alike(&self, dominant: Emotion, number: usize) -> &str;

    /// What could not be read so far and was passed over: name and reason.
    fn skipped(&self) -> Vec<String> {
        Vec::new()
    }
}

impl From<Sample> for Pair {
    fn from(sample: Sample) -> Self {
        Self {
            key: sample.key,
            clip: sample.clip,
            text: sample.text,
            sentiment: sample.sentiment,
            emotion: sample.emotion,
            others: sample.others,
            peak_frame: sample.peak_frame,
        }
    }
}

impl PairedCorpus for SyntheticCorpus {
    fn pair(&self, index: u64) -> Result<Pair, PairError> {
        Ok(self.sample(index).into())
    }

    fn peak_pair(&self, index: u64) -> Result<Pair, PairError> {
        Ok(self.sample_peak(index).into())
    }

    fn emotion(&self, index: u64) -> Emotion {
        self.scene(index).emotion()
    }

    fn spoken(&self, index: u64) -> (&str, [f32; Emotion::COUNT]) {
        let text = self.text(index);
        (text, sentiment_logits(text, self.emotion(index)))
    }

    fn description(&self, index: u64, moving: bool) -> String {
        self.description(index, moving)
    }

    fn alike_count(&self, dominant: Emotion) -> usize {
        // The drawn corpus's logits peak at the label.
        utterances(self.split(), dominant).len()
    }

    fn alike(&self, dominant: Emotion, number: usize) -> &str {
        utterances(self.split(), dominant)
            .get(number)
            .map_or("", String::as_str)
    }
}
