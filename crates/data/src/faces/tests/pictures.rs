//! What is in the pictures.

use image::{GrayImage, RgbImage};

use super::*;

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

#[test]
fn frames_have_the_size_asked_for_and_masks_their_size() {
    for (size, frames) in [(48, 1), (64, 8), (100, 2), (224, 3)] {
        for view in [FaceView::Single, FaceView::Scenes] {
            let config = FaceConfig {
                size,
                frames,
                view,
                ..scenes(1)
            };
            let clip = corpus(Split::Train, config).sample(5).clip;
            assert_eq!((clip.frames.len(), clip.masks.len()), (frames, frames));
            for (frame, mask) in clip.frames.iter().zip(&clip.masks) {
                assert_eq!(frame.dimensions(), (size, size));
                assert_eq!(mask.dimensions(), (size, size));
                assert!(mask.pixels().all(|pixel| pixel[0] == 0 || pixel[0] == 255));
                assert!(mask.pixels().any(|pixel| pixel[0] == 255));
            }
        }
    }
}

#[test]
fn the_mask_is_the_subjects_box_in_every_frame() {
    let corpus = corpus(Split::Test, FaceConfig::evaluation(64, 8, 3));
    for index in 0..10 {
        let scene = corpus.scene(index);
        let clip = corpus.sample(index).clip;
        for (frame, mask) in clip.masks.iter().enumerate() {
            let time = corpus.config().time_of(frame);
            let bounds = scene.subject().placement_at(time).bounds();
            let [left, top, right, bottom] = bounds.map(|edge| edge * 64.0);
            for (x, y, pixel) in mask.enumerate_pixels() {
                let (x, y) = (x as f32, y as f32);
                let touched = x + 1.0 > left && x < right && y + 1.0 > top && y < bottom;
                assert_eq!(pixel[0] > 0, touched, "{x}, {y} in {bounds:?}");
            }
        }
    }
}

#[test]
fn masks_on_the_subject_are_the_samples_and_those_on_others_are_elsewhere() {
    let corpus = corpus(Split::Test, FaceConfig::evaluation(64, 4, 4));
    for index in 0..10 {
        let scene = corpus.scene(index);
        let clip = corpus.sample(index).clip;
        for (number, face) in scene.faces().iter().enumerate() {
            let masks = corpus.masks_on(face);
            assert_eq!(masks == clip.masks, number == scene.subject_index());
            // Where the face stands in the middle of the clip, its mask is on.
            let [left, top, right, bottom] = face.placement.bounds();
            let middle = [(left + right) / 2.0, (top + bottom) / 2.0];
            let [x, y] = middle.map(|place| (place * 64.0) as u32);
            assert_eq!(masks[2].get_pixel(x, y)[0], 255, "{index}");
        }
    }
}

#[test]
fn everyone_of_a_scene_is_the_subject_of_the_same_picture_in_turn() {
    let corpus = corpus(Split::Train, scenes(3));
    let mut crowds = 0;
    for index in 0..40 {
        let scene = corpus.scene(index);
        let group = corpus.group_peak(index);
        assert_eq!(group.len(), scene.faces().len());
        let own = corpus.sample_peak(index);
        assert_eq!(group[0].clip.masks, own.clip.masks);
        assert_eq!(group[0].text, own.text);
        crowds += usize::from(group.len() > 1);
        let mut shown: Vec<_> = scene.faces().iter().map(|face| face.emotion).collect();
        for (place, pair) in group.iter().enumerate() {
            assert_eq!(pair.clip.frames, own.clip.frames);
            let emotion = shown.iter().position(|emotion| *emotion == pair.emotion);
            shown.remove(emotion.expect("everyone has one turn"));
            let said = corpus.data().utterances();
            let said = said.iter().find(|one| one.text == pair.text).unwrap();
            assert_eq!(said.emotion, pair.emotion);
            let mut others = pair.others.clone();
            others.push(pair.emotion);
            others.sort_by_key(|emotion| emotion.index());
            let mut all: Vec<_> = scene.faces().iter().map(|face| face.emotion).collect();
            all.sort_by_key(|emotion| emotion.index());
            assert_eq!(others, all);
            for other in &group[..place] {
                assert_ne!(other.clip.masks, pair.clip.masks);
                assert_ne!(other.key, pair.key);
            }
        }
        assert!(shown.is_empty());
    }
    assert!(crowds > 10, "{crowds} of 40 scenes have several faces");
}

#[test]
fn another_subject_changes_the_picture_under_the_mask() {
    let corpus = corpus(Split::Test, FaceConfig::evaluation(64, 1, 3));
    let (mut inside, mut outside) = (0.0, 0.0);
    for index in 0..15 {
        let scene = corpus.scene(index);
        let clip = corpus.sample(index).clip;
        let subject = scene.subject_index();
        let faces = scene.faces().iter().enumerate();
        let faces = faces.map(|(number, face)| {
            if number == subject {
                (face.face + 3) % 28
            } else {
                face.face
            }
        });
        let recast = scene.clone().with_faces(faces.collect::<Vec<_>>());
        let again = render::render(&recast, corpus.config(), corpus.data(), index, 0..1);
        let mask = &clip.masks[0];
        inside += difference(&clip.frames[0], &again.frames[0], mask);
        let mut rest = mask.clone();
        rest.iter_mut().for_each(|value| *value = 255 - *value);
        outside += difference(&clip.frames[0], &again.frames[0], &rest);
    }
    // The head may be tilted, so a corner of the face can leave its box; most of it can't.
    assert!(
        inside > 15.0 * 8.0 && outside < 0.02 * inside,
        "{inside} {outside}"
    );
}

#[test]
fn scenes_move() {
    let corpus = corpus(Split::Train, scenes(4));
    let mut moved = 0;
    for index in 0..20 {
        let clip = corpus.sample(index).clip;
        let whole = GrayImage::from_pixel(64, 64, image::Luma([255]));
        let change = difference(&clip.frames[0], &clip.frames[7], &whole);
        let noise = difference(&clip.frames[0], &clip.frames[0], &whole);
        assert!(change > noise + 1.0, "{index}: {change}");
        moved += usize::from(clip.masks[0] != clip.masks[7]);
    }
    assert!(moved >= 18, "{moved} of 20");
}

#[test]
fn faces_can_be_told_from_the_background() {
    let erased = |index| {
        let corpus = corpus(Split::Test, FaceConfig::evaluation(64, 1, 1));
        let full = corpus.sample(index).clip;
        let without = corpus.with_faces_erased().sample(index).clip;
        assert!(full.masks == without.masks);
        difference(&full.frames[0], &without.frames[0], &full.masks[0])
    };
    let mean = (0..20).map(erased).sum::<f32>() / 20.0;
    assert!(mean > 20.0, "{mean}");
}

#[test]
fn singles_are_clips_of_one_still_face() {
    let config = FaceConfig {
        frames: 4,
        ..single(3)
    };
    let corpus = corpus(Split::Train, config);
    let pair = corpus.sample(9);
    assert!(pair.others.is_empty());
    assert!(
        pair.clip
            .frames
            .iter()
            .all(|frame| *frame == pair.clip.frames[0])
    );
    assert!(pair.clip.masks[0].pixels().all(|pixel| pixel[0] == 255));
    // Half of them are tinted.
    let tinted = (0..200)
        .filter(|index| {
            let frame = &corpus.sample_peak(*index).clip.frames[0];
            frame.pixels().any(|pixel| pixel[0] != pixel[2])
        })
        .count();
    // 0.5 · 0.85 of 200 with a deviation of 7.
    assert!((55..115).contains(&tinted), "{tinted}");
}
