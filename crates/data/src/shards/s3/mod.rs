//! Shards in a bucket of Amazon S3 or a store that speaks its language.
//!
//! `object_store` signs the requests, makes them again when they fail, and goes on where a connection broke off;
//! [`transport`] carries them.

mod problem;
mod settings;
mod transport;

use std::io::Read;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3;
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, GetRange, ObjectStore};

use self::problem::{REPLACED, no_address, problem};
pub use self::settings::S3Settings;
use super::error::ShardError;
use super::store::{ShardStore, failed, read_whole};

/// How an address begins.
const SCHEME: &str = "s3://";
/// Times a request is made before it counts as failed.
const ATTEMPTS: usize = 4;
/// Wait before the second attempt; doubled each time, give or take chance.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// A server that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// For so long attempts follow each other under one signature; Amazon takes one for 15 minutes, and the last attempt
/// may take two of silence.
const SIGNATURE_HOLDS: Duration = Duration::from_secs(10 * 60);
/// Bytes asked for at once, and so held in memory by each reader.
const PART: u64 = 8 << 20;

/// Shards in a bucket.
#[derive(Clone)]
pub struct S3Store {
    /// `s3://bucket/prefix`, without a slash at the end.
    place: String,
    bucket: String,
    /// Without slashes around it; empty where shards lie in the bucket itself.
    prefix: String,
    endpoint: String,
    client: AmazonS3,
}

impl std::fmt::Debug for S3Store {
    /// The client's own shows the key's id.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("S3Store");
        shown.field("place", &self.place).finish_non_exhaustive()
    }
}

impl S3Store {
    /// Whether a place is an address of this kind.
    pub fn is_address(place: &str) -> bool {
        place.starts_with(SCHEME)
    }

    /// The shards at `s3://bucket/prefix`. Nothing is asked yet.
    ///
    /// # Errors
    /// For an address that is none.
    pub fn new(address: &str, settings: &S3Settings) -> Result<Self, ShardError> {
        let path = address.strip_prefix(SCHEME).ok_or_else(no_address)?;
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let prefix = prefix.trim_matches('/');
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        // `.` and `..` would be taken for folders.
        let is_name = bucket.len() > 2 && bucket.bytes().all(in_name);
        if !is_name || ObjectPath::parse(prefix).is_err() {
            return Err(no_address());
        }
        let client = settings
            .client(bucket)
            .map_err(|error| ShardError::Setting(format!("{SCHEME}{bucket}: {error}")))?;
        Ok(Self {
            place: format!("{SCHEME}{bucket}/{prefix}")
                .trim_end_matches('/')
                .to_owned(),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: settings.endpoint().to_owned(),
            client,
        })
    }

    fn parts(&self, file: &str, range: Range<u64>) -> Result<Parts, ShardError> {
        let address = format!("{}/{file}", self.place);
        let Ok(path) = ObjectPath::parse(format!("{}/{file}", self.prefix)) else {
            let problem = "no object can have this name".to_owned();
            return Err(ShardError::Malformed {
                file: address.escape_debug().to_string(),
                problem,
            });
        };
        Ok(Parts {
            store: self.clone(),
            file: address,
            path,
            range,
            tag: None,
            part: Bytes::new(),
        })
    }

    fn problem(&self, file: &str, error: &object_store::Error) -> ShardError {
        problem(file, &self.bucket, &self.endpoint, error)
    }
}

/// An object, part by part.
struct Parts {
    store: S3Store,
    /// The object's whole address.
    file: String,
    path: ObjectPath,
    /// What is still to be asked for.
    range: Range<u64>,
    /// Of the version that the first part is of.
    tag: Option<String>,
    /// What has come and isn't read yet.
    part: Bytes,
}

impl Parts {
    /// Asks for the next part: nothing after the last.
    fn advance(&mut self) -> Result<(), ShardError> {
        if self.range.is_empty() {
            return Ok(());
        }
        let end = self.range.end.min(self.range.start.saturating_add(PART));
        let options = GetOptions {
            range: Some(GetRange::Bounded(self.range.start..end)),
            if_match: self.tag.clone(),
            ..GetOptions::default()
        };
        let answer = wait(async {
            let answer = self.store.client.get_opts(&self.path, options).await?;
            let (meta, range) = (answer.meta.clone(), answer.range.clone());
            Ok::<_, object_store::Error>((meta, range, answer.bytes().await?))
        })?;
        let (meta, range, bytes) =
            answer.map_err(|error| self.store.problem(&self.file, &error))?;
        let length = range.end - range.start;
        if bytes.len() as u64 != length {
            let problem = format!(
                "{} of {length} bytes came; check the server and what lies between",
                bytes.len()
            );
            return Err(ShardError::Remote {
                file: self.file.clone(),
                problem,
            });
        }
        // Some servers answer whatever version is asked for.
        if self.tag.is_some() && self.tag != meta.e_tag {
            return Err(ShardError::Remote {
                file: self.file.clone(),
                problem: REPLACED.to_owned(),
            });
        }
        self.tag = meta.e_tag;
        self.range = range.end..self.range.end.min(meta.size);
        self.part = bytes;
        Ok(())
    }
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.part.is_empty() {
            self.advance().map_err(std::io::Error::other)?;
        }
        let count = self.part.len().min(buffer.len());
        let read = self.part.split_to(count);
        if let Some(place) = buffer.get_mut(..count) {
            place.copy_from_slice(&read);
        }
        Ok(count)
    }
}

/// Lets a request run to its end in this thread.
fn wait<T: Send>(request: impl Future<Output = T> + Send) -> Result<T, ShardError> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        std::io::Result::Ok(runtime.block_on(request))
    };
    // In a thread of somebody's runtime no other one can wait.
    let answer = if tokio::runtime::Handle::try_current().is_ok() {
        std::thread::scope(|scope| scope.spawn(run).join())
            .unwrap_or_else(|_| Err(std::io::Error::other("its thread ended")))
    } else {
        run()
    };
    answer.map_err(|error| ShardError::Setting(format!("requests to the store can't run: {error}")))
}

impl ShardStore for S3Store {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn read(&self, file: &str, limit: u64) -> Result<Vec<u8>, ShardError> {
        read_whole(file, self.open(file)?, limit)
    }

    fn read_range(&self, file: &str, range: Range<u64>) -> Result<Vec<u8>, ShardError> {
        let wanted = range.end.saturating_sub(range.start);
        let mut bytes = Vec::new();
        self.parts(file, range)?
            .read_to_end(&mut bytes)
            .map_err(failed(file))?;
        if bytes.len() as u64 == wanted {
            return Ok(bytes);
        }
        let problem = format!(
            "it ends after {} of the {wanted} bytes of a clip; copy it again",
            bytes.len()
        );
        Err(ShardError::Malformed {
            file: format!("{}/{file}", self.place),
            problem,
        })
    }

    fn open(&self, file: &str) -> Result<Box<dyn Read + Send>, ShardError> {
        let mut parts = self.parts(file, 0..u64::MAX)?;
        parts.advance()?;
        Ok(Box::new(parts))
    }
}
