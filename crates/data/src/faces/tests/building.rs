//! From the sources to files and back.

use std::path::Path;

use emotionclip::Emotion;

use super::*;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The sources in a folder of their own, to be changed.
fn sources() -> (tempfile::TempDir, BuildOptions) {
    let folder = tempfile::tempdir().unwrap();
    let options = BuildOptions {
        faces: folder.path().join("fer2013"),
        texts: folder.path().join("goemotions"),
        ..MINIATURE.options.clone()
    };
    copy(&MINIATURE.options.faces, &options.faces);
    copy(&MINIATURE.options.texts, &options.texts);
    (folder, options)
}

fn built(options: &BuildOptions) -> Built {
    build(options, &mut |_| ()).unwrap()
}

fn dropped(built: &Built, reason: &str) -> usize {
    let matching = built
        .manifest
        .dropped
        .iter()
        .filter(|one| one.reason == reason);
    matching.map(|one| one.count).sum()
}

#[test]
fn the_same_sources_give_the_same_bytes_and_another_seed_another_order() {
    let first = built(&MINIATURE.options);
    let second = built(&MINIATURE.options);
    assert!(first.files == second.files);
    let reseeded = built(&BuildOptions {
        seed: 6,
        ..MINIATURE.options.clone()
    });
    for ((name, bytes), (_, other)) in first.files.iter().zip(&reseeded.files) {
        // The lists are sorted; what they list is in another order.
        assert_eq!(bytes == other, name.ends_with(".digests"), "{name}");
    }
}

#[test]
fn the_manifest_counts_and_names_everything() {
    let built = built(&MINIATURE.options);
    let manifest = &built.manifest;
    assert_eq!(built.files.last().unwrap().0, MANIFEST);
    let read: Manifest =
        toml::from_str(std::str::from_utf8(&built.files.last().unwrap().1).unwrap()).unwrap();
    assert_eq!(&read, manifest);
    assert_eq!(manifest.files.len(), built.files.len() - 1);
    for (counts, faces) in manifest.splits.iter().zip(COUNTS) {
        assert_eq!((counts.faces, counts.single_only), (7 * faces, 0));
        assert_eq!(counts.faces_by_emotion["joy"], faces);
        let said: usize = counts.utterances_by_emotion.values().sum();
        assert_eq!(said, counts.utterances);
    }
    // One row of two labels in every split.
    assert_eq!(dropped(&built, "several labels"), 3);
    assert!(
        matches!(manifest.sentiment, SentimentSource::Labels { smoothing } if smoothing == LABEL_SMOOTHING)
    );
    assert!(manifest.sources.iter().any(|one| one.terms == "Apache-2.0"));
}

#[test]
fn what_is_built_is_what_was_in_the_sources() {
    for split in Split::ALL {
        let data = data(split);
        assert_eq!(data.split(), split);
        let mut known = 0;
        for index in 0..data.face_count() {
            let emotion = data.emotion(index);
            let same = (0..91)
                .filter(|number| miniature::draw_face(emotion, *number) == data.pixels(index));
            known += same.count();
        }
        assert_eq!(known, data.face_count(), "{split:?}");
        let quoted = format!("They call it \"{split:?}\" here.");
        let found = data
            .utterances()
            .iter()
            .find(|one| one.text == quoted)
            .unwrap();
        assert_eq!(found.emotion, Emotion::Neutral);
        assert_eq!(found.sentiment, logits_of_label(Emotion::Neutral));
    }
}

#[test]
fn splits_are_disjoint_and_duplicates_leave_training() {
    let (_folder, options) = sources();
    let train = options.faces.join("train");
    let test = options.faces.join("test");
    // A test picture in train under another name and class, a darker copy of another, a repeat
    // inside train, and a repeat inside test.
    std::fs::copy(
        test.join("fear/PrivateTest_0.png"),
        train.join("sad/900.png"),
    )
    .unwrap();
    let picture = image::open(test.join("happy/PublicTest_1.png"))
        .unwrap()
        .into_luma8();
    let darker: Vec<u8> = picture.iter().map(|grey| grey / 2 + 30).collect();
    miniature::write_face(&train.join("happy/901.png"), &darker).unwrap();
    std::fs::copy(train.join("angry/0.png"), train.join("angry/902.png")).unwrap();
    std::fs::copy(
        test.join("sad/PrivateTest_1.png"),
        test.join("sad/PrivateTest_9.png"),
    )
    .unwrap();
    // A test utterance said in train, in capitals.
    let said = std::fs::read_to_string(options.texts.join("test.tsv")).unwrap();
    let said = said
        .lines()
        .next()
        .unwrap()
        .split('\t')
        .next()
        .unwrap()
        .to_uppercase();
    let mut table = std::fs::read_to_string(options.texts.join("train.tsv")).unwrap();
    table += &format!("{said}!!\t3\tcopied\n");
    std::fs::write(options.texts.join("train.tsv"), table).unwrap();

    let built = built(&options);
    assert_eq!(dropped(&built, "exact duplicate in test"), 2);
    assert_eq!(dropped(&built, "near duplicate in validation"), 1);
    assert_eq!(dropped(&built, "exact duplicate in its split"), 1);
    let kept = "exact duplicate in its split, only out of the scenes";
    assert_eq!(dropped(&built, kept), 1);
    let faces: Vec<usize> = built.manifest.splits.iter().map(|one| one.faces).collect();
    assert_eq!(faces, [42, 21, 29]);
    assert_eq!(built.manifest.splits[2].single_only, 1);
    for kind in ["faces", "utterances"] {
        let lists = Split::ALL.map(|split| {
            let name = format!("{kind}-{}.digests", split.name());
            let (_, bytes) = built.files.iter().find(|(of, _)| *of == name).unwrap();
            DigestList::from_bytes(bytes).unwrap()
        });
        for (first, second) in [(0, 1), (0, 2), (1, 2)] {
            assert!(!lists[first].is_empty());
            assert_eq!(lists[first].shared_with(&lists[second]), 0);
        }
    }

    let folder = tempfile::tempdir().unwrap();
    write(&built, folder.path());
    let data = Arc::new(FaceSplit::open(folder.path(), Split::Test).unwrap());
    let repeats = (0..29)
        .filter(|index| data.is_single_only(*index))
        .collect::<Vec<_>>();
    assert_eq!(repeats.len(), 1);
    let corpus = FaceCorpus::new(FaceConfig::evaluation(48, 1, 4), data).unwrap();
    for index in 0..300 {
        assert!(
            corpus
                .scene(index)
                .faces()
                .iter()
                .all(|face| face.face != repeats[0])
        );
    }
    assert_eq!(
        corpus.every_face().filter(|face| !face.is_distinct).count(),
        1
    );
}

#[test]
fn a_classifiers_logits_are_taken_and_gaps_are_named() {
    let (folder, mut options) = sources();
    let mut lines = String::new();
    for split in Split::ALL {
        for utterance in data(split).utterances() {
            let text = serde_json::to_string(&utterance.text).unwrap();
            lines +=
                &format!("{{\"text\": {text}, \"logits\": [0, 1, 2, 3, 4, 5, 6], \"other\": 1}}\n");
        }
    }
    let path = folder.path().join("scored.jsonl");
    std::fs::write(&path, &lines).unwrap();
    options.sentiment = vec![path.clone()];
    let scored = built(&options);
    assert!(
        matches!(&scored.manifest.sentiment, SentimentSource::Classifier { sha256 } if sha256.len() == 1)
    );
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    write(&scored, &out);
    let data = FaceSplit::open(&out, Split::Train).unwrap();
    assert_eq!(
        data.utterances()[0].sentiment,
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    );
    assert_eq!(
        data.utterances_by_sentiment(Emotion::Surprise).len(),
        data.utterances().len()
    );
    assert_eq!(data.utterances_by_sentiment(Emotion::Joy).len(), 0);

    let gap = lines.split_once('\n').unwrap().1;
    std::fs::write(&path, gap).unwrap();
    let error = build(&options, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("no logits for 1 of "), "{error}");
    assert!(error.contains("scored.jsonl"), "{error}");
}

#[test]
fn progress_reaches_its_end() {
    let mut ends = Vec::new();
    build(&MINIATURE.options, &mut |progress: Progress| {
        assert!(progress.done <= progress.total);
        if progress.done == progress.total {
            ends.push(progress.stage);
        }
    })
    .unwrap();
    assert_eq!(ends, ["reading faces", "comparing"]);
}

#[test]
fn a_few_broken_items_are_named_and_many_stop_the_build() {
    let (_folder, options) = sources();
    let broken = options.faces.join("train/sad/0.png");
    std::fs::write(&broken, b"no picture").unwrap();
    // 1 of 91 is more than 1 %.
    let error = build(&options, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("1 of 91 pictures"), "{error}");
    for number in 0..10 {
        let path = options
            .faces
            .join(format!("train/sad/{}.png", 100 + number));
        miniature::write_face(&path, &miniature::draw_face(Emotion::Sadness, 500 + number))
            .unwrap();
    }
    let built = built(&options);
    assert_eq!(built.unreadable.len(), 1);
    assert!(
        built.unreadable[0].contains("0.png"),
        "{:?}",
        built.unreadable
    );
    assert_eq!(dropped(&built, "unreadable"), 1);
}

#[test]
fn wrong_sources_are_errors_that_say_what_to_give() {
    let (_folder, options) = sources();
    let fails = |options: &BuildOptions| build(options, &mut |_| ()).unwrap_err().to_string();
    let swapped = BuildOptions {
        faces: options.texts.clone(),
        ..options.clone()
    };
    let error = fails(&swapped);
    assert!(
        error.contains("not found") && error.contains("PrivateTest"),
        "{error}"
    );
    let swapped = BuildOptions {
        texts: options.faces.clone(),
        ..options.clone()
    };
    assert!(fails(&swapped).contains("labels.txt"));
    let large = options.faces.join("train/fear/0.png");
    image::GrayImage::new(50, 48).save(&large).unwrap();
    assert!(fails(&options).contains("50 × 48 pixels instead of 48 × 48"));
    std::fs::remove_file(large).unwrap();
    let unnamed = options.faces.join("test/fear/17.png");
    miniature::write_face(&unnamed, &miniature::draw_face(Emotion::Fear, 800)).unwrap();
    assert!(fails(&options).contains("PublicTest_"));
    std::fs::remove_file(unnamed).unwrap();
    for place in 0..COUNTS[1] {
        let path = options
            .faces
            .join(format!("test/disgust/PublicTest_{place}.png"));
        std::fs::remove_file(path).unwrap();
    }
    let error = fails(&options);
    assert!(
        error.contains("no face of disgust in the validation split"),
        "{error}"
    );
}

#[test]
fn a_damaged_corpus_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    copy(&MINIATURE.corpus, folder.path());
    let open = |split| FaceSplit::open(folder.path(), split);
    assert!(open(Split::Test).is_ok());
    let faces = folder.path().join("faces-test.safetensors");
    let mut bytes = std::fs::read(&faces).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&faces, &bytes).unwrap();
    let error = open(Split::Test).unwrap_err().to_string();
    assert!(error.contains("faces-test.safetensors"), "{error}");
    assert!(error.contains("build-scenes"), "{error}");
    // The other splits are whole.
    assert!(open(Split::Train).is_ok());
    std::fs::remove_file(folder.path().join("utterances-train.jsonl")).unwrap();
    assert!(open(Split::Train).is_err());
    let manifest = folder.path().join(MANIFEST);
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("version = 1", "version = 2")).unwrap();
    let error = open(Split::Validation).unwrap_err().to_string();
    assert!(error.contains("version 2 instead of 1"), "{error}");
    std::fs::remove_file(&manifest).unwrap();
    let error = open(Split::Validation).unwrap_err().to_string();
    assert!(error.contains("manifest.toml: not found"), "{error}");
}
