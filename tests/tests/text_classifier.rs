//! The text classifier as a user trains and uses it: on a miniature of the corpus, killed, resumed,
//! given nonsense; and on the real corpus where it is at hand.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use integration_tests::cli::{Sandbox, program};
use serde_json::Value;

/// What each emotion's utterances are made of, in the order of the labels.
const WORDS: [[&str; 4]; 7] = [
    ["furious", "hate", "rage", "damn"],
    ["gross", "vile", "yuck", "rotten"],
    ["scared", "afraid", "terror", "dread"],
    ["happy", "love", "glad", "yay"],
    ["table", "tuesday", "seven", "road"],
    ["sad", "crying", "alone", "grief"],
    ["wow", "sudden", "unexpected", "omg"],
];

const FILLERS: [&str; 6] = ["the", "it was", "[NAME] said", "and then", "really", "I am"];

/// `count` utterances: two words of one emotion among fillers; every ninth has a second emotion.
fn utterances(count: usize, salt: usize) -> String {
    let pick = |from: &[&str], number: usize| from[number % from.len()].to_owned();
    let line = |index: usize| {
        let number = index * 31 + salt;
        let class = number % 7;
        let mut text = vec![
            pick(&FILLERS, number / 7),
            pick(&WORDS[class], number / 3),
            pick(&FILLERS, number / 11),
            pick(&WORDS[class], number / 5),
        ];
        let mut labels = class.to_string();
        if index.is_multiple_of(9) {
            let second = (class + 2) % 7;
            text.push(pick(&WORDS[second], number));
            text.push(pick(&WORDS[second], number / 2));
            labels = format!("{labels},{second}");
        }
        format!("{}\t{labels}\tid{salt}_{index}\n", text.join(" "))
    };
    (0..count).map(line).collect()
}

const CONFIG: &str = r#"
seed = 3
batch_size = 16
epochs = 4
patience = 0
learning_rate = 1e-2
weight_decay = 0.05
word_dropout = 0.1
class_weight_power = 0.5
average_decay = 0.9
[schedule]
kind = "cosine"
warmup_steps = 5
final_fraction = 0.1
[model]
embedding_dropout = 0.1
head_dropout = 0.1
[model.text]
context_length = 24
vocab_size = 1514
width = 16
layers = 1
heads = 2
"#;

fn sandbox() -> (tempfile::TempDir, Sandbox) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    let names = "anger\ndisgust\nfear\njoy\nneutral\nsadness\nsurprise";
    sandbox.write("corpus/labels.txt", names);
    sandbox.write("corpus/train.tsv", utterances(700, 1));
    sandbox.write("corpus/dev.tsv", utterances(140, 2));
    sandbox.write("corpus/test.tsv", utterances(140, 3));
    sandbox.write("small.toml", CONFIG);
    (folder, sandbox)
}

const TRAIN: [&str; 4] = ["text-classifier", "train", "--data", "corpus"];

fn train(sandbox: &Sandbox, rest: &[&str]) -> Value {
    sandbox.json(&[&TRAIN[..], rest].concat())
}

#[test]
fn it_learns_scores_and_answers_in_the_order_of_the_input() {
    let (_folder, sandbox) = sandbox();
    let result = train(&sandbox, &["--config", "small.toml", "--run", "run"]);
    // Words tell the emotions apart without doubt; guessing one emotion gives 0.04.
    let dev = result["dev"]["macro_f1"].as_f64().unwrap();
    assert!(dev > 0.9, "{result}");
    assert_eq!(result["steps"], 4 * (700 / 16));

    let model = "run/model.safetensors";
    let evaluate = |split: &str| {
        sandbox.json(&[
            "text-classifier",
            "evaluate",
            "--data",
            "corpus",
            "--split",
            split,
            "--model",
            model,
        ])
    };
    assert_eq!(evaluate("dev")["macro_f1"], result["dev"]["macro_f1"]);
    let test = evaluate("test");
    assert!(test["macro_f1"].as_f64().unwrap() > 0.85, "{test}");
    assert_eq!(test["texts"], 140);

    let lines = "yuck, this is vile\n\nI love it, so happy\nseven roads on tuesday\n";
    sandbox.write("lines.txt", lines);
    sandbox.write(
        "lines.jsonl",
        "{\"start\": 1.5, \"text\": \"I love it, so happy\"}\n",
    );
    let score = |input: &str| {
        sandbox.json(&[
            "text-classifier",
            "score",
            "--input",
            input,
            "--model",
            model,
        ])
    };
    let scored = score("lines.txt");
    let items = scored["items"].as_array().unwrap();
    let best: Vec<usize> = items.iter().map(|item| argmax(&logits(item))).collect();
    assert_eq!(best, [1, 3, 4], "{scored}");
    assert_eq!(items[1]["text"], "I love it, so happy");
    let objects = score("lines.jsonl");
    assert_eq!(objects["items"][0]["start"], 1.5, "other fields stay");
    for (left, right) in logits(&objects["items"][0]).iter().zip(logits(&items[1])) {
        // The same text in another batch: other padding, other sums.
        assert!((left - right).abs() < 1e-4);
    }

    let out = sandbox.json(&[
        "text-classifier",
        "score",
        "--input",
        "lines.txt",
        "--model",
        model,
        "--out",
        "scored.jsonl",
    ]);
    assert_eq!(
        (out["count"].as_u64(), &out["items"]),
        (Some(3), &Value::Null)
    );
    let written = std::fs::read_to_string(sandbox.path("scored.jsonl")).unwrap();
    let first: Value = serde_json::from_str(written.lines().next().unwrap()).unwrap();
    assert_eq!(first, items[0]);
}

fn logits(item: &Value) -> Vec<f64> {
    let values = item["logits"].as_array().unwrap();
    assert_eq!(values.len(), 7);
    values.iter().map(|value| value.as_f64().unwrap()).collect()
}

fn argmax(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, index| {
        if values[index] > values[best] {
            index
        } else {
            best
        }
    })
}

/// Steps and losses in the run's metrics.
fn losses(run: &Path) -> Vec<(u64, f64)> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| Some((line["step"].as_u64()?, line["loss"].as_f64()?)))
        .collect()
}

#[test]
fn a_killed_run_resumes_to_the_same_numbers() {
    let (folder, sandbox) = sandbox();
    let whole = train(&sandbox, &["--config", "small.toml", "--run", "whole"]);
    let run = sandbox.path("killed");
    let mut child = Command::new(program())
        .args(TRAIN)
        .args(["--config", "small.toml", "--run", "killed"])
        .args(["--device", "cpu", "--quiet"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Into the second epoch, past the checkpoint at the end of the first.
    let deadline = Instant::now() + Duration::from_secs(120);
    while losses(&run).len() < 50 {
        assert!(Instant::now() < deadline, "no fifty steps in two minutes");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(run.join("checkpoint.safetensors").is_file());
    let resumed = train(&sandbox, &["--run", "killed", "--resume"]);
    assert_eq!(resumed["model_sha256"], whole["model_sha256"]);
    assert_eq!(resumed["dev"], whole["dev"]);
    assert_eq!(losses(&run), losses(&sandbox.path("whole")));
}

#[test]
fn training_stops_when_the_score_does() {
    let (_folder, sandbox) = sandbox();
    // At a rate of nearly nothing no epoch is better than the first.
    let config = CONFIG
        .replace("learning_rate = 1e-2", "learning_rate = 0.0")
        .replace("epochs = 4", "epochs = 50")
        .replace("patience = 0", "patience = 2");
    sandbox.write("still.toml", config);
    let result = train(&sandbox, &["--config", "still.toml", "--run", "still"]);
    assert_eq!(result["best_epoch"], 1);
    assert_eq!(result["steps"], 3 * (700 / 16));
}

#[test]
fn what_is_wrong_is_named() {
    let (_folder, sandbox) = sandbox();
    let refuses = |rest: &[&str], parts: &[&str]| {
        sandbox.refuses(&[&["text-classifier"][..], rest].concat(), parts);
    };
    refuses(
        &["train", "--data", "nowhere", "--run", "r"],
        &["nowhere", "labels.txt"],
    );
    sandbox.write("typo.toml", CONFIG.replace("patience", "patients"));
    refuses(
        &[
            "train",
            "--data",
            "corpus",
            "--run",
            "r",
            "--config",
            "typo.toml",
        ],
        &["typo.toml", "patients"],
    );
    sandbox.write(
        "large.toml",
        CONFIG.replace("batch_size = 16", "batch_size = 701"),
    );
    refuses(
        &[
            "train",
            "--data",
            "corpus",
            "--run",
            "r",
            "--config",
            "large.toml",
        ],
        &["700 training texts", "batch_size"],
    );
    refuses(
        &["train", "--data", "corpus", "--run", "r", "--resume"],
        &["r:", "no run to resume"],
    );
    sandbox.write("taken/config.toml", CONFIG);
    refuses(
        &["train", "--data", "corpus", "--run", "taken"],
        &["taken", "--resume"],
    );
    sandbox.write("broken.jsonl", "{\"text\": \"fine\"}\n{\"txt\": 1}\n");
    let model = ["--model", "other.safetensors"];
    refuses(
        &[&["score", "--input", "broken.jsonl"][..], &model[..]].concat(),
        &["broken.jsonl", "line 2", "text"],
    );
    sandbox.write("text.txt", "hello");
    refuses(
        &[&["score", "--input", "text.txt"][..], &model[..]].concat(),
        &["other.safetensors", "no such file"],
    );
    let other = integration_tests::cli::small_model().to_bytes().unwrap();
    sandbox.write("other.safetensors", other);
    refuses(
        &[&["score", "--input", "text.txt"][..], &model[..]].concat(),
        &["other.safetensors", "no text classifier"],
    );
    assert!(!sandbox.path("r").exists(), "nothing is begun");
}

/// The corpus, where the machine has it unpacked: `EMOTIONCLIP_GOEMOTIONS` names its folder.
fn corpus() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("EMOTIONCLIP_GOEMOTIONS")?);
    folder.join("test.tsv").is_file().then_some(folder)
}

#[test]
fn the_built_in_classifier_beats_word_counts_on_the_real_test_split() {
    let Some(folder) = corpus() else {
        eprintln!("skipped: EMOTIONCLIP_GOEMOTIONS names no folder with GoEmotions");
        return;
    };
    let (_folder, sandbox) = sandbox();
    let data = folder.display().to_string();
    let result = sandbox.json(&[
        "text-classifier",
        "evaluate",
        "--data",
        &data,
        "--split",
        "test",
    ]);
    assert_eq!(result["texts"], 5427);
    // What TF-IDF and logistic regression reach there, by tests/baselines/goemotions_tfidf.py.
    for (score, baseline) in [
        (&result["macro_f1"], 0.5709),
        (&result["macro_average_precision"], 0.5798),
        (&result["single_label"]["macro_f1"], 0.5674),
    ] {
        assert!(score.as_f64().unwrap() > baseline, "{result}");
    }
}
