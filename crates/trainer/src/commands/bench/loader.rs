//! Reading frames: decoding JPEG, resizing, cropping, as many workers as asked for.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use emotionclip::Clip;
use emotionclip::preprocess::{Crops, Preprocess};
use emotionclip_data::decode::{Media, read_stored_picture};
use serde::Serialize;

use super::measure::Timing;
use crate::failure::{OrBadInput, bad_input};

/// The loader's time.
#[derive(Serialize)]
pub(super) struct LoaderTimes {
    #[serde(flatten)]
    timing: Timing,
    frames: usize,
    workers: usize,
    frames_s: f64,
    /// Of which decoding alone.
    decode_ms: f64,
}

/// Times the frames of a folder, normalising included.
///
/// # Errors
/// Bad input for a folder without pictures or a picture that can't be read.
pub(super) fn times(
    data: Option<&Path>,
    workers: usize,
    repeats: usize,
) -> anyhow::Result<LoaderTimes> {
    let folder = data.ok_or_else(|| bad_input("--data: give a folder of JPEG frames"))?;
    let media = Media::open(folder).map_err(bad_input)?;
    let files = media.files();
    let preprocess = Preprocess::release();
    let prepare = |path: &PathBuf| -> anyhow::Result<f32> {
        let picture = read_stored_picture(path).map_err(bad_input)?;
        let clip = Clip::whole(vec![picture]);
        let prepared = preprocess.clip(&clip, &Crops::Centre);
        let prepared = prepared.or_bad_input(path.display())?;
        Ok(prepared.frames.first().copied().unwrap_or_default())
    };
    let decode = |path: &PathBuf| -> anyhow::Result<f32> {
        let picture = read_stored_picture(path).map_err(bad_input)?;
        Ok(f32::from(
            picture.as_raw().first().copied().unwrap_or_default(),
        ))
    };
    let mut milliseconds = Vec::new();
    for _ in 0..=repeats {
        milliseconds.push(on_workers(files, workers, prepare)?);
    }
    let decode_ms = on_workers(files, workers, decode)?;
    let timing = Timing::of(&milliseconds);
    Ok(LoaderTimes {
        timing,
        frames: files.len(),
        workers,
        frames_s: 1e3 * files.len() as f64 / timing.median_ms,
        decode_ms,
    })
}

/// Milliseconds that `work` takes on all files.
fn on_workers(
    files: &[PathBuf],
    workers: usize,
    work: impl Fn(&PathBuf) -> anyhow::Result<f32> + Sync,
) -> anyhow::Result<f64> {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let sums = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|_| {
                scope.spawn(|| {
                    let mut sum = 0.0;
                    while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                        sum += work(file)?;
                    }
                    anyhow::Ok(sum)
                })
            })
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<f32>>| {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a thread failed"))?
        };
        threads
            .into_iter()
            .map(join)
            .collect::<anyhow::Result<Vec<f32>>>()
    })?;
    // What was read is used, so that reading it can't be left out.
    std::hint::black_box(sums);
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_read_whatever_the_number_of_workers() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..5_u8 {
            let picture = image::RgbImage::from_pixel(40, 30, image::Rgb([index; 3]));
            picture
                .save(folder.path().join(format!("{index}.png")))
                .unwrap();
        }
        for workers in [1, 3] {
            let times = times(Some(folder.path()), workers, 1).unwrap();
            assert_eq!((times.frames, times.workers), (5, workers));
            assert!(times.frames_s > 0.0);
        }
        assert!(times(None, 1, 1).is_err());
    }
}
