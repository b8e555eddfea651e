//! The sentiment-guided loss and its gradients against float64 (`parity/generate_loss.py`).

use burn::tensor::{Device, FloatDType, Tensor};
use emotionclip::loss::{KlDirection, SentimentGuidance};
use emotionclip::model::l2_normalize;
use integration_tests::golden::{GRADIENT_ERROR, Golden, values};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    input: String,
    kl_direction: KlDirection,
    beta: f64,
}

/// Loss `[1]` and the leaves it was computed from: video, text, logit scale.
struct Computed {
    loss: Tensor<1>,
    video: Tensor<2>,
    text: Tensor<2>,
    logit_scale: Tensor<1>,
}

fn compute(golden: &Golden, case: &Case) -> Computed {
    let device = Device::flex().autodiff();
    let input = |name: &str| format!("input/{}/{name}", case.input);
    let video = golden.tensor::<2>(&input("video"), &device).require_grad();
    let text = golden.tensor::<2>(&input("text"), &device).require_grad();
    let logit_scale = golden.get(&input("logit_scale")).values[0] as f32;
    let logit_scale = Tensor::<1>::from_floats([logit_scale], &device).require_grad();
    let guidance = SentimentGuidance {
        beta: case.beta,
        direction: case.kl_direction,
    };
    let loss = guidance.loss(
        l2_normalize(video.clone()),
        l2_normalize(text.clone()),
        logit_scale.clone().exp(),
        golden.tensor::<2>(&input("sentiment"), &device),
    );
    Computed {
        loss,
        video,
        text,
        logit_scale,
    }
}

#[test]
fn loss_equals_the_equations_in_every_degenerate_case() {
    let golden = Golden::read("loss");
    for case in golden.config::<Vec<Case>>("/cases") {
        let actual = f64::from(values(compute(&golden, &case).loss)[0]);
        let expected = golden.get(&format!("expected/{}/loss", case.name)).values[0];
        // f32 rounds logits of up to 100 to 4e-6; a row's log-sum-exp and the mean add as much again.
        let tolerance = 1e-5 * expected.abs().max(1.0);
        let error = (actual - expected).abs();
        println!("{}: {actual} is {error:.1e} off", case.name);
        assert!(
            error <= tolerance,
            "{}: {actual}, not {expected}",
            case.name
        );
    }
}

#[test]
fn gradients_equal_the_equations_in_every_degenerate_case() {
    let golden = Golden::read("loss");
    for case in golden.config::<Vec<Case>>("/cases") {
        let Computed {
            loss,
            video,
            text,
            logit_scale,
        } = compute(&golden, &case);
        let gradients = loss.backward();
        let grad = |name: &str| format!("grad/{}/{name}", case.name);
        let grad_video = video
            .grad(&gradients)
            .expect("the loss depends on the videos");
        let grad_text = text
            .grad(&gradients)
            .expect("the loss depends on the texts");
        let grad_scale = logit_scale
            .grad(&gradients)
            .expect("the loss depends on the scale");
        golden.expect_close(&grad("video"), grad_video, GRADIENT_ERROR);
        golden.expect_close(&grad("text"), grad_text, GRADIENT_ERROR);
        golden.expect_close(&grad("logit_scale"), grad_scale, GRADIENT_ERROR);
    }
}

#[test]
fn half_precision_stays_finite_in_every_degenerate_case() {
    let golden = Golden::read("loss");
    let device = Device::flex().autodiff();
    for case in golden.config::<Vec<Case>>("/cases") {
        let input = |name: &str| format!("input/{}/{name}", case.input);
        let half = |name: &str| {
            let unit = l2_normalize(golden.tensor::<2>(&input(name), &device));
            unit.cast(FloatDType::F16).detach().require_grad()
        };
        let (video, text) = (half("video"), half("text"));
        let scale = (golden.get(&input("logit_scale")).values[0] as f32).exp();
        let guidance = SentimentGuidance {
            beta: case.beta,
            direction: case.kl_direction,
        };
        let loss = guidance.loss(
            video.clone(),
            text.clone(),
            Tensor::<1>::from_floats([scale], &device).cast(FloatDType::F16),
            golden.tensor::<2>(&input("sentiment"), &device),
        );
        let expected = golden.get(&format!("expected/{}/loss", case.name)).values[0];
        let actual = f64::from(values(loss.clone())[0]);
        // f16 rounds by 2^-11: the cosine, its product with the scale, the row's log-sum-exp and the
        // mean, each of the scale's size.
        let tolerance = 4.0 * f64::from(scale) * f64::from(2.0_f32.powi(-11));
        let error = (actual - expected).abs();
        println!("{}: {actual} is {error:.1e} off", case.name);
        assert!(
            error <= tolerance,
            "{}: {actual}, not {expected}",
            case.name
        );
        let gradients = loss.backward();
        for leaf in [video, text] {
            let gradient = values(leaf.grad(&gradients).expect("the loss depends on it"));
            let finite = gradient.iter().all(|value| value.is_finite());
            assert!(finite, "{}: {gradient:?}", case.name);
        }
    }
}
