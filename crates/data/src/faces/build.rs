//! From the sources' folders to the files of a corpus.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use emotionclip::Emotion;
use emotionclip::checkpoint::{Dtype, RawTensor, StateDict, write_safetensors};

use super::FACE_SIDE;
use super::curate::{Drops, KeptFace, curate_faces, curate_utterances, normalise};
use super::digests::{DigestList, sha256};
use super::error::FaceError;
use super::manifest::{
    FileEntry, MANIFEST, Manifest, SentimentSource, SplitCounts, VERSION, sources,
};
use super::scene::Purpose;
use super::sentiment::{LABEL_SMOOTHING, Sentiments};
use super::source::{SourceUtterance, read_faces, read_utterances};
use super::store::{
    FACES_KEY, LABELS_KEY, SINGLE_ONLY_KEY, Utterance, faces_file, utterances_file,
};
use crate::synthetic::Split;
use crate::synthetic::draws::Draws;

/// What a corpus is built from.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// FER2013's folder, with `train` and `test` inside.
    pub faces: PathBuf,
    /// GoEmotions' folder, with `train.tsv`, `dev.tsv`, `test.tsv` and `labels.txt` inside.
    pub texts: PathBuf,
    /// A classifier's answers, JSON lines of `{"text": "…", "logits": [7 numbers]}`; without a file,
    /// the logits are [those of the label](super::logits_of_label).
    pub sentiment: Vec<PathBuf>,
    /// Seed of the order in which items are stored.
    pub seed: u64,
}

/// How far a part of the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Name of the part.
    pub stage: &'static str,
    /// Items done.
    pub done: usize,
    /// Items in all.
    pub total: usize,
}

impl Progress {
    pub(super) fn new(stage: &'static str, done: usize, total: usize) -> Self {
        Self { stage, done, total }
    }
}

/// A corpus that has to be written.
#[derive(Clone, Debug)]
pub struct Built {
    /// What the corpus holds.
    pub manifest: Manifest,
    /// Name and content of every file. The manifest comes last, so that a folder which has it has
    /// the others.
    pub files: Vec<(String, Vec<u8>)>,
    /// What of the sources couldn't be read, and why.
    pub unreadable: Vec<String>,
}

/// Builds the corpus. The same sources and options give the same bytes.
///
/// # Errors
///
/// When a source is missing or not in its published layout, more than 1 % of it can't be read, the
/// sentiment logits are incomplete, or a split has no face or no utterance of an emotion.
pub fn build(
    options: &BuildOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Built, FaceError> {
    // The small source first: a wrong folder shows at once.
    let utterances = read_utterances(&options.texts)?;
    let sentiments = Sentiments::read(&options.sentiment)?;
    let faces = read_faces(&options.faces, progress)?;
    let mut drops = Drops::default();
    drops.add_unread("face", &faces);
    drops.add_unread("utterance", &utterances);
    let broken = faces.broken.iter().chain(&utterances.broken);
    let unreadable = broken.map(|(_, reason)| reason.clone()).collect();
    let utterances = curate_utterances(utterances.items, &mut drops);
    let utterances = with_sentiment(utterances, &sentiments, &options.sentiment)?;
    let faces = curate_faces(faces.items, &mut drops, progress);

    let mut files = Vec::new();
    let mut splits = Vec::new();
    for split in Split::ALL {
        let mut own_faces: Vec<&KeptFace> =
            faces.iter().filter(|one| one.face.split == split).collect();
        let mut own_utterances: Vec<&Utterance> = utterances
            .iter()
            .filter(|(of, _)| *of == split)
            .map(|(_, utterance)| utterance)
            .collect();
        let counts = counts(split, &own_faces, &own_utterances);
        check_classes(&counts)?;
        splits.push(counts);

        let order = |part| {
            let purpose = Purpose::StoredOrder as u16;
            Draws::numbered(options.seed, split, 0, purpose, part)
        };
        order(0).shuffle(&mut own_faces);
        order(1).shuffle(&mut own_utterances);
        files.push((faces_file(split), faces_bytes(&own_faces)?));
        files.push((utterances_file(split), utterances_bytes(&own_utterances)?));
        let digests = DigestList::of(own_faces.iter().map(|one| &one.face.pixels));
        files.push((
            format!("faces-{}.digests", split.name()),
            digests.to_bytes(),
        ));
        let digests = DigestList::of(own_utterances.iter().map(|one| normalise(&one.text)));
        let name = format!("utterances-{}.digests", split.name());
        files.push((name, digests.to_bytes()));
    }
    let manifest = Manifest {
        version: VERSION,
        seed: options.seed,
        sentiment: sentiment_source(&options.sentiment)?,
        splits,
        sources: sources(),
        dropped: drops.into_list(),
        files: entries(&files),
    };
    let text = toml::to_string(&manifest)
        .map_err(|error| FaceError::content(Path::new(MANIFEST), error.to_string()))?;
    files.push((MANIFEST.to_owned(), text.into_bytes()));
    Ok(Built {
        manifest,
        files,
        unreadable,
    })
}

fn entries(files: &[(String, Vec<u8>)]) -> BTreeMap<String, FileEntry> {
    let entry = |(name, bytes): &(String, Vec<u8>)| {
        let entry = FileEntry {
            bytes: bytes.len() as u64,
            sha256: sha256(bytes),
        };
        (name.clone(), entry)
    };
    files.iter().map(entry).collect()
}

fn sentiment_source(paths: &[PathBuf]) -> Result<SentimentSource, FaceError> {
    if paths.is_empty() {
        return Ok(SentimentSource::Labels {
            smoothing: LABEL_SMOOTHING,
        });
    }
    let hash = |path: &PathBuf| {
        let bytes = std::fs::read(path);
        let bytes =
            bytes.map_err(|error| FaceError::read(path, &error, "the answers of a classifier"))?;
        Ok(sha256(&bytes))
    };
    Ok(SentimentSource::Classifier {
        sha256: paths.iter().map(hash).collect::<Result<_, FaceError>>()?,
    })
}

fn with_sentiment(
    utterances: Vec<SourceUtterance>,
    sentiments: &Sentiments,
    paths: &[PathBuf],
) -> Result<Vec<(Split, Utterance)>, FaceError> {
    let total = utterances.len();
    let mut found = Vec::with_capacity(total);
    let mut missing = Vec::new();
    for SourceUtterance {
        split,
        emotion,
        text,
    } in utterances
    {
        match sentiments.of(&text, emotion) {
            Some(sentiment) => found.push((
                split,
                Utterance {
                    text,
                    emotion,
                    sentiment,
                },
            )),
            None => missing.push(text),
        }
    }
    let Some(first) = missing.first() else {
        return Ok(found);
    };
    let names: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    Err(FaceError::NoSentiment {
        files: names.join(", "),
        count: missing.len(),
        total,
        first: first.clone(),
    })
}

fn counts(split: Split, faces: &[&KeptFace], utterances: &[&Utterance]) -> SplitCounts {
    let by_emotion = |of: &dyn Fn(Emotion) -> usize| {
        Emotion::ALL
            .into_iter()
            .map(|emotion| (emotion.name().to_owned(), of(emotion)))
            .collect()
    };
    let in_scenes = |emotion| {
        let fits = |one: &&&KeptFace| !one.single_only && one.face.emotion == emotion;
        faces.iter().filter(fits).count()
    };
    let said = |emotion| {
        utterances
            .iter()
            .filter(|one| one.emotion == emotion)
            .count()
    };
    SplitCounts {
        split,
        faces: faces.len(),
        single_only: faces.iter().filter(|one| one.single_only).count(),
        utterances: utterances.len(),
        faces_by_emotion: by_emotion(&in_scenes),
        utterances_by_emotion: by_emotion(&said),
    }
}

fn check_classes(counts: &SplitCounts) -> Result<(), FaceError> {
    for (what, by_emotion) in [
        ("face", &counts.faces_by_emotion),
        ("utterance", &counts.utterances_by_emotion),
    ] {
        for emotion in Emotion::ALL {
            if by_emotion.get(emotion.name()).copied().unwrap_or(0) == 0 {
                return Err(FaceError::Empty {
                    what,
                    emotion: emotion.name(),
                    split: counts.split.name(),
                });
            }
        }
    }
    Ok(())
}

/// Pixels `[N, 48, 48]`, labels `[N]` and marks `[N]` as one safetensors file.
fn faces_bytes(faces: &[&KeptFace]) -> Result<Vec<u8>, FaceError> {
    let side = FACE_SIDE as usize;
    let pixels: Vec<u8> = faces
        .iter()
        .flat_map(|one| one.face.pixels.iter().copied())
        .collect();
    let labels: Vec<u8> = faces
        .iter()
        .map(|one| one.face.emotion.index() as u8)
        .collect();
    let marks: Vec<u8> = faces.iter().map(|one| u8::from(one.single_only)).collect();
    let tensor = |shape: Vec<usize>, bytes: Vec<u8>| {
        RawTensor::new(Dtype::U8, shape, bytes)
            .map_err(|error| FaceError::content(Path::new("faces"), error.to_string()))
    };
    let count = faces.len();
    let state = StateDict::from([
        (
            FACES_KEY.to_owned(),
            tensor(vec![count, side, side], pixels)?,
        ),
        (LABELS_KEY.to_owned(), tensor(vec![count], labels)?),
        (SINGLE_ONLY_KEY.to_owned(), tensor(vec![count], marks)?),
    ]);
    let names = Emotion::ALL.map(Emotion::name).join(",");
    let metadata = BTreeMap::from([("emotions".to_owned(), names)]);
    Ok(write_safetensors(&state, &metadata))
}

fn utterances_bytes(utterances: &[&Utterance]) -> Result<Vec<u8>, FaceError> {
    let mut bytes = Vec::new();
    for utterance in utterances {
        serde_json::to_writer(&mut bytes, utterance)
            .map_err(|error| FaceError::content(Path::new("utterances"), error.to_string()))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}
