//! `import`, `export` and `inspect`: a model through every format and back.

use std::collections::BTreeSet;

use emotionclip::Emotion;
use integration_tests::cli::{Sandbox, small_model, write_faces};
use serde_json::Value;

fn sandbox() -> (tempfile::TempDir, Sandbox) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    (folder, sandbox)
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

fn embedding(sandbox: &Sandbox, model: &str, picture: &str) -> Vec<f64> {
    let args = ["embed", picture, "--model", model, "--no-cache"];
    numbers(&sandbox.json(&args)["items"][0]["embedding"])
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn a_model_survives_every_export_and_import() {
    let (_folder, sandbox) = sandbox();
    write_faces(&sandbox.path("faces"), &[Emotion::Joy], 1);
    let picture = "faces/joy/0.png";
    sandbox.write("small.safetensors", small_model().to_bytes().unwrap());
    let original = embedding(&sandbox, "small.safetensors", picture);
    // f32 is exact; f16 rounds weights to 5e-4, int8 to 4e-3 of a channel's largest.
    for (format, precision, out, least) in [
        ("safetensors", "f32", "a.safetensors", 1.0 - 1e-6),
        ("safetensors", "f16", "b.safetensors", 0.9999),
        ("web", "f32", "web32", 1.0 - 1e-6),
        ("web", "int8", "web8", 0.99),
    ] {
        let args = [
            "export",
            "--model",
            "small.safetensors",
            "--format",
            format,
            "--precision",
            precision,
            "--out",
            out,
        ];
        let result = sandbox.json(&args);
        for compared in ["clip_cosine", "text_cosine"] {
            assert!(
                result[compared].as_f64().unwrap() > least,
                "{out}: {result}"
            );
        }
        assert!(
            cosine(&original, &embedding(&sandbox, out, picture)) > least,
            "{out}"
        );
        let info = sandbox.json(&["inspect", out]);
        assert_eq!(info["non_finite"], 0);
    }
    // Written over an older export, but never over anything else.
    let over = [
        "export",
        "--model",
        "small.safetensors",
        "--format",
        "web",
        "--out",
    ];
    sandbox.json(&[&over[..], &["web8"]].concat());
    sandbox.refuses(
        &[&over[..], &["faces"]].concat(),
        &["faces", "no part of an export"],
    );

    let args = [
        "export",
        "--model",
        "small.safetensors",
        "--format",
        "hugging-face",
        "--out",
        "hf",
    ];
    sandbox.json(&args);
    let args = [
        "import",
        "hf/model.safetensors",
        "--out",
        "back.safetensors",
    ];
    let result = sandbox.json(&args);
    assert_eq!(result["format"], "Hugging Face CLIPModel");
    assert_eq!(
        (&result["activation"], &result["fresh_temporal_encoder"]),
        (&"gelu".into(), &true.into())
    );
    // The towers are the same, the temporal encoder is the paper's.
    assert_eq!(result["config"]["vision"]["layers"], 2);
    assert_eq!(result["config"]["temporal"]["frames"], 8);
    let texts = |model: &str| {
        let result = sandbox.json(&["embed", "--text", "hello there", "--model", model]);
        numbers(&result["items"][0]["embedding"])
    };
    assert!(cosine(&texts("small.safetensors"), &texts("back.safetensors")) > 1.0 - 1e-6);
}

#[test]
fn import_resizes_positions_to_the_grid_of_the_configuration() {
    let (_folder, sandbox) = sandbox();
    let model = small_model();
    sandbox.write("small.safetensors", model.to_bytes().unwrap());
    let mut config = model.model.config().clone();
    config.vision.image_size = 48;
    sandbox.write("larger.json", serde_json::to_vec(&config).unwrap());
    let args = [
        "import",
        "small.safetensors",
        "--config",
        "larger.json",
        "--out",
        "l.safetensors",
    ];
    let result = sandbox.json(&args);
    assert_eq!(
        (
            &result["resized_positions"],
            &result["fresh_temporal_encoder"]
        ),
        (&true.into(), &false.into())
    );
    let info = sandbox.json(&["inspect", "l.safetensors"]);
    let positions = info["tensors"].as_array().unwrap().iter();
    let positions = positions.filter(|one| one["key"] == "backbone.visual.positional_embedding");
    let shapes: Vec<&Value> = positions.map(|one| &one["shape"]).collect();
    assert_eq!(shapes, [&serde_json::json!([37, 64])]);
    let keys: BTreeSet<&str> = info["towers"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        BTreeSet::from(["frame encoder", "temporal encoder", "text encoder"])
    );
}
