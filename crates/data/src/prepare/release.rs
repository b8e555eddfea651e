//! The authors' release's files as a work folder.
//!
//! | theirs | becomes |
//! |---|---|
//! | `<videos>/<id>/frames/00000001.jpg` … | hard links or copies in `frames/`, with their numbers |
//! | `<videos>/<id>/frames.hdf5` | the same, written out |
//! | `<captions>/<id>/transcript_cleaned.json` | `captions.json` |
//! | `<videos>/<id>/human_boxes.json` | `boxes.json`, in the pixels of their letterboxed canvas |
//! | the index with its neutral scores, and the sentiment logits | `sentiment.json`; a sentence that the index lacks counts as neutral |
//!
//! Where a video has both a folder of frames and a packed file, the folder is taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use emotionclip::Emotion;
use serde::Deserialize;

use super::captions::CaptionFile;
use super::error::PrepareError;
use super::frames::{describe, frame_name, remove};
use super::inputs::encode_id;
use super::packed::PackedFrames;
use super::sentiment::{SentenceScore, SentimentFile};
use super::step::{self, Failed, Limits, Outcome, Skip, StepProgress, StepReport};
use super::subjects::{BoxSpace, BoxesFile, parse_release};
use super::work::{WorkFolder, partial_of, stamp, write_json};
use crate::captions::Sentence;
use crate::decode::FOLDER_RATE;
use crate::npy::Matrix;

/// Bytes of a JSON file of the release at most.
const LARGEST_FILE: u64 = 1 << 33;

/// Where the release's files are.
#[derive(Clone, Debug)]
pub struct ReleaseFiles {
    /// Folder of `<id>/frames` and `<id>/human_boxes.json`.
    pub videos: PathBuf,
    /// Folder of `<id>/transcript_cleaned.json`; none if they stand beside the frames.
    pub captions: Option<PathBuf>,
    /// The release's index, which the logits belong to.
    pub index: Option<PathBuf>,
    /// `.npy` of `[entries of the index, 7]`.
    pub sentiment_logits: Option<PathBuf>,
}

#[derive(Deserialize)]
struct ReleaseSentence {
    text: String,
    start: f64,
    end: f64,
}

#[derive(Deserialize)]
struct ReleaseEntry {
    video_id: String,
    start_frame: usize,
    end_frame: usize,
    text: String,
    neutral_score: f32,
}

/// Logits and neutral score by video, frames and text.
type Scores = BTreeMap<(String, usize, usize, String), SentenceScore>;

/// Imports the release's files. Sentences without logits get their scores from `trainer data
/// sentiment` afterwards.
///
/// # Errors
/// Files that are missing or of another form, a disk that refuses, too many broken videos.
pub fn import_release(
    work: &WorkFolder,
    files: &ReleaseFiles,
    limits: &Limits,
    progress: &(dyn Fn(StepProgress) + Sync),
) -> Result<StepReport, PrepareError> {
    let scores = read_scores(files)?;
    let listed = std::fs::read_dir(&files.videos).map_err(PrepareError::io(&files.videos))?;
    let mut ids: Vec<String> = listed
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    ids.sort();
    if ids.is_empty() {
        let problem = "no folder a video in it; give the release's folder of videos".to_owned();
        return Err(PrepareError::Nothing {
            path: files.videos.clone(),
            problem,
        });
    }
    step::run("import-release", work, limits, &ids, &[], progress, |id| {
        import(work, files, id, scores.as_ref())
    })
}

fn import(
    work: &WorkFolder,
    files: &ReleaseFiles,
    name: &str,
    scores: Option<&Scores>,
) -> Result<Outcome, Failed> {
    let source = files.videos.join(name);
    let captions = files.captions.as_ref().unwrap_or(&files.videos).join(name);
    let Some(frames) = Frames::of(&source).map_err(|reason| Skip::broken(name, reason))? else {
        return Err(Skip::left_out(name, "no frames folder and no frames.hdf5").into());
    };
    let sentences: Vec<ReleaseSentence> =
        read_video_file(&captions.join("transcript_cleaned.json"))
            .map_err(|reason| Skip::broken(name, reason))?;
    let boxes = std::fs::read(source.join("human_boxes.json"))
        .map_err(|error| Skip::left_out(name, format!("human_boxes.json: {error}")))?;
    let folder = work.video(&encode_id(name));
    let to = folder.join("frames");
    // The record last: a killed import starts over.
    for part in [&folder.join("video.json"), &to, &partial_of(&to)] {
        remove(part)?;
    }
    let (first, count) = frames.write_to(name, &partial_of(&to))?;
    let mut video = describe(&partial_of(&to), first, count, FOLDER_RATE)
        .map_err(|skip| Skip::broken(name, skip.reason))?;
    std::fs::rename(partial_of(&to), &to).map_err(PrepareError::io(&to))?;
    let (frames, dropped) = parse_release(&boxes, BoxSpace::Letterbox, video.size)
        .map_err(|reason| Skip::broken(name, format!("human_boxes.json: {reason}")))?;
    let dropped: Vec<String> = dropped
        .into_iter()
        .map(|one| format!("{name}: {one}"))
        .collect();
    video.source = name.to_owned();
    video.stamp = stamp(&("release", &video.digest));
    let sentences: Vec<Sentence> = sentences
        .into_iter()
        .map(|ReleaseSentence { text, start, end }| Sentence {
            text,
            start,
            end,
            duration: end - start,
        })
        .collect();
    let mut captions = CaptionFile {
        stamp: String::new(),
        source: "transcript_cleaned.json".to_owned(),
        grouping: None,
        cues: sentences.len(),
        faults: Vec::new(),
        sentences,
    };
    captions.stamp = stamp(&captions);
    let boxes = BoxesFile {
        stamp: stamp(&("release", &frames)),
        space: BoxSpace::Letterbox,
        frames,
        dropped: dropped.clone(),
    };
    write_json(&folder.join("captions.json"), &captions)?;
    write_json(&folder.join("boxes.json"), &boxes)?;
    if let Some(scores) = scores {
        let found = scores_of(name, &captions.sentences, scores);
        let sentiment = SentimentFile {
            stamp: stamp(&("release", &captions.stamp)),
            model: "the release's logits".to_owned(),
            scores: found,
        };
        write_json(&folder.join("sentiment.json"), &sentiment)?;
    }
    write_json(&folder.join("video.json"), &video)?;
    Ok(Outcome::made(dropped))
}

/// Scores of a video's sentences; one that the index lacks counts as neutral, as the index dropped it.
fn scores_of(name: &str, sentences: &[Sentence], scores: &Scores) -> Vec<SentenceScore> {
    let mut neutral = [0.0; Emotion::COUNT];
    if let Some(logit) = neutral.get_mut(Emotion::Neutral.index()) {
        *logit = 10.0;
    }
    let score = |sentence: &Sentence| {
        let frames = super::index::frame_range(sentence, FOLDER_RATE);
        let key = (
            name.to_owned(),
            *frames.start(),
            *frames.end(),
            sentence.text.clone(),
        );
        scores
            .get(&key)
            .copied()
            .unwrap_or_else(|| SentenceScore::of_logits(neutral))
    };
    sentences.iter().map(score).collect()
}

/// Where a video's frames are.
enum Frames {
    /// A folder of files.
    Folder(PathBuf),
    /// A packed file.
    Packed(PackedFrames),
}

impl Frames {
    /// Those of a video's folder.
    fn of(source: &Path) -> Result<Option<Self>, String> {
        let (folder, packed) = (source.join("frames"), source.join("frames.hdf5"));
        if folder.is_dir() {
            return Ok(Some(Self::Folder(folder)));
        }
        if !packed.is_file() {
            return Ok(None);
        }
        let opened = PackedFrames::open(&packed);
        let opened = opened.map_err(|problem| format!("frames.hdf5: {problem}"))?;
        Ok(Some(Self::Packed(opened)))
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Folder(_) => "frames",
            Self::Packed(_) => "frames.hdf5",
        }
    }

    fn names(&self, video: &str) -> Result<Vec<String>, Failed> {
        match self {
            Self::Folder(folder) => {
                let listed = std::fs::read_dir(folder).map_err(PrepareError::io(folder))?;
                let name =
                    |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
                Ok(listed.flatten().map(name).collect())
            }
            Self::Packed(file) => {
                let names = file.names();
                Ok(names
                    .map_err(|problem| Skip::broken(video, format!("frames.hdf5: {problem}")))?)
            }
        }
    }

    /// Links, copies or unpacks frames that are numbered without a gap; gives the first number and how
    /// many.
    fn write_to(&self, video: &str, to: &Path) -> Result<(usize, usize), Failed> {
        let label = self.label();
        let mut numbers = Vec::new();
        for file in self.names(video)? {
            let number = file.strip_suffix(".jpg").filter(|stem| stem.len() == 8);
            match number.and_then(|number| number.parse::<usize>().ok()) {
                Some(number) => numbers.push(number),
                None => {
                    let problem =
                        format!("{label}/{} is no frame (00000001.jpg)", file.escape_debug());
                    return Err(Skip::broken(video, problem).into());
                }
            }
        }
        numbers.sort_unstable();
        let Some(first) = numbers.first().copied() else {
            return Err(Skip::left_out(video, format!("no frame in {label}")).into());
        };
        if let Some((number, _)) = (first..)
            .zip(&numbers)
            .find(|(expected, found)| expected != *found)
        {
            let problem = format!("{label}/{} is missing", frame_name(number));
            return Err(Skip::broken(video, problem).into());
        }
        std::fs::create_dir_all(to).map_err(PrepareError::io(to))?;
        for number in &numbers {
            self.write_one(video, *number, to)?;
        }
        Ok((first, numbers.len()))
    }

    fn write_one(&self, video: &str, number: usize, to: &Path) -> Result<(), Failed> {
        let target = to.join(frame_name(number));
        match self {
            Self::Folder(folder) => {
                let source = folder.join(frame_name(number));
                // A link costs no space; across disks it has to be a copy.
                if std::fs::hard_link(&source, &target).is_err() {
                    std::fs::copy(&source, &target).map_err(PrepareError::io(&target))?;
                }
            }
            Self::Packed(file) => {
                let written = file.write(number, to);
                let broken = |problem| Skip::broken(video, format!("frames.hdf5: {problem}"));
                written
                    .map_err(broken)?
                    .map_err(PrepareError::io(&target))?;
            }
        }
        Ok(())
    }
}

fn read_video_file<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let bytes = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{name}: {error}"))
}

fn read_foreign<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, PrepareError> {
    let length = std::fs::metadata(path)
        .map_err(PrepareError::io(path))?
        .len();
    let malformed = |problem: String| PrepareError::Malformed {
        path: path.to_owned(),
        problem,
    };
    if length > LARGEST_FILE {
        return Err(malformed(format!("{} GiB are too much", length >> 30)));
    }
    let file = std::fs::File::open(path).map_err(PrepareError::io(path))?;
    serde_json::from_reader(std::io::BufReader::new(file))
        .map_err(|error| malformed(format!("not of the release's form ({error})")))
}

fn read_scores(files: &ReleaseFiles) -> Result<Option<Scores>, PrepareError> {
    let (index, logits) = match (&files.index, &files.sentiment_logits) {
        (None, None) => return Ok(None),
        (Some(index), Some(logits)) => (index, logits),
        _ => {
            let problem =
                "--index and --sentiment belong together: the logits are in the index's order";
            return Err(PrepareError::Unusable(problem.to_owned()));
        }
    };
    let malformed = |path: &Path, problem: String| PrepareError::Malformed {
        path: path.to_owned(),
        problem,
    };
    let entries: Vec<ReleaseEntry> = read_foreign(index)?;
    let bytes = std::fs::read(logits).map_err(PrepareError::io(logits))?;
    let matrix = Matrix::parse(&bytes).map_err(|problem| {
        let advice = "save the logits, [N, 7], with numpy.save";
        malformed(logits, format!("{problem}; {advice}"))
    })?;
    let rows = matrix.rows();
    if rows.len() != entries.len() {
        let problem = format!(
            "{} rows for {} entries of the index; give those that belong together",
            rows.len(),
            entries.len()
        );
        return Err(malformed(logits, problem));
    }
    // JSON has no numbers beyond the finite ones: written out they would be no scores any more.
    let mut scores = Scores::new();
    for (number, (entry, row)) in entries.into_iter().zip(rows).enumerate() {
        let Ok(row) = <[f64; Emotion::COUNT]>::try_from(row) else {
            let problem = format!("{} numbers a row; give 7 logits each", row.len());
            return Err(malformed(logits, problem));
        };
        let (row, neutral) = (row.map(|logit| logit as f32), entry.neutral_score);
        if !row.iter().all(|logit| logit.is_finite()) {
            let problem =
                format!("row {number} (from 0) holds what is no finite number; compute it again");
            return Err(malformed(logits, problem));
        }
        if !neutral.is_finite() {
            let problem =
                format!("neutral_score of entry {number} (from 0) is too large; compute it again");
            return Err(malformed(index, problem));
        }
        let key = (
            entry.video_id,
            entry.start_frame,
            entry.end_frame,
            entry.text,
        );
        let score = SentenceScore {
            logits: row,
            neutral,
        };
        scores.insert(key, score);
    }
    Ok(Some(scores))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::to_bytes;

    /// Scores of three sentences of one video.
    fn scores(rows: &[Vec<f64>], neutral: &str) -> Result<Scores, String> {
        let folder = tempfile::tempdir().unwrap();
        let (index, logits) = (
            folder.path().join("index.json"),
            folder.path().join("a.npy"),
        );
        let entry = |number: usize| {
            format!(
                r#"{{"video_id": "a", "start_frame": {number}, "end_frame": 9, "text": "words",
                     "neutral_score": {neutral}}}"#
            )
        };
        let entries: Vec<String> = (0..3).map(entry).collect();
        std::fs::write(&index, format!("[{}]", entries.join(","))).unwrap();
        std::fs::write(&logits, to_bytes(rows)).unwrap();
        let files = ReleaseFiles {
            videos: folder.path().to_owned(),
            captions: None,
            index: Some(index),
            sentiment_logits: Some(logits),
        };
        let read = read_scores(&files).map_err(|error| error.to_string())?;
        Ok(read.unwrap())
    }

    #[test]
    fn a_score_that_is_not_finite_is_named_with_its_file_and_row() {
        let whole = vec![vec![0.5; 7]; 3];
        let read = scores(&whole, "0.25").unwrap();
        assert_eq!(read.len(), 3);
        assert!(read.values().all(|score| score.logits == [0.5; 7]));
        for wrong in [f64::NAN, f64::INFINITY, -1e300] {
            let mut rows = whole.clone();
            rows[1][3] = wrong;
            let error = scores(&rows, "0.25").unwrap_err();
            assert!(error.contains("a.npy: row 1 "), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let error = scores(&whole, "1e300").unwrap_err();
        assert!(
            error.contains("index.json: neutral_score of entry 0 "),
            "{error}"
        );
    }

    #[test]
    fn logits_of_another_shape_are_refused() {
        let refused = |rows: usize, width: usize| {
            let logits = vec![vec![0.5; width]; rows];
            scores(&logits, "0.25").unwrap_err()
        };
        assert!(refused(2, 7).contains("2 rows for 3 entries"));
        assert!(refused(3, 6).contains("6 numbers a row"));
        assert!(refused(0, 7).contains("numpy.save"));
    }
}
