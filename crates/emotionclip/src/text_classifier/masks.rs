//! The masked words of `GoEmotions`.

use std::borrow::Cow;

/// The masks of `GoEmotions` and the words that stand for them.
const WORDS: [(&str, &str); 2] = [("[NAME]", "someone"), ("[RELIGION]", "religion")];

/// The text with the masks of `GoEmotions` replaced by ordinary words.
///
/// The corpus hides names as `[NAME]` and religions as `[RELIGION]`. What people say elsewhere has
/// no such marks, and CLIP's tokenizer would cut each into three tokens, so a text is read with
/// `someone` and `religion` in their place, in training as in use.
pub fn unmask(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for (mask, word) in WORDS {
        if text.contains(mask) {
            text = Cow::Owned(text.replace(mask, word));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_become_words_and_other_brackets_stay() {
        assert_eq!(
            unmask("[NAME]'s [RELIGION], [name] [TEAM]"),
            "someone's religion, [name] [TEAM]"
        );
        assert!(matches!(unmask("as it was"), Cow::Borrowed(_)));
    }
}
