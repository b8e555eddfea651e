//! `hf://` addresses against a hub of our own: checksum, resumption, cache and refusals.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use integration_tests::cli::{Sandbox, small_model};
use sha2::{Digest, Sha256};

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
///
/// Written on bare sockets, because a download that breaks off is a connection closed early, which
/// no server library offers. It serves until the test's process ends.
struct Hub {
    address: String,
    /// `Range` of every download of the weights.
    ranges: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(content: Vec<u8>, temper: Temper) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ranges);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // One request a connection; a client that has gone away is its own affair.
                answer(&stream.unwrap(), &content, temper, &seen).ok();
            }
        });
        Self { address, ranges }
    }

    fn sandbox(&self, folder: &tempfile::TempDir) -> Sandbox {
        Sandbox::new(folder.path()).with_variable("HF_ENDPOINT", &self.address)
    }

    fn ranges(&self) -> Vec<String> {
        self.ranges.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: &TcpStream,
    content: &[u8],
    temper: Temper,
    ranges: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let url = head
        .first()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or_default();
    let close = "Connection: close\r\n\r\n";
    if url == "/api/models/owner/name/revision/main" {
        let files = format!(r#"[{{"rfilename":"README.md"}},{{"rfilename":"{FILE}"}}]"#);
        let info = format!(r#"{{"sha":"{COMMIT}","siblings":{files}}}"#);
        return write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{close}{info}",
            info.len()
        );
    }
    if url != format!("/owner/name/resolve/main/{FILE}") {
        return write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n{close}"
        );
    }
    let range = head.iter().find_map(|line| {
        let (name, value) = line.split_once(": bytes=")?;
        name.eq_ignore_ascii_case("range").then_some(value)
    });
    let range = range.expect("hf-hub always asks for a range");
    let (first, last) = range.split_once('-').unwrap();
    let first: usize = first.parse().unwrap();
    let last = last.parse().map_or(content.len(), |last: usize| last + 1);
    let mut part = content[first..last].to_vec();
    let etag = Sha256::digest(content);
    let (length, whole) = (part.len(), content.len());
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nETag: \"{etag:x}\"\r\nX-Repo-Commit: {COMMIT}\r\n\
         Content-Range: bytes {first}-{}/{whole}\r\nContent-Length: {length}\r\n{close}",
        last - 1
    )?;
    if length > 1 {
        let mut ranges = ranges.lock().unwrap();
        ranges.push(range.to_owned());
        match temper {
            Temper::BreaksOff if ranges.len() == 1 => part.truncate(length / 2),
            Temper::Corrupt => part[0] ^= 1,
            _ => {}
        }
    }
    stream.write_all(&part)
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
    assert_eq!(hub.ranges(), ["0-"]);
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
    assert_eq!(hub.ranges(), ["0-".to_owned(), format!("{half}-")]);
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
