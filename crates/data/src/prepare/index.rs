//! Step `index`: which sentences become clips.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::Path;

use emotionclip::Emotion;
use serde::{Deserialize, Serialize};

use super::captions::CaptionFile;
use super::duplicates::{EvaluationSets, HashMatcher};
use super::error::PrepareError;
use super::filters::{DropReason, IndexFilters};
use super::frames::VideoFile;
use super::sentiment::SentimentFile;
use super::step::Skip;
use super::subjects::BoxesFile;
use super::work::{WorkFolder, read_json, stamp, write_file, write_json};
use crate::captions::Sentence;

/// A clip of the corpus: an entry of the release's index, and what the release keeps beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// Id of the video.
    pub video_id: String,
    /// Number of the sentence in its video, from 0.
    pub sentence: usize,
    /// Seconds since the start of the video.
    pub start: f64,
    /// Seconds since the start of the video.
    pub end: f64,
    /// Seconds from start to end.
    pub duration: f64,
    /// Number of the first frame.
    pub start_frame: usize,
    /// Number of the last frame, which belongs to the clip.
    pub end_frame: usize,
    /// What is said.
    pub text: String,
    /// Probability of neutral.
    pub neutral_score: f32,
    /// Share of frames with somebody in them.
    pub has_person: f64,
    /// Logits in the order of [`Emotion::ALL`].
    pub sentiment_logits: [f32; Emotion::COUNT],
    /// What the video's frames and boxes were made from; changes when they do.
    pub made_from: String,
}

/// What the index kept and dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexReport {
    /// The settings.
    pub filters: IndexFilters,
    /// Videos with frames, sentences, scores and boxes.
    pub videos: usize,
    /// Their sentences.
    pub sentences: usize,
    /// Sentences that become clips.
    pub kept: usize,
    /// How many were dropped for which reason; the first that holds counts.
    pub dropped: BTreeMap<DropReason, usize>,
    /// Videos that stand in an evaluation set or show some of its frames.
    pub evaluation_videos: Vec<String>,
    /// Videos that lack something.
    pub skipped: Vec<Skip>,
}

/// Numbers of the frames of a sentence: ⌈rate · start⌉ to ⌊rate · end⌋, both included.
pub(super) fn frame_range(sentence: &Sentence, fps: f64) -> RangeInclusive<usize> {
    // The casts saturate.
    (sentence.start * fps).ceil() as usize..=(sentence.end * fps).floor() as usize
}

/// Writes `index.json` and its report.
///
/// # Errors
/// A disk that refuses, or no sentence left.
pub fn write_index(
    work: &WorkFolder,
    filters: &IndexFilters,
    sets: &EvaluationSets,
) -> Result<IndexReport, PrepareError> {
    let mut report = IndexReport {
        filters: filters.clone(),
        videos: 0,
        sentences: 0,
        kept: 0,
        dropped: BTreeMap::new(),
        evaluation_videos: Vec::new(),
        skipped: Vec::new(),
    };
    let against = Against {
        sets,
        frames: sets.matcher(filters.max_hash_distance),
    };
    let mut entries = Vec::new();
    for id in work.ids()? {
        match Parts::read(work, &id) {
            Ok(parts) => {
                report.videos += 1;
                parts.index(&id, filters, &against, &mut entries, &mut report);
            }
            Err(missing) => report.skipped.push(Skip::left_out(id, missing)),
        }
    }
    report.kept = entries.len();
    let root = work.root();
    write_json(&root.join("index-report.json"), &report)?;
    write_file(&root.join("index-report.md"), report.markdown().as_bytes())?;
    write_json(&root.join("index.json"), &entries)?;
    if entries.is_empty() {
        let problem = format!(
            "no sentence of {} is left after the filters ({}); see index-report.md and loosen them",
            report.sentences,
            report.summary()
        );
        return Err(PrepareError::Nothing {
            path: root.to_owned(),
            problem,
        });
    }
    Ok(report)
}

/// Reads `index.json` of a work folder.
///
/// # Errors
/// If it is missing or no index.
pub fn read_index(root: &Path) -> Result<Vec<IndexEntry>, PrepareError> {
    let path = root.join("index.json");
    let bytes = std::fs::read(&path).map_err(|error| {
        let problem = format!("{error}; run `trainer data index` first");
        PrepareError::Nothing {
            path: path.clone(),
            problem,
        }
    })?;
    serde_json::from_slice(&bytes).map_err(|error| PrepareError::Malformed {
        path,
        problem: format!("no index ({error}); run `trainer data index` again"),
    })
}

/// What a corpus is compared with.
struct Against<'a> {
    sets: &'a EvaluationSets,
    frames: HashMatcher,
}

/// What the steps before made of a video.
struct Parts {
    video: VideoFile,
    captions: CaptionFile,
    sentiment: SentimentFile,
    boxes: BoxesFile,
}

impl Parts {
    fn read(work: &WorkFolder, id: &str) -> Result<Self, &'static str> {
        let folder = work.video(id);
        let parts = Self {
            video: read_json(&folder.join("video.json")).ok_or("no frames")?,
            captions: read_json(&folder.join("captions.json")).ok_or("no sentences")?,
            sentiment: read_json(&folder.join("sentiment.json")).ok_or("no sentiment scores")?,
            boxes: read_json(&folder.join("boxes.json")).ok_or("no boxes")?,
        };
        if parts.sentiment.scores.len() != parts.captions.sentences.len() {
            return Err("scores of other sentences; run `trainer data sentiment` again");
        }
        Ok(parts)
    }

    fn index(
        &self,
        id: &str,
        filters: &IndexFilters,
        against: &Against<'_>,
        entries: &mut Vec<IndexEntry>,
        report: &mut IndexReport,
    ) {
        let is_evaluation = [self.video.source.as_str(), id]
            .iter()
            .any(|name| against.sets.holds_id(name));
        let made_from = stamp(&(&self.video.digest, &self.boxes.stamp, &self.sentiment.stamp));
        let mut seen = BTreeSet::new();
        let mut looks_like_evaluation = false;
        for (number, sentence) in self.captions.sentences.iter().enumerate() {
            report.sentences += 1;
            let reason = if is_evaluation {
                Some(DropReason::EvaluationVideo)
            } else {
                self.reason(number, sentence, filters, against, &mut seen)
            };
            if let Some(reason) = reason {
                looks_like_evaluation |= reason == DropReason::EvaluationFrames;
                *report.dropped.entry(reason).or_default() += 1;
                continue;
            }
            let frames = frame_range(sentence, self.video.fps);
            let Some(score) = self.sentiment.scores.get(number) else {
                continue;
            };
            entries.push(IndexEntry {
                video_id: id.to_owned(),
                sentence: number,
                start: sentence.start,
                end: sentence.end,
                duration: sentence.duration,
                start_frame: *frames.start(),
                end_frame: *frames.end(),
                text: sentence.text.clone(),
                neutral_score: score.neutral,
                has_person: self.has_person(&frames, filters.person_score),
                sentiment_logits: score.logits,
                made_from: made_from.clone(),
            });
        }
        if is_evaluation || looks_like_evaluation {
            report.evaluation_videos.push(id.to_owned());
        }
    }

    fn reason<'a>(
        &'a self,
        number: usize,
        sentence: &'a Sentence,
        filters: &IndexFilters,
        against: &Against<'_>,
        seen: &mut BTreeSet<(&'a str, usize, usize)>,
    ) -> Option<DropReason> {
        let frames = frame_range(sentence, self.video.fps);
        let (start, end) = (*frames.start(), *frames.end());
        let last = self.video.first + self.video.frames;
        let neutral = self
            .sentiment
            .scores
            .get(number)
            .map_or(1.0, |score| score.neutral);
        // Compared as f32: a limit of 0.05 must keep a score that reads 0.05.
        let max_neutral = filters.max_neutral as f32;
        if sentence.duration <= filters.longer_than_secs {
            Some(DropReason::TooShort)
        } else if sentence.duration >= filters.shorter_than_secs {
            Some(DropReason::TooLong)
        } else if end.saturating_add(1).saturating_sub(start) < filters.min_frames {
            Some(DropReason::TooFewFrames)
        } else if start < self.video.first || end >= last {
            Some(DropReason::FramesMissing)
        } else if sentence.text.chars().count() < filters.min_characters {
            Some(DropReason::TextTooShort)
        } else if neutral > max_neutral {
            Some(DropReason::Neutral)
        } else if self.has_person(&frames, filters.person_score) < filters.min_has_person {
            Some(DropReason::NobodyThere)
        } else if self.looks_like(&against.frames, &frames) {
            Some(DropReason::EvaluationFrames)
        } else if !seen.insert((&sentence.text, start, end)) {
            Some(DropReason::Repeated)
        } else {
            None
        }
    }

    fn has_person(&self, frames: &RangeInclusive<usize>, score: f32) -> f64 {
        let total = frames.clone().count().max(1);
        let is_there = |number: &usize| {
            let boxes = self.boxes.frames.get(number);
            boxes.is_some_and(|boxes| boxes.iter().any(|[.., found]| *found > score))
        };
        frames.clone().filter(is_there).count() as f64 / total as f64
    }

    /// Whether one of the clip's hashed frames, of which there is one a second, is of a set.
    fn looks_like(&self, known: &HashMatcher, frames: &RangeInclusive<usize>) -> bool {
        let every = self.video.fps.round().max(1.0) as usize;
        let place = |number: usize| number.saturating_sub(self.video.first) / every;
        let hashes = self
            .video
            .hashes
            .get(place(*frames.start())..=place(*frames.end()));
        // At the very end of a video there may be no hash behind the clip's last second.
        let hashes = hashes.or_else(|| self.video.hashes.get(place(*frames.start())..));
        hashes.is_some_and(|hashes| hashes.iter().any(|hash| known.matches(*hash)))
    }
}

impl IndexReport {
    /// The reasons on one line.
    pub fn summary(&self) -> String {
        let parts = self
            .dropped
            .iter()
            .map(|(reason, count)| format!("{}: {count}", reason.describe()));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// The report as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Index\n\n{} of {} sentences of {} videos became clips.\n\n| dropped because | sentences |\n|---|---:|\n",
            self.kept, self.sentences, self.videos
        );
        // Writing to a string can't fail.
        for (reason, count) in &self.dropped {
            let _ = writeln!(text, "| {} | {count} |", reason.describe());
        }
        let filters = &self.filters;
        let _ = writeln!(
            text,
            "\nA sentence counts under the first reason that holds. Kept: longer than {} s, shorter than {} s, at \
             least {} frames and {} characters, neutral score at most {}, somebody in at least {} of the frames.",
            filters.longer_than_secs,
            filters.shorter_than_secs,
            filters.min_frames,
            filters.min_characters,
            filters.max_neutral,
            filters.min_has_person
        );
        if !self.evaluation_videos.is_empty() {
            let _ = writeln!(text, "\n## In evaluation sets\n");
            for id in &self.evaluation_videos {
                let _ = writeln!(text, "- `{id}`");
            }
        }
        if !self.skipped.is_empty() {
            let _ = writeln!(text, "\n## Videos left out\n");
            for skip in &self.skipped {
                let _ = writeln!(text, "- `{}`: {}", skip.item, skip.reason);
            }
        }
        text
    }
}
