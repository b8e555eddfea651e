//! Samples are functions of (config, split, index), splits are apart, errors are errors.

use std::collections::HashSet;

use emotionclip::Emotion;

use super::*;
use crate::pairs::{Pair, PairedCorpus};

fn bytes(pair: &Pair) -> Vec<u8> {
    let mut bytes = pair.text.clone().into_bytes();
    for (frame, mask) in pair.clip.frames.iter().zip(&pair.clip.masks) {
        bytes.extend_from_slice(frame);
        bytes.extend_from_slice(mask);
    }
    bytes
}

#[test]
fn a_sample_is_the_same_whatever_the_order_or_the_thread() {
    let corpus = corpus(Split::Train, scenes(3));
    let draw = |index| bytes(&corpus.sample(index));
    let forwards: Vec<_> = (0..8).map(draw).collect();
    let mut backwards = std::thread::scope(|scope| {
        let worker = scope.spawn(|| (0..8).rev().map(draw).collect::<Vec<_>>());
        worker.join().unwrap()
    });
    backwards.reverse();
    assert!(forwards == backwards);
    assert!(forwards[0] != forwards[1]);
}

#[test]
fn a_sample_of_the_miniature_is_always_the_same() {
    // A change of these bytes is a change of the corpus: every figure measured on it is another's.
    let scene = corpus(Split::Test, FaceConfig::evaluation(64, 8, 4)).scene(12);
    let subject = scene.subject();
    let placed = [
        subject.placement.x,
        subject.placement.y,
        subject.placement.side,
    ];
    let expected = [0.699_895_9, 0.243_713_8, 0.415_682_9];
    for (found, expected) in placed.into_iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{placed:?}");
    }
    assert_eq!(scene.subject_index(), 1);
}

#[test]
fn seeds_and_splits_give_other_scenes() {
    let train = corpus(Split::Train, scenes(3));
    let reseeded = corpus(Split::Train, scenes(4));
    let test = corpus(Split::Test, scenes(3));
    let place = |corpus: &FaceCorpus| corpus.scene(0).subject().placement;
    assert_ne!(place(&train), place(&reseeded));
    assert_ne!(place(&train), place(&test));
}

#[test]
fn some_frames_are_those_of_the_whole_clip() {
    let corpus = corpus(Split::Validation, scenes(3));
    for index in 0..4 {
        let whole = corpus.sample(index);
        let part = corpus.sample_frames(index, 2..5).unwrap();
        assert!(part.clip.frames == whole.clip.frames[2..5]);
        assert!(part.clip.masks == whole.clip.masks[2..5]);
        let peak = corpus.sample_peak(index);
        assert_eq!(peak.peak_frame, 4);
        assert!(peak.clip.frames[0] == whole.clip.frames[4]);
        assert_eq!((peak.text, peak.emotion), (whole.text, whole.emotion));
    }
    assert!(corpus.sample_frames(0, 6..9).is_err());
}

#[test]
fn emotions_are_balanced_and_every_face_has_its_turn() {
    for config in [single(2), scenes(2)] {
        let corpus = corpus(Split::Train, config);
        for block in 0..20 {
            let felt: HashSet<Emotion> = (0..7)
                .map(|place| corpus.emotion(block * 7 + place))
                .collect();
            assert_eq!(felt.len(), Emotion::COUNT);
        }
        // Six faces an emotion: 42 samples show each face once, twice over in another order.
        let round = |start: u64| -> Vec<usize> {
            let scenes = (start..start + 42).map(|index| corpus.scene(index));
            scenes.map(|scene| scene.subject().face).collect()
        };
        let (first, second) = (round(0), round(42));
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), 42);
        assert_eq!(second.iter().collect::<HashSet<_>>().len(), 42);
        assert_ne!(first, second);
    }
}

#[test]
fn natural_sampling_shows_every_face_once_a_round() {
    let config = FaceConfig {
        sampling: FaceSampling::Natural,
        ..single(2)
    };
    let corpus = corpus(Split::Train, config);
    let faces: HashSet<usize> = (0..42)
        .map(|index| corpus.scene(index).subject().face)
        .collect();
    assert_eq!(faces.len(), 42);
}

#[test]
fn the_faces_of_a_scene_show_different_things_and_the_subject_speaks() {
    let corpus = corpus(Split::Validation, scenes(6));
    let mut counts = [0; MAX_FACES];
    for index in 0..400 {
        let scene = corpus.scene(index);
        let shown: HashSet<Emotion> = scene.faces().iter().map(|face| face.emotion).collect();
        assert_eq!(shown.len(), scene.faces().len());
        counts[shown.len() - 1] += 1;
        for face in scene.faces() {
            assert_eq!(corpus.data().emotion(face.face), face.emotion);
        }
        assert!(!scene.others().contains(&scene.emotion()));
        let utterance = corpus.utterance(index);
        assert_eq!(utterance.emotion, scene.emotion());
        assert!(corpus.data().utterances().contains(utterance));
        let (text, sentiment) = corpus.spoken(index);
        assert_eq!(
            (text, sentiment),
            (utterance.text.as_str(), utterance.sentiment)
        );
    }
    // A quarter each: 100 of 400, with a deviation of 8.7.
    assert!(
        counts.iter().all(|count| (65..135).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn alike_utterances_share_the_dominant_sentiment() {
    let corpus = corpus(Split::Train, scenes(6));
    let total: usize = Emotion::ALL
        .iter()
        .map(|one| corpus.alike_count(*one))
        .sum();
    assert_eq!(total, corpus.data().utterances().len());
    for emotion in Emotion::ALL {
        let said: Vec<&str> = corpus
            .data()
            .utterances_by_sentiment(emotion)
            .map(|one| one.text.as_str())
            .collect();
        assert_eq!(corpus.alike(emotion, 1), said[1]);
        assert_eq!(corpus.alike(emotion, said.len()), "");
    }
}

#[test]
fn evaluation_lists_have_their_number_of_faces_and_no_augmentation() {
    for split in [Split::Validation, Split::Test] {
        for count in 1..=4 {
            let corpus = corpus(split, FaceConfig::evaluation(64, 8, count));
            for index in 0..30 {
                assert_eq!(corpus.scene(index).faces().len(), count);
            }
            let key = corpus.sample_peak(7).key;
            assert_eq!(key, format!("{}-{count}-00000007", split.name()));
        }
    }
}

#[test]
fn validation_and_test_are_never_augmented() {
    let strong = Augmentation {
        brightness: 0.9,
        erase: 1.0,
        box_jitter: 0.4,
        ..Augmentation::default()
    };
    for view in [FaceView::Single, FaceView::Scenes] {
        for split in Split::ALL {
            let with = |augmentation| {
                let config = FaceConfig {
                    view,
                    augmentation,
                    ..scenes(8)
                };
                bytes(&corpus(split, config).sample_peak(3))
            };
            let same = with(strong) == with(Augmentation::NONE);
            assert_eq!(same, split != Split::Train, "{view:?} {split:?}");
        }
    }
}

#[test]
fn every_face_of_a_split_comes_once() {
    let config = FaceConfig {
        size: 48,
        ..single(0)
    };
    let corpus = corpus(Split::Test, config);
    let faces: Vec<_> = corpus.every_face().collect();
    assert_eq!(faces.len(), 7 * COUNTS[2]);
    for (index, face) in faces.into_iter().enumerate() {
        assert_eq!(face.index, index);
        assert_eq!(face.emotion, corpus.data().emotion(index));
        assert!(face.is_distinct);
        let clip = face.into_clip();
        let greys = clip.frames[0].pixels().map(|pixel| pixel[0]);
        assert!(greys.eq(corpus.data().pixels(index).iter().copied()));
        assert!(clip.masks[0].pixels().all(|pixel| pixel[0] == 255));
    }
}

#[test]
fn settings_out_of_range_are_errors() {
    let data = data(Split::Train);
    let error = |config: FaceConfig| {
        FaceCorpus::new(config, data.clone())
            .unwrap_err()
            .to_string()
    };
    assert!(
        error(FaceConfig {
            size: 47,
            ..scenes(0)
        })
        .contains("faces.size is 47")
    );
    assert!(
        error(FaceConfig {
            size: 225,
            ..scenes(0)
        })
        .contains("48 to 224")
    );
    assert!(
        error(FaceConfig {
            frames: 0,
            ..scenes(0)
        })
        .contains("faces.frames is 0")
    );
    for (min_faces, max_faces) in [(0, 2), (3, 2), (1, 5)] {
        let config = FaceConfig {
            min_faces,
            max_faces,
            ..scenes(0)
        };
        assert!(error(config).contains("faces.min_faces"));
    }
    let augmentation = Augmentation {
        flip: f32::NAN,
        ..Augmentation::NONE
    };
    let config = FaceConfig {
        augmentation,
        ..scenes(0)
    };
    assert!(error(config).contains("faces.augmentation.flip"));
}

#[test]
fn the_config_is_read_from_toml_and_refuses_unknown_keys() {
    let text = "size = 96\nview = \"single\"\nsampling = \"natural\"\n[augmentation]\nflip = 0.0";
    let config: FaceConfig = toml::from_str(text).unwrap();
    assert_eq!((config.size, config.view), (96, FaceView::Single));
    assert_eq!(config.sampling, FaceSampling::Natural);
    assert_eq!(config.augmentation.flip, 0.0);
    assert_eq!(config.augmentation.shift, Augmentation::default().shift);
    assert_eq!(config.max_faces, MAX_FACES);
    assert!(toml::from_str::<FaceConfig>("colour = 48").is_err());
    assert!(toml::from_str::<FaceConfig>("[augmentation]\nblur = 1.0").is_err());
}

#[test]
fn every_so_many_scenes_a_face_fills_the_frame() {
    let config = FaceConfig {
        alone_every: 4,
        min_faces: 2,
        ..scenes(3)
    };
    let corpus = corpus(Split::Train, config);
    for index in 0..12 {
        let scene = corpus.scene(index);
        let alone = index % 4 == 3;
        assert_eq!(scene.faces().len() == 1, alone, "scene {index}");
        let whole_mask = |pair: &Pair| {
            let mask = &pair.clip.masks[0];
            mask.pixels().all(|pixel| pixel.0[0] == u8::MAX)
        };
        assert_eq!(
            whole_mask(&corpus.pair(index).unwrap()),
            alone,
            "scene {index}"
        );
    }
}
