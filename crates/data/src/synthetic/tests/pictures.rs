//! What is in the pictures, and what isn't.

use emotionclip::Clip;
use image::{GrayImage, RgbImage};

use super::*;

/// The same scene in which everybody feels the next emotion of the list.
fn shifted(scene: &Scene, by: usize) -> Scene {
    let next = |figure: &Figure| Emotion::ALL[(figure.emotion.index() + by) % Emotion::COUNT];
    let emotions: Vec<Emotion> = scene.figures().iter().map(next).collect();
    scene.clone().with_emotions(&emotions)
}

fn draw(corpus: &SyntheticCorpus, scene: &Scene, index: u64) -> Clip {
    corpus.draw(scene, index, 0..corpus.config().frames)
}

/// Mean absolute difference of two frames inside a mask, 0..=255.
fn difference(first: &RgbImage, second: &RgbImage, mask: &GrayImage) -> f32 {
    let mut sum = 0.0;
    let mut count = 0.0;
    for ((a, b), covered) in first.pixels().zip(second.pixels()).zip(mask.pixels()) {
        if covered[0] > 0 {
            sum += (0..3).map(|c| f32::from(a[c].abs_diff(b[c]))).sum::<f32>() / 3.0;
            count += 1.0;
        }
    }
    sum / count
}

/// Share of the pixels covered by either of two masks that the other doesn't cover.
fn disagreement(first: &GrayImage, second: &GrayImage) -> f32 {
    let pairs = || first.pixels().zip(second.pixels());
    let either = pairs().filter(|(a, b)| a[0] > 0 || b[0] > 0).count();
    let one = pairs().filter(|(a, b)| (a[0] > 0) != (b[0] > 0)).count();
    one as f32 / either as f32
}

#[test]
fn erased_scenes_are_the_same_whatever_is_felt() {
    let corpus = corpus(Split::Test, FigureCount::Mixed).with_appearance(Appearance::ERASED);
    for index in 0..20 {
        let scene = corpus.scene(index);
        let clip = draw(&corpus, &scene, index);
        for by in 1..Emotion::COUNT {
            let other = draw(&corpus, &shifted(&scene, by), index);
            assert!(clip.frames == other.frames);
            assert!(clip.masks == other.masks);
        }
    }
}

#[test]
fn the_box_does_not_depend_on_the_pose_and_the_picture_does() {
    let corpus = corpus(Split::Test, FigureCount::Mixed);
    for index in 0..20 {
        let scene = corpus.scene(index);
        let clip = draw(&corpus, &scene, index);
        for by in 1..Emotion::COUNT {
            let other = draw(&corpus, &shifted(&scene, by), index);
            assert!(clip.masks == other.masks);
            assert!(clip.frames.last() != other.frames.last());
        }
    }
}

#[test]
fn clips_begin_neutral() {
    let corpus = corpus(Split::Train, FigureCount::Mixed);
    for index in 0..20 {
        let scene = corpus.scene(index);
        let first = corpus.draw(&scene, index, 0..1);
        let neutral = scene.clone().with_emotions(&[Emotion::Neutral]);
        assert!(first.frames == corpus.draw(&neutral, index, 0..1).frames);
    }
}

#[test]
fn a_picture_is_a_function_of_its_scene_which_holds_no_text() {
    let corpus = corpus(Split::Train, FigureCount::Mixed);
    for index in 0..10 {
        let sample = corpus.sample(index);
        assert_eq!(
            sample.clip.frames,
            draw(&corpus, &sample.scene, index).frames
        );
        // The debug form shows every field of a scene, at any depth.
        let shown = format!("{:?}", sample.scene);
        assert!(!shown.contains('"'), "a scene holds a string: {shown}");
    }
}

#[test]
fn figures_stay_in_their_boxes_whatever_they_feel() {
    let config = SyntheticConfig {
        figures: FigureCount::Single,
        mask: MaskKind::Silhouette,
        restraint: 0.0,
        ..SyntheticConfig::default()
    };
    let corpus = SyntheticCorpus::new(config, Split::Train).expect("the settings are in range");
    let (mut inside, mut covered) = (0, 0);
    for index in 0..140 {
        let scene = corpus.scene(index);
        let clip = draw(&corpus, &scene, index);
        for (frame, mask) in clip.masks.iter().enumerate() {
            let [left, top, right, bottom] = scene
                .subject()
                .placement_at(corpus.config().time_of(frame))
                .bounds();
            for (x, y, _) in mask.enumerate_pixels().filter(|(_, _, pixel)| pixel[0] > 0) {
                let (x, y) = ((x as f32 + 0.5) / 64.0, (y as f32 + 0.5) / 64.0);
                covered += 1;
                inside += usize::from((left..=right).contains(&x) && (top..=bottom).contains(&y));
            }
        }
    }
    let outside = 1.0 - inside as f32 / covered as f32;
    // Long hair of a leaning figure may stick out a little.
    assert!(
        outside < 0.005,
        "{:.2} % of the figures is outside",
        100.0 * outside
    );
}

#[test]
fn face_and_posture_can_be_shown_one_by_one() {
    let config = SyntheticConfig {
        figures: FigureCount::Single,
        mask: MaskKind::Silhouette,
        restraint: 0.0,
        ..SyntheticConfig::default()
    };
    let full = SyntheticCorpus::new(config, Split::Train).expect("the settings are in range");
    let peak = full.peak_frame();
    let face = full.clone().with_appearance(Appearance::FACE_ONLY);
    let posture = full.clone().with_appearance(Appearance::POSTURE_ONLY);
    for index in 0..21 {
        let scene = full.scene(index);
        let neutral = draw(
            &full,
            &scene.clone().with_emotions(&[Emotion::Neutral]),
            index,
        );
        let [full, face, posture] = [&full, &face, &posture].map(|one| draw(one, &scene, index));
        if scene.emotion() == Emotion::Neutral {
            assert!(full.frames == neutral.frames);
            continue;
        }
        let [neutral_mask, full_mask, face_mask, posture_mask] =
            [&neutral, &full, &face, &posture].map(|clip| &clip.masks[peak]);
        // A tongue may hang over the chin, nothing else of a face changes the outline.
        assert!(disagreement(face_mask, neutral_mask) < 0.03);
        assert!(disagreement(posture_mask, full_mask) < 0.03);
        assert!(disagreement(posture_mask, neutral_mask) > 0.05);
        assert!(face.frames[peak] != neutral.frames[peak]);
        assert!(posture.frames[peak] != full.frames[peak]);
    }
}

#[test]
fn every_pair_of_emotions_looks_different_at_64_pixels() {
    let corpus = corpus(Split::Train, FigureCount::Multi);
    let scenes = 24;
    let peak = corpus.peak_frame();
    let mut apart = [[0.0_f32; Emotion::COUNT]; Emotion::COUNT];
    let mut grain = 0.0;
    for index in 0..scenes {
        let scene = corpus.scene(index);
        let drawn = Emotion::ALL.map(|emotion| {
            let shown = scene.clone().with_emotions(&[emotion]);
            corpus.draw(&shown, index, peak..peak + 1)
        });
        // The noise of another index over the same scene: what a difference is worth nothing.
        let again = scene.clone().with_emotions(&[Emotion::Neutral]);
        let again = corpus.draw(&again, index + scenes, peak..peak + 1);
        let mask = &drawn[0].masks[0];
        let neutral = &drawn[Emotion::Neutral.index()].frames[0];
        grain += difference(neutral, &again.frames[0], mask) / scenes as f32;
        for (first, row) in apart.iter_mut().enumerate() {
            for (second, sum) in row.iter_mut().enumerate() {
                let frames = (&drawn[first].frames[0], &drawn[second].frames[0]);
                *sum += difference(frames.0, frames.1, mask) / scenes as f32;
            }
        }
    }
    for first in Emotion::ALL {
        for second in Emotion::ALL.into_iter().filter(|second| *second < first) {
            let seen = apart[first.index()][second.index()];
            let names = (first, second);
            assert!(
                seen > 2.5 * grain,
                "{names:?}: {seen:.1} over a grain of {grain:.1}"
            );
        }
    }
}
