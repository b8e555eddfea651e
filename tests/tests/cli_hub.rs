//! `hf://` addresses against a hub of our own: checksum, resumption, cache and refusals.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use integration_tests::cli::{Sandbox, small_model};
use sha2::{Digest, Sha256};
use tiny_http::{Header, Method, Request, Response, Server, StatusCode};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const FILE: &str = "model.safetensors";

/// How the hub behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Temper {
    /// As it should.
    Sound,
    /// Breaks the first download off in the middle.
    BreaksOff,
    /// Sends other bytes than its checksum says.
    Corrupt,
}

/// A hub with one repository, `owner/name`.
struct Hub {
    address: String,
    server: Arc<Server>,
    /// `Range` of every download of the weights.
    ranges: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(content: Vec<u8>, temper: Temper) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let address = format!("http://{}", server.server_addr().to_ip().unwrap());
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let (thread_server, thread_ranges) = (Arc::clone(&server), Arc::clone(&ranges));
        std::thread::spawn(move || {
            let downloads = AtomicUsize::new(0);
            for request in thread_server.incoming_requests() {
                answer(request, &content, temper, &downloads, &thread_ranges);
            }
        });
        Self {
            address,
            server,
            ranges,
        }
    }

    fn sandbox(&self, folder: &tempfile::TempDir) -> Sandbox {
        Sandbox::new(folder.path()).with_variable("HF_ENDPOINT", &self.address)
    }

    fn ranges(&self) -> Vec<String> {
        self.ranges.lock().unwrap().clone()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).unwrap()
}

fn answer(
    request: Request,
    content: &[u8],
    temper: Temper,
    downloads: &AtomicUsize,
    ranges: &Mutex<Vec<String>>,
) {
    assert_eq!(request.method(), &Method::Get);
    let url = request.url().to_owned();
    if url == "/api/models/owner/name/revision/main" {
        let info = format!(
            r#"{{"sha":"{COMMIT}","siblings":[{{"rfilename":"README.md"}},{{"rfilename":"{FILE}"}}]}}"#
        );
        request.respond(Response::from_string(info)).ok();
        return;
    }
    if url != format!("/owner/name/resolve/main/{FILE}") {
        request.respond(Response::empty(404)).ok();
        return;
    }
    let range = request
        .headers()
        .iter()
        .find(|one| one.field.equiv("Range"))
        .unwrap();
    let range = range.value.to_string();
    let (first, last) = range
        .strip_prefix("bytes=")
        .unwrap()
        .split_once('-')
        .unwrap();
    let first: usize = first.parse().unwrap();
    let last = last.parse().map_or(content.len(), |last: usize| last + 1);
    let etag = format!("\"{:x}\"", Sha256::digest(content));
    let headers = [
        header("ETag", &etag),
        header("X-Repo-Commit", COMMIT),
        header(
            "Content-Range",
            &format!("bytes {first}-{}/{}", last - 1, content.len()),
        ),
    ];
    let mut part = content[first..last].to_vec();
    if last - first > 1 {
        ranges.lock().unwrap().push(range);
        if temper == Temper::Corrupt {
            part[0] ^= 1;
        }
        if downloads.fetch_add(1, Ordering::SeqCst) == 0 && temper == Temper::BreaksOff {
            return break_off(request, &headers, &part);
        }
    }
    let length = part.len();
    let body = std::io::Cursor::new(part);
    let response = Response::new(StatusCode(206), headers.to_vec(), body, Some(length), None);
    request.respond(response).ok();
}

/// Promises the whole part, sends half of it and closes the connection.
fn break_off(request: Request, headers: &[Header], part: &[u8]) {
    let mut writer = request.into_writer();
    let mut head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\n",
        part.len()
    );
    for header in headers {
        head.push_str(&format!("{}: {}\r\n", header.field, header.value));
    }
    head.push_str("Connection: close\r\n\r\n");
    writer.write_all(head.as_bytes()).ok();
    writer.write_all(&part[..part.len() / 2]).ok();
    writer.flush().ok();
}

fn import(address: &str) -> [&str; 4] {
    ["import", address, "--out", "out.safetensors"]
}

#[test]
fn a_checkpoint_is_fetched_once_and_found_again_without_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let content = small_model().to_bytes().unwrap();
    let hub = Hub::start(content.clone(), Temper::Sound);
    let sandbox = hub.sandbox(&folder);
    let result = sandbox.json(&import("hf://owner/name"));
    assert_eq!(result["commit"], COMMIT);
    assert_eq!(
        std::fs::read(sandbox.path("out.safetensors")).unwrap(),
        content
    );
    sandbox.json(&import("hf://owner/name"));
    sandbox.json(&[
        "embed",
        "--text",
        "hello",
        "--model",
        "hf://owner/name@main/model.safetensors",
    ]);
    assert_eq!(hub.ranges(), ["bytes=0-"]);
    // Nobody listens at this address.
    let offline = Sandbox::new(folder.path()).with_variable("HF_ENDPOINT", "http://127.0.0.1:9");
    offline.json(&import("hf://owner/name"));
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let content = small_model().to_bytes().unwrap();
    let half = content.len() / 2;
    let hub = Hub::start(content.clone(), Temper::BreaksOff);
    let sandbox = hub.sandbox(&folder);
    sandbox.json(&import("hf://owner/name"));
    assert_eq!(
        hub.ranges(),
        ["bytes=0-".to_owned(), format!("bytes={half}-")]
    );
    assert_eq!(
        std::fs::read(sandbox.path("out.safetensors")).unwrap(),
        content
    );
}

#[test]
fn content_that_differs_from_its_checksum_is_deleted_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(small_model().to_bytes().unwrap(), Temper::Corrupt);
    let sandbox = hub.sandbox(&folder);
    for attempt in 1..=2 {
        let finished = sandbox.run(&import("hf://owner/name"));
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        for part in ["hf://owner/name/model.safetensors", "damaged", "SHA-256"] {
            assert!(
                finished.stderr.contains(part),
                "'{part}' is not in {}",
                finished.stderr
            );
        }
        // Fetched anew each time: the damaged copy was not kept.
        assert_eq!(hub.ranges().len(), attempt);
    }
    assert!(!sandbox.path("out.safetensors").exists());
}

#[test]
fn what_the_hub_does_not_have_is_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(Vec::new(), Temper::Sound);
    let sandbox = hub.sandbox(&folder);
    sandbox.refuses(
        &import("hf://owner/other"),
        &["hf://owner/other", "not on the hub", "check owner"],
    );
    let missing = import("hf://owner/name/other.pt");
    sandbox.refuses(&missing, &["hf://owner/name/other.pt", "not on the hub"]);
    sandbox.refuses(&import("hf://owner"), &["hf://owner", "hf://owner/name"]);
    assert!(!sandbox.path("out.safetensors").exists());
}

#[test]
fn a_hub_that_does_not_answer_is_a_failure_and_no_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path()).with_variable("HF_ENDPOINT", "http://127.0.0.1:9");
    let finished = sandbox.run(&import("hf://owner/name"));
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("check the connection"),
        "{}",
        finished.stderr
    );
}
