//! MovieGraphs: scenes of films.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};

use super::boxes::FrameBoxes;
use super::error::{BenchmarkError, SampleFault};
use super::part::{PartBuilder, Pending, ProbePart, ProbeSample, SubjectFrame, part_name};
use super::paths::{below, existing};
use super::{ProbeDataset, ProbeOptions};
use crate::decode::spread_indices;
use crate::synthetic::Split;

const DATASET: ProbeDataset = ProbeDataset::MovieGraphs;
const LABELS: &str = "official/mg/py3loader/emotion_labels.json";
const SPLIT: &str = "official/mg/split.json";
const SCENES: &str = "official/mg_videoinfo/scene_boundaries";
const SHOTS: &str = "official/mg_videoinfo/video_boundaries";
const BOXES: &str = "all_human_boxes.json";

/// Frames taken of a scene that ends with its film, whose length isn't in the tables: 8 s of 24.
const LAST_SCENE_FRAMES: u64 = 8 * 24;

/// A scene whose end lies behind its film's last frame, and where it is cut: film, clip, frame.
const OVERLONG: (&str, usize, u64) = ("tt0388795", 207, 184_272);

/// Pairs of a JSON object in the file's order.
struct Ordered<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Ordered<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<V>(core::marker::PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
            type Value = Ordered<V>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Ordered(pairs))
            }
        }

        deserializer.deserialize_map(Pairs(core::marker::PhantomData))
    }
}

/// Scenes and shots of a film.
struct Film {
    /// First and last shot of each scene, from 1.
    scenes: Vec<(usize, usize)>,
    /// First and last frame of each shot; the last shot's end isn't known.
    shots: Vec<(u64, Option<u64>)>,
}

/// What its folder must hold.
pub(super) fn needed() -> Vec<String> {
    [LABELS, SPLIT, SCENES, SHOTS, BOXES, "frames"]
        .map(str::to_owned)
        .into()
}

/// Reads all parts.
///
/// # Errors
/// As [`super::ProbeSet::open`].
pub(super) fn read(root: &Path, options: &ProbeOptions) -> Result<Vec<ProbePart>, BenchmarkError> {
    let labels: Ordered<Ordered<Vec<String>>> = read_json(&root.join(LABELS))?;
    let films: HashMap<String, Vec<String>> = read_json(&root.join(SPLIT))?;
    let mut builders = Vec::new();
    let mut pending = Vec::new();
    for split in [Split::Train, Split::Validation, Split::Test] {
        let name = part_name(DATASET, split);
        let of_part = films
            .get(name)
            .ok_or_else(|| BenchmarkError::read(&root.join(SPLIT), format!("no list '{name}'")))?;
        let mut part = PartBuilder::new(DATASET, split, &root.join(LABELS));
        let mut found = Vec::new();
        for (film, clips) in labels.0.iter().filter(|(film, _)| of_part.contains(film)) {
            let cuts = Film::read(root, film);
            for (clip, emotions) in &clips.0 {
                let place = format!("{film}/{clip}");
                match &cuts {
                    Ok(cuts) => match scene(root, film, clip, emotions, cuts, options.frames) {
                        Ok(one) => found.push(one),
                        Err(fault) => part.skip(&place, fault),
                    },
                    Err(fault) => part.skip(&place, fault.clone()),
                }
            }
        }
        pending.push(found);
        builders.push(part);
    }
    // One pass over the boxes for all parts: the file is large.
    let mut boxes = FrameBoxes::wanted_by(pending.iter().flatten());
    boxes.read_groups(&root.join(BOXES))?;
    let finished = builders.into_iter().zip(pending).map(|(mut part, found)| {
        part.attach(found, &boxes);
        part.finish(options)
    });
    finished.collect()
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, BenchmarkError> {
    let bytes = std::fs::read(path).map_err(|error| BenchmarkError::read(path, error))?;
    serde_json::from_slice(&bytes).map_err(|error| BenchmarkError::read(path, error))
}

fn scene(
    root: &Path,
    film: &str,
    clip: &str,
    emotions: &[String],
    cuts: &Film,
    count: usize,
) -> Result<Pending, SampleFault> {
    let mut labels = Vec::new();
    for emotion in emotions {
        let class = DATASET.classes().iter().position(|name| name == emotion);
        labels.push(class.ok_or_else(|| SampleFault::Label(emotion.clone()))?);
    }
    labels.sort_unstable();
    labels.dedup();
    let number: usize = clip.parse().map_err(|_| SampleFault::Number {
        field: "clip".to_owned(),
        found: clip.to_owned(),
    })?;
    let (start, end) = cuts.frames(film, number)?;
    let folder = below(&root.join("frames"), film)?;
    let length = usize::try_from(end - start).unwrap_or(usize::MAX - 1) + 1;
    let names: Vec<String> = spread_indices(length, count)
        .into_iter()
        .map(|index| format!("frame_{}.jpg", start + index as u64))
        .collect();
    let frame = |name: &String| {
        Ok(SubjectFrame {
            path: existing(folder.join(name))?,
            boxes: Vec::new(),
        })
    };
    let frames = names.iter().map(frame).collect::<Result<_, _>>()?;
    let id = format!("{film}/{clip}");
    Ok(Pending {
        place: id.clone(),
        keys: names
            .into_iter()
            .map(|name| (film.to_owned(), name))
            .collect(),
        sample: ProbeSample {
            id,
            frames,
            labels,
            values: Vec::new(),
        },
    })
}

impl Film {
    fn read(root: &Path, film: &str) -> Result<Self, SampleFault> {
        let scenes = below(&root.join(SCENES), &format!("{film}.scenes.gt"))?;
        let shots = below(&root.join(SHOTS), &format!("{film}.videvents"))?;
        let pair = |fields: &[&str]| -> Option<(usize, usize)> {
            let [first, last, ..] = fields else {
                return None;
            };
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        let scenes = rows(&scenes, 0, pair)?;
        // Every row is a cut; before the first and behind the last is a shot as well.
        let starts = rows(&shots, 1, |fields| fields.first()?.parse::<u64>().ok())?;
        let firsts = core::iter::once(0).chain(starts.iter().copied());
        let lasts = starts.iter().map(|start| start.checked_sub(1));
        Ok(Self {
            scenes,
            shots: firsts.zip(lasts.chain(core::iter::once(None))).collect(),
        })
    }

    /// First and last frame of a clip, both included.
    fn frames(&self, film: &str, clip: usize) -> Result<(u64, u64), SampleFault> {
        let scene = self.scenes.get(clip);
        let &(first, last) = scene.ok_or_else(|| SampleFault::NoShot(format!("scene {clip}")))?;
        let shot = |number: usize| {
            let index = number.checked_sub(1);
            let shot = index.and_then(|index| self.shots.get(index)).copied();
            shot.ok_or_else(|| SampleFault::NoShot(format!("shot {number}")))
        };
        let (start, _) = shot(first)?;
        let (_, end) = shot(last)?;
        let end = end.unwrap_or(start + LAST_SCENE_FRAMES);
        let end = match OVERLONG {
            (cut_film, cut_clip, cut) if (cut_film, cut_clip) == (film, clip) => cut,
            _ => end,
        };
        if end < start {
            let shots = format!("shots from {first} to {last}");
            return Err(SampleFault::NoShot(shots));
        }
        Ok((start, end))
    }
}

/// The rows of a table with fields apart by white space.
fn rows<T>(
    path: &Path,
    skipped: usize,
    row: impl Fn(&[&str]) -> Option<T>,
) -> Result<Vec<T>, SampleFault> {
    let text = std::fs::read(path).map_err(|_| SampleFault::NoFile(path.to_owned()))?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().enumerate().skip(skipped);
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            row(&fields).ok_or_else(|| SampleFault::File {
                path: path.to_owned(),
                reason: format!("line {} is '{}'", index + 1, line.trim()),
            })
        })
        .collect()
}
