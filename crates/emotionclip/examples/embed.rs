//! Embeds a picture and sentences, and says how alike they are.
//!
//!     cargo run --release -p emotionclip --example embed [MODEL]
//!
//! `MODEL` is a model file of this project. Without one the weights are fresh and the numbers mean
//! nothing yet.

use std::error::Error;

use burn::tensor::Device;
use emotionclip::pretrained::default_preprocess;
use emotionclip::{Clip, EmotionClipConfig, Pretrained};
use image::{GrayImage, Luma, Rgb, RgbImage};

/// A face that smiles, drawn so that the example needs no file.
fn picture() -> RgbImage {
    const SIDE: u32 = 128;
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let (x, y) = (f64::from(x) / 64.0 - 1.0, f64::from(y) / 64.0 - 1.0);
        let eye = |side: f64| (x - side).hypot(y + 0.25) < 0.1;
        let mouth = y > 0.2 && (x.hypot(y - 0.1) - 0.45).abs() < 0.06;
        let face = x.hypot(y) < 0.85;
        Rgb(match (face, mouth || eye(-0.3) || eye(0.3)) {
            (true, true) => [60, 30, 20],
            (true, false) => [240, 200, 80],
            (false, _) => [90, 140, 200],
        })
    })
}

/// The subject: everything that is not background.
fn subject(picture: &RgbImage) -> GrayImage {
    GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
        let is_background = picture.get_pixel(x, y).0 == [90, 140, 200];
        Luma([if is_background { 0 } else { 255 }])
    })
}

fn load() -> Result<Pretrained, Box<dyn Error>> {
    let device = Device::flex();
    let Some(path) = std::env::args().nth(1) else {
        let config = EmotionClipConfig::nano();
        return Ok(Pretrained::new(
            config.init(&device)?,
            default_preprocess(&config),
        )?);
    };
    let bytes = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    Ok(Pretrained::from_bytes(bytes, &path, &device)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let pretrained = load()?;
    let frames = pretrained.model.config().temporal.frames;

    // A picture is a clip that stands still.
    let picture = picture();
    let mask = subject(&picture);
    let clip = Clip {
        frames: vec![picture; frames],
        masks: vec![mask; frames],
    };
    let video = pretrained.embed_clips(&[clip])?;

    let sentences = [
        "I am so happy for you!",
        "I miss him every day.",
        "Get out of my house!",
    ];
    let texts = pretrained.embed_texts(&sentences);
    let [_, width] = texts.dims();
    println!("embeddings of {width} numbers; the picture's cosine with");
    let cosines = video.matmul(texts.transpose()).try_into_vec_as::<f32>()?;
    for (sentence, cosine) in sentences.iter().zip(cosines) {
        println!("{cosine:>7.3}  {sentence}");
    }
    Ok(())
}
