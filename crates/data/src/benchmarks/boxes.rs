//! Boxes of the release's detector, of the frames that are asked for.
//!
//! The file of MovieGraphs holds every frame of 51 films, gigabytes of JSON, of which the protocol
//! looks at one frame in a hundred: it is read as a stream, and only what is wanted is kept.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use emotionclip::preprocess::SubjectBox;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::BenchmarkError;
use super::part::Pending;

/// Boxes of frames by clip or film and by the frame's name.
#[derive(Debug, Default)]
pub(super) struct FrameBoxes(HashMap<String, Frames>);

/// Boxes by frame; `None` until the file has told them.
type Frames = HashMap<String, Option<Vec<SubjectBox>>>;

impl FrameBoxes {
    /// Asks for the boxes of all frames of these samples.
    pub(super) fn wanted_by<'a>(pending: impl IntoIterator<Item = &'a Pending>) -> Self {
        let mut wanted = Self::default();
        for (group, frame) in pending.into_iter().flat_map(|pending| &pending.keys) {
            wanted
                .0
                .entry(group.clone())
                .or_default()
                .insert(frame.clone(), None);
        }
        wanted
    }

    /// The boxes of a frame, if the file has an entry for it.
    pub(super) fn get(&self, group: &str, frame: &str) -> Option<&[SubjectBox]> {
        self.0.get(group)?.get(frame)?.as_deref()
    }

    /// Reads `{group: {frame: [[x1, y1, x2, y2, score], …]}}`.
    ///
    /// # Errors
    /// A file that can't be read or holds something else.
    pub(super) fn read_groups(&mut self, path: &Path) -> Result<(), BenchmarkError> {
        read(path, Groups(&mut self.0))
    }

    /// Reads `[{frame: [[x1, y1, x2, y2, score], …]}, …]`, the frames of one group.
    ///
    /// # Errors
    /// A file that can't be read or holds something else.
    pub(super) fn read_list(&mut self, group: &str, path: &Path) -> Result<(), BenchmarkError> {
        match self.0.get_mut(group) {
            Some(frames) => read(path, FrameList(frames)),
            None => Ok(()),
        }
    }
}

/// Reads one JSON value from a file as a stream.
fn read<'de, S: DeserializeSeed<'de, Value = ()>>(
    path: &Path,
    seed: S,
) -> Result<(), BenchmarkError> {
    let file = File::open(path).map_err(|error| BenchmarkError::read(path, error))?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 16, file));
    seed.deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|error| BenchmarkError::read(path, error))
}

struct Groups<'a>(&'a mut HashMap<String, Frames>);

impl<'de> DeserializeSeed<'de> for Groups<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Groups<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of clips, each an object of frames")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(group) = map.next_key::<String>()? {
            match self.0.get_mut(&group) {
                Some(frames) => map.next_value_seed(FrameMap(frames))?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct FrameMap<'a>(&'a mut Frames);

impl<'de> DeserializeSeed<'de> for FrameMap<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FrameMap<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of frames, each a list of boxes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(frame) = map.next_key::<String>()? {
            match self.0.get_mut(&frame) {
                Some(place) => {
                    let boxes: Vec<Vec<f64>> = map.next_value()?;
                    let boxes = boxes.iter().map(|numbers| detected(numbers));
                    let boxes: Option<Vec<SubjectBox>> = boxes.collect();
                    let boxes = boxes.ok_or_else(|| {
                        A::Error::custom(format!("{frame}: a box is [x1, y1, x2, y2, score]"))
                    })?;
                    *place = Some(boxes);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct FrameList<'a>(&'a mut Frames);

impl<'de> DeserializeSeed<'de> for FrameList<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for FrameList<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of objects of frames")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(FrameMap(self.0))?.is_some() {}
        Ok(())
    }
}

/// A box as the detector's script writes it.
fn detected(numbers: &[f64]) -> Option<SubjectBox> {
    let &[x1, y1, x2, y2, score] = numbers else {
        return None;
    };
    Some(SubjectBox {
        x1: x1 as f32,
        y1: y1 as f32,
        x2: x2 as f32,
        y2: y2 as f32,
        score: Some(score as f32),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(keys: &[(&str, &str)]) -> FrameBoxes {
        let mut wanted = FrameBoxes::default();
        for (group, frame) in keys {
            let frames = wanted.0.entry((*group).to_owned()).or_default();
            frames.insert((*frame).to_owned(), None);
        }
        wanted
    }

    #[test]
    fn only_wanted_frames_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boxes.json");
        // What nobody asked for may be anything.
        let text = r#"{"a": {"1.jpg": [[1, 2, 3.5, 4, 0.9]], "2.jpg": "x"}, "b": 7, "c": {}}"#;
        std::fs::write(&path, text).unwrap();
        let mut boxes = asked(&[("a", "1.jpg"), ("a", "3.jpg"), ("c", "1.jpg")]);
        boxes.read_groups(&path).unwrap();
        let found = boxes.get("a", "1.jpg").unwrap();
        assert_eq!((found[0].x2, found[0].score), (3.5, Some(0.9)));
        assert!(boxes.get("a", "3.jpg").is_none() && boxes.get("c", "1.jpg").is_none());
        assert!(boxes.get("b", "1.jpg").is_none());
        let mut boxes = asked(&[("film", "1.jpg"), ("film", "2.jpg")]);
        std::fs::write(&path, r#"[{"1.jpg": []}, {"2.jpg": [], "9.jpg": []}]"#).unwrap();
        boxes.read_list("film", &path).unwrap();
        assert_eq!(boxes.get("film", "2.jpg"), Some(&[][..]));
    }

    #[test]
    fn what_is_no_box_names_the_file_and_the_frame() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boxes.json");
        for (text, part) in [
            (r#"{"a": {"1.jpg": [[1, 2, 3]]}}"#, "1.jpg: a box is [x1"),
            (r#"{"a": {"1.jpg": [[1, 2"#, "EOF"),
            (r#"{"a": []}"#, "an object of frames"),
            ("[]", "an object of clips"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = asked(&[("a", "1.jpg")]).read_groups(&path).unwrap_err();
            let message = error.to_string();
            assert!(
                message.contains("boxes.json: ") && message.contains(part),
                "{message}"
            );
        }
    }
}
