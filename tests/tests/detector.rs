//! The face detector against ONNX Runtime (`detector/generate.py`), and `--subject detect`.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use burn::tensor::{Device, Tensor, TensorData};
use emotionclip::detector::{Bounds, Detector, Face};
use image::{DynamicImage, RgbImage, imageops};
use integration_tests::cli::Sandbox;
use integration_tests::golden::{Distance, Golden, values};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

const ASTRONAUT: &str = "parity/goldens/preprocess.png";

/// A file below the tests' folder.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn picture(path: &Path) -> RgbImage {
    image::open(path).unwrap().to_rgb8()
}

fn detector() -> Detector {
    Detector::bundled(&Device::flex()).unwrap()
}

#[derive(Deserialize)]
struct Listing {
    pictures: Vec<Expected>,
}

/// What ONNX Runtime finds in a picture.
#[derive(Deserialize)]
struct Expected {
    name: String,
    /// Below the tests' folder, for a picture that is committed.
    file: Option<String>,
    size: [u32; 2],
    /// Of the RGB bytes.
    sha256: String,
    faces: Vec<ExpectedFace>,
}

#[derive(Deserialize)]
struct ExpectedFace {
    #[serde(rename = "box")]
    edges: [f32; 4],
    key_points: [[f32; 2]; 6],
    score: f32,
}

impl ExpectedFace {
    fn bounds(&self) -> Bounds {
        let [x1, y1, x2, y2] = self.edges;
        Bounds { x1, y1, x2, y2 }
    }
}

fn listing(path: &Path) -> Vec<Expected> {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str::<Listing>(&text).unwrap().pictures
}

/// Smallest IoU that counts as the same box: half a percent off on each side. Same weights and
/// pixels give 0.9999, and pixels of another JPEG decoder 0.999.
const IOU: f32 = 0.99;

/// A score's slope against its logit is at most 1/4, and another JPEG decoder moves a logit of 2 by
/// half a percent.
const SCORE_ERROR: f32 = 0.0025;

/// Key points lie within 0.01 of the face's side: what such an IoU allows a box's edges.
const POINT_ERROR: f32 = 0.01;

/// Compares faces; gives the smallest IoU.
fn compare(expected: &Expected, found: &[Face]) -> f32 {
    let name = &expected.name;
    assert_eq!(found.len(), expected.faces.len(), "{name}: {found:?}");
    let mut worst = 1.0_f32;
    for wanted in &expected.faces {
        let bounds = wanted.bounds();
        let face = found
            .iter()
            .max_by(|a, b| a.bounds.iou(&bounds).total_cmp(&b.bounds.iou(&bounds)))
            .unwrap();
        let iou = face.bounds.iou(&bounds);
        worst = worst.min(iou);
        assert!(iou >= IOU, "{name}: IoU {iou} of {face:?}");
        let error = (face.score - wanted.score).abs();
        assert!(
            error <= SCORE_ERROR,
            "{name}: score {} for {}",
            face.score,
            wanted.score
        );
        let [width, height] = bounds.size();
        for (point, wanted) in face.key_points.points().iter().zip(&wanted.key_points) {
            let off = (point[0] - wanted[0])
                .abs()
                .max((point[1] - wanted[1]).abs());
            assert!(
                off <= POINT_ERROR * width.max(height),
                "{name}: a point is {off} px off"
            );
        }
    }
    worst
}

#[test]
fn faces_agree_with_onnx_runtime_on_the_committed_pictures() {
    let detector = detector();
    let mut compared = 0;
    for expected in listing(&file("detector/goldens/faces.json")) {
        let Some(name) = &expected.file else { continue };
        let picture = picture(&file(name));
        assert_eq!([picture.width(), picture.height()], expected.size);
        if name.ends_with(".png") {
            // Another JPEG decoder rounds other pixels; the faces are the same all the same.
            assert_eq!(
                format!("{:x}", Sha256::digest(picture.as_raw())),
                expected.sha256
            );
        }
        let worst = compare(&expected, &detector.detect(&picture).unwrap());
        println!("{}: IoU {worst:.5}", expected.name);
        compared += expected.faces.len();
    }
    assert_eq!(compared, 2);
}

/// Run by `cargo xtask parity-detector`, which fetches the pictures.
#[test]
#[ignore = "cargo xtask parity-detector runs it on pictures that it fetches"]
fn faces_agree_with_onnx_runtime_on_twenty_pictures() {
    let folder = std::env::var_os("EMOTIONCLIP_DETECTOR_PICTURES")
        .expect("EMOTIONCLIP_DETECTOR_PICTURES names the pictures' folder");
    let folder = Path::new(&folder);
    let detector = detector();
    let (mut pictures, mut faces, mut worst) = (0, 0, 1.0_f32);
    println!("\n| picture | size | faces | smallest IoU |\n|---|---|---|---|");
    for expected in listing(&folder.join("faces.json")) {
        let picture = picture(&folder.join(format!("{}.png", expected.name)));
        let found = detector.detect(&picture).unwrap();
        let iou = compare(&expected, &found);
        let [width, height] = expected.size;
        println!(
            "| {} | {width} × {height} | {} | {iou:.5} |",
            expected.name,
            found.len()
        );
        pictures += usize::from(!expected.faces.is_empty());
        faces += found.len();
        worst = worst.min(iou);
    }
    println!("{faces} faces in {pictures} pictures, smallest IoU {worst:.5}");
    assert!(pictures >= 20, "{pictures} pictures of people");
}

#[test]
fn the_network_computes_what_onnx_runtime_does_with_the_same_weights() {
    let golden = Golden::read_file(&file("detector/goldens/network.safetensors"));
    let detector = detector();
    let side = detector.network().config().input_size;
    // Unscaled in the corner of a black square: no resizing takes part.
    let mut canvas = RgbImage::new(side as u32, side as u32);
    imageops::replace(&mut canvas, &picture(&file(ASTRONAUT)), 0, 0);
    let input: Vec<f32> = (0..3)
        .flat_map(|channel| {
            let levels = canvas.pixels().map(move |pixel| pixel.0[channel]);
            levels.map(|level| f32::from(level) / 127.5 - 1.0)
        })
        .collect();
    let input = TensorData::new(input, [1, 3, side, side]);
    let input = Tensor::<4>::from_data(input, &Device::flex());
    let outputs = values(detector.network().forward(input));

    let (rows, _) = outputs.as_chunks::<17>();
    let logits: Vec<f32> = rows.iter().map(|row| row[0]).collect();
    let every = golden.config::<usize>("/every");
    let boxes: Vec<f32> = rows
        .iter()
        .step_by(every)
        .flat_map(|row| row[1..].iter().copied())
        .collect();
    for (name, actual) in [("logits", logits), ("boxes", boxes)] {
        let expected = golden.get(&format!("expected/{name}"));
        let distance = Distance::between(&actual, &expected.values);
        println!("{name}: {distance}");
        // Both sides are f32 (6e-8) with sums of up to 96 terms over 68 layers; errors of rounding
        // grow as a random walk, and sixteenfold leaves room for another order of summation.
        assert!(distance.relative_l2 <= 1e-5, "{name}: {distance}");
    }
}

#[test]
fn two_people_are_two_faces_and_nobody_is_none() {
    let detector = detector();
    let one = picture(&file(ASTRONAUT));
    let mut two = RgbImage::new(2 * one.width(), one.height());
    imageops::replace(&mut two, &one, 0, 0);
    let mirrored = imageops::flip_horizontal(&one);
    imageops::replace(&mut two, &mirrored, i64::from(one.width()), 0);
    let faces = detector.detect(&two).unwrap();
    assert_eq!(faces.len(), 2, "{faces:?}");
    let mut centres: Vec<f32> = faces.iter().map(|face| face.bounds.centre()[0]).collect();
    centres.sort_by(f32::total_cmp);
    let middle = one.width() as f32;
    assert!(centres[0] < middle && middle < centres[1], "{centres:?}");
    // A mirrored face swaps left and right: eyes are named by the person, not by the picture.
    for face in &faces {
        assert!(face.key_points.right_eye[0] < face.key_points.left_eye[0]);
    }

    let gradient = RgbImage::from_fn(320, 240, |x, y| image::Rgb([x as u8, y as u8, 90]));
    assert_eq!(detector.detect(&gradient).unwrap(), []);
    assert!(detector.detect(&RgbImage::new(0, 0)).is_err());
    // A line of pixels is a picture too.
    assert_eq!(detector.detect(&RgbImage::new(1, 5000)).unwrap(), []);
}

#[test]
fn a_lower_threshold_only_adds_faces() {
    let picture = picture(&file(ASTRONAUT));
    let strict = detector().with_score_threshold(0.999);
    assert_eq!(strict.detect(&picture).unwrap(), []);
    let usual = detector().detect(&picture).unwrap();
    let lenient = detector().with_score_threshold(0.1);
    let lenient = lenient.detect(&picture).unwrap();
    assert!(lenient.len() >= usual.len());
    assert!(lenient[0].score == usual[0].score);
}

#[test]
fn waiting_without_blocking_gives_the_same_faces() {
    let detector = detector();
    let picture = picture(&file(ASTRONAUT));
    let mut future = pin!(detector.detect_async(&picture));
    let mut context = Context::from_waker(Waker::noop());
    let faces = loop {
        if let Poll::Ready(faces) = future.as_mut().poll(&mut context) {
            break faces.unwrap();
        }
    };
    assert_eq!(faces, detector.detect(&picture).unwrap());
    assert_eq!(faces.len(), 1);
}

fn sandbox() -> (tempfile::TempDir, Sandbox) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    (folder, sandbox)
}

/// Writes `count` frames that move `step` pixels to the right over the astronaut, and before them
/// `blank` frames that show nobody.
fn write_frames(sandbox: &Sandbox, folder: &str, blank: u32, count: u32, step: u32) {
    std::fs::create_dir_all(sandbox.path(folder)).unwrap();
    let whole = picture(&file(ASTRONAUT));
    let (width, height) = (whole.width() - count * step, whole.height());
    for number in 0..blank + count {
        let frame = match number.checked_sub(blank) {
            None => RgbImage::from_pixel(width, height, image::Rgb([70, 90, 80])),
            Some(shown) => imageops::crop_imm(&whole, shown * step, 0, width, height).to_image(),
        };
        let path = sandbox.path(&format!("{folder}/{number}.png"));
        DynamicImage::from(frame).save(path).unwrap();
    }
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn predict_finds_the_subject_of_a_picture() {
    let (_folder, sandbox) = sandbox();
    std::fs::copy(file(ASTRONAUT), sandbox.path("a.png")).unwrap();
    let result = sandbox.json(&[
        "predict",
        "a.png",
        "--subject",
        "detect",
        "--report",
        "r.html",
    ]);
    assert_eq!(result["subject"], "detect");
    let boxes = result["boxes"].as_array().unwrap();
    assert_eq!(boxes.len(), 1);
    let person = &boxes[0]["person"];
    assert_eq!((&person["id"], &person["found"]), (&1.into(), &true.into()));
    let listed = listing(&file("detector/goldens/faces.json"));
    let expected = listed
        .iter()
        .find(|one| one.file.as_deref() == Some(ASTRONAUT))
        .unwrap();
    let edge = |name: &str| number(&person["face"][name]) as f32;
    let face = Bounds {
        x1: edge("x1"),
        y1: edge("y1"),
        x2: edge("x2"),
        y2: edge("y2"),
    };
    assert!(face.iou(&expected.faces[0].bounds()) >= IOU, "{face:?}");
    // Head and shoulders hold the face and stay in the picture.
    let subject: Vec<f32> = boxes[0]["subject"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| number(edge) as f32)
        .collect();
    assert!(subject[0] < face.x1 && subject[1] < face.y1, "{subject:?}");
    assert!(subject[2] > face.x2 && subject[3] > face.y2, "{subject:?}");
    assert!(subject[3] <= expected.size[1] as f32);
    // Who is meant changes the reading, so the mask arrives at the model.
    let nobody = sandbox.json(&["predict", "a.png", "--subject", "none"]);
    assert_ne!(result["mean"], nobody["mean"]);
    assert_eq!(nobody.get("boxes"), None);
}

#[test]
fn predict_follows_the_subject_through_frames() {
    let (_folder, sandbox) = sandbox();
    write_frames(&sandbox, "frames", 2, 6, 4);
    let sandbox = sandbox.with_variable("RUST_LOG", "trainer=info");
    let args = [
        "predict",
        "frames",
        "--subject",
        "detect",
        "--stride",
        "3",
        "--json",
    ];
    let finished = sandbox.run(&args);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    // Found in the third of eight frames a second.
    for part in ["face 1 of 1, at 0.2 s", "found in 6 of 8 frames"] {
        assert!(
            finished.stderr.contains(part),
            "{part}: {}",
            finished.stderr
        );
    }
    let result: Value = serde_json::from_str(&finished.stdout).unwrap();
    let boxes = result["boxes"].as_array().unwrap();
    assert_eq!(boxes.len(), 8, "every frame, whatever the stride");
    assert_eq!(result["readings"].as_array().unwrap().len(), 3);
    let (before, after) = boxes.split_at(2);
    for frame in before {
        assert!(frame["person"].is_null() && frame["subject"].is_null());
    }
    for frame in after {
        assert_eq!(frame["person"]["id"], 1);
        assert_eq!(frame["person"]["found"], true);
    }
    // The frame moves right, so the face moves left, by 20 pixels in all.
    let left = |frame: &Value| number(&frame["person"]["face"]["x1"]);
    let moved = left(&after[0]) - left(&after[5]);
    // A box jitters by a few hundredths of its side, 60 pixels.
    assert!((moved - 20.0).abs() < 6.0, "{moved}");
}

#[test]
fn a_subject_that_is_not_there_is_one_line_and_exit_code_2() {
    let (_folder, sandbox) = sandbox();
    RgbImage::from_pixel(96, 64, image::Rgb([70, 90, 80]))
        .save(sandbox.path("blank.png"))
        .unwrap();
    std::fs::copy(file(ASTRONAUT), sandbox.path("a.png")).unwrap();
    write_frames(&sandbox, "frames", 0, 3, 4);
    write_frames(&sandbox, "blanks", 3, 0, 0);
    let refuses = |command: &str, input: &str, subject: &str, parts: &[&str]| {
        sandbox.refuses(&[command, input, "--subject", subject], parts);
    };
    let nobody = ["blank.png", "no face found", "--subject crop:"];
    refuses("predict", "blank.png", "detect", &nobody);
    refuses("embed", "blank.png", "detect", &nobody);
    refuses("predict", "blanks", "detect", &["blanks", "no face found"]);
    let one = ["detect:2", "no frame shows more than 1"];
    refuses("predict", "a.png", "detect:2", &one);
    refuses("predict", "frames", "detect:2", &one);
    let finished = sandbox.run(&["predict", "a.png", "--subject", "detect:0"]);
    assert_eq!(finished.code, Some(2));
    assert!(
        finished.stderr.contains("give a number from 1"),
        "{}",
        finished.stderr
    );
}
