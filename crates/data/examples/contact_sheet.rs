//! Draws a contact sheet of the embedded corpus: every emotion over time for several figures, and
//! scenes of several figures.
//!
//! `cargo run --release -p emotionclip-data --example contact_sheet -- sheet.png [SIZE] [ZOOM]`

use std::error::Error;
use std::time::Instant;

use emotionclip::Emotion;
use emotionclip_data::synthetic::{FigureCount, Split, SyntheticConfig, SyntheticCorpus};
use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};

use self::common::outlined;

mod common;

const GAP: u32 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("name the PNG file to write")?;
    let size: u32 = arguments.next().map_or(Ok(64), |text| text.parse())?;
    let zoom: u32 = arguments.next().map_or(Ok(3), |text| text.parse())?;

    let config = SyntheticConfig {
        size,
        seed: 5,
        ..SyntheticConfig::default()
    };
    let single = SyntheticConfig {
        figures: FigureCount::Single,
        ..config.clone()
    };
    let multi = SyntheticConfig {
        figures: FigureCount::Multi,
        ..config
    };
    let mut rows = Vec::new();
    let single = SyntheticCorpus::new(single, Split::Train)?;
    for (row, emotion) in Emotion::ALL.into_iter().enumerate() {
        let mut tiles = Vec::new();
        for column in 0..4 {
            let index = (row * 4 + column) as u64;
            let scene = single.scene(index).with_emotions(&[emotion]);
            let clip = single.draw(&scene, index, 0..8);
            for frame in [3, 7] {
                tiles.push(clip.frames[frame].clone());
            }
        }
        rows.push(tiles);
    }
    let multi = SyntheticCorpus::new(multi, Split::Train)?;
    for row in 0..4 {
        let tiles = (0..8).map(|column| {
            let sample = multi.sample_peak(row * 8 + column);
            outlined(&sample.clip.frames[0], &sample.clip.masks[0])
        });
        rows.push(tiles.collect());
    }
    sheet(&rows, size * zoom).save(path)?;

    let start = Instant::now();
    let clips = 200;
    let mut frames = 0;
    for index in 0..clips {
        frames += multi.sample(index).clip.frames.len();
    }
    let each = start.elapsed().as_secs_f64() * 1e3 / frames as f64;
    eprintln!("{each:.3} ms a frame of {size} x {size} with two or three figures, clips of 8");
    let start = Instant::now();
    for index in 0..clips {
        multi.sample_peak(index);
    }
    let each = start.elapsed().as_secs_f64() * 1e3 / clips as f64;
    eprintln!("{each:.3} ms a single frame with its background");
    Ok(())
}

fn sheet(rows: &[Vec<RgbImage>], side: u32) -> RgbImage {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let step = side + GAP;
    let height = step * rows.len() as u32;
    let mut sheet = RgbImage::from_pixel(step * columns, height, Rgb([250, 250, 250]));
    for (row, tiles) in rows.iter().enumerate() {
        for (column, tile) in tiles.iter().enumerate() {
            let tile = resize(tile, side, side, FilterType::Nearest);
            let (x, y) = (column as u32 * step, row as u32 * step);
            overlay(&mut sheet, &tile, x.into(), y.into());
        }
    }
    sheet
}
