//! Miniatures of the two sources in their published layout, drawn and written by code, so that
//! whatever reads the sources can be tested without them.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use emotionclip::Emotion;
use image::{DynamicImage, GrayImage};

use super::{BuildOptions, FACE_SIDE};
use crate::synthetic::{FigureCount, Split, SyntheticConfig, SyntheticCorpus, utterances};

/// FER2013's folder of an emotion.
pub fn face_folder(emotion: Emotion) -> &'static str {
    match emotion {
        Emotion::Anger => "angry",
        Emotion::Disgust => "disgust",
        Emotion::Fear => "fear",
        Emotion::Joy => "happy",
        Emotion::Neutral => "neutral",
        Emotion::Sadness => "sad",
        Emotion::Surprise => "surprise",
    }
}

/// `[48, 48]` grey values of a drawn figure with an emotion; each number gives another figure.
pub fn draw_face(emotion: Emotion, number: u64) -> Vec<u8> {
    let config = SyntheticConfig {
        size: FACE_SIDE,
        frames: 1,
        figures: FigureCount::Single,
        ..SyntheticConfig::default()
    };
    let blank = || vec![0; (FACE_SIDE * FACE_SIDE) as usize];
    let Ok(corpus) = SyntheticCorpus::new(config, Split::Train) else {
        return blank();
    };
    let scene = corpus.scene(number).with_emotions(&[emotion]);
    let mut clip = corpus.draw(&scene, number, 0..1);
    clip.frames.pop().map_or_else(blank, |frame| {
        DynamicImage::ImageRgb8(frame).into_luma8().into_raw()
    })
}

/// Writes `[48, 48]` grey values as a picture.
///
/// # Errors
///
/// If the disk refuses or the values are too few.
pub fn write_face(path: &Path, pixels: &[u8]) -> io::Result<()> {
    let picture = GrayImage::from_raw(FACE_SIDE, FACE_SIDE, pixels.to_vec())
        .ok_or_else(|| io::Error::other("fewer than 48 × 48 values"))?;
    picture.save(path).map_err(io::Error::other)
}

/// Writes faces in FER2013's layout: of every emotion as many as `counts` says for training,
/// validation and test.
///
/// # Errors
///
/// If the disk refuses.
pub fn write_faces(root: &Path, counts: [usize; 3]) -> io::Result<()> {
    let mut number = 0;
    for emotion in Emotion::ALL {
        for (count, (part, prefix)) in counts.into_iter().zip([
            ("train", ""),
            ("test", "PublicTest_"),
            ("test", "PrivateTest_"),
        ]) {
            let folder = root.join(part).join(face_folder(emotion));
            std::fs::create_dir_all(&folder)?;
            for place in 0..count {
                let path = folder.join(format!("{prefix}{place}.png"));
                write_face(&path, &draw_face(emotion, number))?;
                number += 1;
            }
        }
    }
    Ok(())
}

/// Writes utterances in GoEmotions' layout: the embedded corpus's, and in every split one row of
/// two labels and one in quotes.
///
/// # Errors
///
/// If the disk refuses.
pub fn write_texts(root: &Path) -> io::Result<()> {
    std::fs::create_dir_all(root)?;
    let names = Emotion::ALL.map(Emotion::name);
    std::fs::write(root.join("labels.txt"), names.join("\n"))?;
    for (split, file) in Split::ALL
        .into_iter()
        .zip(["train.tsv", "dev.tsv", "test.tsv"])
    {
        let mut table = String::new();
        for emotion in Emotion::ALL {
            for (number, text) in utterances(split, emotion).iter().enumerate() {
                // Writing to a string can't fail.
                let _ = writeln!(table, "{text}\t{}\t{emotion}{number}", emotion.index());
            }
        }
        let _ = writeln!(table, "Half glad and half sad in {split:?}\t3,5\ttwo");
        let _ = writeln!(table, "\"They call it \"\"{split:?}\"\" here.\"\t4\tquoted");
        std::fs::write(root.join(file), table)?;
    }
    Ok(())
}

/// Writes both under a folder, as `fer2013` and `goemotions`, and tells how to build a corpus of them.
///
/// # Errors
///
/// If the disk refuses.
pub fn write_sources(root: &Path, counts: [usize; 3]) -> io::Result<BuildOptions> {
    let options = BuildOptions {
        faces: root.join("fer2013"),
        texts: root.join("goemotions"),
        sentiment: Vec::new(),
        seed: 5,
    };
    write_faces(&options.faces, counts)?;
    write_texts(&options.texts)?;
    Ok(options)
}
