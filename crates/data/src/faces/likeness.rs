//! Which pictures show the same thing: a difference hash finds candidates, correlation confirms.
//!
//! The 64-bit difference hash is a dozen lines and only half of the test here (its candidates are
//! confirmed on pixels), so a crate for it would bring more than it saves.

use super::{FACE_PIXELS, FACE_SIDE};

/// Columns and rows whose brightness the hash compares.
const HASH_COLUMNS: usize = 9;
const HASH_ROWS: usize = 8;

/// Side of the thumbnails that are correlated.
const THUMBNAIL_SIDE: usize = 16;
const THUMBNAIL: usize = THUMBNAIL_SIDE * THUMBNAIL_SIDE;

/// Most bits in which the hashes of a pair differ.
const HASH_DISTANCE: u32 = 10;

/// Least correlation of a pair's thumbnails.
const CORRELATION: f32 = 0.98;

/// Least standard deviation of a picture that shows something, in grey levels.
const BLANK: f32 = 2.0;

/// What of a picture is compared.
#[derive(Clone, Debug)]
struct Likeness {
    hash: u64,
    mirrored_hash: u64,
    /// Zero mean, unit length.
    thumbnail: [f32; THUMBNAIL],
    /// Whether the picture is a single tone.
    blank: bool,
}

/// What of many pictures is compared; the hashes lie side by side, as all pairs are gone through.
pub(super) struct Likenesses {
    all: Vec<Likeness>,
    /// Hash and mirrored hash.
    hashes: Vec<[u64; 2]>,
}

impl Likenesses {
    /// Of pictures of `[48, 48]` grey values.
    pub(super) fn of<'a>(pictures: impl Iterator<Item = &'a [u8]>) -> Self {
        let all: Vec<Likeness> = pictures.map(Likeness::of).collect();
        let hashes = all.iter().map(|one| [one.hash, one.mirrored_hash]);
        Self {
            hashes: hashes.collect(),
            all,
        }
    }

    /// Whether a picture is a single tone.
    pub(super) fn is_blank(&self, index: usize) -> bool {
        self.all[index].blank
    }

    /// The pictures before this one which show the same.
    pub(super) fn resembling_before(&self, index: usize) -> Vec<usize> {
        let own = &self.all[index];
        let candidate = |(_, [hash, mirrored]): &(usize, &[u64; 2])| {
            near(own.hash, *hash) || near(own.hash, *mirrored)
        };
        let before = self.hashes[..index].iter().enumerate().filter(candidate);
        before
            .map(|(earlier, _)| earlier)
            .filter(|earlier| own.resembles(&self.all[*earlier]))
            .collect()
    }
}

fn near(hash: u64, other: u64) -> bool {
    (hash ^ other).count_ones() <= HASH_DISTANCE
}

impl Likeness {
    /// Of `[48, 48]` grey values.
    fn of(pixels: &[u8]) -> Self {
        let small = reduced::<HASH_COLUMNS, HASH_ROWS>(pixels);
        let mut hash = 0;
        let mut mirrored_hash = 0;
        for row in small.chunks_exact(HASH_COLUMNS) {
            for column in 1..HASH_COLUMNS {
                hash = hash << 1 | u64::from(row[column] > row[column - 1]);
                let (from, to) = (HASH_COLUMNS - column, HASH_COLUMNS - column - 1);
                mirrored_hash = mirrored_hash << 1 | u64::from(row[to] > row[from]);
            }
        }
        let mut thumbnail = [0.0; THUMBNAIL];
        thumbnail.copy_from_slice(&reduced::<THUMBNAIL_SIDE, THUMBNAIL_SIDE>(pixels));
        let mean = thumbnail.iter().sum::<f32>() / THUMBNAIL as f32;
        thumbnail.iter_mut().for_each(|value| *value -= mean);
        let length = thumbnail.iter().map(|value| value * value).sum::<f32>().sqrt();
        let blank = length < BLANK * (THUMBNAIL as f32).sqrt();
        if !blank {
            thumbnail.iter_mut().for_each(|value| *value /= length);
        }
        Self {
            hash,
            mirrored_hash,
            thumbnail,
            blank,
        }
    }

    /// Whether two pictures show the same, one perhaps brighter, with more contrast, a little
    /// moved or mirrored.
    fn resembles(&self, other: &Self) -> bool {
        let near = |hash: u64| near(self.hash, hash);
        if self.blank || other.blank {
            return false;
        }
        (near(other.hash) && self.correlation(other) >= CORRELATION)
            || (near(other.mirrored_hash) && self.mirrored_correlation(other) >= CORRELATION)
    }

    fn correlation(&self, other: &Self) -> f32 {
        let pairs = self.thumbnail.iter().zip(&other.thumbnail);
        pairs.map(|(a, b)| a * b).sum()
    }

    fn mirrored_correlation(&self, other: &Self) -> f32 {
        let rows = self.thumbnail.chunks_exact(THUMBNAIL_SIDE);
        let others = other.thumbnail.chunks_exact(THUMBNAIL_SIDE);
        rows.zip(others)
            .flat_map(|(row, other)| row.iter().zip(other.iter().rev()))
            .map(|(a, b)| a * b)
            .sum()
    }
}

/// Means over `C` × `R` equal rectangles, by rows.
fn reduced<const C: usize, const R: usize>(pixels: &[u8]) -> Vec<f32> {
    debug_assert_eq!(pixels.len(), FACE_PIXELS);
    let side = FACE_SIDE as usize;
    let columns = shares(C);
    let rows = shares(R);
    let mut across = vec![0.0; side * C];
    for (line, sums) in pixels.chunks_exact(side).zip(across.chunks_exact_mut(C)) {
        for (sum, column) in sums.iter_mut().zip(&columns) {
            *sum = column
                .iter()
                .map(|(pixel, share)| f32::from(line[*pixel]) * share)
                .sum();
        }
    }
    let mut means = Vec::with_capacity(C * R);
    for row in &rows {
        for column in 0..C {
            let mean = row
                .iter()
                .map(|(line, share)| across[line * C + column] * share)
                .sum();
            means.push(mean);
        }
    }
    means
}

/// The pixels under each of `parts` equal parts of a side, with the share each has in it.
fn shares(parts: usize) -> Vec<Vec<(usize, f32)>> {
    let width = FACE_SIDE as f32 / parts as f32;
    let part = |index: usize| {
        let (from, to) = (index as f32 * width, (index + 1) as f32 * width);
        let covered = |pixel: usize| {
            let (left, right) = (pixel as f32, pixel as f32 + 1.0);
            (right.min(to) - left.max(from)).max(0.0) / width
        };
        (0..FACE_SIDE as usize)
            .map(|pixel| (pixel, covered(pixel)))
            .filter(|(_, share)| *share > 0.0)
            .collect()
    };
    (0..parts).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::super::miniature::draw_face;
    use super::*;
    use emotionclip::Emotion;

    fn changed(pixels: &[u8], change: impl Fn(usize, usize) -> f32) -> Vec<u8> {
        let side = FACE_SIDE as usize;
        (0..pixels.len())
            .map(|index| change(index % side, index / side).round() as u8)
            .collect()
    }

    #[test]
    fn a_retouched_a_moved_and_a_mirrored_copy_resemble_the_picture() {
        for number in 0..20 {
            let face = draw_face(Emotion::ALL[number % 7], number as u64);
            let side = FACE_SIDE as usize;
            let at = |x: usize, y: usize| f32::from(face[y * side + x]);
            let own = Likeness::of(&face);
            let copies = [
                ("darker", changed(&face, |x, y| 0.7 * at(x, y) + 20.0)),
                ("mirrored", changed(&face, |x, y| at(side - 1 - x, y))),
                (
                    "grainy",
                    changed(&face, |x, y| {
                        (at(x, y) + ((x * 7 + y * 5) % 9) as f32 - 4.0).clamp(0.0, 255.0)
                    }),
                ),
            ];
            for (how, copy) in copies {
                let copy = Likeness::of(&copy);
                assert!(own.resembles(&copy), "{how} copy of {number}");
                assert!(copy.resembles(&own), "{how} copy of {number}, the other way");
            }
        }
    }

    #[test]
    fn different_faces_do_not_resemble_each_other() {
        let faces: Vec<_> = (0..40)
            .map(|number| Likeness::of(&draw_face(Emotion::ALL[number % 7], number as u64)))
            .collect();
        for (index, face) in faces.iter().enumerate() {
            for other in &faces[..index] {
                assert!(!face.resembles(other));
            }
        }
    }

    #[test]
    fn a_blank_picture_is_known_and_resembles_nothing() {
        let blank = Likeness::of(&[7; FACE_PIXELS]);
        assert!(blank.blank);
        assert!(!blank.resembles(&blank.clone()));
        assert!(!Likeness::of(&draw_face(Emotion::Joy, 1)).blank);
    }
}
