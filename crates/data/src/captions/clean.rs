//! What is written in captions but not said: sounds, songs and who speaks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::{Cue, Piece, markup};

/// Names of speakers that a file uses like `Anna:`; one in capitals is told without this.
pub(super) type Names = BTreeSet<String>;

/// Times a word with a colon must begin a line before it is taken for a name and not for `Remember:`.
const RECURRENCES: usize = 2;

/// Words before a colon, at the start of a line, that look like a name and recur.
pub(super) fn recurring_names(cues: &[Cue]) -> Names {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in cues.iter().flat_map(|cue| &cue.lines) {
        let joined: String = line.iter().map(|piece| piece.text.as_str()).collect();
        let untagged = markup::without_tags(&joined);
        if let Some((name, _)) = title_case_name(untagged.trim_start_matches(['-', '–', '>', ' ']))
        {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    counts.retain(|_, count| *count >= RECURRENCES);
    counts.into_keys().collect()
}

/// The line's pieces without tags, entities, dashes and the speaker's name.
pub(super) fn spoken(line: &[Piece], names: &Names) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = line
        .iter()
        .map(|piece| Piece {
            start: piece.start,
            text: markup::unescape(&markup::without_tags(&piece.text)),
        })
        .collect();
    if let Some(first) = pieces
        .iter_mut()
        .find(|piece| !piece.text.trim().is_empty())
    {
        first.text = without_speaker(&first.text, names).to_owned();
    }
    pieces
}

/// `>> JOHN: - what` to `what`.
fn without_speaker<'a>(text: &'a str, names: &Names) -> &'a str {
    static CAPITALS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^\p{Lu}[\p{Lu}\d .'’#&/-]{0,30}(?:\([^)]*\) ?)?:(?:\s+|$)").ok()
    });
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let marks = trimmed.trim_start_matches(['>', '»']);
        let marks = match marks.strip_prefix(['-', '–', '—']) {
            // `-40 degrees` keeps its sign, `--` is a break in speech that no word loses by.
            Some(after) if !after.starts_with(|next: char| next.is_ascii_digit()) => after,
            _ => marks,
        };
        let capitals = CAPITALS
            .as_ref()
            .and_then(|name| name.find(marks))
            .map(|found| found.end());
        let title = title_case_name(marks)
            .filter(|(name, _)| names.contains(*name))
            .map(|(_, length)| length);
        let next = match capitals.or(title) {
            Some(length) => marks.get(length..).unwrap_or_default(),
            None => marks,
        };
        if next == rest {
            return rest;
        }
        rest = next;
    }
}

/// A name of up to three words before a colon, and the length of both.
fn title_case_name(text: &str) -> Option<(&str, usize)> {
    let (name, _) = text.split_once(": ")?;
    let words: Vec<&str> = name.split(' ').collect();
    let fits = (1..=3).contains(&words.len())
        && words.iter().all(|word| {
            word.chars()
                .next()
                .is_some_and(|first| first.is_uppercase() || first.is_numeric())
                && word
                    .chars()
                    .all(|one| one.is_alphanumeric() || matches!(one, '.' | '\'' | '’' | '-'))
        });
    fits.then_some((name, name.len() + 1))
}

/// Marks the characters that are no speech: `[Music]`, `(laughs)`, `♪ la la ♪`. A bracket that never
/// closes takes only itself.
pub(super) fn unspoken(text: &[char]) -> Vec<bool> {
    let mut hidden = vec![false; text.len()];
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut song = false;
    for (index, character) in text.iter().enumerate() {
        let mut hide = |from: usize| {
            for flag in hidden.iter_mut().take(index + 1).skip(from) {
                *flag = true;
            }
        };
        match character {
            '♪' | '♫' | '♬' => {
                song = !song;
                hide(index);
            }
            _ if song => hide(index),
            '[' | '(' => {
                open.push((index, if *character == '[' { ']' } else { ')' }));
                hide(index);
            }
            ']' | ')' => {
                let from = open.iter().rposition(|(_, close)| close == character);
                match from.and_then(|from| open.drain(from..).next()) {
                    Some((start, _)) => hide(start),
                    None => hide(index),
                }
            }
            _ => {}
        }
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> String {
        let characters: Vec<char> = text.chars().collect();
        let hidden = unspoken(&characters);
        characters
            .iter()
            .zip(hidden)
            .filter(|(_, hidden)| !hidden)
            .map(|(one, _)| *one)
            .collect()
    }

    #[test]
    fn sounds_and_songs_are_not_heard() {
        assert_eq!(heard("[Music] hello (laughs [loudly]) you"), " hello  you");
        assert_eq!(heard("♪ la la ♪ well"), " well");
        assert_eq!(heard("♪ to the end"), "");
        assert_eq!(heard("open [ and shut ) here"), "open  and shut  here");
    }

    #[test]
    fn speakers_are_not_heard_either() {
        let names: Names = ["Anna".to_owned()].into();
        for (text, expected) in [
            (">> JOHN: I know", "I know"),
            ("- MRS. SMITH: - no", "no"),
            ("MAN 2 (on phone): hello", "hello"),
            ("Anna: yes", "yes"),
            ("Remember: the milk", "Remember: the milk"),
            ("-40 degrees", "-40 degrees"),
            ("It is 10:30 now", "It is 10:30 now"),
            ("I: what", "what"),
        ] {
            assert_eq!(without_speaker(text, &names).trim(), expected);
        }
    }
}
