//! Takes out what would make a split's figures worth less: items of another split, repeats, and
//! items whose label is anybody's guess.
//!
//! What stands in two splits stays in the one that is measured on: test before validation before
//! train. So all test pictures are there for the measure of single faces that others report; those
//! which repeat another one are only kept out of the scenes.

use std::collections::{BTreeMap, HashMap};

use emotionclip::Emotion;

use super::likeness::Likenesses;
use super::manifest::Dropped;
use super::source::{Read, SourceFace, SourceUtterance};
use super::{FACE_PIXELS, Progress};
use crate::synthetic::Split;

/// Why an item is left out. Of several reasons the last counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// A picture of a single tone.
    Blank,
    /// A similar item of its split comes before it.
    NearRepeat,
    /// An equal item of its split comes before it.
    ExactRepeat,
    /// The same item has another label in its split.
    Disputed,
    /// A similar item is in a split that is measured on.
    NearElsewhere(Split),
    /// An equal item is in a split that is measured on.
    ExactElsewhere(Split),
}

impl Reason {
    fn text(self) -> String {
        match self {
            Self::Blank => "blank".to_owned(),
            Self::NearRepeat => "near duplicate in its split".to_owned(),
            Self::ExactRepeat => "exact duplicate in its split".to_owned(),
            Self::Disputed => "duplicate with another label".to_owned(),
            Self::NearElsewhere(split) => format!("near duplicate in {}", split.name()),
            Self::ExactElsewhere(split) => format!("exact duplicate in {}", split.name()),
        }
    }
}

/// Counts of what was left out, by kind, split and reason.
#[derive(Debug, Default)]
pub(super) struct Drops(BTreeMap<(&'static str, Split, String), usize>);

impl Drops {
    pub(super) fn add(&mut self, what: &'static str, split: Split, reason: String, count: usize) {
        if count > 0 {
            *self.0.entry((what, split, reason)).or_default() += count;
        }
    }

    /// What a reader left out.
    pub(super) fn add_unread<T>(&mut self, what: &'static str, read: &Read<T>) {
        for (split, count) in Split::ALL.into_iter().zip(read.left_out) {
            self.add(what, split, "several labels".to_owned(), count);
        }
        for (split, _) in &read.broken {
            self.add(what, *split, "unreadable".to_owned(), 1);
        }
    }

    pub(super) fn into_list(self) -> Vec<Dropped> {
        let entry = |((what, split, reason), count)| Dropped {
            what: String::from(what),
            split,
            reason,
            count,
        };
        self.0.into_iter().map(entry).collect()
    }
}

/// A face that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptFace {
    pub(super) face: SourceFace,
    /// Only for the measure of single faces.
    pub(super) single_only: bool,
}

/// Leaves out blanks and duplicates. `faces` come in the order test, validation, train.
pub(super) fn curate_faces(
    faces: Vec<SourceFace>,
    drops: &mut Drops,
    progress: &mut dyn FnMut(Progress),
) -> Vec<KeptFace> {
    const STAGE: &str = "comparing";
    let likenesses = Likenesses::of(faces.iter().map(|face| face.pixels.as_slice()));
    let mut reasons: Vec<Option<Reason>> = vec![None; faces.len()];
    for (index, face) in faces.iter().enumerate() {
        progress(Progress::new(STAGE, index, faces.len()));
        if likenesses.is_blank(index) {
            reasons[index] = Some(Reason::Blank);
            continue;
        }
        for earlier in likenesses.resembling_before(index) {
            let other = &faces[earlier];
            let equal = other.pixels == face.pixels;
            let reason = match (other.split == face.split, other.emotion == face.emotion) {
                (false, _) if equal => Reason::ExactElsewhere(other.split),
                (false, _) => Reason::NearElsewhere(other.split),
                (true, false) => Reason::Disputed,
                (true, true) if equal => Reason::ExactRepeat,
                (true, true) => Reason::NearRepeat,
            };
            reasons[index] = reasons[index].max(Some(reason));
            if reason == Reason::Disputed {
                reasons[earlier] = reasons[earlier].max(Some(reason));
            }
        }
    }
    progress(Progress::new(STAGE, faces.len(), faces.len()));

    let mut kept = Vec::with_capacity(faces.len());
    for (face, reason) in faces.into_iter().zip(reasons) {
        debug_assert_eq!(face.pixels.len(), FACE_PIXELS);
        let single_only = face.split == Split::Test && reason.is_some();
        if let Some(reason) = reason {
            let kept_for = if single_only {
                ", only out of the scenes"
            } else {
                ""
            };
            drops.add("face", face.split, reason.text() + kept_for, 1);
        }
        if single_only || reason.is_none() {
            kept.push(KeptFace { face, single_only });
        }
    }
    kept
}

/// An utterance as it is compared: lower case, letters and digits only, single spaces. Apostrophes
/// vanish, all other signs separate words.
pub fn normalise(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_alphanumeric() {
            words.extend(character.to_lowercase());
        } else if !matches!(character, '\'' | '’' | '‘' | '`')
            && !words.is_empty()
            && !words.ends_with(' ')
        {
            words.push(' ');
        }
    }
    words.truncate(words.trim_end().len());
    words
}

/// Leaves out utterances without words and duplicates. `utterances` come in the order test,
/// validation, train.
pub(super) fn curate_utterances(
    utterances: Vec<SourceUtterance>,
    drops: &mut Drops,
) -> Vec<SourceUtterance> {
    /// The first to say something.
    struct First {
        split: Split,
        emotion: Emotion,
        /// Others of its split say it with another emotion.
        disputed: bool,
    }
    let mut said: HashMap<String, First> = HashMap::new();
    let mut firsts = Vec::with_capacity(utterances.len());
    for utterance in utterances {
        let mut drop = |reason: String| drops.add("utterance", utterance.split, reason, 1);
        let words = normalise(&utterance.text);
        if words.is_empty() {
            drop("no words".to_owned());
            continue;
        }
        if let Some(first) = said.get_mut(&words) {
            drop(if first.split != utterance.split {
                Reason::ExactElsewhere(first.split).text()
            } else if first.emotion == utterance.emotion {
                Reason::ExactRepeat.text()
            } else {
                first.disputed = true;
                Reason::Disputed.text()
            });
            continue;
        }
        let first = First {
            split: utterance.split,
            emotion: utterance.emotion,
            disputed: false,
        };
        said.insert(words.clone(), first);
        firsts.push((words, utterance));
    }
    let undisputed = |(words, utterance): (String, SourceUtterance)| {
        let disputed = said.get(&words).is_some_and(|first| first.disputed);
        if disputed {
            drops.add("utterance", utterance.split, Reason::Disputed.text(), 1);
        }
        (!disputed).then_some(utterance)
    };
    firsts.into_iter().filter_map(undisputed).collect()
}

#[cfg(test)]
mod tests {
    use super::super::miniature::draw_face;
    use super::*;

    fn face(split: Split, emotion: Emotion, number: u64) -> SourceFace {
        SourceFace {
            split,
            emotion,
            pixels: draw_face(Emotion::Joy, number),
        }
    }

    fn counts(drops: Drops) -> Vec<(Split, String, usize)> {
        let list = drops.into_list().into_iter();
        list.map(|one| (one.split, one.reason, one.count)).collect()
    }

    #[test]
    fn what_is_measured_on_leaves_training() {
        let (test, train) = (Split::Test, Split::Train);
        let mut darker = face(train, Emotion::Joy, 2);
        darker
            .pixels
            .iter_mut()
            .for_each(|value| *value -= *value / 5);
        let faces = vec![
            face(test, Emotion::Joy, 1),
            face(test, Emotion::Joy, 2),
            face(Split::Validation, Emotion::Joy, 3),
            // The label of a duplicate doesn't matter.
            face(train, Emotion::Fear, 1),
            darker,
            face(train, Emotion::Joy, 3),
            face(train, Emotion::Joy, 4),
        ];
        let (one, last) = (faces[0].clone(), faces[6].clone());
        let mut drops = Drops::default();
        let kept = curate_faces(faces, &mut drops, &mut |_| ());
        assert_eq!(kept.len(), 4);
        assert_eq!((&kept[0].face, &kept[3].face), (&one, &last));
        assert!(kept.iter().all(|one| !one.single_only));
        assert_eq!(
            counts(drops),
            [
                (train, "exact duplicate in test".to_owned(), 1),
                (train, "exact duplicate in validation".to_owned(), 1),
                (train, "near duplicate in test".to_owned(), 1),
            ]
        );
    }

    #[test]
    fn repeats_stay_once_and_disputed_faces_not_at_all() {
        let train = Split::Train;
        let blank = SourceFace {
            pixels: vec![0; FACE_PIXELS],
            ..face(train, Emotion::Joy, 0)
        };
        let faces = vec![
            face(train, Emotion::Joy, 1),
            face(train, Emotion::Joy, 1),
            face(train, Emotion::Joy, 2),
            face(train, Emotion::Fear, 2),
            blank.clone(),
            blank,
        ];
        let mut drops = Drops::default();
        let kept = curate_faces(faces.clone(), &mut drops, &mut |_| ());
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].face, faces[0]);
        assert_eq!(
            counts(drops),
            [
                (train, "blank".to_owned(), 2),
                (train, "duplicate with another label".to_owned(), 2),
                (train, "exact duplicate in its split".to_owned(), 1),
            ]
        );
    }

    #[test]
    fn test_faces_all_stay_for_the_single_measure() {
        let test = Split::Test;
        let faces = vec![
            face(test, Emotion::Joy, 1),
            face(test, Emotion::Joy, 1),
            face(test, Emotion::Joy, 2),
            face(test, Emotion::Fear, 2),
        ];
        let kept = curate_faces(faces, &mut Drops::default(), &mut |_| ());
        let single: Vec<bool> = kept.iter().map(|one| one.single_only).collect();
        assert_eq!(single, [false, true, true, true]);
    }

    #[test]
    fn normalising_takes_case_signs_and_spaces_away() {
        assert_eq!(
            normalise("  I DON’T  know -- [NAME]!! "),
            "i dont know name"
        );
        assert_eq!(normalise("Don't"), normalise("dont"));
        assert_eq!(normalise("Ça va? Ünlü 24/7"), "ça va ünlü 24 7");
        assert_eq!(normalise(" 😂😂 !! "), "");
    }

    #[test]
    fn utterances_are_said_once_and_in_one_split() {
        let say = |split, emotion, text: &str| SourceUtterance {
            split,
            emotion,
            text: text.to_owned(),
        };
        let (joy, fear) = (Emotion::Joy, Emotion::Fear);
        let utterances = vec![
            say(Split::Test, joy, "Thank you!"),
            say(Split::Test, joy, "thank you"),
            say(Split::Test, joy, "Oh my"),
            say(Split::Test, fear, "oh my!"),
            say(Split::Validation, fear, "thank  YOU"),
            say(Split::Train, joy, "Oh, my."),
            say(Split::Train, joy, "?!"),
            say(Split::Train, joy, "Yes"),
        ];
        let mut drops = Drops::default();
        let kept = curate_utterances(utterances, &mut drops);
        let texts: Vec<&str> = kept.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts, ["Thank you!", "Yes"]);
        assert_eq!(
            counts(drops),
            [
                (Split::Train, "exact duplicate in test".to_owned(), 1),
                (Split::Train, "no words".to_owned(), 1),
                (Split::Validation, "exact duplicate in test".to_owned(), 1),
                (Split::Test, "duplicate with another label".to_owned(), 2),
                (Split::Test, "exact duplicate in its split".to_owned(), 1),
            ]
        );
    }
}
