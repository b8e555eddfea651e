//! Targets of a dataset from a CSV file: `file,<name>…[,split]`.

use std::path::Path;

use emotionclip_data::decode::Media;
use emotionclip_data::synthetic::Split;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::failure::bad_input;
use crate::inputs::files::read_text;

/// Column with paths below the dataset's root.
const FILE: &str = "file";
/// Column with the part, if there is one.
const SPLIT: &str = "split";

/// Samples with one number for each of several outputs.
#[derive(Debug)]
pub struct Targets {
    /// Names of the outputs, the file's columns.
    pub names: Vec<String>,
    /// Samples in the file's order.
    pub samples: Vec<TargetSample>,
}

/// A clip with its targets.
#[derive(Debug)]
pub struct TargetSample {
    /// What to read.
    pub media: Media,
    /// One value an output.
    pub values: Vec<f32>,
    /// The part it belongs to.
    pub split: Split,
}

impl Targets {
    /// Reads a file of targets. Without a split column a share of the samples is drawn for the
    /// test, the same for the same seed.
    ///
    /// # Errors
    /// Bad input that names the file and the line.
    pub fn read(csv: &Path, root: &Path, test_share: f64, seed: u64) -> anyhow::Result<Self> {
        let name = csv.display();
        let text = read_text(csv)?;
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let wrong = |problem: String| bad_input(format!("{name}: {problem}"));
        let header = reader
            .headers()
            .map_err(|error| wrong(error.to_string()))?
            .clone();
        let file_column = header
            .iter()
            .position(|column| column == FILE)
            .ok_or_else(|| {
                wrong(format!(
                    "there is no column `{FILE}`; the first line names the columns"
                ))
            })?;
        let split_column = header.iter().position(|column| column == SPLIT);
        let is_value = |column: &usize| *column != file_column && Some(*column) != split_column;
        let columns: Vec<usize> = (0..header.len()).filter(is_value).collect();
        if columns.is_empty() {
            return Err(wrong("there is no column of targets".to_owned()));
        }
        let mut samples = Vec::new();
        for (index, record) in reader.records().enumerate() {
            let record = record.map_err(|error| wrong(error.to_string()))?;
            let line = record
                .position()
                .map_or(index as u64 + 2, csv::Position::line);
            let field = |column: usize| record.get(column).unwrap_or_default();
            let value = |column: &usize| {
                let text = field(*column);
                let value = text.parse::<f32>().ok().filter(|value| value.is_finite());
                value.ok_or_else(|| {
                    let column = header.get(*column).unwrap_or_default();
                    wrong(format!(
                        "line {line}, column `{column}`: '{text}' is no number"
                    ))
                })
            };
            let split = match split_column.map(field) {
                None | Some("train") => Split::Train,
                Some("val" | "validation") => Split::Validation,
                Some("test") => Split::Test,
                Some(other) => {
                    return Err(wrong(format!(
                        "line {line}: '{other}' is not train, val or test"
                    )));
                }
            };
            samples.push(TargetSample {
                media: Media::open(&root.join(field(file_column))).map_err(bad_input)?,
                values: columns.iter().map(value).collect::<anyhow::Result<_>>()?,
                split,
            });
        }
        if split_column.is_none() {
            draw(&mut samples, test_share, seed);
        }
        let names = columns.into_iter().filter_map(|column| header.get(column));
        let names = names.map(str::to_owned).collect();
        Ok(Self { names, samples })
    }
}

/// Draws a share of the samples for the test; at least one, and not all.
fn draw(samples: &mut [TargetSample], share: f64, seed: u64) {
    let count = samples.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let tested = (count as f64 * share).round() as usize;
    let tested = tested.clamp(usize::from(count > 1), count.saturating_sub(1));
    for index in order.into_iter().take(tested) {
        if let Some(sample) = samples.get_mut(index) {
            sample.split = Split::Test;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> anyhow::Result<Targets> {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..4 {
            let path = folder.path().join(format!("{index}.png"));
            image::RgbImage::new(2, 2).save(path).unwrap();
        }
        let csv = folder.path().join("targets.csv");
        std::fs::write(&csv, content).unwrap();
        Targets::read(&csv, folder.path(), 0.25, 0)
    }

    #[test]
    fn columns_are_outputs_and_parts_are_read_or_drawn() {
        let targets =
            read("file,valence,arousal,split\n0.png,1,-2.5,train\n1.png,3,4,test\n").unwrap();
        assert_eq!(targets.names, ["valence", "arousal"]);
        assert_eq!(targets.samples[0].values, [1.0, -2.5]);
        assert_eq!(targets.samples[1].split, Split::Test);
        let drawn = read("file,v\n0.png,1\n1.png,2\n2.png,3\n3.png,4\n").unwrap();
        let tested = drawn
            .samples
            .iter()
            .filter(|sample| sample.split == Split::Test);
        assert_eq!(tested.count(), 1);
    }

    #[test]
    fn faults_name_the_line() {
        let message = |content: &str| read(content).unwrap_err().to_string();
        assert!(message("picture,v\n0.png,1\n").contains("no column `file`"));
        assert!(message("file\n0.png\n").contains("no column of targets"));
        assert!(message("file,v\n0.png,1\n1.png,x\n").contains("line 3, column `v`: 'x'"));
        assert!(message("file,v,split\n0.png,1,dev\n").contains("'dev' is not train"));
        assert!(message("file,v\nnone.png,1\n").contains("no such file"));
    }
}
