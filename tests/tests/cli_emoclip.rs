//! `trainer emoclip` as a user runs it, on miniatures of the benchmarks.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use burn::tensor::Device;
use emotionclip::checkpoint::{self, write_safetensors};
use emotionclip::emoclip::{EmoClipConfig, PretrainedEmoClip, default_preprocess};
use emotionclip::parameters::to_state_dict;
use emotionclip_data::dfer::Benchmark;
use emotionclip_data::dfer::fixtures::{self, FixtureOptions};
use emotionclip_data::faces::miniature;
use integration_tests::cli::{Sandbox, program, small_model};
use serde_json::Value;

fn sandbox() -> (tempfile::TempDir, Sandbox) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    (folder, sandbox)
}

/// A nano EmoCLIP of one layer each, with fresh weights.
fn write_model(sandbox: &Sandbox) {
    let mut config = EmoClipConfig::nano();
    config.vision.layers = 1;
    config.text.layers = 1;
    let model = config.init(&Device::flex()).unwrap();
    let model = PretrainedEmoClip::new(model, default_preprocess(&config)).unwrap();
    sandbox.write("model.safetensors", model.to_bytes().unwrap());
}

fn write_miniature(sandbox: &Sandbox, benchmark: Benchmark) {
    let root = sandbox.path(benchmark.slug());
    fixtures::write(benchmark, &root, &FixtureOptions::default()).unwrap();
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The values of a JSON matrix.
fn sum(matrix: &Value) -> u64 {
    let rows = matrix.as_array().unwrap().iter();
    let values = rows.flat_map(|row| row.as_array().unwrap());
    values.map(|value| value.as_u64().unwrap()).sum()
}

fn losses(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|line| {
            format!(
                "{} {} {}",
                line["step"], line["loss"], line["learning_rate"]
            )
        })
        .collect()
}

#[test]
fn a_model_is_trained_on_real_faces_from_the_towers_of_an_emotionclip_and_goes_on() {
    let (_folder, sandbox) = sandbox();
    miniature::write_sources(&sandbox.path(""), [6, 3, 4]).unwrap();
    let build = "data build-scenes --faces fer2013 --texts goemotions --out corpus";
    assert_eq!(sandbox.run(&words(build)).code, Some(0));
    let train =
        "emoclip faces --root corpus --model nano --frames 2 --batch-size 4 --epoch-clips 8";
    let found = sandbox.json(&words(&format!("{train} --epochs 2 --run whole")));
    assert_eq!(
        (&found["steps"], &found["clips_seen"]),
        (&4.into(), &16.into())
    );

    // The image tower has moved, the text tower is nano's.
    let bytes = |name: &str| std::fs::read(sandbox.path(name)).unwrap();
    let trained = checkpoint::read(bytes("whole/model.safetensors"), "whole").unwrap();
    let export = "export --model nano --format safetensors --out nano.safetensors";
    assert_eq!(sandbox.run(&words(export)).code, Some(0));
    let nano = checkpoint::read(bytes("nano.safetensors"), "nano").unwrap();
    for (key, moved) in [
        ("backbone.visual.conv1.weight", true),
        ("backbone.text_projection", false),
        ("backbone.token_embedding.weight", false),
    ] {
        assert_eq!(trained[key] != nano[key], moved, "{key}");
    }

    // In two parts it is the same run.
    assert_eq!(
        sandbox
            .run(&words(&format!("{train} --epochs 1 --run parts")))
            .code,
        Some(0)
    );
    let resumed = sandbox.json(&words("emoclip faces --run parts --resume --epochs 2"));
    assert_eq!(resumed["model_sha256"], found["model_sha256"]);
    let losses = |run: &str| losses(&sandbox.path(&format!("{run}/metrics.jsonl")));
    assert_eq!(losses("parts"), losses("whole"));

    let measured = sandbox.json(&words(
        "evaluate --root corpus --model whole/model.safetensors --only faces,retrieval",
    ));
    assert_eq!(measured["model"]["family"], "EmoCLIP");
    let refused = words("emoclip faces --root corpus --epoch-clips 3 --batch-size 4 --run no");
    sandbox.refuses(&refused, &["--epoch-clips", "one batch"]);
    assert!(!sandbox.path("no").exists());
}

#[test]
fn test_clips_are_read_by_descriptions_in_every_fold() {
    let (_folder, sandbox) = sandbox();
    write_model(&sandbox);
    write_miniature(&sandbox, Benchmark::Mafw);
    let command = "emoclip zero-shot --dataset mafw --root mafw --model model.safetensors \
                   --downsample 1 --frames 2";
    let found = sandbox.json(&words(&format!("{command} --report report.html")));
    let folds = found["folds"].as_array().unwrap();
    assert_eq!(folds.len(), 5);
    for fold in folds {
        // Every class is tested on by one clip.
        assert_eq!((&fold["clips"], sum(&fold["confusion"])), (&11.into(), 11));
        let right: u64 = (0..11)
            .map(|class| fold["confusion"][class][class].as_u64().unwrap())
            .sum();
        assert!((fold["war"].as_f64().unwrap() - right as f64 / 11.0).abs() < 1e-12);
    }
    let mean = folds
        .iter()
        .map(|fold| fold["war"].as_f64().unwrap())
        .sum::<f64>()
        / 5.0;
    assert!((found["war"]["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
    assert_eq!(found["published"]["uar"], 0.2586);
    let page = std::fs::read_to_string(sandbox.path("report.html")).unwrap();
    assert!(page.contains("EmoCLIP on MAFW, zero-shot") && page.contains("--downsample 1"));

    let some = sandbox.json(&words(&format!("{command} --folds 2,4 --labels compound")));
    let numbers: Vec<&Value> = some["folds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fold| &fold["fold"])
        .collect();
    assert_eq!(numbers, [2, 4]);
    assert_eq!(some["classes"].as_array().unwrap().len(), 13);
    assert!(some["published"].is_null());

    // The words decide: with those of two classes exchanged, so are the readings.
    let emotions = Benchmark::Mafw.emotions();
    let texts = |swapped: bool| -> String {
        let text = |index: usize| match index {
            0 if swapped => emotions[1],
            1 if swapped => emotions[0],
            _ => emotions[index],
        };
        let lines = emotions.iter().enumerate();
        lines
            .map(|(index, name)| format!("{name} = [\"the look of {}\"]\n", text(index)))
            .collect()
    };
    let column = |swapped: bool, class: usize| -> Vec<u64> {
        sandbox.write("texts.toml", texts(swapped));
        let line = format!("{command} --folds 1 --descriptions texts.toml");
        let found = sandbox.json(&words(&line));
        let confusion = &found["folds"][0]["confusion"];
        (0..11)
            .map(|row| confusion[row][class].as_u64().unwrap())
            .collect()
    };
    assert_eq!(column(false, 0), column(true, 1));
    assert_eq!(column(false, 1), column(true, 0));
}

#[test]
fn a_resumed_training_on_captions_gives_the_same_model() {
    let (_folder, sandbox) = sandbox();
    write_model(&sandbox);
    write_miniature(&sandbox, Benchmark::Mafw);
    let command = "emoclip train --dataset mafw --root mafw --mode captions --model \
                   model.safetensors --towers both --folds 1 --frames 2 --downsample 1 \
                   --batch-size 16 --learning-rate 0.01";
    let whole = sandbox.json(&words(&format!("{command} --epochs 2 --run whole")));
    let parts = sandbox.json(&words(&format!("{command} --epochs 1 --run parts")));
    let model = |result: &Value| result["models"][0]["model_sha256"].clone();
    // 40 captioned clips are two batches of 16.
    assert_eq!(parts["models"][0]["steps"], 2);
    assert_ne!(model(&parts), model(&whole));
    let resumed = sandbox.json(&words("emoclip train --run parts --resume --epochs 2"));
    assert_eq!(model(&resumed), model(&whole));
    assert_eq!(resumed["result"], whole["result"]);
    let metrics = |run: &str| losses(&sandbox.path(&format!("{run}/fold-1/metrics.jsonl")));
    assert_eq!(metrics("whole").len(), 4);
    assert_eq!(metrics("parts"), metrics("whole"));

    // The test of a fold is zero-shot with the model of that fold.
    let again = sandbox.json(&words(
        "emoclip zero-shot --dataset mafw --root mafw --folds 1 --downsample 1 --frames 2 --model \
         whole/fold-1/model.safetensors",
    ));
    assert_eq!(again["folds"], whole["result"]["folds"]);
    let page = std::fs::read_to_string(sandbox.path("parts/report.html")).unwrap();
    assert!(page.contains("EmoCLIP on MAFW, trained on captions"));

    let taken = words(command);
    let taken = [&taken[..], &["--run", "parts"]].concat();
    sandbox.refuses(&taken, &["parts", "there is a run already", "--resume"]);
    sandbox.refuses(
        &words("emoclip train --run none --resume"),
        &["none", "no run to resume"],
    );
}

#[test]
fn supervised_training_learns_its_clips_with_either_objective() {
    let (_folder, sandbox) = sandbox();
    write_model(&sandbox);
    write_miniature(&sandbox, Benchmark::Afew);
    // A batch has about two clips of each class, which `batch` tells apart all the same: that can't
    // be learnt, so its loss falls less.
    for (objective, at_most) in [("classes", 0.85), ("batch", 0.96)] {
        let line = format!(
            "emoclip train --dataset afew --root afew --mode supervised --model model.safetensors \
             --optimizer adam --frames 2 --downsample 2 --batch-size 14 --epochs 30 \
             --objective {objective} --run {objective}"
        );
        let found = sandbox.json(&words(&line));
        assert_eq!(found["result"]["protocol"], "supervised");
        let path = sandbox.path(&format!("{objective}/fold-1/metrics.jsonl"));
        let loss: Vec<f64> = losses(&path)
            .iter()
            .map(|line| line.split(' ').nth(1).unwrap().parse().unwrap())
            .collect();
        let (first, last) = (loss[0], loss[loss.len() - 1]);
        assert!(last < at_most * first, "{objective}: {first} to {last}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_within_an_epoch_and_resuming_gives_the_same_model() {
    let (_folder, sandbox) = sandbox();
    write_model(&sandbox);
    write_miniature(&sandbox, Benchmark::Afew);
    let command = "emoclip train --dataset afew --root afew --mode supervised --model \
                   model.safetensors --frames 2 --downsample 2 --batch-size 2 --epochs 4";
    let child = Command::new(program())
        .args(words(command))
        .args(["--run", "stopped", "--device", "cpu", "--quiet"])
        .current_dir(sandbox.path(""))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let metrics = sandbox.path("stopped/fold-1/metrics.jsonl");
    for _ in 0..3000 {
        if std::fs::read_to_string(&metrics).is_ok_and(|text| text.lines().count() >= 3) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("fold 1: interrupted at step") && stderr.contains("--resume"),
        "{stderr}"
    );
    let whole = sandbox.json(&words(&format!("{command} --run whole")));
    let resumed = sandbox.json(&words("emoclip train --run stopped --resume"));
    let models = |result: &Value| result["models"][0]["model_sha256"].clone();
    assert_eq!(models(&resumed), models(&whole));
    assert_eq!(
        losses(&metrics),
        losses(&sandbox.path("whole/fold-1/metrics.jsonl")),
        "every step once, the same loss"
    );
}

#[test]
fn every_class_is_left_out_once() {
    let (_folder, sandbox) = sandbox();
    write_model(&sandbox);
    write_miniature(&sandbox, Benchmark::Afew);
    let found = sandbox.json(&words(
        "emoclip train --dataset afew --root afew --mode leave-one-class-out --model \
         model.safetensors --frames 2 --downsample 2 --batch-size 12 --epochs 1 --run out",
    ));
    let models = found["models"].as_array().unwrap();
    let left_out: Vec<&str> = models
        .iter()
        .map(|model| model["left_out"].as_str().unwrap())
        .collect();
    assert_eq!(left_out, Benchmark::Afew.emotions());
    // Seven classes of as many clips, one of them left out.
    let clips = models[0]["clips"].as_u64().unwrap();
    assert!(clips > 0 && clips.is_multiple_of(6), "{clips}");
    let result = &found["left_out"];
    assert_eq!(result["classes"].as_array().unwrap().len(), 7);
    let recall = result["mean_recall"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&recall));
    for class in 0..7 {
        let row = result["confusion"][class].as_array().unwrap();
        assert!(row.iter().map(|count| count.as_u64().unwrap()).sum::<u64>() > 0);
    }
    assert!(
        sandbox
            .path("out/fold-1-without-fear/model.safetensors")
            .is_file()
    );
    assert!(sandbox.path("out/report.html").is_file());
}

#[test]
fn scores_are_learnt_on_top_and_a_resumed_run_is_the_same() {
    let (_folder, sandbox) = sandbox();
    write_model(&sandbox);
    write_miniature(&sandbox, Benchmark::Dfew);
    let mut table = "path,split,level,never\n".to_owned();
    for clip in 1..=35 {
        let split = if clip % 5 == 0 { "test" } else { "train" };
        let level = if clip <= 18 { 100.0 } else { 120.0 };
        table.push_str(&format!("{clip:05},{split},{level},3\n"));
    }
    sandbox.write("scores.csv", &table);
    let command = "emoclip downstream --root dfew/Clip/clip_224x224 --scores scores.csv --model \
                   model.safetensors --frames 2 --downsample 2 --batch-size 14 --optimizer adam";
    let whole = sandbox.json(&words(&format!("{command} --epochs 4 --run whole")));
    let rows = whole["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0]["target"], &rows[0]["clips"]),
        (&"level".into(), &7.into())
    );
    // Scores are of their own units: around 110, not around 0.
    let error = rows[0]["scores"]["mae"].as_f64().unwrap();
    assert!(error > 0.0 && error < 50.0, "{error}");
    for name in ["pcc", "ccc", "rmse"] {
        assert!(rows[0]["scores"][name].is_f64(), "{name}");
    }
    sandbox.json(&words(&format!("{command} --epochs 2 --run parts")));
    let resumed = sandbox.json(&words("emoclip downstream --run parts --resume --epochs 4"));
    assert_eq!(resumed["model_sha256"], whole["model_sha256"]);
    assert_eq!(resumed["rows"], whole["rows"]);

    sandbox.write("bad.csv", "path,split,level\n00001,train,high\n");
    let line = command.replace("scores.csv", "bad.csv");
    sandbox.refuses(&words(&line), &["bad.csv:2", "'high' under `level`"]);
}

#[test]
fn towers_start_as_a_clip_and_stay_so_when_frozen() {
    let (_folder, sandbox) = sandbox();
    write_miniature(&sandbox, Benchmark::Afew);
    let model = EmoClipConfig::nano().init_seeded(9, &Device::flex());
    let mut towers = to_state_dict(&model.unwrap()).unwrap();
    towers.retain(|key, _| key.starts_with("backbone."));
    sandbox.write(
        "clip.safetensors",
        write_safetensors(&towers, &BTreeMap::new()),
    );
    sandbox.json(&words(
        "emoclip train --dataset afew --root afew --mode supervised --clip clip.safetensors \
         --preset nano --frames 2 --downsample 2 --batch-size 14 --epochs 1 --run run",
    ));
    let file = std::fs::read(sandbox.path("run/fold-1/model.safetensors")).unwrap();
    let trained = checkpoint::read(file, "model").unwrap();
    for (key, tensor) in &towers {
        assert_eq!(&trained[key], tensor, "{key}");
    }
    assert!(trained.contains_key("temporal.cls_token"));
}

#[test]
fn what_cannot_be_used_is_one_line() {
    let (_folder, sandbox) = sandbox();
    write_model(&sandbox);
    write_miniature(&sandbox, Benchmark::Afew);
    sandbox.write("emotionclip.safetensors", small_model().to_bytes().unwrap());
    sandbox.write("texts.toml", "happiness = ['a']\ncontempt = ['b']\n");
    let all: String = Benchmark::Afew
        .emotions()
        .iter()
        .map(|emotion| format!("{emotion} = ['a face']\n"))
        .collect();
    sandbox.write("strange.toml", all + "contempt = ['a sneer']\n");
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    // A checkpoint as the release writes them, but of another size than the release's model.
    let small = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/parity/goldens/emoclip_data_parallel.pt"
    );
    sandbox.write("small.pt", std::fs::read(small).unwrap());
    let zero_shot = "emoclip zero-shot --dataset afew --root afew --model model.safetensors";
    let train = "emoclip train --dataset afew --root afew --mode supervised --model \
                 model.safetensors --run run";
    for (line, parts) in [
        (
            zero_shot.replace("--root afew", "--root none"),
            ["'none'", "layout afew"],
        ),
        (
            zero_shot.replace("--root afew", "--root empty"),
            ["empty", "layout afew"],
        ),
        (zero_shot.replace("--root afew", ""), ["--root", "https://"]),
        (
            zero_shot.replace("--dataset afew", ""),
            ["--dataset", "mafw"],
        ),
        (
            zero_shot.replace("model.safetensors", "emotionclip.safetensors"),
            ["emotionclip.safetensors", "not an EmoCLIP"],
        ),
        (
            zero_shot.replace("model.safetensors", "no.pt"),
            ["no.pt", "no such file"],
        ),
        (
            format!("{zero_shot} --descriptions texts.toml"),
            ["texts.toml", "no texts for"],
        ),
        (
            format!("{zero_shot} --descriptions strange.toml"),
            ["strange.toml", "'contempt' is no class"],
        ),
        (format!("{zero_shot} --folds 2"), ["AFEW", "no fold 2"]),
        (
            format!("{zero_shot} --labels compound"),
            ["compound", "MAFW"],
        ),
        (format!("{zero_shot} --frames 64"), ["--frames", "63"]),
        (
            format!("{zero_shot} --downsample 0"),
            ["--downsample", "at least 1"],
        ),
        (
            train.replace("supervised", "captions"),
            ["caption", "--mode supervised"],
        ),
        (train.to_owned(), ["fewer than one batch", "--batch-size"]),
        (format!("{train} --epochs 0"), ["--epochs", "at least 1"]),
        (
            format!("{train} --learning-rate nan"),
            ["--learning-rate", "positive"],
        ),
        (
            train.replace("--mode supervised", ""),
            ["--mode", "captions"],
        ),
    ] {
        sandbox.refuses(&words(&line), &parts);
    }
    sandbox.refuses(
        &words(&zero_shot.replace("model.safetensors", "small.pt")),
        &["small.pt", "does not fit"],
    );
    assert!(!sandbox.path("run").exists(), "nothing is written");

    // Not the input's fault, so exit code 1; one line all the same.
    let line = format!("{train} --frames 2 --batch-size 14 --epochs 3 --learning-rate 1e30");
    let finished = sandbox.run(&words(&line));
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let last = finished.stderr.lines().last().unwrap();
    assert!(
        last.contains("diverged at step 2") && last.contains("--learning-rate"),
        "{last}"
    );
}
