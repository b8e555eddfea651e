//! Shards behind an http(s) address.

use std::io::Read;
use std::ops::Range;
use std::thread::sleep;
use std::time::Duration;

use super::error::ShardError;
use super::store::{ShardStore, read_whole};

/// Times a request is made before it counts as failed.
const ATTEMPTS: u32 = 4;
/// Wait before the second attempt; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// A server that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Shards on a web server or in a public bucket: any server that answers requests for a range of bytes.
#[derive(Clone, Debug)]
pub struct HttpStore {
    /// Without a slash at the end.
    address: String,
    agent: ureq::Agent,
}

impl HttpStore {
    /// Whether a place is an address and no folder.
    pub fn is_address(place: &str) -> bool {
        place.starts_with("http://") || place.starts_with("https://")
    }

    /// The folder of shards at an address.
    pub fn new(address: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(SILENCE))
            .timeout_recv_response(Some(SILENCE))
            .timeout_recv_body(Some(10 * SILENCE))
            .build();
        Self {
            address: address.trim_end_matches('/').to_owned(),
            agent: config.new_agent(),
        }
    }

    /// Asks until an answer can be used; what a second attempt can't change fails at once.
    fn attempt<T>(
        &self,
        file: &str,
        ask: impl Fn(&str) -> Result<T, ureq::Error>,
    ) -> Result<T, ShardError> {
        let address = format!("{}/{file}", self.address);
        let mut wait = FIRST_WAIT;
        for _ in 1..ATTEMPTS {
            match ask(&address) {
                Err(ureq::Error::StatusCode(code)) if (400..500).contains(&code) && code != 429 => {
                    break;
                }
                Err(_) => sleep(wait),
                Ok(answer) => return Ok(answer),
            }
            wait *= 2;
        }
        ask(&address).map_err(|error| ShardError::Io {
            file: address,
            error: std::io::Error::other(error.to_string()),
        })
    }
}

impl ShardStore for HttpStore {
    fn place(&self) -> String {
        self.address.clone()
    }

    fn read(&self, file: &str, limit: u64) -> Result<Vec<u8>, ShardError> {
        let mut stream = self.open(file)?;
        read_whole(file, &mut stream, limit)
    }

    fn read_range(&self, file: &str, range: Range<u64>) -> Result<Vec<u8>, ShardError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let length = range.end - range.start;
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        self.attempt(file, |address| {
            let answer = self.agent.get(address).header("Range", &header).call()?;
            if answer.status().as_u16() != 206 {
                let problem = "the server sends whole files only; give one that answers ranges";
                return Err(ureq::Error::Io(std::io::Error::other(problem)));
            }
            let mut bytes = Vec::new();
            answer
                .into_body()
                .into_reader()
                .take(length)
                .read_to_end(&mut bytes)?;
            if bytes.len() as u64 == length {
                Ok(bytes)
            } else {
                let problem = format!("{} of {length} bytes came", bytes.len());
                Err(ureq::Error::Io(std::io::Error::other(problem)))
            }
        })
    }

    fn open(&self, file: &str) -> Result<Box<dyn Read + Send>, ShardError> {
        let answer = self.attempt(file, |address| self.agent.get(address).call())?;
        Ok(Box::new(answer.into_body().into_reader()))
    }
}
