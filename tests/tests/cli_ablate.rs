//! `trainer ablate` as a user runs it, with a model and a budget so small that a run takes a moment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use emotionclip::checkpoint::{self, StateDict};
use emotionclip_data::faces::miniature;
use integration_tests::cli::{Sandbox, program};
use serde_json::Value;

const SIZES: &str = "--config recipe.toml --scenes 42 --probe-scenes 28";

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The built-in recipe with a smaller model and smaller batches, in `recipe.toml`.
fn sandbox(corpus: &str, [own_size, image_size]: [usize; 2]) -> (tempfile::TempDir, Sandbox) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    let line = format!("ablate --print-config {corpus}");
    let mut recipe = sandbox.run(&words(&line)).stdout;
    for (from, to) in [
        (
            format!("image_size = {own_size}").as_str(),
            format!("image_size = {image_size}"),
        ),
        ("frames = 4", "frames = 2".to_owned()),
        ("batch_size = 32", "batch_size = 4".to_owned()),
    ] {
        assert!(recipe.contains(from), "{from} in {recipe}");
        recipe = recipe.replace(from, &to);
    }
    for words in ["batch_size = 64", "batch_size = 128"] {
        recipe = recipe.replace(words, "batch_size = 4");
    }
    sandbox.write("recipe.toml", recipe);
    (folder, sandbox)
}

/// The files of this name anywhere below a folder, with what tells whether they were written again.
fn written(root: &Path, name: &str) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|found| found == name) {
                let time = path.metadata().unwrap().modified().unwrap();
                found.insert(path, time);
            }
        }
    }
    found
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn weights(sandbox: &Sandbox, run: &str) -> StateDict {
    let path = sandbox.path(run).join("model.safetensors");
    checkpoint::read(std::fs::read(&path).unwrap(), run).unwrap()
}

/// Whether all weights of an encoder are those of the pretrained model.
fn is_untouched(found: &StateDict, start: &StateDict, encoder: &str) -> bool {
    let of = |key: &str| match key {
        key if key.starts_with("visual_head.") => "temporal",
        key if key.contains("visual") => "frame",
        key if key.contains("logit_scale") => "scale",
        _ => "text",
    };
    let mut keys = found.keys().filter(|key| of(key) == encoder).peekable();
    assert!(keys.peek().is_some(), "no weight of the {encoder} encoder");
    keys.all(|key| {
        let start = start.get(key).map(|tensor| tensor.bytes().to_vec());
        start.as_deref() == found.get(key).map(|tensor| tensor.bytes().as_ref())
    })
}

#[test]
fn all_tables_are_trained_measured_and_reported_once() {
    let corpus = "--corpus synthetic";
    let (_folder, sandbox) = sandbox(corpus, [64, 32]);
    let sweep = format!("ablate {corpus} {SIZES} --out sweep");
    let command = format!("{sweep} --seeds 1 --budget 6steps");
    let listed = sandbox.json(&words(&format!("{command} --list")));
    let variants = listed["variants"].as_array().unwrap();
    assert_eq!(variants.len(), 19);
    // Four stages keep a step each, whatever is asked for. Words are learned once for all, figures once for
    // those that tell the subject alike with the same β and encoders.
    let steps_of = |slug: &str| -> u64 {
        let one = variants.iter().find(|one| one["variant"] == slug).unwrap();
        ["steps", "shared_steps"]
            .map(|name| one[name].as_u64().unwrap())
            .iter()
            .sum()
    };
    assert!((6..=8).contains(&steps_of("vanilla")), "{listed}");
    let shared = listed["shared"].as_object().unwrap();
    assert_eq!(shared.len(), 18, "{shared:?}");
    for slug in [
        "pretrained",
        "shared",
        "shared-saam-2-beta-0",
        "shared-sap-beta-0.3",
        "shared-sap-beta-1-frame-random-text-random",
        "shared-text-random",
    ] {
        assert!(shared.contains_key(slug), "{slug} in {shared:?}");
    }
    assert_eq!(listed["finished"], 0);
    assert!(!sandbox.path("sweep").exists(), "a list makes nothing");

    let found = sandbox.json(&words(&command));
    assert_eq!(
        (&found["finished"], &found["planned"]),
        (&19.into(), &19.into())
    );
    let warnings = found["warnings"].to_string();
    assert!(warnings.contains("Fewer than three seeds"), "{warnings}");
    assert!(
        warnings.contains("Vanilla is"),
        "six steps teach nothing: {warnings}"
    );

    let report = json(&sandbox.path("sweep/ablation.json"));
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 19);
    for row in rows {
        let runs = row["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 1, "{row}");
        assert_eq!(runs[0]["steps"], steps_of(row["slug"].as_str().unwrap()));
        for run in runs {
            let scores = &run["scores"];
            for name in [
                "zero_shot",
                "empty_mask",
                "probe",
                "probe_map",
                "zero_shot_macro_f1",
            ] {
                let score = scores[name].as_f64().unwrap();
                assert!((0.0..=1.0).contains(&score), "{name} {score}");
            }
            let people = scores["by_people"].as_array().unwrap();
            assert_eq!(people.len(), 3);
            let scenes: u64 = people
                .iter()
                .map(|one| one["scenes"].as_u64().unwrap())
                .sum();
            assert_eq!(scenes, 42);
            // A vanilla encoder can't tell whether there is a mask.
            if row["slug"] == "vanilla" {
                assert_eq!(scores["zero_shot"], scores["empty_mask"]);
            }
        }
    }
    let models: Vec<&str> = rows
        .iter()
        .flat_map(|row| row["runs"].as_array().unwrap())
        .map(|run| run["model_sha256"].as_str().unwrap())
        .collect();
    let distinct: std::collections::BTreeSet<&&str> = models.iter().collect();
    assert_eq!(distinct.len(), models.len(), "two runs gave the same model");
    let lengths: Vec<usize> = report["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| table["rows"].as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [5, 10, 7]);
    let page = std::fs::read_to_string(sandbox.path("sweep/ablation.html")).unwrap();
    let document = std::fs::read_to_string(sandbox.path("sweep/ablation.md")).unwrap();
    for part in [
        "BoLD 22.51 mAP",
        "--seeds 1 --budget 6steps",
        "SAAM, 2 layers",
        "Fewer than three",
    ] {
        assert!(page.contains(part), "{part} in the page");
        assert!(document.contains(part), "{part} in the document");
    }
    assert!(page.contains("class=\"chart wide\"") && !page.contains("NaN"));

    // Encoders are what their rows say.
    let start = weights(&sandbox, "sweep/pretrained/1");
    let untouched = |run: &str| {
        let found = weights(&sandbox, &format!("sweep/{run}/1"));
        ["frame", "text", "temporal"].map(|encoder| is_untouched(&found, &start, encoder))
    };
    assert_eq!(untouched("shared"), [true, false, true]);
    assert_eq!(untouched("shared-text-random"), [true, false, true]);
    assert_eq!(untouched("shared-sap-beta-1"), [false, false, true]);
    assert_eq!(untouched("sap-snce"), [false; 3]);
    assert_eq!(untouched("frame-frozen"), [true, false, false]);
    assert_eq!(untouched("text-frozen"), [false, true, false]);
    assert_eq!(untouched("frame-text-frozen"), [true, true, false]);
    assert_eq!(untouched("temporal-frozen"), [false, false, true]);
    assert_eq!(untouched("all-random"), [false; 3]);
    let mean = weights(&sandbox, "sweep/temporal-mean/1");
    assert!(!mean.keys().any(|key| key.starts_with("visual_head.")));

    // The same command reads and trains nothing again.
    let before = (
        written(&sandbox.path("sweep"), "model.safetensors"),
        written(&sandbox.path("sweep"), "result-test.json"),
    );
    assert_eq!((before.0.len(), before.1.len()), (37, 19));
    let again = sandbox.json(&words(&command));
    assert_eq!(again["variants"], found["variants"]);
    let after = (
        written(&sandbox.path("sweep"), "model.safetensors"),
        written(&sandbox.path("sweep"), "result-test.json"),
    );
    assert_eq!(before, after);

    // Another split is measured without training, and a seed more is trained.
    let other = format!("{sweep} --budget 6steps --tables 1 --split validation");
    let validated = sandbox.json(&words(&format!("{other} --seeds 1,2")));
    assert_eq!(
        (&validated["finished"], &validated["planned"]),
        (&10.into(), &10.into())
    );
    assert_eq!(validated["variants"][0]["seeds"], 2);
    assert!(validated["variants"][0]["probe"]["deviation"].is_number());
    let mut models = written(&sandbox.path("sweep"), "model.safetensors");
    models.retain(|path, _| path.parent().is_some_and(|run| run.ends_with("1")));
    assert_eq!(models, before.0);
    let results = written(&sandbox.path("sweep"), "result-validation.json");
    assert_eq!(results.len(), 10);

    // Other settings are another sweep.
    let longer = format!("{sweep} --seeds 1 --budget 8steps");
    sandbox.refuses(&words(&longer), &["other settings", "--out"]);
}

/// The steps that a run's metrics tell of.
fn steps_of(path: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line["loss"].is_number())
        .map(|line| line["step"].as_u64().unwrap())
        .collect()
}

/// Starts the program and waits until a file has so many lines.
fn start_until(sandbox: &Sandbox, command: &str, file: &str, lines: usize) -> Child {
    let child = Command::new(program())
        .args(words(command))
        .args(["--device", "cpu", "--quiet"])
        .current_dir(sandbox.path(""))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let file = sandbox.path(file);
    for _ in 0..6000 {
        if std::fs::read_to_string(&file).is_ok_and(|text| text.lines().count() >= lines) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

#[test]
fn a_sweep_goes_on_where_it_was_interrupted_or_killed() {
    let corpus = "--corpus synthetic";
    let (_folder, sandbox) = sandbox(corpus, [64, 32]);
    let command = |out: &str| {
        format!(
            "ablate {corpus} {SIZES} --out {out} --tables 6 --betas 3 --seeds 5 --budget 40steps \
             --checkpoint-every 5"
        )
    };
    // Ctrl-C while the first run learns: it saves and says how to go on.
    let child = start_until(
        &sandbox,
        &command("broken"),
        "broken/shared-sap-beta-0/5/metrics.jsonl",
        8,
    );
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("sap, seed 5: interrupted") && stderr.contains("same command"),
        "{stderr}"
    );
    assert!(
        !sandbox
            .path("broken/shared-sap-beta-0/5/trained.json")
            .exists()
    );
    let pretrained = written(&sandbox.path("broken/pretrained"), "model.safetensors");
    assert_eq!(pretrained.len(), 1);

    // The end without warning, in the second run.
    let metrics = "broken/shared-sap-beta-1/5/metrics.jsonl";
    let mut child = start_until(&sandbox, &command("broken"), metrics, 8);
    child.kill().unwrap();
    child.wait().unwrap();
    let first = written(&sandbox.path("broken/sap"), "model.safetensors");
    assert_eq!(first.len(), 1, "the first run was finished");

    let broken = sandbox.json(&words(&command("broken")));
    assert_eq!(broken["finished"], 3);
    assert_eq!(
        written(&sandbox.path("broken/pretrained"), "model.safetensors"),
        pretrained
    );
    assert_eq!(
        written(&sandbox.path("broken/sap"), "model.safetensors"),
        first
    );

    let whole = sandbox.json(&words(&command("whole")));
    assert_eq!(broken["variants"], whole["variants"]);
    for run in [
        "shared-sap-beta-0",
        "sap",
        "shared-sap-beta-1",
        "sap-snce",
        "beta-3",
    ] {
        let trained = |out: &str| json(&sandbox.path(&format!("{out}/{run}/5/trained.json")));
        assert_eq!(
            trained("broken")["model_sha256"],
            trained("whole")["model_sha256"],
            "{run}"
        );
        let steps = |out: &str| steps_of(&sandbox.path(&format!("{out}/{run}/5/metrics.jsonl")));
        assert_eq!(steps("broken"), steps("whole"), "every step once");
    }
}

#[test]
fn two_processes_share_a_sweep_out() {
    let corpus = "--corpus synthetic";
    let (_folder, sandbox) = sandbox(corpus, [64, 32]);
    let command = |out: &str| {
        format!(
            "ablate {corpus} {SIZES} --out {out} --tables 6 --betas 3 --seeds 5 --budget 60steps"
        )
    };
    // The second finds the first in its first run, leaves that to it and waits for what comes before all.
    let first = start_until(
        &sandbox,
        &command("both"),
        "both/pretrained/5/metrics.jsonl",
        1,
    );
    let second = sandbox.json(&words(&command("both")));
    assert_eq!(second["finished"], 3);
    let output = first.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let report = json(&sandbox.path("both/ablation.json"));
    assert!(
        !report["warnings"].to_string().contains("Unfinished"),
        "{}",
        report["warnings"]
    );
    // Each step was taken once, and to the same numbers as by one process alone.
    let alone = sandbox.json(&words(&command("alone")));
    assert_eq!(second["variants"], alone["variants"]);
    let runs = written(&sandbox.path("both"), "metrics.jsonl");
    assert_eq!(runs.len(), 8);
    for path in runs.keys() {
        let steps = steps_of(path);
        let expected: Vec<u64> = (1..=steps.len() as u64).collect();
        assert_eq!(steps, expected, "{}", path.display());
    }
}

#[test]
fn real_faces_are_shared_out_between_descriptions_and_utterances() {
    let corpus = "--corpus faces --root corpus";
    let (_folder, sandbox) = sandbox(corpus, [80, 48]);
    miniature::write_sources(&sandbox.path(""), [6, 3, 4]).unwrap();
    let build = "data build-scenes --faces fer2013 --texts goemotions --out corpus";
    assert_eq!(sandbox.run(&words(build)).code, Some(0));
    // Two variants: plain InfoNCE, and the recipe's β.
    let command = format!("ablate {corpus} {SIZES} --tables 6 --betas 1 --seeds 1 --budget 4steps");
    let found = sandbox.json(&words(&format!("{command} --out sweep")));
    assert_eq!(found["planned"], 2);
    let report = json(&sandbox.path("sweep/ablation.json"));
    assert_eq!(report["most_people"], 4);
    let config = |run: &str| {
        std::fs::read_to_string(sandbox.path(&format!("sweep/{run}/1/config.toml"))).unwrap()
    };
    let start = config("pretrained");
    for part in [
        "part = \"set_aside\"",
        "texts = \"descriptions\"",
        "beta = 0.0",
    ] {
        assert!(start.contains(part), "{part} in {start}");
    }
    let run = config("shared-sap-beta-1");
    for part in ["part = \"rest\"", "texts = \"utterances\"", "beta = 1.0"] {
        assert!(run.contains(part), "{part} in {run}");
    }
    let examples = report["pretraining"]["examples"].as_array().unwrap();
    assert_eq!(examples.len(), 5);
    let page = std::fs::read_to_string(sandbox.path("sweep/ablation.html")).unwrap();
    assert!(page.contains("one of four training faces is set aside"));
}

#[test]
fn wrong_settings_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    let drawn = "ablate --corpus synthetic --out sweep";
    let refused = |line: &str, parts: &[&str]| sandbox.refuses(&words(line), parts);
    refused(
        "ablate --corpus faces --out sweep",
        &["--root", "build-scenes"],
    );
    refused(&format!("{drawn} --root corpus"), &["--root"]);
    refused(&format!("{drawn} --seeds 1,2,1"), &["--seeds", "twice"]);
    refused(&format!("{drawn} --seeds 1,2013"), &["--seeds", "2013"]);
    refused(
        &format!("{drawn} --saam-layers 1,3"),
        &["--saam-layers", "1 to 2"],
    );
    refused(&format!("{drawn} --scenes 7"), &["--scenes", "28"]);
    refused(&format!("{drawn} --betas 1,-2"), &["--betas", "-2"]);
    refused(
        "ablate --corpus faces --root nowhere --out sweep",
        &["nowhere"],
    );
    for wrong in ["--tables 2", "--budget 0", "--split half", "--seeds x"] {
        let finished = sandbox.run(&words(&format!("{drawn} {wrong}")));
        assert_eq!(finished.code, Some(2), "{wrong}");
        let option = wrong.split(' ').next().unwrap();
        assert!(finished.stderr.contains(option), "{}", finished.stderr);
    }
    assert!(!sandbox.path("sweep").exists());
}
