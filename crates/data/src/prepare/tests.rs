//! The index over records as the steps before write them.

use std::collections::BTreeMap;

use super::work::write_json;
use super::*;
use crate::captions::Sentence;

const FPS: f64 = 8.0;

/// A video of 20 s with these sentences (text, start, end, neutral score), somebody in the even frames.
fn write_video(work: &WorkFolder, id: &str, hashes: Vec<u64>, said: &[(&str, f64, f64, f32)]) {
    let folder = work.video(id);
    let video = VideoFile {
        stamp: "v".to_owned(),
        source: format!("{id}.mp4"),
        fps: FPS,
        first: 0,
        frames: 160,
        size: [64, 48],
        digest: "d".to_owned(),
        hashes,
    };
    let sentences = said.iter().map(|(text, start, end, _)| Sentence {
        text: (*text).to_owned(),
        start: *start,
        end: *end,
        duration: end - start,
    });
    let captions = CaptionFile {
        stamp: "c".to_owned(),
        source: format!("{id}.srt"),
        grouping: None,
        cues: said.len(),
        faults: Vec::new(),
        sentences: sentences.collect(),
    };
    let scores = said.iter().map(|(.., neutral)| SentenceScore {
        logits: [0.5; 7],
        neutral: *neutral,
    });
    let sentiment = SentimentFile {
        stamp: "s".to_owned(),
        model: "m".to_owned(),
        scores: scores.collect(),
    };
    let somebody = |number: usize| match number % 2 {
        0 => vec![[1.0, 1.0, 20.0, 20.0, 0.9]],
        _ => Vec::new(),
    };
    let boxes = BoxesFile {
        stamp: "b".to_owned(),
        space: BoxSpace::Frame,
        frames: (0..160).map(|number| (number, somebody(number))).collect(),
        dropped: Vec::new(),
    };
    write_json(&folder.join("video.json"), &video).unwrap();
    write_json(&folder.join("captions.json"), &captions).unwrap();
    write_json(&folder.join("sentiment.json"), &sentiment).unwrap();
    write_json(&folder.join("boxes.json"), &boxes).unwrap();
}

#[test]
fn a_sentence_is_dropped_under_the_first_reason_that_holds() {
    let folder = tempfile::tempdir().unwrap();
    let work = WorkFolder::open(folder.path()).unwrap();
    let evaluation = 0x00ff_00ff_00ff_00ff;
    // One hash a second; the evaluation set's picture is near second 17.
    let mut hashes = vec![0x1234_5678_9abc_def0; 20];
    hashes[17] = evaluation ^ 0b101;
    write_video(
        &work,
        "talk",
        hashes,
        &[
            // Exactly two and ten seconds are outside, as in the release.
            ("two seconds", 0.0, 2.0, 0.01),
            ("ten seconds", 0.0, 10.0, 0.01),
            ("just right", 1.0, 3.25, 0.05),
            ("just right", 1.0, 3.25, 0.05),
            ("it outlasts the video", 18.0, 20.5, 0.01),
            ("ab", 1.0, 4.0, 0.01),
            ("neutral", 1.0, 4.0, 0.0501),
            ("seen in an evaluation set", 15.0, 18.0, 0.01),
        ],
    );
    write_video(
        &work,
        "7YpF6DntOYw",
        vec![1; 20],
        &[("in BoLD", 1.0, 4.0, 0.01)],
    );
    let mut sets = EvaluationSets::bold();
    sets.add_hash(evaluation);
    let filters = IndexFilters::default();
    let report = write_index(&work, &filters, &sets).unwrap();
    let expected = [
        (DropReason::EvaluationVideo, 1),
        (DropReason::EvaluationFrames, 1),
        (DropReason::TooShort, 1),
        (DropReason::TooLong, 1),
        (DropReason::FramesMissing, 1),
        (DropReason::TextTooShort, 1),
        (DropReason::Neutral, 1),
        (DropReason::Repeated, 1),
    ];
    assert_eq!(report.dropped, BTreeMap::from(expected));
    assert_eq!((report.videos, report.sentences, report.kept), (2, 9, 1));
    assert_eq!(report.evaluation_videos, ["7YpF6DntOYw", "talk"]);
    let entries = read_index(folder.path()).unwrap();
    // Frames 8 to 26, of which ten are even.
    let entry = &entries[0];
    assert_eq!((entry.start_frame, entry.end_frame), (8, 26));
    assert!((entry.has_person - 10.0 / 19.0).abs() < 1e-9);
    let markdown = std::fs::read_to_string(folder.path().join("index-report.md")).unwrap();
    assert!(
        markdown.contains("1 of 9 sentences") && markdown.contains("`7YpF6DntOYw`"),
        "{markdown}"
    );
}

#[test]
fn filters_are_settings_and_an_index_of_nothing_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let work = WorkFolder::open(folder.path()).unwrap();
    write_video(&work, "talk", vec![1; 20], &[("half there", 1.0, 2.0, 0.5)]);
    let loose = IndexFilters {
        longer_than_secs: 0.0,
        max_neutral: 1.0,
        min_has_person: 0.5,
        ..IndexFilters::default()
    };
    let none = EvaluationSets::default();
    assert_eq!(write_index(&work, &loose, &none).unwrap().kept, 1);
    let strict = IndexFilters {
        min_has_person: 0.8,
        ..loose.clone()
    };
    let error = write_index(&work, &strict, &none).unwrap_err().to_string();
    assert!(error.contains("nobody there: 1"), "{error}");
    let longer = IndexFilters {
        min_frames: 10,
        ..loose
    };
    let error = write_index(&work, &longer, &none).unwrap_err().to_string();
    assert!(error.contains("too few frames: 1"), "{error}");
}
