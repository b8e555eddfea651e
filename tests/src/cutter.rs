//! A wire between client and server that breaks where a test says.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Passes connections on and closes some of them in the middle of what the server sends. It works until the test's
/// process ends.
#[derive(Debug)]
pub struct Cutter {
    address: String,
    requests: Arc<Mutex<Vec<u8>>>,
}

impl Cutter {
    /// Cuts the first connections after so many bytes from the server each, and all that follow where `then` says.
    ///
    /// # Panics
    ///
    /// If the machine refuses.
    pub fn start(server: SocketAddr, cuts: Vec<u64>, then: Option<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            let cuts = cuts.into_iter().map(Some).chain(std::iter::repeat(then));
            for (client, cut) in listener.incoming().zip(cuts) {
                let client = client.expect("a connection");
                let server = TcpStream::connect(server).expect("the server is there");
                let seen = Arc::clone(&seen);
                let (from, to) = (share(&client), share(&server));
                std::thread::spawn(move || pass(from, to, None, Some(&seen)));
                std::thread::spawn(move || pass(server, client, cut, None));
            }
        });
        Self { address, requests }
    }

    /// Where it listens, for `AWS_ENDPOINT_URL`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The ranges of bytes that were asked for, in order.
    ///
    /// # Panics
    ///
    /// If a thread of the wire failed.
    pub fn ranges(&self) -> Vec<String> {
        let requests = self.requests.lock().expect("whole").clone();
        let requests = String::from_utf8_lossy(&requests).to_lowercase();
        let range = |line: &str| line.strip_prefix("range: bytes=").map(str::to_owned);
        requests.lines().filter_map(range).collect()
    }
}

fn share(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a socket")
}

fn pass(mut from: TcpStream, mut to: TcpStream, cut: Option<u64>, seen: Option<&Mutex<Vec<u8>>>) {
    let mut left = cut.unwrap_or(u64::MAX);
    let mut buffer = [0; 16 << 10];
    while left > 0 {
        let most = buffer.len().min(left.try_into().unwrap_or(usize::MAX));
        // What ends by itself or by the other thread ends here.
        let Ok(count @ 1..) = from.read(&mut buffer[..most]) else {
            break;
        };
        if let Some(seen) = seen {
            seen.lock().expect("whole").extend(&buffer[..count]);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
        left -= count as u64;
    }
    for side in [from, to] {
        side.shutdown(Shutdown::Both).ok();
    }
}
