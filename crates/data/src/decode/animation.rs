//! Animated GIF pictures, which need no FFmpeg.

use std::io::Cursor;
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, Limits, RgbImage};

use super::Frame;
use super::error::DecodeError;
use super::picture::{LARGEST_PICTURE, LARGEST_SIDE, fault_of};

/// Seconds that a frame without a delay of its own is shown, as browsers do.
const DEFAULT_DELAY: f64 = 0.1;

/// The frames of a GIF with the times at which they appear; at `rate` frames per second each is
/// repeated or passed over as its delay says.
pub(super) fn frames(
    path: &Path,
    bytes: Vec<u8>,
    rate: Option<f64>,
) -> Result<impl Iterator<Item = Result<Frame, DecodeError>> + use<>, DecodeError> {
    let in_file = {
        let path = path.to_owned();
        move |error| fault_of(error).at(&path)
    };
    let mut decoder = GifDecoder::new(Cursor::new(bytes)).map_err(&in_file)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(LARGEST_PICTURE);
    decoder.set_limits(limits).map_err(&in_file)?;
    let mut end = 0.0;
    let shown = decoder.into_frames().map(move |frame| {
        let frame = frame.map_err(&in_file)?;
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let delay = f64::from(numerator) / f64::from(denominator.max(1)) / 1000.0;
        let start = end;
        end += if delay > 0.0 { delay } else { DEFAULT_DELAY };
        let picture = DynamicImage::ImageRgba8(frame.into_buffer()).into_rgb8();
        Ok((start, end, picture))
    });
    Ok(resampled(shown, rate))
}

/// Turns `(start, end, picture)` into frames at equal distances.
fn resampled<E>(
    shown: impl Iterator<Item = Result<(f64, f64, RgbImage), E>>,
    rate: Option<f64>,
) -> impl Iterator<Item = Result<Frame, E>> {
    let mut ticks = 0_u32;
    shown.flat_map(move |item| {
        let (start, end, picture) = match item {
            Ok(item) => item,
            Err(error) => return vec![Err(error)],
        };
        let Some(rate) = rate else {
            return vec![Ok(Frame {
                time: start,
                picture,
            })];
        };
        let mut frames = Vec::new();
        while f64::from(ticks) / rate < end {
            let time = f64::from(ticks) / rate;
            ticks += 1;
            let picture = picture.clone();
            frames.push(Ok(Frame { time, picture }));
        }
        frames
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_repeats_and_passes_over_frames() {
        let shown = [(0.0, 0.5), (0.5, 0.6), (0.6, 1.0)].map(|(start, end)| {
            let picture = RgbImage::from_pixel(1, 1, image::Rgb([(start * 10.0) as u8; 3]));
            Ok::<_, DecodeError>((start, end, picture))
        });
        let frames: Vec<Frame> = resampled(shown.into_iter(), Some(4.0))
            .map(Result::unwrap)
            .collect();
        let seen: Vec<(f64, u8)> = frames
            .iter()
            .map(|frame| (frame.time, frame.picture.as_raw()[0]))
            .collect();
        assert_eq!(seen, [(0.0, 0), (0.25, 0), (0.5, 5), (0.75, 6)]);
    }
}
