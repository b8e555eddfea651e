//! BoLD: bodily expressions of one person in a film clip.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use emotionclip::preprocess::SubjectBox;

use super::error::{BenchmarkError, SampleFault};
use super::part::{PartBuilder, ProbePart, ProbeSample, SubjectFrame, part_name};
use super::paths::{below, pictures};
use super::{ProbeDataset, ProbeOptions};
use crate::decode::spread_indices;
use crate::npy::Matrix;
use crate::synthetic::Split;

const DATASET: ProbeDataset = ProbeDataset::Bold;
const SPLITS: [Split; 2] = [Split::Train, Split::Validation];

/// Share of annotators from which a class counts as present.
const PRESENT: f64 = 0.5;

/// Columns before the classes: video, person, first and last frame.
const LEADING: usize = 4;

/// Numbers a row of a file of joints: frame, person, 18 joints of three.
const JOINT_COLUMNS: usize = 2 + 18 * 3;

/// What its folder must hold.
pub(super) fn needed() -> Vec<String> {
    let tables = SPLITS.iter().map(|split| table_name(*split));
    let folders = ["joints", "mmextract"].map(str::to_owned);
    tables.chain(folders).collect()
}

/// Reads both annotated parts; the labels of the test part aren't public.
///
/// # Errors
/// As [`super::ProbeSet::open`].
pub(super) fn read(root: &Path, options: &ProbeOptions) -> Result<Vec<ProbePart>, BenchmarkError> {
    let parts = SPLITS.iter().map(|split| read_part(root, *split, options));
    parts.collect()
}

fn table_name(split: Split) -> String {
    format!("annotations/{}.csv", part_name(DATASET, split))
}

fn read_part(
    root: &Path,
    split: Split,
    options: &ProbeOptions,
) -> Result<ProbePart, BenchmarkError> {
    let table = root.join(table_name(split));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_path(&table)
        .map_err(|error| BenchmarkError::read(&table, error))?;
    let mut part = PartBuilder::new(DATASET, split, &table);
    let mut joints = JointFile::default();
    for record in reader.records() {
        let record = record.map_err(|error| BenchmarkError::read(&table, error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let sample = sample(root, &record, &mut joints, options.frames);
        part.push(&format!("line {line}"), sample);
    }
    part.finish(options)
}

fn sample(
    root: &Path,
    record: &csv::StringRecord,
    joints: &mut JointFile,
    count: usize,
) -> Result<ProbeSample, SampleFault> {
    let (classes, values) = (DATASET.classes().len(), DATASET.values().len());
    let needed = LEADING + classes + values;
    if record.len() < needed {
        return Err(SampleFault::Fields {
            expected: format!("at least {needed} fields"),
            found: record.len().to_string(),
        });
    }
    let field = |column: usize| record.get(column).unwrap_or_default().trim();
    let number = |column: usize, name: &str| {
        let found = field(column);
        let value = found.parse::<f64>().ok().filter(|value| value.is_finite());
        value.ok_or_else(|| SampleFault::Number {
            field: name.to_owned(),
            found: found.to_owned(),
        })
    };
    let mut labels = Vec::new();
    for (class, name) in DATASET.classes().iter().enumerate() {
        if number(LEADING + class, name)? >= PRESENT {
            labels.push(class);
        }
    }
    let values = DATASET.values().iter().enumerate();
    let values = values.map(|(index, name)| number(LEADING + classes + index, name));
    let values = values.collect::<Result<_, _>>()?;

    let (video, person) = (field(0), number(1, "person")?);
    let folder = below(&root.join("mmextract"), video)?;
    let stem = video.rsplit_once('.').map_or(video, |(stem, _)| stem);
    let file = below(&root.join("joints"), &format!("{stem}.npy"))?;
    let boxes = joints.of_person(&file, person)?;
    let names = pictures(&folder)?;
    let chosen = spread_indices(names.len(), count);
    let frame = |index: usize| {
        let name = names.get(index).map_or("", String::as_str);
        let number = frame_number(name).ok_or_else(|| SampleFault::Name(name.to_owned()))?;
        Ok(SubjectFrame {
            path: folder.join(name),
            boxes: boxes.get(&number).copied().into_iter().collect(),
        })
    };
    Ok(ProbeSample {
        id: format!("{video}#{person}"),
        frames: chosen.into_iter().map(frame).collect::<Result<_, _>>()?,
        labels,
        values,
    })
}

/// The number in `img_00017.jpg`.
fn frame_number(name: &str) -> Option<i64> {
    let stem = name.split('.').next()?;
    stem.split('_').nth(1)?.parse().ok()
}

/// The joints of one video; several people of it usually stand in rows one after the other.
#[derive(Default)]
struct JointFile {
    read: Option<(PathBuf, Matrix)>,
}

impl JointFile {
    /// The person's box in each frame in which a joint of it was found. Frame numbers in the files
    /// begin anywhere; the first of the video, whoever is in it, becomes 1.
    fn of_person(
        &mut self,
        file: &Path,
        person: f64,
    ) -> Result<HashMap<i64, SubjectBox>, SampleFault> {
        let matrix = match self.read.take() {
            Some((path, matrix)) if path == file => matrix,
            _ if !file.is_file() => return Err(SampleFault::NoFile(file.to_owned())),
            _ => Matrix::read(file).map_err(|reason| faulty(file, reason))?,
        };
        if matrix.width != JOINT_COLUMNS {
            return Err(faulty(file, format!("{} columns, not 56", matrix.width)));
        }
        let (_, matrix) = self.read.insert((file.to_owned(), matrix));
        let first = matrix.rows().filter_map(|row| row.first().copied());
        let first = first.fold(f64::INFINITY, f64::min);
        let mut boxes = HashMap::new();
        for row in matrix.rows().filter(|row| row.get(1) == Some(&person)) {
            let [frame, _, joints @ ..] = row else {
                continue;
            };
            let joints: Vec<[f32; 3]> = joints
                .as_chunks::<3>()
                .0
                .iter()
                .map(|joint| joint.map(|value| value as f32))
                .collect();
            if let Some(around) = SubjectBox::from_joints(&joints) {
                // The cast drops the fraction, as the release does.
                boxes.insert((frame - first + 1.0) as i64, around);
            }
        }
        Ok(boxes)
    }
}

fn faulty(file: &Path, reason: String) -> SampleFault {
    SampleFault::File {
        path: file.to_owned(),
        reason,
    }
}
