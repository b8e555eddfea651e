//! `data stats`: what a corpus is like.

use emotionclip::Emotion;
use serde::Serialize;

use super::error::ShardError;
use super::set::ShardSet;

/// How often values fall into classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distribution {
    /// What is counted, with its unit.
    pub name: String,
    /// Names of the classes.
    pub labels: Vec<String>,
    /// How many are in each.
    pub counts: Vec<usize>,
    /// The mean, where values are numbers.
    pub mean: Option<f64>,
}

/// What a corpus is like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShardStats {
    /// Clips.
    pub samples: usize,
    /// Videos.
    pub videos: usize,
    /// Frames.
    pub frames: usize,
    /// Hours.
    pub hours: f64,
    /// Bytes of all shards.
    pub bytes: u64,
    /// Durations, lengths of texts, sentiments, people a frame.
    pub distributions: Vec<Distribution>,
}

/// Counts durations, lengths of texts and sentiments of all clips, and people in the frames of every
/// clip whose number is a multiple of `every`: those have to be read.
///
/// # Errors
/// For an `every` of 0, and for a clip that can't be read.
pub fn stats(set: &ShardSet, every: usize, tick: &dyn Fn(usize)) -> Result<ShardStats, ShardError> {
    if every == 0 {
        return Err(ShardError::Setting(
            "every: give a number above 0".to_owned(),
        ));
    }
    let samples = set.samples();
    let numbers =
        |value: fn(&super::SampleEntry) -> f64| samples.iter().map(value).collect::<Vec<f64>>();
    let words = numbers(|sample| sample.text.split_whitespace().count() as f64);
    let mut people = Vec::new();
    for index in (0..samples.len()).step_by(every) {
        let sample = set.read(index)?;
        people.extend(sample.record.boxes.iter().map(|boxes| boxes.len() as f64));
        tick(index);
    }
    let mut sentiments = vec![0; Emotion::COUNT];
    for sample in samples {
        if let Some(count) = sentiments.get_mut(dominant(&sample.sentiment).index()) {
            *count += 1;
        }
    }
    let mut videos: Vec<&str> = samples
        .iter()
        .map(|sample| sample.video_id.as_str())
        .collect();
    videos.sort_unstable();
    videos.dedup();
    let durations = numbers(|sample| sample.duration);
    Ok(ShardStats {
        samples: samples.len(),
        videos: videos.len(),
        frames: samples.iter().map(|sample| sample.frames).sum(),
        hours: durations.iter().sum::<f64>() / 3600.0,
        bytes: set.list().shards.iter().map(|shard| shard.bytes).sum(),
        distributions: vec![
            histogram("duration, s", &durations, 0.5),
            histogram("words a sentence", &words, 2.0),
            histogram(
                "neutral score",
                &numbers(|sample| f64::from(sample.neutral)),
                0.05,
            ),
            Distribution {
                name: "dominant sentiment".to_owned(),
                labels: Emotion::ALL
                    .iter()
                    .map(|emotion| emotion.name().to_owned())
                    .collect(),
                counts: sentiments,
                mean: None,
            },
            histogram("people a frame", &people, 1.0),
        ],
    })
}

/// The emotion with the highest logit, the first among equals.
pub(super) fn dominant(logits: &[f32; Emotion::COUNT]) -> Emotion {
    let mut best = (Emotion::ALL[0], f32::NEG_INFINITY);
    for (emotion, logit) in Emotion::ALL.into_iter().zip(logits) {
        if *logit > best.1 {
            best = (emotion, *logit);
        }
    }
    best.0
}

/// Classes of `width` from 0; what lies beyond the fortieth counts there.
fn histogram(name: &str, values: &[f64], width: f64) -> Distribution {
    const MOST: usize = 40;
    let place = |value: &f64| ((value / width).floor().max(0.0) as usize).min(MOST - 1);
    let highest = values.iter().map(place).max().unwrap_or(0);
    let lowest = values.iter().map(place).min().unwrap_or(0);
    let mut counts = vec![0; highest + 1 - lowest];
    for value in values {
        if let Some(count) = counts.get_mut(place(value) - lowest) {
            *count += 1;
        }
    }
    let label = |place: usize| {
        let text = format!("{:.2}", place as f64 * width);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        if place == MOST - 1 {
            format!("≥ {text}")
        } else {
            text.to_owned()
        }
    };
    Distribution {
        name: name.to_owned(),
        labels: (lowest..=highest).map(label).collect(),
        mean: (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64),
        counts,
    }
}
