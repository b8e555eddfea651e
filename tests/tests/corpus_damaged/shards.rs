//! Damaged shards, and names in them that lead elsewhere.

use std::path::{Path, PathBuf};

use emotionclip_data::prepare::{EvaluationSets, IndexFilters, write_index};
use emotionclip_data::shards::{ShardSet, ShardSettings, check, read_sample, write_shards};
use integration_tests::corpus::files_below;
use rand::RngExt;
use sha2::{Digest, Sha256};

use super::place::{EACH, Place, bytes, imported, seeded};

/// Shards of drawn videos, as files, with the first clip's bytes.
pub fn shards(place: &Place) -> (PathBuf, String, Vec<u8>) {
    let work = imported(place, 4);
    write_index(&work, &IndexFilters::default(), &EvaluationSets::default()).unwrap();
    write_shards(&work, &ShardSettings::default(), 1, &|_| {}).unwrap();
    let folder = place.path("work/shards");
    let set = ShardSet::open(&folder).unwrap();
    let sample = &set.samples()[0];
    let shard = std::fs::read(folder.join("shard-000000.tar")).unwrap();
    let clip = shard[sample.offset as usize..][..sample.bytes as usize].to_vec();
    (folder, sample.key.clone(), clip)
}

/// Faults that a check of the shards names.
fn faults(folder: &Path) -> usize {
    match ShardSet::open(folder) {
        Ok(set) => check(&set, true, 1, &|_| {}).unwrap().faults,
        Err(_) => 1,
    }
}

#[test]
fn empty_and_cut_tars() {
    let place = Place::new();
    let (folder, key, clip) = shards(&place);
    assert_eq!(faults(&folder), 0, "whole before");
    let shard = folder.join("shard-000000.tar");
    let whole = std::fs::read(&shard).unwrap();
    let mut rng = seeded(6);
    place.guarded_again(|| {
        for number in 0..EACH {
            let content = match number % 5 {
                0 => Vec::new(),
                1 => vec![0; 1024],
                2 => vec![0; rng.random_range(1..5000)],
                3 => whole[..rng.random_range(0..whole.len())].to_vec(),
                _ => bytes(&mut rng, 2048),
            };
            std::fs::write(&shard, &content).unwrap();
            assert!(faults(&folder) > 0, "{number}");
            let set = ShardSet::open(&folder).unwrap();
            let lost = (0..set.samples().len())
                .filter(|clip| set.read(*clip).is_err())
                .count();
            assert!(lost > 0, "{number}");
            let part = &clip[..rng.random_range(0..clip.len() - 1024)];
            assert!(read_sample("shard", &key, part).is_err(), "{number}");
        }
    });
}

/// A tar entry with any name and type, as no writer of tar files makes it.
pub fn raw_entry(name: &str, kind: u8, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut entry = header.to_vec();
    entry.extend(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

#[test]
fn names_in_a_tar_that_lead_elsewhere() {
    let place = Place::new();
    let (folder, key, clip) = shards(&place);
    let shard = folder.join("shard-000000.tar");
    let whole = std::fs::read(&shard).unwrap();
    let target = place.path("elsewhere").display().to_string();
    let mut rng = seeded(7);
    place.guarded_again(|| {
        for number in 0..EACH {
            let up = "../".repeat(rng.random_range(1..9));
            let (name, kind, link) = match number % 8 {
                0 => (format!("{up}escaped"), b'0', String::new()),
                1 => (
                    format!("/{}", target.trim_start_matches('/')),
                    b'0',
                    String::new(),
                ),
                2 => (format!("a/{up}{up}escaped"), b'0', String::new()),
                3 => ("..\\..\\escaped".to_owned(), b'0', String::new()),
                4 => (format!("{key}.json"), b'2', target.clone()),
                5 => (format!("{key}.json"), b'1', format!("{up}escaped")),
                6 => ("..".to_owned(), b'5', String::new()),
                _ => (format!("{key}.json"), b'3', String::new()),
            };
            // Where a clip's record should stand, and at the end of a shard.
            let mut entry = raw_entry(&name, kind, &link, b"harm");
            let fault = read_sample("shard", &key, &[entry.as_slice(), &clip].concat());
            let fault = fault.map(|_| ()).unwrap_err().to_string();
            assert!(
                fault.contains("name")
                    || fault.contains("plain file")
                    || fault.contains("stands where"),
                "{fault}"
            );
            let mut longer = whole[..whole.len() - 1024].to_vec();
            longer.append(&mut entry);
            longer.extend([0; 1024]);
            std::fs::write(&shard, longer).unwrap();
            assert!(faults(&folder) > 0, "{number}");
        }
    });
    assert!(!Path::new(&target).exists());
}

#[test]
fn shards_are_the_same_whoever_makes_them() {
    let digest = |workers: usize| {
        let place = Place::new();
        let work = imported(&place, 4);
        write_index(&work, &IndexFilters::default(), &EvaluationSets::default()).unwrap();
        let settings = ShardSettings {
            target_bytes: 60_000,
            seed: 3,
        };
        let list = write_shards(&work, &settings, workers, &|_| {}).unwrap();
        assert!(list.shards.len() > 2, "{list:?}");
        let mut hash = Sha256::new();
        for (name, content) in files_below(&place.path("work/shards")) {
            hash.update(name);
            hash.update(content);
        }
        hash.finalize().to_vec()
    };
    assert_eq!(digest(1), digest(3));
}
