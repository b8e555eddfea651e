//! FERV39K: clips in folders of scenes and expressions, one table for each part.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::Benchmark;
use super::clips::{ClipIndex, Shape};
use super::dataset::{DferOptions, Reader, missing};
use super::error::{DferError, RowFault};
use super::mafw::open_clips;
use super::part::{Annotation, Annotations, Part};
use super::table::{Row, decode, words};
use crate::synthetic::Split;

const CLIPS: [&str; 1] = ["2_ClipsforFaceCrop"];

/// `Action/Happy/0015`.
const KEY_PARTS: usize = 3;

const SHAPE: Shape = Shape {
    levels: KEY_PARTS - 1,
    is_archive: |_| false,
    key: str::to_owned,
};

pub(super) struct Ferv39k {
    root: PathBuf,
    clips: ClipIndex,
}

impl Ferv39k {
    pub(super) fn open(root: &Path, options: &DferOptions) -> Result<Self, DferError> {
        Ok(Self {
            root: root.to_owned(),
            clips: open_clips(Benchmark::Ferv39k, root, options, &CLIPS, SHAPE)?,
        })
    }

    /// Captions by clip. The release reads them from such a file but doesn't publish it.
    fn captions(&self, part: Split) -> Result<Option<HashMap<String, String>>, DferError> {
        let path = self.root.join(format!("{}_descriptions.json", part.name()));
        if !path.is_file() {
            return Ok(None);
        }
        let read = |reason: String| DferError::Read {
            path: path.clone(),
            reason,
        };
        let text = std::fs::read_to_string(&path).map_err(|error| read(error.to_string()))?;
        let captions: HashMap<String, String> =
            serde_json::from_str(&text).map_err(|error| read(error.to_string()))?;
        let captions = captions.into_iter();
        let captions = captions.map(|(key, text)| (key.replace('_', "/"), words(&text)));
        Ok(Some(
            captions.filter(|(_, text)| !text.is_empty()).collect(),
        ))
    }
}

impl Reader for Ferv39k {
    const BENCHMARK: Benchmark = Benchmark::Ferv39k;

    fn root(&self) -> &Path {
        &self.root
    }

    fn part(&self, _fold: usize, part: Split) -> Result<Part, DferError> {
        let published = format!("4_setups/All_scenes/{}_All.csv", part.name());
        let candidates = [
            published.clone(),
            format!("All_scenes/{}_All.csv", part.name()),
            format!("{}_image.txt", part.name()),
        ];
        let paths = candidates.iter().map(|name| self.root.join(name));
        let path = paths.into_iter().find(|path| path.is_file());
        let lacks = || missing(Self::BENCHMARK, &self.root, &format!("'{published}'"));
        let mut annotations = Annotations::read(&path.ok_or_else(lacks)?, annotation)?;
        if let Some(captions) = self.captions(part)? {
            annotations.set_captions(captions);
        }
        Ok(annotations.find(&self.clips))
    }
}

/// `Action/Happy/0015 Happy`, or the release's `…/Action/Happy/0015 25 0`.
fn annotation(row: Row<'_>) -> Result<Option<Annotation>, RowFault> {
    let fields: Vec<String> = row.fields().into_iter().map(decode).collect();
    let (path, label, emotion) = match fields.as_slice() {
        [path, label] => (path, label, Benchmark::Ferv39k.emotion_index(label)),
        [path, frames, label] if frames.parse::<usize>().is_ok() => {
            let emotion = label.parse().ok();
            let emotion = emotion.filter(|one| *one < Benchmark::Ferv39k.emotions().len());
            (path, label, emotion)
        }
        _ => return Err(row.fault("'scene/expression/clip label' or 'path frames label'")),
    };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let Some(parts) = parts
        .len()
        .checked_sub(KEY_PARTS)
        .and_then(|at| parts.get(at..))
    else {
        // Some copies have a line that names the columns.
        return match (row.line, emotion) {
            (1, None) => Ok(None),
            _ => Err(row.fault("'scene/expression/clip label' or 'path frames label'")),
        };
    };
    Ok(Some(Annotation {
        key: parts.join("/"),
        emotions: vec![emotion.ok_or_else(|| RowFault::Label(label.clone()))?],
        caption: None,
    }))
}
