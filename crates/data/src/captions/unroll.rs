//! Cues that overlap or repeat each other.

use super::{Cue, Piece};

/// Cues this close in seconds follow each other without a pause.
const TOUCHING: f64 = 0.1;

/// Cues in order that neither overlap nor repeat: a line that is shown again while the next rolls in is
/// taken once, the same caption shown again is one, and a cue ends where the next begins, as in the
/// release.
pub(super) fn unroll(cues: Vec<Cue>) -> Vec<Cue> {
    let mut unrolled: Vec<Cue> = Vec::with_capacity(cues.len());
    // The last line shown so far, and until when.
    let mut shown = (String::new(), f64::NEG_INFINITY);
    for mut cue in cues {
        cue.lines.retain(|line| !plain(line).is_empty());
        let Some(last) = cue.lines.last().map(|line| plain(line)) else {
            continue;
        };
        let touches = cue.start <= shown.1 + TOUCHING;
        let end = cue.end;
        // After a silence too, where words with times of their own roll in below a line that has none.
        let rolls_in = match cue.lines.as_slice() {
            [top, below, ..] => !is_timed(top) && is_timed(below),
            _ => false,
        };
        if touches || rolls_in {
            let repeated = cue.lines.iter().position(|line| plain(line) == shown.0);
            // Only lines from the top: what stands below a new line is new.
            if repeated == Some(0) {
                cue.lines.remove(0);
            }
        }
        if let Some(before) = unrolled.last_mut() {
            let overlaps = cue.start < before.end + TOUCHING;
            if overlaps && (cue.lines.is_empty() || text(&cue) == text(before)) {
                before.end = before.end.max(end);
                shown.1 = shown.1.max(end);
                continue;
            }
            if cue.start <= before.start {
                before.end = before.end.max(cue.end);
                before.lines.append(&mut cue.lines);
                shown = (last, end.max(shown.1));
                continue;
            }
            before.end = before.end.min(cue.start);
        }
        shown = (last, end);
        if !cue.lines.is_empty() {
            unrolled.push(cue);
        }
    }
    unrolled
}

fn is_timed(line: &[Piece]) -> bool {
    line.iter().any(|piece| piece.start.is_some())
}

fn plain(line: &[Piece]) -> String {
    let joined: String = line.iter().map(|piece| piece.text.as_str()).collect();
    let untagged = super::markup::without_tags(&joined);
    untagged.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text(cue: &Cue) -> String {
    cue.lines
        .iter()
        .map(|line| plain(line))
        .collect::<Vec<_>>()
        .join(" ")
}
