//! HTML character references, in the two readings that OpenCLIP applies one after the other.
//!
//! [`unescape`] is Python's `html.unescape`: HTML5's rules, with references to control characters
//! and non-characters dropped. [`unescape_strict`] is the reading of `ftfy`, which demands the
//! semicolon and also accepts names in capitals. The names are those of `htmlize`'s table.

use super::fixes::windows_1252;

/// The longest name that `ftfy` looks at.
const STRICT_NAME_CHARS: usize = 24;
/// The longest name that `html.unescape` looks at; HTML's own longest has 31.
const NAME_CHARS: usize = 32;

/// Replaces character references as Python's `html.unescape` does.
pub(super) fn unescape(text: &str) -> String {
    replace_references(text, parse_reference)
}

/// Replaces character references as `ftfy.fixes.unescape_html` does.
pub(super) fn unescape_strict(text: &str) -> String {
    replace_references(text, parse_strict_reference)
}

/// Replaces what `parse` finds at each ampersand: the length of the reference in bytes and what
/// stands for it.
fn replace_references(text: &str, parse: fn(&str) -> Option<(usize, String)>) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        let (before, reference) = rest.split_at(start);
        replaced.push_str(before);
        if let Some((len, characters)) = parse(reference) {
            replaced.push_str(&characters);
            rest = &reference[len..];
        } else {
            replaced.push('&');
            rest = &reference[1..];
        }
    }
    replaced.push_str(rest);
    replaced
}

fn parse_reference(text: &str) -> Option<(usize, String)> {
    if text.starts_with("&#") {
        return parse_number(text);
    }
    let name_len = text[1..]
        .bytes()
        .take(NAME_CHARS)
        .take_while(u8::is_ascii_alphanumeric)
        .count();
    let bare = &text[..1 + name_len];
    if text[bare.len()..].starts_with(';')
        && let Some(characters) = named(&text[..bare.len() + 1])
    {
        return Some((bare.len() + 1, characters.to_owned()));
    }
    // Old names need no semicolon, and the longest one that fits counts.
    (3..=bare.len())
        .rev()
        .find_map(|len| named(&bare[..len]).map(|characters| (len, characters.to_owned())))
}

fn parse_strict_reference(text: &str) -> Option<(usize, String)> {
    let sigil_len = if text.starts_with("&#") { 2 } else { 1 };
    let name_len = text[sigil_len..]
        .bytes()
        .take(STRICT_NAME_CHARS)
        .take_while(u8::is_ascii_alphanumeric)
        .count();
    let len = sigil_len + name_len + 1;
    if name_len == 0 || !text[len - 1..].starts_with(';') {
        return None;
    }
    let reference = &text[..len];
    if sigil_len == 2 {
        // A semicolon that remains, or results, means that this was not one clean number.
        return parse_number(reference)
            .filter(|(used, characters)| *used == len && characters != ";");
    }
    named(reference)
        .map(str::to_owned)
        .or_else(|| capitals(reference))
        .map(|characters| (len, characters))
}

/// A name in capitals that HTML knows in small letters only: `&EACUTE;` is É. A name that HTML
/// would read otherwise, such as `&GT`, is not touched.
fn capitals(reference: &str) -> Option<String> {
    if reference.bytes().any(|byte| byte.is_ascii_lowercase())
        || parse_reference(reference).is_some()
    {
        return None;
    }
    named(&reference.to_ascii_lowercase()).map(str::to_uppercase)
}

fn named(reference: &str) -> Option<&'static str> {
    let characters = htmlize::ENTITIES.get(reference.as_bytes())?;
    std::str::from_utf8(characters).ok()
}

/// `&#65;`, `&#x41;`, with or without the semicolon.
fn parse_number(text: &str) -> Option<(usize, String)> {
    let (digits_start, radix) = match text.as_bytes().get(2) {
        Some(b'x' | b'X') => (3, 16),
        _ => (2, 10),
    };
    let mut number: u32 = 0;
    let mut len = digits_start;
    for digit in text[digits_start..]
        .chars()
        .map_while(|c| c.to_digit(radix))
    {
        number = number.saturating_mul(radix).saturating_add(digit);
        len += 1;
    }
    if len == digits_start {
        return None;
    }
    if text[len..].starts_with(';') {
        len += 1;
    }
    Some((len, numbered(number)))
}

/// The character of a number: U+FFFD for none, nothing for a control or a non-character.
fn numbered(number: u32) -> String {
    match number {
        0 => return char::REPLACEMENT_CHARACTER.to_string(),
        0x1..=0x8 | 0xB | 0xE..=0x1F | 0x7F | 0xFDD0..=0xFDEF => return String::new(),
        _ if number <= 0x10_FFFF && number & 0xFFFE == 0xFFFE => return String::new(),
        _ => {}
    }
    let character = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
    windows_1252(character).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_references_need_no_semicolon_where_html_says_so() {
        assert_eq!(
            unescape("&lt;&copy &notit; &hellip &amp;amp;"),
            "<© ¬it; &hellip &amp;"
        );
        assert_eq!(unescape("&CounterClockwiseContourIntegral;&fjlig;"), "∳fj");
    }

    #[test]
    fn numbers_follow_pythons_rules() {
        assert_eq!(unescape("&#65;&#x41;&#X41 &#65x"), "AAA Ax");
        assert_eq!(unescape("&#128;&#x85;&#129;"), "€…\u{81}");
        assert_eq!(
            unescape("&#0;&#xD800;&#x110000;&#99999999999999;"),
            "\u{FFFD}".repeat(4)
        );
        assert_eq!(unescape("[&#1;&#127;&#xFFFF;&#x1FFFE;&#xFDD0;]"), "[]");
        assert_eq!(unescape("&#;&#x;&#xg;& &&;"), "&#;&#x;&#xg;& &&;");
    }

    #[test]
    fn strict_reading_wants_the_semicolon() {
        assert_eq!(unescape_strict("this&not that &not;"), "this&not that ¬");
        assert_eq!(
            unescape_strict("&#65 &#65; &#65b; &#59;"),
            "&#65 A &#65b; &#59;"
        );
    }

    #[test]
    fn strict_reading_knows_capitals() {
        assert_eq!(
            unescape_strict("P&EACUTE;REZ STRA&SZLIG;E"),
            "PÉREZ STRASSE"
        );
        assert_eq!(unescape_strict("&nTILDE; &LT;"), "&nTILDE; <");
    }

    #[test]
    fn text_that_is_not_ascii_is_left_whole() {
        assert_eq!(unescape("&é;&ampé;漢&#38漢"), "&é;&é;漢&漢");
    }
}
