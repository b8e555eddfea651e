//! The models with the hand-written kernels against the same models by tensor operations.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should stop right there"
)]

use burn::tensor::{Device, Tensor, TensorData};
use emotionclip::config::{SubjectEncoding, TextConfig};
use emotionclip::loss::SentimentGuidance;
use emotionclip::optim::{AdamW, AdamWConfig, GroupRates};
use emotionclip::{EmotionClip, EmotionClipConfig};
use emotionclip_kernels::check::numbers;

const BATCH: usize = 4;

/// `nano` on short clips of small pictures, because the adapter may be a software one, and without
/// dropout, for which devices draw different numbers.
fn config(subject: SubjectEncoding) -> EmotionClipConfig {
    let mut config = EmotionClipConfig::nano();
    config.vision.image_size = 16;
    config.temporal.frames = 2;
    config.text.context_length = 12;
    config.vision.subject = subject;
    config.temporal.dropout = 0.0;
    config
}

struct Inputs {
    frames: Tensor<5>,
    masks: Tensor<4>,
    tokens: Tensor<2, burn::tensor::Int>,
    sentiment: Tensor<2>,
}

fn inputs(config: &EmotionClipConfig, device: &Device) -> Inputs {
    let (time, side) = (config.temporal.frames, config.vision.image_size);
    let TextConfig { context_length, .. } = config.text;
    let frames = numbers(BATCH * time * 3 * side * side, 1);
    // The subject stands left, in each clip a little wider, in the first not at all.
    let masks: Vec<f32> = (0..BATCH * time * side * side)
        .map(|index| f32::from(index % side < index / (time * side * side) * 5))
        .collect();
    let tokens: Vec<i32> = (0..BATCH * context_length)
        .map(|index| (index * 7919 % 400) as i32)
        .collect();
    Inputs {
        frames: Tensor::from_data(
            TensorData::new(frames, [BATCH, time, 3, side, side]),
            device,
        ),
        masks: Tensor::from_data(TensorData::new(masks, [BATCH, time, side, side]), device),
        tokens: Tensor::from_data(TensorData::new(tokens, [BATCH, context_length]), device),
        // As far apart as different moods: close ones would take each other out of the loss.
        sentiment: Tensor::from_data(TensorData::new(numbers(BATCH * 7, 2), [BATCH, 7]), device)
            * 8.0,
    }
}

fn model(config: &EmotionClipConfig, device: &Device) -> EmotionClip {
    config
        .init_seeded(3, device)
        .expect("a valid configuration")
}

/// The loss of each step.
fn train(config: &EmotionClipConfig, device: &Device, steps: usize) -> Vec<f32> {
    let device = device.clone().autodiff();
    let mut model = model(config, &device);
    let inputs = inputs(config, &device);
    let mut optimizer = AdamW::new(AdamWConfig::default(), &model);
    let rates = GroupRates::uniform(3e-4, 0.1);
    let guidance = SentimentGuidance {
        beta: 1.0,
        ..SentimentGuidance::default()
    };
    (0..steps)
        .map(|_| {
            let pairs = model.forward(
                inputs.frames.clone(),
                inputs.masks.clone(),
                inputs.tokens.clone(),
            );
            let loss = guidance.loss(
                pairs.video,
                pairs.text,
                model.similarity_scale(),
                inputs.sentiment.clone(),
            );
            let mut gradients = loss.backward();
            model = optimizer
                .step(&rates, model.clone(), &mut gradients)
                .clamp_logit_scale();
            loss.try_into_scalar::<f32>().expect("one number")
        })
        .collect()
}

mod needs_wgsl {
    use super::*;

    fn adapter() -> Device {
        let device = Device::wgpu(Default::default());
        let kernels = emotionclip_kernels::Kernels::of(&device);
        assert!(kernels.is_some(), "the adapter runs WGSL");
        device
    }

    #[test]
    fn encoders_give_the_same_features_with_kernels() {
        let (adapter, cpu) = (adapter(), Device::flex());
        for subject in [
            SubjectEncoding::Vanilla,
            SubjectEncoding::Sap,
            SubjectEncoding::Saam { layers: 1 },
        ] {
            let config = config(subject);
            let encode = |device: &Device| {
                let Inputs {
                    frames,
                    masks,
                    tokens,
                    ..
                } = inputs(&config, device);
                let pairs = model(&config, device).forward(frames, masks, tokens);
                Tensor::cat(vec![pairs.video, pairs.text], 0)
            };
            let vectors = |device: &Device| {
                let data = encode(device).into_data();
                data.try_to_vec::<f32>().expect("f32 on the host")
            };
            let (actual, wanted) = (vectors(&adapter), vectors(&cpu));
            let square = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
            let apart: Vec<f32> = actual.iter().zip(&wanted).map(|(a, w)| a - w).collect();
            let relative = (square(&apart) / square(&wanted)).sqrt();
            // The project's bound for embeddings in f32.
            assert!(relative <= 1e-4, "{subject:?}: {relative:e}");
        }
    }

    #[test]
    fn fifty_steps_of_nano_give_the_same_losses_with_kernels() {
        // SAAM in the first layer, plain attention in the second, causal in the text encoder.
        let config = config(SubjectEncoding::Saam { layers: 1 });
        let actual = train(&config, &adapter(), 50);
        let wanted = train(&config, &Device::flex(), 50);
        let first = wanted[0];
        assert!(
            wanted[49] < 0.8 * first,
            "it learns: {first} to {}",
            wanted[49]
        );
        for (step, (actual, wanted)) in actual.iter().zip(&wanted).enumerate() {
            // The tensor operations differentiate GELU by its tanh approximation, whose slope is off
            // by up to 1e-3; the optimizer moves each weight by its rate whatever the gradient's
            // size, so the curves part by about that much of what has been learned.
            let allowed = 1e-4 * wanted + 1e-2 * (first - wanted).abs();
            assert!(
                (actual - wanted).abs() <= allowed,
                "step {step}: {actual}, {wanted}"
            );
        }
    }
}
