//! EMOTIC: one person in a photograph.

use std::path::Path;

use emotionclip::preprocess::SubjectBox;

use super::error::{BenchmarkError, SampleFault};
use super::part::{PartBuilder, ProbePart, ProbeSample, SubjectFrame, part_name};
use super::paths::{below, existing};
use super::{ProbeDataset, ProbeOptions};
use crate::npy::Matrix;
use crate::synthetic::Split;

const DATASET: ProbeDataset = ProbeDataset::Emotic;
const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

/// What its folder must hold.
pub(super) fn needed() -> Vec<String> {
    let names = SPLITS.map(|split| part_name(DATASET, split));
    let tables = names.iter().flat_map(|name| [table(name), array(name)]);
    tables.chain(["emotic".to_owned()]).collect()
}

/// Reads all parts.
///
/// # Errors
/// As [`super::ProbeSet::open`].
pub(super) fn read(root: &Path, options: &ProbeOptions) -> Result<Vec<ProbePart>, BenchmarkError> {
    let parts = SPLITS.iter().map(|split| read_part(root, *split, options));
    parts.collect()
}

fn table(part: &str) -> String {
    format!("annotations_pre/{part}.csv")
}

fn array(part: &str) -> String {
    format!("annotations_pre/{part}_cat_arr.npy")
}

fn read_part(
    root: &Path,
    split: Split,
    options: &ProbeOptions,
) -> Result<ProbePart, BenchmarkError> {
    let name = part_name(DATASET, split);
    let (table, array) = (root.join(table(name)), root.join(array(name)));
    let labels = Matrix::read(&array).map_err(|reason| BenchmarkError::read(&array, reason))?;
    let classes = DATASET.classes().len();
    if labels.width != classes {
        let reason = format!("{} columns; {classes} expected", labels.width);
        return Err(BenchmarkError::read(&array, reason));
    }
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_path(&table)
        .map_err(|error| BenchmarkError::read(&table, error))?;
    let header = reader
        .headers()
        .map_err(|error| BenchmarkError::read(&table, error))?;
    let column = |name: &str| {
        let found = header.iter().position(|field| field == name);
        found.ok_or_else(|| BenchmarkError::read(&table, format!("no column '{name}'")))
    };
    let columns = [column("Folder")?, column("Filename")?, column("BBox")?];
    let mut part = PartBuilder::new(DATASET, split, &table);
    let mut rows = labels.rows();
    for record in reader.records() {
        let record = record.map_err(|error| BenchmarkError::read(&table, error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let place = format!("line {line}");
        // Rows belong together by their order, so another length is no fault of a single one.
        let labels = rows.next().ok_or_else(|| {
            let reason = format!("{} has more rows", table.display());
            BenchmarkError::read(&array, reason)
        })?;
        let fields = columns.map(|column| record.get(column).unwrap_or_default());
        part.push(&place, sample(root, fields, labels, line));
    }
    if rows.next().is_some() {
        let reason = format!("{} has fewer rows", table.display());
        return Err(BenchmarkError::read(&array, reason));
    }
    part.finish(options)
}

fn sample(
    root: &Path,
    [folder, file, corners]: [&str; 3],
    labels: &[f64],
    line: u64,
) -> Result<ProbeSample, SampleFault> {
    let folder = below(&root.join("emotic"), folder)?;
    let path = existing(below(&folder, file)?)?;
    let labels = labels.iter().enumerate();
    Ok(ProbeSample {
        id: format!("{file}#{line}"),
        frames: vec![SubjectFrame {
            path,
            boxes: vec![subject(corners)?],
        }],
        labels: labels
            .filter(|(_, label)| **label > 0.5)
            .map(|(class, _)| class)
            .collect(),
        values: Vec::new(),
    })
}

/// `[x1, y1, x2, y2]` as Python writes a list.
fn subject(text: &str) -> Result<SubjectBox, SampleFault> {
    let inside = text.trim().trim_start_matches('[').trim_end_matches(']');
    let numbers = inside.split(',').map(|number| {
        let number = number.trim().parse::<f32>().ok();
        number.filter(|number| number.is_finite())
    });
    let numbers: Option<Vec<f32>> = numbers.collect();
    let Some(&[x1, y1, x2, y2]) = numbers.as_deref() else {
        return Err(SampleFault::Fields {
            expected: "BBox of [x1, y1, x2, y2]".to_owned(),
            found: format!("'{text}'"),
        });
    };
    Ok(SubjectBox {
        x1,
        y1,
        x2,
        y2,
        score: None,
    })
}
