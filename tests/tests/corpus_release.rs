//! Frames of the authors' release that h5py packed, whole and damaged. The file is made by
//! `parity/generate_release_frames.py`.

use std::collections::BTreeMap;
use std::path::Path;

use emotionclip_data::prepare::{
    Limits, ReleaseFiles, StepReport, VideoFile, WorkFolder, import_release,
};
use integration_tests::corpus::files_below;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

const GOLDENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/parity/goldens/release");

fn packed() -> Vec<u8> {
    std::fs::read(Path::new(GOLDENS).join("frames.hdf5")).unwrap()
}

/// A video of the release with its frames in one file.
fn write_video(folder: &Path, name: &str, frames: &[u8]) {
    let video = folder.join("videos").join(name);
    std::fs::create_dir_all(&video).unwrap();
    std::fs::write(video.join("frames.hdf5"), frames).unwrap();
    let boxes = r#"[{"00000004.jpg": [[100, 120, 300, 400, 0.9]]}]"#;
    std::fs::write(video.join("human_boxes.json"), boxes).unwrap();
    let sentences = r#"[{"text": "words", "start": 0.5, "end": 2.75, "duration": 2.25}]"#;
    std::fs::write(video.join("transcript_cleaned.json"), sentences).unwrap();
}

fn import(folder: &Path) -> StepReport {
    let work = WorkFolder::open(&folder.join("work")).unwrap();
    let files = ReleaseFiles {
        videos: folder.join("videos"),
        captions: None,
        index: None,
        sentiment_logits: None,
    };
    let limits = Limits {
        max_broken: 1.0,
        workers: 2,
    };
    import_release(&work, &files, &limits, &|_| {}).unwrap()
}

#[test]
fn frames_packed_by_h5py_are_the_files_that_went_in() {
    let folder = tempfile::tempdir().unwrap();
    write_video(folder.path(), "talk", &packed());
    let report = import(folder.path());
    assert_eq!((report.made, report.skipped.len()), (1, 0), "{report:?}");
    let digests = std::fs::read(Path::new(GOLDENS).join("frames.json")).unwrap();
    let digests: BTreeMap<String, String> = serde_json::from_slice(&digests).unwrap();
    let video = folder.path().join("work/videos/talk");
    let frames = files_below(&video.join("frames"));
    assert_eq!(frames.len(), 24);
    for (name, content) in frames {
        let digest = Sha256::digest(&content);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, digests[&name], "{name}");
    }
    let described: VideoFile =
        serde_json::from_slice(&std::fs::read(video.join("video.json")).unwrap()).unwrap();
    assert_eq!(
        (described.first, described.frames, described.size),
        (1, 24, [64, 48])
    );
}

#[test]
fn damaged_packed_frames_are_named_skips() {
    let folder = tempfile::tempdir().unwrap();
    let whole = packed();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let videos = 40;
    for number in 0..videos {
        let mut bytes = whole.clone();
        match number % 4 {
            0 => bytes.truncate(rng.random_range(0..whole.len())),
            1 => bytes[..512].fill_with(|| rng.random()),
            2 => bytes = b"no HDF5".repeat(number),
            _ => {
                // Some of these hit the inside of a picture only, or nothing that is read.
                for _ in 0..40 {
                    let place = rng.random_range(0..bytes.len());
                    bytes[place] = rng.random();
                }
            }
        }
        write_video(folder.path(), &format!("talk{number:02}"), &bytes);
    }
    let report = import(folder.path());
    assert_eq!(report.made + report.skipped.len(), videos, "{report:?}");
    assert!(report.skipped.len() >= videos * 3 / 4, "{report:?}");
    for skip in &report.skipped {
        assert!(skip.is_broken && skip.reason.len() > 10, "{skip:?}");
    }
    let work = folder.path().join("work");
    let written = files_below(folder.path()).into_keys();
    for file in written.filter(|file| !file.starts_with("videos/")) {
        assert!(folder.path().join(&file).starts_with(&work), "{file}");
    }
}
