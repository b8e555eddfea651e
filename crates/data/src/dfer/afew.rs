//! AFEW: a folder for each part, in it one for each expression, and no tables.

use std::path::{Path, PathBuf};

use super::Benchmark;
use super::clips::{ClipIndex, Shape, entries, file_name};
use super::dataset::{DferOptions, Reader, missing};
use super::error::DferError;
use super::part::{Annotation, Part};
use crate::synthetic::Split;

/// The release's folder of the parts; published ones lie in the root.
const FACES: &str = "AFEW_Face";
/// What the parts are called, in lower case.
const TRAIN: [&str; 2] = ["train", "train_afew"];
const TEST: [&str; 4] = ["validation", "val", "val_afew", "validation_afew"];

const SHAPE: Shape = Shape {
    levels: 0,
    is_archive: |_| false,
    key: str::to_owned,
};

pub(super) struct Afew {
    root: PathBuf,
    train: PathBuf,
    test: PathBuf,
}

impl Afew {
    pub(super) fn open(root: &Path, options: &DferOptions) -> Result<Self, DferError> {
        let given = options.clips.iter().map(|folder| root.join(folder));
        let bases = given.chain([root.join(FACES), root.to_owned()]);
        for base in bases.filter(|base| base.is_dir()) {
            let folders = entries(&base)?;
            let part = |names: &[&str]| {
                let named = |path: &&PathBuf| {
                    path.is_dir() && names.contains(&file_name(path).to_lowercase().as_str())
                };
                folders.iter().find(named).cloned()
            };
            let (train, test) = match (part(&TRAIN), part(&TEST)) {
                (Some(train), Some(test)) => (train, test),
                (None, None) => continue,
                (Some(_), None) => return Err(missing(Benchmark::Afew, &base, "'Val_AFEW'")),
                (None, Some(_)) => return Err(missing(Benchmark::Afew, &base, "'Train_AFEW'")),
            };
            return Ok(Self {
                root: root.to_owned(),
                train,
                test,
            });
        }
        Err(missing(
            Benchmark::Afew,
            root,
            "'Train_AFEW' and 'Val_AFEW'",
        ))
    }
}

impl Reader for Afew {
    const BENCHMARK: Benchmark = Benchmark::Afew;

    fn root(&self) -> &Path {
        &self.root
    }

    fn part(&self, _fold: usize, part: Split) -> Result<Part, DferError> {
        let folder = match part {
            Split::Train => &self.train,
            Split::Validation | Split::Test => &self.test,
        };
        let part = file_name(folder);
        let mut clips = Vec::new();
        let mut found = vec![false; Self::BENCHMARK.emotions().len()];
        // Other folders, such as that of the aligned faces, are passed over.
        for path in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
            let name = file_name(&path);
            let Some(emotion) = Self::BENCHMARK.emotion_index(&name) else {
                continue;
            };
            let index = ClipIndex::list(&path, SHAPE)?;
            if let Some(found) = found.get_mut(emotion) {
                *found |= !index.is_empty();
            }
            clips.extend(index.into_sorted().into_iter().map(|(key, path)| {
                let annotation = Annotation {
                    key: format!("{part}/{name}/{key}"),
                    emotions: vec![emotion],
                    caption: None,
                };
                (annotation, path)
            }));
        }
        let absent = found.iter().zip(Self::BENCHMARK.emotions());
        let mut absent = absent.filter(|(found, _)| !**found);
        if let Some((_, emotion)) = absent.next() {
            let what = format!("clips of {emotion} in '{part}'");
            return Err(missing(Self::BENCHMARK, &self.root, &what));
        }
        Ok(Part::of_clips(clips, folder))
    }
}
