//! A training step of the whole model: forward, backward, optimizer.

use burn::tensor::{Int, Tensor, TensorData};
use emotionclip::loss::SentimentGuidance;
use emotionclip::optim::{AdamW, AdamWConfig, GroupRates};
use serde::Serialize;

use super::Bench;
use super::measure::{Timing, random, time};

/// A step's time, whole and without the backward pass and the optimizer.
#[derive(Serialize)]
pub struct TrainTimes {
    #[serde(flatten)]
    step: Timing,
    clips_s: f64,
    forward: Timing,
    /// Share of the forward pass in a step.
    forward_share: f64,
}

impl Bench {
    /// Times steps on one batch of random clips and texts.
    pub fn train(&self) -> anyhow::Result<TrainTimes> {
        let device = self.device.clone().autodiff();
        let config = &self.config;
        let (time_steps, side) = (config.temporal.frames, config.vision.image_size);
        let frames = random([self.batch, time_steps, 3, side, side], &device);
        let masks = random([self.batch, time_steps, side, side], &device).abs();
        let length = config.text.context_length;
        let ids: Vec<i32> = (0..self.batch * length)
            .map(|index| (index * 7919 % config.text.vocab_size) as i32)
            .collect();
        let ids = TensorData::new(ids, [self.batch, length]);
        let tokens = Tensor::<2, Int>::from_data(ids, &device);
        let sentiment = random([self.batch, 7], &device);
        let guidance = SentimentGuidance::default();
        let mut model = config.init(&device)?;
        let mut optimizer = AdamW::new(AdamWConfig::default(), &model);
        let rates = GroupRates::uniform(1e-4, 0.1);
        let loss_of = |model: &emotionclip::EmotionClip| {
            let pairs = model.forward(frames.clone(), masks.clone(), tokens.clone());
            let scale = model.similarity_scale();
            guidance.loss(pairs.video, pairs.text, scale, sentiment.clone())
        };
        let forward = time(&device, self.repeats, || loss_of(&model))?;
        let step = time(&device, self.repeats, || {
            let mut gradients = loss_of(&model).backward();
            model = optimizer
                .step(&rates, model.clone(), &mut gradients)
                .clamp_logit_scale();
        })?;
        Ok(TrainTimes {
            step,
            clips_s: 1e3 * self.batch as f64 / step.median_ms,
            forward,
            forward_share: forward.median_ms / step.median_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use emotionclip::EmotionClipConfig;

    #[test]
    fn a_step_is_timed_with_its_forward_pass() {
        let bench = Bench {
            device: Device::flex(),
            config: EmotionClipConfig::nano(),
            batch: 2,
            repeats: 1,
        };
        let times = bench.train().unwrap();
        // On a busy machine one forward pass may take longer than one whole step.
        assert!(times.forward_share > 0.0 && times.forward_share.is_finite());
        assert!(times.clips_s > 0.0);
    }
}
