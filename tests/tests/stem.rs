//! The convolutional stem: normalised by the batch while it learns, by running statistics afterwards,
//! and by nothing once it is folded.

use std::collections::BTreeMap;

use burn::tensor::{Device, Distribution, Tensor};
use emotionclip::checkpoint::{RawTensor, StateDict};
use emotionclip::config::{PatchStem, StemNorm};
use emotionclip::parameters::{Completeness, load_state_dict, to_state_dict};
use emotionclip::preprocess::Preprocess;
use emotionclip::{EmotionClip, EmotionClipConfig, Pretrained};
use integration_tests::golden::EMBEDDING_ERROR;

/// Steps after which 0.9^steps, the share of the first statistics, is far below an f32's half unit.
const SETTLED: usize = 400;

fn normalised(device: &Device) -> EmotionClip {
    let mut config = EmotionClipConfig::nano();
    config.vision.stem = PatchStem::Convolution {
        layers: vec![[8, 2], [16, 2], [16, 1]],
        norm: StemNorm::Batch,
    };
    config.init(device).unwrap()
}

fn batch(frames: usize, device: &Device) -> (Tensor<4>, Tensor<3>) {
    let pictures = Tensor::random([frames, 3, 64, 64], Distribution::Normal(0.5, 1.0), device);
    let masks = Tensor::random([frames, 64, 64], Distribution::Bernoulli(0.5), device);
    (pictures, masks)
}

fn relative_difference(a: Tensor<2>, b: Tensor<2>) -> f64 {
    let norm = |tensor: Tensor<2>| f64::from(tensor.square().sum().sqrt().into_scalar::<f32>());
    norm(a - b.clone()) / norm(b)
}

fn values(tensors: &StateDict, key: &str) -> Vec<f32> {
    tensors[&format!("backbone.visual.stem.{key}")].to_f32()
}

/// A model whose normalisation does something: gains, shifts and statistics all differ from 1 and 0.
fn with_settled_statistics(device: &Device) -> EmotionClip {
    let model = normalised(device);
    let mut tensors = to_state_dict(&model).unwrap();
    let drawn: BTreeMap<String, (f32, f32)> = [
        ("weight", (0.5, 0.25)),
        ("bias", (-0.3, 0.2)),
        ("running_mean", (-0.4, 0.15)),
        ("running_var", (0.3, 0.4)),
    ]
    .map(|(name, range)| (format!(".norm.{name}"), range))
    .into();
    for (key, tensor) in &mut tensors {
        let drawn = drawn.iter().find(|(name, _)| key.ends_with(name.as_str()));
        if let Some((_, (first, step))) = drawn {
            let shape = tensor.shape().to_vec();
            let values: Vec<f32> = (0..tensor.len())
                .map(|index| first + step * (index % 7) as f32)
                .collect();
            *tensor = RawTensor::from_f32(shape, &values).unwrap();
        }
    }
    load_state_dict(model, &tensors, Completeness::Whole).unwrap()
}

#[test]
fn folding_keeps_the_function_and_removes_the_normalisation() {
    let device = Device::flex();
    let model = with_settled_statistics(&device);
    let (frames, masks) = batch(3, &device);
    let before = model.visual.forward(frames.clone(), masks.clone());
    let preprocess = Preprocess::default();
    let folded = Pretrained::new(model, preprocess)
        .unwrap()
        .folded()
        .unwrap();
    // Both compute the same in f32, each this far from the exact value at most.
    let difference = relative_difference(folded.model.visual.forward(frames, masks), before);
    assert!(difference <= 2.0 * EMBEDDING_ERROR, "{difference:e}");
    let keys = to_state_dict(&folded.model).unwrap();
    assert!(
        keys.keys()
            .all(|key| !(key.contains(".stem.") && key.contains(".norm.")))
    );
    let text = stem_of(folded.model.config());
    assert!(!text.contains("norm"), "{text}");
}

fn stem_of(config: &EmotionClipConfig) -> String {
    serde_json::to_string(&config.vision.stem).unwrap()
}

#[test]
fn running_statistics_become_those_of_the_batches() {
    let device = Device::flex();
    let mut model = normalised(&device);
    let (frames, masks) = batch(4, &device);
    let (trained, seen) = model
        .visual
        .forward_training(frames.clone(), masks.clone(), None);
    let untrained = model.visual.forward(frames.clone(), masks.clone());
    assert!(relative_difference(untrained, trained.clone()) > 0.01);
    for _ in 0..SETTLED {
        model.visual = model.visual.follow(std::slice::from_ref(&seen));
    }
    let settled = model.visual.forward(frames, masks);
    let difference = relative_difference(settled, trained);
    assert!(difference <= 2.0 * EMBEDDING_ERROR, "{difference:e}");
}

#[test]
fn parts_of_a_batch_count_alike_and_the_old_statistics_nine_tenths() {
    let device = Device::flex();
    let model = normalised(&device);
    let parts: Vec<_> = [2, 2]
        .map(|frames| {
            let (frames, masks) = batch(frames, &device);
            model.visual.forward_training(frames, masks, None).1
        })
        .into();
    let one = |parts: &[_]| {
        let mut model = model.clone();
        model.visual = model.visual.follow(parts);
        to_state_dict(&model).unwrap()
    };
    let (first, second, both) = (one(&parts[..1]), one(&parts[1..]), one(&parts));
    for (key, start) in [("0.norm.running_mean", 0.0), ("2.norm.running_var", 1.0)] {
        let (first, second) = (values(&first, key), values(&second, key));
        for ((first, second), both) in first.iter().zip(second).zip(values(&both, key)) {
            assert_ne!(*first, start * 0.9, "{key}: the batch has a share");
            // Three sums and products of f32 around 1: half a unit each.
            let mean = (first + second) / 2.0;
            assert!(
                (mean - both).abs() <= 4.0 * f32::EPSILON * both.abs().max(1.0),
                "{key}"
            );
        }
    }
}

#[test]
fn several_masks_on_a_frame_give_what_each_gives_alone() {
    let device = Device::flex();
    let model = with_settled_statistics(&device);
    let (frames, _) = batch(2, &device);
    let masks = batch(5, &device).1;
    let owners = [0, 0, 1, 1, 1];
    let shared = model
        .visual
        .forward_shared(frames.clone(), masks.clone(), Some(&owners));
    let repeated = owners
        .iter()
        .map(|owner| frames.clone().narrow(0, *owner, 1))
        .collect();
    let alone = model.visual.forward(Tensor::cat(repeated, 0), masks);
    // Both compute the same in f32, each this far from the exact value at most.
    let difference = relative_difference(shared, alone);
    assert!(difference <= 2.0 * EMBEDDING_ERROR, "{difference:e}");
}
