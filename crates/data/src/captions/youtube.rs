//! `YouTube`'s transcripts as JSON: `json3`, and the list that transcript downloaders write.

use serde::Deserialize;

use super::error::CaptionFault;
use super::markup::BROKEN;
use super::{Cue, Parsed, Piece};

#[derive(Deserialize)]
struct Json3 {
    events: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    t_start_ms: Option<f64>,
    d_duration_ms: Option<f64>,
    #[serde(default)]
    segs: Vec<Segment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Segment {
    #[serde(default)]
    utf8: String,
    t_offset_ms: Option<f64>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    text: String,
    start: Option<f64>,
    duration: Option<f64>,
    end: Option<f64>,
}

/// Parses either form.
///
/// # Errors
/// JSON that is broken or of another form.
pub(super) fn parse(text: &str) -> Result<Parsed, CaptionFault> {
    let unknown = |error: serde_json::Error| {
        CaptionFault::UnknownFormat(format!("no transcript of YouTube's ({error})"))
    };
    let mut parsed = Parsed::default();
    if text.starts_with('{') {
        let transcript: Json3 = serde_json::from_str(text).map_err(unknown)?;
        for (number, event) in (1..).zip(transcript.events) {
            take_event(number, event, &mut parsed);
        }
    } else {
        let transcript: Vec<Entry> = serde_json::from_str(text).map_err(unknown)?;
        for (number, entry) in (1..).zip(transcript) {
            take_entry(number, &entry, &mut parsed);
        }
    }
    Ok(parsed)
}

fn take_event(number: usize, event: Event, parsed: &mut Parsed) {
    // Events that set up windows and styles, and those that only break the line.
    if event
        .segs
        .iter()
        .all(|segment| segment.utf8.trim().is_empty())
    {
        return;
    }
    let (Some(start), Some(duration)) = (event.t_start_ms, event.d_duration_ms) else {
        return parsed.fault(number, "it has no times");
    };
    if event
        .segs
        .iter()
        .any(|segment| segment.utf8.contains(BROKEN))
    {
        return parsed.fault(number, "its text is not UTF-8");
    }
    let mut lines = vec![Vec::new()];
    for segment in event.segs {
        let from = segment.t_offset_ms.map(|offset| (start + offset) / 1000.0);
        push_lines(&mut lines, from, &segment.utf8);
    }
    let (start, end) = (start / 1000.0, (start + duration) / 1000.0);
    parsed.take(Cue {
        number,
        start,
        end,
        lines,
    });
}

fn take_entry(number: usize, entry: &Entry, parsed: &mut Parsed) {
    if entry.text.contains(BROKEN) {
        return parsed.fault(number, "its text is not UTF-8");
    }
    let end = entry.end.or_else(|| Some(entry.start? + entry.duration?));
    let (Some(start), Some(end)) = (entry.start, end) else {
        return parsed.fault(number, "it has no times");
    };
    let mut lines = vec![Vec::new()];
    push_lines(&mut lines, None, &entry.text);
    parsed.take(Cue {
        number,
        start,
        end,
        lines,
    });
}

fn push_lines(lines: &mut Vec<Vec<Piece>>, mut start: Option<f64>, text: &str) {
    for (index, part) in text.split('\n').enumerate() {
        if index > 0 {
            lines.push(Vec::new());
        }
        if let Some(line) = lines.last_mut()
            && !part.is_empty()
        {
            line.push(Piece {
                start: start.take(),
                text: part.to_owned(),
            });
        }
    }
}
