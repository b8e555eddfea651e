//! `trainer evaluate` as a user runs it, on a corpus made of miniatures of the two sources: the
//! figures agree with each other, parts can be left out, and a leak is found.

use std::path::Path;
use std::sync::LazyLock;

use burn::tensor::Device;
use emotionclip::Emotion;
use emotionclip::emoclip::{EmoClipConfig, PretrainedEmoClip, default_preprocess};
use emotionclip_data::faces::{MANIFEST, Manifest, miniature};
use integration_tests::cli::Sandbox;
use serde_json::Value;

/// Faces an emotion: training, validation, test.
const COUNTS: [usize; 3] = [6, 3, 4];
const EMOTIONS: usize = 7;
const TEST_FACES: u64 = 28;
const SCENES: u64 = 21;

/// A corpus built once; each test works on a copy, for one of them changes it.
static CORPUS: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    miniature::write_faces(&sandbox.path("fer"), COUNTS).unwrap();
    miniature::write_texts(&sandbox.path("texts")).unwrap();
    sandbox.json(&words(
        "data build-scenes --faces fer --texts texts --out corpus",
    ));
    folder
});

fn sandbox() -> (tempfile::TempDir, Sandbox) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    std::fs::create_dir(sandbox.path("corpus")).unwrap();
    for entry in std::fs::read_dir(CORPUS.path().join("corpus")).unwrap() {
        let entry = entry.unwrap();
        let to = sandbox.path("corpus").join(entry.file_name());
        std::fs::copy(entry.path(), to).unwrap();
    }
    (folder, sandbox)
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

/// Checks that scores agree with their own confusion matrix, and gives the accuracy.
fn consistent(scores: &Value, samples: u64) -> f64 {
    let rows = scores["confusion"].as_array().unwrap();
    let counts: Vec<Vec<u64>> = rows
        .iter()
        .map(|row| {
            let row = row.as_array().unwrap().iter();
            row.map(|count| count.as_u64().unwrap()).collect()
        })
        .collect();
    assert_eq!(counts.concat().iter().sum::<u64>(), samples, "{scores}");
    assert_eq!(scores["samples"], samples);
    let right: u64 = (0..EMOTIONS).map(|emotion| counts[emotion][emotion]).sum();
    let accuracy = number(&scores["accuracy"]);
    assert!(close(accuracy, right as f64 / samples as f64), "{scores}");
    let (low, high) = (
        number(&scores["interval"][0]),
        number(&scores["interval"][1]),
    );
    assert!(
        low <= accuracy && accuracy <= high && low < high,
        "{scores}"
    );
    // Wilson's interval is never wider than that of one half.
    let n = samples as f64;
    assert!(high - low <= 2.0 * 1.96 * (0.25 / n).sqrt(), "{scores}");
    accuracy
}

#[test]
fn all_figures_agree_with_each_other() {
    let (_folder, sandbox) = sandbox();
    let found = sandbox.json(&words(&format!(
        "evaluate --root corpus --scenes {SCENES} --out out/report"
    )));
    assert_eq!(found["model"]["family"], "EmotionCLIP");
    assert_eq!(found["corpus"]["faces"], TEST_FACES);

    let faces = &found["faces"];
    let still = consistent(&faces["still"], TEST_FACES);
    consistent(&faces["frame"], TEST_FACES);
    assert!(close(number(&faces["accuracy"]), still));
    // As many faces of each emotion: accuracy is the mean of the recalls.
    assert!(close(number(&faces["still"]["uar"]), still));

    let probe = &found["probe"];
    consistent(probe, TEST_FACES);
    assert_eq!(probe["trained_on"], 7 * COUNTS[0]);
    assert_eq!(probe["chosen_on_itself"], false);
    let tried = probe["tried"].as_array().unwrap();
    let best = tried
        .iter()
        .map(|tried| number(&tried["validation_accuracy"]))
        .fold(0.0, f64::max);
    assert!(close(number(&probe["chosen"]["validation_accuracy"]), best));

    let scenes = &found["scenes"];
    let subject = consistent(&scenes["subject"], SCENES);
    let empty = consistent(&scenes["empty_mask"], SCENES);
    assert!((number(&scenes["gain"]["points"]) - 100.0 * (subject - empty)).abs() < 1e-9);
    assert_eq!(
        (&scenes["faces"], &scenes["seed"]),
        (&4.into(), &2013.into())
    );
    let other = &scenes["other_face"];
    // The face under the mask and the subject differ in emotion, so not both are read.
    assert!(number(&other["read"]) + number(&other["subject_read"]) <= 1.0 + 1e-9);

    let retrieval = &found["retrieval"];
    let sentences = retrieval["sentences"].as_u64().unwrap();
    consistent(&retrieval["nearest"], sentences);
    let asked = &retrieval["nearest"]["confusion"][Emotion::Neutral.index()];
    assert_eq!(*asked, serde_json::json!([0, 0, 0, 0, 0, 0, 0]));
    let recalls = retrieval["nearest"]["recall"].as_array().unwrap();
    let mean = recalls.iter().filter_map(Value::as_f64).sum::<f64>() / 6.0;
    assert!(close(number(&retrieval["mean_recall"]), mean));
    assert_eq!(retrieval["faces"], TEST_FACES);
    assert_eq!(retrieval["without_neutral"]["faces"], TEST_FACES * 6 / 7);
    assert!(close(
        number(&retrieval["majority"]["mean_recall"]),
        1.0 / 6.0
    ));
    let shuffled = &retrieval["shuffled"];
    assert!(close(number(&shuffled["expected"]), 1.0 / 7.0));
    // Five standard errors of the mean of the permutations.
    let count = number(&shuffled["permutations"]);
    let bound = 5.0 * number(&shuffled["deviation"]) / count.sqrt();
    let off = number(&shuffled["mean_recall"]) - 1.0 / 7.0;
    assert!(bound > 0.0 && off.abs() < bound, "{shuffled}");

    let precision = &found["precision"];
    assert!(close(number(&precision["faces"]), still));
    assert!(close(number(&precision["scenes"]), subject));
    let rounded = precision["rounded"].as_array().unwrap();
    let kinds: Vec<&Value> = rounded.iter().map(|one| &one["precision"]).collect();
    assert_eq!(kinds, ["f16", "int8"]);
    for one in rounded {
        for (part, before) in [("faces", still), ("scenes", subject)] {
            let compared = &one[part];
            let points = 100.0 * (number(&compared["accuracy"]) - before);
            assert!((number(&compared["difference"]["points"]) - points).abs() < 1e-9);
            // No more readings turn right or wrong than change.
            assert!(points.abs() <= 100.0 * number(&compared["changed"]) + 1e-9);
        }
    }
    // The built-in file holds f16, so f16 changes nothing; int8 does.
    assert_eq!(rounded[0]["relative_change"], 0.0);
    assert_eq!(rounded[0]["faces"]["changed"], 0.0);
    let change = number(&rounded[1]["relative_change"]);
    assert!(change > 1e-4 && change < 0.05, "{change}");

    let leaks = &found["leaks"];
    assert_eq!(
        (&leaks["clean"], &leaks["is_committed_corpus"]),
        (&true.into(), &false.into())
    );
    assert_eq!(leaks["faces"]["items"], TEST_FACES);
    assert_eq!(leaks["faces"]["committed_train"], 24126);

    let files = found["files"].as_array().unwrap();
    assert_eq!(files.len(), 3);
    let written = std::fs::read_to_string(sandbox.path("out/report/evaluation.json")).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written, found);
    let page = std::fs::read_to_string(sandbox.path("out/report/evaluation.html")).unwrap();
    let text = std::fs::read_to_string(sandbox.path("out/report/evaluation.md")).unwrap();
    let percent = format!("{:.1}%", 100.0 * subject);
    for report in [&page, &text] {
        for shown in ["Scenes of four faces", "Empty mask", "int8", &percent] {
            assert!(report.contains(shown), "{shown}");
        }
    }
}

#[test]
fn parts_are_measured_alone_and_the_same_way_again() {
    let (_folder, sandbox) = sandbox();
    let command =
        "evaluate --root corpus --split validation --scenes 3 --picture frame --only faces,scenes";
    let found = sandbox.json(&words(command));
    for absent in ["probe", "retrieval", "precision", "leaks"] {
        assert!(found.get(absent).is_none(), "{absent}");
    }
    assert_eq!(found["corpus"]["split"], "validation");
    let count = (EMOTIONS * COUNTS[1]) as u64;
    assert!(close(
        number(&found["faces"]["accuracy"]),
        consistent(&found["faces"]["frame"], count)
    ));
    consistent(&found["scenes"]["subject"], 3);
    let again = sandbox.json(&words(command));
    assert_eq!(
        (&again["faces"], &again["scenes"]),
        (&found["faces"], &found["scenes"])
    );

    let finished = sandbox.run(&words("evaluate --root corpus --only retrieval"));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stdout.contains("shuffled"), "{}", finished.stdout);
    assert!(
        !finished.stdout.contains("zero-shot"),
        "{}",
        finished.stdout
    );
}

#[test]
fn an_emoclip_is_measured_on_what_it_can_do() {
    let (_folder, sandbox) = sandbox();
    let mut config = EmoClipConfig::nano();
    config.vision.layers = 1;
    config.text.layers = 1;
    let model = config.init(&Device::flex()).unwrap();
    let model = PretrainedEmoClip::new(model, default_preprocess(&config)).unwrap();
    sandbox.write("emoclip.safetensors", model.to_bytes().unwrap());
    let command = "evaluate --root corpus --model emoclip.safetensors";
    let found = sandbox.json(&words(command));
    assert_eq!(found["model"]["family"], "EmoCLIP");
    consistent(&found["faces"]["still"], TEST_FACES);
    consistent(&found["faces"]["descriptions"], TEST_FACES);
    assert!(found.get("scenes").is_none());
    assert!(found["precision"]["rounded"][1].get("scenes").is_none());
    assert!(found["left_out"][0].as_str().unwrap().contains("EmoCLIP"));
    sandbox.refuses(
        &words(&format!("{command} --only scenes")),
        &["--only scenes", "EmoCLIP", "leave"],
    );
}

/// Puts the test faces into the training part, as somebody would who has mixed up the files.
fn leak(folder: &Path) {
    let path = folder.join(MANIFEST);
    let manifest = std::fs::read_to_string(&path).unwrap();
    let [train, test] = ["train", "test"].map(|split| format!("faces-{split}.safetensors"));
    std::fs::copy(folder.join(&test), folder.join(&train)).unwrap();
    let entry = |name: &str| {
        let heading = format!("[files.\"{name}\"]\n");
        let rest = manifest.split(&heading).nth(1).unwrap();
        rest.split("\n\n").next().unwrap().trim_end()
    };
    let mixed_up = manifest.replace(entry(&train), entry(&test));
    let files = Manifest::parse(&mixed_up).unwrap().files;
    assert_eq!(files[&train], files[&test]);
    std::fs::write(path, mixed_up).unwrap();
}

#[test]
fn faces_that_were_trained_on_are_found() {
    let (_folder, sandbox) = sandbox();
    leak(&sandbox.path("corpus"));
    let finished = sandbox.run(&words(
        "evaluate --root corpus --only leaks --out out --json",
    ));
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("28 faces or sentences of test"),
        "{}",
        finished.stderr
    );
    let found: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(found["leaks"]["clean"], false);
    assert_eq!(found["leaks"]["faces"]["in_corpus_train"], TEST_FACES);
    assert_eq!(found["leaks"]["faces"]["in_committed_train"], 0);
    assert_eq!(found["leaks"]["utterances"]["in_corpus_train"], 0);
    let page = std::fs::read_to_string(sandbox.path("out/evaluation.html")).unwrap();
    assert!(page.contains("no figure below counts"));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let (_folder, sandbox) = sandbox();
    sandbox.refuses(
        &words("evaluate --root nowhere"),
        &["--root", "nowhere", "build-scenes"],
    );
    sandbox.refuses(
        &words("evaluate --root corpus --model missing.safetensors"),
        &["missing.safetensors", "no such file"],
    );
    std::fs::write(sandbox.path("corpus/utterances-test.jsonl"), "{}\n").unwrap();
    sandbox.refuses(
        &words("evaluate --root corpus --only faces"),
        &["utterances-test.jsonl", "build the corpus again"],
    );
    let finished = sandbox.run(&words("evaluate --root corpus --only looks"));
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(!sandbox.path("out").exists());
}
