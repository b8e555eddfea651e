//! Where shards lie.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::ShardError;

/// A place that gives files and parts of files.
pub trait ShardStore: std::fmt::Debug + Send + Sync {
    /// The place, for messages.
    fn place(&self) -> String;

    /// A whole file of at most `limit` bytes.
    ///
    /// # Errors
    /// If the file can't be read or is longer.
    fn read(&self, file: &str, limit: u64) -> Result<Vec<u8>, ShardError>;

    /// A part of a file.
    ///
    /// # Errors
    /// If the part can't be read whole.
    fn read_range(&self, file: &str, range: Range<u64>) -> Result<Vec<u8>, ShardError>;

    /// A whole file as a stream.
    ///
    /// # Errors
    /// If the file can't be opened.
    fn open(&self, file: &str) -> Result<Box<dyn Read + Send>, ShardError>;
}

/// Shards in a folder.
#[derive(Clone, Debug)]
pub struct LocalStore {
    folder: PathBuf,
}

impl LocalStore {
    /// A folder of shards, or a work folder with shards in it.
    pub fn new(folder: &Path) -> Self {
        let inner = folder.join("shards");
        let holds = |folder: &Path| folder.join(super::LIST).is_file();
        let folder = if !holds(folder) && holds(&inner) {
            inner
        } else {
            folder.to_owned()
        };
        Self { folder }
    }

    /// Whether a folder, or the work folder that it is, holds shards.
    pub fn holds_shards(folder: &Path) -> bool {
        Self::new(folder).folder.join(super::LIST).is_file()
    }

    /// The folder of the shards themselves.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self, file: &str) -> Result<(File, u64), ShardError> {
        let path = self.folder.join(file);
        let opened = File::open(&path).and_then(|file| {
            let length = file.metadata()?.len();
            Ok((file, length))
        });
        opened.map_err(|error| ShardError::Io {
            file: path.display().to_string(),
            error,
        })
    }
}

/// What a failed read is called: what the store says itself where it has said something.
pub(super) fn failed(file: &str) -> impl FnOnce(std::io::Error) -> ShardError {
    let file = file.to_owned();
    move |error| {
        error
            .downcast()
            .unwrap_or_else(|error| ShardError::Io { file, error })
    }
}

/// A whole stream of at most `limit` bytes.
pub(super) fn read_whole(file: &str, stream: impl Read, limit: u64) -> Result<Vec<u8>, ShardError> {
    let mut bytes = Vec::new();
    stream
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(failed(file))?;
    if bytes.len() as u64 > limit {
        let problem = format!("more than {} MiB; this is no such file", limit >> 20);
        return Err(ShardError::Malformed {
            file: file.to_owned(),
            problem,
        });
    }
    Ok(bytes)
}

impl ShardStore for LocalStore {
    fn place(&self) -> String {
        self.folder.display().to_string()
    }

    fn read(&self, file: &str, limit: u64) -> Result<Vec<u8>, ShardError> {
        read_whole(file, self.file(file)?.0, limit)
    }

    fn read_range(&self, file: &str, range: Range<u64>) -> Result<Vec<u8>, ShardError> {
        let (mut opened, length) = self.file(file)?;
        // Checked before memory is taken.
        if range.start > range.end || range.end > length {
            let problem = format!(
                "it ends at byte {length}, before the clip at {}",
                range.start
            );
            return Err(ShardError::Malformed {
                file: file.to_owned(),
                problem,
            });
        }
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let read = opened
            .seek(SeekFrom::Start(range.start))
            .and_then(|_| opened.read_exact(&mut bytes));
        read.map_err(failed(file))?;
        Ok(bytes)
    }

    fn open(&self, file: &str) -> Result<Box<dyn Read + Send>, ShardError> {
        Ok(Box::new(std::io::BufReader::new(self.file(file)?.0)))
    }
}
