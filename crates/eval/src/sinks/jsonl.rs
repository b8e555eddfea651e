//! Metrics as JSON Lines.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::SinkError;

/// Appends records to a file, one JSON object a line.
///
/// Each record reaches the system in one write of a whole line, so a kill of the process loses
/// none and a crash of the machine can only cut the last one short; resuming drops that piece.
/// Non-finite numbers become `null`, as JSON has none.
#[derive(Debug)]
pub struct JsonlSink {
    path: PathBuf,
    file: File,
}

impl JsonlSink {
    /// Starts a new file, emptying one that exists.
    ///
    /// # Errors
    /// [`SinkError::Io`] when the file cannot be created.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, SinkError> {
        let path = path.into();
        let file = File::create(&path).map_err(|source| io_error(&path, source))?;
        Ok(Self { path, file })
    }

    /// Continues a file whose run resumes after `last_step`, or starts it when there is none.
    ///
    /// Everything from the first record with a `step` beyond `last_step` on is cut off, since the
    /// resumed run writes it again, and so is an incomplete last line. Records without a `step`
    /// belong to the records before them.
    ///
    /// # Errors
    /// [`SinkError::Io`] when the file cannot be read or cut, [`SinkError::Malformed`] when a
    /// whole line before the cut is no JSON object.
    pub fn resume(path: impl Into<PathBuf>, last_step: u64) -> Result<Self, SinkError> {
        let path = path.into();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| io_error(&path, source))?;
        let kept = kept_length(&file, &path, last_step)?;
        file.set_len(kept)
            .and_then(|()| file.seek(SeekFrom::Start(kept)))
            .map_err(|source| io_error(&path, source))?;
        Ok(Self { path, file })
    }

    /// Appends one record.
    ///
    /// # Errors
    /// [`SinkError::Record`] when `record` does not serialise, [`SinkError::Io`] when it cannot
    /// be written.
    pub fn append<T: Serialize + ?Sized>(&mut self, record: &T) -> Result<(), SinkError> {
        let mut line = serde_json::to_vec(record).map_err(|source| SinkError::Record {
            path: self.path.clone(),
            source,
        })?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .map_err(|source| io_error(&self.path, source))
    }

    /// Waits until everything appended has reached the disk.
    ///
    /// # Errors
    /// [`SinkError::Io`] when the disk refuses.
    pub fn sync(&mut self) -> Result<(), SinkError> {
        self.file
            .sync_data()
            .map_err(|source| io_error(&self.path, source))
    }
}

fn io_error(path: &Path, source: std::io::Error) -> SinkError {
    SinkError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Bytes of whole lines up to the first record beyond `last_step`.
fn kept_length(file: &File, path: &Path, last_step: u64) -> Result<u64, SinkError> {
    let mut reader = BufReader::new(file);
    let mut kept = 0;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(|source| io_error(path, source))?;
        if line.last() != Some(&b'\n') {
            break;
        }
        let record: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&line)
            .map_err(|_| SinkError::Malformed {
                path: path.to_owned(),
                line: number,
            })?;
        let step = record.get("step").and_then(serde_json::Value::as_u64);
        if step.is_some_and(|step| step > last_step) {
            break;
        }
        kept += read as u64;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn records_are_lines() {
        let folder = folder();
        let path = folder.path().join("metrics.jsonl");
        let mut sink = JsonlSink::create(&path).unwrap();
        sink.append(&json!({"step": 1, "loss": 2.5})).unwrap();
        sink.append(&json!({"step": 2, "loss": f64::NAN})).unwrap();
        sink.sync().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"loss\":2.5,\"step\":1}\n{\"loss\":null,\"step\":2}\n"
        );
    }

    #[test]
    fn resuming_drops_later_steps_and_a_torn_line() {
        let folder = folder();
        let path = folder.path().join("metrics.jsonl");
        let early = "{\"step\":1}\n{\"note\":\"saved\"}\n{\"step\":2}\n";
        for tail in [
            "",
            "{\"ste",
            "{\"step\":3}\n{\"note\":1}\n{\"step\":4}\n",
            "{\"step\":3}",
        ] {
            std::fs::write(&path, format!("{early}{tail}")).unwrap();
            let mut sink = JsonlSink::resume(&path, 2).unwrap();
            sink.append(&json!({"step": 3})).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("{early}{{\"step\":3}}\n"));
        }
    }

    #[test]
    fn resuming_without_a_file_starts_one() {
        let folder = folder();
        let path = folder.path().join("metrics.jsonl");
        JsonlSink::resume(&path, 7)
            .unwrap()
            .append(&json!({"step": 8}))
            .unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"step\":8}\n");
    }

    #[test]
    fn a_foreign_line_is_named_and_nothing_is_cut() {
        let folder = folder();
        let path = folder.path().join("metrics.jsonl");
        let text = "{\"step\":1}\nhello\n{\"step\":2}\n";
        std::fs::write(&path, text).unwrap();
        let error = JsonlSink::resume(&path, 2).unwrap_err();
        assert!(
            error.to_string().contains("line 2") && error.to_string().contains("metrics.jsonl")
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = JsonlSink::create("no/such/folder/metrics.jsonl").unwrap_err();
        assert!(error.to_string().contains("no/such/folder"));
    }
}
