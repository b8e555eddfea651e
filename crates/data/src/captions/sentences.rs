//! From words to sentences.

use serde::{Deserialize, Serialize};

use super::{Sentence, Word};

/// How words are grouped into sentences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SentenceOptions {
    /// Seconds without speech that end a sentence even where punctuation doesn't.
    pub longest_pause_secs: f64,
    /// Seconds without speech that end a sentence where there is no punctuation at all.
    pub pause_secs: f64,
    /// Seconds after which a sentence without punctuation is cut at its longest pause.
    pub longest_secs: f64,
}

impl Default for SentenceOptions {
    fn default() -> Self {
        Self {
            longest_pause_secs: 2.0,
            pause_secs: 0.4,
            longest_secs: 9.0,
        }
    }
}

/// What the sentences of a file were told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grouping {
    /// Full stops, question and exclamation marks.
    Punctuation,
    /// A model that puts punctuation in, for there is none.
    Model,
    /// Pauses, for there is no punctuation.
    Pauses,
}

/// The sentences of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Sentences {
    /// What they were told by.
    pub grouping: Grouping,
    /// In time order.
    pub sentences: Vec<Sentence>,
}

/// Words a sentence beyond which a text counts as one without punctuation. Spoken English has some
/// ten; automatic captions have a stray mark here and there.
const WORDS_A_MARK: usize = 40;

/// Words that end with a full stop and end nothing.
const ABBREVIATIONS: [&str; 14] = [
    "dr.", "e.g.", "etc.", "i.e.", "jr.", "mr.", "mrs.", "ms.", "no.", "prof.", "sr.", "st.",
    "u.s.", "vs.",
];

pub(super) fn has_punctuation(words: &[Word]) -> bool {
    let marks = words.iter().filter(|word| ends_sentence(&word.text));
    marks.count() * WORDS_A_MARK >= words.len()
}

pub(super) fn group(
    words: &[Word],
    options: &SentenceOptions,
    model: Option<&[bool]>,
) -> Sentences {
    let (grouping, parts) = if has_punctuation(words) {
        let ends = |word: &Word, next: &Word| {
            ends_sentence(&word.text) || next.start - word.end >= options.longest_pause_secs
        };
        (Grouping::Punctuation, split(words, ends))
    } else if let Some(model) = model {
        (
            Grouping::Model,
            split_after(words, model, options.longest_pause_secs),
        )
    } else {
        let ends = |word: &Word, next: &Word| next.start - word.end >= options.pause_secs;
        let parts = split(words, ends);
        let short = parts
            .into_iter()
            .flat_map(|part| shorten(part, options.longest_secs));
        (Grouping::Pauses, short.collect())
    };
    Sentences {
        grouping,
        sentences: parts.into_iter().filter_map(sentence).collect(),
    }
}

fn split(words: &[Word], ends: impl Fn(&Word, &Word) -> bool) -> Vec<&[Word]> {
    words.chunk_by(|word, next| !ends(word, next)).collect()
}

/// Cuts behind the words that are marked, and at long pauses.
fn split_after<'a>(words: &'a [Word], marked: &[bool], longest_pause_secs: f64) -> Vec<&'a [Word]> {
    let mut parts = Vec::new();
    let mut from = 0;
    for (index, pair) in words.windows(2).enumerate() {
        let pauses = matches!(pair, [word, next] if next.start - word.end >= longest_pause_secs);
        if pauses || marked.get(index).copied().unwrap_or(false) {
            parts.extend(words.get(from..=index));
            from = index + 1;
        }
    }
    parts.extend(words.get(from..));
    parts
}

/// Cuts a run of words at its longest pause, the one nearest to the middle among equals, until every
/// part is short enough.
fn shorten(words: &[Word], longest_secs: f64) -> Vec<&[Word]> {
    let mut done = Vec::new();
    let mut waiting = vec![words];
    while let Some(words) = waiting.pop() {
        let duration = words
            .first()
            .zip(words.last())
            .map_or(0.0, |(first, last)| last.end - first.start);
        if words.len() < 2 || duration <= longest_secs {
            done.push(words);
            continue;
        }
        let middle = words.len() as f64 / 2.0;
        let cut = (1..words.len()).max_by(|a, b| {
            let pause = |at: usize| match words.get(at - 1..=at) {
                // To a hundredth, or rounding would choose among equals.
                Some([word, next]) => ((next.start - word.end) * 100.0).round(),
                _ => 0.0,
            };
            let nearness = |at: usize| -(at as f64 - middle).abs();
            let by_pause = pause(*a).total_cmp(&pause(*b));
            by_pause
                .then(nearness(*a).total_cmp(&nearness(*b)))
                .then(b.cmp(a))
        });
        let (left, right) = words.split_at(cut.unwrap_or(1));
        waiting.extend([right, left]);
    }
    done
}

fn sentence(words: &[Word]) -> Option<Sentence> {
    let (first, last) = words.first().zip(words.last())?;
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let to_milliseconds = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
    let (start, end) = (to_milliseconds(first.start), to_milliseconds(last.end));
    Some(Sentence {
        text: texts.join(" "),
        start,
        end,
        duration: to_milliseconds(end - start),
    })
}

fn ends_sentence(word: &str) -> bool {
    let bare = word.trim_end_matches(['"', '\'', '”', '’', '»', ')', ']']);
    if bare.ends_with(['!', '?', '…', '。', '！', '？']) {
        return true;
    }
    let lower = bare.to_lowercase();
    // A single letter with a full stop is an initial.
    bare.ends_with('.') && bare.chars().count() > 2 && !ABBREVIATIONS.contains(&lower.as_str())
}
