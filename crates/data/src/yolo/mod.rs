//! People found by any YOLO that somebody has as an ONNX file.
//!
//! The runtime is `rten`: Rust from end to end, so the program needs no library beside it, with all
//! operators that these models have, and with some ten small crates the lightest of those kept up.

mod canvas;
mod error;
mod layout;

use std::path::Path;

use image::RgbImage;
use regex::Regex;
use rten::{Dimension, Model, NodeId, Value};
use serde::Serialize;
use sha2::{Digest, Sha256};

pub use error::YoloError;

use canvas::Canvas;
use layout::{Layout, suppress};

use crate::guard::guarded;
use crate::prepare::work::hex;

/// Bytes of a detector's file at most: the largest published YOLO has some 300 MB.
const LARGEST_FILE: u64 = 2 << 30;
/// Side of the input where the file leaves it open.
const USUAL_SIDE: usize = 640;
/// Longest side of an input: memory grows with its square.
const LARGEST_SIDE: usize = 4096;
/// Boxes a picture at most.
const MOST_PEOPLE: usize = 300;
/// Names of classes that an error lists.
const NAMED: usize = 12;

/// How a detector's output is read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct YoloSettings {
    /// Name or number of the class that is looked for.
    pub class: String,
    /// Boxes of at most this score are left out.
    pub confidence: f32,
    /// Of boxes that share more than this of their union the best stays.
    pub overlap: f32,
}

impl Default for YoloSettings {
    /// People, with the thresholds that YOLO's own programs have.
    fn default() -> Self {
        Self {
            class: "person".to_owned(),
            confidence: 0.25,
            overlap: 0.45,
        }
    }
}

/// Somebody in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FoundPerson {
    /// Left, top, right and bottom, in the picture's pixels.
    pub edges: [f32; 4],
    /// Score in `[0, 1]`.
    pub score: f32,
}

/// A YOLO, read from an ONNX file.
pub struct Yolo {
    file: String,
    digest: String,
    model: Model,
    input: NodeId,
    /// `[width, height]`.
    size: [usize; 2],
    class: usize,
    classes: Option<usize>,
    settings: YoloSettings,
}

impl std::fmt::Debug for Yolo {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = formatter.debug_struct("Yolo");
        fields.field("file", &self.file).field("size", &self.size);
        fields
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Yolo {
    /// Reads a detector.
    ///
    /// # Errors
    /// A file that is none, or that lacks the class.
    pub fn open(path: &Path, settings: YoloSettings) -> Result<Self, YoloError> {
        let file = path.display().to_string();
        for (name, share) in [
            ("confidence", settings.confidence),
            ("overlap", settings.overlap),
        ] {
            if !(0.0..=1.0).contains(&share) {
                let problem = format!("a detector's {name} is a number from 0 to 1, not {share}");
                return Err(YoloError::Setting(problem));
            }
        }
        let failed = |error| YoloError::Io {
            file: file.clone(),
            error,
        };
        let length = std::fs::metadata(path).map_err(failed)?.len();
        let unreadable = |problem: String| YoloError::Unreadable {
            file: file.clone(),
            problem: problem.split_whitespace().collect::<Vec<_>>().join(" "),
        };
        if length > LARGEST_FILE {
            return Err(unreadable(format!("{} MiB", length >> 20)));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        let digest = hex(&Sha256::digest(&bytes));
        let model = guarded(|| Model::load(bytes).map_err(|error| error.to_string()))
            .map_err(unreadable)?;
        let wrong = |problem: String| YoloError::Shape {
            file: file.clone(),
            problem,
        };
        let (Some(input), Some(shape)) = (model.input_ids().first().copied(), model.input_shape(0))
        else {
            return Err(wrong("it doesn't say what it takes".to_owned()));
        };
        let size =
            input_size(&shape).ok_or_else(|| wrong(format!("it takes {}", text_of(&shape))))?;
        let names = model.metadata().get("names").map(class_names);
        let names = names.filter(|names| !names.is_empty());
        let class =
            class_of(&settings.class, names.as_deref()).ok_or_else(|| YoloError::Class {
                file: file.clone(),
                class: settings.class.clone(),
                known: known(names.as_deref().unwrap_or_default()),
            })?;
        Ok(Self {
            digest,
            model,
            input,
            size,
            class,
            classes: names.map(|names| names.len()),
            settings,
            file,
        })
    }

    /// The SHA-256 of its file.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How its output is read.
    pub fn settings(&self) -> &YoloSettings {
        &self.settings
    }

    /// The people in a picture, surest first.
    ///
    /// # Errors
    /// If the model can't be run or its output is no YOLO's.
    pub fn detect(&self, picture: &RgbImage) -> Result<Vec<FoundPerson>, YoloError> {
        let [width, height] = self.size;
        let (canvas, values) = Canvas::fit(picture, self.size);
        let ([rows, columns], values) = self.run(values, [1, 3, height, width])?;
        let shape = [rows, columns];
        let layout = Layout::of(shape, self.size, self.classes)
            .filter(|layout| layout.classes(shape).is_none_or(|count| self.class < count))
            .ok_or_else(|| self.wrong(format!("it gives [1, {rows}, {columns}]")))?;
        let found = layout.candidates(&values, shape, self.class, self.settings.confidence);
        let found = match layout {
            Layout::EndToEnd => found,
            _ => suppress(found, self.settings.overlap),
        };
        let people = found.into_iter().filter_map(|found| {
            Some(FoundPerson {
                edges: canvas.to_picture(found.edges)?,
                score: found.score.min(1.0),
            })
        });
        Ok(people.take(MOST_PEOPLE).collect())
    }

    /// The first output with three dimensions.
    fn run(
        &self,
        values: Vec<f32>,
        shape: [usize; 4],
    ) -> Result<([usize; 2], Vec<f32>), YoloError> {
        let outputs = guarded(|| {
            let input = Value::from_shape(shape, values).map_err(|error| error.to_string())?;
            let inputs = vec![(self.input, input.into())];
            let outputs = self.model.run(inputs, self.model.output_ids(), None);
            outputs.map_err(|error| error.to_string())
        });
        let outputs = outputs.map_err(|problem| YoloError::Unreadable {
            file: self.file.clone(),
            problem,
        })?;
        outputs
            .into_iter()
            .find_map(|output| output.into_shape_vec::<f32, 3>().ok())
            .filter(|([batch, rows, columns], _)| *batch == 1 && rows * columns > 0)
            .map(|([_, rows, columns], values)| ([rows, columns], values))
            .ok_or_else(|| self.wrong("it gives nothing of the form [1, rows, columns]".to_owned()))
    }

    fn wrong(&self, problem: String) -> YoloError {
        YoloError::Shape {
            file: self.file.clone(),
            problem,
        }
    }
}

/// `[width, height]` of `[1, 3, height, width]`; sides that are left open are the usual ones.
fn input_size(shape: &[Dimension]) -> Option<[usize; 2]> {
    let [batch, channels, height, width] = shape else {
        return None;
    };
    let is = |dimension: &Dimension, expected: usize| match dimension {
        Dimension::Fixed(size) => *size == expected,
        Dimension::Symbolic(_) => true,
    };
    let side = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => (1..=LARGEST_SIDE).contains(size).then_some(*size),
        Dimension::Symbolic(_) => Some(USUAL_SIDE),
    };
    (is(batch, 1) && is(channels, 3)).then_some([side(width)?, side(height)?])
}

fn text_of(shape: &[Dimension]) -> String {
    let sides: Vec<String> = shape
        .iter()
        .map(|dimension| match dimension {
            Dimension::Fixed(size) => size.to_string(),
            Dimension::Symbolic(name) => name.clone(),
        })
        .collect();
    format!("[{}]", sides.join(", "))
}

/// Names by number, of a file's `names` as Python writes them: `{0: 'person', 1: 'bicycle'}`, in old
/// exports `['person', 'bicycle']`.
fn class_names(text: &str) -> Vec<String> {
    if text.trim_start().starts_with('[') {
        let quoted = text.trim_matches(['[', ']', ' ']).split(',');
        return quoted
            .map(|name| name.trim().trim_matches(['\'', '"']).to_owned())
            .collect();
    }
    let Ok(entry) = Regex::new(r#"(\d+)\s*["']?\s*:\s*(?:'([^']*)'|"([^"]*)")"#) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for found in entry.captures_iter(text) {
        let number = found.get(1).and_then(|number| number.as_str().parse().ok());
        // Whoever skips a number means something else.
        if number != Some(names.len()) {
            return Vec::new();
        }
        let name = found.get(2).or_else(|| found.get(3));
        names.push(name.map_or_else(String::new, |name| name.as_str().to_owned()));
    }
    names
}

/// The number of a class; where the file names none, people are the first, as in COCO.
fn class_of(class: &str, names: Option<&[String]>) -> Option<usize> {
    let number = class.parse::<usize>().ok();
    match names {
        None if class == YoloSettings::default().class => Some(0),
        None => number,
        Some(names) => names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(class))
            .or_else(|| number.filter(|number| *number < names.len())),
    }
}

fn known(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = if names.len() > NAMED { ", …" } else { "" };
    match first.is_empty() {
        true => "numbers, for the file names no classes".to_owned(),
        false => format!("{}{more}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_found_by_name_or_number() {
        let names = class_names(r#"{0: 'cat', 1: "person's hat", 2: 'Person'}"#);
        assert_eq!(names, ["cat", "person's hat", "Person"]);
        assert_eq!(class_of("person", Some(&names)), Some(2));
        assert_eq!(class_of("1", Some(&names)), Some(1));
        assert_eq!(class_of("3", Some(&names)), None);
        assert_eq!(class_of("person", None), Some(0));
        assert_eq!(class_of("face", None), None);
        assert!(class_names("{1: 'a', 5: 'b'}").is_empty());
        assert_eq!(class_names(r#"{"0": "face"}"#), ["face"]);
        assert_eq!(
            class_names("['person', 'dining table']"),
            ["person", "dining table"]
        );
    }
}
