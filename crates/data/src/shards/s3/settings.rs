//! Where an S3-compatible store is, and who asks.

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, RetryConfig};
use ureq::http::Uri;
use url::Url;

use super::transport::Transport;
use super::{ATTEMPTS, FIRST_WAIT, SIGNATURE_HOLDS, SILENCE};
use crate::shards::error::ShardError;

const KEY: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";
const REGION: &str = "AWS_REGION";
const ENDPOINT: &str = "AWS_ENDPOINT_URL";
const ALLOW_HTTP: &str = "AWS_ALLOW_HTTP";
const SKIP_SIGNATURE: &str = "AWS_SKIP_SIGNATURE";

/// Where buckets are when `AWS_REGION` says nothing.
const DEFAULT_REGION: &str = "us-east-1";

/// Settings of an S3-compatible store. They come from the environment and are never written anywhere: not even
/// `Debug` shows them.
#[derive(Clone)]
pub struct S3Settings {
    /// `None` asks without a signature.
    keys: Option<Keys>,
    region: String,
    /// Without a slash at the end.
    endpoint: String,
}

#[derive(Clone)]
struct Keys {
    id: String,
    secret: String,
    token: Option<String>,
}

impl std::fmt::Debug for S3Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("S3Settings").finish_non_exhaustive()
    }
}

impl S3Settings {
    /// What the environment says, see [`S3Settings::from_variables`].
    ///
    /// # Errors
    /// As [`S3Settings::from_variables`], and for a variable that is no text.
    pub fn from_environment() -> Result<Self, ShardError> {
        Self::from_variables(|name| match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(refused(name, "is no text")),
        })
    }

    /// Reads `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION` (us-east-1),
    /// `AWS_ENDPOINT_URL` (Amazon's), `AWS_ALLOW_HTTP` (false) and `AWS_SKIP_SIGNATURE` (false). A variable that
    /// is empty counts as one that isn't there.
    ///
    /// # Errors
    /// If a key is missing and `AWS_SKIP_SIGNATURE` isn't true, if a value can't be what it should be, and for an
    /// endpoint without TLS unless `AWS_ALLOW_HTTP` is true. No error shows a value.
    pub fn from_variables(
        read: impl Fn(&str) -> Result<Option<String>, ShardError>,
    ) -> Result<Self, ShardError> {
        let given = |name: &str| -> Result<Option<String>, ShardError> {
            Ok(read(name)?.filter(|value| !value.is_empty()))
        };
        // Header fields are made of them.
        let plain = |name: &str| -> Result<Option<String>, ShardError> {
            let value = given(name)?;
            match &value {
                Some(value) if !value.bytes().all(|byte| byte.is_ascii_graphic()) => {
                    Err(refused(name, "holds a space or a sign that no key has"))
                }
                _ => Ok(value),
            }
        };
        let keys = match (plain(KEY)?, plain(SECRET)?) {
            (Some(id), Some(secret)) => Some(Keys {
                id,
                secret,
                token: plain(TOKEN)?,
            }),
            (Some(_), None) => return Err(refused(SECRET, "isn't set, but its key is")),
            (None, Some(_)) => return Err(refused(KEY, "isn't set, but its secret is")),
            (None, None) if switch(SKIP_SIGNATURE, given(SKIP_SIGNATURE)?)? => None,
            (None, None) => {
                let problem = format!(
                    "isn't set; set it and {SECRET}, or {SKIP_SIGNATURE}=true for a public bucket"
                );
                return Err(refused(KEY, &problem));
            }
        };
        let region = given(REGION)?.unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let is_region = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if region.len() > 63 || !region.bytes().all(is_region) {
            return Err(refused(REGION, "is no region such as eu-central-1"));
        }
        let endpoint = match given(ENDPOINT)? {
            Some(endpoint) => checked_endpoint(&endpoint, switch(ALLOW_HTTP, given(ALLOW_HTTP)?)?)?,
            None => checked_endpoint(&format!("https://s3.{region}.amazonaws.com"), false)?,
        };
        Ok(Self {
            keys,
            region,
            endpoint,
        })
    }

    /// The server's address, without a slash at the end.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The client of a bucket.
    pub(super) fn client(&self, bucket: &str) -> Result<AmazonS3, object_store::Error> {
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: FIRST_WAIT,
                max_backoff: SILENCE,
                base: 2.0,
            },
            max_retries: ATTEMPTS - 1,
            retry_timeout: SIGNATURE_HOLDS,
        };
        let builder = AmazonS3Builder::new()
            .with_http_connector(Transport::default())
            .with_retry(retry)
            .with_bucket_name(bucket)
            .with_region(&self.region)
            .with_endpoint(&self.endpoint);
        let Some(keys) = &self.keys else {
            return builder.with_skip_signature(true).build();
        };
        let builder = builder
            .with_access_key_id(&keys.id)
            .with_secret_access_key(&keys.secret);
        match &keys.token {
            Some(token) => builder.with_token(token).build(),
            None => builder.build(),
        }
    }
}

fn refused(name: &str, problem: &str) -> ShardError {
    ShardError::Setting(format!("the environment variable {name} {problem}"))
}

fn switch(name: &str, value: Option<String>) -> Result<bool, ShardError> {
    match value.map(|value| value.to_ascii_lowercase()).as_deref() {
        Some("true" | "1" | "yes" | "on") => Ok(true),
        None | Some("false" | "0" | "no" | "off") => Ok(false),
        Some(_) => Err(refused(name, "must be true or false")),
    }
}

/// An address on which keys can be appended. What it holds isn't shown: it may be a key in the wrong place.
fn checked_endpoint(endpoint: &str, allow_http: bool) -> Result<String, ShardError> {
    let refuse = |problem| Err(refused(ENDPOINT, problem));
    // Both libraries that read it later must be able to.
    let Some(url) = Url::parse(endpoint)
        .ok()
        .filter(|url| url.has_host() && url.as_str().parse::<Uri>().is_ok())
    else {
        return refuse("is no address such as https://minio.example.org:9000");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("holds a name or password; those belong in AWS_ACCESS_KEY_ID and so on");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("must end before '?' and '#'");
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => {
            return refuse("has no TLS; set AWS_ALLOW_HTTP=true if that is what you want");
        }
        _ => return refuse("must begin with https:// or http://"),
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
