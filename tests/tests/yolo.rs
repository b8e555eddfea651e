//! People by a YOLO of the user's: boxes as ONNX Runtime gives them, files that are none, and the step
//! that stores them. The detectors are made by `parity/generate_yolo.py`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use emotionclip_data::yolo::{FoundPerson, Yolo, YoloSettings};
use image::{Rgb, RgbImage};
use integration_tests::cli::Sandbox;
use integration_tests::corpus::write_release;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

const GOLDENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/parity/goldens/yolo");
const LAYOUTS: [&str; 3] = ["v5", "v8", "v10"];

/// Width, height, and rectangles on grey.
type Drawing = (u32, u32, Vec<(u32, u32, u32, u32, [u8; 3])>);

#[derive(Deserialize)]
struct Expected {
    pictures: BTreeMap<String, Drawing>,
    /// By detector and picture: left, top, right, bottom, score.
    boxes: BTreeMap<String, BTreeMap<String, Vec<[f32; 5]>>>,
}

fn expected() -> Expected {
    let file = std::fs::read(Path::new(GOLDENS).join("expected.json")).unwrap();
    serde_json::from_slice(&file).unwrap()
}

fn draw((width, height, rectangles): &Drawing) -> RgbImage {
    RgbImage::from_fn(*width, *height, |x, y| {
        let holds = |(left, top, right, bottom, _): &&(u32, u32, u32, u32, [u8; 3])| {
            (*left..*right).contains(&x) && (*top..*bottom).contains(&y)
        };
        // What is drawn last lies on top.
        Rgb(rectangles.iter().rfind(holds).map_or([60; 3], |one| one.4))
    })
}

fn detector(name: &str) -> PathBuf {
    Path::new(GOLDENS).join(format!("{name}.onnx"))
}

fn open(path: &Path) -> Result<Yolo, emotionclip_data::yolo::YoloError> {
    Yolo::open(path, YoloSettings::default())
}

fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |[x1, y1, x2, y2]: [f32; 4]| (x2 - x1).max(0.0) * (y2 - y1).max(0.0);
    let shared = area([
        a[0].max(b[0]),
        a[1].max(b[1]),
        a[2].min(b[2]),
        a[3].min(b[3]),
    ]);
    shared / (area(a) + area(b) - shared)
}

#[test]
fn every_layout_gives_the_boxes_that_onnx_runtime_gives() {
    let expected = expected();
    for layout in LAYOUTS {
        let yolo = open(&detector(layout)).unwrap();
        for (name, drawing) in &expected.pictures {
            let mut found = yolo.detect(&draw(drawing)).unwrap();
            let boxes = &expected.boxes[layout][name];
            assert_eq!(found.len(), boxes.len(), "{layout} {name}: {found:?}");
            assert!(
                found.windows(2).all(|pair| pair[0].score >= pair[1].score),
                "{found:?}"
            );
            for &[x1, y1, x2, y2, score] in boxes {
                // Positions are the detector's own. Scores are differences of two channels, each of
                // which Pillow's scaling may round by one level of 255 otherwise.
                let is_it = |one: &FoundPerson| {
                    iou(one.edges, [x1, y1, x2, y2]) > 0.999
                        && (one.score - score).abs() < 2.0 / 255.0
                };
                let place = found.iter().position(is_it);
                let place =
                    place.unwrap_or_else(|| panic!("{layout} {name}: {score} in {found:?}"));
                found.swap_remove(place);
            }
        }
        assert!(
            expected.boxes[layout]["wide"].len() > 5 && expected.boxes[layout]["nobody"].is_empty()
        );
    }
}

#[test]
fn another_class_is_looked_for_by_name_and_an_unknown_one_refused() {
    let picture = draw(&expected().pictures["nobody"]);
    for layout in LAYOUTS {
        let of_class = |class: &str| {
            let class = class.to_owned();
            Yolo::open(
                &detector(layout),
                YoloSettings {
                    class,
                    ..YoloSettings::default()
                },
            )
        };
        let cats = of_class("cat").unwrap().detect(&picture).unwrap();
        assert!(!cats.is_empty(), "{layout}: a green square is a cat");
        assert_eq!(cats, of_class("0").unwrap().detect(&picture).unwrap());
        let refused = of_class("horse").unwrap_err().to_string();
        assert!(
            refused.contains("cat, person, dog") && refused.contains("--detector-class"),
            "{refused}"
        );
    }
}

#[test]
fn damaged_files_are_errors_or_give_boxes_inside_the_picture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.onnx");
    let mut rng = ChaCha8Rng::seed_from_u64(26);
    let picture = draw(&expected().pictures["wide"]);
    let mut refused = 0;
    for layout in LAYOUTS {
        let whole = std::fs::read(detector(layout)).unwrap();
        for number in 0..60 {
            let mut bytes = whole.clone();
            if number % 3 == 0 {
                bytes.truncate(rng.random_range(0..whole.len()));
            } else {
                for _ in 0..rng.random_range(1..20) {
                    let place = rng.random_range(0..bytes.len());
                    bytes[place] = rng.random();
                }
            }
            std::fs::write(&path, bytes).unwrap();
            match open(&path).and_then(|yolo| yolo.detect(&picture)) {
                Err(error) => {
                    refused += 1;
                    let said = error.to_string();
                    assert!(
                        said.contains("damaged.onnx") && said.lines().count() == 1,
                        "{said}"
                    );
                }
                Ok(people) => {
                    for FoundPerson { edges, score } in people {
                        let [x1, y1, x2, y2] = edges;
                        assert!(x1 < x2 && y1 < y2 && score > 0.25, "{edges:?} {score}");
                        assert!(
                            x1 >= 0.0 && y1 >= 0.0 && x2 <= 100.0 && y2 <= 60.0,
                            "{edges:?}"
                        );
                    }
                }
            }
        }
    }
    // All that are cut short, and most of the others.
    assert!(refused > 60, "{refused}");
}

#[test]
fn the_step_stores_people_of_the_frames_in_which_somebody_speaks() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(folder.path());
    write_release(&sandbox.path("release"), 2);
    sandbox.json(&["data", "import-release", "release/videos", "--out", "work"]);
    let yolo = detector("v8").display().to_string();
    let subjects = ["data", "subjects", "--out", "work", "--detector", &yolo];
    let sensitive = [&subjects[..], &["--detector-confidence", "0"]].concat();
    assert_eq!(sandbox.json(&sensitive)["steps"][0]["made"], 2);
    let file = std::fs::read(sandbox.path("work/videos/video1/boxes.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(file["space"], "frame");
    let frames = file["frames"].as_object().unwrap();
    // Three sentences of 2.25 s at 8 frames a second, from 0.5, 3.5 and 6.5 s: frames 4 to 22 and so on.
    assert_eq!(frames.len(), 3 * 19);
    assert!(frames.contains_key("4") && !frames.contains_key("23"));
    let people: Vec<[f32; 5]> = frames
        .values()
        .flat_map(|people| serde_json::from_value::<Vec<[f32; 5]>>(people.clone()).unwrap())
        .collect();
    assert!(!people.is_empty(), "{file}");
    assert!(
        people
            .iter()
            .all(|[x1, y1, x2, y2, _]| *x1 >= 0.0 && *y1 >= 0.0 && *x2 <= 64.0 && *y2 <= 48.0)
    );
    // Once is enough, until a setting changes.
    assert_eq!(sandbox.json(&sensitive)["steps"][0]["made"], 0);
    let strict = [&subjects[..], &["--detector-confidence", "0.9"]].concat();
    assert_eq!(sandbox.json(&strict)["steps"][0]["made"], 2);
    let file = std::fs::read_to_string(sandbox.path("work/videos/video1/boxes.json")).unwrap();
    assert!(file.contains("\"4\":[]"), "{file}");

    let no_class = [&subjects[..], &["--detector-class", "horse"]].concat();
    sandbox.refuses(
        &no_class,
        &["v8.onnx", "horse", "person", "--detector-class"],
    );
    let text = sandbox.write("no.onnx", "no model");
    sandbox.refuses(
        &["data", "subjects", "--out", "work", "--detector", &text],
        &["no.onnx", "no ONNX file"],
    );
    sandbox.refuses(
        &[
            "data",
            "subjects",
            "--out",
            "work",
            "--detector",
            "gone.onnx",
        ],
        &["gone.onnx"],
    );
}
