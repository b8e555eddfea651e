//! From a file's bytes to plain text: encodings, tags, entities.

use std::sync::LazyLock;

use regex::Regex;

/// What a byte that is no text becomes; a cue that holds it is broken.
pub(super) const BROKEN: char = char::REPLACEMENT_CHARACTER;

/// A file's text. UTF-16 is told by its byte-order mark; everything else is read as UTF-8, bytes that
/// are none become [`BROKEN`].
pub(super) fn decode(bytes: &[u8]) -> String {
    let wide = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|pair| read(*pair))
            .collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// A tag of `SubRip` or `WebVTT` (`<i>`, `</c>`, `<v Anna>`), or an override of `SubStation` (`{\an8}`).
pub(super) fn without_tags(text: &str) -> String {
    static TAG: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}").ok());
    match &*TAG {
        Some(tag) => tag.replace_all(text, "").into_owned(),
        None => text.to_owned(),
    }
}

/// The text with the entities that captions use replaced; directional marks go.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        // The longest entity here is `&#1114111;`.
        let end = from
            .char_indices()
            .take(10)
            .find(|(_, character)| *character == ';');
        match end.and_then(|(end, _)| Some((entity(from.get(1..end)?)?, end))) {
            Some((text, end)) => {
                plain.push_str(&text);
                rest = from.get(end + 1..).unwrap_or_default();
            }
            None => {
                plain.push('&');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    plain.push_str(rest);
    plain.retain(|character| {
        !matches!(character, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
    });
    plain
}

fn entity(name: &str) -> Option<String> {
    Some(match name {
        "amp" => "&".to_owned(),
        "lt" => "<".to_owned(),
        "gt" => ">".to_owned(),
        "quot" => "\"".to_owned(),
        "apos" => "'".to_owned(),
        "nbsp" => " ".to_owned(),
        "lrm" | "rlm" => String::new(),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
                .filter(|one| !one.is_control())?
                .to_string()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_and_tags_become_text() {
        assert_eq!(
            unescape("a &amp; b &#39;c&#x27; &lrm;d &unknown; & e"),
            "a & b 'c' d &unknown; & e"
        );
        assert_eq!(
            without_tags("<v Anna>Hi <i>there</i>, 1 < 2 {\\an8}"),
            "Hi there, 1 < 2 "
        );
    }

    #[test]
    fn encodings_are_told_by_their_marks() {
        let wide: Vec<u8> = "\u{feff}héllo"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(decode(&wide), "héllo");
        assert_eq!(decode("\u{feff}héllo".as_bytes()), "héllo");
        assert_eq!(decode(b"h\xe9llo"), format!("h{BROKEN}llo"));
    }
}
