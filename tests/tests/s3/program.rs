//! The program on shards in a bucket.

use integration_tests::cli::Sandbox;
use integration_tests::corpus::files_below;
use integration_tests::s3::{KEY, S3Server, SECRET};

use super::{ADDRESS, server, shards};

fn sandbox(folder: &tempfile::TempDir, server: &S3Server) -> Sandbox {
    let variables = S3Server::variables(&server.address());
    variables
        .iter()
        .fold(Sandbox::new(folder.path()), |sandbox, (name, value)| {
            sandbox.with_variable(name, value)
        })
}

#[test]
fn check_and_stats_say_what_they_say_of_the_folder() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let sandbox = sandbox(&folder, &server);
    let local = shards().display().to_string();
    for args in [&["data", "check", "--decode"][..], &["data", "stats"]] {
        let of = |place: &str| sandbox.json(&[args, &[place]].concat());
        assert_eq!(of(ADDRESS), of(&local));
    }
    sandbox.refuses(
        &["data", "check", "s3://corpora/nothing"],
        &["s3://corpora/nothing", "no shards", "NoSuchKey"],
    );
    sandbox
        .with_variable("AWS_SECRET_ACCESS_KEY", "another")
        .refuses(
            &["data", "stats", ADDRESS],
            &["SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"],
        );
}

#[test]
fn pretrain_learns_from_a_bucket_and_keeps_no_key() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let sandbox = sandbox(&folder, &server);
    let steps = ["--steps", "2", "--batch-size", "2"];
    let run = |place: &str, run: &str| {
        let args = [&["pretrain", "--corpus", place, "--run", run][..], &steps].concat();
        sandbox.json(&args)["final_loss"].as_f64().unwrap()
    };
    let learned = run(ADDRESS, "there");
    assert_eq!(
        learned,
        run(&shards().display().to_string(), "here"),
        "same clips, same loss"
    );
    let config = std::fs::read_to_string(sandbox.path("there/config.toml")).unwrap();
    assert!(
        config.contains(&format!("root = \"{ADDRESS}\"")),
        "{config}"
    );
    for (name, content) in files_below(&sandbox.path("there")) {
        for kept in [KEY, SECRET] {
            let found = content
                .windows(kept.len())
                .any(|part| part == kept.as_bytes());
            assert!(!found, "{name}");
        }
    }
}

#[test]
fn a_talkative_log_shows_no_secret() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let token = "session-token-nobody-may-see";
    let sandbox = sandbox(&folder, &server)
        .with_variable("RUST_LOG", "trace")
        .with_variable("AWS_SESSION_TOKEN", token);
    server.refuse(1);
    let finished = sandbox.run(&["data", "check", ADDRESS]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let said = finished.stderr + &finished.stdout;
    // Something is logged: that the first request was made again.
    assert!(said.contains("retry 1 of"), "{said}");
    assert!(!said.contains(SECRET) && !said.contains(token), "{said}");
}
