//! Step `subjects`: who is in each frame.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use emotionclip::detector::{Detector, Growth, Tracker, TrackerConfig};
use emotionclip::preprocess::{Letterbox, MaskProtocol, SubjectBox};
use serde::{Deserialize, Serialize};

use super::captions::CaptionFile;
use super::error::PrepareError;
use super::frames::{VideoFile, frame_name, remove};
use super::index::frame_range;
use super::step::{self, Failed, Limits, Outcome, Skip, StepProgress, StepReport};
use super::work::{WorkFolder, read_json, stamp, write_json};
use crate::decode::read_picture;
use crate::yolo::Yolo;

/// Side in pixels of the canvas that the release's detector sees a frame in.
const CANVAS: f32 = 640.0;
/// Bytes of an imported file of boxes at most.
const LARGEST_FILE: u64 = 1 << 28;

/// A box as it is stored: left, top, right, bottom and score.
pub type StoredBox = [f32; 5];

/// The pixels that boxes are given in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoxSpace {
    /// Those of the frame.
    #[default]
    Frame,
    /// Those of the canvas into which the release's detector fits the frame, padding included.
    Letterbox,
}

impl BoxSpace {
    /// The rule that draws masks from such boxes.
    pub fn protocol(self, letterbox: Letterbox) -> MaskProtocol {
        match self {
            // Boxes in the frame's own pixels, drawn at the resized frame's size.
            Self::Frame => MaskProtocol::Emotic,
            Self::Letterbox => MaskProtocol::Captioned { letterbox },
        }
    }

    /// `[width, height]` of the space for a frame of `size`.
    fn extent(self, size: [u32; 2]) -> [f32; 2] {
        match self {
            Self::Frame => size.map(|side| side as f32),
            Self::Letterbox => [CANVAS; 2],
        }
    }
}

/// The people of a video: `boxes.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoxesFile {
    /// What the boxes were made from.
    pub stamp: String,
    /// The pixels they are in.
    pub space: BoxSpace,
    /// Boxes of the frames that were looked at, by the frame's number.
    pub frames: BTreeMap<usize, Vec<StoredBox>>,
    /// Boxes that were left out.
    pub dropped: Vec<String>,
}

/// Where boxes come from.
pub enum BoxSource {
    /// Faces that the detector finds, followed from frame to frame and grown to head and shoulders.
    Detect {
        /// The detector.
        detector: Box<Mutex<Detector>>,
        /// What identifies it.
        identity: String,
    },
    /// People whom a YOLO finds, each frame on its own.
    People(Box<Yolo>),
    /// The release's form, `<id>/human_boxes.json` or `<id>.json` in a folder.
    Import {
        /// The folder.
        folder: PathBuf,
        /// The pixels that the boxes are in.
        space: BoxSpace,
    },
}

/// Finds people in all frames that belong to a sentence.
///
/// # Errors
/// A failing detector or disk, too many broken files.
pub fn prepare_subjects(
    work: &WorkFolder,
    source: &BoxSource,
    limits: &Limits,
    progress: &(dyn Fn(StepProgress) + Sync),
) -> Result<StepReport, PrepareError> {
    let ids = work.ids()?;
    step::run("subjects", work, limits, &ids, &[], progress, |id| {
        prepare(work, id, source)
    })
}

fn prepare(work: &WorkFolder, id: &str, source: &BoxSource) -> Result<Outcome, Failed> {
    let folder = work.video(id);
    let record = folder.join("boxes.json");
    let (video, captions) = (
        read_json::<VideoFile>(&folder.join("video.json")),
        read_json::<CaptionFile>(&folder.join("captions.json")),
    );
    let (Some(video), Some(captions)) = (video, captions) else {
        remove(&record)?;
        return Err(Skip::left_out(id, "no frames or no sentences to look for people in").into());
    };
    let made_from = match source {
        BoxSource::Detect { identity, .. } => {
            stamp(&("detect", identity, &video.digest, &captions.stamp))
        }
        BoxSource::People(yolo) => stamp(&(
            "yolo",
            yolo.digest(),
            yolo.settings(),
            &video.digest,
            &captions.stamp,
        )),
        BoxSource::Import { folder, space } => {
            let path = import_path(folder, id, &video.source)?;
            let bytes = read_limited(&path).map_err(|reason| Skip::broken(id, reason))?;
            stamp(&(
                "import",
                space,
                &video.digest,
                String::from_utf8_lossy(&bytes),
            ))
        }
    };
    if let Some(there) = read_json::<BoxesFile>(&record)
        && there.stamp == made_from
    {
        return Ok(Outcome::unchanged(there.dropped));
    }
    let (space, frames, dropped) = match source {
        BoxSource::Detect { detector, .. } => {
            // A copy, so that the lock is free again before the work begins: held, it would let one
            // video at a time through.
            let detector = {
                let shared = detector.lock().map_err(|_| {
                    PrepareError::Unusable("the detector failed in another thread".to_owned())
                })?;
                shared.clone()
            };
            let frames = detect(&folder.join("frames"), &video, &captions, &detector)
                .map_err(|reason| Skip::broken(id, reason))?;
            (BoxSpace::Frame, frames, Vec::new())
        }
        BoxSource::People(yolo) => {
            let mut frames = BTreeMap::new();
            for number in spoken_frames(&video, &captions) {
                let path = folder.join("frames").join(frame_name(number));
                let picture = read_picture(&path).map_err(|error| Skip::broken(id, error))?;
                // What one picture shows of the file holds for all videos.
                let people = yolo
                    .detect(&picture)
                    .map_err(|error| PrepareError::Unusable(error.to_string()))?;
                let stored = people
                    .iter()
                    .map(|person| stored(person.edges, person.score));
                frames.insert(number, stored.collect());
            }
            (BoxSpace::Frame, frames, Vec::new())
        }
        BoxSource::Import { folder, space } => {
            let path = import_path(folder, id, &video.source)?;
            let bytes = read_limited(&path).map_err(|reason| Skip::broken(id, reason))?;
            let (frames, dropped) = parse_release(&bytes, *space, video.size)
                .map_err(|reason| Skip::broken(id, format!("{}: {reason}", path.display())))?;
            let named = dropped
                .into_iter()
                .map(|one| format!("{id}: {one}"))
                .collect();
            (*space, frames, named)
        }
    };
    let file = BoxesFile {
        stamp: made_from,
        space,
        frames,
        dropped,
    };
    write_json(&record, &file)?;
    Ok(Outcome::made(file.dropped))
}

/// Numbers of the frames that lie in a sentence, in order.
fn spoken_frames(video: &VideoFile, captions: &CaptionFile) -> Vec<usize> {
    let mut is_wanted = vec![false; video.frames];
    for sentence in &captions.sentences {
        // Imported times are whatever the file says: only frames that are there are gone through.
        let range = frame_range(sentence, video.fps);
        let start = range.start().saturating_sub(video.first);
        let end = range.end().saturating_add(1).saturating_sub(video.first);
        if let Some(wanted) = is_wanted.get_mut(start..end.min(video.frames)) {
            wanted.fill(true);
        }
    }
    let numbers = (video.first..).zip(is_wanted);
    numbers
        .filter_map(|(number, is_wanted)| is_wanted.then_some(number))
        .collect()
}

/// Faces of every frame that lies in a sentence. Runs of frames are followed each on its own.
fn detect(
    folder: &Path,
    video: &VideoFile,
    captions: &CaptionFile,
    detector: &Detector,
) -> Result<BTreeMap<usize, Vec<StoredBox>>, String> {
    let mut found = BTreeMap::new();
    let mut tracker: Option<Tracker> = None;
    let mut last = None;
    for number in spoken_frames(video, captions) {
        if last.is_some_and(|last| number != last + 1) {
            tracker = None;
        }
        last = Some(number);
        let picture =
            read_picture(&folder.join(frame_name(number))).map_err(|error| error.to_string())?;
        let size = [picture.width(), picture.height()];
        let faces = detector
            .detect(&picture)
            .map_err(|error| error.to_string())?;
        let tracker =
            tracker.get_or_insert_with(|| Tracker::new(TrackerConfig::at_rate(video.fps)));
        let boxes = tracker.update(&faces, size).iter().filter_map(|track| {
            let SubjectBox { x1, y1, x2, y2, .. } =
                track.face.subject(Growth::HEAD_AND_SHOULDERS, size)?;
            Some(stored([x1, y1, x2, y2], track.face.score))
        });
        found.insert(number, boxes.collect());
    }
    Ok(found)
}

/// To a tenth of a pixel, which is more than a detector knows.
fn stored(edges: [f32; 4], score: f32) -> StoredBox {
    let [x1, y1, x2, y2] = edges.map(|edge| (edge * 10.0).round() / 10.0);
    [x1, y1, x2, y2, (score * 1e4).round() / 1e4]
}

/// The file of a video's boxes, by its id as it is in the folder or as it was before it was encoded.
fn import_path(folder: &Path, id: &str, source: &str) -> Result<PathBuf, Skip> {
    let stem = Path::new(source)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let candidates = [
        folder.join(id).join("human_boxes.json"),
        folder.join(format!("{id}.json")),
        folder.join(&*stem).join("human_boxes.json"),
        folder.join(format!("{stem}.json")),
    ];
    candidates
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| Skip::left_out(id, "no boxes (<name>/human_boxes.json or <name>.json)"))
}

fn read_limited(path: &Path) -> Result<Vec<u8>, String> {
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let length = std::fs::metadata(path).map_err(named)?.len();
    if length > LARGEST_FILE {
        return Err(format!(
            "{}: {} MiB are no boxes",
            path.display(),
            length >> 20
        ));
    }
    std::fs::read(path).map_err(named)
}

type Imported = (BTreeMap<usize, Vec<StoredBox>>, Vec<String>);

/// `[{"00000012.jpg": [[x1, y1, x2, y2, score], …]}, …]`, or one object of all frames. A box that is no
/// box or lies outside the frame is left out and named.
pub(super) fn parse_release(
    bytes: &[u8],
    space: BoxSpace,
    size: [u32; 2],
) -> Result<Imported, String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        List(Vec<BTreeMap<String, Vec<Vec<f64>>>>),
        Map(BTreeMap<String, Vec<Vec<f64>>>),
    }
    let form: Form = serde_json::from_slice(bytes).map_err(|error| {
        format!("no boxes of the form [{{\"00000012.jpg\": [[x1, y1, x2, y2, score]]}}] ({error})")
    })?;
    let parts = match form {
        Form::List(parts) => parts,
        Form::Map(map) => vec![map],
    };
    let (mut frames, mut dropped): Imported = Default::default();
    for (name, boxes) in parts.into_iter().flatten() {
        let Some(number) = name
            .split('.')
            .next()
            .and_then(|number| number.parse::<usize>().ok())
        else {
            dropped.push(format!("'{name}' is no frame"));
            continue;
        };
        let kept = frames.entry(number).or_insert_with(Vec::new);
        for stored in boxes {
            match checked(&stored, space.extent(size)) {
                Ok(stored) => kept.push(stored),
                Err(problem) => dropped.push(format!("frame {number}: a box {problem}")),
            }
        }
    }
    Ok((frames, dropped))
}

fn checked(stored: &[f64], extent: [f32; 2]) -> Result<StoredBox, &'static str> {
    let [x1, y1, x2, y2, rest @ ..] = stored else {
        return Err("of fewer than four numbers");
    };
    let score = match rest {
        [] => 1.0,
        [score] => *score,
        _ => return Err("of more than five numbers"),
    };
    let [x1, y1, x2, y2, score] = [*x1, *y1, *x2, *y2, score].map(|number| number as f32);
    if ![x1, y1, x2, y2, score]
        .iter()
        .all(|number| number.is_finite())
    {
        return Err("with numbers that are not finite");
    }
    if x1 >= x2 || y1 >= y2 {
        return Err("without an area");
    }
    if !(0.0..=1.0).contains(&score) {
        return Err("with a score outside [0, 1]");
    }
    if x2 <= 0.0 || y2 <= 0.0 || x1 >= extent[0] || y1 >= extent[1] {
        return Err("outside the frame");
    }
    Ok([x1, y1, x2, y2, score])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captions::Sentence;

    fn spoken_between(times: &[(f64, f64)]) -> Vec<usize> {
        let video = VideoFile {
            stamp: String::new(),
            source: String::new(),
            fps: 8.0,
            first: 1,
            frames: 24,
            size: [64, 48],
            digest: String::new(),
            hashes: Vec::new(),
        };
        let sentences = times.iter().map(|(start, end)| Sentence {
            text: "words".to_owned(),
            start: *start,
            end: *end,
            duration: end - start,
        });
        let captions = CaptionFile {
            stamp: String::new(),
            source: String::new(),
            grouping: None,
            cues: times.len(),
            faults: Vec::new(),
            sentences: sentences.collect(),
        };
        spoken_frames(&video, &captions)
    }

    #[test]
    fn frames_of_sentences_are_named_once_and_in_order() {
        let overlapping = spoken_between(&[(1.0, 1.25), (0.5, 0.75), (1.25, 1.5)]);
        assert_eq!(overlapping, [4, 5, 6, 8, 9, 10, 11, 12]);
        // Frame 0 is none of this video's.
        assert_eq!(spoken_between(&[(0.0, 0.25)]), [1, 2]);
        assert!(spoken_between(&[(0.0, 0.0), (2.0, 1.0), (4.0, 5.0)]).is_empty());
    }

    #[test]
    fn a_sentence_without_an_end_reaches_to_the_last_frame() {
        let last: Vec<usize> = (16..=24).collect();
        assert_eq!(spoken_between(&[(2.0, 1e18)]), last);
        assert_eq!(spoken_between(&[(2.0, f64::MAX)]), last);
        assert!(spoken_between(&[(1e18, f64::MAX)]).is_empty());
    }
}
