//! The repairs of `ftfy.fix_text` (6.3) that need no guess about encodings.
//!
//! `ftfy` walks the text line by line and repeats its fixes on each line until nothing changes.
//! Two of them need no code here: surrogates do not exist in a Rust string, and line breaks are
//! white space, which collapses later in any case. Mojibake detection is left out, as the
//! tokenizer's documentation says. `plsfix`, the crate that ports `ftfy`, was not taken: it depends
//! on all of ICU and two encoding crates for the one step that is not wanted.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

use super::html_entities;

/// Repairs a text.
pub(super) fn fix_text(text: &str) -> String {
    let mut unescape = true;
    text.split_inclusive('\n')
        .map(|line| {
            // Real markup keeps its entities, in this line and in all that follow.
            unescape &= !line.contains('<');
            fix_line(line, unescape)
        })
        .collect()
}

fn fix_line(line: &str, unescape: bool) -> String {
    let mut text = line.to_owned();
    loop {
        let mut fixed = Cow::Borrowed(text.as_str());
        if unescape {
            fixed = Cow::Owned(html_entities::unescape_strict(&fixed));
        }
        let fixed: String = fix_characters(&fixed);
        let fixed = TERMINAL_ESCAPE.replace_all(&fixed, "");
        let fixed: String = fixed.chars().filter(|&c| !is_removed(c)).nfc().collect();
        if fixed == text {
            return fixed;
        }
        text = fixed;
    }
}

/// Replaces single characters: C1 controls, quotes, widths and ligatures. One replacement a
/// character suffices, because the rounds go on until nothing changes.
fn fix_characters(text: &str) -> String {
    let mut fixed = String::with_capacity(text.len());
    for c in text.chars() {
        match windows_1252(c) {
            quote if straight_quote(quote).is_some() => fixed.extend(straight_quote(quote)),
            wide if has_other_width(wide) => fixed.extend(std::iter::once(wide).nfkc()),
            letter => match split_ligature(letter) {
                Some(letters) => fixed.push_str(letters),
                None => fixed.push(letter),
            },
        }
    }
    fixed
}

/// A C1 control read as the Windows-1252 character that was most likely meant; every other
/// character, and the five bytes that Windows-1252 leaves open, unchanged.
pub(super) fn windows_1252(c: char) -> char {
    const FROM_0X80: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž',
        '\u{8F}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}',
        'ž', 'Ÿ',
    ];
    let index = u32::from(c).wrapping_sub(0x80) as usize;
    FROM_0X80.get(index).copied().unwrap_or(c)
}

/// The letters of a Latin ligature or digraph. Those that languages write on purpose, such as æ,
/// stay.
fn split_ligature(c: char) -> Option<&'static str> {
    Some(match c {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        // U+02BC and n; the next round straightens the apostrophe.
        'ŉ' => "\u{2BC}n",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' => "ſt",
        'ﬆ' => "st",
        _ => return None,
    })
}

/// Whether NFKC turns `c` into its ordinary width: the fullwidth and halfwidth forms and the
/// ideographic space.
fn has_other_width(c: char) -> bool {
    matches!(c, '\u{3000}' | '\u{FF01}'..='\u{FFEF}')
}

fn straight_quote(c: char) -> Option<char> {
    match c {
        '\u{2BC}' | '\u{2018}'..='\u{201B}' => Some('\''),
        '\u{201C}'..='\u{201F}' => Some('"'),
        _ => None,
    }
}

/// The escapes that colour text in a terminal.
#[expect(
    clippy::expect_used,
    reason = "a constant pattern, compiled by every test"
)]
static TERMINAL_ESCAPE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\x1B\[[\d;]*[a-zA-Z]").expect("the pattern is a constant"));

/// Controls without a visible effect: C0 but for white space, DEL, the deprecated Arabic ones,
/// interlinear annotations, the object replacement character and the byte order mark.
fn is_removed(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{8}'
            | '\u{B}'
            | '\u{E}'..='\u{1F}'
            | '\u{7F}'
            | '\u{206A}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFC}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_straightened() {
        assert_eq!(
            fix_text("“it’s ‚so‘ ‟odd‛” «ok»"),
            "\"it's 'so' \"odd'\" «ok»"
        );
    }

    #[test]
    fn ligatures_come_apart_and_letters_stay() {
        assert_eq!(fix_text("ﬁne ﬄuﬆ Ĳ ŉ æ œ"), "fine fflust IJ 'n æ œ");
    }

    #[test]
    fn widths_become_ordinary() {
        assert_eq!(fix_text("ＬＯＵＤ　ｶﾞ ￦"), "LOUD ガ ₩");
    }

    #[test]
    fn controls_and_terminal_escapes_vanish() {
        assert_eq!(
            fix_text("\u{FEFF}a\0b\u{7F}\u{1B}[1;31mred\u{1B}[0m"),
            "abred"
        );
        // Not an escape, so that only its control character goes.
        assert_eq!(fix_text("\u{1B}[1~"), "[1~");
    }

    #[test]
    fn c1_controls_are_windows_1252() {
        assert_eq!(
            fix_text("\u{80}5 \u{93}ok\u{94}\u{85} \u{81}"),
            "€5 \"ok\"… \u{81}"
        );
    }

    #[test]
    fn letters_compose() {
        assert_eq!(fix_text("de\u{301}ja\u{300}"), "déjà");
    }

    #[test]
    fn fixes_repeat_until_nothing_changes() {
        assert_eq!(fix_text("&amp;amp;#x201c;"), "\"");
        assert_eq!(fix_text("\u{1B}\0[1m"), "[1m");
    }

    #[test]
    fn markup_keeps_its_entities_in_later_lines_too() {
        assert_eq!(fix_text("&eacute;\n<b>\n&eacute;"), "é\n<b>\n&eacute;");
    }
}
