//! Descriptions tell the scene and nothing of the emotions.

use super::*;
use crate::description::EMOTIONAL;

#[test]
fn descriptions_count_the_figures_and_name_no_emotion() {
    let corpus = corpus(Split::Train, FigureCount::Mixed);
    let mut seen = std::collections::HashSet::new();
    for index in 0..2000 {
        let text = corpus.description(index, true);
        let words: Vec<&str> = text
            .split(|letter: char| !letter.is_alphanumeric())
            .collect();
        for word in EMOTIONAL {
            assert!(!words.contains(&word), "{word} in {text}");
        }
        assert!(words.len() <= 36, "{text}");
        let count = corpus.scene(index).figures().len();
        let number = ["a ", "two ", "three "][count - 1];
        assert!(text.starts_with(number), "{count}: {text}");
        seen.insert(text);
    }
    // Descriptions tell most scenes apart, or there would be nothing to learn from them.
    assert!(seen.len() > 1700, "{}", seen.len());
}

#[test]
fn a_frame_shows_no_motion() {
    let corpus = corpus(Split::Train, FigureCount::Mixed);
    for index in 0..500 {
        let text = corpus.description(index, false);
        for word in ["moving", "drifting", "staying", "getting"] {
            assert!(!text.contains(word), "{text}");
        }
    }
}
