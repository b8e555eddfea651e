//! Whatever a user gets wrong is one line that names the file and what to do, exit code 2, and
//! nothing half-written.

use emotionclip::Emotion;
use emotionclip::checkpoint::{self, RawTensor, write_safetensors};
use emotionclip::parameters::to_state_dict;
use integration_tests::cli::{Sandbox, small_model, write_faces};

const GOLDENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/parity/goldens/checkpoints");

fn sandbox() -> (tempfile::TempDir, Sandbox) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    (folder, sandbox)
}

/// Everything in the sandbox but its caches.
fn entries(sandbox: &Sandbox) -> Vec<String> {
    let listed = std::fs::read_dir(sandbox.path("")).unwrap();
    let mut names: Vec<String> = listed
        .map(|entry| entry.unwrap().file_name().display().to_string())
        .collect();
    names.retain(|name| name != "cache");
    names.sort();
    names
}

#[test]
fn checkpoints_that_are_none_are_refused_by_every_command() {
    let (_folder, sandbox) = sandbox();
    let whole = small_model().to_bytes().unwrap();
    let golden = |name: &str| std::fs::read(format!("{GOLDENS}/{name}")).unwrap();
    sandbox.write("cut.safetensors", &whole[..whole.len() / 2]);
    sandbox.write("empty.safetensors", "");
    sandbox.write("foreign.pt", golden("os_system.pt"));
    let release = golden("release.pt");
    sandbox.write("cut.pt", &release[..release.len() / 2]);
    sandbox.write("page.bin", "<!DOCTYPE html><title>404</title>");
    let before = entries(&sandbox);
    for (file, fault, remedy) in [
        ("cut.safetensors", "truncated", "download it again"),
        ("cut.pt", "truncated", "download it again"),
        ("empty.safetensors", "empty", "download it again"),
        ("foreign.pt", "posix.system", "state_dict()"),
        ("page.bin", "web page", "give a"),
        ("missing.safetensors", "no such file", "check the path"),
    ] {
        let parts = [file, fault, remedy];
        sandbox.refuses(&["import", file, "--out", "out.safetensors"], &parts);
        sandbox.refuses(&["inspect", file], &parts);
        sandbox.refuses(
            &["export", "--model", file, "--out", "out.safetensors"],
            &parts,
        );
        sandbox.refuses(&["embed", "--text", "hello", "--model", file], &parts);
    }
    assert_eq!(entries(&sandbox), before, "nothing is written");
}

#[test]
fn weights_that_are_not_finite_are_named() {
    let (_folder, sandbox) = sandbox();
    let model = small_model();
    let mut state = to_state_dict(&model.model).unwrap();
    let key = "backbone.visual.ln_pre.weight";
    let mut values = state[key].to_f32();
    values[3] = f32::NAN;
    state.insert(
        key.to_owned(),
        RawTensor::from_f32(vec![values.len()], &values).unwrap(),
    );
    sandbox.write(
        "nan.safetensors",
        write_safetensors(&state, &model.metadata()),
    );
    let before = entries(&sandbox);
    let parts = ["nan.safetensors", "not finite", key];
    sandbox.refuses(
        &["embed", "--text", "hello", "--model", "nan.safetensors"],
        &parts,
    );
    sandbox.refuses(
        &["import", "nan.safetensors", "--out", "out.safetensors"],
        &parts,
    );
    sandbox.refuses(
        &[
            "export",
            "--model",
            "nan.safetensors",
            "--format",
            "web",
            "--out",
            "web",
        ],
        &parts,
    );
    assert_eq!(entries(&sandbox), before, "nothing is written");
    // Looking at them is what `inspect` is for.
    assert_eq!(
        sandbox.json(&["inspect", "nan.safetensors"])["non_finite"],
        1
    );
}

#[test]
fn configurations_are_checked_to_the_key() {
    let (_folder, sandbox) = sandbox();
    let model = small_model();
    sandbox.write("small.safetensors", model.to_bytes().unwrap());
    let config = serde_json::to_string(model.model.config()).unwrap();
    sandbox.write(
        "typo.json",
        config.replace("\"patch_size\"", "\"patchsize\""),
    );
    sandbox.write("typo.toml", "embed_dim = 64\nembeddim = 64\n");
    sandbox.write("heads.json", config.replace("\"heads\":1", "\"heads\":7"));
    let import = |file: &str| {
        [
            "import",
            "small.safetensors",
            "--out",
            "o.safetensors",
            "--config",
            file,
        ]
        .map(str::to_owned)
    };
    sandbox.refuses(
        &import("typo.json"),
        &["typo.json", "unknown field", "patchsize"],
    );
    sandbox.refuses(
        &import("typo.toml"),
        &["typo.toml", "unknown field", "embeddim"],
    );
    sandbox.refuses(
        &import("heads.json"),
        &["heads.json", "heads", "must divide"],
    );
    assert!(!sandbox.path("o.safetensors").exists());
    // A configuration that is sound, but not this checkpoint's.
    let args = [
        "import",
        "small.safetensors",
        "--out",
        "o.safetensors",
        "--preset",
        "vit_b_32",
    ];
    sandbox.refuses(
        &args,
        &["small.safetensors", "misshapen", "check the preset"],
    );
    assert!(!sandbox.path("o.safetensors").exists());
}

#[test]
fn pictures_and_folders_are_named() {
    let (_folder, sandbox) = sandbox();
    write_faces(&sandbox.path("faces"), &[Emotion::Joy, Emotion::Fear], 2);
    let png = std::fs::read(sandbox.path("faces/joy/0.png")).unwrap();
    sandbox.write("zero.png", "");
    sandbox.write("cut.png", &png[..png.len() / 2]);
    sandbox.write("text.png", "this is no picture");
    for (file, fault) in [
        ("zero.png", "zero bytes"),
        ("cut.png", "damaged or truncated"),
        ("text.png", "not a picture of a known format"),
        ("none.png", "no such file or folder"),
    ] {
        sandbox.refuses(&["predict", file, "--out", "o.csv"], &[file, fault]);
        sandbox.refuses(&["embed", file, "--out", "o.csv"], &[file, fault]);
        sandbox.refuses(&["zero-shot", "--input", file], &[file, fault]);
    }
    assert!(!sandbox.path("o.csv").exists());
    for command in ["probe", "zero-shot"] {
        sandbox.refuses(
            &[command, "--root", "nowhere"],
            &["nowhere", "no such file or folder"],
        );
        sandbox.refuses(
            &[command, "--root", "zero.png"],
            &["zero.png", "not a folder"],
        );
    }
    let probe = ["probe", "--root", "faces", "--save", "probe.safetensors"];
    sandbox.write("faces/fear/broken.png", &png[..png.len() / 2]);
    sandbox.refuses(&probe, &["broken.png", "damaged or truncated"]);
    std::fs::remove_dir_all(sandbox.path("faces/fear")).unwrap();
    sandbox.refuses(&probe, &["faces", "at least two"]);
    assert!(!sandbox.path("probe.safetensors").exists());
}

#[test]
fn texts_labels_and_subjects_are_named() {
    let (_folder, sandbox) = sandbox();
    write_faces(&sandbox.path("faces"), &[Emotion::Joy], 1);
    sandbox.write("latin.txt", b"joy\nd\xe9go\xfbt\n");
    sandbox.write("twice.txt", "joy\nfear\njoy\n");
    let picture = "faces/joy/0.png";
    let latin = ["latin.txt", "not UTF-8", "save it as UTF-8"];
    sandbox.refuses(&["predict", picture, "--labels", "latin.txt"], &latin);
    sandbox.refuses(&["embed", "--texts", "latin.txt"], &latin);
    sandbox.refuses(
        &["predict", picture, "--labels", "twice.txt"],
        &["twice.txt", "line 3", "joy"],
    );
    sandbox.refuses(
        &[
            "predict",
            picture,
            "--labels",
            "a,b",
            "--template",
            "no gap",
        ],
        &["{label}"],
    );
    sandbox.refuses(
        &["zero-shot", "--root", "faces", "--labels", "calm,angry"],
        &["'joy'", "calm, angry", "[folders]"],
    );
    let outside = ["predict", picture, "--subject", "box:90,90,99,99"];
    sandbox.refuses(&outside, &[picture, "outside its 64 × 64"]);
    let mask = ["predict", picture, "--subject", "mask:none.png"];
    sandbox.refuses(&mask, &["none.png", "no such file"]);
    let garbled = sandbox.run(&["predict", picture, "--subject", "box:1,2"]);
    assert_eq!(garbled.code, Some(2), "{}", garbled.stderr);
}

#[test]
fn damaged_probes_and_bundles_are_named() {
    let (_folder, sandbox) = sandbox();
    write_faces(&sandbox.path("faces"), &[Emotion::Joy], 1);
    let picture = "faces/joy/0.png";
    sandbox.write("small.safetensors", small_model().to_bytes().unwrap());
    let args = ["predict", picture, "--probe", "small.safetensors"];
    sandbox.refuses(&args, &["small.safetensors", "this is no probe"]);

    let export = [
        "export",
        "--model",
        "small.safetensors",
        "--format",
        "web",
        "--out",
        "web",
    ];
    sandbox.json(&export);
    let shard = sandbox.path("web/model-00001-of-00001.safetensors");
    let mut bytes = std::fs::read(&shard).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&shard, &bytes).unwrap();
    let args = ["predict", picture, "--model", "web"];
    sandbox.refuses(&args, &["web", "model-00001", "fetch it again"]);
    std::fs::remove_file(&shard).unwrap();
    sandbox.refuses(&args, &["model-00001", "no such file"]);
    // A manifest must not lead to files elsewhere.
    let manifest = std::fs::read_to_string(sandbox.path("web/model.json")).unwrap();
    let led_out = manifest.replace("merges.txt", "../merges.txt");
    std::fs::write(sandbox.path("web/model.json"), led_out).unwrap();
    sandbox.refuses(&args, &["../merges.txt", "leads out"]);
    let nothing = [
        "export",
        "--format",
        "safetensors",
        "--precision",
        "int8",
        "--out",
        "x",
    ];
    sandbox.refuses(&nothing, &["int8", "web"]);
}

#[test]
fn a_checkpoint_of_another_program_is_pointed_to_import() {
    let (_folder, sandbox) = sandbox();
    let state = to_state_dict(&small_model().model).unwrap();
    sandbox.write(
        "plain.safetensors",
        write_safetensors(&state, &Default::default()),
    );
    let args = ["embed", "--text", "hello", "--model", "plain.safetensors"];
    sandbox.refuses(&args, &["plain.safetensors", "trainer import"]);
    let foreign = [(
        "layer.weight".to_owned(),
        RawTensor::from_f32(vec![1], &[1.0]).unwrap(),
    )];
    sandbox.write(
        "foreign.safetensors",
        write_safetensors(&foreign.into(), &Default::default()),
    );
    let args = ["import", "foreign.safetensors", "--out", "o.safetensors"];
    sandbox.refuses(
        &args,
        &[
            "foreign.safetensors",
            "no known CLIP layout",
            "layer.weight",
        ],
    );
    assert!(
        checkpoint::read(
            std::fs::read(sandbox.path("plain.safetensors")).unwrap(),
            "p"
        )
        .is_ok()
    );
}
