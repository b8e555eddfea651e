//! LIRIS-ACCEDE as in `MediaEval` 2018: films with a pair of numbers for every second.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::boxes::FrameBoxes;
use super::error::{BenchmarkError, SampleFault};
use super::part::{PartBuilder, Pending, ProbePart, ProbeSample, SubjectFrame};
use super::paths::{below, names, pictures};
use super::{LirisInput, ProbeDataset, ProbeOptions};
use crate::synthetic::Split;

const DATASET: ProbeDataset = ProbeDataset::LirisAccede;

/// Labels of a film.
struct Labels {
    /// Rows of the table.
    rows: usize,
    /// Valence and arousal by the second.
    by_second: HashMap<i64, [f64; 2]>,
}

/// What its folder must hold.
pub(super) fn needed() -> Vec<String> {
    ["annotations", "frames", "bboxes"]
        .map(str::to_owned)
        .into()
}

/// Reads both parts. Films are in the order of their names, which decides how the smoothing joins
/// them; the release takes them as the disk gives them.
///
/// # Errors
/// As [`super::ProbeSet::open`].
pub(super) fn read(root: &Path, options: &ProbeOptions) -> Result<Vec<ProbePart>, BenchmarkError> {
    let annotations = root.join("annotations");
    let folders = names(&annotations)?;
    let mut parts = Vec::new();
    for split in [Split::Train, Split::Test] {
        let is_test = |name: &str| name.to_lowercase().contains("test");
        let mut part = PartBuilder::new(DATASET, split, &annotations);
        for folder in &folders {
            let tables = annotations.join(folder).join("annotations");
            if is_test(folder) != (split == Split::Test) || !tables.is_dir() {
                continue;
            }
            for name in names(&tables)? {
                read_film(root, &tables.join(name), split, options, &mut part)?;
            }
        }
        parts.push(part.finish(options)?);
    }
    Ok(parts)
}

fn read_film(
    root: &Path,
    table: &Path,
    split: Split,
    options: &ProbeOptions,
    part: &mut PartBuilder,
) -> Result<(), BenchmarkError> {
    part.continue_in(table);
    let name = table.file_name().unwrap_or_default().to_string_lossy();
    let film: Vec<&str> = name.split('_').take(2).collect();
    let film = film.join("_");
    let labels = Labels::read(table)?;
    let folder = root.join("frames").join(format!("{film}.mp4"));
    let frames: HashSet<String> = match below(root, &film).and_then(|_| pictures(&folder)) {
        Ok(frames) => frames.into_iter().collect(),
        Err(fault) => {
            // As many samples are lost as the table has seconds.
            for second in 0..labels.rows {
                part.skip(&format!("second {second}"), fault.clone());
            }
            return Ok(());
        }
    };
    let total = frames.len().min(labels.rows);
    // A film may end some frames before its labels; more is a folder that wasn't unpacked whole.
    if total + options.frames < labels.rows {
        for second in total..labels.rows {
            let missing = folder.join(frame_name(second as i64));
            part.skip(&format!("second {second}"), SampleFault::NoFile(missing));
        }
    }
    let mut pending = Vec::new();
    for second in 0..total as i64 {
        let Some(window) = window(second, total as i64, options.frames as i64, split) else {
            continue;
        };
        let place = format!("second {second}");
        // A window with a missing frame is no sample, whatever of it is looked at.
        let mut names = window.clone().map(frame_name);
        if let Some(missing) = names.find(|name| !frames.contains(name)) {
            part.skip(&place, SampleFault::NoFile(folder.join(missing)));
            continue;
        }
        let Some(values) = labels.by_second.get(&second) else {
            let found = format!("none for second {second}");
            let expected = "a row for every second".to_owned();
            part.skip(&place, SampleFault::Fields { expected, found });
            continue;
        };
        let seen: Vec<String> = match options.liris_input {
            LirisInput::RepeatedFrame => vec![frame_name(second); options.frames],
            LirisInput::Window => window.map(frame_name).collect(),
        };
        let frame = |name: &String| SubjectFrame {
            path: folder.join(name),
            boxes: Vec::new(),
        };
        pending.push(Pending {
            sample: ProbeSample {
                id: format!("{film}/{second}"),
                frames: seen.iter().map(frame).collect(),
                labels: Vec::new(),
                values: values.to_vec(),
            },
            place,
            keys: seen.into_iter().map(|name| (film.clone(), name)).collect(),
        });
    }
    let mut boxes = FrameBoxes::wanted_by(&pending);
    let file = root.join(format!("bboxes/{film}.mp4/human_boxes.json"));
    boxes.read_list(&film, &file)?;
    part.attach(pending, &boxes);
    Ok(())
}

/// Frames are numbered from 1.
fn frame_name(index: i64) -> String {
    format!("{:08}.jpg", index + 1)
}

/// The frames around a second of which the sample exists only if all do; none for the edges of a
/// film that is trained on.
fn window(second: i64, total: i64, length: i64, split: Split) -> Option<core::ops::Range<i64>> {
    let (before, after) = ((length + 1) / 2, length / 2);
    if second < before {
        (split != Split::Train).then_some(0..length)
    } else if total - second < after {
        (split != Split::Train).then_some(total - length..total)
    } else {
        Some(second - before..second + after)
    }
}

impl Labels {
    /// Reads a table of time, valence and arousal, apart by tabs.
    fn read(path: &Path) -> Result<Self, BenchmarkError> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(b'\t')
            .trim(csv::Trim::All)
            .flexible(true)
            .from_path(path)
            .map_err(|error| BenchmarkError::read(path, error))?;
        let mut labels = Self {
            rows: 0,
            by_second: HashMap::new(),
        };
        for record in reader.records() {
            let record = record.map_err(|error| BenchmarkError::read(path, error))?;
            labels.rows += 1;
            let number = |column: usize| {
                let value = record.get(column)?.parse::<f64>().ok()?;
                value.is_finite().then_some(value)
            };
            // A row without numbers leaves its second without a label.
            if let (Some(time), Some(valence), Some(arousal)) = (number(0), number(1), number(2)) {
                labels.by_second.insert(time as i64, [valence, arousal]);
            }
        }
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_the_releases() {
        let at = |second, split| window(second, 20, 8, split);
        for (second, expected) in [(0, 0..8), (3, 0..8), (4, 0..8), (10, 6..14), (16, 12..20)] {
            assert_eq!(at(second, Split::Test), Some(expected));
        }
        // The last three seconds share the last window; the fourth from the end has its own.
        assert_eq!(at(17, Split::Test), Some(12..20));
        assert_eq!(at(19, Split::Test), Some(12..20));
        for (second, kept) in [(3, false), (4, true), (16, true), (17, false)] {
            assert_eq!(at(second, Split::Train).is_some(), kept, "{second}");
        }
        assert_eq!(window(5, 6, 8, Split::Test), Some(-2..6));
    }
}
