//! Single faces: every face of a split once, embedded, and read by the label texts.

use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum;
use emotionclip::Emotion;
use emotionclip::preprocess::{Crops, PreprocessedClip};
use emotionclip_data::dfer::{Benchmark, descriptions};
use emotionclip_data::faces::{Augmentation, FaceConfig, FaceCorpus, FaceSplit, FaceView};
use serde::Serialize;

use super::super::emoclip::clips::ahead;
use super::encoder::{Embeddings, Encoder};
use super::scored::{Scored, read_as};
use crate::context::Context;
use crate::failure::OrBadInput as _;

/// Faces embedded at once.
const BATCH: usize = 64;

/// How a face without motion becomes a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PictureReading {
    /// Held for the length of a clip, as `predict` and `zero-shot` read a picture
    Still,
    /// One frame alone, without the temporal encoder
    Frame,
}

impl PictureReading {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Still, Self::Frame];

    /// For people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Still => "a picture held for a whole clip",
            Self::Frame => "the frame encoder alone",
        }
    }
}

/// The faces of a split in a model's space, in the order of the split.
#[derive(Clone, Debug)]
pub struct EmbeddedFaces {
    /// What they show.
    pub emotions: Vec<Emotion>,
    still: Embeddings,
    frame: Embeddings,
}

impl EmbeddedFaces {
    /// The faces' vectors, read in one way.
    pub fn vectors(&self, reading: PictureReading) -> &Embeddings {
        match reading {
            PictureReading::Still => &self.still,
            PictureReading::Frame => &self.frame,
        }
    }
}

/// Embeds every face of a split as it is, each alone and filling the frame.
///
/// # Errors
/// Bad input for a model whose preprocessing can't take them; a failing device.
pub fn embed(
    encoder: &Encoder,
    data: &Arc<FaceSplit>,
    context: &Context,
    what: &str,
) -> anyhow::Result<EmbeddedFaces> {
    let config = FaceConfig {
        size: encoder.drawn_size(),
        frames: 1,
        view: FaceView::Single,
        min_faces: 1,
        max_faces: 1,
        augmentation: Augmentation::NONE,
        ..FaceConfig::default()
    };
    let corpus = FaceCorpus::new(config, Arc::clone(data)).or_bad_input("corpus")?;
    let count = data.face_count();
    let bar = context.progress(count as u64, what);
    let preprocess = encoder.preprocess();
    let mut pictures = corpus.every_face();
    let make = |_: usize| -> anyhow::Result<Vec<PreprocessedClip>> {
        let batch = pictures.by_ref().take(BATCH);
        batch
            .map(|face| {
                let clip = preprocess.clip(&face.into_clip(), &Crops::Centre);
                clip.or_bad_input("faces")
            })
            .collect()
    };
    let width = encoder.width();
    let (mut still, mut frame) = (Embeddings::new(width), Embeddings::new(width));
    ahead(0..count.div_ceil(BATCH), make, |batch| {
        let vectors = encoder.embed_pictures(&batch)?;
        still.values.extend(vectors.still);
        frame.values.extend(vectors.frame);
        bar.inc(batch.len() as u64);
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(EmbeddedFaces {
        emotions: (0..count).map(|index| data.emotion(index)).collect(),
        still,
        frame,
    })
}

/// Zero-shot scores on single faces.
#[derive(Clone, Debug, Serialize)]
pub struct FacesResult {
    /// Which of the two readings the other parts use, and whose accuracy this is.
    pub picture: PictureReading,
    /// Accuracy of that reading.
    pub accuracy: f64,
    /// By the label texts, a picture held for a whole clip.
    pub still: Scored,
    /// By the label texts, one frame alone.
    pub frame: Scored,
    /// By descriptions of the expressions instead of the label texts; EmoCLIP only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptions: Option<Scored>,
}

impl FacesResult {
    /// The scores of the reading that counts.
    pub fn main(&self) -> &Scored {
        match self.picture {
            PictureReading::Still => &self.still,
            PictureReading::Frame => &self.frame,
        }
    }
}

/// Reads the faces by the classes' vectors.
///
/// # Errors
/// A failing device.
pub fn measure(
    encoder: &Encoder,
    faces: &EmbeddedFaces,
    classes: &Embeddings,
    picture: PictureReading,
) -> anyhow::Result<FacesResult> {
    let scored = |reading, classes: &Embeddings| {
        Scored::new(&faces.emotions, read_as(faces.vectors(reading), classes))
    };
    // An EmotionCLIP learned from what people say, an EmoCLIP from what is seen of them.
    let by_descriptions = if encoder.sees_subject() {
        None
    } else {
        let classes = encoder.embed_classes(&expression_texts()?)?;
        Some(scored(picture, &classes)?)
    };
    let still = scored(PictureReading::Still, classes)?;
    let frame = scored(PictureReading::Frame, classes)?;
    Ok(FacesResult {
        picture,
        accuracy: match picture {
            PictureReading::Still => still.accuracy(),
            PictureReading::Frame => frame.accuracy(),
        },
        still,
        frame,
        descriptions: by_descriptions,
    })
}

/// What each emotion looks like in a face, in the order of [`Emotion::ALL`]: the descriptions of
/// DFEW's seven classes, which are the same emotions.
fn expression_texts() -> anyhow::Result<Vec<Vec<String>>> {
    let set = descriptions(Benchmark::Dfew)?;
    Emotion::ALL
        .iter()
        .map(|emotion| {
            let name = match emotion {
                Emotion::Joy => "happiness",
                other => other.name(),
            };
            let label = set.labels().iter().find(|label| label.name == name);
            label
                .map(|label| label.texts.clone())
                .with_context(|| format!("the descriptions of DFEW have no '{name}'"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_emotion_has_descriptions() {
        let texts = expression_texts().unwrap();
        assert_eq!(texts.len(), Emotion::COUNT);
        assert!(texts.iter().all(|texts| !texts.is_empty()));
    }
}
