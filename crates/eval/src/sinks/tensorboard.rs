//! Scalars as TensorBoard event files.
//!
//! The published crates for this are unmaintained and depend on a protobuf runtime with a known
//! advisory (`tensorboard-rs`, 2022) or bring a code generator and a datasets stack (`tfrecord`).
//! Two messages of few fields in a framed file are less than either.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::SinkError;

/// Writes scalars to an `events.out.tfevents.*` file in a run's folder.
///
/// Every write reaches the system at once. A resumed run opens a file of its own, as TensorBoard
/// expects of a restarted process, and marks the steps it writes again.
#[derive(Debug)]
pub struct TensorBoardSink {
    path: PathBuf,
    file: File,
}

impl TensorBoardSink {
    /// Starts an event file in `folder`, which must exist.
    ///
    /// # Errors
    /// [`SinkError::Io`] when the file cannot be created or written.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self, SinkError> {
        let (path, file) = new_file(folder.as_ref())?;
        let mut sink = Self { path, file };
        sink.write_event(0, &field_bytes(EVENT_FILE_VERSION, b"brain.Event:2"))?;
        Ok(sink)
    }

    /// Starts an event file for a run that resumes after `last_step`; TensorBoard then discards
    /// what earlier files of the folder hold of later steps.
    ///
    /// # Errors
    /// As [`TensorBoardSink::create`].
    pub fn resume(folder: impl AsRef<Path>, last_step: u64) -> Result<Self, SinkError> {
        let mut sink = Self::create(folder)?;
        let session = field_varint(SESSION_STATUS, SESSION_START);
        sink.write_event(last_step + 1, &field_bytes(EVENT_SESSION_LOG, &session))?;
        Ok(sink)
    }

    /// Writes the scalars of one step, each under its tag, e.g. `train/loss`.
    ///
    /// # Errors
    /// [`SinkError::Io`] when the file cannot be written.
    pub fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<(), SinkError> {
        let mut summary = Vec::new();
        for (tag, value) in scalars {
            let mut entry = field_bytes(VALUE_TAG, tag.as_bytes());
            entry.push(key(VALUE_SIMPLE_VALUE, WIRE_32_BIT));
            // TensorBoard's scalar is an f32.
            entry.extend_from_slice(&(*value as f32).to_le_bytes());
            summary.extend(field_bytes(SUMMARY_VALUE, &entry));
        }
        self.write_event(step, &field_bytes(EVENT_SUMMARY, &summary))
    }

    /// The event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write_event(&mut self, step: u64, content: &[u8]) -> Result<(), SinkError> {
        let record = framed(&event(seconds_since_epoch(), step, content));
        self.file
            .write_all(&record)
            .map_err(|source| SinkError::Io {
                path: self.path.clone(),
                source,
            })
    }
}

fn seconds_since_epoch() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |duration| duration.as_secs_f64())
}

/// Opens a file that no other process or sink of this second has, `events.out.tfevents.<time>.<process>.<n>`.
/// TensorBoard reads a folder's files in the order of their names, so the time comes first and is
/// fine enough for a run that resumes at once.
fn new_file(folder: &Path) -> Result<(PathBuf, File), SinkError> {
    let seconds = seconds_since_epoch();
    let process = std::process::id();
    let mut number = 0;
    loop {
        let path = folder.join(format!(
            "events.out.tfevents.{seconds:017.6}.{process}.{number}"
        ));
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(source) => return Err(SinkError::Io { path, source }),
        }
    }
}

// Field numbers of tensorflow/core/util/event.proto and framework/summary.proto.
const EVENT_WALL_TIME: u8 = 1;
const EVENT_STEP: u8 = 2;
const EVENT_FILE_VERSION: u8 = 3;
const EVENT_SUMMARY: u8 = 5;
const EVENT_SESSION_LOG: u8 = 7;
const SUMMARY_VALUE: u8 = 1;
const VALUE_TAG: u8 = 1;
const VALUE_SIMPLE_VALUE: u8 = 2;
const SESSION_STATUS: u8 = 1;
const SESSION_START: u64 = 1;

// Wire types of protobuf.
const WIRE_VARINT: u8 = 0;
const WIRE_64_BIT: u8 = 1;
const WIRE_BYTES: u8 = 2;
const WIRE_32_BIT: u8 = 5;

/// A field's key; all field numbers here are below 16, so it is one byte.
const fn key(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field_varint(field: u8, value: u64) -> Vec<u8> {
    let mut out = vec![key(field, WIRE_VARINT)];
    varint(value, &mut out);
    out
}

fn field_bytes(field: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![key(field, WIRE_BYTES)];
    varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// An event message: time, step and one encoded content field.
fn event(seconds: f64, step: u64, content: &[u8]) -> Vec<u8> {
    let mut out = vec![key(EVENT_WALL_TIME, WIRE_64_BIT)];
    out.extend_from_slice(&seconds.to_le_bytes());
    out.extend(field_varint(EVENT_STEP, step));
    out.extend_from_slice(content);
    out
}

/// A TFRecord: length, its checksum, data, its checksum.
fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(data.len() + 16);
    out.extend_from_slice(&length);
    out.extend_from_slice(&masked_crc(&length).to_le_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(&masked_crc(data).to_le_bytes());
    out
}

/// CRC-32C, rotated and offset as TFRecord wants it (tensorflow/core/lib/hash/crc32c.h).
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_encoded_as_protobuf_does() {
        // Made with TensorBoard's event_pb2: Event(wall_time=1.0, step=300,
        // summary=Summary(value=[Value(tag="a", simple_value=0.5)])).
        let mut entry = field_bytes(VALUE_TAG, b"a");
        entry.push(key(VALUE_SIMPLE_VALUE, WIRE_32_BIT));
        entry.extend_from_slice(&0.5f32.to_le_bytes());
        let encoded = event(
            1.0,
            300,
            &field_bytes(EVENT_SUMMARY, &field_bytes(SUMMARY_VALUE, &entry)),
        );
        let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "09000000000000f03f10ac022a0a0a080a0161150000003f");
    }

    #[test]
    fn sinks_of_one_folder_get_files_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = TensorBoardSink::create(folder.path()).unwrap();
        let second = TensorBoardSink::resume(folder.path(), 10).unwrap();
        assert_ne!(first.path(), second.path());
        let before = std::fs::metadata(first.path()).unwrap().len();
        first.scalars(1, &[("train/loss", 2.0)]).unwrap();
        assert!(std::fs::metadata(first.path()).unwrap().len() > before);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = TensorBoardSink::create("no/such/folder").unwrap_err();
        assert!(error.to_string().contains("no/such/folder"));
    }
}
