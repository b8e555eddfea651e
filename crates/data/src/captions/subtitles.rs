//! `SubRip` and `WebVTT`: timing lines with text below.

use super::error::CaptionFault;
use super::markup::BROKEN;
use super::{Cue, Parsed, Piece, timestamp};

/// Parses either format; they differ in nothing that matters once a cue's text is all that counts.
///
/// # Errors
/// A text without a single timing line.
pub(super) fn parse(text: &str) -> Result<Parsed, CaptionFault> {
    let is_web = text.trim_start().starts_with("WEBVTT");
    // Untrimmed: a line of one space is no blank line.
    let lines: Vec<&str> = text.lines().collect();
    let mut parsed = Parsed::default();
    let mut number = 0;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        if is_web && is_block_without_text(line) {
            while lines.get(at).is_some_and(|line| !line.trim().is_empty()) {
                at += 1;
            }
            continue;
        }
        let Some(times) = timestamp::range(line) else {
            continue;
        };
        number += 1;
        let mut shown = Vec::new();
        while let Some(line) = lines.get(at) {
            if line.trim().is_empty() {
                // A rolling caption has a line of nothing but a space.
                if line.is_empty()
                    || !lines
                        .get(at - 1)
                        .is_some_and(|before| before.contains("-->"))
                {
                    break;
                }
            } else if timestamp::range(line).is_some() {
                // The blank line is missing; the number or name above belongs to the next cue.
                let named = shown.last().is_some_and(|last: &&str| is_number(last));
                if named {
                    shown.pop();
                }
                break;
            }
            shown.push(*line);
            at += 1;
        }
        let Some((start, end)) = times else {
            parsed.fault(number, "its times can't be read");
            continue;
        };
        if shown.iter().any(|line| line.contains(BROKEN)) {
            parsed.fault(number, "its text is not UTF-8");
            continue;
        }
        let lines = shown.into_iter().map(pieces).collect();
        parsed.take(Cue {
            number,
            start,
            end,
            lines,
        });
    }
    if number == 0 {
        let what = if is_web {
            "a WebVTT file without a cue"
        } else {
            "not a caption file"
        };
        return Err(CaptionFault::UnknownFormat(what.to_owned()));
    }
    Ok(parsed)
}

/// Comments, styles and regions of `WebVTT`.
fn is_block_without_text(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    matches!(word, "NOTE" | "STYLE" | "REGION") && !line.contains("-->")
}

fn is_number(line: &str) -> bool {
    !line.trim().is_empty() && line.trim().bytes().all(|byte| byte.is_ascii_digit())
}

/// A line, cut where `WebVTT` gives a time inside it: `so <00:00:01.500>what`.
fn pieces(line: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut start = None;
    let mut text = String::new();
    let mut rest = line;
    while let Some(open) = rest.find('<') {
        let (before, from) = rest.split_at(open);
        text.push_str(before);
        let inside = from.get(1..).unwrap_or_default();
        let time = inside.find('>').and_then(|close| {
            Some((
                timestamp::seconds(inside.get(..close)?)?,
                inside.get(close + 1..)?,
            ))
        });
        match time {
            Some((time, after)) => {
                pieces.push(Piece {
                    start,
                    text: std::mem::take(&mut text),
                });
                start = Some(time);
                rest = after;
            }
            None => {
                text.push('<');
                rest = inside;
            }
        }
    }
    text.push_str(rest);
    pieces.push(Piece { start, text });
    pieces.retain(|piece| !piece.text.is_empty());
    pieces
}
