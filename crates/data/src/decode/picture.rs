//! One picture file.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{
    DynamicImage, GrayImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage,
};

use super::error::{DecodeError, DecodeFault};

/// Longest side of a picture that is read, in pixels: more is no photograph.
pub(super) const LARGEST_SIDE: u32 = 32_768;
/// Most bytes that a decoded picture may take.
pub(super) const LARGEST_PICTURE: u64 = 1 << 30;
/// Most bytes of a picture's file.
const LARGEST_FILE: u64 = 1 << 29;

/// Reads a picture as RGB, turned upright as its EXIF data says. Transparency is dropped; of an
/// animation this is the first frame.
///
/// The format is recognised by content, whatever the name says.
///
/// # Errors
/// A file that is missing, unreadable, empty, of no known format, damaged or absurdly large.
pub fn read_picture(path: &Path) -> Result<RgbImage, DecodeError> {
    Ok(read(path)?.into_rgb8())
}

/// Reads a picture as RGB as its pixels are stored, whatever its EXIF data says: the boxes of
/// benchmarks are in these pixels, and PIL doesn't turn pictures either.
///
/// # Errors
/// As [`read_picture`].
pub fn read_stored_picture(path: &Path) -> Result<RgbImage, DecodeError> {
    let bytes = read_bytes(path)?;
    if is_cut_off(&bytes) {
        return Err(DecodeFault::Damaged("it ends too early".to_owned()).at(path));
    }
    let (picture, _) = decode_stored(&bytes).map_err(|fault| fault.at(path))?;
    Ok(picture.into_rgb8())
}

/// Reads a picture as a subject mask: 255 where it is brighter than middle grey, 0 elsewhere.
///
/// # Errors
/// As [`read_picture`].
pub fn read_mask(path: &Path) -> Result<GrayImage, DecodeError> {
    let mut mask = read(path)?.into_luma8();
    for value in mask.iter_mut() {
        *value = if *value > 127 { u8::MAX } else { 0 };
    }
    Ok(mask)
}

fn read(path: &Path) -> Result<DynamicImage, DecodeError> {
    let bytes = read_bytes(path)?;
    decode(&bytes).map_err(|fault| fault.at(path))
}

/// The file's content, if it is of a size that a picture may have.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, DecodeError> {
    let in_file = |error: std::io::Error| DecodeFault::from(error).at(path);
    let length = std::fs::metadata(path).map_err(in_file)?.len();
    if length == 0 {
        return Err(DecodeFault::Empty.at(path));
    }
    if length > LARGEST_FILE {
        let detail = format!("a file of {} MiB", length >> 20);
        return Err(DecodeFault::TooLarge(detail).at(path));
    }
    std::fs::read(path).map_err(in_file)
}

/// Decodes a picture of any format that is built in and turns it upright.
pub(super) fn decode(bytes: &[u8]) -> Result<DynamicImage, DecodeFault> {
    let (mut picture, orientation) = decode_stored(bytes)?;
    if let Some(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    Ok(picture)
}

/// The pixels as they are stored, and how they would stand upright.
fn decode_stored(bytes: &[u8]) -> Result<(DynamicImage, Option<Orientation>), DecodeFault> {
    let format = format_of(bytes)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(LARGEST_PICTURE);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(fault_of)?;
    let (width, height) = decoder.dimensions();
    // Not every decoder checks the limits before it allocates.
    if width > LARGEST_SIDE || height > LARGEST_SIDE || decoder.total_bytes() > LARGEST_PICTURE {
        return Err(DecodeFault::TooLarge(format!("{width} × {height} pixels")));
    }
    if width == 0 || height == 0 {
        return Err(DecodeFault::Damaged("it has no pixels".to_owned()));
    }
    // A picture with broken EXIF data is shown as it is stored.
    let orientation = decoder.orientation().ok();
    let picture = DynamicImage::from_decoder(decoder).map_err(fault_of)?;
    Ok((picture, orientation))
}

/// Whether the last scan of a JPEG has no end: the decoder shows such a picture with grey below, PIL
/// refuses it.
fn is_cut_off(bytes: &[u8]) -> bool {
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|pair| pair == marker);
    let (scan, end) = (last([0xff, 0xda]), last([0xff, 0xd9]));
    bytes.starts_with(&[0xff, 0xd8]) && end <= scan
}

/// The format that the first bytes tell.
pub(super) fn format_of(bytes: &[u8]) -> Result<ImageFormat, DecodeFault> {
    let format = image::guess_format(bytes)
        .map_err(|_| DecodeFault::UnknownFormat("not a picture of a known format".to_owned()))?;
    if format.reading_enabled() {
        Ok(format)
    } else {
        let name = format.extensions_str().first().copied().unwrap_or("such");
        Err(DecodeFault::UnknownFormat(format!(
            "{name} pictures are not read"
        )))
    }
}

/// The fault behind an error of the decoder.
pub(super) fn fault_of(error: ImageError) -> DecodeFault {
    match error {
        ImageError::Limits(error) => DecodeFault::TooLarge(error.to_string()),
        ImageError::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            DecodeFault::Damaged(error.to_string())
        }
        ImageError::IoError(_) => DecodeFault::Damaged("it ends too early".to_owned()),
        ImageError::Unsupported(error) => DecodeFault::UnknownFormat(error.to_string()),
        other => DecodeFault::Damaged(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use image::codecs::jpeg::JpegEncoder;

    use image::Rgb;

    use super::*;

    fn file(folder: &tempfile::TempDir, name: &str, content: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn png() -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8 * 80, y as u8 * 90, 7]))
            .write_to(&mut bytes, ImageFormat::Png)
            .unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_picture_is_recognised_by_content_and_not_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let picture = read_picture(&file(&folder, "a.jpg", &png())).unwrap();
        assert_eq!(picture.dimensions(), (3, 2));
        assert_eq!(picture.get_pixel(2, 1).0, [160, 90, 7]);
    }

    #[test]
    fn every_fault_names_the_file_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let png = png();
        let huge = {
            // A header that promises 100,000 × 100,000 pixels, with its checksum put right.
            let mut bytes = png.clone();
            bytes[16..20].copy_from_slice(&100_000u32.to_be_bytes());
            bytes[20..24].copy_from_slice(&100_000u32.to_be_bytes());
            let crc = crc32(&bytes[12..29]);
            bytes[29..33].copy_from_slice(&crc.to_be_bytes());
            bytes
        };
        for (name, content, expected) in [
            ("empty.png", &[][..], "zero bytes"),
            ("text.png", &b"not a picture at all"[..], "known format"),
            ("cut.png", &png[..png.len() / 2], "damaged or truncated"),
            ("huge.png", &huge, "too large"),
        ] {
            let path = file(&folder, name, content);
            let message = read_picture(&path).unwrap_err().to_string();
            assert!(
                message.starts_with(&path.display().to_string()),
                "{message}"
            );
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
        let missing = read_picture(&folder.path().join("missing.png")).unwrap_err();
        assert!(missing.to_string().contains("no such file"), "{missing}");
    }

    #[test]
    fn a_mask_is_black_or_white() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        GrayImage::from_fn(4, 1, |x, _| image::Luma([x as u8 * 85]))
            .save(&path)
            .unwrap();
        assert_eq!(read_mask(&path).unwrap().into_raw(), [0, 0, 255, 255]);
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let step = |crc: u32| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc))
        })
    }

    #[test]
    fn a_jpeg_that_is_cut_off_is_refused_where_numbers_depend_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        let picture = RgbImage::from_fn(40, 30, |x, y| Rgb([(x * y) as u8, 9, x as u8]));
        JpegEncoder::new(&mut bytes).encode_image(&picture).unwrap();
        let whole = file(&folder, "whole.jpg", &bytes);
        assert_eq!(read_stored_picture(&whole).unwrap().dimensions(), (40, 30));
        for length in [bytes.len() / 2, bytes.len() - 2] {
            let cut = file(&folder, "cut.jpg", &bytes[..length]);
            let message = read_stored_picture(&cut).unwrap_err().to_string();
            assert!(message.contains("it ends too early"), "{message}");
        }
    }
}
