//! `text-classifier evaluate` and `score`: a trained classifier on texts.

use std::path::Path;

use anyhow::Context as _;
use burn::tensor::Device;
use bytes::Bytes;
use emotionclip::text_classifier::PretrainedTextClassifier;
use emotionclip::{Emotion, Pretrained};
use serde::Serialize;
use serde_json::{Map, Value};

use super::batches::Encoded;
use super::scores::{PUBLISHED_BERT, TextScores};
use super::{ClassifierArgs, EvaluateArgs, ScoreArgs, read_part};
use crate::context::{Context, write_atomically};
use crate::failure::bad_input;
use crate::inputs::files::{read_file, read_text};
use crate::models::{builtin, named};

/// Texts scored between two signs of progress.
const CHUNK: usize = 1024;

/// A classifier and the name of its file.
pub(super) struct LoadedClassifier {
    pub(super) classifier: PretrainedTextClassifier,
    pub(super) name: String,
    pub(super) sha256: String,
}

impl ClassifierArgs {
    fn load(&self, device: &Device) -> anyhow::Result<LoadedClassifier> {
        match &self.model {
            Some(path) => parse(read_file(path)?.into(), path.display().to_string(), device),
            None => parse(
                Bytes::from_static(builtin::TEXT_CLASSIFIER),
                "built-in text classifier".to_owned(),
                device,
            ),
        }
    }
}

/// Puts a classifier's file onto a device.
pub(super) fn parse(
    bytes: Bytes,
    name: String,
    device: &Device,
) -> anyhow::Result<LoadedClassifier> {
    let sha256 = Pretrained::hash(&bytes);
    let classifier = PretrainedTextClassifier::from_bytes(bytes, &name, device)
        .map_err(|error| bad_input(named(&name, &error)))?;
    Ok(LoadedClassifier {
        classifier,
        name,
        sha256,
    })
}

/// Scores encoded texts with the classifier's own thresholds.
pub(super) fn measure(
    classifier: &PretrainedTextClassifier,
    texts: &Encoded,
) -> anyhow::Result<TextScores> {
    let probabilities = probabilities(classifier, texts)?;
    TextScores::new(&texts.labels, &probabilities, classifier.thresholds)
}

/// Probabilities of encoded texts.
pub(super) fn probabilities(
    classifier: &PretrainedTextClassifier,
    texts: &Encoded,
) -> anyhow::Result<Vec<[f32; Emotion::COUNT]>> {
    let logits = classifier.logits_of_tokens(&texts.rows)?;
    Ok(logits
        .into_iter()
        .map(|logits| classifier.probabilities(logits))
        .collect())
}

#[derive(Debug, Serialize)]
struct EvaluateResult<'a> {
    model: &'a str,
    model_sha256: &'a str,
    split: &'static str,
    published_bert_macro_f1: f64,
    #[serde(flatten)]
    scores: TextScores,
}

/// Runs `evaluate`.
///
/// # Errors
/// Bad input for a corpus or model that can't be used; a failing device.
pub fn evaluate(args: &EvaluateArgs, context: &Context) -> anyhow::Result<()> {
    let utterances = read_part(&args.data, args.split.split())?;
    let loaded = args.model.load(&context.open_device()?.device)?;
    let texts = Encoded::new(&utterances, &loaded.classifier);
    let scores = measure(&loaded.classifier, &texts)?;
    let text = format!(
        "{} on {}\n\n{}",
        loaded.name,
        args.split.name(),
        scores.text()
    );
    let result = EvaluateResult {
        model: &loaded.name,
        model_sha256: &loaded.sha256,
        split: args.split.name(),
        published_bert_macro_f1: PUBLISHED_BERT,
        scores,
    };
    context.finish(&result, &text)
}

#[derive(Debug, Serialize)]
struct ScoreResult<'a> {
    model: &'a str,
    model_sha256: &'a str,
    count: usize,
    out: Option<String>,
    /// Left out when they were written to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<&'a [Map<String, Value>]>,
}

/// Runs `score`.
///
/// # Errors
/// Bad input for texts or a model that can't be used; a failing device or disk.
pub fn score(args: &ScoreArgs, context: &Context) -> anyhow::Result<()> {
    let mut items = read_items(&args.input)?;
    let loaded = args.model.load(&context.open_device()?.device)?;
    let bar = context.progress(items.len() as u64, "scoring");
    for chunk in items.chunks_mut(CHUNK) {
        let texts: Vec<&str> = chunk
            .iter()
            .map(|item| item.get("text").and_then(Value::as_str).unwrap_or_default())
            .collect();
        let logits = loaded.classifier.logits(&texts)?;
        for (item, logits) in chunk.iter_mut().zip(logits) {
            item.insert("logits".to_owned(), Value::from(logits.to_vec()));
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    let mut lines = String::new();
    for item in &items {
        lines.push_str(&serde_json::to_string(item).context("writing a line of JSON")?);
        lines.push('\n');
    }
    let mut result = ScoreResult {
        model: &loaded.name,
        model_sha256: &loaded.sha256,
        count: items.len(),
        out: args.out.as_ref().map(|path| path.display().to_string()),
        items: None,
    };
    match &args.out {
        Some(path) => {
            write_atomically(path, lines.as_bytes())?;
            let text = format!("logits of {} texts in {}", items.len(), path.display());
            context.finish(&result, &text)
        }
        None => {
            result.items = Some(&items);
            context.finish(&result, &lines)
        }
    }
}

/// The texts of a file, each as an object with a `text`; empty lines are passed over.
fn read_items(path: &Path) -> anyhow::Result<Vec<Map<String, Value>>> {
    let content = read_text(path)?;
    let objects = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl"));
    let lines = (1..)
        .zip(content.lines())
        .filter(|(_, line)| !line.trim().is_empty());
    let items: Vec<Map<String, Value>> = lines
        .map(|(number, line)| {
            if objects {
                parse_object(line).map_err(|problem| {
                    bad_input(format!("{}: line {number}: {problem}", path.display()))
                })
            } else {
                Ok(Map::from_iter([("text".to_owned(), line.into())]))
            }
        })
        .collect::<anyhow::Result<_>>()?;
    if items.is_empty() {
        return Err(bad_input(format!(
            "{}: no text inside; give a file with a text a line",
            path.display()
        )));
    }
    Ok(items)
}

fn parse_object(line: &str) -> Result<Map<String, Value>, String> {
    let object: Map<String, Value> = serde_json::from_str(line)
        .map_err(|error| format!("no JSON object ({error}); give one with a `text`"))?;
    match object.get("text") {
        Some(Value::String(_)) => Ok(object),
        Some(_) => Err("`text` is no string".to_owned()),
        None => Err("the object has no `text`".to_owned()),
    }
}
