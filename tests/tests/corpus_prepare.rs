//! A folder of real clips with captions, to shards, to a model.

use integration_tests::cli::Sandbox;
use serde_json::Value;

/// The clips of the test are few: most of what is said sounds neutral to nobody.
const PREPARE: [&str; 10] = [
    "data",
    "prepare",
    "videos",
    "--out",
    "work",
    "--max-neutral",
    "1",
    "--shard-size",
    "1",
    "--workers=2",
];

mod needs_ffmpeg {
    use std::collections::BTreeSet;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use integration_tests::cli::program;
    use integration_tests::corpus::{files_below, write_small_videos, write_videos};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn step<'a>(result: &'a Value, name: &str) -> &'a Value {
        let steps = result["steps"].as_array().unwrap();
        steps.iter().find(|step| step["step"] == name).unwrap()
    }

    fn named<'a>(skipped: &'a Value, item: &str) -> &'a str {
        let skipped = skipped["skipped"].as_array().unwrap();
        let skip = skipped.iter().find(|skip| skip["item"] == item);
        skip.unwrap_or_else(|| panic!("{item} is not in {skipped:?}"))["reason"]
            .as_str()
            .unwrap()
    }

    #[test]
    fn videos_with_captions_become_shards_and_a_model_is_trained_on_them() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new(folder.path());
        write_videos(&sandbox.path("videos"));
        let result = sandbox.json(&PREPARE);

        // What can't be used is named, and is nothing broken.
        let frames = step(&result, "frames");
        assert_eq!(
            (&frames["made"], &frames["broken"]),
            (&5.into(), &0.into()),
            "{frames}"
        );
        assert!(named(frames, "tone").contains("no video stream"));
        assert!(named(step(&result, "captions"), "uncaptioned").contains("no captions"));
        let video = |id: &str| -> Value {
            let path = sandbox.path(&format!("work/videos/{id}/video.json"));
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
        };
        // 10 s at 8 frames a second; the turned one stands upright, the one of varying rate is whole.
        assert_eq!(video("sample")["frames"], 80);
        assert_eq!(video("sample")["size"], serde_json::json!([480, 360]));
        assert_eq!(
            video("more%2Fturned")["size"],
            serde_json::json!([240, 180])
        );
        let slow = video("slow")["frames"].as_u64().unwrap();
        assert!((130..=138).contains(&slow), "{slow} frames of 17 s");

        // Sentences are whole, and no sound, song or name is left in them.
        let lines = std::fs::read_to_string(sandbox.path("work/shards/samples.jsonl")).unwrap();
        let samples: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let texts: BTreeSet<&str> = samples
            .iter()
            .map(|sample| sample["text"].as_str().unwrap())
            .collect();
        for text in [
            "Unless to be rather cold-hearted and rather selfish is to be ill-disposed.",
            "He might even have been made amiable himself.",
            "He was not an ill-disposed young man.",
            "Had he married a more amiable woman, he might have been made still more respectable than he was.",
            "and mister john dashwood had then leisure to consider how much there might be prudently in his power \
             to do for them",
            "And Mister John Dashwood had then leisure to consider how much there might be prudently in his power \
             to do for them.",
        ] {
            assert!(texts.contains(text), "'{text}' is not in {texts:#?}");
        }
        assert_eq!(result["index"]["kept"], samples.len());
        // The woman's face is found, upright.
        let stats = sandbox.json(&["data", "stats", "work", "--html", "stats.html"]);
        let people = &stats["distributions"][4];
        assert_eq!(people["name"], "people a frame");
        assert!(people["mean"].as_f64().unwrap() > 0.7, "{people}");
        assert!(
            std::fs::read_to_string(sandbox.path("stats.html"))
                .unwrap()
                .contains("words a sentence")
        );
        let checked = sandbox.json(&["data", "check", "work", "--decode"]);
        assert_eq!(
            (&checked["faults"], &checked["samples"]),
            (&0.into(), &samples.len().into())
        );

        // Nothing is done twice.
        let before = files_below(&sandbox.path("work"));
        let again = sandbox.json(&PREPARE);
        for name in ["frames", "captions", "sentiment", "subjects"] {
            assert_eq!(step(&again, name)["made"], 0, "{name}");
        }
        assert!(
            before == files_below(&sandbox.path("work")),
            "a second run changed something"
        );

        // What shows an evaluation set's pictures is left out, whatever its size; what is mirrored or
        // stands in no set stays.
        std::fs::create_dir(sandbox.path("evaluation")).unwrap();
        let copied = sandbox.path("videos/sample.webm");
        std::fs::copy(copied, sandbox.path("evaluation/other name.webm")).unwrap();
        sandbox.write("ids.txt", "slow # for a reason\n");
        let index = ["data", "index", "--out", "work", "--max-neutral", "1"];
        let against = ["--exclude-like", "evaluation", "--exclude-ids", "ids.txt"];
        let compared = sandbox.json(&[&index[..], &against].concat())["index"].clone();
        let found: Vec<String> =
            serde_json::from_value(compared["evaluation_videos"].clone()).unwrap();
        assert_eq!(found, ["more%2Fturned", "sample", "slow"], "{compared}");
        assert!(compared["kept"].as_u64().unwrap() >= 2, "{compared}");

        let train = [
            "pretrain",
            "--corpus",
            "work",
            "--run",
            "run",
            "--steps",
            "20",
            "--batch-size",
            "4",
        ];
        let trained = sandbox.json(&train);
        assert_eq!(trained["steps"], 20);
        assert!(
            trained["final_loss"].as_f64().unwrap().is_finite(),
            "{trained}"
        );
        let config = std::fs::read_to_string(sandbox.path("run/config.toml")).unwrap();
        assert!(config.contains("kind = \"shards\""), "{config}");
        let waited = trained["data_wait_share"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&waited), "{trained}");
        // The loss is that of real pairs: with four of them guessing costs ln 4.
        let metrics = std::fs::read_to_string(sandbox.path("run/metrics.jsonl")).unwrap();
        let losses: Vec<f64> = metrics
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64())
            .collect();
        assert_eq!(losses.len(), 20);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        assert!(mean(&losses[15..]) < mean(&losses[..5]), "{losses:?}");
    }

    #[test]
    fn every_step_killed_and_run_again_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new(folder.path());
        write_small_videos(&sandbox.path("videos"));
        let steps: [&[&str]; 6] = [
            &["frames", "videos"],
            &["captions", "videos"],
            &["sentiment"],
            &["subjects"],
            &["index", "--max-neutral", "1"],
            &["shards", "--shard-size", "0.1"],
        ];
        let command = |out: &str, step: &[&str]| {
            let mut command = Command::new(program());
            command
                .arg("data")
                .args(step)
                .args(["--out", out, "--workers", "2", "--device", "cpu", "--quiet"])
                .current_dir(folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
        };
        let mut rng = ChaCha8Rng::seed_from_u64(2022);
        let mut cut = 0;
        for step in steps {
            let started = Instant::now();
            assert!(
                command("whole", step).status().unwrap().success(),
                "{step:?}"
            );
            let took = started.elapsed();
            for _ in 0..2 {
                let mut running = command("killed", step).spawn().unwrap();
                std::thread::sleep(took.mul_f64(rng.random_range(0.05..0.95)));
                // Already at its end, it can't be killed any more.
                cut += usize::from(running.try_wait().unwrap().is_none());
                running.kill().unwrap();
                running.wait().unwrap();
            }
            // A killed process's ffmpeg may live on for a moment, and must do no harm.
            std::thread::sleep(Duration::from_millis(20));
            assert!(
                command("killed", step).status().unwrap().success(),
                "{step:?}"
            );
        }
        assert!(cut >= 4, "only {cut} of 12 runs were cut");
        let (whole, killed) = (sandbox.path("whole"), sandbox.path("killed"));
        let (whole, killed) = (files_below(&whole), files_below(&killed));
        let names = |files: &std::collections::BTreeMap<String, Vec<u8>>| -> BTreeSet<String> {
            let is_whole = |name: &&String| !name.contains(".partial-");
            files.keys().filter(is_whole).cloned().collect()
        };
        assert_eq!(names(&whole), names(&killed));
        for (name, content) in &whole {
            assert!(killed[name] == *content, "{name} differs");
        }
        assert!(
            whole.keys().any(|name| name.ends_with("shard-000001.tar")),
            "several shards"
        );
    }
}

/// Folders with random weights, see `parity/generate_roberta.py`.
const ROBERTA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/parity/goldens/roberta");

#[test]
fn roberta_folders_score_sentences_and_find_their_ends() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    sandbox.write("videos/a.mp4", "x");
    let words: Vec<String> = (0..60)
        .map(|number| format!("word{}", number % 7))
        .collect();
    let entry = serde_json::json!([{ "text": words.join(" "), "start": 0, "duration": 60 }]);
    sandbox.write("videos/a.json", entry.to_string());
    let (sequence, token) = (format!("{ROBERTA}/sequence"), format!("{ROBERTA}/token"));
    let captions = ["data", "captions", "videos", "--out", "work"];
    let read = |name: &str| -> Value {
        let path = sandbox.path(&format!("work/videos/a/{name}"));
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    sandbox.json(&captions);
    assert_eq!(read("captions.json")["grouping"], "pauses");
    sandbox.json(&[&captions[..], &["--punctuation-model", &token]].concat());
    let grouped = read("captions.json");
    assert_eq!(grouped["grouping"], "model");
    let sentences = grouped["sentences"].as_array().unwrap();
    let spoken: Vec<&str> = sentences
        .iter()
        .flat_map(|one| one["text"].as_str().unwrap().split(' '))
        .collect();
    assert_eq!(spoken, words);
    sandbox.json(&[
        "data",
        "sentiment",
        "--out",
        "work",
        "--sentiment-model",
        &sequence,
    ]);
    let scores = read("sentiment.json")["scores"].as_array().unwrap().clone();
    assert_eq!(scores.len(), sentences.len());
    let mut whole = 0;
    for (score, sentence) in scores.iter().zip(sentences) {
        let logits: Vec<f64> = serde_json::from_value(score["logits"].clone()).unwrap();
        let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
        let neutral = score["neutral"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&neutral), "{score}");
        // A token is a byte at least: what has at most 70 isn't cut at 77, so both come of the same
        // logits; neutral is the fifth.
        if sentence["text"].as_str().unwrap().len() <= 70 {
            whole += 1;
            assert!((neutral - logits[4].exp() / sum).abs() < 1e-5, "{score}");
        }
    }
    assert!(whole > 0, "{sentences:?}");
    // Each in the other's place.
    sandbox.refuses(
        &[
            "data",
            "sentiment",
            "--out",
            "work",
            "--sentiment-model",
            &token,
        ],
        &["token", "classifier of texts", "anger"],
    );
    sandbox.refuses(
        &[&captions[..], &["--punctuation-model", &sequence]].concat(),
        &["sequence", "token classifier", "marks"],
    );
    sandbox.refuses(
        &[
            "data",
            "sentiment",
            "--out",
            "work",
            "--sentiment-model",
            "videos",
        ],
        &["config.json"],
    );
}

#[test]
fn what_is_missing_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    sandbox.write("empty/notes.txt", "no video");
    sandbox.refuses(
        &["data", "prepare", "nowhere", "--out", "work"],
        &["nowhere", "no such folder"],
    );
    sandbox.refuses(
        &["data", "prepare", "empty", "--out", "work"],
        &["empty", "no video"],
    );
    sandbox.refuses(
        &["data", "shards", "--out", "work"],
        &["index.json", "trainer data index"],
    );
    sandbox.refuses(
        &["data", "check", "empty"],
        &["empty", "no shards", "trainer data shards"],
    );
    sandbox.refuses(
        &["pretrain", "--corpus", "empty", "--run", "run"],
        &["empty", "no shards", "trainer data prepare"],
    );
}

#[test]
fn a_machine_without_ffmpeg_is_told_how_to_install_it() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path()).with_variable("PATH", "");
    sandbox.write("videos/a.mp4", "x");
    sandbox.refuses(
        &["data", "frames", "videos", "--out", "work"],
        &["ffmpeg", "not found", "apt-get install ffmpeg"],
    );
}

#[test]
fn the_results_are_counted_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    sandbox.write("videos/a.mp4", "x");
    sandbox.write(
        "videos/a.srt",
        "1\n00:00:01,000 --> 00:00:02,000\nHello there.\n",
    );
    let result: Value = sandbox.json(&["data", "captions", "videos", "--out", "work"]);
    assert_eq!(result["steps"][0]["made"], 1);
    let sentences = std::fs::read_to_string(sandbox.path("work/videos/a/captions.json")).unwrap();
    assert!(sentences.contains("Hello there."), "{sentences}");
}
