//! Every encoder, variant and gradient of the model against float64 (`parity/generate_model.py`).

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Gradients, Tensor};
use emotionclip::checkpoint::{StateDict, resize_positional_embedding};
use emotionclip::config::{Activation, SapWeight, SubjectEncoding, TemporalFusion};
use emotionclip::loss::SentimentGuidance;
use emotionclip::parameters::{Completeness, load_state_dict, to_state_dict};
use emotionclip::{EmotionClip, EmotionClipConfig};
use integration_tests::golden::{EMBEDDING_ERROR, GRADIENT_ERROR, Golden};

fn small_config(golden: &Golden) -> EmotionClipConfig {
    let mut config: serde_json::Value = golden.config("/model");
    // Parity is of the function, not of the noise.
    config["temporal"]["dropout"] = 0.0.into();
    serde_json::from_value(config).expect("the goldens' dimensions are a configuration")
}

fn load(config: &EmotionClipConfig, weights: &StateDict, device: &Device) -> EmotionClip {
    let model = config
        .init(device)
        .expect("the goldens' configuration is valid");
    load_state_dict(model, weights, Completeness::Whole).expect("the goldens' weights fit")
}

/// The SAP model of `model.safetensors` with changed options.
fn sap_model(
    golden: &Golden,
    device: &Device,
    change: impl FnOnce(&mut EmotionClipConfig),
) -> EmotionClip {
    let mut config = small_config(golden);
    change(&mut config);
    load(&config, &golden.state_dict("weights"), device)
}

/// The SAAM model: the SAP model's weights and what `model_saam.safetensors` adds.
fn saam_model(golden: &Golden, saam: &Golden, layers: usize, device: &Device) -> EmotionClip {
    let mut config = small_config(golden);
    config.vision.subject = SubjectEncoding::Saam { layers };
    let mut weights = golden.state_dict("weights");
    weights.extend(saam.state_dict("weights"));
    for layer in layers..config.vision.layers {
        weights.remove(&format!("backbone.visual.saam.{layer}.a"));
    }
    load(&config, &weights, device)
}

/// The batch's frames as single images `[N, 3, S, S]` with masks `[N, S, S]`.
fn images(golden: &Golden, device: &Device) -> (Tensor<4>, Tensor<3>) {
    let frames = golden.tensor::<5>("input/frames", device);
    let masks = golden.tensor::<4>("input/subject_mask", device);
    (frames.flatten::<4>(0, 1), masks.flatten::<3>(0, 1))
}

/// Runs a batch and compares everything a training step computes; gives the loss.
fn expect_forward(golden: &Golden, inputs: &Golden, case: &str, model: &EmotionClip) -> Tensor<1> {
    let device = model.logit_scale.val().device();
    let frames = inputs.tensor::<5>("input/frames", &device);
    let masks = inputs.tensor::<4>("input/subject_mask", &device);
    let [videos, ..] = frames.dims();
    let tokens = inputs.ids("input/tokens", &device).narrow(0, 0, videos);
    let expected = |name: &str| format!("expected/{case}/{name}");

    let video_features = model.encode_video(frames.clone(), masks.clone());
    golden.expect_embeddings(&expected("video_features"), video_features);
    let text_features = model.encode_text(tokens.clone());
    golden.expect_embeddings(&expected("text_features"), text_features);
    let pairs = model.forward(frames, masks, tokens);
    golden.expect_embeddings(&expected("video_embedding"), pairs.video.clone());
    golden.expect_embeddings(&expected("text_embedding"), pairs.text.clone());
    let scale = model.similarity_scale();
    let logits = pairs.video.clone().matmul(pairs.text.clone().transpose())
        * scale.clone().unsqueeze_dim::<2>(0);
    golden.expect_close(&expected("logits"), logits, EMBEDDING_ERROR);

    let guidance = SentimentGuidance {
        beta: golden.config("/beta"),
        direction: golden.config("/kl_direction"),
    };
    let sentiment = inputs.tensor::<2>("input/sentiment", &device);
    let loss = guidance.loss(pairs.video, pairs.text, scale, sentiment);
    golden.expect_close(&expected("loss"), loss.clone(), EMBEDDING_ERROR);
    loss
}

/// Puts each parameter's gradient in its place, so that it leaves under the checkpoint's key.
struct GradientsAsValues(Gradients);

impl ModuleMapper for GradientsAsValues {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let gradient = param.val().grad(&self.0);
        let gradient = gradient.expect("every parameter takes part in the loss");
        param.map(|_| Tensor::from_inner(gradient))
    }
}

fn gradients(model: EmotionClip, loss: &Tensor<1>) -> StateDict {
    let as_values = model.map(&mut GradientsAsValues(loss.backward()));
    to_state_dict(&as_values).expect("gradients can be read back")
}

#[test]
fn frame_features_match_for_every_subject_encoding_and_activation() {
    let golden = Golden::read("model");
    let device = Device::flex();
    let cases: [(&str, SubjectEncoding, SapWeight, Activation); 4] = [
        (
            "vanilla",
            SubjectEncoding::Vanilla,
            SapWeight::Coverage,
            Activation::Gelu,
        ),
        (
            "sap_coverage",
            SubjectEncoding::Sap,
            SapWeight::Coverage,
            Activation::Gelu,
        ),
        (
            "sap_indicator",
            SubjectEncoding::Sap,
            SapWeight::Indicator,
            Activation::Gelu,
        ),
        (
            "sap_coverage_quick_gelu",
            SubjectEncoding::Sap,
            SapWeight::Coverage,
            Activation::QuickGelu,
        ),
    ];
    for (name, subject, sap_weight, activation) in cases {
        let model = sap_model(&golden, &device, |config| {
            config.vision.subject = subject;
            config.vision.sap_weight = sap_weight;
            config.activation = activation;
        });
        let (frames, masks) = images(&golden, &device);
        let features = model.encode_frames(frames, masks);
        golden.expect_embeddings(&format!("expected/{name}/frame_features"), features);
    }
}

#[test]
fn attention_maps_match_in_every_layer() {
    let golden = Golden::read("model");
    let device = Device::flex();
    let model = sap_model(&golden, &device, |_| {});
    let (frames, masks) = images(&golden, &device);
    let encoding = model.visual.forward_with_maps(frames, masks);
    golden.expect_embeddings("expected/sap_coverage/frame_features", encoding.features);
    let images = golden.config("/attention_images");
    assert_eq!(encoding.maps.len(), model.config().vision.layers);
    for (layer, map) in encoding.maps.into_iter().enumerate() {
        let name = format!("expected/sap_coverage/attention.{layer}");
        golden.expect_close(&name, map.narrow(0, 0, images), EMBEDDING_ERROR);
    }
}

#[test]
fn text_features_match_wherever_the_end_of_text_stands() {
    let golden = Golden::read("model");
    let device = Device::flex();
    for (name, activation) in [
        ("gelu", Activation::Gelu),
        ("quick_gelu", Activation::QuickGelu),
    ] {
        let model = sap_model(&golden, &device, |config| config.activation = activation);
        let features = model.encode_text(golden.ids("input/tokens", &device));
        golden.expect_embeddings(&format!("expected/{name}/text_features"), features);
    }
}

#[test]
fn forward_pass_and_all_gradients_match_with_prompting() {
    let golden = Golden::read("model");
    let model = sap_model(&golden, &Device::flex().autodiff(), |_| {});
    let loss = expect_forward(&golden, &golden, "sap_coverage", &model);
    golden.expect_state("grad", &gradients(model, &loss), GRADIENT_ERROR);
}

#[test]
fn frame_features_and_maps_match_with_attention_masking() {
    let (golden, saam) = (Golden::read("model"), Golden::read("model_saam"));
    let device = Device::flex();
    for layers in [1, 2] {
        let model = saam_model(&golden, &saam, layers, &device);
        let (frames, masks) = images(&golden, &device);
        let encoding = model.visual.forward_with_maps(frames, masks);
        let case = format!("expected/saam_{layers}");
        saam.expect_embeddings(&format!("{case}/frame_features"), encoding.features);
        let images = saam.config("/attention_images");
        for (layer, map) in encoding.maps.into_iter().enumerate() {
            let name = format!("{case}/effective_attention.{layer}");
            saam.expect_close(&name, map.narrow(0, 0, images), EMBEDDING_ERROR);
        }
    }
}

#[test]
fn forward_pass_and_all_gradients_match_with_attention_masking() {
    let (golden, saam) = (Golden::read("model"), Golden::read("model_saam"));
    let device = Device::flex().autodiff();
    let model = saam_model(&golden, &saam, 1, &device);
    expect_forward(&saam, &golden, "saam_1", &model);
    let model = saam_model(&golden, &saam, 2, &device);
    let loss = expect_forward(&saam, &golden, "saam_2", &model);
    saam.expect_state("grad", &gradients(model, &loss), GRADIENT_ERROR);
}

#[test]
fn every_temporal_encoder_matches() {
    let (golden, temporal) = (Golden::read("model"), Golden::read("model_temporal"));
    let device = Device::flex();
    let cases = [
        ("transformer", TemporalFusion::Transformer),
        ("mean", TemporalFusion::Mean),
        ("conv1d", TemporalFusion::Conv1d),
    ];
    for (name, fusion) in cases {
        let mut config = small_config(&golden);
        config.temporal.fusion = fusion;
        let mut weights = golden.state_dict("weights");
        if fusion != TemporalFusion::Transformer {
            weights.retain(|key, _| !key.starts_with("visual_head."));
        }
        if fusion == TemporalFusion::Conv1d {
            weights.extend(temporal.state_dict("weights"));
        }
        let model = load(&config, &weights, &device);
        let features = temporal.tensor::<3>("input/frame_features", &device);
        temporal.expect_embeddings(
            &format!("expected/{name}"),
            model.temporal.forward(features),
        );
    }
}

#[test]
fn positional_embeddings_resize_as_in_the_release() {
    let (golden, resized) = (Golden::read("model"), Golden::read("model_temporal"));
    let weights = golden.state_dict("weights");
    let table = &weights["backbone.visual.positional_embedding"];
    for side in [2, 7] {
        let table = resize_positional_embedding(table, side).expect("the table is square");
        let name = format!("expected/positional_embedding.{side}x{side}");
        let [rows, width] = [table.shape()[0], table.shape()[1]];
        let device = Device::flex();
        let table = Tensor::<1>::from_floats(table.to_f32().as_slice(), &device);
        resized.expect_embeddings(&name, table.reshape([rows, width]));
    }
}
