//! The readers on miniatures of the real layouts, whole and damaged.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::fixtures::{self, FixtureOptions, Layout};
use super::*;

/// A miniature with clips of two small frames.
fn miniature(benchmark: Benchmark, layout: Layout) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let options = FixtureOptions {
        layout,
        frames: 2,
        size: 16,
        ..FixtureOptions::default()
    };
    fixtures::write(benchmark, folder.path(), &options).unwrap();
    let root = folder.path().to_owned();
    (folder, root)
}

fn open(benchmark: Benchmark, root: &Path) -> DferDataset {
    DferDataset::open(benchmark, root, &DferOptions::default()).unwrap()
}

fn error(benchmark: Benchmark, root: &Path) -> String {
    error_with(benchmark, root, &DferOptions::default())
}

fn error_with(benchmark: Benchmark, root: &Path, options: &DferOptions) -> String {
    let error = DferDataset::open(benchmark, root, options).unwrap_err();
    error.to_string()
}

/// Tolerates any damage.
fn lenient() -> DferOptions {
    DferOptions {
        damage_limit: 1.0,
        ..DferOptions::default()
    }
}

fn compound() -> DferOptions {
    DferOptions {
        labels: LabelKind::Compound,
        ..DferOptions::default()
    }
}

/// Replaces text in a file.
fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{}: no '{from}'", path.display());
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn both_layouts_of_every_benchmark_give_all_folds_and_classes() {
    for benchmark in Benchmark::ALL {
        for layout in [Layout::Published, Layout::Release] {
            let (_kept, root) = miniature(benchmark, layout);
            let dataset = open(benchmark, &root);
            let classes = benchmark.emotions().len();
            assert_eq!(dataset.classes(), benchmark.emotions());
            assert_eq!(dataset.folds().len(), benchmark.folds());
            let mut tested = BTreeSet::new();
            for fold in dataset.folds() {
                let sizes = (fold.train.len(), fold.test.len());
                assert_eq!(sizes, (4 * classes, classes), "{benchmark} {layout:?}");
                assert!(fold.skipped.is_empty());
                let labels: BTreeSet<usize> = fold.test.iter().map(|one| one.label).collect();
                assert_eq!(labels.len(), classes);
                for sample in &fold.test {
                    assert_eq!(sample.emotions, [sample.label]);
                    assert!(fold.train.iter().all(|other| other.key != sample.key));
                    assert_eq!(sample.frames().unwrap().count(), 2);
                    tested.insert(sample.key.clone());
                }
            }
            assert_eq!(tested.len(), classes * benchmark.folds());
        }
    }
}

#[test]
fn both_layouts_name_the_same_labels() {
    for benchmark in Benchmark::ALL {
        let labels = |layout| {
            let (_kept, root) = miniature(benchmark, layout);
            let dataset = open(benchmark, &root);
            let samples = dataset.folds()[0].test.iter();
            // AFEW's folders have other names in the two layouts, the clips' own are the same.
            let name = |key: &str| key.rsplit('/').next().unwrap_or_default().to_owned();
            samples
                .map(|sample| (name(&sample.key), sample.label))
                .collect::<BTreeSet<_>>()
        };
        let published = labels(Layout::Published);
        assert_eq!(published, labels(Layout::Release), "{benchmark}");
        assert_eq!(published.len(), benchmark.emotions().len());
    }
}

#[test]
fn numbered_labels_are_dfews_own() {
    let (_kept, root) = miniature(Benchmark::Dfew, Layout::Published);
    let table = root.join("EmoLabel_DataSplit/test(single-labeled)/set_1.csv");
    std::fs::write(
        &table,
        "video_name,label\n1,1\n2,2\n3,3\n4,4\n5,5\n6,6\n7,7\n",
    )
    .unwrap();
    let options = DferOptions {
        folds: vec![1],
        ..lenient()
    };
    let dataset = DferDataset::open(Benchmark::Dfew, &root, &options).unwrap();
    let read: Vec<(&str, &str)> = dataset.folds()[0]
        .test
        .iter()
        .map(|one| (one.key.as_str(), dataset.classes()[one.label].as_str()))
        .collect();
    let expected = [
        ("00001", "happiness"),
        ("00002", "sadness"),
        ("00003", "neutral"),
        ("00004", "anger"),
        ("00005", "surprise"),
        ("00006", "disgust"),
        ("00007", "fear"),
    ];
    assert_eq!(read, expected);
}

#[test]
fn captions_come_from_the_tables_beside_and_neutral_clips_have_none() {
    for layout in [Layout::Published, Layout::Release] {
        let (_kept, root) = miniature(Benchmark::Mafw, layout);
        let dataset = open(Benchmark::Mafw, &root);
        let fold = &dataset.folds()[2];
        for sample in fold.train.iter().chain(&fold.test) {
            let is_neutral = dataset.classes()[sample.label] == "neutral";
            assert_eq!(sample.caption.is_none(), is_neutral, "{}", sample.key);
            if let Some(caption) = &sample.caption {
                assert!(caption.starts_with("A person says “"), "{caption}");
                let is_expected = |one: char| one.is_ascii() || "“”".contains(one);
                assert!(
                    caption.ends_with('”') && caption.chars().all(is_expected),
                    "{caption}"
                );
            }
        }
        assert_eq!(fold.captioned().count(), 4 * 10);
    }
}

#[test]
fn only_the_release_describes_ferv39k() {
    let count = |layout| {
        let (_kept, root) = miniature(Benchmark::Ferv39k, layout);
        open(Benchmark::Ferv39k, &root).folds()[0]
            .captioned()
            .count()
    };
    assert_eq!(
        (count(Layout::Published), count(Layout::Release)),
        (0, 4 * 7)
    );
}

#[test]
fn combinations_of_emotions_are_classes_behind_the_single_ones() {
    let (_kept, root) = miniature(Benchmark::Mafw, Layout::Published);
    let dataset = DferDataset::open(Benchmark::Mafw, &root, &compound()).unwrap();
    assert_eq!(dataset.classes()[..11], *Benchmark::Mafw.emotions());
    assert_eq!(dataset.classes()[11..], ["anger_disgust", "fear_surprise"]);
    let fold = &dataset.folds()[0];
    let combined = fold.test.iter().find(|one| one.label == 12).unwrap();
    assert_eq!(combined.emotions, [2, 6]);
    // A combination is described by the sentences of all its emotions.
    let texts = dataset.descriptions().unwrap();
    let of = |name: &str| {
        let label = texts.labels().iter().find(|label| label.name == name);
        label.unwrap().texts.clone()
    };
    assert_eq!(of("fear_surprise"), [of("fear"), of("surprise")].concat());
    assert_eq!(
        error_with(Benchmark::Afew, &root, &compound()),
        "AFEW has no compound labels; only MAFW has"
    );
}

#[test]
fn a_class_left_out_is_tested_on_and_not_trained_on() {
    let (_kept, root) = miniature(Benchmark::Mafw, Layout::Published);
    let dataset = DferDataset::open(Benchmark::Mafw, &root, &compound()).unwrap();
    let fear = Benchmark::Mafw.emotion_index("fear").unwrap();
    let whole = &dataset.folds()[0];
    let fold = whole.leave_out(fear);
    assert!(fold.train.iter().all(|one| !one.emotions.contains(&fear)));
    assert!(fold.test.iter().all(|one| one.emotions.contains(&fear)));
    // Of 13 classes two have fear in them.
    assert_eq!((whole.train.len(), fold.train.len()), (4 * 13, 4 * 11));
    assert_eq!(fold.test.len(), 2);
}

#[test]
fn single_folds_can_be_opened_and_unknown_ones_not() {
    let (_kept, root) = miniature(Benchmark::Dfew, Layout::Published);
    let options = |folds: &[usize]| DferOptions {
        folds: folds.to_vec(),
        ..DferOptions::default()
    };
    // The tables of the others need not be there.
    std::fs::remove_file(root.join("EmoLabel_DataSplit/train(single-labeled)/set_1.csv")).unwrap();
    let dataset = DferDataset::open(Benchmark::Dfew, &root, &options(&[5, 2, 5])).unwrap();
    let numbers: Vec<usize> = dataset.folds().iter().map(|fold| fold.number).collect();
    assert_eq!(numbers, [2, 5]);
    assert_eq!(
        error_with(Benchmark::Dfew, &root, &options(&[6])),
        "DFEW has no fold 6; give 1 to 5"
    );
}

#[test]
fn what_is_not_there_is_named_with_its_origin_and_the_folder_as_a_tree() {
    let cases = [
        (
            Benchmark::Mafw,
            "Train & Test Set",
            "no 'Train & Test Set';",
        ),
        (
            Benchmark::Mafw,
            "Train & Test Set/single/no_caption/set_4/test.txt",
            "no 'Train & Test Set/single/no_caption/set_4/test.txt';",
        ),
        (
            Benchmark::Mafw,
            "Train & Test Set/single/with_caption/set_2/train.txt",
            "no 'Train & Test Set/single/with_caption/set_2/train.txt';",
        ),
        (
            Benchmark::Mafw,
            "data",
            "no clips in 'data/faces', 'data/frames', 'data/clips';",
        ),
        (
            Benchmark::Dfew,
            "EmoLabel_DataSplit/test(single-labeled)",
            "no 'EmoLabel_DataSplit/test(single-labeled)/set_1.csv';",
        ),
        (Benchmark::Dfew, "Clip", "no clips in 'Clip/clip_224x224',"),
        (
            Benchmark::Ferv39k,
            "4_setups",
            "no '4_setups/All_scenes/train_All.csv';",
        ),
        (
            Benchmark::Ferv39k,
            "2_ClipsforFaceCrop",
            "no clips in '2_ClipsforFaceCrop';",
        ),
        (Benchmark::Afew, "Val_AFEW", "no 'Val_AFEW';"),
        (
            Benchmark::Afew,
            "Val_AFEW/Fear",
            "no clips of fear in 'Val_AFEW';",
        ),
    ];
    for (benchmark, removed, expected) in cases {
        let (_kept, root) = miniature(benchmark, Layout::Published);
        let removed = root.join(removed);
        if removed.is_dir() {
            std::fs::remove_dir_all(&removed).unwrap();
        } else {
            std::fs::remove_file(&removed).unwrap();
        }
        let message = error(benchmark, &root);
        let first = message.lines().next().unwrap();
        assert!(
            first.starts_with(&format!("{benchmark}: {}", root.display())),
            "{first}"
        );
        assert!(first.contains(expected), "{first}");
        assert!(first.contains(benchmark.home()), "{first}");
        assert!(message.ends_with(benchmark.layout()), "{message}");
    }
    let message = error(Benchmark::Afew, Path::new("no such folder"));
    assert!(
        message.starts_with("AFEW: there is no folder 'no such folder';"),
        "{message}"
    );
    assert!(message.ends_with(Benchmark::Afew.layout()), "{message}");
}

#[test]
fn a_broken_row_is_named_with_file_and_line_and_counted() {
    let cases = [
        (
            Benchmark::Mafw,
            "Train & Test Set/single/no_caption/set_1/train.txt",
            "00004.mp4 anger",
            "00004.mp4 angst",
            3,
            "'angst' is no label",
        ),
        (
            Benchmark::Mafw,
            "Train & Test Set/single/no_caption/set_1/train.txt",
            "00004.mp4 anger",
            "00004.mp4 anger_disgust",
            3,
            "'anger_disgust' is no label",
        ),
        (
            Benchmark::Mafw,
            "Train & Test Set/single/no_caption/set_1/test.txt",
            "00001.mp4 anger",
            "00001.mp4",
            1,
            "expected 'clip label' or clip, label, Chinese, English with tabs, found '00001.mp4'",
        ),
        (
            Benchmark::Dfew,
            "EmoLabel_DataSplit/test(single-labeled)/set_1.csv",
            "6,2",
            "6,8",
            3,
            "'8' is no label",
        ),
        (
            Benchmark::Dfew,
            "EmoLabel_DataSplit/test(single-labeled)/set_1.csv",
            "1,1",
            "1;1",
            2,
            "expected 'clip,label' or 'path frames label', found '1;1'",
        ),
        (
            Benchmark::Ferv39k,
            "4_setups/All_scenes/test_All.csv",
            "0006 Sad",
            "0006 Sed",
            2,
            "'Sed' is no label",
        ),
    ];
    for (benchmark, file, from, to, line, expected) in cases {
        let (_kept, root) = miniature(benchmark, Layout::Published);
        let path = root.join(file);
        edit(&path, from, to);
        let options = DferOptions {
            folds: vec![1],
            ..lenient()
        };
        let dataset = DferDataset::open(benchmark, &root, &options).unwrap();
        let skipped = &dataset.folds()[0].skipped;
        let named = format!("{}:{line}: {expected}", path.display());
        assert_eq!(skipped[0].to_string(), named);
        // One row of a miniature is more than one in a hundred.
        let message = error(benchmark, &root);
        assert!(message.contains(", fold 1: 1 of "), "{message}");
        assert!(message.contains("and 1.0% may be: "), "{message}");
        assert!(message.contains(&named), "{message}");
    }
}

#[test]
fn a_half_unpacked_set_is_refused_and_a_few_missing_clips_are_skipped() {
    let (_kept, root) = miniature(Benchmark::Dfew, Layout::Published);
    let clips = root.join("Clip/clip_224x224");
    for number in 3..=20 {
        std::fs::remove_dir_all(clips.join(format!("{number:05}"))).unwrap();
    }
    let message = error(Benchmark::Dfew, &root);
    let first = message.lines().next().unwrap();
    assert!(
        first.starts_with("DFEW, fold 1: 18 of 35 samples can't be used and 1.0% may be: "),
        "{first}"
    );
    assert!(
        first.contains("set_1.csv:3: clip '00003' is not in "),
        "{first}"
    );
    assert!(first.contains("; and 15 more; get the set from"), "{first}");
    assert!(message.ends_with(Benchmark::Dfew.layout()), "{message}");

    let dataset = DferDataset::open(Benchmark::Dfew, &root, &lenient()).unwrap();
    let fold = &dataset.folds()[0];
    assert_eq!(
        (fold.train.len() + fold.test.len(), fold.skipped.len()),
        (17, 18)
    );
    // With nothing left to train on no limit helps.
    std::fs::remove_dir_all(&clips).unwrap();
    std::fs::create_dir_all(clips.join("00001")).unwrap();
    let message = error_with(Benchmark::Dfew, &root, &lenient());
    assert!(
        message.contains("has no training samples in fold 1;"),
        "{message}"
    );
}

#[test]
fn a_clip_is_never_trained_and_tested_on_nor_taken_twice() {
    let (_kept, root) = miniature(Benchmark::Dfew, Layout::Published);
    let train = root.join("EmoLabel_DataSplit/train(single-labeled)/set_1.csv");
    // Clip 1 is tested on in fold 1, and clip 3 stands on line 3.
    edit(&train, "7,2", "1,1");
    edit(&train, "8,2", "3,1");
    let options = DferOptions {
        folds: vec![1],
        ..lenient()
    };
    let dataset = DferDataset::open(Benchmark::Dfew, &root, &options).unwrap();
    let fold = &dataset.folds()[0];
    assert!(fold.train.iter().all(|one| one.key != "00001"));
    assert!(fold.test.iter().any(|one| one.key == "00001"));
    let mut faults: Vec<String> = fold
        .skipped
        .iter()
        .map(|row| row.fault.to_string())
        .collect();
    faults.sort();
    let expected = [
        "clip '00001' is in the test part of this fold too; not trained on",
        "clip '00003' stands on line 3 already",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn tables_that_contradict_each_other_are_named() {
    let (_kept, root) = miniature(Benchmark::Mafw, Layout::Release);
    let folder = root.join("Train_Test_Set/single");
    edit(
        &folder.join("no_caption_new/set_1/train.txt"),
        "00002.mp4\tanger",
        "00002.mp4\tfear",
    );
    let dataset = DferDataset::open(Benchmark::Mafw, &root, &lenient()).unwrap();
    let fold = &dataset.folds()[0];
    let fault = "clip '00002' is 'anger' here and 'fear' in the table without captions";
    assert_eq!(fold.skipped[0].fault.to_string(), fault);
    let sample = fold.train.iter().find(|one| one.key == "00002").unwrap();
    assert_eq!((sample.label, &sample.caption), (2, &None));
}

#[test]
fn clips_of_several_archives_are_one_set() {
    let (_kept, root) = miniature(Benchmark::Dfew, Layout::Published);
    let clips = root.join("Clip/clip_224x224");
    let part = clips.join("clip_224x224_part_1");
    std::fs::create_dir(&part).unwrap();
    for number in 1..=20 {
        let name = format!("{number:05}");
        std::fs::rename(clips.join(&name), part.join(&name)).unwrap();
    }
    let dataset = open(Benchmark::Dfew, &root);
    let paths: Vec<&Path> = dataset.folds()[0]
        .test
        .iter()
        .map(|one| one.path.as_path())
        .collect();
    assert!(paths.iter().any(|path| path.starts_with(&part)));
    assert!(paths.iter().any(|path| !path.starts_with(&part)));
}

#[test]
fn another_folder_of_clips_can_be_named() {
    let (_kept, root) = miniature(Benchmark::Mafw, Layout::Published);
    let mut options = DferOptions {
        clips: Some("cropped".into()),
        ..DferOptions::default()
    };
    let message = error_with(Benchmark::Mafw, &root, &options);
    assert!(message.contains(" has no clips in 'cropped';"), "{message}");
    std::fs::rename(root.join("data/frames"), root.join("cropped")).unwrap();
    let dataset = DferDataset::open(Benchmark::Mafw, &root, &options).unwrap();
    assert!(
        dataset.folds()[0].test[0]
            .path
            .starts_with(root.join("cropped"))
    );
    options.clips = None;
    assert!(error_with(Benchmark::Mafw, &root, &options).contains("no clips in 'data/faces'"));
}

#[test]
fn published_videos_are_samples_too() {
    let (_kept, root) = miniature(Benchmark::Afew, Layout::Published);
    let folder = root.join("Val_AFEW/Happy");
    std::fs::write(folder.join("000046280.avi"), "listed, not read").unwrap();
    std::fs::write(folder.join("000046280.wav"), "no clip").unwrap();
    std::fs::create_dir_all(root.join("Val_AFEW/AlignedFaces_LBPTOP_Points_Val/Faces")).unwrap();
    let dataset = open(Benchmark::Afew, &root);
    let added: Vec<&DferSample> = dataset.folds()[0]
        .test
        .iter()
        .filter(|one| one.key.contains("000046280"))
        .collect();
    assert_eq!(added.len(), 1);
    assert_eq!(
        (added[0].key.as_str(), added[0].label),
        ("Val_AFEW/Happy/000046280", 0)
    );
    assert_eq!(added[0].path, folder.join("000046280.avi"));
}

#[test]
fn a_damaged_table_of_captions_is_named() {
    let (_kept, root) = miniature(Benchmark::Ferv39k, Layout::Release);
    let path = root.join("train_descriptions.json");
    std::fs::write(&path, "[1, 2]").unwrap();
    let message = error(Benchmark::Ferv39k, &root);
    let expected = format!("{}: cannot be read (invalid type", path.display());
    assert!(message.starts_with(&expected), "{message}");
}

#[test]
fn drawn_clips_show_their_class_and_differ() {
    let folder = tempfile::tempdir().unwrap();
    let options = FixtureOptions::default();
    fixtures::write(Benchmark::Mafw, folder.path(), &options).unwrap();
    let dataset = open(Benchmark::Mafw, folder.path());
    let mut seen = BTreeSet::new();
    for sample in &dataset.folds()[0].test {
        let clip = sample.frames().unwrap();
        assert_eq!(clip.count(), options.frames);
        let frames = clip.read(&[0, options.frames - 1]).unwrap();
        assert_eq!(frames[0].dimensions(), (options.size, options.size));
        assert_ne!(frames[0], frames[1]);
        assert!(seen.insert(frames[1].as_raw().clone()));
    }
}

mod needs_ffmpeg {
    use super::*;

    #[test]
    fn frames_of_a_video_are_picked_by_index() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..8_u8 {
            let grey = image::Rgb([30 * index; 3]);
            image::RgbImage::from_pixel(16, 16, grey)
                .save(folder.path().join(format!("{index}.png")))
                .unwrap();
        }
        // Lossless, so that a frame is known by its brightness.
        let video = folder.path().join("clip.avi");
        let status = std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-framerate", "25", "-i"])
            .arg(folder.path().join("%d.png"))
            .args(["-c:v", "ffv1"])
            .arg(&video)
            .status()
            .unwrap();
        assert!(status.success());
        let clip = ClipFrames::open(&video).unwrap();
        assert_eq!(clip.count(), 8);
        let frames = clip.read(&[6, 0, 6]).unwrap();
        let values: Vec<u8> = frames.iter().map(|frame| frame.as_raw()[0]).collect();
        for (value, expected) in values.iter().zip([180, 0, 180]) {
            // From RGB to YUV and back rounds.
            assert!(value.abs_diff(expected) <= 2, "{values:?}");
        }
        assert!(clip.read(&[8]).is_err());
    }
}
