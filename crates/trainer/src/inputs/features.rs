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

/// Rows of features, of which some may be missing.
pub struct Extracted {
    /// One entry a job; none for what could not be read and was to be left out.
    pub rows: Vec<Option<Vec<f32>>>,
    /// Rows that came from the cache.
    pub cached: usize,
}

/// Computes the rows that the cache doesn't have: `read` decodes one, on threads of its own, and
/// `encode` gives the features `[inputs.len(), width]` of several, on this one. What `read` gives
/// none for is left out. Whatever was computed is kept at once, so an interrupted run goes on where
/// it stopped.
///
/// The cache comes with the key of each job; a job without one is always computed.
///
/// # Errors
/// The first that `read` or `encode` gives.
pub fn extract<T: Send>(
    (count, width): (usize, usize),
    cache: Option<(&FeatureCache, &[Option<CacheKey>])>,
    read: impl Fn(usize) -> anyhow::Result<Option<T>> + Sync,
    mut encode: impl FnMut(&[T]) -> anyhow::Result<Vec<f32>>,
    context: &Context,
) -> anyhow::Result<Extracted> {
    let mut rows: Vec<Option<Vec<f32>>> = vec![None; count];
    if let Some((cache, keys)) = cache {
        for (row, key) in rows.iter_mut().zip(keys) {
            *row = key.as_ref().and_then(|key| cache.get(key, width));
        }
    }
    let open = |(index, row): (usize, &Option<Vec<f32>>)| row.is_none().then_some(index);
    let jobs: Vec<usize> = rows.iter().enumerate().filter_map(open).collect();
    let cached = count - jobs.len();
    let bar = context.progress(count as u64, "embedding");
    bar.inc(cached as u64);

    let mut kept_all = true;
    let mut done = |index: usize, values: Vec<f32>| {
        if let Some((cache, keys)) = cache
            && let Some(Some(key)) = keys.get(index)
            && kept_all
            && let Err(error) = cache.put(key, &values)
        {
            // The run does not need the cache, so a full disk must not end it.
            tracing::warn!("{error:#}; going on without keeping features");
            kept_all = false;
        }
        if let Some(row) = rows.get_mut(index) {
            *row = Some(values);
        }
    };
    let computed = read_beside(&jobs, read, |received: Receiver<(usize, Read<T>)>| {
        let mut indices = Vec::with_capacity(BATCH);
        let mut inputs = Vec::with_capacity(BATCH);
        loop {
            let next = received.recv().ok();
            let ended = next.is_none();
            if let Some((index, input)) = next {
                bar.inc(1);
                if let Some(input) = input? {
                    indices.push(index);
                    inputs.push(input);
                }
            }
            if inputs.len() == BATCH || (ended && !inputs.is_empty()) {
                let values = encode(&inputs)?;
                for (index, row) in indices.drain(..).zip(values.chunks_exact(width)) {
                    done(index, row.to_vec());
                }
                inputs.clear();
            }
            if ended {
                return Ok(());
            }
        }
    });
    bar.finish_and_clear();
    computed?;
    Ok(Extracted { rows, cached })
}

/// What reading gives.
type Read<T> = anyhow::Result<Option<T>>;

/// Reads on threads of its own what `consume` takes on this one.
fn read_beside<T: Send>(
    jobs: &[usize],
    read: impl Fn(usize) -> Read<T> + Sync,
    consume: impl FnOnce(Receiver<(usize, Read<T>)>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let (sender, receiver) = sync_channel(BATCH);
    std::thread::scope(|scope| {
        for _ in 0..processors.min(MOST_WORKERS).min(jobs.len()) {
            let (sender, next, read) = (sender.clone(), &next, &read);
            scope.spawn(move || {
                while let Some(&index) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // The receiver is gone after an error; nobody waits for the rest.
                    if sender.send((index, read(index))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        consume(receiver)
    })
}

impl FeatureExtractor<'_> {
    /// Embeds clips, each sampled to the model's number of frames over its whole length.
    ///
    /// # Errors
    /// Bad input for the first file that can't be read or prepared.
    pub fn embed(&self, media: &[&Media], context: &Context) -> anyhow::Result<Embedded> {
        let width = self.model.pretrained.model.config().embed_dim;
        let keys = self.keys(media)?;
        let cache = self.cache.as_ref().map(|cache| (cache, keys.as_slice()));
        let read = |index: usize| match media.get(index) {
            Some(media) => self.clip(media).map(Some),
            None => Ok(None),
        };
        let encode = |clips: &[Clip]| self.model.embed_clips(clips);
        let extracted = extract((media.len(), width), cache, read, encode, context)?;
        Ok(Embedded {
            values: extracted.rows.into_iter().flatten().flatten().collect(),
            width,
            cached: extracted.cached,
        })
    }

    /// The keys of all clips; none without a cache.
    fn keys(&self, media: &[&Media]) -> anyhow::Result<Vec<Option<CacheKey>>> {
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
            .map(|media| CacheKey::new(&settings, media).map(Some))
            .collect()
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
