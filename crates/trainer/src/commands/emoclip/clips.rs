//! Clips from disk: their windows, and what is read ahead of who needs it.

use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use emotionclip::Clip;
use emotionclip::emoclip::{ClipVariation, ClipWindow};
use emotionclip::preprocess::{Crops, Preprocess, PreprocessedClip};
use emotionclip_data::dfer::ClipFrames;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::dataset::data_fault;
use crate::failure::OrBadInput as _;

/// Items made ahead; enough to hide a slow one, few enough that full-size batches fit in memory.
const AHEAD: usize = 2;

/// What a draw is for, so that none repeats another.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Window and variation of a sample in an epoch.
    Training { epoch: usize, sample: usize },
    /// Window of a sample in a test.
    Test { sample: usize },
    /// Order of an epoch's samples.
    Order { epoch: usize },
}

/// A generator that depends on the seed and the purpose alone, so that a resumed run repeats it.
pub fn draws(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (kind, epoch, sample) = match purpose {
        Purpose::Training { epoch, sample } => (0, epoch, sample),
        Purpose::Test { sample } => (1, 0, sample),
        Purpose::Order { epoch } => (2, epoch, 0),
    };
    random.set_stream((kind << 62) | ((epoch as u64) << 32) | sample as u64);
    random
}

/// The frames of a clip's window.
///
/// # Errors
/// Bad input for a clip that can't be read.
pub fn read(path: &Path, window: ClipWindow, random: &mut ChaCha8Rng) -> anyhow::Result<Clip> {
    let fault = |error| data_fault(&error, None);
    let frames = ClipFrames::open(path).map_err(fault)?;
    let indices = window
        .indices(frames.count(), |count| random.random_range(0..count))
        .or_bad_input(path.display())?;
    Ok(Clip::whole(frames.read(&indices).map_err(fault)?))
}

/// A clip's window as a model takes it in training: prepared, turned and mirrored.
///
/// # Errors
/// Bad input for a clip that can't be read or prepared.
pub fn varied(
    path: &Path,
    window: ClipWindow,
    preprocess: &Preprocess,
    random: &mut ChaCha8Rng,
) -> anyhow::Result<PreprocessedClip> {
    let clip = read(path, window, random)?;
    let mut prepared = preprocess
        .clip(&clip, &Crops::Centre)
        .or_bad_input(path.display())?;
    ClipVariation::draw(random).apply(&mut prepared.frames, prepared.size)?;
    Ok(prepared)
}

/// Makes an item for each index on a thread of its own and hands them on in order.
///
/// # Errors
/// The first error of `make` or `take`, which ends both.
pub fn ahead<T: Send>(
    indices: Range<usize>,
    mut make: impl FnMut(usize) -> anyhow::Result<T> + Send,
    mut take: impl FnMut(T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || {
            for index in indices {
                let item = make(index);
                let failed = item.is_err();
                // Nobody listens any more when `take` has failed.
                if sender.send(item).is_err() || failed {
                    break;
                }
            }
        });
        for item in receiver {
            take(item?)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_and_the_first_error_ends_all() {
        let mut taken = Vec::new();
        let make = |index| Ok(index * 10);
        ahead(2..6, make, |item| {
            taken.push(item);
            Ok(())
        })
        .unwrap();
        assert_eq!(taken, [20, 30, 40, 50]);

        let mut taken = Vec::new();
        let make = |index| {
            anyhow::ensure!(index < 3, "item {index}");
            Ok(index)
        };
        let error = ahead(0..1000, make, |item| {
            taken.push(item);
            Ok(())
        });
        assert_eq!(error.unwrap_err().to_string(), "item 3");
        assert_eq!(taken, [0, 1, 2]);

        // Whoever stops taking isn't waited for.
        let error = ahead(0..usize::MAX, Ok, |_| anyhow::bail!("enough"));
        assert_eq!(error.unwrap_err().to_string(), "enough");
    }

    #[test]
    fn draws_depend_on_seed_and_purpose_alone() {
        let first = |seed, purpose| draws(seed, purpose).random::<u64>();
        let training = |epoch, sample| Purpose::Training { epoch, sample };
        assert_eq!(first(1, training(0, 1)), first(1, training(0, 1)));
        let all = [
            first(1, training(0, 1)),
            first(1, training(1, 0)),
            first(2, training(0, 1)),
            first(1, Purpose::Test { sample: 1 }),
            first(1, Purpose::Order { epoch: 0 }),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{index}");
        }
    }
}
