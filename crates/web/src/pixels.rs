//! From a browser's pixels to the core crate's pictures.

use image::RgbImage;

use crate::SessionError;

/// A picture from RGBA bytes in row order. Alpha is dropped: a camera has none, and the page draws
/// pictures on white before it sends them.
///
/// # Errors
/// A number of bytes that is not `4 · width · height`, or a picture without pixels.
pub fn rgb_from_rgba(rgba: &[u8], width: u32, height: u32) -> Result<RgbImage, SessionError> {
    let expected = 4 * u128::from(width) * u128::from(height);
    if expected == 0 || rgba.len() as u128 != expected {
        return Err(SessionError::Picture(format!(
            "{} bytes for {width} × {height} pixels, {expected} expected",
            rgba.len()
        )));
    }
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    for pixel in rgba.as_chunks::<4>().0 {
        rgb.extend_from_slice(&pixel[..3]);
    }
    RgbImage::from_raw(width, height, rgb)
        .ok_or_else(|| SessionError::Picture("its size overflows".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_dropped_and_sizes_are_checked() {
        let rgba = [1, 2, 3, 255, 4, 5, 6, 0];
        let picture = rgb_from_rgba(&rgba, 2, 1).unwrap();
        assert_eq!(picture.into_raw(), [1, 2, 3, 4, 5, 6]);
        assert!(rgb_from_rgba(&rgba, 1, 1).is_err());
        assert!(rgb_from_rgba(&[], 0, 4).is_err());
        assert!(rgb_from_rgba(&rgba, u32::MAX, u32::MAX).is_err());
    }
}
