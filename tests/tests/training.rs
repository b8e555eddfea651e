//! Pre-training as a user runs it: killed, interrupted, resumed, misconfigured, on a full disk.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use emotionclip::{Pretrained, checkpoint};
use integration_tests::cli::{Sandbox, program};
use serde_json::Value;

/// A model and a run of seconds, with dropout so that a wrong random state would show, and a stem whose
/// running statistics must come through as well.
const CONFIG: &str = r#"
seed = 5
validate_every_steps = 8
[loss]
beta = 10.0
direction = "paper"
[optimizer]
beta_1 = 0.9
beta_2 = 0.98
epsilon = 1e-6
[rates]
frame_gain_bias = { learning_rate = 1e-3, weight_decay = 0.0 }
frame_rest = { learning_rate = 1e-3, weight_decay = 0.05 }
text_gain_bias = { learning_rate = 1e-3, weight_decay = 0.0 }
text_rest = { learning_rate = 1e-3, weight_decay = 0.05 }
temporal_gain_bias = { learning_rate = 1e-3, weight_decay = 0.0 }
temporal_rest = { learning_rate = 1e-3, weight_decay = 0.05 }
logit_scale = { learning_rate = 1e-3, weight_decay = 0.0 }
[corpus]
kind = "synthetic"
seed = 5
restraint = 0.0
epoch_clips = 64
[checkpoints]
every_steps = 2
every_minutes = 0.0
keep = 2
[[stages]]
name = "words"
input = "utterances"
figures = "single"
batch_size = 4
steps = 4
rate_factor = 1.0
schedule = { kind = "constant" }
[[stages]]
name = "frames"
input = "peak"
figures = "mixed"
freeze_text = true
batch_size = 4
steps = 6
rate_factor = 1.0
schedule = { kind = "cosine", warmup_steps = 2, final_fraction = 0.1 }
[[stages]]
name = "clips"
input = "clip"
figures = "multi"
batch_size = 4
steps = 10
rate_factor = 1.0
schedule = { kind = "constant" }
[model]
embed_dim = 16
[model.vision]
image_size = 32
patch_size = 8
width = 16
layers = 1
heads = 2
[model.vision.stem.convolution]
layers = [[8, 2], [12, 2]]
norm = "batch"
[model.text]
context_length = 24
vocab_size = 814
width = 16
layers = 1
heads = 2
[model.temporal]
fusion = "transformer"
frames = 3
layers = 1
heads = 2
feed_forward = 16
dropout = 0.1
"#;

fn sandbox() -> (tempfile::TempDir, Sandbox) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    sandbox.write("run.toml", CONFIG);
    (folder, sandbox)
}

fn start(folder: &Path, run: &str, resume: bool) -> Child {
    let mut command = Command::new(program());
    command
        .args(["pretrain", "--device", "cpu", "--quiet", "--run", run])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if resume {
        command.arg("--resume");
    } else {
        command.args(["--config", "run.toml"]);
    }
    command.spawn().unwrap()
}

/// Ctrl-C.
#[cfg(unix)]
fn interrupt(child: Child) -> std::process::Output {
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    child.wait_with_output().unwrap()
}

fn checkpoints(run: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoints")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Waits until the run has a checkpoint of at least this step.
fn wait_for_step(run: &Path, step: usize) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while Instant::now() < deadline {
        let reached = checkpoints(run)
            .iter()
            .filter_map(|name| name.strip_prefix("step-")?.parse::<usize>().ok())
            .any(|found| found >= step);
        if reached {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("no checkpoint of step {step} within two minutes");
}

fn losses(run: &Path) -> Vec<(u64, f64)> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|line| Some((line["step"].as_u64()?, line["loss"].as_f64()?)))
        .collect()
}

#[test]
fn a_killed_run_resumes_to_the_same_numbers() {
    let (folder, sandbox) = sandbox();
    let whole = sandbox.json(&["pretrain", "--config", "run.toml", "--run", "whole"]);
    // Once within each kind of stage, and again while the resumed run is under way.
    let run = sandbox.path("killed");
    for (step, resume) in [(2, false), (8, true), (14, true)] {
        let mut child = start(folder.path(), "killed", resume);
        wait_for_step(&run, step);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let unfinished = run.join("checkpoints/.partial-1");
    std::fs::create_dir(&unfinished).unwrap();
    let resumed = sandbox.json(&["pretrain", "--run", "killed", "--resume"]);
    assert!(!unfinished.exists());
    assert_eq!(resumed["model_sha256"], whole["model_sha256"]);
    assert_eq!(resumed["final_loss"], whole["final_loss"]);
    assert_eq!(resumed["validation_accuracy"], whole["validation_accuracy"]);
    assert_eq!(
        losses(&run),
        losses(&sandbox.path("whole")),
        "every step once, the same loss"
    );
    // A finished run tells the same once more.
    let metrics = std::fs::read(run.join("metrics.jsonl")).unwrap();
    let again = sandbox.json(&["pretrain", "--run", "killed", "--resume"]);
    assert_eq!(again["final_loss"], whole["final_loss"]);
    assert_eq!(again["validation_accuracy"], whole["validation_accuracy"]);
    assert_eq!(std::fs::read(run.join("metrics.jsonl")).unwrap(), metrics);
    for (flag, value) in [("--budget", "0.5"), ("--seed", "6")] {
        sandbox.refuses(
            &["pretrain", "--run", "killed", "--resume", flag, value],
            &[flag, "leave it out to resume"],
        );
    }
    sandbox.refuses(
        &["pretrain", "--run", "nowhere", "--resume"],
        &["nowhere", "no run to resume"],
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_stops() {
    let (folder, sandbox) = sandbox();
    let child = start(folder.path(), "stopped", false);
    wait_for_step(&sandbox.path("stopped"), 2);
    let output = interrupt(child);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        // The run was faster than the signal: nothing to resume, and nothing lost.
        return;
    }
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("interrupted at step") && stderr.contains("--resume"),
        "{stderr}"
    );
    let whole = sandbox.json(&["pretrain", "--config", "run.toml", "--run", "whole"]);
    let resumed = sandbox.json(&["pretrain", "--run", "stopped", "--resume"]);
    assert_eq!(resumed["model_sha256"], whole["model_sha256"]);
}

/// The first of the README's commands, on a fiftieth of its steps.
#[cfg(unix)]
#[test]
fn the_embedded_run_goes_on_after_ctrl_c_to_its_whole_report() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    let child = Command::new(program())
        .args(["--budget", "0.02", "--checkpoint-every", "4"])
        .args(["--device", "cpu", "--quiet"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let run = sandbox.path("runs/nano");
    wait_for_step(&run, 4);
    let output = interrupt(child);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("continue with --resume"), "{stderr}");
    let before = losses(&run);
    sandbox.refuses(
        &["--run", "nowhere", "--resume"],
        &["nowhere", "no run to resume"],
    );

    let summary = sandbox.json(&["--resume"]);
    let steps: Vec<u64> = losses(&run).iter().map(|(step, _)| *step).collect();
    assert!(before.len() < steps.len());
    assert_eq!(losses(&run)[..before.len()], before);
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>());
    for share in [
        "zero_shot_accuracy",
        "probe_accuracy",
        "unseen_utterance_accuracy",
        "empty_mask_accuracy",
    ] {
        let value = summary[share].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&value), "{share}: {value}");
    }
    let train_seconds = summary["train_seconds"].as_f64().unwrap();
    assert!(summary["total_seconds"].as_f64().unwrap() > train_seconds);
    let report = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.starts_with("<!DOCTYPE html>") && !report.contains("NaN"));
    let saved = std::fs::read(run.join("summary.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&saved).unwrap(), summary);
    assert!(!sandbox.path("runs/nano-2").exists());
}

#[test]
fn a_run_starts_from_a_model_but_for_the_tensors_that_are_to_begin_anew() {
    let (folder, sandbox) = sandbox();
    assert!(
        start(folder.path(), "first", false)
            .wait()
            .unwrap()
            .success()
    );
    // At these rates nothing moves, so what differs afterwards differed at the start.
    let still = CONFIG
        .replace("learning_rate = 1e-3", "learning_rate = 1e-12")
        .replace("weight_decay = 0.05", "weight_decay = 0.0");
    let from = "seed = 6\nstart_from = \"first/model.safetensors\"";
    sandbox.write(
        "run.toml",
        still
            .replace("\nseed = 5\nvalidate", &format!("\n{from}\nvalidate"))
            .replace("name = \"words\"", "name = \"words\"\nanew = [\".attn.\"]"),
    );
    assert!(
        start(folder.path(), "second", false)
            .wait()
            .unwrap()
            .success()
    );
    let model = |run: &str| {
        let bytes = std::fs::read(sandbox.path(&format!("{run}/model.safetensors"))).unwrap();
        checkpoint::read(bytes, run).unwrap()
    };
    let (first, second) = (model("first"), model("second"));
    let mut anew = 0;
    for (key, tensor) in &first {
        let (before, after) = (tensor.to_f32(), second[key].to_f32());
        let moved = before.iter().zip(&after).any(|(a, b)| (a - b).abs() > 1e-6);
        if key.contains(".running_") {
            // These follow the batches at any rate.
            continue;
        }
        let is_weight = key.contains(".attn.") && key.ends_with("weight");
        anew += usize::from(is_weight && moved);
        assert!(!moved || key.contains(".attn."), "{key}");
    }
    assert_eq!(anew, 4, "both projections of both towers' only blocks");
}

#[test]
fn a_frame_encoder_of_another_size_starts_at_random_or_not_at_all() {
    let (_folder, sandbox) = sandbox();
    sandbox.json(&["pretrain", "--config", "run.toml", "--run", "first"]);
    let from = "seed = 6\nstart_from = \"first/model.safetensors\"";
    let larger = CONFIG
        .replace("\nseed = 5\nvalidate", &format!("\n{from}\nvalidate"))
        .replace("image_size = 32", "image_size = 48");
    sandbox.write("larger.toml", &larger);
    let arguments = ["pretrain", "--config", "larger.toml", "--run", "never"];
    sandbox.refuses(
        &arguments,
        &["first/model.safetensors", "32 pixels", "this run's 48"],
    );
    let random = larger.replace("[loss]", "[towers]\nframe = \"random\"\n[loss]");
    sandbox.write("larger.toml", random);
    sandbox.json(&["pretrain", "--config", "larger.toml", "--run", "second"]);
    let model = std::fs::read(sandbox.path("second/model.safetensors")).unwrap();
    let model = Pretrained::from_bytes(model, "second", &Device::flex()).unwrap();
    assert_eq!(model.preprocess.crop, 48);
}

#[test]
fn a_stage_begins_tensors_anew_and_a_resumed_run_does_so_too() {
    let (folder, sandbox) = sandbox();
    // At these rates nothing moves: the first run's model is what a run of this seed begins with.
    let still = CONFIG
        .replace("learning_rate = 1e-3", "learning_rate = 1e-12")
        .replace("weight_decay = 0.05", "weight_decay = 0.0");
    sandbox.write("still.toml", still);
    let undecayed = CONFIG.replace("weight_decay = 0.05", "weight_decay = 0.0");
    let (before, last) = undecayed.split_once("name = \"clips\"").unwrap();
    let last = last.replacen("rate_factor = 1.0", "rate_factor = 1e-9", 1);
    let anew = format!("{before}name = \"clips\"\nanew = [\".visual.transformer.\"]{last}");
    sandbox.write("run.toml", &anew);
    sandbox.json(&["pretrain", "--config", "still.toml", "--run", "still"]);
    let whole = sandbox.json(&["pretrain", "--config", "run.toml", "--run", "whole"]);
    let model = |run: &str| {
        let bytes = std::fs::read(sandbox.path(&format!("{run}/model.safetensors"))).unwrap();
        checkpoint::read(bytes, run).unwrap()
    };
    let (first, trained) = (model("still"), model("whole"));
    for (key, tensor) in &first {
        let pairs = tensor.to_f32().into_iter().zip(trained[key].to_f32());
        let moved = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        if key.contains(".visual.transformer.") {
            assert!(moved < 1e-6, "{key} is anew");
        } else if key.ends_with("proj") || key.contains("text_projection") {
            assert!(moved > 1e-6, "{key} stays as the stages before made it");
        }
    }
    // The checkpoint of step 10 lies between the stages.
    let mut child = start(folder.path(), "killed", false);
    wait_for_step(&sandbox.path("killed"), 10);
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = sandbox.json(&["pretrain", "--run", "killed", "--resume"]);
    assert_eq!(resumed["model_sha256"], whole["model_sha256"]);

    sandbox.write(
        "wrong.toml",
        anew.replace(".visual.transformer.", ".visual.atn."),
    );
    let arguments = ["pretrain", "--config", "wrong.toml", "--run", "never"];
    sandbox.refuses(&arguments, &["stages.clips.anew", "'.visual.atn.'"]);
}

#[test]
fn a_run_belongs_to_one_process_at_a_time() {
    let (folder, sandbox) = sandbox();
    let mut child = start(folder.path(), "run", false);
    wait_for_step(&sandbox.path("run"), 2);
    let signal = |name: &str| {
        let pid = child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.unwrap().success());
    };
    // Held still, so that it can't end before the second one looks.
    signal("-STOP");
    let arguments = ["pretrain", "--run", "run", "--resume"];
    let second = sandbox.run(&arguments);
    signal("-CONT");
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(
        second
            .stderr
            .contains("run: another process works on this run"),
        "{}",
        second.stderr
    );
    assert!(child.wait().unwrap().success());
    // Nothing of it stays behind.
    assert_eq!(sandbox.run(&arguments).code, Some(0));
}

#[test]
fn an_existing_run_is_never_overwritten() {
    let (_folder, sandbox) = sandbox();
    sandbox.json(&["pretrain", "--config", "run.toml", "--run", "first"]);
    let again = sandbox.run(&["pretrain", "--config", "run.toml", "--run", "first"]);
    assert_eq!(again.code, Some(2), "{}", again.stderr);
    assert!(again.stderr.contains("--resume"), "{}", again.stderr);
}

#[test]
fn bad_configurations_are_one_line_naming_file_and_field() {
    let (_folder, sandbox) = sandbox();
    let unknown = CONFIG.replace("patch_size = 8", "patch_size = 8\npatchsize = 8");
    let impossible = CONFIG.replace(
        "heads = 2\n[model.vision.stem",
        "heads = 5\n[model.vision.stem",
    );
    let negative = CONFIG.replace("beta = 10.0", "beta = -1.0");
    // Its last stage is of whole clips.
    let shared = CONFIG.replace(
        "figures = \"multi\"",
        "figures = \"multi\"\nsubjects = \"everyone\"",
    );
    let cases = [
        ("shared.toml", shared.as_bytes().to_vec(), "stages.clips"),
        ("unknown.toml", unknown.as_bytes().to_vec(), "patchsize"),
        (
            "impossible.toml",
            impossible.as_bytes().to_vec(),
            "vision.heads",
        ),
        ("negative.toml", negative.as_bytes().to_vec(), "loss.beta"),
        ("binary.toml", vec![0xff, 0xfe, 0x00], "UTF-8"),
    ];
    for (name, content, field) in cases {
        sandbox.write(name, content);
        let finished = sandbox.run(&["pretrain", "--config", name, "--run", "never"]);
        assert_eq!(finished.code, Some(2), "{name}: {}", finished.stderr);
        let message = finished.stderr.trim();
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(
            message.contains(name) && message.contains(field),
            "{message}"
        );
        assert!(
            !sandbox.path("never").exists(),
            "{name}: nothing is half-written"
        );
    }
}

#[test]
fn a_diverging_run_stops_with_its_diagnosis_and_keeps_the_last_good_checkpoint() {
    let (_folder, sandbox) = sandbox();
    // A rate that overflows f32 within a few updates, in the last stage only.
    let (calm, clips) = CONFIG.split_once("name = \"clips\"").unwrap();
    let wild = clips.replacen("rate_factor = 1.0", "rate_factor = 1e30", 1);
    sandbox.write("wild.toml", format!("{calm}name = \"clips\"{wild}"));
    let finished = sandbox.run(&["pretrain", "--config", "wild.toml", "--run", "wild"]);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    for part in ["diverged at step", "rates", "finite", "step-10"] {
        assert!(
            finished.stderr.contains(part),
            "{part}: {}",
            finished.stderr
        );
    }
    assert!(checkpoints(&sandbox.path("wild")).contains(&"step-10".to_owned()));
}

#[test]
fn a_damaged_checkpoint_is_named_and_nothing_is_lost() {
    let (_folder, sandbox) = sandbox();
    sandbox.json(&["pretrain", "--config", "run.toml", "--run", "run"]);
    let model = sandbox.path("run/checkpoints/step-20/model.safetensors");
    let whole = std::fs::read(&model).unwrap();
    std::fs::write(&model, &whole[..whole.len() / 2]).unwrap();
    let finished = sandbox.run(&["pretrain", "--run", "run", "--resume"]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("model.safetensors"),
        "{}",
        finished.stderr
    );
    assert!(sandbox.path("run/model.safetensors").exists());
}

/// Needs the right to mount a small file system; says so where it has none.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_the_run_and_leaves_whole_checkpoints_only() {
    let (folder, sandbox) = sandbox();
    let small = sandbox.path("small");
    std::fs::create_dir(&small).unwrap();
    // Room for two checkpoints of this model (110 kB each), not for three beside each other.
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=400k", "tmpfs"])
        .arg(&small)
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: a full disk needs the right to mount a tmpfs");
        return;
    }
    let finished = sandbox.run(&["pretrain", "--config", "run.toml", "--run", "small/run"]);
    let left = checkpoints(&small.join("run"));
    let whole = left.iter().all(|name| {
        ["model.safetensors", "optimizer.safetensors", "state.json"]
            .iter()
            .all(|file| {
                small
                    .join("run/checkpoints")
                    .join(name)
                    .join(file)
                    .is_file()
            })
    });
    let unmounted = Command::new("umount").arg(&small).status().unwrap();
    assert!(unmounted.success(), "{}", folder.path().display());
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("free some space"),
        "{}",
        finished.stderr
    );
    assert!(
        whole && left.iter().all(|name| name.starts_with("step-")),
        "{left:?}"
    );
}
