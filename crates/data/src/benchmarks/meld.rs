//! MELD: utterances of a television series.

use std::path::Path;

use super::boxes::FrameBoxes;
use super::error::{BenchmarkError, SampleFault};
use super::part::{PartBuilder, Pending, ProbePart, ProbeSample, SubjectFrame, part_name};
use super::paths::{below, existing, pictures};
use super::{ProbeDataset, ProbeOptions};
use crate::decode::spread_indices;
use crate::synthetic::Split;

const DATASET: ProbeDataset = ProbeDataset::Meld;
const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

/// Clips whose videos are corrupt in the published set, so that they have no frames.
const CORRUPT: [(Split, &str); 2] = [
    (Split::Train, "dia125_utt3"),
    (Split::Validation, "dia110_utt7"),
];

/// Columns that are read.
struct Columns {
    emotion: usize,
    dialogue: usize,
    utterance: usize,
}

/// What its folder must hold.
pub(super) fn needed() -> Vec<String> {
    let names = SPLITS.map(|split| part_name(DATASET, split));
    let needed = names
        .iter()
        .flat_map(|name| [table_name(name), boxes_name(name), frames_name(name)]);
    needed.collect()
}

/// Reads all parts.
///
/// # Errors
/// As [`super::ProbeSet::open`].
pub(super) fn read(root: &Path, options: &ProbeOptions) -> Result<Vec<ProbePart>, BenchmarkError> {
    let parts = SPLITS.iter().map(|split| read_part(root, *split, options));
    parts.collect()
}

fn table_name(part: &str) -> String {
    format!("MELD.Raw/{part}_sent_emo.csv")
}

fn boxes_name(part: &str) -> String {
    format!("{part}_human_boxes.json")
}

fn frames_name(part: &str) -> String {
    format!("frames/{part}_splits")
}

fn read_part(
    root: &Path,
    split: Split,
    options: &ProbeOptions,
) -> Result<ProbePart, BenchmarkError> {
    let name = part_name(DATASET, split);
    let table = root.join(table_name(name));
    let frames = root.join(frames_name(name));
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_path(&table)
        .map_err(|error| BenchmarkError::read(&table, error))?;
    let columns = columns(&table, &mut reader)?;
    let mut part = PartBuilder::new(DATASET, split, &table);
    let mut pending = Vec::new();
    // Utterances hold stray bytes of other encodings, so rows are bytes.
    for record in reader.byte_records() {
        let record = record.map_err(|error| BenchmarkError::read(&table, error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let place = format!("line {line}");
        let field = |column: usize| {
            String::from_utf8_lossy(record.get(column).unwrap_or_default())
                .trim()
                .to_owned()
        };
        let id = format!(
            "dia{}_utt{}",
            field(columns.dialogue),
            field(columns.utterance)
        );
        if CORRUPT.contains(&(split, id.as_str())) {
            part.known_defect(id);
            continue;
        }
        match sample(&frames, &id, &field(columns.emotion), options.frames) {
            Ok((sample, names)) => pending.push(Pending {
                keys: names.into_iter().map(|frame| (id.clone(), frame)).collect(),
                sample,
                place,
            }),
            Err(fault) => part.skip(&place, fault),
        }
    }
    let mut boxes = FrameBoxes::wanted_by(&pending);
    boxes.read_groups(&root.join(boxes_name(name)))?;
    part.attach(pending, &boxes);
    part.finish(options)
}

fn columns<R: std::io::Read>(
    table: &Path,
    reader: &mut csv::Reader<R>,
) -> Result<Columns, BenchmarkError> {
    let header = reader
        .byte_headers()
        .map_err(|error| BenchmarkError::read(table, error))?;
    let column = |name: &str| {
        let found = header.iter().position(|field| field == name.as_bytes());
        found.ok_or_else(|| BenchmarkError::read(table, format!("no column '{name}'")))
    };
    Ok(Columns {
        emotion: column("Emotion")?,
        dialogue: column("Dialogue_ID")?,
        utterance: column("Utterance_ID")?,
    })
}

/// A clip, and the names of the frames that are looked at.
fn sample(
    frames: &Path,
    id: &str,
    emotion: &str,
    count: usize,
) -> Result<(ProbeSample, Vec<String>), SampleFault> {
    let label = DATASET.classes().iter().position(|name| *name == emotion);
    let label = label.ok_or_else(|| SampleFault::Label(emotion.to_owned()))?;
    let folder = below(frames, id)?;
    // Frames are numbered from 0, so their number tells their names.
    let names: Vec<String> = spread_indices(pictures(&folder)?.len(), count)
        .into_iter()
        .map(|index| format!("frame_{index}.jpg"))
        .collect();
    let frame = |name: &String| {
        Ok(SubjectFrame {
            path: existing(folder.join(name))?,
            boxes: Vec::new(),
        })
    };
    let sample = ProbeSample {
        id: id.to_owned(),
        frames: names.iter().map(frame).collect::<Result<_, _>>()?,
        labels: vec![label],
        values: Vec::new(),
    };
    Ok((sample, names))
}
