//! MAFW: tables of single or compound labels for each fold, with and without captions.
//!
//! The captioned tables lack the neutral clips, which nobody described. So the clips and labels
//! come from the table without captions, and the other only adds sentences; in the release's own
//! layout it may add training clips too.

use std::path::{Path, PathBuf};

use super::Benchmark;
use super::clips::{ClipIndex, Shape, first_existing};
use super::dataset::{DferOptions, LabelKind, Reader, missing};
use super::error::{DferError, RowFault};
use super::part::{Annotation, Annotations, Part};
use super::table::{Row, decode, words};
use crate::synthetic::Split;

const TABLES: [&str; 3] = ["Train & Test Set", "Train_Test_Set", "split"];
const PLAIN: [&str; 2] = ["no_caption", "no_caption_new"];
const CAPTIONED: [&str; 2] = ["with_caption_new", "with_caption"];
const CLIPS: [&str; 3] = ["data/faces", "data/frames", "data/clips"];

/// What stands in place of a caption where there is none.
const NO_CAPTION: &str = "-";

pub(super) struct Mafw {
    root: PathBuf,
    labels: LabelKind,
    plain: PathBuf,
    captioned: Option<PathBuf>,
    clips: ClipIndex,
}

impl Mafw {
    pub(super) fn open(root: &Path, options: &DferOptions) -> Result<Self, DferError> {
        let lacks = |what: &str| missing(Benchmark::Mafw, root, what);
        let kind = match options.labels {
            LabelKind::Single => "single",
            LabelKind::Compound => "compound",
        };
        let tables = first_existing(root, &TABLES);
        let tables = tables
            .ok_or_else(|| lacks("'Train & Test Set'"))?
            .join(kind);
        let plain = first_existing(&tables, &PLAIN)
            .ok_or_else(|| lacks(&format!("'Train & Test Set/{kind}/no_caption'")))?;
        Ok(Self {
            root: root.to_owned(),
            labels: options.labels,
            plain,
            captioned: first_existing(&tables, &CAPTIONED),
            clips: open_clips(Benchmark::Mafw, root, options, &CLIPS, SHAPE)?,
        })
    }
}

const SHAPE: Shape = Shape {
    levels: 0,
    is_archive: |_| false,
    key: str::to_owned,
};

impl Reader for Mafw {
    const BENCHMARK: Benchmark = Benchmark::Mafw;

    fn root(&self) -> &Path {
        &self.root
    }

    fn part(&self, fold: usize, part: Split) -> Result<Part, DferError> {
        let name = format!("set_{fold}/{}.txt", part.name());
        let read = |folder: &Path| {
            let path = folder.join(&name);
            if !path.is_file() {
                let below = path.strip_prefix(&self.root).unwrap_or(&path);
                let what = format!("'{}'", below.display());
                return Err(missing(Self::BENCHMARK, &self.root, &what));
            }
            Annotations::read(&path, |row| annotation(row, self.labels).map(Some))
        };
        let mut annotations = read(&self.plain)?;
        if let Some(captioned) = &self.captioned {
            let is_trained_on = part == Split::Train;
            annotations.join(read(captioned)?, is_trained_on, |emotions| {
                let names = Self::BENCHMARK.emotions();
                let names = emotions.iter().filter_map(|one| names.get(*one).copied());
                names.collect::<Vec<_>>().join("_")
            });
        }
        Ok(annotations.find(&self.clips))
    }
}

/// `00025.mp4 happiness`, or with tabs `00025.mp4  fear_surprise  Chinese  English`.
fn annotation(row: Row<'_>, labels: LabelKind) -> Result<Annotation, RowFault> {
    let fields = row.fields();
    let (clip, label, caption) = match fields.as_slice() {
        [clip, label] => (clip, label, None),
        [clip, label, _, caption] => (clip, label, Some(words(&decode(caption)))),
        _ => return Err(row.fault("'clip label' or clip, label, Chinese, English with tabs")),
    };
    let (clip, label) = (decode(clip), decode(label));
    let emotion = |name: &str| Benchmark::Mafw.emotion_index(name);
    let emotions: Option<Vec<usize>> = label.split('_').map(emotion).collect();
    let mut emotions = emotions.ok_or_else(|| RowFault::Label(label.clone()))?;
    emotions.sort_unstable();
    emotions.dedup();
    if labels == LabelKind::Single && emotions.len() > 1 {
        return Err(RowFault::Label(label));
    }
    let key = clip.split('.').next().unwrap_or_default().to_owned();
    Ok(Annotation {
        key,
        emotions,
        caption: caption.filter(|text| !text.is_empty() && text != NO_CAPTION),
    })
}

/// Lists the clips in the folder that the options name, or else in the first that has any.
///
/// # Errors
/// No such folder, or none that holds a clip.
pub(super) fn open_clips(
    benchmark: Benchmark,
    root: &Path,
    options: &DferOptions,
    candidates: &[&str],
    shape: Shape,
) -> Result<ClipIndex, DferError> {
    if let Some(folder) = &options.clips {
        let path = root.join(folder);
        if path.is_dir() {
            let clips = ClipIndex::list(&path, shape)?;
            if !clips.is_empty() {
                return Ok(clips);
            }
        }
        let what = format!("clips in '{}'", folder.display());
        return Err(missing(benchmark, root, &what));
    }
    for candidate in candidates {
        let path = root.join(candidate);
        if path.is_dir() {
            let clips = ClipIndex::list(&path, shape)?;
            if !clips.is_empty() {
                return Ok(clips);
            }
        }
    }
    let places: Vec<String> = candidates.iter().map(|one| format!("'{one}'")).collect();
    let what = format!("clips in {}", places.join(", "));
    Err(missing(benchmark, root, &what))
}
