//! Text cleaning in OpenCLIP's order: `ftfy.fix_text`, `html.unescape` twice, white space
//! collapsed, lower case.

use super::{fixes, html_entities};

/// Cleans and lower-cases a text, as `SimpleTokenizer` with `clean="lower"` does.
pub(super) fn clean_lower(text: &str) -> String {
    let text = fixes::fix_text(text);
    let text = html_entities::unescape(&html_entities::unescape(&text));
    let words: Vec<&str> = text
        .split(is_python_space)
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ").to_lowercase()
}

/// Whether Python's `str.split` separates at `c`: Unicode's white space and the four ASCII
/// separators, which Rust leaves out.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_of_every_kind_collapses() {
        let text = "\u{3000} so\u{A0}\u{2003}much\r\n\u{2028}\u{202F}joy\u{85}\t";
        // A lone U+0085 is the ellipsis of Windows-1252, not a line break.
        assert_eq!(clean_lower(text), "so much joy…");
    }

    #[test]
    fn joiners_are_no_white_space() {
        assert_eq!(clean_lower("a\u{200D}b\u{200B}c"), "a\u{200D}b\u{200B}c");
    }

    #[test]
    fn lower_case_follows_the_full_mapping() {
        assert_eq!(clean_lower("İSTANBUL"), "i\u{307}stanbul");
        assert_eq!(clean_lower("ΟΔΟΣ ΣΑΣ"), "οδος σας");
    }

    #[test]
    fn entities_unescape_after_tags_too() {
        // "<" switches ftfy's own unescaping off; the two plain passes still run.
        assert_eq!(
            clean_lower("<b>&amp;eacute;&amp;amp;lt;</b>"),
            "<b>é&lt;</b>"
        );
        assert_eq!(clean_lower("&amp;amp;amp;amp;amp;lt;"), "<");
    }
}
