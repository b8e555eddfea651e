//! How requests get to the store.

use std::io::Read;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use ureq::http::{HeaderValue, Method, Request, Response, StatusCode};

use super::{PART, SILENCE};

/// Bytes handed on at once.
const CHUNK: usize = 64 << 10;
/// Bytes of a refusal that are looked at: an XML document with a code in it.
const LARGEST_REFUSAL: u64 = 64 << 10;

/// The workspace's one HTTP client, [`ureq`], for `object_store`. It waits in the thread that asks, as the readers of
/// shards do anyhow.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    agent: ureq::Agent,
}

impl Default for Transport {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A signature holds for one address.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Ranges are of the object's own bytes.
            .accept_encoding("identity")
            .timeout_connect(Some(SILENCE))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build();
        Self {
            agent: config.new_agent(),
        }
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// An answer that isn't what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("HTTP status {status}")]
pub(super) struct Refusal {
    /// What the server says, as a number.
    pub status: StatusCode,
    /// And in S3's words, `NoSuchKey` for one; nothing else of the answer is kept, for servers repeat what was
    /// signed in it, and a session's token is a part of that.
    pub code: Option<String>,
}

#[async_trait::async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        if head.method != Method::GET || body.content_length() > 0 {
            let error = std::io::Error::other("shards are only read");
            return Err(HttpError::new(HttpErrorKind::Unknown, error));
        }
        let answer = self
            .agent
            .run(Request::from_parts(head, ()))
            .map_err(|error| HttpError::new(kind(&error), error))?;
        let (head, body) = answer.into_parts();
        let reader = body.into_reader();
        if !head.status.is_success() {
            return Err(refusal(head.status, reader));
        }
        // `object_store` counts with these numbers; one of 19 digits or more is no place in an object.
        let numbers = head
            .headers
            .get("content-range")
            .map_or(&[][..], HeaderValue::as_bytes);
        let is_short = |number: &[u8]| number.len() < 19;
        if !numbers.split(|byte| !byte.is_ascii_digit()).all(is_short) {
            let error = std::io::Error::other("its Content-Range is no part of an object");
            return Err(HttpError::new(HttpErrorKind::Unknown, error));
        }
        // Little more than is ever asked for, whatever the server sends: one byte tells that it is too much.
        let body = Reading(Mutex::new(Box::new(reader.take(PART + 1))));
        Ok(Response::from_parts(head, HttpResponseBody::new(body)))
    }
}

/// Whether a failure is one that another attempt can mend.
fn kind(error: &ureq::Error) -> HttpErrorKind {
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::Io(_) | ureq::Error::Protocol(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    }
}

fn refusal(status: StatusCode, body: impl Read) -> HttpError {
    let mut text = Vec::new();
    // What can't be read has no code.
    let _ = body.take(LARGEST_REFUSAL).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code.to_owned())
        .filter(|code| code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let passes = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT;
    let kind = if passes {
        HttpErrorKind::Request
    } else {
        HttpErrorKind::Unknown
    };
    HttpError::new(kind, Refusal { status, code })
}

/// A body that is read as it is asked for. The lock is never waited for: it makes a reader that may change threads one
/// that may be shared, which `object_store` wants.
struct Reading(Mutex<Box<dyn Read + Send>>);

impl Body for Reading {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let reader = self
            .0
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut chunk = vec![0; CHUNK];
        Poll::Ready(match reader.read(&mut chunk) {
            Ok(0) => None,
            Ok(count) => {
                chunk.truncate(count);
                Some(Ok(Frame::data(chunk.into())))
            }
            Err(error) => Some(Err(HttpError::new(HttpErrorKind::Interrupted, error))),
        })
    }
}
