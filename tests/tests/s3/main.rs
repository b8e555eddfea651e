//! Shards in a bucket of an S3 server, read beside the same shards in a folder.

mod broken;
mod program;
mod reading;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use emotionclip_data::prepare::{
    EvaluationSets, IndexFilters, Limits, ReleaseFiles, WorkFolder, import_release, write_index,
};
use emotionclip_data::shards::{S3Store, ShardError, ShardSet, ShardSettings, write_shards};
use integration_tests::corpus::write_release;
use integration_tests::s3::{S3Server, SECRET, settings};

/// Of the session whose requests are signed.
const TOKEN: &str = "session-token-nobody-may-see";

/// Shards of two clips each, of drawn videos, made once for all tests of a process.
static SHARDS: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let release = folder.path().join("release");
    write_release(&release, 6);
    let work = WorkFolder::open(&folder.path().join("work")).unwrap();
    let files = ReleaseFiles {
        videos: release.join("videos"),
        captions: None,
        index: Some(release.join("index.json")),
        sentiment_logits: Some(release.join("logits.npy")),
    };
    let limits = Limits {
        max_broken: 0.0,
        workers: 2,
    };
    import_release(&work, &files, &limits, &|_| {}).unwrap();
    write_index(&work, &IndexFilters::default(), &EvaluationSets::default()).unwrap();
    let small = ShardSettings {
        // Less than two clips, more than one.
        target_bytes: 40_000,
        seed: 0,
    };
    write_shards(&work, &small, 2, &|_| {}).unwrap();
    (folder, work.root().join("shards"))
});

fn shards() -> &'static Path {
    &SHARDS.1
}

/// A server with the shards at `s3://corpora/talks/v1`.
fn server() -> S3Server {
    let server = S3Server::start();
    server.put_folder("corpora", "talks/v1", shards());
    server
}

const ADDRESS: &str = "s3://corpora/talks/v1";

/// A store behind an endpoint, with right keys but for what is given beside.
fn store(
    endpoint: &str,
    address: &str,
    others: &[(&'static str, &str)],
) -> Result<S3Store, ShardError> {
    let mut variables = S3Server::variables(endpoint);
    variables.push(("AWS_SESSION_TOKEN", TOKEN.to_owned()));
    variables.extend(
        others
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    S3Store::new(address, &settings(&variables)?)
}

fn open(endpoint: &str) -> ShardSet {
    ShardSet::of_store(Arc::new(store(endpoint, ADDRESS, &[]).unwrap())).unwrap()
}

/// One line that says all of `parts`, and nothing that is secret.
fn says(error: &dyn std::error::Error, parts: &[&str]) {
    let shown = format!("{error} {error:?}");
    for secret in [SECRET, TOKEN] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let line = error.to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    for part in parts {
        assert!(line.contains(part), "'{part}' is not in: {line}");
    }
}
