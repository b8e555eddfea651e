//! Writes miniatures of the five benchmarks, in exactly their layouts, from pictures or a clip.
//!
//! ```sh
//! cargo run -p emotionclip-data --example benchmark_miniature -- DIR clip.mp4
//! cargo run -p emotionclip-data --example benchmark_miniature -- --release-rows DIR picture.jpg
//! ```
//!
//! `--release-rows` fills the tables up to the rows that the release's loaders insist on.

use std::error::Error;
use std::path::Path;

use emotionclip_data::benchmarks::ProbeDataset;
use emotionclip_data::benchmarks::fixtures::{self, FixtureOptions};
use emotionclip_data::decode::Media;

/// Frames taken of a clip.
const FRAMES: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let (flags, names): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|one| one.starts_with("--"));
    let [folder, source] = names.as_slice() else {
        return Err("give a folder to write to, and a clip, a picture or a folder of them".into());
    };
    let frames = Media::open(source.as_ref())?.sample(FRAMES, None)?;
    let mut options = FixtureOptions::of(frames.into_iter().map(|frame| frame.picture).collect());
    options.samples = 2;
    options.release_rows = flags.iter().any(|flag| flag == "--release-rows");
    for dataset in ProbeDataset::ALL {
        let root = Path::new(folder).join(dataset.slug());
        fixtures::write(dataset, &root, &options)?;
        println!("{}", root.display());
    }
    Ok(())
}
