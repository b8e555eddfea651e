//! Samples are functions of (config, split, index), splits are apart, errors are errors.

use std::collections::HashSet;

use super::*;

#[test]
fn a_sample_is_the_same_whatever_the_order_or_the_thread() {
    let corpus = corpus(Split::Train, FigureCount::Mixed);
    let bytes = |index| {
        let sample = corpus.sample(index);
        let mut bytes: Vec<u8> = sample.text.into_bytes();
        for (frame, mask) in sample.clip.frames.iter().zip(&sample.clip.masks) {
            bytes.extend_from_slice(frame);
            bytes.extend_from_slice(mask);
        }
        bytes
    };
    let forwards: Vec<_> = (0..12).map(bytes).collect();
    let mut backwards = std::thread::scope(|scope| {
        let worker = scope.spawn(|| (0..12).rev().map(bytes).collect::<Vec<_>>());
        worker.join().expect("drawing doesn't panic")
    });
    backwards.reverse();
    assert!(forwards == backwards);
    assert!(forwards[0] != forwards[1]);
}

#[test]
fn seeds_and_splits_give_other_scenes() {
    let train = corpus(Split::Train, FigureCount::Mixed);
    let test = corpus(Split::Test, FigureCount::Mixed);
    let config = SyntheticConfig {
        seed: 12,
        ..train.config().clone()
    };
    let reseeded = SyntheticCorpus::new(config, Split::Train).expect("the settings are in range");
    assert_ne!(train.scene(0), test.scene(0));
    assert_ne!(train.scene(0), reseeded.scene(0));
}

#[test]
fn some_frames_are_those_of_the_whole_clip() {
    let corpus = corpus(Split::Validation, FigureCount::Mixed);
    for index in 0..4 {
        let whole = corpus.sample(index);
        let part = corpus
            .sample_frames(index, 3..6)
            .expect("the range is in the clip");
        assert!(part.clip.frames == whole.clip.frames[3..6]);
        assert!(part.clip.masks == whole.clip.masks[3..6]);
        assert_eq!((part.text, part.sentiment), (whole.text, whole.sentiment));
        let peak = corpus.sample_peak(index);
        assert!(peak.clip.frames == whole.clip.frames[whole.peak_frame..]);
        assert_eq!(peak.clip.frames.len(), 1);
    }
}

#[test]
fn figures_and_utterances_are_those_of_the_split() {
    let mut said: Vec<HashSet<String>> = Vec::new();
    let mut looks: Vec<HashSet<u32>> = Vec::new();
    for split in Split::ALL {
        let corpus = corpus(split, FigureCount::Mixed);
        let mut texts = HashSet::new();
        let mut seen = HashSet::new();
        for index in 0..2000 {
            let scene = corpus.scene(index);
            for figure in scene.figures() {
                assert_eq!(figure.identity.split(), split);
                seen.insert(figure.identity.look());
            }
            texts.insert(corpus.text(index).to_owned());
        }
        said.push(texts);
        looks.push(seen);
    }
    for (first, second) in [(0, 1), (0, 2), (1, 2)] {
        assert!(said[first].is_disjoint(&said[second]));
        assert!(looks[first].is_disjoint(&looks[second]));
    }
}

#[test]
fn the_figures_of_a_scene_feel_different_things_and_the_subject_speaks() {
    for figures in [
        FigureCount::Single,
        FigureCount::Placed,
        FigureCount::Multi,
        FigureCount::Mixed,
    ] {
        let corpus = corpus(Split::Train, figures);
        for index in 0..500 {
            let scene = corpus.scene(index);
            let felt: HashSet<Emotion> = scene.figures().iter().map(|one| one.emotion).collect();
            assert_eq!(felt.len(), scene.figures().len());
            let counts = match figures {
                FigureCount::Single | FigureCount::Placed => 1..=1,
                FigureCount::Multi => 2..=3,
                FigureCount::Mixed => 1..=3,
            };
            assert!(counts.contains(&felt.len()));
            assert_eq!(scene.others().len(), felt.len() - 1);
            assert!(!scene.others().contains(&scene.emotion()));
            let own = utterances(Split::Train, scene.emotion());
            assert!(own.iter().any(|text| text == corpus.text(index)));
        }
    }
}

#[test]
fn every_run_of_seven_samples_has_every_emotion() {
    let corpus = corpus(Split::Test, FigureCount::Multi);
    for block in 0..50 {
        let felt: HashSet<Emotion> = (0..7)
            .map(|place| corpus.scene(block * 7 + place).emotion())
            .collect();
        assert_eq!(felt.len(), Emotion::COUNT);
    }
}

#[test]
fn a_sample_carries_what_its_scene_says() {
    let corpus = corpus(Split::Test, FigureCount::Mixed);
    let sample = corpus.sample(5);
    assert_eq!(sample.key, "test-00000005");
    assert_eq!(sample.emotion, sample.scene.emotion());
    assert_eq!(sample.figure_count, sample.others.len() + 1);
    assert_eq!(sample.peak_frame, 7);
    assert_eq!(sample.clip.frames.len(), 8);
    assert_eq!(sample.clip.masks.len(), 8);
    assert_eq!(
        sample.sentiment,
        sentiment_logits(&sample.text, sample.emotion)
    );
}

#[test]
fn settings_out_of_range_are_errors() {
    let open = |size, frames| {
        let config = SyntheticConfig {
            size,
            frames,
            ..SyntheticConfig::default()
        };
        SyntheticCorpus::new(config, Split::Train).map(|_| ())
    };
    assert_eq!(open(8, 4), Err(SyntheticError::Size(8)));
    assert_eq!(open(1 << 20, 4), Err(SyntheticError::Size(1 << 20)));
    assert_eq!(open(64, 0), Err(SyntheticError::Frames(0)));
    let config = SyntheticConfig {
        restraint: f32::NAN,
        ..SyntheticConfig::default()
    };
    assert!(SyntheticCorpus::new(config, Split::Train).is_err());
    let corpus = corpus(Split::Train, FigureCount::Single);
    let error = corpus.sample_frames(0, 6..9).map(|_| ());
    assert_eq!(
        error,
        Err(SyntheticError::Range {
            start: 6,
            end: 9,
            frames: 8
        })
    );
}

#[test]
fn the_config_is_read_from_toml_and_refuses_unknown_keys() {
    let config: SyntheticConfig =
        toml::from_str("size = 48\nfigures = \"multi\"\nmask = \"silhouette\"")
            .expect("all keys are known");
    assert_eq!(config.size, 48);
    assert_eq!(config.figures, FigureCount::Multi);
    assert_eq!(config.mask, MaskKind::Silhouette);
    assert_eq!(config.frames, SyntheticConfig::default().frames);
    assert!(toml::from_str::<SyntheticConfig>("colour = 48").is_err());
}
