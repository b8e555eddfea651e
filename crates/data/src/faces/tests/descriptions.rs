//! Neutral descriptions, and the faces set aside for learning from them.

use std::collections::HashSet;

use super::*;
use crate::description::EMOTIONAL;
use crate::synthetic::tests::independence::{chi_square, critical};

#[test]
fn descriptions_count_the_faces_and_name_no_emotion() {
    let corpus = corpus(Split::Train, scenes(3));
    let mut seen = HashSet::new();
    for index in 0..2000 {
        let text = corpus.description(index, true);
        let words: Vec<&str> = text
            .split(|letter: char| !letter.is_alphanumeric())
            .collect();
        for word in EMOTIONAL {
            assert!(!words.contains(&word), "{word} in {text}");
        }
        let count = corpus.scene(index).faces().len();
        let number = ["a ", "two ", "three ", "four "][count - 1];
        assert!(text.starts_with(number), "{count}: {text}");
        seen.insert(text);
    }
    assert!(seen.len() > 1800, "{}", seen.len());
}

#[test]
fn no_word_of_a_description_goes_with_an_emotion() {
    let corpus = corpus(Split::Train, scenes(3));
    let described: Vec<(usize, String)> = (0..7000)
        .map(|index| {
            let emotion = corpus.scene(index).emotion().index();
            (emotion, corpus.description(index, true))
        })
        .collect();
    for word in [
        "large", "left", "bright", "nearer", "pattern", "people", "four",
    ] {
        let pairs: Vec<_> = described
            .iter()
            .map(|(emotion, text)| (*emotion, usize::from(text.contains(word))))
            .collect();
        let (statistic, degrees) = chi_square(&pairs);
        assert!(degrees > 0.0, "{word} is never said, or always");
        assert!(
            statistic < critical(degrees),
            "{word}: {statistic:.1} of {:.1}",
            critical(degrees)
        );
    }
}

#[test]
fn a_face_that_fills_the_frame_has_no_surroundings() {
    let corpus = corpus(Split::Train, single(3));
    let text = corpus.description(0, true);
    assert!(text.starts_with("a large "), "{text}");
    assert!(
        !text.contains("light") && !text.contains("before"),
        "{text}"
    );
}

#[test]
fn faces_set_aside_and_the_rest_share_none_and_miss_none() {
    let faces = |part: FacePart| -> HashSet<usize> {
        let data = FaceSplit::open(&MINIATURE.corpus, Split::Train).unwrap();
        let corpus = FaceCorpus::new(scenes(3), Arc::new(data.with_part(part).unwrap())).unwrap();
        let scenes = (0..400).map(|index| corpus.scene(index));
        scenes
            .flat_map(|scene| {
                scene
                    .faces()
                    .iter()
                    .map(|face| face.face)
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let (aside, rest) = (faces(FacePart::SetAside), faces(FacePart::Rest));
    assert!(aside.is_disjoint(&rest));
    let both: HashSet<usize> = aside.union(&rest).copied().collect();
    assert_eq!(both, faces(FacePart::All));
    // Two of an emotion's six faces: the first and the fifth.
    assert_eq!(aside.len(), 14);
}

#[test]
fn too_few_faces_to_share_out_are_refused() {
    let data = FaceSplit::open(&MINIATURE.corpus, Split::Train).unwrap();
    let aside = data.with_part(FacePart::SetAside).unwrap();
    let none = aside.with_part(FacePart::SetAside).unwrap();
    let error = none.with_part(FacePart::Rest).unwrap_err().to_string();
    assert!(error.contains("1 face of anger"), "{error}");
}
