//! DFEW: numbered clips, and tables of numbered labels for each fold.

use std::path::{Path, PathBuf};

use super::Benchmark;
use super::clips::{ClipIndex, Shape};
use super::dataset::{DferOptions, Reader, missing};
use super::error::{DferError, RowFault};
use super::mafw::open_clips;
use super::part::{Annotation, Annotations, Part};
use super::table::{Row, decode};
use crate::synthetic::Split;

/// Faces of every frame first; those resampled to 16 and the original videos only without them.
const CLIPS: [&str; 5] = [
    "Clip/clip_224x224",
    "DFEW_Frame_Face",
    "Clip/jpg_256",
    "Clip/clip_224x224_16f",
    "Clip/original",
];

const SHAPE: Shape = Shape {
    levels: 0,
    // `clip_224x224_part_1`, `part_1`, `data_part_1-2-3`: the archives' own folders.
    is_archive: |name| name.contains("part_"),
    key: clip_key,
};

pub(super) struct Dfew {
    root: PathBuf,
    clips: ClipIndex,
}

impl Dfew {
    pub(super) fn open(root: &Path, options: &DferOptions) -> Result<Self, DferError> {
        Ok(Self {
            root: root.to_owned(),
            clips: open_clips(Benchmark::Dfew, root, options, &CLIPS, SHAPE)?,
        })
    }
}

impl Reader for Dfew {
    const BENCHMARK: Benchmark = Benchmark::Dfew;

    fn root(&self) -> &Path {
        &self.root
    }

    fn part(&self, fold: usize, part: Split) -> Result<Part, DferError> {
        let part = part.name();
        let published = format!("EmoLabel_DataSplit/{part}(single-labeled)/set_{fold}.csv");
        let candidates = [
            published.clone(),
            // As the set's own description spells it, and without the remark.
            format!("EmoLabel_DataSplit/{part}(single_labeled)/set_{fold}.csv"),
            format!("EmoLabel_DataSplit/{part}/set_{fold}.csv"),
            format!("DFEW_set_{fold}_{part}.txt"),
        ];
        let paths = candidates.iter().map(|name| self.root.join(name));
        let path = paths.into_iter().find(|path| path.is_file());
        let lacks = || missing(Self::BENCHMARK, &self.root, &format!("'{published}'"));
        Ok(Annotations::read(&path.ok_or_else(lacks)?, annotation)?.find(&self.clips))
    }
}

/// `1600,3` with labels from 1, or the release's `…/01600 144 2` with labels from 0.
fn annotation(row: Row<'_>) -> Result<Option<Annotation>, RowFault> {
    let fields: Vec<String> = row.fields().into_iter().map(decode).collect();
    let (clip, label, first) = match fields.as_slice() {
        [clip, label] => (clip, label, 1),
        [path, frames, label] if frames.parse::<usize>().is_ok() => (path, label, 0),
        _ => return Err(row.fault("'clip,label' or 'path frames label'")),
    };
    let Ok(number) = label.parse::<usize>() else {
        // The first line names the columns.
        return match row.line {
            1 if label.eq_ignore_ascii_case("label") => Ok(None),
            _ => Err(RowFault::Label(label.clone())),
        };
    };
    let emotion = number.checked_sub(first);
    let emotion = emotion.filter(|one| *one < Benchmark::Dfew.emotions().len());
    let clip = clip.rsplit('/').next().unwrap_or_default();
    Ok(Some(Annotation {
        key: clip_key(clip.split('.').next().unwrap_or_default()),
        emotions: vec![emotion.ok_or_else(|| RowFault::Label(label.clone()))?],
        caption: None,
    }))
}

/// A clip's number with five digits: tables have `1`, folders `00001`.
fn clip_key(name: &str) -> String {
    match name.parse::<u32>() {
        Ok(number) => format!("{number:05}"),
        Err(_) => name.to_owned(),
    }
}
