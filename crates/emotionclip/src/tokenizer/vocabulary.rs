//! The byte-pair vocabulary: the byte alphabet, the merges and the model that applies them.

use std::fmt;

use tokenizers::Model;
use tokenizers::models::bpe::{BPE, Merges, Vocab};

use super::TokenizerError;

/// Marks the symbol that ends a word.
const END_OF_WORD: &str = "</w>";

/// Ids and spellings of everything but SOT and EOT, which follow.
#[derive(Clone)]
pub(super) struct Vocabulary {
    model: BPE,
    merges: String,
    len: u32,
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Vocabulary {
    /// Reads the first `limit` merges of the text, all of them for `None`.
    pub(super) fn new(merges: &str, limit: Option<usize>) -> Result<Self, TokenizerError> {
        let mut ids = byte_ids();
        let mut pairs = Merges::new();
        let mut used = String::new();
        let lines = merges.lines().enumerate();
        let lines = lines.filter(|(index, line)| !(*index == 0 && line.contains("#version")));
        for (index, line) in lines.take(limit.unwrap_or(usize::MAX)) {
            let (first, second) =
                parse_merge(line, &ids).map_err(|expected| TokenizerError::BadMerge {
                    line: index + 1,
                    text: line.chars().take(40).collect(),
                    expected,
                })?;
            ids.insert(format!("{first}{second}"), next_id(&ids));
            used.push_str(first);
            used.push(' ');
            used.push_str(second);
            used.push('\n');
            pairs.push((first.to_owned(), second.to_owned()));
        }
        if let Some(requested) = limit.filter(|&limit| limit > pairs.len()) {
            return Err(TokenizerError::TooFewMerges {
                requested,
                available: pairs.len(),
            });
        }
        let len = next_id(&ids);
        let model = BPE::builder()
            .vocab_and_merges(ids, pairs)
            .end_of_word_suffix(END_OF_WORD.to_owned())
            .build()
            .map_err(TokenizerError::Model)?;
        Ok(Self {
            model,
            merges: used,
            len,
        })
    }

    /// The number of ids.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The merges, one a line.
    pub(super) fn merges(&self) -> &str {
        &self.merges
    }

    /// Appends the ids of one piece of text.
    #[expect(clippy::expect_used, reason = "all 256 bytes are in every vocabulary")]
    pub(super) fn append_ids(&self, piece: &str, ids: &mut Vec<u32>) {
        let symbols: String = piece.bytes().map(byte_symbol).collect();
        let tokens = self
            .model
            .tokenize(&symbols)
            .expect("every byte has an id, so the model cannot meet an unknown symbol");
        ids.extend(tokens.into_iter().map(|token| token.id));
    }

    /// Appends the bytes that an id spells, a space for the end of a word.
    pub(super) fn append_bytes(&self, id: u32, bytes: &mut Vec<u8>) {
        let Some(token) = self.model.id_to_token(id) else {
            bytes.extend_from_slice("\u{FFFD}".as_bytes());
            return;
        };
        let (symbols, end) = match token.strip_suffix(END_OF_WORD) {
            Some(symbols) => (symbols, " "),
            None => (token.as_str(), ""),
        };
        bytes.extend(symbols.chars().filter_map(symbol_byte));
        bytes.extend_from_slice(end.as_bytes());
    }
}

/// Splits a line into its two symbols; the error says what a line must be.
fn parse_merge<'l>(line: &'l str, ids: &Vocab) -> Result<(&'l str, &'l str), &'static str> {
    let mut symbols = line.split_ascii_whitespace();
    let (Some(first), Some(second), None) = (symbols.next(), symbols.next(), symbols.next()) else {
        return Err("two symbols apart by a space");
    };
    if !ids.contains_key(first) || !ids.contains_key(second) || first.ends_with(END_OF_WORD) {
        return Err("two symbols that bytes or earlier lines make");
    }
    if ids.contains_key(&format!("{first}{second}")) {
        return Err("a pair that makes a new symbol");
    }
    Ok((first, second))
}

fn next_id(ids: &Vocab) -> u32 {
    u32::try_from(ids.len()).unwrap_or(u32::MAX)
}

/// The ids of the 512 single bytes: inside a word, then at its end. Their order is the order of
/// their symbols: printable bytes first, the other ones after.
fn byte_ids() -> Vocab {
    let mut symbols: Vec<char> = (0..=u8::MAX).map(byte_symbol).collect();
    symbols.sort_unstable();
    let inside = symbols.iter().map(char::to_string);
    let at_end = symbols
        .iter()
        .map(|symbol| format!("{symbol}{END_OF_WORD}"));
    inside.chain(at_end).zip(0..).collect()
}

/// The printable character that stands for a byte, as in GPT-2: itself where Latin-1 shows it,
/// else one counted from U+0100.
fn byte_symbol(byte: u8) -> char {
    let shifted = match byte {
        0x00..=0x20 => 0x100 + u32::from(byte),
        0x7F..=0xA0 => 0x121 + u32::from(byte - 0x7F),
        0xAD => 0x143,
        _ => u32::from(byte),
    };
    char::from_u32(shifted).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The byte that a symbol stands for.
fn symbol_byte(symbol: char) -> Option<u8> {
    match u32::from(symbol) {
        shifted @ 0x100..=0x120 => u8::try_from(shifted - 0x100).ok(),
        shifted @ 0x121..=0x142 => u8::try_from(shifted - 0x121 + 0x7F).ok(),
        0x143 => Some(0xAD),
        same => u8::try_from(same).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_symbols_are_distinct_and_invertible() {
        for byte in 0..=u8::MAX {
            assert_eq!(symbol_byte(byte_symbol(byte)), Some(byte));
        }
        assert_eq!(byte_ids().len(), 512);
        assert_eq!(byte_ids()["!"], 0);
        assert_eq!(byte_ids()["Ġ"], 188 + 32);
    }

    #[test]
    fn merges_apply_in_the_order_of_the_list() {
        let vocabulary = Vocabulary::new("#version: 0.2\nb c\na b\n", None).unwrap();
        assert_eq!(vocabulary.merges(), "b c\na b\n");
        let mut ids = Vec::new();
        vocabulary.append_ids("abcx", &mut ids);
        assert_eq!(ids, [64, 512, 256 + 87]);
    }

    #[test]
    fn lines_behind_the_limit_are_not_read() {
        assert_eq!(
            Vocabulary::new("a b\nnonsense\n", Some(1)).unwrap().len(),
            513
        );
    }

    #[test]
    fn bad_lines_are_named() {
        for (merges, message) in [
            (
                "a b\na\n",
                "line 2 of the merges is \"a\"; expected two symbols",
            ),
            ("a b c", "expected two symbols apart"),
            ("a bc", "expected two symbols that bytes"),
            ("a</w> b", "expected two symbols that bytes"),
            ("a b\na b", "expected a pair that makes a new symbol"),
        ] {
            let error = Vocabulary::new(merges, None).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn asking_for_more_merges_than_there_are_is_an_error() {
        let error = Vocabulary::new("a b", Some(2)).unwrap_err().to_string();
        assert!(
            error.contains("2 merges asked for, the list has 1"),
            "{error}"
        );
    }
}
