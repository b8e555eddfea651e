//! Pictures whose headers promise more than memory holds.

use std::io::Write as _;

use emotionclip_data::prepare::import_release;
use emotionclip_data::shards::read_sample;
use integration_tests::corpus::write_release;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::place::{EACH, LIMITS, Place, all_broken, release_files, seeded};
use super::shards::{raw_entry, shards};

/// A JPEG whose header promises a square of this side and that holds nothing.
pub fn bomb_jpeg(side: u16) -> Vec<u8> {
    let mut small = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8)
        .write_to(&mut small, image::ImageFormat::Jpeg)
        .unwrap();
    let mut jpeg = small.into_inner();
    let frame = jpeg
        .windows(2)
        .position(|marker| marker == [0xff, 0xc0])
        .unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
    jpeg
}

/// As [`bomb_jpeg`], as a PNG.
pub fn bomb_png(side: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(side.to_be_bytes());
    header.extend(side.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d".to_vec();
    let sum = crc32fast::hash(&header);
    png.append(&mut header);
    png.extend(sum.to_be_bytes());
    png.write_all(b"\x00\x00\x00\x00IEND\xaeB`\x82").unwrap();
    png
}

/// A picture of either kind.
fn bomb(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let side = rng.random_range(20_000..=65_000_u16);
    if rng.random_bool(0.7) {
        bomb_jpeg(side)
    } else {
        bomb_png(u32::from(side))
    }
}

#[test]
fn frames_that_promise_to_be_huge() {
    let place = Place::new();
    let mut rng = seeded(9);
    write_release(&place.path("release"), EACH);
    // Among the frames of an imported video.
    for number in 0..EACH {
        let frame = rng.random_range(1..=72);
        place.write(
            &format!("release/videos/video{number}/frames/{frame:08}.jpg"),
            &bomb(&mut rng),
        );
    }
    let report = place
        .guarded(|work| import_release(work, &release_files(&place), &LIMITS, &|_| {}).unwrap());
    all_broken(&report, EACH);
}

#[test]
fn pictures_in_a_shard_that_promise_to_be_huge() {
    let mut rng = seeded(10);
    // The record says what size they should have, or promises the same.
    let place = Place::new();
    let (_, key, clip) = shards(&place);
    place.guarded_again(|| {
        for number in 0..EACH {
            let mut record: serde_json::Value = {
                let sample = read_sample("shard", &key, &clip).unwrap();
                serde_json::to_value(&sample.record).unwrap()
            };
            record["times"] = serde_json::json!([0.0]);
            record["boxes"] = serde_json::json!([[]]);
            if number % 2 == 0 {
                record["size"] = serde_json::json!([60_000, 60_000]);
            }
            let mut part = raw_entry(
                &format!("{key}.json"),
                b'0',
                "",
                record.to_string().as_bytes(),
            );
            part.extend(raw_entry(
                &format!("{key}.000.jpg"),
                b'0',
                "",
                &bomb(&mut rng),
            ));
            let sample = read_sample("shard", &key, &part);
            let fault = sample
                .map_err(|error| error.to_string())
                .and_then(|sample| sample.frame(0));
            assert!(fault.is_err(), "{number}");
        }
    });
}
