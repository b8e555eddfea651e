//! The working format of corpora: `WebDataset` shards.
//!
//! A shard is a plain tar file. Each clip is one `<key>.json` and then its frames
//! `<key>.000.jpg`, `<key>.001.jpg` …; `WebDataset` and any tar program read it. Beside the shards,
//! `shards.json` names them with their SHA-256, and `samples.jsonl` says what each clip is and where in
//! its shard it lies, so that one can be fetched without reading the others.
//!
//! Nothing is ever unpacked: a clip is read into memory, its names are checked against what they must
//! be, and its pictures are decoded only after their headers have been compared with the record.

mod check;
mod corpus;
mod error;
mod http;
mod order;
mod plan;
mod s3;
mod sample;
mod set;
mod split;
mod stats;
mod store;
mod tarball;
mod write;

pub use check::{CheckReport, check};
pub use corpus::{ShardCorpus, ShardSampling};
pub use error::ShardError;
pub use http::HttpStore;
pub use order::ShardOrder;
pub use plan::ShardSettings;
pub use s3::{S3Settings, S3Store};
pub use sample::{SampleRecord, ShardSample, read_sample};
pub use set::{SampleEntry, ShardEntry, ShardList, ShardSet};
pub use split::ShardSplit;
pub use stats::{Distribution, ShardStats, stats};
pub use store::{LocalStore, ShardStore};
pub use write::{write_samples, write_shards};

/// What `shards.json` says it is.
const FORMAT: &str = "emotionclip-shards";
/// Version of the layout written.
const VERSION: u32 = 1;
/// Names of the two lists.
const LIST: &str = "shards.json";
const SAMPLES: &str = "samples.jsonl";

#[cfg(test)]
mod tests;
