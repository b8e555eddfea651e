//! Captions as they come with videos, turned into sentences with times.
//!
//! `SubRip` (`.srt`), `WebVTT` (`.vtt`) and the JSON that `YouTube` and its downloaders give (`json3`, or a
//! list of `{text, start, duration}`) become the same thing: cues in order, whose words have times.
//! Sound tags and the names of speakers are dropped, rolling captions are unrolled, and the words are
//! grouped into sentences by punctuation or, where there is none, by pauses.
//!
//! The formats are parsed here and not by a crate: those that exist refuse a file with one broken cue,
//! while files from the wild have them and the other cues are sound. Here a broken cue is left out,
//! counted and named.

mod clean;
mod error;
mod markup;
mod order;
mod sentences;
mod subtitles;
mod timestamp;
mod unroll;
mod words;
mod youtube;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use error::{CaptionError, CaptionFault};
pub use sentences::{Grouping, SentenceOptions, Sentences};

/// Most bytes of a caption file: a day of speech has three.
const LARGEST_FILE: u64 = 64 << 20;

/// Seconds beyond which a time is no time of a video.
const LATEST: f64 = 360_000.0;

/// Share of broken cues past which the whole file counts as broken.
const TOLERATED_SHARE: f64 = 0.5;

/// Something said, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sentence {
    /// The words, apart by spaces.
    pub text: String,
    /// Seconds since the start of the video.
    pub start: f64,
    /// Seconds since the start of the video.
    pub end: f64,
    /// Seconds from start to end.
    pub duration: f64,
}

/// A cue that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CueFault {
    /// Number of the cue in its file, from 1.
    pub cue: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// A word and its seconds since the start of the video.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// The word with its punctuation.
    pub text: String,
    /// When it begins.
    pub start: f64,
    /// When it ends.
    pub end: f64,
}

/// The words of a caption file.
#[derive(Clone, Debug, PartialEq)]
pub struct Captions {
    /// In time order.
    pub words: Vec<Word>,
    /// Cues of the file, broken ones included.
    pub cues: usize,
    /// Cues that were left out.
    pub faults: Vec<CueFault>,
}

/// A run of text that begins at a known time, or somewhere after the run before it.
#[derive(Clone, Debug, PartialEq)]
struct Piece {
    start: Option<f64>,
    text: String,
}

/// A caption as it is shown.
#[derive(Clone, Debug, PartialEq)]
struct Cue {
    /// Number in the file, from 1.
    number: usize,
    start: f64,
    end: f64,
    lines: Vec<Vec<Piece>>,
}

/// Cues as a format gives them.
#[derive(Debug, Default)]
struct Parsed {
    cues: Vec<Cue>,
    faults: Vec<CueFault>,
}

impl Parsed {
    fn fault(&mut self, cue: usize, reason: impl Into<String>) {
        let reason = reason.into();
        self.faults.push(CueFault { cue, reason });
    }

    /// Takes a cue in if its times are sound.
    fn take(&mut self, cue: Cue) {
        let Cue {
            number, start, end, ..
        } = cue;
        if !(start.is_finite() && end.is_finite() && start >= 0.0 && end <= LATEST) {
            self.fault(number, "its times are no times of a video");
        } else if end <= start {
            self.fault(number, "it ends before it starts");
        } else {
            self.cues.push(cue);
        }
    }
}

impl Captions {
    /// Reads a caption file; the format is told by the content.
    ///
    /// # Errors
    /// A file that is missing, unreadable, too large, of no known format or mostly broken.
    pub fn read(path: &Path) -> Result<Self, CaptionError> {
        let at = |fault: CaptionFault| fault.at(path);
        let metadata = std::fs::metadata(path).map_err(|error| at(error.into()))?;
        if metadata.len() > LARGEST_FILE {
            return Err(at(CaptionFault::TooLarge(metadata.len() >> 20)));
        }
        let bytes = std::fs::read(path).map_err(|error| at(error.into()))?;
        Self::from_bytes(&bytes).map_err(at)
    }

    /// As [`Captions::read`], of a file's content.
    ///
    /// # Errors
    /// Content of no known format, or mostly broken cues.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CaptionFault> {
        let text = markup::decode(bytes);
        let body = text.trim_start();
        let mut parsed = if body.is_empty() {
            return Err(CaptionFault::Empty);
        } else if body.starts_with(['{', '[']) {
            youtube::parse(body)?
        } else {
            subtitles::parse(&text)?
        };
        let cues = parsed.cues.len() + parsed.faults.len();
        order::drop_misplaced(&mut parsed);
        let broken = parsed.faults.len();
        if cues == 0 {
            return Err(CaptionFault::NoCues);
        }
        parsed.faults.sort_by_key(|fault| fault.cue);
        if broken as f64 > TOLERATED_SHARE * cues as f64 {
            let first = parsed.faults.first().map_or_else(String::new, |fault| {
                format!("cue {}: {}", fault.cue, fault.reason)
            });
            return Err(CaptionFault::MostlyBroken {
                broken,
                cues,
                first,
            });
        }
        let names = clean::recurring_names(&parsed.cues);
        let cues_in_order = unroll::unroll(parsed.cues);
        Ok(Self {
            words: words::words(&cues_in_order, &names),
            cues,
            faults: parsed.faults,
        })
    }

    /// Whether the words have enough punctuation to be grouped by it.
    pub fn has_punctuation(&self) -> bool {
        sentences::has_punctuation(&self.words)
    }

    /// Groups the words by their punctuation, or by pauses where there is none.
    pub fn sentences(&self, options: &SentenceOptions) -> Sentences {
        sentences::group(&self.words, options, None)
    }

    /// As [`Captions::sentences`], but where there is no punctuation by what a model says: whether
    /// each word ends a sentence.
    pub fn sentences_by(&self, options: &SentenceOptions, ends: &[bool]) -> Sentences {
        sentences::group(&self.words, options, Some(ends))
    }
}

#[cfg(test)]
mod tests;
