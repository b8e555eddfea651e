//! One split of a built corpus, read whole: its faces and what may be said to them.

use std::path::Path;

use emotionclip::Emotion;
use emotionclip::checkpoint::{self, Dtype, RawTensor, StateDict};
use serde::{Deserialize, Serialize};

use super::digests::sha256;
use super::error::FaceError;
use super::manifest::{FileEntry, MANIFEST, Manifest};
use super::part::FacePart;
use super::{FACE_PIXELS, FACE_SIDE};
use crate::synthetic::Split;

/// Tensor of the faces' grey values, `[N, 48, 48]` of u8.
pub(super) const FACES_KEY: &str = "faces";
/// Tensor of the emotions' indices, `[N]` of u8.
pub(super) const LABELS_KEY: &str = "labels";
/// Tensor of marks, `[N]` of u8: 1 where a face is for the single measure only.
pub(super) const SINGLE_ONLY_KEY: &str = "single_only";

/// Name of the file of a split's faces.
pub(super) fn faces_file(split: Split) -> String {
    format!("faces-{}.safetensors", split.name())
}

/// Name of the file of a split's utterances.
pub(super) fn utterances_file(split: Split) -> String {
    format!("utterances-{}.jsonl", split.name())
}

/// Something said, with what was felt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Utterance {
    /// What was said.
    pub text: String,
    /// The label a person gave it.
    pub emotion: Emotion,
    /// Logits of a sentiment model, in the order of [`Emotion::ALL`].
    pub sentiment: [f32; Emotion::COUNT],
}

impl Utterance {
    /// The emotion with the highest logit.
    pub fn dominant(&self) -> Emotion {
        let best = Emotion::ALL
            .into_iter()
            .max_by(|a, b| self.sentiment[a.index()].total_cmp(&self.sentiment[b.index()]));
        best.unwrap_or(self.emotion)
    }
}

/// Indices of items by emotion.
type ByEmotion = [Vec<u32>; Emotion::COUNT];

/// One split of the corpus in memory: 2,304 bytes a face.
#[derive(Clone, Debug)]
pub struct FaceSplit {
    split: Split,
    pixels: RawTensor,
    emotions: Vec<Emotion>,
    single_only: Vec<bool>,
    utterances: Vec<Utterance>,
    /// Faces for scenes and training.
    faces_of: ByEmotion,
    /// The same faces in one list.
    all_faces: Vec<u32>,
    utterances_of: ByEmotion,
    utterances_by_sentiment: ByEmotion,
}

impl FaceSplit {
    /// Reads a split from the folder of a built corpus and checks its files against the manifest.
    ///
    /// # Errors
    ///
    /// When a file is missing or not what the manifest says.
    pub fn open(folder: &Path, split: Split) -> Result<Self, FaceError> {
        let manifest = read_manifest(folder)?;
        let read = |name: &str| {
            let entry = manifest.files.get(name);
            read_checked(&folder.join(name), entry)
        };
        let faces_name = faces_file(split);
        let faces_path = folder.join(&faces_name);
        let state = checkpoint::read(read(&faces_name)?, &faces_name)
            .map_err(|error| FaceError::damaged(&faces_path, error.to_string()))?;
        let utterances_name = utterances_file(split);
        let lines = read(&utterances_name)?;
        let utterances = parse_utterances(&lines)
            .map_err(|reason| FaceError::damaged(&folder.join(&utterances_name), reason))?;
        Self::assemble(split, state, utterances)
            .map_err(|reason| FaceError::damaged(&faces_path, reason))
    }

    /// The same split with only a part of its faces in scenes; the measure of single faces stays
    /// whole.
    ///
    /// # Errors
    ///
    /// When an emotion has too few faces for the part to have one.
    pub fn with_part(mut self, part: FacePart) -> Result<Self, FaceError> {
        for emotion in Emotion::ALL {
            let faces = &mut self.faces_of[emotion.index()];
            let count = faces.len();
            let mut place = 0;
            faces.retain(|_| {
                place += 1;
                part.takes(place - 1)
            });
            if faces.is_empty() {
                let emotion = emotion.name();
                return Err(FaceError::Part { emotion, count });
            }
        }
        self.all_faces = self.faces_of.concat();
        self.all_faces.sort_unstable();
        Ok(self)
    }

    /// The same split with only those utterances spoken whose highest sentiment logit is that of
    /// their label: what people wrote is often no clear sign of what they were found to feel.
    /// An emotion that would be left with none keeps all of its.
    #[must_use]
    pub fn with_clear_utterances(mut self) -> Self {
        for emotion in Emotion::ALL {
            let list = &self.utterances_of[emotion.index()];
            let clear = |index: &u32| self.utterances[*index as usize].dominant() == emotion;
            let kept: Vec<u32> = list.iter().copied().filter(clear).collect();
            if !kept.is_empty() {
                self.utterances_of[emotion.index()] = kept;
            }
        }
        self
    }

    fn assemble(
        split: Split,
        mut state: StateDict,
        utterances: Vec<Utterance>,
    ) -> Result<Self, String> {
        let mut take = |key: &str| {
            let tensor = state.remove(key).filter(|one| one.dtype() == Dtype::U8);
            tensor.ok_or_else(|| format!("no u8 tensor `{key}`"))
        };
        let (pixels, labels, marks) = (take(FACES_KEY)?, take(LABELS_KEY)?, take(SINGLE_ONLY_KEY)?);
        let count = labels.len();
        let side = FACE_SIDE as usize;
        if pixels.shape() != [count, side, side] || marks.shape() != [count] {
            return Err("its tensors don't belong together".to_owned());
        }
        let emotion = |label: &u8| Emotion::ALL.get(usize::from(*label)).copied();
        let emotions: Option<Vec<Emotion>> = labels.bytes().iter().map(emotion).collect();
        let emotions = emotions.ok_or_else(|| "a label is above 6".to_owned())?;
        let single_only: Vec<bool> = marks.bytes().iter().map(|mark| *mark != 0).collect();

        let mut faces_of = ByEmotion::default();
        let mut all_faces = Vec::new();
        for (index, (emotion, single_only)) in emotions.iter().zip(&single_only).enumerate() {
            if !single_only {
                faces_of[emotion.index()].push(index as u32);
                all_faces.push(index as u32);
            }
        }
        let mut utterances_of = ByEmotion::default();
        let mut utterances_by_sentiment = ByEmotion::default();
        for (index, utterance) in utterances.iter().enumerate() {
            utterances_of[utterance.emotion.index()].push(index as u32);
            utterances_by_sentiment[utterance.dominant().index()].push(index as u32);
        }
        for emotion in Emotion::ALL {
            for (what, list) in [("face", &faces_of), ("utterance", &utterances_of)] {
                if list[emotion.index()].is_empty() {
                    return Err(format!("no {what} of {emotion}"));
                }
            }
        }
        Ok(Self {
            split,
            pixels,
            emotions,
            single_only,
            utterances,
            faces_of,
            all_faces,
            utterances_of,
            utterances_by_sentiment,
        })
    }

    /// Which split it is.
    pub fn split(&self) -> Split {
        self.split
    }

    /// How many faces there are, with those for the measure of single faces only.
    pub fn face_count(&self) -> usize {
        self.emotions.len()
    }

    /// What a face shows; `index` must be below [`FaceSplit::face_count`].
    pub fn emotion(&self, index: usize) -> Emotion {
        self.emotions[index]
    }

    /// `[48, 48]` grey values of a face; `index` must be below [`FaceSplit::face_count`].
    pub fn pixels(&self, index: usize) -> &[u8] {
        &self.pixels.bytes()[index * FACE_PIXELS..(index + 1) * FACE_PIXELS]
    }

    /// Whether a face repeats another of the split, or its label is disputed: then it is in no
    /// scene, only in the measure of single faces. `index` must be below
    /// [`FaceSplit::face_count`].
    pub fn is_single_only(&self, index: usize) -> bool {
        self.single_only[index]
    }

    /// All utterances.
    pub fn utterances(&self) -> &[Utterance] {
        &self.utterances
    }

    /// The utterances with a label, one at least.
    pub fn utterances_of(&self, emotion: Emotion) -> impl ExactSizeIterator<Item = &Utterance> {
        self.spoken(&self.utterances_of[emotion.index()])
    }

    /// The utterances whose highest logit is an emotion's; perhaps none.
    pub fn utterances_by_sentiment(
        &self,
        dominant: Emotion,
    ) -> impl ExactSizeIterator<Item = &Utterance> {
        self.spoken(&self.utterances_by_sentiment[dominant.index()])
    }

    fn spoken<'a>(&'a self, list: &'a [u32]) -> impl ExactSizeIterator<Item = &'a Utterance> {
        list.iter().map(|index| &self.utterances[*index as usize])
    }

    /// Indices of the utterances with a label, one at least.
    pub(super) fn spoken_of(&self, emotion: Emotion) -> &[u32] {
        &self.utterances_of[emotion.index()]
    }

    /// Text of one of the utterances by sentiment; empty where there is none of this number.
    pub(super) fn said_with(&self, dominant: Emotion, number: usize) -> &str {
        let list = &self.utterances_by_sentiment[dominant.index()];
        list.get(number)
            .map_or("", |index| &self.utterances[*index as usize].text)
    }

    /// The faces of an emotion that scenes may use, one at least.
    pub(super) fn faces_of(&self, emotion: Emotion) -> &[u32] {
        &self.faces_of[emotion.index()]
    }

    /// All faces that scenes may use.
    pub(super) fn all_faces(&self) -> &[u32] {
        &self.all_faces
    }
}

fn read_manifest(folder: &Path) -> Result<Manifest, FaceError> {
    let path = folder.join(MANIFEST);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        FaceError::read(
            &path,
            &error,
            "a corpus made by `trainer data build-scenes`",
        )
    })?;
    Manifest::parse(&text).map_err(|reason| FaceError::damaged(&path, reason))
}

fn read_checked(path: &Path, entry: Option<&FileEntry>) -> Result<Vec<u8>, FaceError> {
    let entry = entry.ok_or_else(|| FaceError::damaged(path, "the manifest doesn't name it"))?;
    let bytes = std::fs::read(path).map_err(|error| FaceError::damaged(path, error.to_string()))?;
    if bytes.len() as u64 != entry.bytes || sha256(&bytes) != entry.sha256 {
        let reason = "its content isn't what the manifest says";
        return Err(FaceError::damaged(path, reason));
    }
    Ok(bytes)
}

fn parse_utterances(lines: &[u8]) -> Result<Vec<Utterance>, String> {
    let lines = lines.split(|byte| *byte == b'\n');
    lines
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| {
            serde_json::from_slice(line).map_err(|error| format!("line {}: {error}", number + 1))
        })
        .collect()
}
