//! Animated GIF pictures, which need no FFmpeg.

use std::io::Cursor;
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, Limits, RgbImage};

use super::Frame;
use super::error::DecodeError;
use super::picture::{LARGEST_PICTURE, LARGEST_SIDE, fault_of};
use super::video::check_rate;

/// Seconds that a frame without a delay of its own is shown, as browsers do.
const DEFAULT_DELAY: f64 = 0.1;

/// The frames of a GIF with the times at which they appear; at `rate` frames per second each is
/// repeated or passed over as its delay says.
pub(super) fn frames(
    path: &Path,
    bytes: Vec<u8>,
    rate: Option<f64>,
) -> Result<impl Iterator<Item = Result<Frame, DecodeError>> + use<>, DecodeError> {
    if let Some(rate) = rate {
        check_rate(rate).map_err(|fault| fault.at(path))?;
    }
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
///
/// A picture may be shown for eleven minutes: it is repeated only as it is asked for.
fn resampled<E>(
    mut shown: impl Iterator<Item = Result<(f64, f64, RgbImage), E>>,
    rate: Option<f64>,
) -> impl Iterator<Item = Result<Frame, E>> {
    let mut ticks = 0_u64;
    let mut current: Option<(f64, RgbImage)> = None;
    std::iter::from_fn(move || {
        loop {
            if let (Some(rate), Some((end, picture))) = (rate, &current) {
                let time = ticks as f64 / rate;
                if time < *end {
                    ticks += 1;
                    let picture = picture.clone();
                    return Some(Ok(Frame { time, picture }));
                }
            }
            match shown.next()? {
                Ok((_, end, picture)) if rate.is_some() => current = Some((end, picture)),
                Ok((time, _, picture)) => return Some(Ok(Frame { time, picture })),
                Err(error) => return Some(Err(error)),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::DecodeFault;

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

    #[test]
    fn without_a_rate_every_picture_comes_at_its_start() {
        let shown =
            [(0.0, 0.5), (0.5, 0.6)].map(|(start, end)| Ok((start, end, RgbImage::new(1, 1))));
        let frames = resampled::<DecodeError>(shown.into_iter(), None);
        let times: Vec<f64> = frames.map(|frame| frame.unwrap().time).collect();
        assert_eq!(times, [0.0, 0.5]);
    }

    #[test]
    fn a_picture_of_an_endless_delay_is_repeated_as_it_is_asked_for() {
        // 24 MB, shown for longer than memory has room for.
        let picture = RgbImage::new(4000, 2000);
        let shown = std::iter::once(Ok::<_, DecodeError>((0.0, 1e15, picture)));
        let mut frames = resampled(shown, Some(1000.0));
        assert_eq!(frames.next().unwrap().unwrap().time, 0.0);
        assert_eq!(frames.next().unwrap().unwrap().time, 0.001);
    }

    #[test]
    fn a_fault_between_pictures_is_passed_on() {
        let fault = DecodeFault::Damaged("cut".to_owned()).at(Path::new("a.gif"));
        let picture = RgbImage::new(1, 1);
        let shown = [
            Ok((0.0, 0.5, picture.clone())),
            Err(fault),
            Ok((0.5, 1.0, picture)),
        ];
        let frames: Vec<bool> = resampled(shown.into_iter(), Some(4.0))
            .map(|frame| frame.is_ok())
            .collect();
        assert_eq!(frames, [true, true, false, true, true]);
    }

    #[test]
    fn a_rate_that_no_picture_has_is_refused() {
        let refused = frames(Path::new("a.gif"), Vec::new(), Some(1e12));
        let error = refused.map(|_| ()).unwrap_err();
        assert!(matches!(error.fault, DecodeFault::Rate(_)), "{error}");
    }
}
