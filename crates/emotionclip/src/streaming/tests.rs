use super::*;
use crate::config::{EmotionClipConfig, TemporalFusion};
use burn::tensor::Device;
use image::{Luma, Rgb};

const WINDOW: usize = 3;
const SIDE: usize = 16;

/// The engine may split a product of four frames otherwise than that of one. Sums here have at
/// most 256 terms of f32 (rounding 6e-8), whose errors grow as a random walk: 16 · 6e-8 = 1e-6,
/// over some twenty layers of unit scale 5e-6.
const TOLERANCE: f32 = 5e-6;

fn model(fusion: TemporalFusion) -> EmotionClip {
    let mut config = EmotionClipConfig::nano();
    config.vision.image_size = SIDE;
    config.vision.layers = 2;
    config.text.layers = 1;
    config.temporal.frames = WINDOW;
    config.temporal.fusion = fusion;
    config.init_seeded(3, &Device::flex()).unwrap()
}

fn stream(model: &EmotionClip, warm_up: WarmUp) -> StreamingEncoder {
    StreamingEncoder::new(model.clone(), Preprocess::square(SIDE as u32), warm_up)
}

/// Distinct frames `[n, 3, S, S]` and masks `[n, S, S]` of a subject that walks to the right.
fn frames(count: usize) -> (Tensor<4>, Tensor<3>) {
    let device = Device::flex();
    let values: Vec<f32> = (0..count * 3 * SIDE * SIDE)
        .map(|index| ((index * 7919 + index / 256 * 31) % 1009) as f32 / 504.0 - 1.0)
        .collect();
    let masks: Vec<f32> = (0..count * SIDE * SIDE)
        .map(|index| {
            let (time, column) = (index / (SIDE * SIDE), index % SIDE);
            f32::from((time..time + 6).contains(&column))
        })
        .collect();
    (
        Tensor::from_data(TensorData::new(values, [count, 3, SIDE, SIDE]), &device),
        Tensor::from_data(TensorData::new(masks, [count, SIDE, SIDE]), &device),
    )
}

fn push(
    stream: &mut StreamingEncoder,
    frames: &Tensor<4>,
    masks: &Tensor<3>,
    index: usize,
) -> Option<Tensor<2>> {
    let frame = frames.clone().narrow(0, index, 1).squeeze_dim::<3>(0);
    let mask = masks.clone().narrow(0, index, 1).squeeze_dim::<2>(0);
    stream.push(frame, mask).unwrap()
}

/// The embedding of the frames at `indices`, encoded at once.
fn at_once(
    model: &EmotionClip,
    frames: &Tensor<4>,
    masks: &Tensor<3>,
    indices: [usize; WINDOW],
) -> Vec<f32> {
    let pick = |index: usize| frames.clone().narrow(0, index, 1);
    let frames = Tensor::cat(indices.map(pick).to_vec(), 0).unsqueeze_dim::<5>(0);
    let pick = |index: usize| masks.clone().narrow(0, index, 1);
    let masks = Tensor::cat(indices.map(pick).to_vec(), 0).unsqueeze_dim::<4>(0);
    values(l2_normalize(model.encode_video(frames, masks)))
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().unwrap()
}

fn assert_close(found: Option<Tensor<2>>, expected: &[f32]) {
    let found = values(found.expect("an embedding"));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < TOLERANCE,
            "{found}, not {expected}"
        );
    }
}

#[test]
fn every_window_equals_encoding_it_at_once() {
    let (frames, masks) = frames(6);
    for fusion in [
        TemporalFusion::Transformer,
        TemporalFusion::Mean,
        TemporalFusion::Conv1d,
    ] {
        let model = model(fusion);
        let mut stream = stream(&model, WarmUp::Wait);
        for index in 0..6 {
            let embedding = push(&mut stream, &frames, &masks, index);
            if index < WINDOW - 1 {
                assert!(embedding.is_none());
            } else {
                let window = [index - 2, index - 1, index];
                assert_close(embedding, &at_once(&model, &frames, &masks, window));
            }
        }
        assert_eq!(stream.len(), WINDOW);
    }
}

#[test]
fn the_first_frame_stands_in_for_those_that_are_missing() {
    let (frames, masks) = frames(2);
    let model = model(TemporalFusion::Transformer);
    let mut stream = stream(&model, WarmUp::RepeatFirst);
    let embedding = push(&mut stream, &frames, &masks, 0);
    assert_close(embedding, &at_once(&model, &frames, &masks, [0, 0, 0]));
    let embedding = push(&mut stream, &frames, &masks, 1);
    assert_close(embedding, &at_once(&model, &frames, &masks, [0, 0, 1]));
}

#[test]
fn a_reset_forgets_everything() {
    let (frames, masks) = frames(4);
    let model = model(TemporalFusion::Transformer);
    let mut stream = stream(&model, WarmUp::RepeatFirst);
    for index in 0..3 {
        push(&mut stream, &frames, &masks, index);
    }
    stream.reset();
    assert!(stream.is_empty() && stream.embedding().is_none());
    let embedding = push(&mut stream, &frames, &masks, 3);
    assert_close(embedding, &at_once(&model, &frames, &masks, [3, 3, 3]));
}

#[test]
fn another_subject_is_as_if_it_had_been_the_subject_all_along() {
    let (frames, masks) = frames(4);
    let others = masks.clone() * -1.0 + 1.0;
    let model = model(TemporalFusion::Transformer);
    let mut stream = stream(&model, WarmUp::Wait);
    for index in 0..4 {
        push(&mut stream, &frames, &masks, index);
    }
    let before = values(stream.embedding().unwrap());
    let after = at_once(&model, &frames, &others, [1, 2, 3]);
    let moved = before
        .iter()
        .zip(&after)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(
        moved > 100.0 * TOLERANCE,
        "the subject hardly matters: {moved}"
    );
    let embedding = stream.change_subject(others.narrow(0, 1, WINDOW)).unwrap();
    assert_close(embedding, &after);
}

#[test]
fn a_picture_goes_through_the_preprocessing() {
    let model = model(TemporalFusion::Mean);
    let mut stream = stream(&model, WarmUp::RepeatFirst);
    let frame = RgbImage::from_fn(40, 30, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, 90]));
    let mask = GrayImage::from_fn(40, 30, |x, _| Luma([if x < 20 { 255 } else { 0 }]));
    let embedding = stream.push_picture(&frame, &mask).unwrap();
    let clip = Clip {
        frames: vec![frame; WINDOW],
        masks: vec![mask; WINDOW],
    };
    let prepared = Preprocess::square(SIDE as u32)
        .clip(&clip, &Crops::Centre)
        .unwrap();
    let device = Device::flex();
    let frames = TensorData::new(prepared.frames, [WINDOW, 3, SIDE, SIDE]);
    let masks = TensorData::new(prepared.masks, [WINDOW, SIDE, SIDE]);
    let frames = Tensor::from_data(frames, &device);
    let masks = Tensor::from_data(masks, &device);
    assert_close(embedding, &at_once(&model, &frames, &masks, [0, 1, 2]));
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let (frames, masks) = frames(1);
    let model = model(TemporalFusion::Mean);
    let mut stream = stream(&model, WarmUp::RepeatFirst);
    push(&mut stream, &frames, &masks, 0);

    let device = Device::flex();
    let small = Tensor::<3>::zeros([3, 8, 8], &device);
    let error = stream
        .push(small, Tensor::zeros([8, 8], &device))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the frame has the shape [3, 8, 8], the model takes [3, 16, 16]"
    );
    let error = stream
        .change_subject(Tensor::zeros([2, SIDE, SIDE], &device))
        .unwrap_err();
    assert!(
        matches!(error, StreamingError::Shape { what: "masks", .. }),
        "{error}"
    );
    let error = stream
        .push_picture(&RgbImage::new(9, 9), &GrayImage::new(9, 8))
        .unwrap_err();
    assert!(
        error.to_string().starts_with("the mask is 9x8 pixels"),
        "{error}"
    );
    assert_eq!(stream.len(), 1);
}
