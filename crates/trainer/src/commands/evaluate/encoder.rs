//! A model of either family as the measurements use it: pictures, clips and sentences to unit
//! vectors on the host.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use bytes::Bytes;
use emotionclip::Pretrained;
use emotionclip::checkpoint::web::Precision;
use emotionclip::emoclip::{EMOCLIP_CONFIG_KEY, PretrainedEmoClip};
use emotionclip::model::l2_normalize;
use emotionclip::parameters::parameter_count;
use emotionclip::preprocess::{Preprocess, PreprocessedClip};
use emotionclip_data::faces::FaceConfig;
use serde::Serialize;

use super::rounding::rounded;
use crate::context::Context;
use crate::failure::bad_input;
use crate::inputs::files::{read_file, safetensors_metadata};
use crate::models::{LoadedModel, ModelArgs, named, read_back};

/// Sentences encoded at once.
const TEXT_BATCH: usize = 64;

/// What a model is, for a report.
#[derive(Clone, Debug, Serialize)]
pub struct ModelFacts {
    /// Its file or name.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// `EmotionCLIP` or `EmoCLIP`.
    pub family: &'static str,
    /// Size of its file or files.
    pub bytes: u64,
    /// Trainable numbers.
    pub parameters: usize,
    /// Side of a frame in pixels.
    pub image_size: usize,
    /// Frames a clip.
    pub frames: usize,
}

/// Unit vectors `[N, width]`, row after row.
#[derive(Clone, Debug)]
pub struct Embeddings {
    /// The values.
    pub values: Vec<f32>,
    /// Values a row, E.
    pub width: usize,
}

impl Embeddings {
    /// Nothing yet.
    pub fn new(width: usize) -> Self {
        Self {
            values: Vec::new(),
            width,
        }
    }

    /// The rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }
}

/// What a picture without motion is embedded as.
#[derive(Clone, Debug)]
pub struct PictureVectors {
    /// The picture as every frame of a clip.
    pub still: Vec<f32>,
    /// One frame alone: of an EmotionCLIP the frame encoder's vector, of an EmoCLIP that of a clip
    /// of one frame.
    pub frame: Vec<f32>,
}

/// A model and where it came from.
#[derive(Clone, Debug)]
pub struct Encoder {
    facts: ModelFacts,
    family: Family,
}

#[derive(Clone, Debug)]
enum Family {
    EmotionClip(Box<Pretrained>),
    EmoClip(Box<PretrainedEmoClip>),
}

/// A model with rounded weights.
#[derive(Clone, Debug)]
pub struct Rounded {
    /// The model.
    pub encoder: Encoder,
    /// Length of the change of all weights as a share of the length of all weights.
    pub relative_change: f64,
    /// Size of the weights' files.
    pub bytes: u64,
}

impl Encoder {
    /// Loads the model that the options name; the metadata of a file tells its family.
    ///
    /// # Errors
    /// Bad input for a model that is missing, damaged or none; a failed download.
    pub fn load(args: &ModelArgs, device: &Device, context: &Context) -> anyhow::Result<Self> {
        let file = args.model.as_deref().map(Path::new);
        if let Some(path) = file.filter(|path| path.is_file()) {
            let bytes = Bytes::from(read_file(path)?);
            if safetensors_metadata(&bytes).contains_key(EMOCLIP_CONFIG_KEY) {
                return Self::emoclip(bytes, &path.display().to_string(), device);
            }
        }
        let loaded = args.load(device, context)?;
        let config = loaded.pretrained.model.config();
        let facts = ModelFacts {
            family: "EmotionCLIP",
            parameters: parameter_count(&loaded.pretrained.model),
            image_size: config.vision.image_size,
            frames: config.temporal.frames,
            name: loaded.name.clone(),
            sha256: loaded.hash.clone(),
            bytes: loaded.bytes,
        };
        let LoadedModel { pretrained, .. } = loaded;
        Ok(Self {
            facts,
            family: Family::EmotionClip(Box::new(pretrained)),
        })
    }

    fn emoclip(bytes: Bytes, name: &str, device: &Device) -> anyhow::Result<Self> {
        let (sha256, length) = (Pretrained::hash(&bytes), bytes.len() as u64);
        let pretrained = PretrainedEmoClip::from_bytes(bytes, name, device)
            .map_err(|error| bad_input(named(name, &error)))?;
        tracing::info!("model: {name}");
        let model = &pretrained.model;
        let facts = ModelFacts {
            name: name.to_owned(),
            sha256,
            family: "EmoCLIP",
            bytes: length,
            parameters: parameter_count(model),
            image_size: model.config().vision.image_size,
            frames: model.temporal.config().frames,
        };
        Ok(Self {
            facts,
            family: Family::EmoClip(Box::new(pretrained)),
        })
    }

    /// What it is.
    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// Whether it is told who the subject is; an EmoCLIP is not.
    pub fn sees_subject(&self) -> bool {
        matches!(self.family, Family::EmotionClip(_))
    }

    /// Side at which the corpus draws frames for it; preprocessing does the rest.
    pub fn drawn_size(&self) -> u32 {
        let size = u32::try_from(self.facts.image_size).unwrap_or(u32::MAX);
        size.clamp(FaceConfig::MIN_SIZE, FaceConfig::MAX_SIZE)
    }

    /// The preprocessing that it was trained with.
    pub fn preprocess(&self) -> &Preprocess {
        match &self.family {
            Family::EmotionClip(model) => &model.preprocess,
            Family::EmoClip(model) => &model.preprocess,
        }
    }

    /// Width of the embeddings, E.
    pub fn width(&self) -> usize {
        match &self.family {
            Family::EmotionClip(model) => model.model.config().embed_dim,
            Family::EmoClip(model) => model.model.config().embed_dim,
        }
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        match &self.family {
            Family::EmotionClip(model) => model.device(),
            Family::EmoClip(model) => model.device(),
        }
    }

    /// Vectors of sentences; `done` hears of each batch's number of them.
    ///
    /// # Errors
    /// A failing device; weights that overflow.
    pub fn embed_texts<S: AsRef<str>>(
        &self,
        texts: &[S],
        done: impl Fn(u64),
    ) -> anyhow::Result<Embeddings> {
        let mut embedded = Embeddings::new(self.width());
        for batch in texts.chunks(TEXT_BATCH) {
            let rows = match &self.family {
                Family::EmotionClip(model) => model.embed_texts(batch),
                Family::EmoClip(model) => model.embed_texts(batch),
            };
            embedded.values.extend(self.values(rows)?);
            done(batch.len() as u64);
        }
        Ok(embedded)
    }

    /// Vectors of classes: the mean of their texts' unit vectors, of unit length again. Each class
    /// has a text.
    ///
    /// # Errors
    /// As [`Encoder::embed_texts`].
    pub fn embed_classes(&self, classes: &[Vec<String>]) -> anyhow::Result<Embeddings> {
        let texts: Vec<&String> = classes.iter().flatten().collect();
        let embedded = self.embed_texts(&texts, |_| ())?;
        let mut rows = embedded.rows();
        let mut means = Embeddings::new(embedded.width);
        for texts in classes {
            let mut sum = vec![0.0; embedded.width];
            for row in rows.by_ref().take(texts.len()) {
                sum.iter_mut()
                    .zip(row)
                    .for_each(|(sum, value)| *sum += *value);
            }
            let squares: f32 = sum.iter().map(|value| value * value).sum();
            let norm = squares.sqrt().max(1e-12);
            means.values.extend(sum.iter().map(|value| value / norm));
        }
        Ok(means)
    }

    /// Vectors of prepared pictures, each a clip of one frame.
    ///
    /// # Errors
    /// A failing device; weights that overflow.
    pub fn embed_pictures(&self, pictures: &[PreprocessedClip]) -> anyhow::Result<PictureVectors> {
        let (frames, masks) = self.tensors(pictures);
        let features = self.frame_features(frames, masks);
        let one = features.clone().unsqueeze_dim::<3>(1);
        let frame = match &self.family {
            Family::EmotionClip(_) => features,
            Family::EmoClip(_) => self.fuse(one.clone()),
        };
        let still = self.fuse(one.repeat_dim(1, self.facts.frames));
        Ok(PictureVectors {
            still: self.values(l2_normalize(still))?,
            frame: self.values(l2_normalize(frame))?,
        })
    }

    /// Vectors of `count` clips of the model's length: frames `[count · T, 3, S, S]` under masks
    /// `[count · T, S, S]`.
    ///
    /// # Errors
    /// A failing device; weights that overflow.
    pub fn embed_clips(
        &self,
        count: usize,
        frames: Tensor<4>,
        masks: Tensor<3>,
    ) -> anyhow::Result<Vec<f32>> {
        let features = self.frame_features(frames, masks);
        let features = features.reshape([count, self.facts.frames, self.width()]);
        self.values(l2_normalize(self.fuse(features)))
    }

    /// Frames `[N, 3, S, S]` and masks `[N, S, S]` of prepared clips of the same size.
    pub fn tensors(&self, clips: &[PreprocessedClip]) -> (Tensor<4>, Tensor<3>) {
        let count = clips.iter().map(|clip| clip.frame_count).sum();
        let size = clips.first().map_or(0, |clip| clip.size);
        let joined = |part: fn(&PreprocessedClip) -> &[f32]| -> Vec<f32> {
            clips.iter().flat_map(part).copied().collect()
        };
        let frames = TensorData::new(joined(|clip| &clip.frames), [count, 3, size, size]);
        let masks = TensorData::new(joined(|clip| &clip.masks), [count, size, size]);
        let device = self.device();
        (
            Tensor::from_data(frames, &device),
            Tensor::from_data(masks, &device),
        )
    }

    /// The model as it is after its weights went through a web bundle of this precision.
    ///
    /// # Errors
    /// Weights that are not finite; a failing device.
    pub fn rounded(&self, precision: Precision) -> anyhow::Result<Rounded> {
        let (family, relative_change, bytes) = match &self.family {
            Family::EmotionClip(model) => {
                let (rounded, change, bytes) = rounded(&model.model, precision)?;
                let pretrained = Pretrained {
                    model: rounded,
                    ..(**model).clone()
                };
                (Family::EmotionClip(Box::new(pretrained)), change, bytes)
            }
            Family::EmoClip(model) => {
                let (rounded, change, bytes) = rounded(&model.model, precision)?;
                let pretrained = PretrainedEmoClip {
                    model: rounded,
                    ..(**model).clone()
                };
                (Family::EmoClip(Box::new(pretrained)), change, bytes)
            }
        };
        let facts = self.facts.clone();
        Ok(Rounded {
            encoder: Self { facts, family },
            relative_change,
            bytes,
        })
    }

    fn frame_features(&self, frames: Tensor<4>, masks: Tensor<3>) -> Tensor<2> {
        match &self.family {
            Family::EmotionClip(model) => model.model.encode_frames(frames, masks),
            Family::EmoClip(model) => model.model.encode_frames(frames),
        }
    }

    /// Frame features `[B, T, E]` to clip features `[B, E]`.
    fn fuse(&self, features: Tensor<3>) -> Tensor<2> {
        match &self.family {
            Family::EmotionClip(model) => model.model.temporal.forward(features),
            Family::EmoClip(model) => model.model.temporal.forward(features),
        }
    }

    fn values(&self, rows: Tensor<2>) -> anyhow::Result<Vec<f32>> {
        let values = read_back(rows)?;
        anyhow::ensure!(
            values.iter().all(|value| value.is_finite()),
            "{}: the model gave an embedding that is not finite; check its weights with `inspect`",
            self.facts.name
        );
        Ok(values)
    }
}
