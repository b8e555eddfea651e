//! Features of a benchmark's samples: their frames with the set's masks through the frozen model.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::Context as _;
use burn::tensor::{Int, Tensor, TensorData};
use emotionclip::Clip;
use emotionclip::model::l2_normalize;
use emotionclip::preprocess::{Crops, Letterbox, MaskProtocol, Preprocess, PreprocessedClip};
use emotionclip_data::benchmarks::{ProbeDataset, ProbePart, ProbeSample, SubjectFrame};
use emotionclip_data::decode::read_stored_picture;

use crate::context::Context;
use crate::failure::bad_input;
use crate::inputs::cache::{CacheKey, FeatureCache};
use crate::inputs::features::extract;
use crate::inputs::files::one_line;
use crate::models::LoadedModel;

/// Threads that read files to know them by their content.
const HASHING_THREADS: usize = 4;

/// How a model sees the samples of a set.
pub(super) struct View<'a> {
    model: &'a LoadedModel,
    dataset: ProbeDataset,
    preprocess: Preprocess,
    masks: MaskProtocol,
}

/// Features of the samples of a part.
pub(super) struct PartFeatures {
    /// Unit rows `[samples that could be read, width]`.
    pub(super) values: Vec<f32>,
    /// Values a row.
    pub(super) width: usize,
    /// Of each sample whether it could be read.
    pub(super) is_read: Vec<bool>,
    /// Those that could not, with the reason.
    pub(super) unreadable: Vec<String>,
    /// Rows that came from the cache.
    pub(super) cached: usize,
}

/// The different frames of a sample and their order: a frame that is shown several times is
/// prepared and encoded once.
struct Distinct<'a> {
    frames: Vec<&'a SubjectFrame>,
    order: Vec<usize>,
}

impl<'a> Distinct<'a> {
    fn of(sample: &'a ProbeSample) -> Self {
        let mut places = HashMap::new();
        let mut frames = Vec::new();
        let mut order = Vec::new();
        for frame in &sample.frames {
            // A sample's frames of one file have the same boxes.
            let place = *places.entry(&frame.path).or_insert_with(|| {
                frames.push(frame);
                frames.len() - 1
            });
            order.push(place);
        }
        Self { frames, order }
    }
}

/// A sample ready for the encoder.
struct Prepared {
    clip: PreprocessedClip,
    order: Vec<usize>,
}

impl<'a> View<'a> {
    /// How `model` sees `dataset`.
    pub(super) fn new(dataset: ProbeDataset, model: &'a LoadedModel, letterbox: Letterbox) -> Self {
        let preprocess = &model.pretrained.preprocess;
        let preprocess = if dataset == ProbeDataset::Emotic {
            // The shorter side of EMOTIC's pictures becomes the crop's: nothing of it is cut off.
            Preprocess {
                resize: preprocess.crop,
                ..preprocess.clone()
            }
        } else {
            preprocess.clone()
        };
        Self {
            model,
            dataset,
            preprocess,
            masks: dataset.mask_protocol(letterbox),
        }
    }

    /// The features of a part.
    ///
    /// # Errors
    /// Bad input when more than `max_skipped` of its samples can't be read; a failing device.
    pub(super) fn features(
        &self,
        part: &ProbePart,
        cache: Option<PathBuf>,
        max_skipped: f64,
        context: &Context,
    ) -> anyhow::Result<PartFeatures> {
        let cache = cache.map(FeatureCache::new);
        let keys = match &cache {
            Some(_) => self.keys(part, context)?,
            None => Vec::new(),
        };
        let width = self.model.pretrained.model.config().embed_dim;
        let unreadable = Mutex::new(Vec::new());
        let read = |index: usize| {
            let Some(sample) = part.samples.get(index) else {
                return Ok(None);
            };
            match self.prepare(sample) {
                Ok(prepared) => Ok(Some(prepared)),
                Err(reason) => {
                    if let Ok(mut unreadable) = unreadable.lock() {
                        unreadable.push((index, format!("{}: {reason}", sample.id)));
                    }
                    Ok(None)
                }
            }
        };
        let extracted = extract(
            (part.samples.len(), width),
            cache.as_ref().map(|cache| (cache, keys.as_slice())),
            read,
            |samples: &[Prepared]| self.encode(samples),
            context,
        )?;
        let mut unreadable = unreadable.into_inner().unwrap_or_default();
        unreadable.sort_unstable();
        let unreadable: Vec<String> = unreadable.into_iter().map(|(_, reason)| reason).collect();
        self.judge(part, &unreadable, max_skipped)?;
        Ok(PartFeatures {
            is_read: extracted.rows.iter().map(Option::is_some).collect(),
            values: extracted.rows.into_iter().flatten().flatten().collect(),
            width,
            unreadable,
            cached: extracted.cached,
        })
    }

    /// Refuses a part of which too much can't be read, else says what is left out.
    fn judge(
        &self,
        part: &ProbePart,
        unreadable: &[String],
        max_skipped: f64,
    ) -> anyhow::Result<()> {
        let Some(first) = unreadable.first() else {
            return Ok(());
        };
        let (dataset, name) = (self.dataset, part.name());
        let samples = part.samples.len() + part.skipped.len();
        let lost = unreadable.len() + part.skipped.len();
        if lost as f64 > max_skipped * samples as f64 {
            return Err(bad_input(format!(
                "{dataset}, {name}: {lost} of {samples} samples can't be used and {:.1}% may be: \
                 {first}; get the set from {} and unpack all of it",
                100.0 * max_skipped,
                dataset.home()
            )));
        }
        tracing::warn!(
            "{dataset}, {name}: {} samples can't be read and are left out, the first: {first}",
            unreadable.len()
        );
        Ok(())
    }

    /// The keys of all samples, by the content of their frames; none for one whose files can't be
    /// read.
    fn keys(&self, part: &ProbePart, context: &Context) -> anyhow::Result<Vec<Option<CacheKey>>> {
        let json = |value: serde_json::Result<String>| value.context("writing settings as JSON");
        let preprocess = json(serde_json::to_string(&self.preprocess))?;
        let masks = json(serde_json::to_string(&self.masks))?;
        let kind = if self.dataset.is_pictures() {
            "benchmark picture"
        } else {
            "benchmark clip"
        };
        let key = |sample: &ProbeSample| {
            let Distinct { frames, order } = Distinct::of(sample);
            let boxes: Vec<_> = frames.iter().map(|frame| &frame.boxes).collect();
            let shown = serde_json::to_string(&(order, boxes)).ok()?;
            let settings = [self.model.hash.as_str(), kind, &preprocess, &masks, &shown];
            let files: Vec<&PathBuf> = frames.iter().map(|frame| &frame.path).collect();
            CacheKey::of_files(&settings, &files).ok()
        };
        let bar = context.progress(part.samples.len() as u64, "looking up");
        let share = part.samples.len().div_ceil(HASHING_THREADS).max(1);
        let keys = std::thread::scope(|scope| {
            let threads: Vec<_> = part
                .samples
                .chunks(share)
                .map(|samples| {
                    let (key, bar) = (&key, &bar);
                    scope.spawn(move || {
                        let keys = samples.iter().inspect(|_| bar.inc(1)).map(key);
                        keys.collect::<Vec<_>>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .map_err(|_| anyhow::anyhow!("a thread failed"))
                })
                .collect::<anyhow::Result<Vec<_>>>()
        });
        bar.finish_and_clear();
        Ok(keys?.concat())
    }

    /// Decodes and prepares the frames of a sample; what is wrong is said in one line.
    fn prepare(&self, sample: &ProbeSample) -> Result<Prepared, String> {
        let Distinct { frames, order } = Distinct::of(sample);
        let mut clip = Clip {
            frames: Vec::with_capacity(frames.len()),
            masks: Vec::with_capacity(frames.len()),
        };
        for frame in frames {
            let picture = read_stored_picture(&frame.path).map_err(one_line)?;
            let prepared = self
                .preprocess
                .subject_frame(picture, &frame.boxes, self.masks);
            let (picture, mask) =
                prepared.map_err(|error| format!("{}: {error}", frame.path.display()))?;
            clip.frames.push(picture);
            clip.masks.push(mask);
        }
        let clip = self.preprocess.clip(&clip, &Crops::Centre);
        Ok(Prepared {
            clip: clip.map_err(one_line)?,
            order,
        })
    }

    /// Unit features of samples, `[samples, width]`.
    fn encode(&self, samples: &[Prepared]) -> anyhow::Result<Vec<f32>> {
        let device = self.model.pretrained.device();
        let model = &self.model.pretrained.model;
        let size = self.preprocess.crop as usize;
        let (mut frames, mut masks, mut order) = (Vec::new(), Vec::new(), Vec::new());
        let mut count = 0;
        for sample in samples {
            frames.extend_from_slice(&sample.clip.frames);
            masks.extend_from_slice(&sample.clip.masks);
            order.extend(sample.order.iter().map(|place| (count + place) as i32));
            count += sample.clip.frame_count;
        }
        let frames = TensorData::new(frames, [count, 3, size, size]);
        let masks = TensorData::new(masks, [count, size, size]);
        let features = model.encode_frames(
            Tensor::from_data(frames, &device),
            Tensor::from_data(masks, &device),
        );
        if self.dataset.is_pictures() {
            return self.model.values(l2_normalize(features));
        }
        let width = model.config().embed_dim;
        let shown = order.len() / samples.len().max(1);
        let order = TensorData::new(order, [shown * samples.len()]);
        let order = Tensor::<1, Int>::from_data(order, &device);
        let clips = features
            .select(0, order)
            .reshape([samples.len(), shown, width]);
        self.model
            .values(l2_normalize(model.temporal.forward(clips)))
    }
}
