//! An S3 server in the test's own process: that of the s3s crate on a folder, with every signature checked.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use emotionclip_data::shards::{S3Settings, ShardError};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::signer::Signer;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::path::S3Path;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};

/// Whom the server knows.
pub const KEY: &str = "AKIDOFTHETESTS";
/// What a request is signed with, and nobody may ever be shown.
pub const SECRET: &str = "kept/secret+5fQ1vT0bZ9";
/// A bucket that everybody may read.
pub const PUBLIC: &str = "public";

/// The server. It serves until the test's process ends.
#[derive(Debug)]
pub struct S3Server {
    folder: tempfile::TempDir,
    socket: SocketAddr,
    gate: Arc<Gate>,
}

/// Who may do what; also whether the server is well.
#[derive(Debug)]
struct Gate {
    root: PathBuf,
    refusals: AtomicUsize,
    asked: AtomicUsize,
}

/// A gate that server and test share.
struct Shared(Arc<Gate>);

#[async_trait::async_trait]
impl S3Access for Shared {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let gate = &self.0;
        gate.asked.fetch_add(1, Ordering::SeqCst);
        let take_one = |left: usize| left.checked_sub(1);
        let refusals = &gate.refusals;
        if refusals
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take_one)
            .is_ok()
        {
            return Err(s3_error!(SlowDown));
        }
        let (S3Path::Bucket { bucket } | S3Path::Object { bucket, .. }) = request.s3_path() else {
            return Err(s3_error!(AccessDenied));
        };
        let reads = request.s3_op().name() == "GetObject";
        if request.credentials().is_none() && !(reads && &**bucket == PUBLIC) {
            return Err(s3_error!(AccessDenied));
        }
        if gate.root.join(&**bucket).is_dir() {
            Ok(())
        } else {
            Err(s3_error!(NoSuchBucket))
        }
    }
}

impl S3Server {
    /// A server with the buckets `corpora` and [`PUBLIC`] on a free port of this machine.
    ///
    /// # Panics
    ///
    /// If the machine refuses.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for bucket in ["corpora", PUBLIC] {
            std::fs::create_dir(folder.path().join(bucket)).expect("a folder");
        }
        let gate = Arc::new(Gate {
            root: folder.path().to_owned(),
            refusals: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
        });
        let files = s3s_fs::FileSystem::new(folder.path()).expect("a folder");
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        service.set_access(Shared(Arc::clone(&gate)));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let socket = listener.local_addr().expect("bound");
        std::thread::spawn(move || serve(listener, service));
        Self {
            folder,
            socket,
            gate,
        }
    }

    /// Where it listens.
    pub fn socket(&self) -> SocketAddr {
        self.socket
    }

    /// Its address, for `AWS_ENDPOINT_URL`.
    pub fn address(&self) -> String {
        format!("http://{}", self.socket)
    }

    /// Says "slow down" to so many of the next requests.
    pub fn refuse(&self, requests: usize) {
        self.gate.refusals.store(requests, Ordering::SeqCst);
    }

    /// Requests whose signature was right, or that had none.
    pub fn asked(&self) -> usize {
        self.gate.asked.load(Ordering::SeqCst)
    }

    /// The file in which an object lies.
    pub fn object(&self, bucket: &str, key: &str) -> PathBuf {
        self.folder.path().join(bucket).join(key)
    }

    /// Puts an object into a bucket with a signed request, as any S3 client does.
    ///
    /// # Panics
    ///
    /// If the server refuses it.
    pub fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        let signer = self.signer(bucket);
        let key = object_store::path::Path::parse(key).expect("a key");
        let url = signer.signed_url(ureq::http::Method::PUT, &key, Duration::from_secs(60));
        let url = runtime().block_on(url).expect("it can be signed");
        let answer = ureq::put(url.as_str()).send(content).expect("it is taken");
        assert_eq!(answer.status().as_u16(), 200, "{bucket}/{key}");
    }

    /// Puts every file of a folder into a bucket.
    ///
    /// # Panics
    ///
    /// If a file can't be read or the server refuses it.
    pub fn put_folder(&self, bucket: &str, prefix: &str, folder: &Path) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("a folder").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            let content = std::fs::read(&path).expect("a readable file");
            self.put(bucket, &format!("{prefix}/{name}"), &content);
        }
    }

    fn signer(&self, bucket: &str) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_http_connector(NoTransport)
            .with_access_key_id(KEY)
            .with_secret_access_key(SECRET)
            .with_bucket_name(bucket)
            .with_endpoint(self.address())
            .build()
            .expect("sound settings")
    }

    /// The environment of somebody who may read, and can through this address.
    pub fn variables(address: &str) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_ENDPOINT_URL", address.to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }
}

/// The settings that an environment gives.
///
/// # Errors
///
/// As [`S3Settings::from_variables`].
pub fn settings(variables: &[(&str, String)]) -> Result<S3Settings, ShardError> {
    let value = |wanted: &str| {
        let found = variables.iter().rev().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value.clone())
    };
    S3Settings::from_variables(|name| Ok(value(name)))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn serve(listener: TcpListener, service: S3Service) {
    runtime().block_on(async move {
        listener.set_nonblocking(true).expect("a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
        let http = Builder::new(TokioExecutor::new());
        loop {
            let (socket, _) = listener.accept().await.expect("a connection");
            let connection = http.serve_connection(TokioIo::new(socket), service.clone());
            let connection = connection.into_owned();
            // A client that goes away is its own affair.
            tokio::spawn(async move { connection.await.ok() });
        }
    });
}

/// For a client that only signs.
#[derive(Debug)]
struct NoTransport;

impl HttpConnector for NoTransport {
    fn connect(&self, _: &object_store::ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Self))
    }
}

#[async_trait::async_trait]
impl HttpService for NoTransport {
    async fn call(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
        let error = std::io::Error::other("it only signs");
        Err(HttpError::new(HttpErrorKind::Unknown, error))
    }
}
