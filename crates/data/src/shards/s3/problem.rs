//! What went wrong, in one line and without what was signed.

use std::error::Error;

use object_store::client::HttpError;
use ureq::http::StatusCode;

use super::transport::Refusal;
use crate::shards::error::ShardError;

/// Of an object that isn't the one it was.
pub(super) const REPLACED: &str =
    "it was replaced while it was read; start again when copying is done";

/// For an address that isn't one. It isn't shown: some put their keys into it.
pub(super) fn no_address() -> ShardError {
    ShardError::Setting(
        "shards in a bucket have an address like s3://bucket/folder, without keys, '?' or empty names \
         in it; keys are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            .to_owned(),
    )
}

/// Why an object couldn't be read.
pub(super) fn problem(
    file: &str,
    bucket: &str,
    endpoint: &str,
    error: &object_store::Error,
) -> ShardError {
    let file = file.to_owned();
    let problem = if let Some(refusal) = cause::<Refusal>(error) {
        match refused(refusal, bucket, endpoint) {
            Refused::Missing(problem) => return ShardError::Missing { file, problem },
            Refused::Otherwise(problem) => problem,
        }
    } else if let Some(failure) = cause::<HttpError>(error) {
        // The failure's own words name a kind; what it comes from says more.
        let words = failure
            .source()
            .map_or_else(|| failure.to_string(), ToString::to_string);
        format!(
            "no whole answer from {endpoint} ({}); check AWS_ENDPOINT_URL and the network",
            one_line(&words)
        )
    } else {
        format!(
            "an answer that is none of S3's ({}); check AWS_ENDPOINT_URL",
            one_line(&error.to_string())
        )
    };
    ShardError::Remote { file, problem }
}

/// The first of this type among an error and what it comes from.
fn cause<E: Error + 'static>(error: &object_store::Error) -> Option<&E> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

enum Refused {
    /// The object isn't there.
    Missing(String),
    Otherwise(String),
}

fn refused(refusal: &Refusal, bucket: &str, endpoint: &str) -> Refused {
    let said = match &refusal.code {
        Some(code) => format!("{}, {code}", refusal.status.as_u16()),
        None => refusal.status.as_u16().to_string(),
    };
    let advice = match (refusal.code.as_deref().unwrap_or_default(), refusal.status) {
        ("NoSuchBucket", _) => {
            format!("there is no bucket {bucket} at {endpoint}; check the address and AWS_ENDPOINT_URL")
        }
        ("NoSuchKey", _) | ("", StatusCode::NOT_FOUND) => {
            return Refused::Missing(format!("there is no such object at {endpoint} ({said})"));
        }
        ("SignatureDoesNotMatch", _) => {
            "access refused: AWS_SECRET_ACCESS_KEY doesn't belong to AWS_ACCESS_KEY_ID".to_owned()
        }
        ("InvalidAccessKeyId", _) => "access refused: nobody has this AWS_ACCESS_KEY_ID".to_owned(),
        ("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired", _) => {
            "access refused: AWS_SESSION_TOKEN has ended or belongs to other keys; get fresh ones".to_owned()
        }
        ("RequestTimeTooSkewed", _) => "access refused: set this computer's clock right".to_owned(),
        ("PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed", _) => {
            "the bucket is in another region; set AWS_REGION to its own".to_owned()
        }
        (_, status) if status.is_redirection() => {
            "the server sends elsewhere; set AWS_REGION to the bucket's own and check AWS_ENDPOINT_URL".to_owned()
        }
        (_, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) => {
            "access refused: these keys may not read it, or it isn't there; check the address and the keys".to_owned()
        }
        (_, StatusCode::PRECONDITION_FAILED) => {
            REPLACED.to_owned()
        }
        (_, StatusCode::RANGE_NOT_SATISFIABLE) => "it is empty or too short; copy it again".to_owned(),
        (_, status) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            format!("{endpoint} failed {} times; try again later", super::ATTEMPTS)
        }
        _ => format!("{endpoint} refuses; check the address and AWS_ENDPOINT_URL"),
    };
    Refused::Otherwise(format!("{advice} ({said})"))
}

/// Other people's words without their line breaks, and not too many of them.
fn one_line(words: &str) -> String {
    const MOST: usize = 300;
    let clean = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match clean.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} …", clean.get(..end).unwrap_or_default()),
        None => clean,
    }
}
