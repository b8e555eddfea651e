//! The commands that query a model, on generated pictures: what they print, write and keep.

use emotionclip::Emotion;
use integration_tests::cli::{Sandbox, small_model, write_faces};
use serde_json::Value;

const TWO: [Emotion; 2] = [Emotion::Joy, Emotion::Anger];

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

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn zero_shot_scores_a_dataset_and_keeps_its_features() {
    let (_folder, sandbox) = sandbox();
    write_faces(&sandbox.path("faces"), &TWO, 3);
    let args = ["zero-shot", "--root", "faces"];
    let first = sandbox.json(&args);
    assert_eq!(
        (first["samples"].as_u64(), first["cached"].as_u64()),
        (Some(6), Some(0))
    );
    assert_eq!(first["labels"], serde_json::json!(["anger", "joy"]));
    let counts = first["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(numbers)
        .sum::<f64>();
    assert_eq!(counts, 6.0);
    let second = sandbox.json(&args);
    assert_eq!(second["cached"], 6);
    assert_eq!(second["zero_shot_accuracy"], first["zero_shot_accuracy"]);
    // Another subject is another feature.
    let boxed = sandbox.json(&["zero-shot", "--root", "faces", "--subject", "box:0,0,32,64"]);
    assert_eq!(boxed["cached"], 0);
    // All seven emotions compared, and a folder that maps to one of them.
    std::fs::rename(sandbox.path("faces/joy"), sandbox.path("faces/happy")).unwrap();
    let labels = "joy = \"I am happy!\"\nanger = [\"I am angry!\", \"how dare you\"]\n\
                  fear = \"help\"\n[folders]\nhappy = \"joy\"\n";
    sandbox.write("labels.toml", labels);
    let mapped = sandbox.json(&["zero-shot", "--root", "faces", "--labels", "labels.toml"]);
    assert_eq!(
        mapped["labels"],
        serde_json::json!(["anger", "fear", "joy"])
    );
    assert_eq!(mapped["recall"][1], Value::Null);
}

#[test]
fn zero_shot_reads_single_inputs_with_labels_of_ones_own() {
    let (_folder, sandbox) = sandbox();
    write_faces(&sandbox.path("faces"), &TWO, 2);
    let args = [
        "zero-shot",
        "--input",
        "faces/joy/0.png",
        "faces/anger",
        "--subject",
        "whole",
        "--labels",
        "calm,angry",
        "--template",
        "a {} person",
    ];
    let result = sandbox.json(&args);
    assert_eq!(result["labels"], serde_json::json!(["calm", "angry"]));
    for reading in result["readings"].as_array().unwrap() {
        let sum: f64 = numbers(&reading["probabilities"]).iter().sum();
        // Two f32 probabilities, each rounded to 6e-8.
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }
}

#[test]
fn a_probe_is_fitted_saved_and_applied_to_its_own_model_only() {
    let (_folder, sandbox) = sandbox();
    write_faces(&sandbox.path("faces"), &TWO, 8);
    let common = [
        "probe",
        "--root",
        "faces",
        "--c",
        "100",
        "--test-share",
        "0.25",
    ];
    for kind in ["multinomial", "one-vs-rest"] {
        let args = [
            &common[..],
            &["--kind", kind, "--save", "probe.safetensors"],
        ]
        .concat();
        let result = sandbox.json(&args);
        assert_eq!(result["train_samples"], 12);
        assert_eq!(result["test_samples"], 4);
        for score in [
            "probe_accuracy",
            "train_accuracy",
            "centroid_accuracy",
            "uar",
        ] {
            let value = result[score].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&value), "{score} {value}");
        }
    }
    let reading = sandbox.json(&["predict", "faces/joy/0.png", "--probe", "probe.safetensors"]);
    assert_eq!(reading["subject"], "whole", "as it was fitted");
    assert_eq!(reading["probe_labels"], serde_json::json!(["anger", "joy"]));
    assert_eq!(numbers(&reading["readings"][0]["probe"]).len(), 2);
    sandbox.write("small.safetensors", small_model().to_bytes().unwrap());
    let args = [
        "predict",
        "faces/joy/0.png",
        "--probe",
        "probe.safetensors",
        "--model",
        "small.safetensors",
    ];
    sandbox.refuses(&args, &["probe.safetensors", "another model"]);
}

#[test]
fn a_probe_of_numbers_reports_every_regression_metric() {
    let (_folder, sandbox) = sandbox();
    write_faces(&sandbox.path("faces"), &TWO, 8);
    let mut csv = "file,valence,happy,split\n".to_owned();
    for index in 0..8 {
        let split = if index < 6 { "train" } else { "test" };
        csv.push_str(&format!("joy/{index}.png,0.{index},1,{split}\n"));
        csv.push_str(&format!("anger/{index}.png,-0.{index},0,{split}\n"));
    }
    sandbox.write("targets.csv", &csv);
    let common = ["probe", "--root", "faces", "--targets", "targets.csv"];
    let result = sandbox.json(&common);
    assert_eq!(result["outputs"], serde_json::json!(["valence", "happy"]));
    for metric in ["r2", "mse", "pearson", "ccc"] {
        assert!(result[metric].is_f64(), "{metric}: {result}");
        assert_eq!(result["per_output"][metric].as_array().unwrap().len(), 2);
    }
    let args = [&common[..], &["--kind", "one-vs-rest"]].concat();
    sandbox.refuses(&args, &["targets of 0 and 1"]);
    let flags = csv
        .replace("valence,", "")
        .replace(",0.", ",")
        .replace(",-0.", ",");
    let flags: String = flags
        .lines()
        .map(|line| {
            let parts: Vec<&str> = line.split(',').collect();
            match parts[..] {
                [file, _, happy, split] => format!("{file},{happy},{split}\n"),
                _ => format!("{line}\n"),
            }
        })
        .collect();
    sandbox.write("flags.csv", flags);
    let result = sandbox.json(&[
        "probe",
        "--root",
        "faces",
        "--targets",
        "flags.csv",
        "--kind",
        "one-vs-rest",
    ]);
    assert!(
        result["macro_map"].is_f64() && result["macro_auc"].is_f64(),
        "{result}"
    );
}

#[test]
fn predict_writes_every_output_for_a_folder_of_frames() {
    let (_folder, sandbox) = sandbox();
    write_faces(&sandbox.path("faces"), &[Emotion::Fear], 6);
    let args = [
        "predict",
        "faces/fear",
        "--fps",
        "2",
        "--stride",
        "2",
        "--out",
        "r.csv",
        "--plot",
        "p.svg",
        "--report",
        "r.html",
        "--subject",
        "box:8,8,56,60",
    ];
    let result = sandbox.json(&args);
    assert_eq!(result["frames"], 6);
    let readings = result["readings"].as_array().unwrap();
    let times: Vec<f64> = readings
        .iter()
        .map(|one| one["time"].as_f64().unwrap())
        .collect();
    assert_eq!(times, [0.0, 1.0, 2.0]);
    let text = |name: &str| std::fs::read_to_string(sandbox.path(name)).unwrap();
    assert_eq!(text("r.csv").lines().count(), 4);
    assert!(text("r.csv").starts_with("time,anger,"));
    assert!(text("p.svg").contains("<svg"));
    let page = text("r.html");
    assert!(
        page.contains("<img") || page.contains("<image"),
        "the page shows frames"
    );
    assert!(page.contains("box:8,8,56,60"));
}

#[test]
fn predict_needs_ffmpeg_for_a_video() {
    let (_folder, sandbox) = sandbox();
    let video = sandbox.path("video.mp4");
    let made = std::process::Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc=duration=2:size=96x64:rate=12",
        ])
        .arg(&video)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no ffmpeg");
        return;
    }
    let result = sandbox.json(&["predict", "video.mp4", "--subject", "whole", "--fps", "4"]);
    // The default model looks for a face, and there is none.
    sandbox.refuses(&["predict", "video.mp4"], &["video.mp4", "no face found"]);
    assert_eq!(result["frames"], 8);
    assert_eq!(result["readings"][7]["time"], 1.75);
    let bytes = std::fs::read(&video).unwrap();
    sandbox.write("cut.mp4", &bytes[..bytes.len() / 3]);
    sandbox.refuses(
        &["predict", "cut.mp4"],
        &["cut.mp4", "not a readable video"],
    );
    // Whoever has no FFmpeg is told how to get it.
    let without = Sandbox::new(&sandbox.path("")).with_variable("PATH", "");
    without.refuses(&["predict", "video.mp4"], &["video.mp4", "install FFmpeg"]);
}

#[test]
fn embeddings_agree_in_every_format() {
    let (_folder, sandbox) = sandbox();
    write_faces(&sandbox.path("faces"), &TWO, 1);
    let args = ["embed", "faces/joy/0.png", "--text", "I am so happy!"];
    let result = sandbox.json(&args);
    let expected = numbers(&result["items"][0]["embedding"]);
    assert!((cosine(&expected, &expected) - 1.0).abs() < 1e-5);
    assert_eq!(result["items"][1]["kind"], "text");
    let lines = sandbox.run(&args).stdout;
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(numbers(&first["embedding"]), expected);
    for file in ["e.csv", "e.safetensors"] {
        let written = sandbox.json(&[&args[..], &["--out", file]].concat());
        assert_eq!(
            (written["count"].as_u64(), written.get("items")),
            (Some(2), None)
        );
    }
    let csv = std::fs::read_to_string(sandbox.path("e.csv")).unwrap();
    let row: Vec<f64> = csv
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .skip(2)
        .map(|text| text.parse().unwrap())
        .collect();
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-7);
    // Nine digits say an f32 exactly.
    assert!(close(&row, &expected));
    let bytes = std::fs::read(sandbox.path("e.safetensors")).unwrap();
    let state = emotionclip::checkpoint::read(bytes, "e").unwrap();
    assert_eq!(state["embeddings"].shape(), [2, expected.len()]);
}
