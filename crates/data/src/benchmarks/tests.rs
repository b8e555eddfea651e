//! The readers on miniatures, whole and damaged.

use std::path::Path;

use image::{Rgb, RgbImage};

use super::fixtures::{self, FixtureOptions};
use super::{
    BenchmarkError, LirisInput, ProbeDataset, ProbeOptions, ProbePart, ProbeSet, SampleFault,
};
use crate::synthetic::Split;

fn miniature(dataset: ProbeDataset) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let picture = RgbImage::from_fn(64, 48, |x, y| Rgb([(x * 4) as u8, (y * 5) as u8, 90]));
    let options = FixtureOptions {
        size: [48, 32],
        samples: 2,
        ..FixtureOptions::of(vec![picture])
    };
    fixtures::write(dataset, folder.path(), &options).unwrap();
    folder
}

fn open(dataset: ProbeDataset, root: &Path) -> Result<ProbeSet, BenchmarkError> {
    ProbeSet::open(dataset, root, &ProbeOptions::default())
}

fn sound(dataset: ProbeDataset, root: &Path) -> ProbeSet {
    let set = open(dataset, root).unwrap();
    for part in &set.parts {
        assert!(
            part.skipped.is_empty(),
            "{}: {:?}",
            part.name(),
            part.skipped
        );
    }
    set
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} is not in {}", path.display());
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn sizes(set: &ProbeSet) -> Vec<(&'static str, usize)> {
    let size = |part: &ProbePart| (part.name(), part.samples.len());
    set.parts.iter().map(size).collect()
}

#[test]
fn every_miniature_is_read_whole() {
    for (dataset, expected) in [
        (ProbeDataset::Bold, vec![("train", 52), ("val", 26)]),
        (
            ProbeDataset::MovieGraphs,
            vec![("train", 53), ("val", 26), ("test", 26)],
        ),
        (
            ProbeDataset::Meld,
            vec![("train", 14), ("dev", 7), ("test", 7)],
        ),
        (
            ProbeDataset::Emotic,
            vec![("train", 52), ("val", 26), ("test", 26)],
        ),
        // Films trained on lose their edges, four seconds and three: 40 + 40 seconds are 33 + 32,
        // as the second has a frame less than labels; films tested on keep them.
        (
            ProbeDataset::LirisAccede,
            vec![("train", 66), ("test", 122)],
        ),
    ] {
        let folder = miniature(dataset);
        let set = sound(dataset, folder.path());
        assert_eq!(sizes(&set), expected, "{dataset}");
        for sample in set.parts.iter().flat_map(|part| &part.samples) {
            let frames = if dataset.is_pictures() { 1 } else { 8 };
            assert_eq!(sample.frames.len(), frames, "{dataset} {}", sample.id);
            assert_eq!(sample.values.len(), dataset.values().len());
            assert!(sample.labels.is_sorted());
            assert!(sample.frames.iter().all(|frame| frame.path.is_file()));
        }
    }
}

#[test]
fn a_missing_set_says_where_it_comes_from_and_what_it_looks_like() {
    for dataset in ProbeDataset::ALL {
        let error = open(dataset, Path::new("nowhere")).unwrap_err();
        assert!(matches!(error, BenchmarkError::NoFolder { .. }), "{error}");
        let empty = tempfile::tempdir().unwrap();
        let message = open(dataset, empty.path()).unwrap_err().to_string();
        for part in [dataset.name(), dataset.home(), dataset.layout(), "has no "] {
            assert!(
                message.contains(part),
                "{dataset}: {part} is not in {message}"
            );
        }
    }
}

#[test]
fn all_that_is_missing_is_named_at_once() {
    let folder = miniature(ProbeDataset::Meld);
    std::fs::remove_file(folder.path().join("dev_human_boxes.json")).unwrap();
    std::fs::remove_dir_all(folder.path().join("frames/test_splits")).unwrap();
    let message = open(ProbeDataset::Meld, folder.path())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("no dev_human_boxes.json, no frames/test_splits"),
        "{message}"
    );
}

#[test]
fn known_defects_are_left_out_by_name() {
    let folder = miniature(ProbeDataset::Meld);
    let set = sound(ProbeDataset::Meld, folder.path());
    let defects: Vec<&[String]> = set
        .parts
        .iter()
        .map(|part| part.known_defects.as_slice())
        .collect();
    assert_eq!(defects, [&["dia125_utt3"][..], &["dia110_utt7"], &[]]);

    // The scene behind its film's end is cut at the film's last frame.
    let folder = miniature(ProbeDataset::MovieGraphs);
    let set = sound(ProbeDataset::MovieGraphs, folder.path());
    let overlong = set.parts[0].samples.last().unwrap();
    assert_eq!(overlong.id, "tt0388795/207");
    let last = overlong.frames.last().unwrap();
    assert!(last.path.ends_with("frames/tt0388795/frame_184272.jpg"));
}

#[test]
fn bolds_joints_are_counted_from_the_videos_first_frame() {
    let folder = miniature(ProbeDataset::Bold);
    let set = sound(ProbeDataset::Bold, folder.path());
    // The last frame of a video has no joints.
    for sample in &set.parts[0].samples {
        let with_box = sample.frames.iter().map(|frame| !frame.boxes.is_empty());
        let with_box: Vec<bool> = with_box.collect();
        assert_eq!(with_box[..2], [true, true], "{}", sample.id);
        assert!(!with_box[7], "{}", sample.id);
    }
    let [first, second] = [0, 1].map(|row| set.parts[0].samples[row].frames[0].boxes[0]);
    assert!(first.x2 <= second.x1 + 0.01, "{first:?} {second:?}");
    // Shares from one half on count, 0.49 doesn't.
    let labels = set.parts[0]
        .samples
        .iter()
        .map(|sample| sample.labels.len());
    assert!(labels.clone().any(|count| count == 2) && labels.clone().any(|count| count == 1));
}

#[test]
fn a_clip_that_was_not_unpacked_is_named_and_too_many_are_refused() {
    let folder = miniature(ProbeDataset::Meld);
    std::fs::remove_dir_all(folder.path().join("frames/train_splits/dia0_utt1")).unwrap();
    let error = open(ProbeDataset::Meld, folder.path()).unwrap_err();
    let BenchmarkError::Damaged {
        part,
        samples,
        ref skipped,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((part, samples, skipped.len()), ("train", 14, 1));
    assert_eq!(skipped[0].place, "line 3");
    assert!(matches!(&skipped[0].fault, SampleFault::NoFile(path) if path.ends_with("dia0_utt1")));
    assert!(
        error
            .to_string()
            .contains("1 of 14 samples can't be used and 1.0% may be")
    );
    let options = ProbeOptions {
        max_skipped: 0.1,
        ..ProbeOptions::default()
    };
    let set = ProbeSet::open(ProbeDataset::Meld, folder.path(), &options).unwrap();
    assert_eq!(
        (set.parts[0].samples.len(), set.parts[0].skipped.len()),
        (13, 1)
    );
}

#[test]
fn a_film_unpacked_by_half_is_refused() {
    let folder = miniature(ProbeDataset::LirisAccede);
    let frames = folder.path().join("frames/MEDIAEVAL18_02.mp4");
    for second in 20..=50 {
        let _ = std::fs::remove_file(frames.join(format!("{second:08}.jpg")));
    }
    let message = open(ProbeDataset::LirisAccede, folder.path())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("test: ") && message.contains("00000020.jpg is not there"),
        "{message}"
    );
}

#[test]
fn a_window_of_liris_accede_shows_other_frames_of_the_same_samples() {
    let folder = miniature(ProbeDataset::LirisAccede);
    let repeated = sound(ProbeDataset::LirisAccede, folder.path());
    let options = ProbeOptions {
        liris_input: LirisInput::Window,
        ..ProbeOptions::default()
    };
    let windows = ProbeSet::open(ProbeDataset::LirisAccede, folder.path(), &options).unwrap();
    for (one, other) in repeated.parts.iter().zip(&windows.parts) {
        for (one, other) in one.samples.iter().zip(&other.samples) {
            assert_eq!((&one.id, &one.values), (&other.id, &other.values));
            assert!(one.frames.iter().all(|frame| frame == &one.frames[0]));
            assert!(other.frames.contains(&one.frames[0]));
            assert!(other.frames[0] != other.frames[7]);
        }
    }
}

#[test]
fn names_in_tables_cannot_lead_out_of_the_folder() {
    for (dataset, table, from, to) in [
        (
            ProbeDataset::Bold,
            "annotations/train.csv",
            "000/train00.mp4",
            "../../../etc",
        ),
        (
            ProbeDataset::Emotic,
            "annotations_pre/train.csv",
            "mscoco/images",
            "/etc",
        ),
        (
            ProbeDataset::MovieGraphs,
            "official/mg/py3loader/emotion_labels.json",
            "\"tt0000001\"",
            "\"../tt0000001\"",
        ),
    ] {
        let folder = miniature(dataset);
        replace(&folder.path().join(table), from, to);
        if dataset == ProbeDataset::MovieGraphs {
            replace(
                &folder.path().join("official/mg/split.json"),
                "\"tt0000001\"",
                "\"../tt0000001\"",
            );
        }
        let error = open(dataset, folder.path()).unwrap_err();
        let BenchmarkError::Damaged { skipped, .. } = &error else {
            panic!("{error}");
        };
        assert!(matches!(skipped[0].fault, SampleFault::Name(_)), "{error}");
    }
}

#[test]
fn damaged_rows_and_files_are_named() {
    let fault = |dataset, table: &str, from: &str, to: &str, part: &str| {
        let folder = miniature(dataset);
        replace(&folder.path().join(table), from, to);
        let message = open(dataset, folder.path()).unwrap_err().to_string();
        assert!(
            message.contains(part),
            "{dataset}: {part} is not in {message}"
        );
    };
    let meld = "MELD.Raw/train_sent_emo.csv";
    fault(
        ProbeDataset::Meld,
        meld,
        "Rachel,surprise",
        "Rachel,awe",
        "'awe' is no label",
    );
    fault(
        ProbeDataset::Meld,
        meld,
        "Dialogue_ID",
        "Dialogue",
        "no column 'Dialogue_ID'",
    );
    fault(
        ProbeDataset::Meld,
        "test_human_boxes.json",
        "\"dia0_utt2\"",
        "\"dia0_utt9\"",
        "no boxes for dia0_utt2/frame_",
    );
    let bold = "annotations/val.csv";
    fault(
        ProbeDataset::Bold,
        bold,
        ",0.75,",
        ",much,",
        "'much', which is no number",
    );
    fault(
        ProbeDataset::Bold,
        bold,
        ",0.8\n",
        "\nx,0\n",
        "at least 33 fields",
    );
    let scenes = "official/mg_videoinfo/scene_boundaries/tt0000001.scenes.gt";
    fault(
        ProbeDataset::MovieGraphs,
        scenes,
        "2 2 1",
        "2 99 1",
        "the film has no shot 99",
    );
    fault(
        ProbeDataset::MovieGraphs,
        scenes,
        "2 2 1",
        "two",
        "line 2 is 'two'",
    );
    let labels = "official/mg/py3loader/emotion_labels.json";
    fault(
        ProbeDataset::MovieGraphs,
        labels,
        "Anger",
        "Rage",
        "'Rage' is no label",
    );
    let emotic = "annotations_pre/test.csv";
    fault(
        ProbeDataset::Emotic,
        emotic,
        "\"[48, 32]\",\"[",
        "\"\",\"[nan, ",
        "expected BBox",
    );
    let liris = "bboxes/MEDIAEVAL18_00.mp4/human_boxes.json";
    fault(
        ProbeDataset::LirisAccede,
        liris,
        "[{",
        "{",
        "MEDIAEVAL18_00.mp4",
    );
}

#[test]
fn tables_and_arrays_of_emotic_must_have_equal_lengths() {
    let folder = miniature(ProbeDataset::Emotic);
    let table = folder.path().join("annotations_pre/val.csv");
    let text = std::fs::read_to_string(&table).unwrap();
    let shorter: Vec<&str> = text.lines().take(5).collect();
    std::fs::write(&table, shorter.join("\n")).unwrap();
    let message = open(ProbeDataset::Emotic, folder.path())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("val_cat_arr.npy") && message.contains("has fewer rows"),
        "{message}"
    );
}

#[test]
fn parts_are_called_as_the_sets_call_them() {
    let folder = miniature(ProbeDataset::Meld);
    let set = sound(ProbeDataset::Meld, folder.path());
    assert_eq!(
        (set.parts[1].split, set.parts[1].name()),
        (Split::Validation, "dev")
    );
}

#[test]
fn a_miniature_needs_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    for (pictures, size) in [
        (vec![], [48, 32]),
        (vec![RgbImage::new(4, 4)], [48, 32]),
        (vec![RgbImage::new(64, 64)], [8, 8]),
    ] {
        let options = FixtureOptions {
            size,
            ..FixtureOptions::of(pictures)
        };
        assert!(fixtures::write(ProbeDataset::Meld, folder.path(), &options).is_err());
    }
}
