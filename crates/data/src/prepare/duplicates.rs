//! Videos that models are later tested on must not be trained on.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use image::RgbImage;
use image::imageops::{FilterType, grayscale, resize};

use super::error::PrepareError;
use crate::decode::{Media, is_media_name};

/// `YouTube` ids of corpus videos that also stand in `BoLD`, as the release lists them
/// (`preprocessing/create_index.py`).
const BOLD: &str = include_str!("../../assets/bold_video_ids.txt");

/// Frames per second of an evaluation set's videos that are hashed: of a corpus one a second is, and at
/// another rate the two would fall half a second apart.
const EVALUATION_RATE: f64 = 8.0;

/// Grey levels that neighbours must differ by, on average, for a picture to have a hash.
const PLAIN: u32 = 2;

/// What a corpus is compared with.
#[derive(Clone, Debug, Default)]
pub struct EvaluationSets {
    ids: BTreeSet<String>,
    hashes: Vec<u64>,
}

impl EvaluationSets {
    /// The videos that the release leaves out.
    pub fn bold() -> Self {
        let mut sets = Self::default();
        sets.add_ids(BOLD);
        sets
    }

    /// Adds ids, one a line; `#` begins a comment.
    pub fn add_ids(&mut self, lines: &str) {
        let ids = lines
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim());
        self.ids
            .extend(ids.filter(|id| !id.is_empty()).map(str::to_owned));
    }

    /// Adds the pictures and videos of a folder and below. Gives what could
    /// not be read.
    ///
    /// # Errors
    /// If there is no such folder or nothing to compare with in it.
    pub fn add_media(&mut self, folder: &Path) -> Result<Vec<String>, PrepareError> {
        let nothing = |problem: &str| PrepareError::Nothing {
            path: folder.to_owned(),
            problem: problem.to_owned(),
        };
        if !folder.is_dir() {
            return Err(nothing(
                "no such folder; give one with an evaluation set's videos",
            ));
        }
        let walk = walkdir::WalkDir::new(folder).sort_by_file_name();
        let (mut seen, mut unreadable) = (0, Vec::new());
        for entry in walk.into_iter().flatten() {
            if !(entry.file_type().is_file() && is_media_name(entry.path())) {
                continue;
            }
            let frames =
                Media::open(entry.path()).and_then(|media| media.frames(Some(EVALUATION_RATE)));
            let read = frames.and_then(|frames| {
                for frame in frames {
                    self.hashes.extend(difference_hash(&frame?.picture));
                }
                Ok(())
            });
            match read {
                Ok(()) => seen += 1,
                Err(error) => unreadable.push(error.to_string()),
            }
        }
        self.hashes.sort_unstable();
        self.hashes.dedup();
        if seen == 0 {
            return Err(nothing("no picture or video in it that can be read"));
        }
        Ok(unreadable)
    }

    /// Adds a picture by its hash.
    pub fn add_hash(&mut self, hash: u64) {
        self.hashes.push(hash);
    }

    /// Whether a video stands in a set. As in the release, what follows an `&` is not of the id.
    pub fn holds_id(&self, source: &str) -> bool {
        let stem = source.rsplit_once('.').map_or(source, |(stem, _)| stem);
        let id = stem.split('&').next().unwrap_or_default();
        self.ids.contains(id) || self.ids.contains(stem)
    }

    /// Finds hashes that are near those of the sets.
    pub fn matcher(&self, max_distance: u32) -> HashMatcher {
        HashMatcher::new(&self.hashes, max_distance)
    }
}

/// Finds hashes near any of many. Two that differ in at most d bits are the same in at least one of
/// d + 1 parts, so only those that share a part are compared.
#[derive(Clone, Debug)]
pub struct HashMatcher {
    parts: Vec<HashMap<u64, Vec<u64>>>,
    max_distance: u32,
}

impl HashMatcher {
    fn new(hashes: &[u64], max_distance: u32) -> Self {
        let count = max_distance.saturating_add(1).min(u64::BITS);
        let mut parts = vec![HashMap::<u64, Vec<u64>>::new(); count as usize];
        for hash in hashes {
            for (part, value) in parts.iter_mut().zip(parts_of(*hash, count)) {
                part.entry(value).or_default().push(*hash);
            }
        }
        Self {
            parts,
            max_distance,
        }
    }

    /// Whether a frame with this hash looks like one of a set. 0 stands for a frame without a hash.
    pub fn matches(&self, hash: u64) -> bool {
        let is_near = |other: &u64| (other ^ hash).count_ones() <= self.max_distance;
        let values = parts_of(hash, self.parts.len() as u32);
        let mut shared = self
            .parts
            .iter()
            .zip(values)
            .filter_map(|(part, value)| part.get(&value));
        hash != 0 && shared.any(|others| others.iter().any(is_near))
    }
}

/// A hash cut into so many parts of nearly the same length.
fn parts_of(hash: u64, count: u32) -> impl Iterator<Item = u64> {
    (0..count).map(move |part| {
        let [from, to] = [part, part + 1].map(|at| at * u64::BITS / count.max(1));
        let mask = u64::MAX.checked_shr(u64::BITS - (to - from)).unwrap_or(0);
        (hash >> from) & mask
    })
}

/// A picture's difference hash: for each of 8 × 8 places whether it is brighter than its right
/// neighbour. Pictures that differ in size, quality or brightness have nearly the same; a plain one
/// (black, a title) has none, for it would look like all others.
pub fn difference_hash(picture: &RgbImage) -> Option<u64> {
    let small = resize(&grayscale(picture), 9, 8, FilterType::Triangle);
    let (mut hash, mut contrast) = (0_u64, 0);
    for y in 0..8 {
        for x in 0..8 {
            let [left, right] = [x, x + 1].map(|x| small.get_pixel(x, y).0[0]);
            hash = hash << 1 | u64::from(left > right);
            contrast += u32::from(left.abs_diff(right));
        }
    }
    (contrast >= 64 * PLAIN && hash != 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn picture(side: u32, seed: u32) -> RgbImage {
        RgbImage::from_fn(side, side, |x, y| {
            let [x, y] = [x, y].map(|at| f64::from(at) / f64::from(side));
            let wave = |frequency: f64| {
                ((x * frequency + y * (frequency + 2.0) + f64::from(seed)) * 3.0).sin()
            };
            let value = 127.0 + 60.0 * wave(3.0 + f64::from(seed)) + 50.0 * wave(1.0);
            Rgb([value as u8; 3])
        })
    }

    #[test]
    fn the_same_picture_is_recognised_at_another_size_and_brightness() {
        let hash = difference_hash(&picture(320, 1)).unwrap();
        let mut smaller = picture(97, 1);
        for value in smaller.iter_mut() {
            *value = (f64::from(*value) * 0.8) as u8 + 20;
        }
        let again = difference_hash(&smaller).unwrap();
        assert!((hash ^ again).count_ones() <= 4, "{hash:x} {again:x}");
        let other = difference_hash(&picture(320, 5)).unwrap();
        assert!((hash ^ other).count_ones() > 10, "{hash:x} {other:x}");
        let sets = EvaluationSets {
            hashes: vec![hash],
            ..EvaluationSets::default()
        };
        let near = sets.matcher(4);
        assert!(near.matches(again) && !near.matches(other));
    }

    #[test]
    fn a_plain_picture_looks_like_nothing() {
        assert_eq!(difference_hash(&RgbImage::new(64, 64)), None);
        assert!(!HashMatcher::new(&[0], 4).matches(0));
    }

    #[test]
    fn the_matcher_finds_what_comparing_all_finds() {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(9);
        let hashes: Vec<u64> = (0..300).map(|_| rng.random()).collect();
        for distance in [0, 1, 4, 7, 20, 64] {
            let matcher = HashMatcher::new(&hashes, distance);
            for number in 0..200_u32 {
                // From the hash itself to one that differs in a dozen bits.
                let mut hash = hashes[number as usize];
                for _ in 0..number % 13 {
                    hash ^= 1 << rng.random_range(0..64);
                }
                let near = hashes
                    .iter()
                    .any(|one| (one ^ hash).count_ones() <= distance);
                assert_eq!(matcher.matches(hash), near, "{distance} {hash:x}");
            }
        }
    }

    #[test]
    fn ids_are_compared_up_to_the_ampersand() {
        let mut sets = EvaluationSets::bold();
        assert!(sets.holds_id("7YpF6DntOYw&list=3.mp4"));
        assert!(!sets.holds_id("talk.mp4"));
        sets.add_ids("# mine\ntalk  # and why\n\n");
        assert!(sets.holds_id("talk.mp4"));
    }
}
