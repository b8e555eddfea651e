//! Step `sentiment`: how each sentence sounds to a frozen classifier.

use emotionclip::Emotion;
use serde::{Deserialize, Serialize};

use super::captions::CaptionFile;
use super::error::PrepareError;
use super::frames::remove;
use super::step::{self, Failed, Limits, Outcome, Skip, StepProgress, StepReport};
use super::work::{WorkFolder, read_json, stamp, write_json};

/// What a classifier says about a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentenceScore {
    /// Logits in the order of [`Emotion::ALL`].
    pub logits: [f32; Emotion::COUNT],
    /// Probability of neutral, in [0, 1].
    pub neutral: f32,
}

impl SentenceScore {
    /// The score whose neutral probability is the softmax's.
    pub fn of_logits(logits: [f32; Emotion::COUNT]) -> Self {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers = logits.map(|logit| (logit - largest).exp());
        let sum: f32 = powers.iter().sum();
        let neutral = powers
            .get(Emotion::Neutral.index())
            .map_or(0.0, |power| power / sum);
        Self { logits, neutral }
    }
}

/// The scores of a video's sentences: `sentiment.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentimentFile {
    /// What the scores were made from.
    pub stamp: String,
    /// SHA-256 or name of the classifier.
    pub model: String,
    /// One a sentence.
    pub scores: Vec<SentenceScore>,
}

/// A frozen classifier of sentences.
pub trait TextScorer: Sync {
    /// What identifies it: another one makes other scores.
    fn identity(&self) -> String;

    /// One score a text.
    ///
    /// # Errors
    /// A message, if the device fails.
    fn score(&self, texts: &[&str]) -> Result<Vec<SentenceScore>, String>;
}

/// Scores all sentences.
///
/// # Errors
/// A failing classifier or disk.
pub fn prepare_sentiment(
    work: &WorkFolder,
    scorer: &dyn TextScorer,
    limits: &Limits,
    progress: &(dyn Fn(StepProgress) + Sync),
) -> Result<StepReport, PrepareError> {
    let ids = work.ids()?;
    step::run("sentiment", work, limits, &ids, &[], progress, |id| {
        prepare(work, id, scorer)
    })
}

fn prepare(work: &WorkFolder, id: &str, scorer: &dyn TextScorer) -> Result<Outcome, Failed> {
    let folder = work.video(id);
    let record = folder.join("sentiment.json");
    let Some(captions) = read_json::<CaptionFile>(&folder.join("captions.json")) else {
        remove(&record)?;
        return Err(Skip::left_out(id, "no sentences; run `trainer data captions`").into());
    };
    let model = scorer.identity();
    let stamp = stamp(&(&model, &captions.stamp));
    if read_json::<SentimentFile>(&record).is_some_and(|there| there.stamp == stamp) {
        return Ok(Outcome::unchanged(Vec::new()));
    }
    let texts: Vec<&str> = captions
        .sentences
        .iter()
        .map(|one| one.text.as_str())
        .collect();
    let scores = scorer.score(&texts).map_err(PrepareError::Unusable)?;
    let is_sound = |score: &SentenceScore| {
        score.logits.iter().all(|logit| logit.is_finite()) && score.neutral.is_finite()
    };
    if scores.len() != texts.len() || !scores.iter().all(is_sound) {
        let problem = "the classifier gave numbers that are not finite; give another one";
        return Err(PrepareError::Unusable(problem.to_owned()).into());
    }
    write_json(
        &record,
        &SentimentFile {
            stamp,
            model,
            scores,
        },
    )?;
    Ok(Outcome::made(Vec::new()))
}
