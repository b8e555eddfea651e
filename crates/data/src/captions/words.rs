//! Words and their times.

use super::clean::{self, Names};
use super::{Cue, Word};

/// A word before its times are known.
struct Token {
    characters: Vec<char>,
    start: Option<f64>,
}

/// The words of cues that don't overlap. Where a format gives a word's time it is taken; the others
/// share what lies between evenly, as in the release.
pub(super) fn words(cues: &[Cue], names: &Names) -> Vec<Word> {
    cues.iter()
        .flat_map(|cue| timed(cue, tokens(cue, names)))
        .collect()
}

fn tokens(cue: &Cue, names: &Names) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for line in &cue.lines {
        // Whether the next piece goes on with the word before it.
        let mut joined = false;
        for piece in clean::spoken(line, names) {
            let mut start = piece.start;
            let begins_inside = !piece.text.starts_with(char::is_whitespace);
            for (index, word) in piece.text.split_whitespace().enumerate() {
                match tokens.last_mut() {
                    Some(last) if index == 0 && joined && begins_inside => {
                        last.characters.extend(word.chars());
                    }
                    _ => tokens.push(Token {
                        characters: word.chars().collect(),
                        start: start.take(),
                    }),
                }
            }
            joined = !piece.text.is_empty() && !piece.text.ends_with(char::is_whitespace);
        }
    }
    without_unspoken(tokens)
}

/// Brackets may span words and lines, so they are looked for in the whole cue.
fn without_unspoken(tokens: Vec<Token>) -> Vec<Token> {
    let mut all: Vec<char> = Vec::new();
    for token in &tokens {
        all.extend(&token.characters);
        all.push(' ');
    }
    let mut hidden = clean::unspoken(&all).into_iter();
    let mut kept = Vec::with_capacity(tokens.len());
    for mut token in tokens {
        token.characters.retain(|_| !hidden.next().unwrap_or(false));
        // The space behind it.
        hidden.next();
        if token.characters.iter().any(|one| one.is_alphanumeric()) {
            kept.push(token);
        } else if let Some(before) = kept.last_mut().filter(|_| is_closing(&token.characters)) {
            let before: &mut Token = before;
            before.characters.extend(token.characters);
        }
    }
    kept
}

/// Punctuation that stands apart, as in French: it belongs to the word before.
fn is_closing(characters: &[char]) -> bool {
    !characters.is_empty() && characters.iter().all(|one| ".,!?…;:\"”»".contains(*one))
}

fn timed(cue: &Cue, tokens: Vec<Token>) -> Vec<Word> {
    let count = tokens.len();
    let mut starts: Vec<Option<f64>> = Vec::with_capacity(count + 1);
    let mut latest = cue.start;
    for token in &tokens {
        let start = token.start.map(|start| start.clamp(latest, cue.end));
        latest = start.unwrap_or(latest);
        starts.push(start);
    }
    // The first word begins with the cue unless the file says otherwise.
    if let Some(first) = starts.first_mut() {
        first.get_or_insert(cue.start);
    }
    starts.push(Some(cue.end));
    let mut filled = vec![cue.start; count + 1];
    let mut known = (0, cue.start);
    for (index, start) in starts.iter().enumerate() {
        let Some(start) = start else { continue };
        let gap = (index - known.0).max(1) as f64;
        for (step, slot) in filled.iter_mut().take(index + 1).skip(known.0).enumerate() {
            *slot = known.1 + (start - known.1) * step as f64 / gap;
        }
        if let Some(slot) = filled.get_mut(index) {
            *slot = *start;
        }
        known = (index, *start);
    }
    tokens
        .into_iter()
        .zip(filled.windows(2))
        .map(|(token, times)| Word {
            text: token.characters.into_iter().collect(),
            start: times.first().copied().unwrap_or(cue.start),
            end: times.last().copied().unwrap_or(cue.end),
        })
        .collect()
}
