//! A small static server for the page: localhost only, `GET` and `HEAD`, byte ranges for videos.
//!
//! It sends the page's own policy as a header too, because a worker obeys its response's policy and
//! not its page's.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};

/// Longest request line or header accepted.
const LONGEST_LINE: u64 = 8192;

/// Serves `folder` at `http://localhost:port/` until the process ends; port 0 takes a free one.
pub fn serve(folder: &Path, port: u16) -> Result<()> {
    let (listener, port) = listen(port)?;
    println!("\n  The page is at http://localhost:{port}/ (Ctrl-C ends)\n");
    answer(&listener, folder)
}

/// Takes a port on localhost and says which.
pub fn listen(port: u16) -> Result<(TcpListener, u16)> {
    let listener = TcpListener::bind(("127.0.0.1", port)).with_context(|| {
        format!("port {port} on localhost can't be used; choose another with --port")
    })?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// Answers everybody who connects.
pub fn answer(listener: &TcpListener, folder: &Path) -> Result<()> {
    let site = Arc::new(Site::open(folder)?);
    for connection in listener.incoming() {
        let (Ok(connection), site) = (connection, Arc::clone(&site)) else {
            continue;
        };
        thread::spawn(move || {
            // A browser that goes away in the middle is no concern of ours.
            let _ = site.answer(connection);
        });
    }
    Ok(())
}

struct Site {
    folder: PathBuf,
    policy: String,
}

/// What is sent back.
struct Response {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

enum Body {
    Text(&'static str),
    /// So many bytes from where the file stands.
    File(File, u64),
}

impl Site {
    fn open(folder: &Path) -> Result<Self> {
        let page = fs::read_to_string(folder.join("index.html"))
            .with_context(|| format!("{}: no page there", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            policy: policy_of(&page)
                .context("the page has no policy")?
                .to_owned(),
        })
    }

    fn answer(&self, mut connection: TcpStream) -> Result<()> {
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut reader = BufReader::new(connection.try_clone()?);
        let request = line(&mut reader)?;
        let [mut range, mut known] = [None, None];
        loop {
            let header = line(&mut reader)?;
            if header.is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':') {
                let place = match &*name.to_ascii_lowercase() {
                    "range" => &mut range,
                    "if-none-match" => &mut known,
                    _ => continue,
                };
                *place = Some(value.trim().to_owned());
            }
        }
        let mut words = request.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let response = match method {
            "GET" | "HEAD" => self.find(target, range.as_deref(), known.as_deref()),
            _ => plain("405 Method Not Allowed", "only GET"),
        };
        self.send(&mut connection, response, method == "HEAD")
    }

    /// The file that `target` names or a range of it; nothing but a word where its version is `known`.
    fn find(&self, target: &str, range: Option<&str>, known: Option<&str>) -> Response {
        let missing = || plain("404 Not Found", "no such file");
        let path = target.split(['?', '#']).next().unwrap_or("");
        let Some(mut path) = self.path(path) else {
            return missing();
        };
        if path.is_dir() {
            path.push("index.html");
        }
        let Ok(mut file) = File::open(&path) else {
            return missing();
        };
        let Ok(data) = file.metadata() else {
            return missing();
        };
        let (length, version) = (data.len(), version_of(&data));
        if known.is_some() && known == version.as_deref() {
            return plain("304 Not Modified", "");
        }
        let mut headers = vec![
            ("content-type", media_type(&path).to_owned()),
            ("accept-ranges", "bytes".to_owned()),
        ];
        headers.extend(version.map(|version| ("etag", version)));
        let (status, first, count) = match range.and_then(|range| byte_range(range, length)) {
            Some((first, last)) => {
                headers.push(("content-range", format!("bytes {first}-{last}/{length}")));
                ("206 Partial Content", first, last - first + 1)
            }
            None => ("200 OK", 0, length),
        };
        if file.seek(SeekFrom::Start(first)).is_err() {
            return missing();
        }
        headers.push(("content-length", count.to_string()));
        Response {
            status,
            headers,
            body: Body::File(file, count),
        }
    }

    /// The file of a request's path, if it lies in the folder.
    fn path(&self, path: &str) -> Option<PathBuf> {
        let path = percent_decoded(path.strip_prefix('/')?)?;
        let inside = Path::new(&path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        inside.then(|| self.folder.join(path))
    }

    fn send(&self, connection: &mut TcpStream, response: Response, head: bool) -> Result<()> {
        let mut text = format!("HTTP/1.1 {}\r\n", response.status);
        for (name, value) in &response.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-security-policy: {}\r\n", self.policy));
        text.push_str("cache-control: no-cache\r\nx-content-type-options: nosniff\r\n");
        text.push_str("referrer-policy: no-referrer\r\nconnection: close\r\n\r\n");
        connection.write_all(text.as_bytes())?;
        match response.body {
            _ if head => {}
            Body::Text(text) => connection.write_all(text.as_bytes())?,
            Body::File(file, count) => {
                std::io::copy(&mut file.take(count), connection)?;
            }
        }
        connection.flush()?;
        Ok(())
    }
}

fn plain(status: &'static str, text: &'static str) -> Response {
    let headers = vec![
        ("content-type", "text/plain; charset=utf-8".to_owned()),
        ("content-length", text.len().to_string()),
    ];
    Response {
        status,
        headers,
        body: Body::Text(text),
    }
}

fn line(reader: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    reader.by_ref().take(LONGEST_LINE).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// An `etag`, by which a browser asks whether its copy is still right; `None` where the system knows no
/// times of files.
fn version_of(data: &fs::Metadata) -> Option<String> {
    let changed = data.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("\"{:x}-{:x}\"", data.len(), changed.as_nanos()))
}

/// The policy in the page's meta element.
fn policy_of(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("http-equiv=\"Content-Security-Policy\" content=\"")?;
    rest.split('"').next()
}

/// First and last byte of a `bytes=a-b` header; only a single range is honoured.
fn byte_range(range: &str, length: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = length.checked_sub(1)?;
    let (first, last) = match (first, last) {
        ("", count) => (length.saturating_sub(count.parse().ok()?), end),
        (first, "") => (first.parse().ok()?, end),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.min(end)),
    };
    (first <= last).then_some((first, last))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|found| found.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("webm") => "video/webm",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_leads_out_of_the_folder() {
        let site = Site {
            folder: "/page".into(),
            policy: String::new(),
        };
        assert_eq!(site.path("/js/app.js"), Some("/page/js/app.js".into()));
        assert_eq!(site.path("/a%20b"), Some("/page/a b".into()));
        for outside in [
            "/../secret",
            "/%2e%2e/secret",
            "//etc/passwd",
            "/a/%2Fetc",
            "x",
            "/%zz",
        ] {
            let path = site.path(outside);
            assert!(
                path.is_none_or(|path| path.starts_with("/page/a")),
                "{outside}"
            );
        }
    }

    #[test]
    fn a_file_whose_version_is_known_is_not_sent_again() {
        let site = Site {
            folder: crate::workspace::manifest_dir(),
            policy: String::new(),
        };
        let sent = site.find("/Cargo.toml", None, None);
        let [(_, version)] = &sent
            .headers
            .iter()
            .filter(|(name, _)| *name == "etag")
            .collect::<Vec<_>>()[..]
        else {
            panic!("one etag: {:?}", sent.headers);
        };
        let status = |known| site.find("/Cargo.toml", None, Some(known)).status;
        assert_eq!(status(version), "304 Not Modified");
        assert_eq!(status("\"another\""), "200 OK");
    }

    #[test]
    fn byte_ranges_are_cut_to_the_file() {
        assert_eq!(byte_range("bytes=0-", 10), Some((0, 9)));
        assert_eq!(byte_range("bytes=2-100", 10), Some((2, 9)));
        assert_eq!(byte_range("bytes=-3", 10), Some((7, 9)));
        for none in [
            "bytes=10-",
            "bytes=-",
            "bytes=5-2",
            "lines=1-2",
            "bytes=0-0,4-5",
        ] {
            assert_eq!(byte_range(none, 10), None, "{none}");
        }
        assert_eq!(byte_range("bytes=0-", 0), None);
    }

    #[test]
    fn the_policy_of_the_page_is_found() {
        let page =
            fs::read_to_string(crate::workspace::manifest_dir().join("../../web/index.html"));
        let page = page.unwrap();
        let policy = policy_of(&page).unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(policy.contains("connect-src 'self'"), "{policy}");
    }
}
