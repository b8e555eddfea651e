//! One optimisation step, and what is said when it fails.

use burn::tensor::{Device, Tensor, TensorData};
use emotionclip::EmotionClip;
use emotionclip::model::l2_normalize;
use emotionclip::optim::{AdamW, GroupRates, ParameterGroup};
use emotionclip::parameters::to_state_dict;
use emotionclip::pretrained::token_tensor;

use super::batch::Batch;
use super::config::{RunConfig, Stage, StageInput};

/// A batch on the device.
struct DeviceBatch {
    frames: Tensor<5>,
    masks: Tensor<4>,
}

impl DeviceBatch {
    fn new(batch: Batch, device: &Device) -> Self {
        let (count, time, size) = (batch.tokens.len(), batch.frame_count, batch.size);
        let frames = TensorData::new(batch.frames, [count, time, 3, size, size]);
        let masks = TensorData::new(batch.masks, [count, time, size, size]);
        Self {
            frames: Tensor::from_data(frames, device),
            masks: Tensor::from_data(masks, device),
        }
    }
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
pub fn train_step(
    config: &RunConfig,
    stage: &Stage,
    rates: &GroupRates,
    model: EmotionClip,
    optimizer: &mut AdamW,
    batch: Batch,
    device: &Device,
) -> (EmotionClip, f64) {
    let tokens = token_tensor(&batch.tokens, device);
    let count = batch.tokens.len();
    let sentiment = Tensor::from_data(TensorData::new(batch.sentiment.clone(), [count, 7]), device);
    let video = match stage.input {
        StageInput::Utterances => model.encode_text(token_tensor(&batch.partners, device)),
        StageInput::Clip => {
            let inputs = DeviceBatch::new(batch, device);
            model.encode_video(inputs.frames, inputs.masks)
        }
        StageInput::Peak => {
            let inputs = DeviceBatch::new(batch, device);
            let [count, _, channels, height, width] = inputs.frames.dims();
            model.encode_frames(
                inputs.frames.reshape([count, channels, height, width]),
                inputs.masks.reshape([count, height, width]),
            )
        }
    };
    let text = l2_normalize(model.encode_text(tokens));
    let loss = config.loss.loss(
        l2_normalize(video),
        text,
        model.similarity_scale(),
        sentiment,
    );
    let mut gradients = loss.backward();
    let value = loss.inner().into_scalar::<f32>();
    if !value.is_finite() {
        return (model, f64::from(value));
    }
    let model = optimizer
        .step(rates, model, &mut gradients)
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
