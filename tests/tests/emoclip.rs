//! EmoCLIP against PyTorch (`parity/generate_emoclip.py`).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Gradients, Tensor};
use emotionclip::Clip;
use emotionclip::checkpoint::{
    CheckpointError, Dtype, RawTensor, SourceFormat, StateDict, read, to_release_keys,
    write_safetensors,
};
use emotionclip::emoclip::{
    ClipVariation, ClipWindow, Downstream, EmoClip, EmoClipConfig, TrainableTowers,
};
use emotionclip::optim::{KeyedOptimizer, Method, MultiStep, Rate, WeightDecay};
use emotionclip::parameters::{Completeness, load_state_dict, parameters, to_state_dict};
use emotionclip::preprocess::{Crops, Preprocess};
use image::RgbImage;
use integration_tests::golden::{EMBEDDING_ERROR, GRADIENT_ERROR, Golden, values};
use serde::Deserialize;

fn fresh(golden: &Golden, device: &Device) -> EmoClip {
    let config: EmoClipConfig = golden.config("/model");
    config
        .init(device)
        .expect("the goldens' configuration is valid")
}

fn model(golden: &Golden, device: &Device) -> EmoClip {
    let weights = golden.state_dict("weights");
    load_state_dict(fresh(golden, device), &weights, Completeness::Whole)
        .expect("the goldens' weights fit")
}

fn golden_bytes(file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/goldens");
    std::fs::read(folder.join(file)).expect("the goldens are part of the checkout")
}

/// The loss of the goldens' batch, its pairs compared on the way if asked for.
fn loss(golden: &Golden, model: &EmoClip, device: &Device, compare: bool) -> Tensor<1> {
    let frames = golden.tensor::<5>("input/frames", device);
    let tokens = golden.ids("input/tokens", device);
    let pairs = model.forward(frames, tokens);
    if compare {
        golden.expect_embeddings("expected/video_embedding", pairs.video.clone());
        golden.expect_embeddings("expected/text_embedding", pairs.text.clone());
        let logits = pairs.video.clone().matmul(pairs.text.clone().transpose())
            * model.similarity_scale().unsqueeze_dim::<2>(0);
        golden.expect_close("expected/logits", logits, EMBEDDING_ERROR);
    }
    model.loss(pairs)
}

#[test]
fn features_and_loss_match() {
    let golden = Golden::read("emoclip");
    let device = Device::flex();
    let model = model(&golden, &device);
    let frames = golden.tensor::<5>("input/frames", &device);
    golden.expect_embeddings("expected/video_features", model.encode_video(frames));
    let tokens = golden.ids("input/tokens", &device);
    golden.expect_embeddings("expected/text_features", model.encode_text(tokens));
    let loss = loss(&golden, &model, &device, true);
    golden.expect_close("expected/loss", loss, 1e-5);
}

#[test]
fn the_temporal_transformer_matches_on_clips_of_any_length() {
    let golden = Golden::read("emoclip");
    let device = Device::flex();
    let temporal = model(&golden, &device).temporal;
    for length in [1, 7] {
        let features = golden.tensor::<3>(&format!("input/features.{length}"), &device);
        let expected = format!("expected/temporal.{length}");
        golden.expect_embeddings(&expected, temporal.forward(features));
    }
    let longest = Tensor::zeros([1, temporal.max_frames(), 8], &device);
    assert_eq!(temporal.forward(longest).dims(), [1, 8]);
}

/// Puts each parameter's gradient in its place, so that it leaves under the checkpoint's key, and
/// notes which parameters had one.
struct GradientsAsValues {
    gradients: Gradients,
    found: Vec<ParamId>,
}

impl ModuleMapper for GradientsAsValues {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = param.val().grad(&self.gradients) else {
            return param;
        };
        self.found.push(param.id);
        param.map(|_| Tensor::from_inner(gradient))
    }
}

#[test]
fn all_gradients_match_and_only_what_is_trained_has_one() {
    let golden = Golden::read("emoclip");
    let device = Device::flex().autodiff();
    for towers in [
        TrainableTowers::Whole,
        TrainableTowers::Both,
        TrainableTowers::Visual,
        TrainableTowers::Text,
        TrainableTowers::Frozen,
    ] {
        let model = model(&golden, &device).with_trainable(towers);
        let trained: BTreeMap<String, ParamId> = parameters(&model)
            .into_iter()
            .filter(|info| towers.rate_factor(&info.key).is_some())
            .map(|info| (info.key, info.id))
            .collect();
        let loss = loss(&golden, &model, &device, false);
        let mut mapper = GradientsAsValues {
            gradients: loss.backward(),
            found: Vec::new(),
        };
        let as_values = model.map(&mut mapper);
        let ids = trained.values();
        assert!(
            ids.clone().all(|id| mapper.found.contains(id)),
            "{towers:?}"
        );
        assert_eq!(mapper.found.len(), ids.len(), "{towers:?}");

        let mut state = to_state_dict(&as_values).expect("gradients can be read back");
        state.retain(|key, _| trained.contains_key(key));
        // A frozen parameter has no gradient to compare: the reference's stands in for it.
        for (key, reference) in golden.state_dict("grad") {
            state.entry(key).or_insert(reference);
        }
        golden.expect_state("grad", &state, GRADIENT_ERROR);
    }
}

#[test]
fn a_model_writes_the_keys_and_values_it_read() {
    let golden = Golden::read("emoclip");
    let weights = golden.state_dict("weights");
    let written =
        to_state_dict(&model(&golden, &Device::flex())).expect("weights can be read back");
    assert_eq!(written, weights);
    let file = write_safetensors(&written, &BTreeMap::new());
    assert_eq!(read(file, "emoclip.safetensors").unwrap(), weights);
}

#[test]
fn a_data_parallel_file_in_mixed_precision_is_read() {
    let golden = Golden::read("emoclip");
    let name = "emoclip_data_parallel.pt";
    let state = read(golden_bytes(name), name).unwrap();
    let half = |tensor: &&RawTensor| tensor.dtype() == Dtype::F16;
    assert_eq!(state.values().filter(half).count(), 19);

    let imported = to_release_keys(state).unwrap();
    assert_eq!(imported.format, SourceFormat::Release);
    let model = fresh(&golden, &Device::flex());
    let model = load_state_dict(model, &imported.tensors, Completeness::Whole).unwrap();
    for (key, tensor) in to_state_dict(&model).unwrap() {
        let exact = &golden.state_dict("weights")[&key];
        let rounded = exact.to_f16().expect("the weights are small").into_f32();
        assert_eq!(tensor.dtype(), Dtype::F32);
        assert!(tensor == *exact || tensor == rounded, "{key}");
    }
}

#[test]
fn everything_wrong_with_a_file_is_in_one_error() {
    let golden = Golden::read("emoclip");
    let mut state = golden.state_dict("weights");
    let layer = "temporal.temporal_transformer.layers.1";
    state.remove(&format!("{layer}.1.fn.fn.net.3.bias"));
    state.insert(
        "visual_head.extra".into(),
        RawTensor::from_i64(vec![1], &[0]).unwrap(),
    );
    let short = RawTensor::from_f32(vec![1, 3, 8], &[0.0; 24]).unwrap();
    state.insert("temporal.pos_embedding".into(), short);
    let nan = RawTensor::from_f32(vec![1, 1, 8], &[f32::NAN; 8]).unwrap();
    state.insert("temporal.cls_token".into(), nan);
    let error =
        load_state_dict(fresh(&golden, &Device::flex()), &state, Completeness::Whole).unwrap_err();
    let CheckpointError::Mismatch(mismatch) = error else {
        panic!("{error}");
    };
    assert_eq!(mismatch.missing, [format!("{layer}.1.fn.fn.net.3.bias")]);
    assert_eq!(mismatch.unexpected, ["visual_head.extra"]);
    assert_eq!(mismatch.misshapen[0].name, "temporal.pos_embedding");
    assert_eq!(mismatch.non_finite, ["temporal.cls_token"]);
}

#[test]
fn the_downstream_model_matches() {
    let golden = Golden::read("emoclip");
    let device = Device::flex();
    let outputs = golden.config("/outputs");
    let mut state = golden.state_dict("head");
    for (key, tensor) in golden.state_dict("weights") {
        if let Some(rest) = key.strip_prefix("backbone.visual.") {
            state.insert(format!("backbone.{rest}"), tensor);
        } else if key.starts_with("temporal.") {
            state.insert(key, tensor);
        }
    }
    let model = Downstream::new(fresh(&golden, &device), outputs, 1);
    let model = load_state_dict(model, &state, Completeness::Whole).unwrap();
    let frames = golden.tensor::<5>("input/frames", &device);
    golden.expect_embeddings("expected/downstream", model.forward(frames));
    assert_eq!(to_state_dict(&model).unwrap(), state);
}

/// A loss whose gradient is a given one: the sum of each parameter times its wanted gradient.
struct LinearLoss<'a> {
    wanted: &'a HashMap<ParamId, Tensor<1>>,
    loss: Tensor<1>,
}

impl ModuleVisitor for LinearLoss<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let wanted = self.wanted[&param.id].clone();
        let count = wanted.dims();
        self.loss = self.loss.clone() + (param.val().reshape(count) * wanted).sum();
    }
}

/// Collects every parameter's values, flat, by identity.
#[derive(Default)]
struct Flat(HashMap<ParamId, Tensor<1>>);

impl ModuleVisitor for Flat {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val().detach();
        let count = value.dims().iter().product::<usize>();
        self.0.insert(param.id, value.reshape([count]));
    }
}

/// The goldens' gradients as those of a backward pass, times a factor.
fn scaled_gradients(golden: &Golden, model: &EmoClip, factor: f64) -> Gradients {
    let mut gradients = golden.state_dict("grad");
    let none = RawTensor::from_f32(vec![], &[0.0]).unwrap();
    gradients.insert("backbone.logit_scale".into(), none);
    let wanted = load_state_dict(model.clone(), &gradients, Completeness::Whole)
        .expect("gradients have their parameters' shapes");
    let mut flat = Flat::default();
    wanted.visit(&mut flat);
    let mut linear = LinearLoss {
        wanted: &flat.0,
        loss: Tensor::zeros([1], &model.logit_scale.val().device()),
    };
    model.visit(&mut linear);
    (linear.loss * factor).backward()
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// Compares what `step` steps changed with torch's, and that the rest is untouched.
fn expect_weights(model: &EmoClip, goldens: [&Golden; 2], method: &str, step: usize) {
    let [start, steps] = goldens;
    let actual = to_state_dict(model).expect("weights can be read back");
    let mut worst = 0.0_f64;
    let prefix = format!("expected/{method}/step{step}");
    for (key, expected) in steps.below(&prefix) {
        let before = &start.get(&format!("weights/{key}")).values;
        let after = actual[key].to_f32();
        let changes = expected.values.iter().zip(before);
        let change = norm(changes.map(|(after, before)| after - before));
        let distances = after.iter().zip(&expected.values);
        let error = norm(distances.map(|(ours, torch)| f64::from(*ours) - torch));
        // A weight is rounded once a step, and once more in the golden.
        let rounding = (step + 1) as f64
            * f64::from(f32::EPSILON / 2.0)
            * norm(expected.values.iter().copied());
        // What is beyond it is a step's own: a handful of f32 operations in its length, and their
        // cancellation where decay opposes the gradient.
        let relative = (error - rounding).max(0.0) / change;
        worst = worst.max(relative);
        assert!(change > 20.0 * rounding, "{prefix}/{key} hardly moves");
        assert!(
            relative <= 1e-4,
            "{prefix}/{key}: {relative:.1e} of the change"
        );
    }
    println!("{prefix}: worst error {worst:.1e} of the change");
    let untouched: Vec<_> = parameters(model)
        .into_iter()
        .filter(|info| TrainableTowers::Both.rate_factor(&info.key).is_none())
        .collect();
    assert_eq!(untouched.len(), 6);
    for info in untouched {
        let before = &start.state_dict("weights")[&info.key];
        assert_eq!(&actual[&info.key], before, "{}", info.key);
    }
}

#[test]
fn optimizer_steps_change_the_weights_as_torch_does_resumed_or_not() {
    let golden = Golden::read("emoclip");
    let steps = Golden::read("emoclip_optim");
    let device = Device::flex().autodiff();
    let rates: BTreeMap<String, f64> = steps.config("/rates");
    let factors: Vec<f64> = steps.config("/gradient_factors");
    let schedule: MultiStep = steps.config("/schedule");
    let towers = TrainableTowers::Both;
    let Method::Adam {
        beta_1,
        beta_2,
        epsilon,
        ..
    } = Method::adam()
    else {
        panic!("adam is Adam");
    };
    let adamw = Method::Adam {
        beta_1,
        beta_2,
        epsilon,
        decay: WeightDecay::Decoupled,
    };
    for (name, method) in [
        ("sgd", Method::sgd()),
        ("adam", Method::adam()),
        ("adamw", adamw),
    ] {
        let base = Rate {
            learning_rate: rates[name],
            weight_decay: steps.config("/weight_decay"),
        };
        let new = |model: &EmoClip| {
            KeyedOptimizer::new(method, model, |info| towers.rate(&info.key, base))
        };
        for resumes in [false, true] {
            let mut model = model(&golden, &device).with_trainable(towers);
            let mut optimizer = new(&model);
            for (index, factor) in factors.iter().enumerate() {
                if resumes {
                    let state = optimizer.state().expect("the state can be read back");
                    let file = write_safetensors(&state, &BTreeMap::new());
                    optimizer = new(&model);
                    let state = read(file, "optimizer.safetensors").unwrap();
                    optimizer.load_state(&state, &device).unwrap();
                }
                let mut gradients = scaled_gradients(&golden, &model, *factor);
                let factor = schedule.learning_rate(1.0, index);
                model = optimizer.step(factor, model, &mut gradients);
                if index != 1 {
                    expect_weights(&model, [&golden, &steps], name, index + 1);
                }
            }
        }
    }
}

#[test]
fn an_optimizer_state_of_something_else_is_refused() {
    let golden = Golden::read("emoclip");
    let device = Device::flex().autodiff();
    let model = model(&golden, &device);
    let base = Rate {
        learning_rate: 0.1,
        weight_decay: 0.0,
    };
    let new = |method, towers: TrainableTowers| {
        KeyedOptimizer::new(method, &model, |info| towers.rate(&info.key, base))
    };
    let mut sgd = new(Method::sgd(), TrainableTowers::Whole);
    let mut gradients = scaled_gradients(&golden, &model, 1.0);
    let _ = sgd.step(1.0, model.clone(), &mut gradients);
    let state = sgd.state().unwrap();

    let message = |mut optimizer: KeyedOptimizer, state: &StateDict| {
        let error = optimizer.load_state(state, &device).unwrap_err();
        assert!(matches!(error, CheckpointError::Optimizer(_)), "{error}");
        error.to_string()
    };
    let adam = message(new(Method::adam(), TrainableTowers::Whole), &state);
    assert!(adam.contains("lacks a part"), "{adam}");
    let frozen = message(new(Method::sgd(), TrainableTowers::Frozen), &state);
    assert!(
        frozen.contains("no parameter that this run trains"),
        "{frozen}"
    );

    let mut short = state.clone();
    let one = RawTensor::from_f32(vec![1], &[0.0]).unwrap();
    short.insert("temporal.cls_token#momentum".into(), one);
    let short = message(new(Method::sgd(), TrainableTowers::Whole), &short);
    assert!(
        short.contains("temporal.cls_token is of another size"),
        "{short}"
    );
    let mut broken = state;
    let nan = RawTensor::from_f32(vec![8], &[f32::NAN; 8]).unwrap();
    broken.insert("temporal.cls_token#momentum".into(), nan);
    let broken = message(new(Method::sgd(), TrainableTowers::Whole), &broken);
    assert!(
        broken.contains("temporal.cls_token is not finite"),
        "{broken}"
    );
}

#[test]
fn learning_rates_drop_where_torch_drops_them() {
    let golden = Golden::read("emoclip_optim");
    for (name, schedule) in [
        ("captions", MultiStep::captions()),
        ("supervised", MultiStep::supervised()),
    ] {
        let expected: Vec<f64> = golden.config(&format!("/learning_rates/{name}"));
        assert_eq!(expected.len(), 60);
        for (epoch, expected) in expected.into_iter().enumerate() {
            let actual = schedule.learning_rate(1e-3, epoch);
            let close = (actual - expected).abs() <= 1e-12 * expected;
            assert!(close, "{name}, epoch {epoch}: {actual}, not {expected}");
        }
    }
}

#[derive(Deserialize)]
struct Variation {
    source: Option<String>,
    angle_degrees: f64,
    flip: bool,
}

impl Variation {
    fn of_clip(&self) -> ClipVariation {
        ClipVariation {
            angle_degrees: self.angle_degrees,
            flip: self.flip,
        }
    }
}

#[test]
fn varied_frames_equal_torchvision() {
    let golden = Golden::read("emoclip_frames");
    let stride: usize = golden.config("/stride");
    let photograph = image::load_from_memory(&golden_bytes("preprocess.png"))
        .unwrap()
        .to_rgb8();
    let cases: Vec<Variation> = golden.config("/photographs");
    for (index, case) in cases.iter().enumerate() {
        let (width, height) = photograph.dimensions();
        let frame = match case.source.as_deref() {
            Some("portrait") => {
                RgbImage::from_fn(height, width, |x, y| *photograph.get_pixel(y, x))
            }
            _ => photograph.clone(),
        };
        // The frame stands twice: a clip varies as one.
        let clip = Clip::whole(vec![frame; 2]);
        let mut prepared = Preprocess::emoclip().clip(&clip, &Crops::Centre).unwrap();
        let size = prepared.size;
        case.of_clip().apply(&mut prepared.frames, size).unwrap();
        let (first, second) = prepared.frames.split_at(3 * size * size);
        assert_eq!(first, second);
        let expected = &golden.get(&format!("expected/photograph/{index}")).values;
        let ours = first.iter().step_by(stride);
        assert_eq!(ours.len(), expected.len());
        // The bound of interpolated frames in `preprocess.rs`; a pixel taken from a neighbour's
        // place would be off by far more.
        for (ours, expected) in ours.zip(expected) {
            assert!(
                (f64::from(*ours) - expected).abs() <= 1e-3,
                "{ours}, not {expected}"
            );
        }
    }
}

#[test]
fn each_pixel_comes_from_where_torchvision_takes_it() {
    let golden = Golden::read("emoclip_frames");
    let size: usize = golden.config("/size");
    let cases: Vec<Variation> = golden.config("/planes");
    for (index, case) in cases.iter().enumerate() {
        let plane: Vec<f32> = (1..=size * size).map(|place| place as f32).collect();
        let mut frame = plane.repeat(3);
        case.of_clip().apply(&mut frame, size).unwrap();
        let expected = &golden.get(&format!("expected/plane/{index}")).values;
        let ours: Vec<f64> = frame[..size * size]
            .iter()
            .copied()
            .map(f64::from)
            .collect();
        assert_eq!(&ours, expected, "{} degrees", case.angle_degrees);
    }
}

#[derive(Deserialize)]
struct WindowCase {
    count: usize,
    downsample: usize,
    start: usize,
    indices: Vec<usize>,
}

#[test]
fn windows_are_those_of_the_release() {
    let golden = Golden::read("emoclip");
    for case in golden.config::<Vec<WindowCase>>("/windows") {
        let window = ClipWindow::release(case.downsample);
        let indices = window.indices(case.count, |_| case.start).unwrap();
        assert_eq!(
            indices, case.indices,
            "{} frames from {}",
            case.count, case.start
        );
    }
}

#[test]
fn training_on_one_batch_learns_it_and_leaves_the_towers_alone() {
    let golden = Golden::read("emoclip");
    let device = Device::flex().autodiff();
    let mut model = model(&golden, &device).with_trainable(TrainableTowers::Frozen);
    let base = Rate {
        learning_rate: 2e-2,
        weight_decay: 5e-4,
    };
    let mut optimizer = KeyedOptimizer::new(Method::adam(), &model, |info| {
        TrainableTowers::Frozen.rate(&info.key, base)
    });
    let before = to_state_dict(&model).unwrap();
    let mut losses = Vec::new();
    for _ in 0..60 {
        let loss = loss(&golden, &model, &device, false);
        losses.push(values(loss.clone())[0]);
        model = optimizer.step(1.0, model, &mut loss.backward());
    }
    assert!(losses[59] < 0.5 * losses[0], "{losses:?}");
    for (key, after) in to_state_dict(&model).unwrap() {
        assert_eq!(after == before[&key], key.starts_with("backbone."), "{key}");
    }
}
