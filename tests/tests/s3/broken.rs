//! Connections that break, and stores that refuse.

use std::io::Read;
use std::sync::Arc;

use emotionclip_data::shards::{ShardSet, ShardStore, check};
use integration_tests::cutter::Cutter;
use integration_tests::s3::{S3Server, settings};

use super::{ADDRESS, open, says, server, shards, store};

/// How often a request is made, the first included.
const ATTEMPTS: usize = 4;

#[test]
fn a_connection_that_breaks_off_in_an_object_is_taken_up_there() {
    let server = S3Server::start();
    let content: Vec<u8> = (0..3_000_000_u32).map(|byte| (byte / 251) as u8).collect();
    server.put("corpora", "talks/one.bin", &content);
    let cutter = Cutter::start(server.socket(), vec![1_000_000, 500_000], None);
    let store = store(cutter.address(), "s3://corpora/talks", &[]).unwrap();
    let mut read = Vec::new();
    let mut stream = store.open("one.bin").unwrap();
    stream.read_to_end(&mut read).unwrap();
    assert!(read == content);
    let starts: Vec<usize> = cutter
        .ranges()
        .iter()
        .map(|range| range.split_once('-').unwrap().0.trim().parse().unwrap())
        .collect();
    assert_eq!(starts.len(), 3, "{starts:?}");
    assert_eq!(starts[0], 0);
    // Headers are bytes too, but not 10,000.
    assert!((990_000..1_000_000).contains(&starts[1]), "{starts:?}");
    assert!((1_480_000..1_500_000).contains(&starts[2]), "{starts:?}");
}

#[test]
fn shards_are_whole_through_connections_that_break() {
    let server = server();
    let length = ShardSet::open(shards()).unwrap().list().shards[0].bytes;
    // Once in the list of the clips or a shard, and again in a shard.
    let cuts = vec![2000, length / 2, length + length / 3];
    let cutter = Cutter::start(server.socket(), cuts, None);
    let set = open(cutter.address());
    let report = check(&set, true, 1, &|_| {}).unwrap();
    assert_eq!(report.faults, 0, "{report:?}");
    let here = ShardSet::open(shards()).unwrap();
    assert_eq!(report, check(&here, true, 1, &|_| {}).unwrap());
}

#[test]
fn a_connection_that_always_breaks_is_given_up() {
    let server = S3Server::start();
    server.put("corpora", "talks/one.bin", &vec![7; 1_000_000]);
    let cutter = Cutter::start(server.socket(), Vec::new(), Some(100_000));
    let store = store(cutter.address(), "s3://corpora/talks", &[]).unwrap();
    let error = store.read("one.bin", 1 << 20).unwrap_err();
    says(
        &error,
        &[
            "s3://corpora/talks/one.bin",
            "no whole answer",
            "AWS_ENDPOINT_URL",
        ],
    );
    assert_eq!(cutter.ranges().len(), ATTEMPTS);
}

#[test]
fn a_store_that_is_busy_is_asked_again_but_not_for_ever() {
    let server = server();
    server.refuse(ATTEMPTS - 1);
    let before = server.asked();
    let set = open(&server.address());
    // The list of shards, once more for each refusal, and that of the clips.
    assert_eq!(server.asked() - before, ATTEMPTS + 1);
    server.refuse(ATTEMPTS);
    let error = set.read(0).unwrap_err();
    says(&error, &["shard-", "failed 4 times", "503, SlowDown"]);
    set.read(0).unwrap();
}

#[test]
fn refusals_say_what_is_wrong_and_nothing_secret() {
    let server = server();
    let endpoint = server.address();
    let refused = |address: &str, others: &[(&'static str, &str)], parts: &[&str]| {
        let store = store(&endpoint, address, others).unwrap();
        says(&ShardSet::of_store(Arc::new(store)).unwrap_err(), parts);
    };
    let before = server.asked();
    let wrong = "another/secret+of+the+tests";
    refused(
        ADDRESS,
        &[("AWS_SECRET_ACCESS_KEY", wrong)],
        &[
            "shards.json",
            "AWS_SECRET_ACCESS_KEY",
            "403, SignatureDoesNotMatch",
        ],
    );
    refused(
        ADDRESS,
        &[("AWS_ACCESS_KEY_ID", "AKIDNOBODY")],
        &["shards.json", "access refused", "403"],
    );
    assert_eq!(
        server.asked(),
        before,
        "what is wrongly signed gets nowhere"
    );
    refused(
        "s3://nowhere/talks/v1",
        &[],
        &[
            "s3://nowhere/talks/v1",
            "no bucket nowhere",
            &endpoint,
            "404, NoSuchBucket",
        ],
    );
    refused(
        "s3://corpora/talks/v2",
        &[],
        &["s3://corpora/talks/v2", "no shards", "404, NoSuchKey"],
    );
    assert_eq!(server.asked(), before + 2, "no refusal is asked for again");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let store = store(&endpoint, ADDRESS, &[]).unwrap();
    let error = ShardSet::of_store(Arc::new(store)).unwrap_err();
    says(
        &error,
        &["shards.json", &endpoint, "refused", "AWS_ENDPOINT_URL"],
    );
}

#[test]
fn a_shard_that_is_short_gone_or_replaced_is_named() {
    let server = server();
    let set = open(&server.address());
    let shard = &set.list().shards[1];
    let file = server.object("corpora", &format!("talks/v1/{}", shard.file));
    let whole = std::fs::read(&file).unwrap();
    let clip = (0..set.samples().len())
        .rfind(|clip| set.samples()[*clip].shard == 1)
        .unwrap();
    set.read(clip).unwrap();
    let checked = |faults: &[&[&str]]| {
        let report = check(&set, false, 1, &|_| {}).unwrap();
        assert_eq!(report.named.len(), faults.len(), "{report:?}");
        for (named, parts) in report.named.iter().zip(faults) {
            for part in *parts {
                assert!(named.contains(part), "'{part}' is not in: {named}");
            }
        }
    };
    // Cut within the last clip; a tar ends with 1024 bytes of nothing.
    std::fs::write(&file, &whole[..whole.len() - 3000]).unwrap();
    says(
        &set.read(clip).unwrap_err(),
        &[&shard.file, "it ends after"],
    );
    checked(&[
        &[&shard.file, "SHA-256"],
        &[&shard.file, "damaged entry"],
        &[&shard.file, "it ends after"],
    ]);
    std::fs::write(&file, b"").unwrap();
    says(
        &set.read(clip).unwrap_err(),
        &[&shard.file, "empty or too short"],
    );
    std::fs::remove_file(&file).unwrap();
    says(
        &set.read(clip).unwrap_err(),
        &[&shard.file, "no such object"],
    );
    std::fs::write(&file, &whole).unwrap();
    checked(&[]);

    // Replaced by one as long between two parts.
    let content = vec![1; 9 << 20];
    server.put("corpora", "talks/v1/big.bin", &content);
    let store = store(&server.address(), ADDRESS, &[]).unwrap();
    let mut stream = store.open("big.bin").unwrap();
    server.put("corpora", "talks/v1/big.bin", &vec![2; 9 << 20]);
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    says(&error, &["big.bin", "replaced while it was read"]);
}

#[test]
fn an_environment_that_opens_no_bucket_is_refused_without_showing_it() {
    let endpoint = "https://s3.example.org";
    let refused = |others: &[(&'static str, &str)], parts: &[&str]| {
        says(&store(endpoint, ADDRESS, others).unwrap_err(), parts);
    };
    refused(
        &[("AWS_ACCESS_KEY_ID", "")],
        &["AWS_ACCESS_KEY_ID isn't set"],
    );
    refused(
        &[("AWS_SECRET_ACCESS_KEY", "")],
        &["AWS_SECRET_ACCESS_KEY isn't set"],
    );
    refused(
        &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")],
        &["AWS_ACCESS_KEY_ID isn't set", "AWS_SKIP_SIGNATURE=true"],
    );
    refused(&[("AWS_SESSION_TOKEN", "a\nb")], &["AWS_SESSION_TOKEN"]);
    refused(&[("AWS_REGION", "eu central")], &["AWS_REGION"]);
    refused(
        &[
            ("AWS_ALLOW_HTTP", "perhaps"),
            ("AWS_ENDPOINT_URL", "http://a"),
        ],
        &["true or false"],
    );
    refused(
        &[("AWS_ALLOW_HTTP", "no"), ("AWS_ENDPOINT_URL", "http://a")],
        &["AWS_ENDPOINT_URL has no TLS", "AWS_ALLOW_HTTP=true"],
    );
    for other in [
        "minio:9000",
        "http://999.1.1.1",
        "ftp://a",
        "https://",
        "https://a?b",
        "",
        "file:///etc",
    ] {
        let others = [("AWS_ENDPOINT_URL", other)];
        if other.is_empty() {
            // Amazon's own.
            store(endpoint, ADDRESS, &others).unwrap();
        } else {
            refused(&others, &["AWS_ENDPOINT_URL"]);
        }
    }
    let named = "https://me:mine-alone@a";
    refused(
        &[("AWS_ENDPOINT_URL", named)],
        &["AWS_ENDPOINT_URL", "password"],
    );
    for address in [
        "s3://",
        "s3:///talks",
        "s3://a",
        "s3://bucket/a//b",
        "s3://bucket/../a",
        "s3://buck?t/a",
    ] {
        says(
            &store(endpoint, address, &[]).unwrap_err(),
            &["s3://bucket/folder"],
        );
    }
    let with_keys = format!("s3://key:{}@bucket/talks", super::SECRET);
    says(
        &store(endpoint, &with_keys, &[]).unwrap_err(),
        &["s3://bucket/folder", "without keys"],
    );
    // What is right shows nothing either.
    let shown = settings(&S3Server::variables(endpoint)).unwrap();
    assert_eq!(format!("{shown:?}"), "S3Settings { .. }");
    assert!(!format!("{:?}", store(endpoint, ADDRESS, &[]).unwrap()).contains("AKID"));
}
