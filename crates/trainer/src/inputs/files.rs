//! Files whose faults are the user's to mend: each is one line with the name and the remedy.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::ErrorKind;
use std::path::Path;

use crate::failure::bad_input;

/// A message on one line, whatever its source wrote.
pub fn one_line(message: impl Display) -> String {
    let message = message.to_string();
    let parts = message
        .lines()
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("; ")
}

/// The content of a file that must have some.
///
/// # Errors
/// Bad input for a file that is missing, a folder, empty or unreadable.
pub fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => bad_input(format!("{name}: no such file; check the path")),
        ErrorKind::IsADirectory => bad_input(format!("{name}: a folder; give a file")),
        _ => bad_input(format!(
            "{name}: cannot be read ({error}); check its permissions"
        )),
    })?;
    if bytes.is_empty() {
        return Err(bad_input(format!(
            "{name}: the file is empty (zero bytes); copy or download it again"
        )));
    }
    Ok(bytes)
}

/// The content of a text file that must have some; a byte order mark is taken off.
///
/// # Errors
/// As [`read_file`]; bad input for a file that is not UTF-8.
pub fn read_text(path: &Path) -> anyhow::Result<String> {
    let text = String::from_utf8(read_file(path)?).map_err(|error| {
        let position = error.utf8_error().valid_up_to();
        bad_input(format!(
            "{}: not UTF-8 text (byte {position}); save it as UTF-8",
            path.display()
        ))
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// The metadata of a safetensors file; none for any other file.
pub fn safetensors_metadata(bytes: &[u8]) -> BTreeMap<String, String> {
    #[derive(serde::Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__", default)]
        metadata: BTreeMap<String, String>,
    }
    let header = bytes.split_first_chunk::<8>().and_then(|(length, rest)| {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        serde_json::from_slice::<Header>(rest.get(..length)?).ok()
    });
    header.map(|header| header.metadata).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::BadInput;

    #[test]
    fn messages_of_several_lines_become_one() {
        assert_eq!(
            one_line("does not fit\n  missing (1): a\n"),
            "does not fit; missing (1): a"
        );
    }

    #[test]
    fn faults_are_bad_input_and_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.txt");
        let fault = || {
            let error = read_text(&path).unwrap_err();
            assert!(error.is::<BadInput>());
            error.to_string()
        };
        assert!(fault().contains("labels.txt: no such file"));
        std::fs::write(&path, b"").unwrap();
        assert!(fault().contains("zero bytes"));
        std::fs::write(&path, b"joy\xff").unwrap();
        assert!(fault().contains("not UTF-8 text (byte 3)"));
        std::fs::write(&path, "\u{feff}joy").unwrap();
        assert_eq!(read_text(&path).unwrap(), "joy");
    }

    #[test]
    fn metadata_is_read_and_damage_gives_none() {
        let header = br#"{"__metadata__":{"a":"b"}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header);
        assert_eq!(safetensors_metadata(&bytes)["a"], "b");
        assert!(safetensors_metadata(&bytes[..20]).is_empty());
        assert!(safetensors_metadata(b"PK").is_empty());
    }
}
