//! Step `captions`: what is said, as sentences with times.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::PrepareError;
use super::frames::remove;
use super::inputs::{InputVideo, Inputs};
use super::step::{self, Failed, Limits, Outcome, Skip, StepProgress, StepReport};
use super::work::{WorkFolder, hex, read_json, stamp, write_json};
use crate::captions::{Captions, CueFault, Grouping, Sentence, SentenceOptions};

/// The sentences of a video: `captions.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaptionFile {
    /// What the sentences were made from.
    pub stamp: String,
    /// File name of the captions.
    pub source: String,
    /// What the sentences were told by; none where they came as sentences.
    pub grouping: Option<Grouping>,
    /// Cues of the file.
    pub cues: usize,
    /// Cues that were left out.
    pub faults: Vec<CueFault>,
    /// In time order.
    pub sentences: Vec<Sentence>,
}

/// A model that says where sentences end in words without punctuation.
pub trait Punctuator: Sync {
    /// What identifies it: another one makes other sentences.
    fn identity(&self) -> String;

    /// Whether each word ends a sentence.
    ///
    /// # Errors
    /// A message, if the device fails.
    fn ends(&self, words: &[&str]) -> Result<Vec<bool>, String>;
}

/// How sentences are made.
#[derive(Clone, Copy)]
pub struct CaptionSettings<'a> {
    /// Pauses and lengths.
    pub options: &'a SentenceOptions,
    /// Where there is no punctuation; without one pauses decide.
    pub punctuator: Option<&'a dyn Punctuator>,
}

/// Reads all captions.
///
/// # Errors
/// A disk that refuses, a failing model, too many broken files.
pub fn prepare_captions(
    work: &WorkFolder,
    inputs: &Inputs,
    settings: CaptionSettings<'_>,
    limits: &Limits,
    progress: &(dyn Fn(StepProgress) + Sync),
) -> Result<StepReport, PrepareError> {
    step::run(
        "captions",
        work,
        limits,
        &inputs.videos,
        &[],
        progress,
        |video| prepare(work, video, settings),
    )
}

fn prepare(
    work: &WorkFolder,
    video: &InputVideo,
    settings: CaptionSettings<'_>,
) -> Result<Outcome, Failed> {
    let record = work.video(&video.id).join("captions.json");
    let Some(path) = &video.captions else {
        remove(&record)?;
        let reason = "no captions beside it (srt, vtt, json3 or json of the same name)";
        return Err(Skip::left_out(&video.id, reason).into());
    };
    let source = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let broken = |reason: String| Skip::broken(&video.id, format!("{source}: {reason}"));
    // Checks the length before the content is read.
    let checked = Captions::read(path);
    let captions = match checked {
        Ok(captions) => captions,
        Err(error) => {
            remove(&record)?;
            return Err(broken(error.fault.to_string()).into());
        }
    };
    let bytes = std::fs::read(path).map_err(|error| broken(error.to_string()))?;
    let model = settings.punctuator.map(Punctuator::identity);
    let stamp = stamp(&(settings.options, model, hex(&Sha256::digest(bytes))));
    let dropped = |faults: &[CueFault]| -> Vec<String> {
        let name = |fault: &CueFault| {
            format!(
                "{}: {source}: cue {}: {}",
                video.id, fault.cue, fault.reason
            )
        };
        faults.iter().map(name).collect()
    };
    if let Some(there) = read_json::<CaptionFile>(&record)
        && there.stamp == stamp
    {
        return Ok(Outcome::unchanged(dropped(&there.faults)));
    }
    let grouped = match settings.punctuator {
        Some(punctuator) if !captions.has_punctuation() => {
            let words: Vec<&str> = captions
                .words
                .iter()
                .map(|word| word.text.as_str())
                .collect();
            let ends = punctuator.ends(&words).map_err(PrepareError::Unusable)?;
            captions.sentences_by(settings.options, &ends)
        }
        _ => captions.sentences(settings.options),
    };
    let file = CaptionFile {
        stamp,
        source: source.clone(),
        grouping: Some(grouped.grouping),
        cues: captions.cues,
        faults: captions.faults,
        sentences: grouped.sentences,
    };
    write_json(&record, &file)?;
    Ok(Outcome::made(dropped(&file.faults)))
}
