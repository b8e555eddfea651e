//! RoBERTa folders as scorers of sentences and as punctuators.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use burn::tensor::Device;
use emotionclip::roberta::{PretrainedRoberta, RobertaTask, SENTIMENT_TOKENS};
use emotionclip::{Emotion, Pretrained};
use emotionclip_data::prepare::{Punctuator, SentenceScore, TextScorer};

use crate::failure::bad_input;
use crate::inputs::files::read_file;

/// Weights of a folder, the safer form first.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
/// Marks that end a sentence.
const ENDS: [&str; 6] = [".", "?", "!", "PERIOD", "QUESTION", "EXCLAMATION"];

/// A folder's model; one batch at a time, for the device is one.
struct Folder {
    model: Mutex<PretrainedRoberta>,
    identity: String,
}

/// A classifier of the seven emotions.
struct Scorer {
    folder: Folder,
    /// Number of each emotion's class.
    classes: [usize; Emotion::COUNT],
}

/// A classifier of words by the mark that follows.
struct Marks(Folder);

impl Folder {
    fn open(path: &Path, device: &Device) -> anyhow::Result<(Self, PretrainedRoberta)> {
        let config = read_file(&path.join("config.json"))?;
        let tokenizer = read_file(&path.join("tokenizer.json"))?;
        let weights = WEIGHTS
            .iter()
            .map(|name| path.join(name))
            .find(|path| path.is_file());
        let weights = weights.ok_or_else(|| {
            bad_input(format!(
                "{}: no model.safetensors or pytorch_model.bin",
                path.display()
            ))
        })?;
        let weights = read_file(&weights)?;
        let identity = [&config, &tokenizer, &weights]
            .map(|bytes| Pretrained::hash(bytes))
            .join("-");
        let name = path.display().to_string();
        let model = PretrainedRoberta::from_files(&config, &tokenizer, weights, &name, device);
        let model = model.map_err(|error| bad_input(error.to_string()))?;
        let folder = Self {
            model: Mutex::new(model.clone()),
            identity,
        };
        Ok((folder, model))
    }

    fn model(&self) -> Result<MutexGuard<'_, PretrainedRoberta>, String> {
        let locked = self.model.lock();
        locked.map_err(|_| "the model failed in another thread".to_owned())
    }
}

/// Opens a folder's classifier of the seven emotions.
///
/// # Errors
/// Bad input for a folder that holds none.
pub fn scorer(path: &Path, device: &Device) -> anyhow::Result<Box<dyn TextScorer>> {
    let (folder, model) = Folder::open(path, device)?;
    let classes = model.emotion_classes();
    let classes = classes.map_err(|problem| bad_input(format!("{}: {problem}", path.display())))?;
    Ok(Box::new(Scorer { folder, classes }))
}

/// Opens a folder's classifier of marks.
///
/// # Errors
/// Bad input for a folder that holds none.
pub fn punctuator(path: &Path, device: &Device) -> anyhow::Result<Box<dyn Punctuator>> {
    let (folder, model) = Folder::open(path, device)?;
    let has_end = model.labels().iter().any(|label| ends(label));
    if model.task() != RobertaTask::Token || !has_end {
        return Err(bad_input(format!(
            "{}: its classes are {}; give a token classifier whose classes are marks ({})",
            path.display(),
            model.labels().join(", "),
            ENDS.join(", ")
        )));
    }
    Ok(Box::new(Marks(folder)))
}

fn ends(label: &str) -> bool {
    ENDS.iter().any(|end| label.eq_ignore_ascii_case(end))
}

impl TextScorer for Scorer {
    fn identity(&self) -> String {
        self.folder.identity.clone()
    }

    /// Logits of the text cut to CLIP's context, the neutral score of all of it, as in the release.
    fn score(&self, texts: &[&str]) -> Result<Vec<SentenceScore>, String> {
        let model = self.folder.model()?;
        let logits = |longest| {
            let rows = model
                .logits(texts, longest)
                .map_err(|error| error.to_string())?;
            let ordered = |row: &Vec<f32>| {
                self.classes
                    .map(|class| row.get(class).copied().unwrap_or(f32::NAN))
            };
            Ok::<Vec<[f32; Emotion::COUNT]>, String>(rows.iter().map(ordered).collect())
        };
        let (cut, whole) = (logits(SENTIMENT_TOKENS)?, logits(usize::MAX)?);
        let score = |(logits, whole)| SentenceScore {
            logits,
            neutral: SentenceScore::of_logits(whole).neutral,
        };
        Ok(cut.into_iter().zip(whole).map(score).collect())
    }
}

impl Punctuator for Marks {
    fn identity(&self) -> String {
        self.0.identity.clone()
    }

    fn ends(&self, words: &[&str]) -> Result<Vec<bool>, String> {
        let labels = self
            .0
            .model()?
            .word_labels(words)
            .map_err(|error| error.to_string())?;
        Ok(labels.iter().map(|label| ends(label)).collect())
    }
}
