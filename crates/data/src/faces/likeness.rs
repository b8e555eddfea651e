//! Which pictures show the same photograph.
//!
//! FER2013 was collected by searching the web, so many photographs are in it more than once: saved
//! again, with another watermark, cut out a little differently, mirrored. Three steps from cheap to
//! dear find them: a 64-bit difference hash over all pairs, the correlation of thumbnails, and the
//! correlation of fine detail at the best of some shifts, which alone decides. The thresholds were
//! chosen on FER2013, where the last measure has two peaks: pairs of different people lie around
//! 0.36 and rarely above 0.62, pairs of one photograph around 0.86. Of 40 pairs looked at between
//! 0.64 and 0.66, 36 were of one photograph.
//!
//! The hash is a dozen lines and finds candidates only, so a crate for it would bring more than it
//! saves.

use super::{FACE_PIXELS, FACE_SIDE};

/// Side of a picture in pixels.
const SIDE: usize = FACE_SIDE as usize;

/// Columns and rows whose brightness the hash compares.
const HASH_COLUMNS: usize = 9;
const HASH_ROWS: usize = 8;

/// Most bits in which the hashes of a candidate pair differ. Two more would add 1 % of pairs and
/// 15 % of candidates.
const HASH_DISTANCE: u32 = 16;

/// Side of the thumbnails that are correlated.
const THUMBNAIL_SIDE: usize = 16;
const THUMBNAIL: usize = THUMBNAIL_SIDE * THUMBNAIL_SIDE;

/// Least correlation of a candidate pair's thumbnails.
const THUMBNAIL_CORRELATION: f32 = 0.8;

/// Half side of the square whose mean is taken off each pixel to leave the detail.
const DETAIL_REACH: usize = 4;

/// Least correlation of the detail of one photograph.
const DETAIL_CORRELATION: f32 = 0.64;

/// Furthest shift in pixels at which detail is compared.
const SHIFT: isize = 3;

/// Least standard deviation of a picture that shows something, in grey levels.
const BLANK: f32 = 2.0;

/// What of a picture is compared.
#[derive(Clone, Debug)]
struct Likeness {
    hash: u64,
    mirrored_hash: u64,
    /// Zero mean, unit length.
    thumbnail: [f32; THUMBNAIL],
    detail: Detail,
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

    /// The pictures before this one which show the same photograph.
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
        let squares = thumbnail.iter().map(|value| value * value);
        let length = squares.sum::<f32>().sqrt();
        let blank = length < BLANK * (THUMBNAIL as f32).sqrt();
        if !blank {
            thumbnail.iter_mut().for_each(|value| *value /= length);
        }
        Self {
            hash,
            mirrored_hash,
            thumbnail,
            detail: Detail::of(pixels),
            blank,
        }
    }

    /// Whether two pictures show the same photograph, one perhaps brighter, with more contrast, a
    /// little moved or mirrored.
    fn resembles(&self, other: &Self) -> bool {
        if self.blank || other.blank {
            return false;
        }
        let rows = || self.thumbnail.chunks_exact(THUMBNAIL_SIDE);
        let others = || other.thumbnail.chunks_exact(THUMBNAIL_SIDE);
        let as_it_is = || -> f32 {
            let pairs = self.thumbnail.iter().zip(&other.thumbnail);
            pairs.map(|(a, b)| a * b).sum()
        };
        let mirrored = || -> f32 {
            rows()
                .zip(others())
                .flat_map(|(row, other)| row.iter().zip(other.iter().rev()))
                .map(|(a, b)| a * b)
                .sum()
        };
        (near(self.hash, other.hash)
            && as_it_is() >= THUMBNAIL_CORRELATION
            && self.detail.agrees_with(&other.detail))
            || (near(self.hash, other.mirrored_hash)
                && mirrored() >= THUMBNAIL_CORRELATION
                && self.detail.agrees_with(&other.detail.mirrored()))
    }
}

/// A picture without its coarse light and shade: these are alike in all portraits.
#[derive(Clone, Debug)]
struct Detail {
    /// `[48, 48]`, each pixel less the mean of its surroundings. A byte each keeps all of FER2013
    /// in 81 MB.
    values: Vec<i8>,
    /// Square root of the sum of squares.
    length: f32,
}

impl Detail {
    fn of(pixels: &[u8]) -> Self {
        // Sums over all rows above and all columns to the left.
        let mut sums = vec![0_u32; (SIDE + 1) * (SIDE + 1)];
        for row in 0..SIDE {
            for column in 0..SIDE {
                let at = row * (SIDE + 1) + column;
                sums[at + SIDE + 2] =
                    u32::from(pixels[row * SIDE + column]) + sums[at + 1] + sums[at + SIDE + 1]
                        - sums[at];
            }
        }
        let span = |middle: usize| {
            let start = middle.saturating_sub(DETAIL_REACH);
            (start, (middle + DETAIL_REACH + 1).min(SIDE))
        };
        let mut values = Vec::with_capacity(FACE_PIXELS);
        for row in 0..SIDE {
            let (top, bottom) = span(row);
            for column in 0..SIDE {
                let (left, right) = span(column);
                let at = |row: usize, column: usize| sums[row * (SIDE + 1) + column];
                let sum = at(bottom, right) + at(top, left) - at(top, right) - at(bottom, left);
                let mean = sum as f32 / ((bottom - top) * (right - left)) as f32;
                // `as` saturates; a pixel is rarely that far from its surroundings.
                values.push((f32::from(pixels[row * SIDE + column]) - mean).round() as i8);
            }
        }
        let squares = values
            .iter()
            .map(|value| i64::from(*value) * i64::from(*value));
        let length = (squares.sum::<i64>() as f32).sqrt();
        Self { values, length }
    }

    fn mirrored(&self) -> Self {
        let mut values = self.values.clone();
        values.chunks_exact_mut(SIDE).for_each(<[i8]>::reverse);
        Self {
            values,
            length: self.length,
        }
    }

    /// Whether the correlation reaches the threshold at some shift.
    fn agrees_with(&self, other: &Self) -> bool {
        let lengths = (self.length * other.length).max(f32::MIN_POSITIVE);
        let shifts = || -SHIFT..=SHIFT;
        shifts().any(|down| {
            shifts().any(|across| {
                let shared = (SIDE - down.unsigned_abs()) * (SIDE - across.unsigned_abs());
                let whole = FACE_PIXELS as f32 / shared as f32;
                let sum = self.shifted_product(other, across, down);
                sum as f32 / lengths * whole >= DETAIL_CORRELATION
            })
        })
    }

    /// Sum of products of this picture's pixels and the other's, moved right and down.
    fn shifted_product(&self, other: &Self, across: isize, down: isize) -> i32 {
        let span = |shift: isize| {
            let own = shift.max(0) as usize;
            let other = (-shift).max(0) as usize;
            (own, other, SIDE - own - other)
        };
        let (own_column, other_column, columns) = span(across);
        let (own_row, other_row, rows) = span(down);
        let mut sum = 0;
        for row in 0..rows {
            let own = (own_row + row) * SIDE + own_column;
            let theirs = (other_row + row) * SIDE + other_column;
            let own = &self.values[own..own + columns];
            let theirs = &other.values[theirs..theirs + columns];
            let products = own.iter().zip(theirs);
            sum += products
                .map(|(a, b)| i32::from(*a) * i32::from(*b))
                .sum::<i32>();
        }
        sum
    }
}

/// Means over `C` × `R` equal rectangles, by rows.
fn reduced<const C: usize, const R: usize>(pixels: &[u8]) -> Vec<f32> {
    debug_assert_eq!(pixels.len(), FACE_PIXELS);
    let columns = shares(C);
    let rows = shares(R);
    let mut across = vec![0.0; SIDE * C];
    for (line, sums) in pixels.chunks_exact(SIDE).zip(across.chunks_exact_mut(C)) {
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
    let width = SIDE as f32 / parts as f32;
    let part = |index: usize| {
        let (from, to) = (index as f32 * width, (index + 1) as f32 * width);
        let covered = |pixel: usize| {
            let (left, right) = (pixel as f32, pixel as f32 + 1.0);
            (right.min(to) - left.max(from)).max(0.0) / width
        };
        (0..SIDE)
            .map(|pixel| (pixel, covered(pixel)))
            .filter(|(_, share)| *share > 0.0)
            .collect()
    };
    (0..parts).map(part).collect()
}

#[cfg(test)]
mod tests {
    use emotionclip::Emotion;

    use super::super::miniature::draw_face;
    use super::*;

    /// A copy in which the value at a place is some function of the place.
    fn changed(change: impl Fn(usize, usize) -> f32) -> Vec<u8> {
        (0..FACE_PIXELS)
            .map(|index| change(index % SIDE, index / SIDE).round() as u8)
            .collect()
    }

    #[test]
    fn a_retouched_a_moved_and_a_mirrored_copy_resemble_the_picture() {
        for number in 0..20 {
            let face = draw_face(Emotion::ALL[number % 7], number as u64);
            let at = |x: usize, y: usize| f32::from(face[y * SIDE + x]);
            let own = Likeness::of(&face);
            let copies = [
                ("darker", changed(|x, y| 0.7 * at(x, y) + 20.0)),
                ("mirrored", changed(|x, y| at(SIDE - 1 - x, y))),
                (
                    "moved",
                    changed(|x, y| at(x.saturating_sub(1), (y + 1).min(SIDE - 1))),
                ),
                (
                    "grainy",
                    changed(|x, y| {
                        (at(x, y) + ((x * 7 + y * 5) % 9) as f32 - 4.0).clamp(0.0, 255.0)
                    }),
                ),
            ];
            for (how, copy) in copies {
                let copy = Likeness::of(&copy);
                assert!(own.resembles(&copy), "{how} copy of {number}");
                assert!(
                    copy.resembles(&own),
                    "{how} copy of {number}, the other way"
                );
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
    fn a_shift_is_undone_where_the_pictures_overlap() {
        let face = draw_face(Emotion::Fear, 3);
        let detail = Detail::of(&face);
        let moved = |across: isize, down: isize| {
            let mut copy = detail.clone();
            for row in 0..SIDE {
                for column in 0..SIDE {
                    let from = (row as isize - down, column as isize - across);
                    let inside = |place: isize| (0..SIDE as isize).contains(&place);
                    copy.values[row * SIDE + column] = if inside(from.0) && inside(from.1) {
                        detail.values[from.0 as usize * SIDE + from.1 as usize]
                    } else {
                        0
                    };
                }
            }
            copy
        };
        for (across, down) in [(0, 0), (3, -2), (-1, 3), (2, 0)] {
            let copy = moved(across, down);
            // Every pixel of the copy meets its own again: the sum is that of its squares.
            let squares: i32 = copy
                .values
                .iter()
                .map(|value| i32::from(*value) * i32::from(*value))
                .sum();
            assert_eq!(copy.shifted_product(&detail, across, down), squares);
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
