//! Embeddings of many clips: decoded beside the computation, taken from the cache where known.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::Context as _;
use emotionclip::Clip;
use emotionclip_data::decode::Media;

use super::cache::{CacheKey, FeatureCache};
use super::subject::Subject;
use crate::context::Context;
use crate::failure::{OrBadInput, bad_input};
use crate::models::LoadedModel;

/// Clips a forward pass; also the number of decoded clips that may wait.
const BATCH: usize = 16;

/// Threads that decode; more than a few only wait for the encoder.
const MOST_WORKERS: usize = 4;

/// How clips become features.
pub struct FeatureExtractor<'a> {
    /// The encoder.
    pub model: &'a LoadedModel,
    /// Who the subject is.
    pub subject: &'a Subject,
    /// Frames per second at which videos are read before frames are chosen.
    pub rate: f64,
    /// Where features are kept, if they are.
    pub cache: Option<FeatureCache>,
}

/// Unit embeddings `[N, width]`, row after row, in the order of the clips.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// The values.
    pub values: Vec<f32>,
    /// Values a row, E.
    pub width: usize,
    /// Rows that came from the cache.
    pub cached: usize,
}

impl Embedded {
    /// The rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }
}

impl FeatureExtractor<'_> {
    /// Embeds clips, each sampled to the model's number of frames over its whole length.
    ///
    /// # Errors
    /// Bad input for the first file that can't be read or prepared.
    pub fn embed(&self, media: &[&Media], context: &Context) -> anyhow::Result<Embedded> {
        let width = self.model.pretrained.model.config().embed_dim;
        let keys = self.keys(media)?;
        let mut rows: Vec<Option<Vec<f32>>> = vec![None; media.len()];
        if let Some(cache) = &self.cache {
            for (row, key) in rows.iter_mut().zip(&keys) {
                *row = cache.get(key, width);
            }
        }
        let open = |(index, row): (usize, &Option<Vec<f32>>)| row.is_none().then_some(index);
        let jobs: Vec<usize> = rows.iter().enumerate().filter_map(open).collect();
        let cached = media.len() - jobs.len();
        let bar = context.progress(media.len() as u64, "embedding");
        bar.inc(cached as u64);

        let mut kept_all = true;
        let computed = self.compute(media, &jobs, |index, values| {
            bar.inc(1);
            if let (Some(cache), Some(key)) = (&self.cache, keys.get(index))
                && kept_all
                && let Err(error) = cache.put(key, &values)
            {
                // The run does not need the cache, so a full disk must not end it.
                tracing::warn!("{error:#}; going on without keeping features");
                kept_all = false;
            }
            rows[index] = Some(values);
        });
        bar.finish_and_clear();
        computed?;
        let values: Vec<f32> = rows.into_iter().flatten().flatten().collect();
        Ok(Embedded {
            values,
            width,
            cached,
        })
    }

    /// The keys of all clips; none without a cache.
    fn keys(&self, media: &[&Media]) -> anyhow::Result<Vec<CacheKey>> {
        if self.cache.is_none() {
            return Ok(Vec::new());
        }
        let preprocess = serde_json::to_string(&self.model.pretrained.preprocess)
            .context("writing the preprocessing as JSON")?;
        let subject = self.subject.fingerprint();
        let sampling = format!("uniform at {}", self.rate);
        let settings = [self.model.hash.as_str(), &preprocess, &subject, &sampling];
        media
            .iter()
            .map(|media| CacheKey::new(&settings, media))
            .collect()
    }

    /// Decodes on threads of its own, embeds on this one.
    fn compute(
        &self,
        media: &[&Media],
        jobs: &[usize],
        done: impl FnMut(usize, Vec<f32>),
    ) -> anyhow::Result<()> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicUsize::new(0);
        let (sender, receiver) = sync_channel(BATCH);
        std::thread::scope(|scope| {
            for _ in 0..processors.min(MOST_WORKERS).min(jobs.len()) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    while let Some(&index) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        // The receiver is gone after an error; nobody waits for the rest.
                        if sender.send((index, self.clip(media[index]))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            self.embed_received(receiver, done)
        })
    }

    fn embed_received(
        &self,
        receiver: Receiver<(usize, anyhow::Result<Clip>)>,
        mut done: impl FnMut(usize, Vec<f32>),
    ) -> anyhow::Result<()> {
        let mut indices = Vec::with_capacity(BATCH);
        let mut clips = Vec::with_capacity(BATCH);
        loop {
            let received = receiver.recv().ok();
            let ended = received.is_none();
            if let Some((index, clip)) = received {
                indices.push(index);
                clips.push(clip?);
            }
            if clips.len() == BATCH || (ended && !clips.is_empty()) {
                let width = self.model.pretrained.model.config().embed_dim;
                let values = self.model.embed_clips(&clips)?;
                for (index, row) in indices.drain(..).zip(values.chunks_exact(width)) {
                    done(index, row.to_vec());
                }
                clips.clear();
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// The frames of a clip that the model looks at, with the subject's masks.
    fn clip(&self, media: &Media) -> anyhow::Result<Clip> {
        let name = media.path().display();
        let count = self.model.frames();
        let frames = media.sample(count, Some(self.rate)).map_err(bad_input)?;
        let frames = frames.into_iter().map(|frame| frame.picture).collect();
        let preprocess = &self.model.pretrained.preprocess;
        let clip = self.subject.clip(&name, frames, preprocess)?;
        // Now, while the file's name is known: a batch of clips can only name a frame.
        for frame in &clip.frames {
            let size = [frame.width(), frame.height()];
            preprocess.resized_size(size).or_bad_input(&name)?;
        }
        Ok(clip)
    }
}
