//! The `GoEmotions` corpus (Demszky et al., 2020) with its labels grouped to Ekman's six emotions and
//! neutral.
//!
//! ```text
//! root/labels.txt     the seven names, a line each; a label's id is its line, from 0
//! root/train.tsv      text, label ids apart by commas, comment id
//! root/dev.tsv        the same, for choosing settings
//! root/test.tsv       the same, for the numbers reported
//! ```
//!
//! Texts are as the corpus has them, names and religions masked as `[NAME]` and `[RELIGION]`;
//! [`unmask`](emotionclip::text_classifier::unmask) turns them into words.

use std::path::{Path, PathBuf};

use emotionclip::Emotion;

use crate::synthetic::Split;

/// Names of the labels.
const LABELS: &str = "labels.txt";

/// Lines that may be unreadable before the file is refused, as a share of all.
const LARGEST_SKIPPED_SHARE: f64 = 0.01;

/// A comment and what its readers felt in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// The comment.
    pub text: String,
    /// Its labels in the order of [`Emotion::ALL`], at least one.
    pub labels: Vec<Emotion>,
    /// The comment's id, the same in every copy of the corpus.
    pub id: String,
}

impl Utterance {
    /// The labels as ones among zeros, in the order of [`Emotion::ALL`].
    pub fn indicator(&self) -> [bool; Emotion::COUNT] {
        Emotion::ALL.map(|emotion| self.labels.contains(&emotion))
    }
}

/// One part of the corpus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Utterances {
    /// In the order of the file.
    pub utterances: Vec<Utterance>,
    /// Lines left out, each with its number and what is wrong with it.
    pub skipped: Vec<String>,
}

/// Why a folder can't be read as the corpus.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GoEmotionsError {
    /// A file is missing or unreadable.
    #[error(
        "{}: cannot be read ({source}); give the folder with train.tsv, dev.tsv, test.tsv and \
         labels.txt", path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The names of the labels are not the seven emotions.
    #[error(
        "{}: {problem}; expected anger, disgust, fear, joy, neutral, sadness and surprise, a line \
         each", path.display()
    )]
    Labels {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// More lines are wrong than chance explains, or there are none.
    #[error(
        "{}: {problem}; expected lines of text, label ids and comment id apart by tabs",
        path.display()
    )]
    Lines {
        /// The file.
        path: PathBuf,
        /// How many, and the first of them.
        problem: String,
    },
}

/// The file of a part.
pub const fn file_name(split: Split) -> &'static str {
    match split {
        Split::Train => "train.tsv",
        Split::Validation => "dev.tsv",
        Split::Test => "test.tsv",
    }
}

/// Reads one part of the corpus in `root`.
///
/// A line that is no utterance is skipped, counted and named.
///
/// # Errors
/// A file that is missing or not UTF-8, labels that are not the seven emotions, no utterance at
/// all, or more than 1 % of the lines skipped.
pub fn read(root: &Path, split: Split) -> Result<Utterances, GoEmotionsError> {
    let labels = read_labels(root)?;
    let path = root.join(file_name(split));
    let content = read_text(&path)?;
    let mut part = Utterances::default();
    for (number, line) in (1..).zip(content.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        match parse_line(line, &labels) {
            Ok(utterance) => part.utterances.push(utterance),
            Err(problem) => part.skipped.push(format!("line {number}: {problem}")),
        }
    }
    let (kept, skipped) = (part.utterances.len(), part.skipped.len());
    let share = skipped as f64 / (kept + skipped).max(1) as f64;
    if let Some(first) = part.skipped.first()
        && share > LARGEST_SKIPPED_SHARE
    {
        let problem = format!(
            "{skipped} of {} lines can't be read, first {first}",
            kept + skipped
        );
        return Err(GoEmotionsError::Lines { path, problem });
    }
    if kept == 0 {
        let problem = "no utterance inside".to_owned();
        return Err(GoEmotionsError::Lines { path, problem });
    }
    Ok(part)
}

fn read_text(path: &Path) -> Result<String, GoEmotionsError> {
    std::fs::read_to_string(path).map_err(|source| GoEmotionsError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The emotion of each label id.
fn read_labels(root: &Path) -> Result<Vec<Emotion>, GoEmotionsError> {
    let path = root.join(LABELS);
    let content = read_text(&path)?;
    let fault = |problem| {
        let path = path.clone();
        Err(GoEmotionsError::Labels { path, problem })
    };
    let mut labels = Vec::new();
    for name in content.split_whitespace() {
        match name.parse::<Emotion>() {
            Ok(emotion) if labels.contains(&emotion) => {
                return fault(format!("'{name}' stands there twice"));
            }
            Ok(emotion) => labels.push(emotion),
            Err(_) => return fault(format!("'{name}' is no emotion")),
        }
    }
    if labels.len() != Emotion::COUNT {
        return fault(format!("{} labels", labels.len()));
    }
    Ok(labels)
}

fn parse_line(line: &str, labels: &[Emotion]) -> Result<Utterance, String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let &[text, ids, id] = fields.as_slice() else {
        return Err(format!("{} fields instead of 3", fields.len()));
    };
    let text = unquote(text);
    if text.trim().is_empty() {
        return Err("the text is empty".to_owned());
    }
    let mut found = Vec::new();
    for number in ids.split(',') {
        let emotion = number
            .trim()
            .parse::<usize>()
            .ok()
            .and_then(|number| labels.get(number))
            .ok_or_else(|| format!("'{number}' is no label id"))?;
        found.push(*emotion);
    }
    found.sort();
    found.dedup();
    Ok(Utterance {
        text,
        labels: found,
        id: id.to_owned(),
    })
}

/// A field with quotation marks inside is quoted as in CSV, and its marks are doubled.
fn unquote(field: &str) -> String {
    match field
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(inner) => inner.replace("\"\"", "\""),
        None => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "anger\ndisgust\nfear\njoy\nneutral\nsadness\nsurprise";

    fn folder(labels: &str, train: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("labels.txt"), labels).unwrap();
        std::fs::write(folder.path().join("train.tsv"), train).unwrap();
        folder
    }

    fn message(labels: &str, train: &[u8]) -> String {
        let folder = folder(labels, train);
        read(folder.path(), Split::Train).unwrap_err().to_string()
    }

    #[test]
    fn a_miniature_corpus_is_read_and_its_damaged_line_named() {
        let mut lines: Vec<String> = (0..100)
            .map(|number| format!("fine\t4\tid{number}"))
            .collect();
        lines[1] = "\"They said \"\"run\"\", [NAME]\"\t6,2\tabc\r".to_owned();
        lines[2] = "no labels here".to_owned();
        let folder = folder(NAMES, lines.join("\n").as_bytes());
        let part = read(folder.path(), Split::Train).unwrap();
        assert_eq!(part.utterances.len(), 99);
        assert_eq!(part.skipped, ["line 3: 1 fields instead of 3"]);
        let quoted = &part.utterances[1];
        assert_eq!(quoted.text, "They said \"run\", [NAME]");
        assert_eq!(quoted.labels, [Emotion::Fear, Emotion::Surprise]);
        assert_eq!(quoted.id, "abc");
        let mut expected = [false; 7];
        (expected[2], expected[6]) = (true, true);
        assert_eq!(quoted.indicator(), expected);
    }

    #[test]
    fn ids_follow_the_labels_file() {
        let reversed: Vec<&str> = NAMES.lines().rev().collect();
        let folder = folder(&reversed.join("\n"), b"yay\t3,0\ta");
        let part = read(folder.path(), Split::Train).unwrap();
        assert_eq!(
            part.utterances[0].labels,
            [Emotion::Joy, Emotion::Surprise],
            "reversed, 3 is joy and 0 surprise"
        );
    }

    #[test]
    fn damaged_corpora_are_refused_with_file_and_line() {
        let bad = message(NAMES, b"good\t1\ta\nbad\t9\tb");
        assert!(bad.contains("train.tsv: 1 of 2 lines"), "{bad}");
        assert!(bad.contains("line 2: '9' is no label id"), "{bad}");
        assert!(message(NAMES, b"\n\n").contains("no utterance"));
        assert!(message(NAMES, b"x\xff\t1\ta").contains("train.tsv: cannot be read"));
        assert!(message(NAMES, b" \t1\ta").contains("the text is empty"));
        assert!(message("joy\nglee", b"a\t0\tb").contains("labels.txt: 'glee' is no emotion"));
        assert!(message("joy\njoy", b"a\t0\tb").contains("twice"));
        assert!(message("joy", b"a\t0\tb").contains("labels.txt: 1 labels"));
        let folder = tempfile::tempdir().unwrap();
        let missing = read(folder.path(), Split::Test).unwrap_err().to_string();
        assert!(missing.contains("labels.txt: cannot be read"), "{missing}");
    }
}
