//! Checkpoints from a Hugging Face hub: `hf://owner/name[@revision][/file]`.
//!
//! Files stay in the hub's usual cache, so that other programs find them and a second run needs no
//! network. A download that breaks off is continued, by this run or the next, and what arrives is
//! checked: large files against the SHA-256 that the hub keeps them under.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::Context as _;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};

use crate::context::Context;
use crate::failure::bad_input;
use crate::inputs::files::one_line;

const SCHEME: &str = "hf://";
/// Times that a broken download is continued within one run.
const ATTEMPTS: u32 = 4;
/// Silence after which a download is given up.
const STALL: Duration = Duration::from_secs(60);
/// Weights by preference: a model file of ours or Hugging Face's, then OpenCLIP's, then pickles.
const WEIGHTS: [&str; 6] = [
    "model.safetensors",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
    "emotionclip_latest.pt",
    "model.pt",
];

/// Whether a source is an address on a hub.
pub fn is_reference(source: &str) -> bool {
    source.starts_with(SCHEME)
}

/// A repository at a revision.
pub struct Repository {
    reference: String,
    file: Option<String>,
    api: Api,
    repo: Repo,
    cache: Cache,
    /// Commit of the last file fetched.
    pub commit: Option<String>,
}

impl Repository {
    /// Parses an address; asks nothing of the network yet.
    ///
    /// # Errors
    /// Bad input for an address of another form.
    pub fn open(reference: &str) -> anyhow::Result<Self> {
        let wrong = || {
            bad_input(format!(
                "{reference}: write hf://owner/name[@revision][/file]"
            ))
        };
        let rest = reference.strip_prefix(SCHEME).ok_or_else(wrong)?;
        let mut parts = rest.splitn(3, '/');
        let (Some(owner), Some(name)) = (parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
        let file = parts.next().map(str::to_owned);
        let plain = |text: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !text.is_empty() && !text.contains("..") && text.chars().all(allowed)
        };
        let file_is_plain = file
            .as_deref()
            .is_none_or(|file| file.split('/').all(plain));
        if ![owner, name, revision].into_iter().all(plain) || !file_is_plain {
            return Err(wrong());
        }
        let id = format!("{owner}/{name}");
        let api = ApiBuilder::from_env()
            .with_progress(false)
            .build()
            .context("setting up the connection to the hub")?;
        Ok(Self {
            reference: reference.to_owned(),
            file,
            api,
            repo: Repo::with_revision(id, RepoType::Model, revision.to_owned()),
            cache: Cache::from_env(),
            commit: None,
        })
    }

    /// The checkpoint: the file that the address names, else the repository's usual one.
    ///
    /// # Errors
    /// As [`Self::fetch`]; bad input for a repository without a checkpoint of a usual name.
    pub fn weights(&mut self, context: &Context) -> anyhow::Result<PathBuf> {
        if let Some(file) = self.file.clone() {
            return self.fetch(&file, context);
        }
        let handle = self.handle();
        let info = match self.watched(|| 0, move || handle.info())? {
            Ok(info) => info,
            Err(error) => {
                let cached = WEIGHTS.iter().find_map(|file| self.cached(file));
                return cached.ok_or_else(|| self.failed(None, &error));
            }
        };
        let names: Vec<String> = info.siblings.into_iter().map(|one| one.rfilename).collect();
        let usual = WEIGHTS
            .iter()
            .find(|file| names.iter().any(|name| name == *file));
        let Some(file) = usual else {
            let ends = |name: &&String| {
                [".safetensors", ".pt", ".pth", ".bin"]
                    .iter()
                    .any(|end| name.ends_with(end))
            };
            let found: Vec<&str> = names.iter().filter(ends).map(String::as_str).collect();
            return Err(bad_input(format!(
                "{}: no checkpoint of a usual name; name the file, as in {}/FILE (there are: {})",
                self.reference,
                self.reference,
                if found.is_empty() {
                    "none".to_owned()
                } else {
                    found.join(", ")
                }
            )));
        };
        self.fetch(file, context)
    }

    /// A file that the repository may lack, such as its configuration.
    pub fn optional(&mut self, file: &str, context: &Context) -> Option<PathBuf> {
        self.fetch(file, context).ok()
    }

    /// Fetches a file or finds it in the cache, and checks it.
    ///
    /// # Errors
    /// Bad input for a file or repository that does not exist; a connection that fails again and
    /// again; content that differs from its checksum.
    pub fn fetch(&mut self, file: &str, context: &Context) -> anyhow::Result<PathBuf> {
        let (api, url) = (self.api.clone(), self.handle().url(file));
        let metadata = match self.watched(|| 0, move || api.metadata(&url))? {
            Ok(metadata) => metadata,
            Err(error) => {
                let offline = !is_missing(&error);
                let cached = self.cached(file).filter(|_| offline);
                let cached = cached.ok_or_else(|| self.failed(Some(file), &error))?;
                tracing::warn!(
                    "{}: the hub does not answer; using the copy here",
                    self.reference
                );
                return Ok(cached);
            }
        };
        let (etag, commit) = (metadata.etag(), metadata.commit_hash());
        let is_hash = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
        if !is_hash(etag) || !is_hash(commit) {
            // These become file names in the cache.
            anyhow::bail!("{}: the hub gave an etag that is no hash", self.reference);
        }
        self.commit = Some(commit.to_owned());
        let cache = self.cache.repo(self.repo.clone());
        let (known, blob) = (cache.pointer_path(commit).join(file), cache.blob_path(etag));
        if !known.is_file() {
            self.download(file, &blob, metadata.size() as u64, context)?;
        }
        if let Err(error) = check(&blob, etag, metadata.size() as u64) {
            // Both, or the next run would take the broken file for a whole one.
            for path in [&known, &blob] {
                std::fs::remove_file(path).ok();
            }
            return Err(error.context(format!(
                "{}/{file}: what was downloaded is damaged and was deleted; run the command again",
                self.reference
            )));
        }
        Ok(known)
    }

    fn download(
        &self,
        file: &str,
        blob: &Path,
        size: u64,
        context: &Context,
    ) -> anyhow::Result<()> {
        let partial = blob.with_extension("part");
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            let have = std::fs::metadata(&partial).map_or(0, |metadata| metadata.len());
            if have >= size {
                // Whole or too long, but never renamed: its content is not to be trusted.
                std::fs::remove_file(&partial).ok();
            } else if have > 0 {
                tracing::info!("{file}: going on at byte {have} of {size}");
            }
            let bar = context.progress(size, "download");
            match self.attempt(file, &bar)? {
                Ok(()) => {
                    bar.finish_and_clear();
                    return Ok(());
                }
                Err(error) if is_missing(&error) => return Err(self.failed(Some(file), &error)),
                Err(error) => last = Some(error),
            }
            bar.finish_and_clear();
            std::thread::sleep(Duration::from_millis(200 << attempt));
        }
        Err(match last {
            Some(error) => self.failed(Some(file), &error),
            None => anyhow::anyhow!("{}: not downloaded", self.reference),
        })
    }

    /// One download attempt.
    fn attempt(&self, file: &str, bar: &ProgressBar) -> anyhow::Result<Result<(), ApiError>> {
        let (handle, name, shown) = (self.handle(), file.to_owned(), DownloadBar(bar.clone()));
        self.watched(
            || bar.position(),
            move || handle.download_with_progress(&name, shown).map(|_| ()),
        )
    }

    /// Asks the hub and gives up after a long silence: its client waits for one without end. The
    /// thread of a stalled request can't be stopped and ends with the program, so the run ends, too.
    fn watched<T: Send + 'static>(
        &self,
        progress: impl Fn() -> u64,
        ask: impl FnOnce() -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            // Nobody listens any more after a stall.
            sender.send(ask()).ok();
        });
        let mut arrived = progress();
        loop {
            match receiver.recv_timeout(STALL) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) if progress() != arrived => arrived = progress(),
                Err(_) => anyhow::bail!(
                    "{}: nothing arrived for {} seconds; run the command again to go on where it \
                     stopped",
                    self.reference,
                    STALL.as_secs()
                ),
            }
        }
    }

    fn handle(&self) -> ApiRepo {
        self.api.repo(self.repo.clone())
    }

    fn cached(&self, file: &str) -> Option<PathBuf> {
        self.cache.repo(self.repo.clone()).get(file)
    }

    fn failed(&self, file: Option<&str>, error: &ApiError) -> anyhow::Error {
        let of = file.map_or_else(String::new, |file| format!(" (file {file})"));
        let line = one_line(error);
        if is_missing(error) {
            return bad_input(format!(
                "{}{of}: not on the hub or not public ({line}); check owner, name, revision and \
                 file",
                self.reference
            ));
        }
        anyhow::anyhow!(
            "{}{of}: {line}; check the connection (HF_ENDPOINT names another hub) and run the \
             command again to go on where it stopped",
            self.reference
        )
    }
}

/// Whether the hub said that there is no such thing, in contrast to not answering.
fn is_missing(error: &ApiError) -> bool {
    let text = error.to_string();
    ["401", "403", "404"]
        .iter()
        .any(|code| text.contains(&format!("status: {code}")))
}

/// Compares a file with its length and, where the etag is one, with its SHA-256.
fn check(blob: &Path, etag: &str, size: u64) -> anyhow::Result<()> {
    const SHA256_DIGITS: usize = 64;
    let mut file = std::fs::File::open(blob).context("opening the download")?;
    let length = file.metadata().context("reading the download")?.len();
    anyhow::ensure!(length == size, "{length} bytes instead of {size}");
    if etag.len() == SHA256_DIGITS {
        let mut digest = Sha256::new();
        std::io::copy(&mut file, &mut digest).context("reading the download")?;
        let found = format!("{:x}", digest.finalize());
        anyhow::ensure!(
            found.eq_ignore_ascii_case(etag),
            "its SHA-256 is {found}, not {etag}"
        );
    }
    Ok(())
}

/// Shows bytes on the command's own bar.
struct DownloadBar(ProgressBar);

impl hf_hub::api::Progress for DownloadBar {
    fn init(&mut self, size: usize, filename: &str) {
        self.0.set_length(size as u64);
        self.0.set_position(0);
        self.0.set_message(format!("bytes of {filename}"));
    }

    fn update(&mut self, size: usize) {
        self.0.inc(size as u64);
    }

    fn finish(&mut self) {
        self.0.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_an_owner_a_name_and_perhaps_more() {
        let repository = Repository::open("hf://owner/some.name@v1.0/folder/model.pt").unwrap();
        assert_eq!(repository.repo.url(), "owner/some.name");
        assert_eq!(repository.repo.revision(), "v1.0");
        assert_eq!(repository.file.as_deref(), Some("folder/model.pt"));
        assert_eq!(
            Repository::open("hf://a/b").unwrap().repo.revision(),
            "main"
        );
    }

    #[test]
    fn addresses_that_lead_elsewhere_are_refused() {
        for address in [
            "hf://",
            "hf://a",
            "hf://a/",
            "hf://a/b/../c",
            "hf://a/b@/c",
            "hf://a b/c",
        ] {
            assert!(Repository::open(address).is_err(), "{address}");
        }
    }
}
