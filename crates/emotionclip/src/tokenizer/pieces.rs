//! Cuts clean text into the pieces that the merges never cross.

use regex::Regex;

use super::SpecialTokens;

/// Splits a text into specials, English contractions, words, single digits and punctuation.
#[derive(Debug, Clone)]
pub(super) struct PieceSplitter(Regex);

impl PieceSplitter {
    #[expect(
        clippy::expect_used,
        reason = "a constant pattern, compiled by every test"
    )]
    pub(super) fn new(specials: SpecialTokens) -> Self {
        // The reference ignores case in the whole pattern. On lower-cased text that shows in two
        // places: the long s, which matches an s of the literals, and U+0345, a mark whose upper
        // case is a letter and which therefore falls into no class and is lost.
        let pattern = format!(
            r"(?i:{}|{}|'s|'t|'re|'ve|'m|'ll|'d)|\p{{L}}+|\p{{N}}|[^\s\p{{L}}\p{{N}}\u{{345}}]+",
            regex::escape(specials.start()),
            regex::escape(specials.end()),
        );
        Self(Regex::new(&pattern).expect("the pattern is made of constants"))
    }

    pub(super) fn split<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        self.0.find_iter(text).map(|piece| piece.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        PieceSplitter::new(SpecialTokens::OpenClip)
            .split(text)
            .collect()
    }

    #[test]
    fn words_digits_and_punctuation_part() {
        assert_eq!(
            split("it's 42, ok?!"),
            ["it", "'s", "4", "2", ",", "ok", "?!"]
        );
        assert_eq!(split("½x²"), ["½", "x", "²"]);
    }

    #[test]
    fn specials_count_only_where_a_piece_starts() {
        assert_eq!(split("a<end_of_text>"), ["a", "<end_of_text>"]);
        assert_eq!(split("!<end_of_text>")[..2], ["!<", "end"]);
        let openai = PieceSplitter::new(SpecialTokens::OpenAi);
        assert_eq!(openai.split("<|endoftext|>").count(), 1);
    }

    #[test]
    fn case_folding_of_the_reference_is_kept() {
        assert_eq!(split("it'ſ a\u{345}b"), ["it", "'ſ", "a", "b"]);
    }
}
