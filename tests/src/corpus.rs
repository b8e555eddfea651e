//! Real clips with captions, for the tests of corpus preparation.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// The clip that all others are cut from.
pub const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/clips/sample.webm");
/// A person reading, see the folder's README.
const SPEECH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/speech.ogg");
const CAPTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");

/// Runs ffmpeg.
///
/// # Panics
///
/// If it is missing or fails.
pub fn ffmpeg(args: &[&str]) {
    assert!(run_ffmpeg(args), "ffmpeg {args:?}");
}

fn run_ffmpeg(args: &[&str]) -> bool {
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(args)
        .stdin(Stdio::null())
        .status()
        .expect("ffmpeg is installed");
    status.success()
}

/// Arguments of ffmpeg for the clip with speech under it, from a second on for so many.
fn spoken<'a>(from: &'a str, seconds: &'a str) -> [&'a str; 12] {
    let sound = ["-ss", from, "-t", seconds, "-i", SPEECH];
    let [a, b, c, d, e, f] = sound;
    ["-i", SAMPLE, a, b, c, d, e, f, "-map", "0:v", "-map", "1:a"]
}

/// A folder as people have them, with speech: a WebM, an MP4, one turned by its metadata, one of varying frame rate,
/// one that is sound alone and one that nobody captioned.
///
/// # Panics
///
/// If ffmpeg or the disk refuses.
pub fn write_videos(folder: &Path) {
    let inside = |name: &str| folder.join(name).display().to_string();
    std::fs::create_dir_all(folder.join("more")).expect("a writable folder");
    let sample = inside("sample.webm");
    let copied = ["-c:v", "copy", "-c:a", "copy", &sample];
    ffmpeg(&[&spoken("0", "8.59")[..], &copied].concat());
    let small = "scale=240:-2";
    let mpeg4 = ["-c:v", "mpeg4", "-q:v", "4"];
    let make = |sound: [&str; 2], filter: &str, extra: &[&str], name: &str| {
        let mut args = spoken(sound[0], sound[1]).to_vec();
        args.extend(["-vf", filter]);
        args.extend(mpeg4);
        args.extend(extra);
        let path = inside(name);
        args.push(&path);
        ffmpeg(&args);
    };
    let mirrored = format!("hflip,{small}");
    make(["8.59", "9.04"], &mirrored, &[], "mirrored.mp4");
    let lying = format!("{small},transpose=clock");
    make(["17.63", "7.1"], &lying, &[], "upright.mp4");
    // Pictures lie on their side, the metadata says how to turn them.
    let (upright, turned) = (inside("upright.mp4"), inside("more/turned.mp4"));
    let copy = ["-i", &upright, "-c", "copy"];
    // Releases from 6 on know the first spelling, those before the second.
    let known = run_ffmpeg(&[&["-display_rotation", "90"], &copy[..], &[&turned]].concat())
        || run_ffmpeg(&[&copy[..], &["-metadata:s:v:0", "rotate=90", &turned]].concat());
    assert!(known, "ffmpeg sets a rotation");
    std::fs::remove_file(folder.join("upright.mp4")).expect("a writable folder");
    // Every fifth frame is missing.
    let slow = format!("{small},setpts=1.7*PTS,select='mod(n,5)'");
    make(["8.59", "16.14"], &slow, &["-fps_mode", "vfr"], "slow.mkv");
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "sine=440:duration=3",
        &inside("tone.mp4"),
    ]);
    let negative = format!("negate,{small}");
    make(["0", "3"], &negative, &["-t", "3"], "uncaptioned.mp4");
    for (name, place) in [
        ("sample.srt", "sample.srt"),
        ("mirrored.vtt", "mirrored.en.vtt"),
        ("turned.json3", "more/turned.json3"),
        ("slow.json", "slow.json"),
        ("sample.srt", "tone.srt"),
    ] {
        std::fs::copy(Path::new(CAPTIONS).join(name), folder.join(place))
            .expect("a writable folder");
    }
}

/// Two small videos with speech and captions.
///
/// # Panics
///
/// If ffmpeg or the disk refuses.
pub fn write_small_videos(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a writable folder");
    let (small, mirrored) = ("scale=160:-2", "hflip,scale=160:-2");
    for (sound, filter, video, captions, place) in [
        (
            ["0", "8.59"],
            small,
            "sample.mp4",
            "sample.srt",
            "sample.srt",
        ),
        (
            ["8.59", "9.04"],
            mirrored,
            "mirrored.mp4",
            "mirrored.vtt",
            "mirrored.en.vtt",
        ),
    ] {
        let path = folder.join(video).display().to_string();
        let encoded = ["-vf", filter, "-c:v", "mpeg4", "-q:v", "4", &path];
        ffmpeg(&[&spoken(sound[0], sound[1])[..], &encoded].concat());
        std::fs::copy(Path::new(CAPTIONS).join(captions), folder.join(place))
            .expect("a writable folder");
    }
}

/// Every file below a folder with its content, by its path.
///
/// # Panics
///
/// If one can't be read.
pub fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(at) = waiting.pop() {
        for entry in std::fs::read_dir(&at).expect("a folder") {
            let path = entry.expect("a folder").path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path
                    .strip_prefix(folder)
                    .expect("below")
                    .display()
                    .to_string();
                files.insert(name, std::fs::read(&path).expect("a readable file"));
            }
        }
    }
    files
}

/// The authors' release's files of some drawn videos: folders of frames, boxes and sentences, their index
/// and logits. Each video has three sentences, of which the index holds the first two.
///
/// # Panics
///
/// If the disk refuses.
pub fn write_release(folder: &Path, videos: usize) {
    let mut index = Vec::new();
    let mut logits: Vec<f32> = Vec::new();
    for video in 0..videos {
        let id = format!("video{video}");
        let frames = folder.join("videos").join(&id).join("frames");
        std::fs::create_dir_all(&frames).expect("a writable folder");
        let mut boxes = Vec::new();
        for number in 1..=72_u32 {
            let shade = |x: u32, y: u32| ((x * 3 + y * 5 + number * 2) % 200) as u8;
            let picture = image::RgbImage::from_fn(64, 48, |x, y| {
                image::Rgb([shade(x, y), shade(y, x), (9 * video) as u8])
            });
            let name = format!("{number:08}.jpg");
            picture.save(frames.join(&name)).expect("a writable folder");
            // The canvas of a 64 × 48 picture is 640 × 480; every second frame shows somebody.
            let people = if number % 2 == 0 {
                serde_json::json!([[100, 120, 300, 400, 0.9]])
            } else {
                serde_json::json!([])
            };
            boxes.push(serde_json::json!({ name: people }));
        }
        let mut sentences = Vec::new();
        for (number, start) in [0.5_f64, 3.5, 6.5].into_iter().enumerate() {
            let (end, text) = (start + 2.25, format!("sentence {number} of {id}"));
            sentences.push(
                serde_json::json!({ "text": text, "start": start, "end": end, "duration": 2.25 }),
            );
            if number < 2 {
                index.push(serde_json::json!({
                    "video_id": id, "duration": 2.25, "text": text,
                    "start_frame": (8.0 * start).ceil() as usize, "end_frame": (8.0 * end).floor() as usize,
                    "neutral_score": 0.01, "has_person": 0.5,
                }));
                logits.extend((0..7).map(|class| {
                    if class == (video + number) % 7 {
                        3.0
                    } else {
                        0.25
                    }
                }));
            }
        }
        let write = |name: &str, value: &serde_json::Value| {
            let path = folder.join("videos").join(&id).join(name);
            std::fs::write(path, value.to_string()).expect("a writable folder");
        };
        write("human_boxes.json", &boxes.into());
        write("transcript_cleaned.json", &sentences.into());
    }
    let rows = index.len();
    let index = serde_json::Value::from(index).to_string();
    std::fs::write(folder.join("index.json"), index).expect("a writable folder");
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 7), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.bytes());
    npy.extend(logits.iter().flat_map(|logit| logit.to_le_bytes()));
    std::fs::write(folder.join("logits.npy"), npy).expect("a writable folder");
}
