//! Draws a contact sheet of a built corpus of faces: 40 scenes with the subject's box, and eight
//! augmented single faces; and says how long drawing takes.
//!
//! `cargo run --release -p emotionclip-data --example face_sheet -- CORPUS sheet.png [SIZE] [ZOOM]`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use emotionclip_data::faces::{FaceConfig, FaceCorpus, FaceSplit, FaceView};
use emotionclip_data::synthetic::Split;
use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};

use self::common::outlined;

mod common;

const COLUMNS: u64 = 8;
const ROWS: u64 = 5;
const GAP: u32 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name the corpus's folder")?;
    let path = arguments.next().ok_or("name the PNG file to write")?;
    let size: u32 = arguments.next().map_or(Ok(64), |text| text.parse())?;
    let zoom: u32 = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let data = Arc::new(FaceSplit::open(Path::new(&folder), Split::Train)?);
    let scenes = FaceConfig {
        size,
        seed: 1,
        ..FaceConfig::default()
    };
    let single = FaceConfig {
        view: FaceView::Single,
        frames: 1,
        ..scenes.clone()
    };
    let scenes = FaceCorpus::new(scenes, Arc::clone(&data))?;
    let single = FaceCorpus::new(single, data)?;

    let side = size * zoom;
    let step = side + GAP;
    let dimensions = (step * COLUMNS as u32, step * (ROWS as u32 + 1));
    let mut sheet = RgbImage::from_pixel(dimensions.0, dimensions.1, Rgb([250; 3]));
    for index in 0..COLUMNS * (ROWS + 1) {
        let tile = if index < COLUMNS * ROWS {
            let pair = scenes.sample(index);
            let frame = if index % 2 == 0 { 0 } else { 7 };
            outlined(&pair.clip.frames[frame], &pair.clip.masks[frame])
        } else {
            single.sample(index).clip.frames.swap_remove(0)
        };
        let tile = resize(&tile, side, side, FilterType::Nearest);
        let place = (
            (index % COLUMNS) as u32 * step,
            (index / COLUMNS) as u32 * step,
        );
        overlay(&mut sheet, &tile, place.0.into(), place.1.into());
    }
    sheet.save(path)?;

    let count = 400;
    let time = |what: &str, frames: u64, draw: &dyn Fn(u64)| {
        let start = Instant::now();
        (0..count).for_each(draw);
        let each = start.elapsed().as_secs_f64() * 1e3 / (count * frames) as f64;
        eprintln!("{each:.3} ms a frame of {size} x {size}: {what}");
    };
    time("scenes of 8 frames", 8, &|index| drop(scenes.sample(index)));
    time("one frame of a scene", 1, &|index| {
        drop(scenes.sample_peak(index));
    });
    time("single faces", 1, &|index| drop(single.sample(index)));
    Ok(())
}
