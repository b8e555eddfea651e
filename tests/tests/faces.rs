//! The corpus of real faces: what of it is committed, and the command that builds it.
//!
//! The real data is no part of the project. Where `EMOTIONCLIP_FACE_SOURCES` names a folder with
//! `fer2013` and `goemotions` inside, the corpus is built from them and compared with the committed
//! manifests; elsewhere that test says that it was left out.

use std::path::{Path, PathBuf};

use emotionclip_data::faces::{
    BuildOptions, DigestList, FaceConfig, FaceCorpus, FaceError, FaceSplit, MANIFEST, Manifest,
    build, miniature, normalise,
};
use emotionclip_data::synthetic::Split;
use integration_tests::cli::Sandbox;

const KINDS: [&str; 2] = ["faces", "utterances"];

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")
}

fn committed(kind: &str, split: Split) -> DigestList {
    let path = manifests().join(format!("{kind}-{}.digests", split.name()));
    let bytes = std::fs::read(&path).expect("the lists are committed");
    DigestList::from_bytes(&bytes).expect("digests in order, each once")
}

fn committed_manifest() -> Manifest {
    let text = std::fs::read_to_string(manifests().join(MANIFEST)).expect("it is committed");
    Manifest::parse(&text).expect("a manifest of this version")
}

#[test]
fn no_face_and_no_utterance_is_in_two_splits() {
    for kind in KINDS {
        let lists = Split::ALL.map(|split| committed(kind, split));
        for (first, second) in [(0, 1), (0, 2), (1, 2)] {
            let shared = lists[first].shared_with(&lists[second]);
            assert_eq!(shared, 0, "{kind} of {first} and {second}");
        }
    }
    // The test would see one: a list shares everything with itself.
    let list = committed("faces", Split::Test);
    assert_eq!(list.shared_with(&list), list.len());
}

#[test]
fn the_committed_lists_are_those_of_the_manifest() {
    let manifest = committed_manifest();
    let mut total = 0;
    for counts in &manifest.splits {
        for (kind, count, repeats) in [
            ("faces", counts.faces, counts.single_only),
            ("utterances", counts.utterances, 0),
        ] {
            let name = format!("{kind}-{}.digests", counts.split.name());
            let bytes = std::fs::read(manifests().join(&name)).unwrap();
            total += bytes.len();
            let entry = &manifest.files[&name];
            assert_eq!(entry.bytes, bytes.len() as u64);
            assert_eq!(entry.sha256, sha256(&bytes), "{name}");
            // Repeats of a picture have one digest; they are among those that no scene shows.
            let listed = committed(kind, counts.split).len();
            assert!(
                listed <= count && listed + repeats >= count,
                "{name}: {listed} of {count}"
            );
        }
    }
    assert!(total <= 3_000_000, "{total} bytes");
    // The sizes of the published splits bound those of ours.
    let faces: Vec<usize> = manifest.splits.iter().map(|one| one.faces).collect();
    assert!(faces[0] > 23_000 && faces[0] <= 28_709, "{faces:?}");
    assert!(faces[1] > 3_300 && faces[1] <= 3_589, "{faces:?}");
    assert_eq!(faces[2], 3_589, "the whole PrivateTest");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("{:x}", Sha256::digest(bytes))
}

#[test]
fn the_real_sources_give_the_committed_lists() {
    let Some(root) = std::env::var_os("EMOTIONCLIP_FACE_SOURCES").map(PathBuf::from) else {
        eprintln!(
            "left out: set EMOTIONCLIP_FACE_SOURCES to a folder with fer2013 and goemotions inside"
        );
        return;
    };
    let options = BuildOptions {
        faces: root.join("fer2013"),
        texts: root.join("goemotions"),
        sentiment: Vec::new(),
        seed: 0,
    };
    let built = build(&options, &mut |_| ()).unwrap();
    assert_eq!(built.manifest, committed_manifest());
    for (name, bytes) in &built.files {
        if name.ends_with(".digests") {
            assert!(
                *bytes == std::fs::read(manifests().join(name)).unwrap(),
                "{name}"
            );
        }
    }
}

/// The miniature sources in a sandbox.
fn sandbox() -> (tempfile::TempDir, Sandbox) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    miniature::write_faces(&sandbox.path("fer"), [4, 2, 2]).unwrap();
    miniature::write_texts(&sandbox.path("texts")).unwrap();
    (folder, sandbox)
}

const BUILD: [&str; 8] = [
    "data",
    "build-scenes",
    "--faces",
    "fer",
    "--texts",
    "texts",
    "--out",
    "corpus",
];

#[test]
fn the_command_builds_a_corpus_that_can_be_drawn_from_and_leaves_it_alone_then() {
    let (_folder, sandbox) = sandbox();
    // A test picture under another name in train.
    let stolen = sandbox.path("fer/test/angry/PrivateTest_1.png");
    std::fs::copy(stolen, sandbox.path("fer/train/sad/77.png")).unwrap();
    let first = sandbox.json(&BUILD);
    assert_eq!(
        (first["written"].as_u64(), first["unchanged"].as_u64()),
        (Some(13), Some(0))
    );
    assert_eq!(first["splits"][0]["faces"], 28);
    assert_eq!(first["sentiment"]["from"], "labels");
    let dropped = first["dropped"].as_array().unwrap();
    let found = dropped.iter().find(|one| one["what"] == "face").unwrap();
    assert_eq!(found["reason"], "exact duplicate in test");
    assert_eq!(
        (&found["split"], &found["count"]),
        (&"train".into(), &1.into())
    );

    let second = sandbox.json(&BUILD);
    assert_eq!(
        (second["written"].as_u64(), second["unchanged"].as_u64()),
        (Some(0), Some(13))
    );

    let corpus = sandbox.path("corpus");
    for split in Split::ALL {
        let config = FaceConfig {
            frames: 2,
            ..FaceConfig::default()
        };
        let corpus = FaceCorpus::open(&corpus, config, split).unwrap();
        let pair = corpus.sample(3);
        assert_eq!(pair.clip.frames.len(), 2);
        let data = corpus.data();
        let list = std::fs::read(sandbox.path(&format!("corpus/faces-{}.digests", split.name())));
        let list = DigestList::from_bytes(&list.unwrap()).unwrap();
        assert!((0..data.face_count()).all(|index| list.contains(data.pixels(index))));
        let name = format!("corpus/utterances-{}.digests", split.name());
        let list = DigestList::from_bytes(&std::fs::read(sandbox.path(&name)).unwrap()).unwrap();
        assert!(list.contains(normalise(&pair.text).as_bytes()));
    }

    // A file that was changed is put right again.
    std::fs::write(corpus.join("utterances-test.jsonl"), "{}\n").unwrap();
    assert!(matches!(
        FaceSplit::open(&corpus, Split::Test),
        Err(FaceError::Damaged { .. })
    ));
    let third = sandbox.json(&BUILD);
    assert_eq!(
        (third["written"].as_u64(), third["unchanged"].as_u64()),
        (Some(1), Some(12))
    );
    assert!(FaceSplit::open(&corpus, Split::Test).is_ok());
}

#[test]
fn the_command_says_what_it_left_out() {
    let (_folder, sandbox) = sandbox();
    std::fs::copy(
        sandbox.path("fer/train/sad/0.png"),
        sandbox.path("fer/train/sad/99.png"),
    )
    .unwrap();
    let finished = sandbox.run(&BUILD);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    for part in [
        "13 written",
        "train              28",
        "1  train face: exact duplicate in its split",
        "1  test utterance: several labels",
        "sentiment logits: labels, smoothed by 0.1",
    ] {
        assert!(
            finished.stdout.contains(part),
            "'{part}' is not in: {}",
            finished.stdout
        );
    }
}

#[test]
fn wrong_sources_are_refused() {
    let (_folder, sandbox) = sandbox();
    let with = |faces: &str, texts: &str, more: &[&str]| {
        let mut args = BUILD.to_vec();
        (args[3], args[5]) = (faces, texts);
        args.extend(more);
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    sandbox.refuses(
        &with("nowhere", "texts", &[]),
        &["nowhere", "FER2013", "PrivateTest"],
    );
    sandbox.refuses(&with("fer", "fer", &[]), &["labels.txt"]);
    let logits = r#"{"text": "So.", "logits": [1, 2, 3, 4, 5, 6, 7]}"#;
    sandbox.write("logits.jsonl", logits);
    let scored = ["--sentiment", "logits.jsonl"];
    sandbox.refuses(
        &with("fer", "texts", &scored),
        &["no logits for", "logits.jsonl"],
    );
    sandbox.write("logits.jsonl", "{}");
    sandbox.refuses(
        &with("fer", "texts", &scored),
        &["logits.jsonl: line 1", "seven numbers"],
    );
    std::fs::write(sandbox.path("fer/train/sad/0.png"), b"").unwrap();
    sandbox.refuses(&with("fer", "texts", &[]), &["1 of 56 pictures", "0.png"]);
    assert!(!sandbox.path("corpus").exists(), "nothing was written");
}
