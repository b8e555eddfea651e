//! Damaged and hostile checkpoints: each an error of one line that names the file, never a panic.

use std::path::PathBuf;

use emotionclip::checkpoint::{CheckpointError, StateDict, read, to_release_keys, verify};
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// One file of every container and pickle dialect.
const SOUND: [&str; 7] = [
    "release.pt",
    "release_legacy.pt",
    "release_protocol4.pt",
    "openai_jit.pt",
    "views.pt",
    "views_legacy.pt",
    "hugging_face.safetensors",
];

fn golden(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("parity/goldens/checkpoints");
    let path = folder.join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The error for a file, checked to be one line that begins with the file's name.
fn error(bytes: Vec<u8>, name: &str) -> CheckpointError {
    let Err(error) = read(bytes, name) else {
        panic!("{name} was read");
    };
    let message = error.to_string();
    assert!(
        message.starts_with(name) && !message.contains('\n'),
        "{message:?}"
    );
    error
}

#[test]
fn an_empty_file_is_called_empty() {
    assert!(matches!(
        error(Vec::new(), "empty.pt"),
        CheckpointError::Empty { .. }
    ));
}

#[test]
fn other_files_are_told_what_they_look_like() {
    for (content, hint) in [
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:00",
            "Git LFS",
        ),
        ("\n<!DOCTYPE html><html></html>", "web page"),
        ("plain text", "10 bytes"),
    ] {
        let error = error(content.into(), "model.pt");
        assert!(
            matches!(error, CheckpointError::UnknownFormat { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    for name in SOUND {
        let whole = golden(name);
        for step in 0..64 {
            error(whole[..whole.len() * step / 64].to_vec(), name);
        }
        error(whole[..whole.len() - 1].to_vec(), name);
    }
}

#[test]
fn foreign_classes_are_named() {
    for (name, class) in [
        ("os_system.pt", "posix.system"),
        ("os_system.pkl", "posix.system"),
        ("namespace.pt", "argparse.Namespace"),
        ("numpy_scalar.pt", "numpy._core.multiarray.scalar"),
    ] {
        let error = error(golden(name), name);
        assert!(
            matches!(&error, CheckpointError::ForeignClass { class: found, .. } if found == class),
            "{error}"
        );
    }
}

#[test]
fn archives_with_tricks_are_refused() {
    for (name, reason) in [
        ("traversal.pt", "unsafe path"),
        ("absolute.pt", "unsafe path"),
        ("duplicate_entry.pt", "two archive entries"),
        ("compressed.pt", "compressed"),
        ("bomb.pt", "compressed"),
        ("missing_storage.pt", "lacks"),
        ("short_storage.pt", "holds 8 bytes"),
        ("big_endian.pt", "big-endian"),
        ("repeated.pt", "contiguous()"),
    ] {
        let error = error(golden(name), name).to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_file_without_tensors_shows_what_it_has() {
    let error = error(golden("no_tensors.pt"), "no_tensors.pt").to_string();
    assert!(error.contains("`epoch`, `notes`"), "{error}");
}

#[test]
fn bytes_changed_at_random_never_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for name in SOUND {
        let whole = golden(name);
        for _ in 0..200 {
            let mut bytes = whole.clone();
            for _ in 0..rng.random_range(1..=8) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = rng.random();
            }
            use_if_readable(bytes, name);
        }
    }
}

/// The checksum of an archive entry would catch most changes before the pickle is looked at, so
/// here the checksum is put right again.
#[test]
fn pickles_changed_under_a_right_checksum_never_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    for name in [
        "release.pt",
        "release_protocol4.pt",
        "openai_jit.pt",
        "views.pt",
    ] {
        let whole = golden(name);
        let entry = Entry::find(&whole, "/data.pkl");
        let mut readable = 0;
        for _ in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..rng.random_range(1..=4) {
                let at = rng.random_range(entry.data.clone());
                bytes[at] = rng.random();
            }
            let checksum = crc32fast::hash(&bytes[entry.data.clone()]);
            bytes[entry.checksum..entry.checksum + 4].copy_from_slice(&checksum.to_le_bytes());
            readable += usize::from(use_if_readable(bytes, name));
        }
        assert!(
            readable > 0,
            "{name}: every change was caught early, so little was tested"
        );
    }
}

/// Does with whatever was read what an import would; says whether anything was.
fn use_if_readable(bytes: Vec<u8>, name: &str) -> bool {
    let describe = |state: &StateDict| {
        state
            .iter()
            .map(|(key, tensor)| (key.clone(), tensor.shape().to_vec()))
            .collect::<Vec<_>>()
    };
    match read(bytes, name) {
        Ok(state) => {
            if let Ok(imported) = to_release_keys(state) {
                let expected = describe(&imported.tensors);
                // Changed weights may have become NaN, which is for `verify` to say.
                let _ = verify(&imported.tensors, &expected, |_| false);
            }
            true
        }
        Err(error) => {
            let message = error.to_string();
            assert!(
                message.starts_with(name) && !message.contains('\n'),
                "{message:?}"
            );
            false
        }
    }
}

/// Where a stored zip entry's content and its checksum in the central directory are.
struct Entry {
    data: std::ops::Range<usize>,
    checksum: usize,
}

impl Entry {
    fn find(archive: &[u8], suffix: &str) -> Self {
        let u16_at = |at: usize| usize::from(u16::from_le_bytes([archive[at], archive[at + 1]]));
        let u32_at = |at: usize| u16_at(at) + (u16_at(at + 2) << 16);
        let is_entry = |at: &usize| {
            let name = at + 46..at + 46 + u16_at(at + 28);
            archive[*at..].starts_with(b"PK\x01\x02")
                && archive
                    .get(name)
                    .is_some_and(|name| name.ends_with(suffix.as_bytes()))
        };
        let central = (0..archive.len() - 46).find(is_entry).unwrap();
        let local = u32_at(central + 42);
        let start = local + 30 + u16_at(local + 26) + u16_at(local + 28);
        Self {
            data: start..start + u32_at(central + 20),
            checksum: central + 16,
        }
    }
}
