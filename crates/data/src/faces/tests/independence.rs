//! What must not tell the emotion doesn't: chi-square tests over planned scenes.

use super::*;
use crate::synthetic::tests::independence::{bin, chi_square, critical};

/// Samples of each test: a multiple of seven.
const SAMPLES: u64 = 7000;

fn assert_independent(name: &str, property: impl Fn(&FaceScene) -> usize) {
    let corpus = corpus(Split::Train, scenes(11));
    for count in [1..=1, 2..=4] {
        let pairs: Vec<_> = (0..2 * SAMPLES)
            .map(|index| corpus.scene(index))
            .filter(|scene| count.contains(&scene.faces().len()))
            .map(|scene| (scene.emotion().index(), property(&scene)))
            .collect();
        let (statistic, degrees) = chi_square(&pairs);
        // A property that is the same in all scenes says nothing.
        let limit = if degrees > 0.0 {
            critical(degrees)
        } else {
            f64::MIN_POSITIVE
        };
        assert!(
            statistic < limit,
            "{name}, {count:?} faces: {statistic:.1} of {limit:.1}"
        );
    }
}

#[test]
fn size_and_place_of_the_subject_are_independent_of_its_emotion() {
    let bin_of = |value, low, high| bin(value, low, high, 6);
    assert_independent("side", |scene| {
        bin_of(scene.subject().placement.side, 0.25, 1.0)
    });
    assert_independent("x", |scene| bin_of(scene.subject().placement.x, 0.2, 0.8));
    assert_independent("y", |scene| bin_of(scene.subject().placement.y, 0.2, 0.8));
    assert_independent("rank", FaceScene::subject_index);
    assert_independent("drift", |scene| {
        bin_of(scene.subject().motion.drift.0, -0.06, 0.06)
    });
    assert_independent("last place", |scene| {
        bin_of(scene.subject().placement_at(1.0).x, 0.2, 0.8)
    });
}

#[test]
fn the_surroundings_are_independent_of_the_subjects_emotion() {
    assert_independent("background", FaceScene::background_kind);
    assert_independent("count", |scene| scene.faces().len());
    for at in [0, 1] {
        assert_independent("brightness", |scene| {
            bin(scene.light[at].brightness(), 0.72, 1.12, 6)
        });
    }
    assert_independent("tint", |scene| {
        usize::from(scene.subject().looks.palette()[128][0]) / 8
    });
    assert_independent("camera", |scene| {
        bin(scene.backdrop.camera(0.0).0, -1.0, 1.0, 6)
    });
}

#[test]
fn erased_scenes_are_the_same_whoever_is_in_them() {
    // Another order of the same faces is another cast for the same plan.
    let first = corpus(Split::Test, FaceConfig::evaluation(64, 3, 3)).with_faces_erased();
    let other = corpus(Split::Validation, FaceConfig::evaluation(64, 3, 3)).with_faces_erased();
    assert_ne!(first.sample(0).clip.frames, other.sample(0).clip.frames);
    for index in 0..20 {
        let scene = first.scene(index);
        let clip = first.sample(index).clip;
        let recast = scene.clone().with_faces([1, 5, 9]);
        let again = render::render(&recast, first.config(), first.data(), index, 0..3);
        assert!(clip.frames == again.frames);
        assert!(clip.masks == again.masks);
    }
}

#[test]
fn the_box_does_not_depend_on_the_faces_and_the_picture_does() {
    let corpus = corpus(Split::Test, FaceConfig::evaluation(64, 2, 2));
    for index in 0..20 {
        let scene = corpus.scene(index);
        let clip = corpus.sample(index).clip;
        let faces = scene.faces().iter().map(|face| (face.face + 1) % 20);
        let recast = scene.clone().with_faces(faces);
        let again = render::render(&recast, corpus.config(), corpus.data(), index, 0..2);
        assert!(clip.masks == again.masks);
        assert!(clip.frames != again.frames);
    }
}

#[test]
fn a_plan_holds_no_text() {
    let corpus = corpus(Split::Train, scenes(1));
    for index in 0..10 {
        // The debug form shows every field, at any depth.
        let shown = format!("{:?}", corpus.scene(index));
        assert!(!shown.contains('"'), "a plan holds a string: {shown}");
    }
}
