//! Rated scores of clips from a table.

use std::path::{Path, PathBuf};

use crate::failure::bad_input;
use crate::inputs::files::read_text;

/// The column of the clips' places, and that of the part.
const PATH: &str = "path";
const SPLIT: &str = "split";

/// A clip and its scores.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredClip {
    /// Folder of frames, video or picture.
    pub path: PathBuf,
    /// One value a score.
    pub values: Vec<f64>,
}

/// A table of scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreTable {
    /// Names of the scores.
    pub names: Vec<String>,
    /// Clips to train on.
    pub train: Vec<ScoredClip>,
    /// Clips to test on.
    pub test: Vec<ScoredClip>,
}

impl ScoreTable {
    /// Reads a CSV file: `path` below `root`, `split` (train or test), and a column for each score.
    ///
    /// # Errors
    /// Bad input with file and line: a missing column, a score that is no number, a clip that
    /// isn't there, a part without clips.
    pub fn read(file: &Path, root: &Path) -> anyhow::Result<Self> {
        let name = file.display();
        let text = read_text(file)?;
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let headers = reader
            .headers()
            .map_err(|error| bad_input(format!("{name}: {error}")))?
            .clone();
        let column = |wanted: &str| {
            headers
                .iter()
                .position(|header| header == wanted)
                .ok_or_else(|| {
                    bad_input(format!(
                        "{name}: no column `{wanted}`; the first line must name `{PATH}`, `{SPLIT}` \
                         and the scores"
                    ))
                })
        };
        let (path_column, split_column) = (column(PATH)?, column(SPLIT)?);
        let scores: Vec<usize> = (0..headers.len())
            .filter(|index| *index != path_column && *index != split_column)
            .collect();
        if scores.is_empty() {
            return Err(bad_input(format!(
                "{name}: no column of scores; add one beside `{PATH}` and `{SPLIT}`"
            )));
        }
        let field = |record: &csv::StringRecord, index: usize| {
            record.get(index).unwrap_or_default().to_owned()
        };
        let mut table = Self {
            names: scores.iter().map(|index| field(&headers, *index)).collect(),
            ..Self::default()
        };
        for record in reader.records() {
            let record = record.map_err(|error| bad_input(format!("{name}: {error}")))?;
            let line = record.position().map_or(0, csv::Position::line);
            let mut values = Vec::with_capacity(scores.len());
            for &index in &scores {
                let text = field(&record, index);
                let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
                values.push(value.ok_or_else(|| {
                    bad_input(format!(
                        "{name}:{line}: '{text}' under `{}` is no number",
                        field(&headers, index)
                    ))
                })?);
            }
            let path = root.join(field(&record, path_column));
            if !path.exists() {
                return Err(bad_input(format!(
                    "{name}:{line}: there is no clip {}; check the table and --root",
                    path.display()
                )));
            }
            let clip = ScoredClip { path, values };
            match field(&record, split_column).as_str() {
                "train" => table.train.push(clip),
                "test" => table.test.push(clip),
                other => {
                    return Err(bad_input(format!(
                        "{name}:{line}: '{other}' under `{SPLIT}`; write train or test"
                    )));
                }
            }
        }
        for (part, clips) in [("train", &table.train), ("test", &table.test)] {
            if clips.is_empty() {
                return Err(bad_input(format!("{name}: no clip is marked {part}")));
            }
        }
        Ok(table)
    }

    /// Mean and standard deviation of each score over the training clips; a score that never
    /// varies deviates by 1.
    pub fn moments(&self) -> Vec<(f64, f64)> {
        let count = self.train.len() as f64;
        let moments = |index: usize| {
            let values = || self.train.iter().filter_map(|clip| clip.values.get(index));
            let mean = values().sum::<f64>() / count;
            let squares: f64 = values().map(|value| (value - mean).powi(2)).sum();
            let deviation = (squares / count).sqrt();
            (mean, if deviation > 0.0 { deviation } else { 1.0 })
        };
        (0..self.names.len()).map(moments).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::BadInput;

    #[test]
    fn tables_are_read_and_faults_name_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("a")).unwrap();
        let file = root.join("scores.csv");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            ScoreTable::read(&file, root)
        };
        let table = read("path, split,alogia,anhedonia\na,train,1,4\na,train,3,4\na,test,2,0.5\n");
        let table = table.unwrap();
        assert_eq!(table.names, ["alogia", "anhedonia"]);
        assert_eq!(table.test[0].values, [2.0, 0.5]);
        assert_eq!(table.moments(), [(2.0, 1.0), (4.0, 1.0)]);
        for (text, expected) in [
            ("path,alogia\na,1\n", "no column `split`"),
            ("path,split\na,train\n", "no column of scores"),
            ("path,split,x\na,train,high\n", ":2: 'high' under `x`"),
            ("path,split,x\na,train,NaN\n", ":2: 'NaN' under `x`"),
            (
                "path,split,x\na,train,1\nb,test,1\n",
                ":3: there is no clip",
            ),
            ("path,split,x\na,val,1\n", ":2: 'val' under `split`"),
            ("path,split,x\na,train,1\n", "no clip is marked test"),
            ("path,split,x\na,train\n", "scores.csv"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.is::<BadInput>(), "{error}");
            let message = error.to_string();
            assert!(message.contains(expected), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
}
