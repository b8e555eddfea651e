//! Annotation tables as bytes: a row a line, whatever their encoding.
//!
//! MAFW's captioned tables hold Chinese in GBK beside English. What is needed of them is ASCII but
//! for some punctuation, and neither a tab nor a line break is ever part of a GBK character, so the
//! bytes are cut first and only the English is decoded.

use std::path::{Path, PathBuf};

use super::error::{DferError, RowFault};

/// Characters of a faulty row that its message repeats.
const QUOTED: usize = 60;

/// A table in memory.
pub(super) struct Table {
    pub(super) path: PathBuf,
    bytes: Vec<u8>,
}

/// A row that isn't blank.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// Its line, from 1.
    pub(super) line: usize,
    bytes: &'a [u8],
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// A file that can't be read.
    pub(super) fn read(path: &Path) -> Result<Self, DferError> {
        let bytes = std::fs::read(path).map_err(|error| DferError::Read {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            bytes,
        })
    }

    /// The rows, blank ones and a byte order mark left out.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let bytes = self.bytes.strip_prefix(b"\xef\xbb\xbf");
        let bytes = bytes.unwrap_or(&self.bytes);
        let lines = bytes.split(|byte| *byte == b'\n').enumerate();
        lines
            .map(|(index, bytes)| Row {
                line: index + 1,
                bytes: bytes.trim_ascii_end(),
            })
            .filter(|row| !row.bytes.is_empty())
    }
}

impl<'a> Row<'a> {
    /// The fields: apart by tabs where there are any, else by commas, else by spaces.
    pub(super) fn fields(&self) -> Vec<&'a [u8]> {
        let cut = |separator: u8| -> Vec<&'a [u8]> {
            let fields = self.bytes.split(move |byte| *byte == separator);
            fields.map(<[u8]>::trim_ascii).collect()
        };
        match [b'\t', b',']
            .into_iter()
            .find(|byte| self.bytes.contains(byte))
        {
            Some(separator) => cut(separator),
            None => cut(b' ')
                .into_iter()
                .filter(|field| !field.is_empty())
                .collect(),
        }
    }

    /// The fault of a row with the wrong fields.
    pub(super) fn fault(&self, expected: &'static str) -> RowFault {
        let found: String = decode(self.bytes).chars().take(QUOTED).collect();
        RowFault::Fields { expected, found }
    }
}

/// Text of a field that is UTF-8 or, failing that, GBK. Of GBK only the punctuation and the
/// full-width letters that stand in English sentences are read; other characters become a space.
pub(super) fn decode(bytes: &[u8]) -> String {
    if let Ok(text) = core::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied();
    while let Some(lead) = rest.next() {
        if lead.is_ascii() {
            text.push(char::from(lead));
        } else {
            text.push(rest.next().map_or(' ', |trail| gbk(lead, trail)));
        }
    }
    text
}

/// A character of GBK's rows 1 and 3, which hold punctuation and full-width ASCII.
fn gbk(lead: u8, trail: u8) -> char {
    match (lead, trail) {
        (0xa3, 0xa1..=0xfe) => char::from(trail - 0x80),
        (0xa1, 0xa2) => ',',
        (0xa1, 0xa3) => '.',
        (0xa1, 0xaa) => '—',
        (0xa1, 0xad) => '…',
        (0xa1, 0xae) => '‘',
        (0xa1, 0xaf) => '’',
        (0xa1, 0xb0) => '“',
        (0xa1, 0xb1) => '”',
        _ => ' ',
    }
}

/// Text with its runs of white space made single spaces.
pub(super) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: &[u8]) -> Vec<(usize, Vec<String>)> {
        let table = Table {
            path: PathBuf::new(),
            bytes: bytes.to_vec(),
        };
        let read = |row: Row<'_>| (row.line, row.fields().into_iter().map(decode).collect());
        table.rows().map(read).collect()
    }

    #[test]
    fn rows_keep_their_line_and_any_separator() {
        let found = rows(b"\xef\xbb\xbfa.mp4 anger\r\n\r\nb.mp4\tfear\t\tA girl, alone.\n7,3\n");
        let expected: [(usize, &[&str]); 3] = [
            (1, &["a.mp4", "anger"]),
            (3, &["b.mp4", "fear", "", "A girl, alone."]),
            (4, &["7", "3"]),
        ];
        assert_eq!(found.len(), expected.len());
        for ((line, fields), (expected_line, expected)) in found.iter().zip(expected) {
            assert_eq!(*line, expected_line);
            assert_eq!(fields, expected);
        }
    }

    #[test]
    fn english_survives_in_a_chinese_encoding() {
        // "It’s a man，who ‘stares’。" and one ideograph, as GBK.
        let gbk = b"It\xa1\xafs a man\xa3\xacwho \xa1\xaestares\xa1\xaf\xa1\xa3\xc8\xcb";
        assert_eq!(decode(gbk), "It’s a man,who ‘stares’. ");
        assert_eq!(decode("It’s".as_bytes()), "It’s");
        assert_eq!(decode(b"cut \xc8"), "cut  ");
    }

    #[test]
    fn no_byte_of_a_chinese_character_ends_a_field() {
        // Trail bytes run from 0x40: the lowest ones look like ASCII.
        let found = rows(b"a.mp4\tfear\t\x81\x40\x81\x7e\xfe\x5c\tA man.\n");
        assert_eq!(found[0].1.len(), 4);
        assert_eq!(found[0].1[3], "A man.");
    }
}
