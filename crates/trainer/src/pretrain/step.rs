//! One optimisation step, and what is said when it fails.

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use emotionclip::EmotionClip;
use emotionclip::model::l2_normalize;
use emotionclip::optim::{AdamW, GroupRates, ParameterGradients, ParameterGroup};
use emotionclip::parameters::{branched, to_state_dict};
use emotionclip::pretrained::token_tensor;
use emotionclip::stem::StemStatistics;
use emotionclip::text::TextTransformer;
use emotionclip::vision::VisionTransformer;

use super::batch::Batch;
use super::config::{RunConfig, Stage, StageInput, TowerMode};
use super::fixed_texts::FixedTexts;

/// Threads that encode frames side by side. A constant, not the number of cores: gradients are
/// summed in the order of the branches, so a run gives the same numbers on any machine. Burn's CPU
/// engine keeps little more than one core busy at the sizes of `nano`.
const FRAME_SHARDS: usize = 2;

/// What one thread encodes.
enum Job<'a> {
    /// Some of the batch's frames, the masks on them, and where frames are shared the frame of each
    /// mask.
    Frames {
        frames: &'a [f32],
        masks: &'a [f32],
        owners: Option<Vec<usize>>,
    },
    /// All of the batch's texts, or all of their partners.
    Texts(&'a [Vec<u32>]),
}

/// The encoder a branch went through: a copy with a graph of its own.
enum Encoder {
    Frames(Box<VisionTransformer>),
    Texts(Box<TextTransformer>),
}

/// One thread's encoder and its features with their graph.
struct Branch {
    encoder: Encoder,
    features: Tensor<2>,
    /// Of frames: what a normalised stem saw.
    seen: Option<StemStatistics>,
}

impl Branch {
    fn encode(
        job: &Job<'_>,
        model: &EmotionClip,
        frames_learn: bool,
        size: usize,
        device: &Device,
    ) -> Self {
        match job {
            Job::Frames {
                frames,
                masks,
                owners,
            } => {
                let rows = masks.len() / (size * size);
                let count = frames.len() / (3 * size * size);
                let encoder = branched(model.visual.clone());
                let frames = TensorData::new(frames.to_vec(), [count, 3, size, size]);
                let masks = TensorData::new(masks.to_vec(), [rows, size, size]);
                let frames = Tensor::from_data(frames, device);
                let masks = Tensor::from_data(masks, device);
                let owners = owners.as_deref();
                let (features, seen) = if frames_learn {
                    let (features, seen) = encoder.forward_training(frames, masks, owners);
                    (features, Some(seen))
                } else {
                    (encoder.forward_shared(frames, masks, owners), None)
                };
                Self {
                    encoder: Encoder::Frames(Box::new(encoder)),
                    features,
                    seen,
                }
            }
            Job::Texts(tokens) => {
                let encoder = branched(model.text.clone());
                let features = encoder.forward(token_tensor(tokens, device));
                Self {
                    encoder: Encoder::Texts(Box::new(encoder)),
                    features,
                    seen: None,
                }
            }
        }
    }

    /// Carries the gradient of the features back to the encoder's parameters.
    fn backward(self, gradient: Tensor<2>) -> ParameterGradients {
        let projected = self.features * Tensor::from_inner(gradient);
        let mut gradients = projected.sum().backward();
        match &self.encoder {
            Encoder::Frames(encoder) => ParameterGradients::take(&mut gradients, encoder.as_ref()),
            Encoder::Texts(encoder) => ParameterGradients::take(&mut gradients, encoder.as_ref()),
        }
    }
}

/// Features of consecutive branches, joined and cut off from the branches' graphs: the leaf that
/// the loss is differentiated by.
struct Joined {
    features: Tensor<2>,
    branches: Vec<Branch>,
}

impl Joined {
    fn new(branches: Vec<Branch>) -> Self {
        let parts = branches
            .iter()
            .map(|branch| branch.features.clone().inner())
            .collect();
        Self {
            features: Tensor::from_inner(Tensor::cat(parts, 0)).require_grad(),
            branches,
        }
    }

    /// The branches that have parameters to train, each with its rows of the gradient.
    fn with_gradients(self, graph: &mut Gradients) -> Vec<(Branch, Tensor<2>)> {
        let Some(gradient) = self.features.grad_remove(graph) else {
            return Vec::new();
        };
        let mut start = 0;
        let rows = |branch: Branch| {
            let [rows, _] = branch.features.dims();
            start += rows;
            (branch, gradient.clone().narrow(0, start - rows, rows))
        };
        let parts: Vec<_> = self.branches.into_iter().map(rows).collect();
        let tracked = |part: &(Branch, _)| part.0.features.is_tracked();
        parts.into_iter().filter(tracked).collect()
    }
}

/// Maps on a thread each; results in the order of the items.
fn in_parallel<T: Send, R: Send>(
    items: impl Iterator<Item = T>,
    map: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    std::thread::scope(|scope| {
        let map = &map;
        let handles: Vec<_> = items.map(|item| scope.spawn(move || map(item))).collect();
        handles
            .into_iter()
            .map(|handle| match handle.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

/// The rates of one step: base rate × stage factor × schedule.
pub fn scheduled_rates(config: &RunConfig, stage: &Stage, step_in_stage: usize) -> GroupRates {
    let steps_per_epoch = config.steps_per_epoch(stage);
    let mut rates = config.rates;
    for rate in [
        &mut rates.frame_gain_bias,
        &mut rates.frame_rest,
        &mut rates.text_gain_bias,
        &mut rates.text_rest,
        &mut rates.temporal_gain_bias,
        &mut rates.temporal_rest,
        &mut rates.logit_scale,
    ] {
        let base = rate.learning_rate * stage.rate_factor;
        rate.learning_rate =
            stage
                .schedule
                .learning_rate(base, step_in_stage, steps_per_epoch, stage.steps);
    }
    rates
}

/// What a run carries from step to step besides the model.
pub struct Carried<'a> {
    /// Moments of the gradients.
    pub optimizer: &'a mut AdamW,
    /// Features of texts, while their encoder stays as it is.
    pub fixed: &'a mut FixedTexts,
}

/// Runs one step and gives the updated model and the loss.
///
/// Frames and texts are encoded on threads of their own; the loss sees the joined features, and
/// their gradient goes back through each thread's graph, again side by side. The result is the
/// gradient of the whole batch.
pub fn train_step(
    config: &RunConfig,
    stage: &Stage,
    rates: &GroupRates,
    model: EmotionClip,
    carried: Carried<'_>,
    batch: &Batch,
    device: &Device,
) -> (EmotionClip, f64) {
    let Carried { optimizer, fixed } = carried;
    let count = batch.tokens.len();
    let sentiment = TensorData::new(batch.sentiment.clone(), [count, 7]);
    let sentiment = Tensor::from_data(sentiment, device);
    let fixed = if stage.freeze_text && FixedTexts::pay_on(device) {
        Some(fixed.encode(&model.text, &batch.tokens, device))
    } else {
        fixed.clear();
        None
    };
    let jobs = jobs(stage, batch, fixed.is_none());
    let frames_learn = config.towers.frame != TowerMode::Frozen;
    let mut branches = in_parallel(jobs.iter(), |job| {
        Branch::encode(job, &model, frames_learn, batch.size, device)
    });
    // The texts are the last branch, see `jobs`.
    let (text, texts) = match fixed {
        // What has no gradient stays off the graph, which nothing would clear of it.
        Some(features) => (Tensor::from_inner(l2_normalize(features)), None),
        None => {
            let joined = Joined::new(branches.split_off(jobs.len() - 1));
            (l2_normalize(joined.features.clone()), Some(joined))
        }
    };
    let stem: Vec<StemStatistics> = branches
        .iter_mut()
        .filter_map(|branch| branch.seen.take())
        .collect();
    let seen = Joined::new(branches);
    let video = match stage.input {
        StageInput::Utterances | StageInput::Peak => seen.features.clone(),
        StageInput::Clip => {
            let [_, width] = seen.features.dims();
            let clips = [count, batch.frame_count, width];
            model.temporal.forward(seen.features.clone().reshape(clips))
        }
    };
    let loss = config.guidance(stage).loss(
        l2_normalize(video),
        text,
        model.similarity_scale(),
        sentiment,
    );
    let mut graph = loss.backward();
    let value = loss.inner().into_scalar::<f32>();
    if !value.is_finite() {
        return (model, f64::from(value));
    }
    let mut gradients = ParameterGradients::take(&mut graph, &model);
    let mut parts = seen.with_gradients(&mut graph);
    if let Some(texts) = texts.filter(|_| !stage.freeze_text) {
        parts.extend(texts.with_gradients(&mut graph));
    }
    for part in in_parallel(parts.into_iter(), |(branch, gradient)| {
        branch.backward(gradient)
    }) {
        gradients.add(part);
    }
    let mut model = optimizer
        .step_with(rates, model, gradients)
        .clamp_logit_scale();
    model.visual = model.visual.follow(&stem);
    (model, f64::from(value))
}

/// What the threads of a step encode: the frames in shards, or the partners; the texts come last,
/// unless they are encoded already.
fn jobs<'a>(stage: &Stage, batch: &'a Batch, with_texts: bool) -> Vec<Job<'a>> {
    let mut jobs = match stage.input {
        StageInput::Utterances => vec![Job::Texts(&batch.partners)],
        StageInput::Peak | StageInput::Clip => {
            let (frame, mask) = (3 * batch.size * batch.size, batch.size * batch.size);
            let count = batch.frames.len() / frame.max(1);
            let per_shard = count.div_ceil(FRAME_SHARDS).max(1);
            let shards = batch.frames.chunks(per_shard * frame).enumerate();
            shards
                .map(|(shard, frames)| {
                    let first = shard * per_shard;
                    if batch.owners.is_empty() {
                        let masks = &batch.masks[first * mask..][..frames.len() / 3];
                        return Job::Frames {
                            frames,
                            masks,
                            owners: None,
                        };
                    }
                    let before = |frame: usize| batch.owners.partition_point(|one| *one < frame);
                    let pairs = before(first)..before(first + per_shard);
                    let owners = batch.owners[pairs.clone()].iter();
                    Job::Frames {
                        frames,
                        masks: &batch.masks[pairs.start * mask..pairs.end * mask],
                        owners: Some(owners.map(|frame| frame - first).collect()),
                    }
                })
                .collect()
        }
    };
    if with_texts {
        jobs.push(Job::Texts(&batch.tokens));
    }
    jobs
}

/// Why training must stop, for people: what is not finite, and how it got there.
pub fn diagnose(
    model: &EmotionClip,
    rates: &GroupRates,
    step: usize,
    loss: f64,
    recent: &[f64],
) -> String {
    let mut lines = vec![format!("training diverged at step {step}: loss {loss}")];
    let recent: Vec<String> = recent.iter().map(|loss| format!("{loss:.3}")).collect();
    lines.push(format!("last losses {}", recent.join(" ")));
    let scale = model.logit_scale.val().inner().into_scalar::<f32>();
    lines.push(format!("logit scale exp({scale:.3})"));
    let rates: Vec<String> = ParameterGroup::ALL
        .iter()
        .map(|group| format!("{} {:.1e}", group.name(), rates.rate(*group).learning_rate))
        .collect();
    lines.push(format!("rates {}", rates.join(", ")));
    match to_state_dict(model) {
        Ok(tensors) => {
            let broken: Vec<&str> = tensors
                .iter()
                .filter(|(_, tensor)| !tensor.is_finite())
                .map(|(key, _)| key.as_str())
                .collect();
            lines.push(if broken.is_empty() {
                "all parameters are still finite: the forward pass overflowed".to_owned()
            } else {
                format!(
                    "{} parameters are not finite: {}",
                    broken.len(),
                    broken.join(", ")
                )
            });
        }
        Err(error) => lines.push(format!("parameters could not be read: {error}")),
    }
    lines.push("lower the learning rate, lengthen the warm-up, or resume from before".to_owned());
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_go_with_the_shard_of_their_frame() {
        let stage = RunConfig::nano()
            .stages
            .into_iter()
            .find(|stage| stage.input == StageInput::Peak)
            .unwrap();
        let pixels = |count: usize, each: usize| -> Vec<f32> {
            (0..count * each).map(|at| (at / each) as f32).collect()
        };
        let batch = Batch {
            frames: pixels(3, 12),
            masks: pixels(5, 4),
            owners: vec![0, 0, 1, 2, 2],
            tokens: vec![vec![1]; 5],
            frame_count: 1,
            size: 2,
            ..Batch::default()
        };
        let found: Vec<(f32, f32, Vec<usize>)> = jobs(&stage, &batch, false)
            .into_iter()
            .map(|job| match job {
                Job::Frames {
                    frames,
                    masks,
                    owners,
                } => {
                    let owners = owners.unwrap();
                    assert_eq!(masks.len(), 4 * owners.len());
                    (frames[0], masks[0], owners)
                }
                Job::Texts(_) => unreachable!("texts were encoded before"),
            })
            .collect();
        assert_eq!(found, [(0.0, 0.0, vec![0, 0, 1]), (2.0, 3.0, vec![0, 0])]);
        let alone = Batch {
            owners: Vec::new(),
            masks: pixels(3, 4),
            ..batch
        };
        let jobs = jobs(&stage, &alone, true);
        assert_eq!(jobs.len(), 3, "two shards and the texts");
        for job in &jobs[..2] {
            assert!(matches!(job, Job::Frames { frames, masks, owners: None }
                if frames.len() == 3 * masks.len()));
        }
    }
}
