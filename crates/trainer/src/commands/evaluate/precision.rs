//! What rounding the weights costs.

use std::sync::Arc;

use emotionclip::checkpoint::web::Precision;
use emotionclip_data::faces::FaceSplit;
use serde::Serialize;

use super::encoder::Encoder;
use super::faces::{self, PictureReading};
use super::scenes::{self, ScenesAsked};
use super::scored::{Points, Scored, read_as};
use crate::context::Context;

/// The roundings that a web bundle offers.
const ROUNDINGS: [Precision; 2] = [Precision::F16, Precision::Int8];

/// Scores of the model as it is.
#[derive(Clone, Copy, Debug)]
pub struct Baseline<'a> {
    /// Zero-shot on single faces.
    pub faces: &'a Scored,
    /// Zero-shot on scenes; `None` for a model that is not told who the subject is.
    pub scenes: Option<&'a Scored>,
}

/// Accuracy with rounded weights beside that of the model as it is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Compared {
    /// With rounded weights.
    pub accuracy: f64,
    /// Minus that of the model as it is.
    pub difference: Points,
    /// Share of samples that are read as something else.
    pub changed: f64,
}

/// A rounding and its cost.
#[derive(Clone, Debug, Serialize)]
pub struct RoundedScores {
    /// Which.
    pub precision: Precision,
    /// Size of the weights.
    pub bytes: u64,
    /// ‖rounded − weights‖ / ‖weights‖; 0 where the weights were of this precision before.
    pub relative_change: f64,
    /// Single faces.
    pub faces: Compared,
    /// Scenes of four, the subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenes: Option<Compared>,
}

/// All roundings.
#[derive(Clone, Debug, Serialize)]
pub struct PrecisionResult {
    /// Accuracy of the model as it is on single faces.
    pub faces: f64,
    /// And on scenes of four.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenes: Option<f64>,
    /// With rounded weights.
    pub rounded: Vec<RoundedScores>,
}

/// What is measured again with rounded weights.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The split.
    pub data: &'a Arc<FaceSplit>,
    /// Texts of the emotions.
    pub labels: &'a [Vec<String>],
    /// How pictures are read.
    pub picture: PictureReading,
    /// How many scenes.
    pub scenes: ScenesAsked,
}

/// Measures faces and scenes again with weights of each precision.
///
/// # Errors
/// Weights that are not finite; a failing device.
pub fn measure(
    encoder: &Encoder,
    task: Task<'_>,
    baseline: Baseline<'_>,
    context: &Context,
) -> anyhow::Result<PrecisionResult> {
    let mut rounded = Vec::with_capacity(ROUNDINGS.len());
    for precision in ROUNDINGS {
        let model = encoder.rounded(precision)?;
        // The text encoder is rounded too.
        let classes = model.encoder.embed_classes(task.labels)?;
        let embedded = faces::embed(&model.encoder, task.data, context, name_of(precision))?;
        let read = read_as(embedded.vectors(task.picture), &classes);
        let faces = Scored::new(&embedded.emotions, read)?;
        let scenes = baseline
            .scenes
            .map(|before| {
                let (data, asked) = (task.data, task.scenes);
                let after =
                    scenes::measure_subject(&model.encoder, data, &classes, asked, context)?;
                compared(&after, before)
            })
            .transpose()?;
        rounded.push(RoundedScores {
            precision,
            bytes: model.bytes,
            relative_change: model.relative_change,
            faces: compared(&faces, baseline.faces)?,
            scenes,
        });
    }
    Ok(PrecisionResult {
        faces: baseline.faces.accuracy(),
        scenes: baseline.scenes.map(Scored::accuracy),
        rounded,
    })
}

/// A precision's name.
pub const fn name_of(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::F16 => "f16",
        Precision::Int8 => "int8",
    }
}

fn compared(after: &Scored, before: &Scored) -> anyhow::Result<Compared> {
    let pairs = after.read.iter().zip(&before.read);
    let changed = pairs.filter(|(after, before)| after != before).count();
    Ok(Compared {
        accuracy: after.accuracy(),
        difference: Points::between(&after.right, &before.right)?,
        changed: changed as f64 / after.read.len().max(1) as f64,
    })
}
