//! The linear probe: what a linear map of the frozen vectors of faces can tell.

use emotionclip::Emotion;
use emotionclip::probe::{Features, LinearHead, LogisticRegression};
use serde::Serialize;

use super::super::classification::argmax;
use super::encoder::Embeddings;
use super::faces::{EmbeddedFaces, PictureReading};
use super::scored::{Scored, emotion_names};
use crate::context::Context;

/// Inverse strengths of the penalty that are tried.
const STRENGTHS: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];

/// A setting and what it reaches on validation.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Tried {
    /// Which vectors.
    pub picture: PictureReading,
    /// Inverse strength of the penalty.
    pub c: f64,
    /// Accuracy on validation.
    pub validation_accuracy: f64,
}

/// Scores of the probe.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeResult {
    /// On the split that is measured.
    #[serde(flatten)]
    pub scored: Scored,
    /// The setting that is best on validation.
    pub chosen: Tried,
    /// All settings.
    pub tried: Vec<Tried>,
    /// Training faces that it was fitted on.
    pub trained_on: usize,
    /// Whether the split measured is the one that chose the setting, so that its figures flatter.
    pub chosen_on_itself: bool,
}

/// The faces of the three parts.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Fitted on.
    pub train: &'a EmbeddedFaces,
    /// Chosen by.
    pub validation: &'a EmbeddedFaces,
    /// Measured on; `None` to measure on validation.
    pub test: Option<&'a EmbeddedFaces>,
}

/// Fits a probe for every setting on training faces, takes the one that is best on validation, and
/// measures it.
///
/// # Errors
/// Training faces of one emotion only; vectors that are not finite.
pub fn measure(parts: Parts<'_>, context: &Context) -> anyhow::Result<ProbeResult> {
    let settings = PictureReading::ALL.len() * STRENGTHS.len();
    let bar = context.progress(settings as u64, "probe");
    let labels: Vec<usize> = parts
        .train
        .emotions
        .iter()
        .map(|emotion| emotion.index())
        .collect();
    let mut tried = Vec::with_capacity(settings);
    let mut best: Option<(Tried, LinearHead)> = None;
    for picture in PictureReading::ALL {
        let train = features(parts.train.vectors(picture))?;
        for c in STRENGTHS {
            let fit = LogisticRegression::new(c).fit_multinomial(train, &labels, Emotion::COUNT)?;
            for warning in &fit.warnings {
                tracing::warn!("probe with C = {c}: {warning}");
            }
            let head = fit.into_head(emotion_names())?;
            let scored = score(&head, parts.validation, picture)?;
            let setting = Tried {
                picture,
                c,
                validation_accuracy: scored.accuracy(),
            };
            tried.push(setting);
            let is_better = best
                .as_ref()
                .is_none_or(|(held, _)| setting.validation_accuracy > held.validation_accuracy);
            if is_better {
                best = Some((setting, head));
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let Some((chosen, head)) = best else {
        anyhow::bail!("no setting of the probe was tried");
    };
    let measured = parts.test.unwrap_or(parts.validation);
    Ok(ProbeResult {
        scored: score(&head, measured, chosen.picture)?,
        chosen,
        tried,
        trained_on: labels.len(),
        chosen_on_itself: parts.test.is_none(),
    })
}

fn features(vectors: &Embeddings) -> anyhow::Result<Features<'_>> {
    Ok(Features::new(&vectors.values, vectors.width)?)
}

fn score(
    head: &LinearHead,
    faces: &EmbeddedFaces,
    picture: PictureReading,
) -> anyhow::Result<Scored> {
    let probabilities = head.predict(features(faces.vectors(picture))?)?;
    let rows = probabilities.as_chunks::<{ Emotion::COUNT }>().0;
    let read = rows.iter().map(|row| Emotion::ALL[argmax(row)]).collect();
    Scored::new(&faces.emotions, read)
}
