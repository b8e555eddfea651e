//! One shard as a tar file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::sample::{ShardSample, frame_name, record_name};
use super::set::{SampleEntry, ShardEntry};
use crate::prepare::PrepareError;
use crate::prepare::work::{hex, partial_of};

/// Beside each finished shard while others are still made: what a restart needs of it.
#[derive(Serialize, Deserialize)]
pub(super) struct Finished {
    pub entry: ShardEntry,
    pub samples: Vec<SampleEntry>,
}

/// Writes one shard beside its place and renames it.
pub(super) fn write_shard(
    path: &Path,
    number: usize,
    clips: impl Iterator<Item = Result<ShardSample, PrepareError>>,
) -> Result<Finished, PrepareError> {
    let partial = partial_of(path);
    let file = File::create(&partial).map_err(PrepareError::io(&partial))?;
    let mut tar = tar::Builder::new(Hashing::new(BufWriter::new(file)));
    let mut samples = Vec::new();
    for clip in clips {
        let clip = clip?;
        let offset = tar.get_ref().written;
        append(&mut tar, &clip).map_err(PrepareError::io(&partial))?;
        let record = clip.record;
        samples.push(SampleEntry {
            key: record.key,
            video_id: record.video_id,
            shard: number,
            offset,
            bytes: tar.get_ref().written - offset,
            frames: clip.frames.len(),
            duration: to_milliseconds(record.end - record.start),
            text: record.text,
            sentiment: record.sentiment,
            neutral: record.neutral,
        });
    }
    let closed = tar.into_inner().and_then(|hashing| {
        let Hashing {
            mut inner,
            digest,
            written,
        } = hashing;
        inner.flush()?;
        inner.get_ref().sync_all()?;
        Ok((hex(&digest.finalize()), written))
    });
    let (sha256, bytes) = closed.map_err(PrepareError::io(&partial))?;
    std::fs::rename(&partial, path).map_err(PrepareError::io(path))?;
    let file = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let entry = ShardEntry {
        file,
        samples: samples.len(),
        bytes,
        sha256,
    };
    Ok(Finished { entry, samples })
}

/// Seconds to a thousandth, as they are stored.
pub(super) fn to_milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

fn append(tar: &mut tar::Builder<impl Write>, clip: &ShardSample) -> std::io::Result<()> {
    let key = &clip.record.key;
    let json = serde_json::to_vec(&clip.record).map_err(std::io::Error::other)?;
    append_file(tar, &record_name(key), &json)?;
    for (index, bytes) in clip.frames.iter().enumerate() {
        append_file(tar, &frame_name(key, index), bytes)?;
    }
    Ok(())
}

/// A file whose header says nothing of when, where and by whom it was made.
fn append_file(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    bytes: &[u8],
) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, name, bytes)
}

/// Counts and hashes what passes through.
struct Hashing<W> {
    inner: W,
    digest: Sha256,
    written: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            digest: Sha256::new(),
            written: 0,
        }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.digest.update(bytes.get(..count).unwrap_or_default());
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
