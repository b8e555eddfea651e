//! One optimisation step, and what is said when it fails.

use burn::module::Module as _;
use burn::tensor::{Device, Tensor, TensorData};
use emotionclip::EmotionClip;
use emotionclip::model::l2_normalize;
use emotionclip::optim::{AdamW, GroupRates, ParameterGradients, ParameterGroup};
use emotionclip::parameters::to_state_dict;
use emotionclip::pretrained::token_tensor;
use emotionclip::vision::VisionTransformer;

use super::batch::Batch;
use super::config::{RunConfig, Stage, StageInput};

/// Threads that encode frames side by side. A constant, not the number of cores: gradients are
/// summed in the order of the shards, so a run gives the same numbers on any machine. Burn's CPU
/// engine keeps little more than one core busy at the sizes of `nano`.
const SHARDS: usize = 2;

/// A shard's encoder, a copy with a graph of its own, and its features with that graph.
struct Shard {
    encoder: VisionTransformer,
    features: Tensor<2>,
}

/// Encodes a batch's frames in shards.
fn encode_frames(model: &EmotionClip, batch: &Batch, device: &Device) -> Vec<Shard> {
    let size = batch.size;
    let count = batch.tokens.len() * batch.frame_count;
    let per_shard = count.div_ceil(SHARDS).max(1);
    let (frame, mask) = (3 * size * size, size * size);
    let encode = |frames: &[f32], masks: &[f32]| {
        let rows = masks.len() / mask;
        let encoder = model.visual.clone().fork(device);
        let frames = TensorData::new(frames.to_vec(), [rows, 3, size, size]);
        let masks = TensorData::new(masks.to_vec(), [rows, size, size]);
        let features = encoder.forward(
            Tensor::from_data(frames, device),
            Tensor::from_data(masks, device),
        );
        Shard { encoder, features }
    };
    let frames = batch.frames.chunks(per_shard * frame);
    let masks = batch.masks.chunks(per_shard * mask);
    in_parallel(frames.zip(masks), |(frames, masks)| encode(frames, masks))
}

/// Carries the gradient of the features back to the encoder's parameters, shard by shard.
fn backward_frames(shards: Vec<Shard>, gradient: Tensor<2>) -> ParameterGradients {
    let mut start = 0;
    let parts = shards.into_iter().map(|shard| {
        let [rows, _] = shard.features.dims();
        start += rows;
        (shard, gradient.clone().narrow(0, start - rows, rows))
    });
    let parts: Vec<_> = parts.collect();
    let gradients = in_parallel(parts.into_iter(), |(shard, gradient)| {
        let projected = shard.features * Tensor::from_inner(gradient);
        ParameterGradients::take(&mut projected.sum().backward(), &shard.encoder)
    });
    let mut sum = ParameterGradients::default();
    for part in gradients {
        sum.add(part);
    }
    sum
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

/// Runs one step and gives the updated model and the loss.
///
/// The frame encoder works in shards: forward on threads, the loss on the joined features, and
/// their gradient back through each shard's graph. The result is the gradient of the whole batch.
pub fn train_step(
    config: &RunConfig,
    stage: &Stage,
    rates: &GroupRates,
    model: EmotionClip,
    optimizer: &mut AdamW,
    batch: &Batch,
    device: &Device,
) -> (EmotionClip, f64) {
    let count = batch.tokens.len();
    let sentiment = TensorData::new(batch.sentiment.clone(), [count, 7]);
    let sentiment = Tensor::from_data(sentiment, device);
    let shards = match stage.input {
        StageInput::Utterances => Vec::new(),
        StageInput::Peak | StageInput::Clip => encode_frames(&model, batch, device),
    };
    let features = (!shards.is_empty()).then(|| {
        let parts = shards
            .iter()
            .map(|shard| shard.features.clone().inner())
            .collect();
        Tensor::from_inner(Tensor::cat(parts, 0)).require_grad()
    });
    let video = match &features {
        None => model.encode_text(token_tensor(&batch.partners, device)),
        Some(features) if stage.input == StageInput::Peak => features.clone(),
        Some(features) => {
            let [_, width] = features.dims();
            model
                .temporal
                .forward(features.clone().reshape([count, batch.frame_count, width]))
        }
    };
    let tokens = token_tensor(&batch.tokens, device);
    let text = if stage.freeze_text {
        Tensor::from_inner(model.text.valid().forward(tokens.inner()))
    } else {
        model.encode_text(tokens)
    };
    let scale = model.similarity_scale();
    let loss = config
        .loss
        .loss(l2_normalize(video), l2_normalize(text), scale, sentiment);
    let mut graph = loss.backward();
    let value = loss.inner().into_scalar::<f32>();
    if !value.is_finite() {
        return (model, f64::from(value));
    }
    let mut gradients = ParameterGradients::take(&mut graph, &model);
    let trained = shards
        .first()
        .is_some_and(|shard| shard.features.is_tracked());
    if let Some(gradient) = features
        .filter(|_| trained)
        .and_then(|f| f.grad_remove(&mut graph))
    {
        gradients.add(backward_frames(shards, gradient));
    }
    let model = optimizer
        .step_with(rates, model, gradients)
        .clamp_logit_scale();
    (model, f64::from(value))
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
