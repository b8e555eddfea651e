//! RoBERTa classifiers against transformers, on folders with random weights
//! (`parity/generate_roberta.py`).

use burn::tensor::Device;
use emotionclip::Emotion;
use emotionclip::roberta::{PretrainedRoberta, RobertaTask, SENTIMENT_TOKENS};
use serde_json::Value;

const GOLDENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/parity/goldens/roberta");

/// Two layers of width 24 in f32: sums of some hundred products, each off by 6e-8 relative to values
/// around 1, through two layers and a head, stay some 1e-6 apart. The project asks 1e-4 of features everywhere.
const TOLERANCE: f64 = 1e-4;

fn file(kind: &str, name: &str) -> Vec<u8> {
    std::fs::read(format!("{GOLDENS}/{kind}/{name}")).unwrap()
}

fn open(kind: &str) -> PretrainedRoberta {
    PretrainedRoberta::from_files(
        &file(kind, "config.json"),
        &file(kind, "tokenizer.json"),
        file(kind, "model.safetensors"),
        kind,
        &Device::flex(),
    )
    .unwrap()
}

fn expected(kind: &str) -> Vec<Value> {
    serde_json::from_slice(&file(kind, "expected.json")).unwrap()
}

fn texts(expected: &[Value]) -> Vec<&str> {
    expected
        .iter()
        .map(|entry| entry["text"].as_str().unwrap())
        .collect()
}

/// Largest distance of a logit, over the largest logit.
fn distance(found: &[f32], expected: &Value) -> f64 {
    let expected: Vec<f64> = serde_json::from_value(expected.clone()).unwrap();
    assert_eq!(found.len(), expected.len());
    let largest = expected
        .iter()
        .fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let apart = found
        .iter()
        .zip(&expected)
        .map(|(a, b)| (f64::from(*a) - b).abs());
    apart.fold(0.0, f64::max) / largest
}

#[test]
fn texts_have_the_logits_of_transformers() {
    let model = open("sequence");
    assert_eq!(model.task(), RobertaTask::Sequence);
    let expected = expected("sequence");
    for (name, longest) in [("cut", SENTIMENT_TOKENS), ("whole", usize::MAX)] {
        // All at once, so short texts are padded to long ones.
        let found = model.logits(&texts(&expected), longest).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            let apart = distance(found, &expected[name]["logits"]);
            assert!(apart < TOLERANCE, "{name} {}: {apart:e}", expected["text"]);
        }
        // And alone.
        for (text, found) in texts(&expected).iter().zip(&found) {
            let alone = model.logits(&[text], longest).unwrap();
            let close = alone[0]
                .iter()
                .zip(found)
                .all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(close, "{text}: {alone:?} {found:?}");
        }
    }
    // The last text is longer than either limit: what is cut matters.
    let long = expected.last().unwrap();
    assert_ne!(long["cut"]["logits"], long["whole"]["logits"]);
}

#[test]
fn classes_are_put_in_place_by_name() {
    let classes = open("sequence").emotion_classes().unwrap();
    // The golden's classes stand in reverse order.
    assert_eq!(classes, [6, 5, 4, 3, 2, 1, 0]);
    assert_eq!(classes[Emotion::Neutral.index()], 2);
    let problem = open("token").emotion_classes().unwrap_err();
    assert!(problem.contains("anger, disgust"), "{problem}");
}

#[test]
fn words_have_the_labels_of_their_last_tokens() {
    let model = open("token");
    assert_eq!(model.task(), RobertaTask::Token);
    let mut compared = 0;
    for entry in expected("token") {
        let words: Vec<&str> = entry["text"].as_str().unwrap().split_whitespace().collect();
        let found = model.word_labels(&words).unwrap();
        assert_eq!(found.len(), words.len());
        for (found, expected) in found.iter().zip(entry["word_labels"].as_array().unwrap()) {
            // Beyond the model's longest text transformers says nothing.
            if let Some(expected) = expected.as_str() {
                assert_eq!(found, expected, "{words:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn folders_that_are_none_are_refused_by_file() {
    let whole = |name: &str| file("sequence", name);
    let refuse = |config: &[u8], tokenizer: &[u8], weights: Vec<u8>| {
        let opened =
            PretrainedRoberta::from_files(config, tokenizer, weights, "model", &Device::flex());
        opened.map(|_| ()).unwrap_err().to_string()
    };
    let (config, tokenizer, weights) = (
        whole("config.json"),
        whole("tokenizer.json"),
        whole("model.safetensors"),
    );
    let with = |key: &str, value: Value| {
        let mut changed: Value = serde_json::from_slice(&config).unwrap();
        changed[key] = value;
        changed.to_string().into_bytes()
    };
    for (key, value) in [
        ("model_type", Value::from("bert")),
        ("hidden_act", Value::from("relu")),
        ("hidden_size", Value::from(25)),
        ("vocab_size", Value::from(0)),
        ("max_position_embeddings", Value::from(3)),
        ("layer_norm_eps", Value::from(0.0)),
        ("id2label", serde_json::json!({ "0": "a", "2": "b" })),
        ("architectures", serde_json::json!(["RobertaModel"])),
    ] {
        let message = refuse(&with(key, value), &tokenizer, weights.clone());
        assert!(
            message.contains("config.json") && message.contains(key),
            "{message}"
        );
    }
    assert!(refuse(b"{", &tokenizer, weights.clone()).contains("config.json"));
    assert!(refuse(&config, b"{}", weights.clone()).contains("tokenizer.json"));
    let small = with("vocab_size", Value::from(10));
    assert!(refuse(&small, &tokenizer, weights.clone()).contains("the weights have 10"));
    let cut = weights[..weights.len() / 2].to_vec();
    assert!(refuse(&config, &tokenizer, cut).contains("truncated"));
    let wide = with("intermediate_size", Value::from(48));
    assert!(refuse(&wide, &tokenizer, weights).contains("intermediate"));
}
