//! AdamW with the release's seven groups and its schedule against PyTorch
//! (`parity/generate_optim.py`).

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor};
use emotionclip::checkpoint::{RawTensor, StateDict};
use emotionclip::config::SubjectEncoding;
use emotionclip::loss::SentimentGuidance;
use emotionclip::optim::{AdamW, AdamWConfig, GroupRates, ParameterGroup, Schedule};
use emotionclip::parameters::{Completeness, load_state_dict, parameters, to_state_dict};
use emotionclip::{EmotionClip, EmotionClipConfig};
use integration_tests::golden::{Distance, Golden, values};
use serde::Deserialize;

/// A step's rounding against what the step changed.
///
/// Weights are about 1, so f32 rounds them to 6e-8; the smallest learning rate is 0.01 and an AdamW
/// step is about as long, hence a relative error near 1e-5 after three of them.
const STEP_ERROR: f64 = 1e-4;

#[derive(Deserialize)]
struct TorchAdamW {
    beta1: f64,
    beta2: f64,
    eps: f64,
}

#[derive(Deserialize)]
struct TorchRate {
    lr: f64,
    weight_decay: f64,
}

/// The group's name in the goldens, which is that of its field in [`GroupRates`].
fn golden_name(group: ParameterGroup) -> String {
    group.name().replace('/', "_")
}

fn model(golden: &Golden, device: &Device) -> EmotionClip {
    let mut config: serde_json::Value = golden.config("/model");
    config["temporal"]["dropout"] = 0.0.into();
    let mut config: EmotionClipConfig =
        serde_json::from_value(config).expect("the goldens' dimensions are a configuration");
    let layers = golden.config("/case/saam_layers");
    config.vision.subject = SubjectEncoding::Saam { layers };
    let model = config
        .init(device)
        .expect("the goldens' configuration is valid");
    load_state_dict(model, &golden.state_dict("weights"), Completeness::Whole)
        .expect("the goldens' weights fit")
}

fn rates(golden: &Golden) -> GroupRates {
    let groups: BTreeMap<String, TorchRate> = golden.config("/groups");
    let groups: serde_json::Map<String, serde_json::Value> = groups
        .into_iter()
        .map(|(name, TorchRate { lr, weight_decay })| {
            let rate = serde_json::json!({ "learning_rate": lr, "weight_decay": weight_decay });
            (name, rate)
        })
        .collect();
    serde_json::from_value(groups.into()).expect("the goldens name our groups")
}

fn optimizer(golden: &Golden, model: &EmotionClip) -> AdamW {
    let TorchAdamW { beta1, beta2, eps } = golden.config("/adamw");
    let config = AdamWConfig {
        beta_1: beta1,
        beta_2: beta2,
        epsilon: eps,
    };
    assert_eq!(
        config,
        AdamWConfig::default(),
        "the release's constants are the default"
    );
    AdamW::new(config, model)
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

/// What changed between two sets of tensors.
fn change(before: &StateDict, after: &StateDict) -> StateDict {
    after
        .iter()
        .filter(|(_, tensor)| tensor.dtype().is_float())
        .map(|(key, after)| {
            let before = before[key].to_f32();
            let change: Vec<f32> = after
                .to_f32()
                .iter()
                .zip(before)
                .map(|(after, before)| after - before)
                .collect();
            let raw = RawTensor::from_f32(after.shape().to_vec(), &change);
            (key.clone(), raw.expect("the shape is the tensor's own"))
        })
        .collect()
}

#[test]
fn every_parameter_is_in_the_group_of_the_release() {
    let golden = Golden::read("optim");
    let expected: BTreeMap<String, String> = golden.config("/group_of");
    let actual: BTreeMap<String, String> = parameters(&model(&golden, &Device::flex()))
        .into_iter()
        .map(|info| {
            let group = ParameterGroup::of(&info.key, info.shape.len());
            (info.key, golden_name(group))
        })
        .collect();
    assert_eq!(actual, expected);
}

#[test]
fn three_steps_change_the_weights_as_torch_does() {
    let golden = Golden::read("optim");
    let mut model = model(&golden, &Device::flex().autodiff());
    let mut optimizer = optimizer(&golden, &model);
    let rates = rates(&golden);
    let start = golden.state_dict("weights");
    for step in 1..=3 {
        let gradients = golden.state_dict(&format!("grad/step{step}"));
        let wanted = load_state_dict(model.clone(), &gradients, Completeness::Whole)
            .expect("gradients have their parameters' shapes");
        let mut flat = Flat::default();
        wanted.visit(&mut flat);
        let device = model.logit_scale.val().device();
        let mut linear = LinearLoss {
            wanted: &flat.0,
            loss: Tensor::zeros([1], &device),
        };
        model.visit(&mut linear);
        let mut gradients = linear.loss.backward();
        model = optimizer
            .step(&rates, model, &mut gradients)
            .clamp_logit_scale();

        if step == 2 {
            continue;
        }
        let actual = change(
            &start,
            &to_state_dict(&model).expect("weights can be read back"),
        );
        let expected = change(&start, &golden.state_dict(&format!("expected/step{step}")));
        let mut worst = 0.0_f64;
        for (key, expected) in &expected {
            let expected: Vec<f64> = expected.to_f32().into_iter().map(f64::from).collect();
            let distance = Distance::between(&actual[key].to_f32(), &expected);
            worst = worst.max(distance.relative_l2);
            assert!(
                distance.relative_l2 <= STEP_ERROR,
                "step {step}, {key}: {distance}"
            );
        }
        println!("step {step}: worst relative L2 of a change {worst:.1e}");
    }
    let bound = values(model.logit_scale.val())[0];
    assert_eq!(
        bound, 0.0,
        "the golden's logit scale ends at its lower bound"
    );
}

#[test]
fn training_on_one_batch_loses_as_torch_does() {
    let golden = Golden::read("optim");
    let device = Device::flex().autodiff();
    let mut model = model(&golden, &device);
    let mut optimizer = optimizer(&golden, &model);
    let rates = rates(&golden);
    let guidance = SentimentGuidance {
        beta: golden.config("/beta"),
        direction: golden.config("/kl_direction"),
    };
    for (step, expected) in golden.get("expected/losses").values.iter().enumerate() {
        let pairs = model.forward(
            golden.tensor::<5>("input/frames", &device),
            golden.tensor::<4>("input/subject_mask", &device),
            golden.ids("input/tokens", &device),
        );
        let sentiment = golden.tensor::<2>("input/sentiment", &device);
        let loss = guidance.loss(pairs.video, pairs.text, model.similarity_scale(), sentiment);
        let actual = f64::from(values(loss.clone())[0]);
        println!("step {}: {actual}, torch {expected}", step + 1);
        // A gradient may be 1e-3 off, a step follows its sign and size, and there are two of them.
        assert!(
            (actual - expected).abs() <= 2e-3 * expected,
            "step {}",
            step + 1
        );
        model = optimizer
            .step(&rates, model, &mut loss.backward())
            .clamp_logit_scale();
    }
}

#[derive(Deserialize)]
struct Setting {
    steps_per_epoch: usize,
    warm_up_steps: usize,
}

#[test]
fn learning_rates_follow_the_release_over_the_whole_run() {
    let golden = Golden::read("optim_schedule");
    let epochs: usize = golden.config("/epochs");
    let bases: BTreeMap<String, f64> = golden.config("/groups");
    let bases = ParameterGroup::ALL.map(|group| bases[&golden_name(group)]);
    let settings: BTreeMap<String, Setting> = golden.config("/schedules");
    // Both sides are float64; the cosine of an angle near π costs a few digits.
    let close = |actual: f64, expected: f64| (actual - expected).abs() <= 1e-12 * expected;
    for (
        name,
        Setting {
            steps_per_epoch,
            warm_up_steps,
        },
    ) in settings
    {
        let schedule = Schedule::Release {
            epochs,
            warmup_steps: warm_up_steps,
            warmup_factor: golden.config("/warm_up_factor"),
            minimum: golden.config("/minimum"),
        };
        let total = epochs * steps_per_epoch;
        let rate =
            |base: f64, step: usize| schedule.learning_rate(base, step, steps_per_epoch, total);
        let steps = &golden.get(&format!("input/{name}/step")).values;
        let expected = &golden.get(&format!("expected/{name}/lr")).values;
        for (step, expected) in steps.iter().zip(expected.chunks(bases.len())) {
            let step = *step as usize;
            for (base, expected) in bases.iter().zip(expected) {
                let actual = rate(*base, step);
                assert!(
                    close(actual, *expected),
                    "{name}, step {step}: {actual}, not {expected}"
                );
            }
        }
        let sums = &golden.get(&format!("expected/{name}/lr_sum")).values;
        for (base, expected) in bases.iter().zip(sums) {
            let sum: f64 = (0..total).map(|step| rate(*base, step)).sum();
            assert!(
                close(sum, *expected),
                "{name}: the rates sum to {sum}, not {expected}"
            );
        }
    }
}
