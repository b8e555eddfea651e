//! Preprocessing against PIL and torchvision on a photograph
//! (`parity/generate_preprocess.py` writes the goldens), and properties that hold for any picture.

use std::fs;
use std::path::{Path, PathBuf};

use emotionclip::Clip;
use emotionclip::preprocess::{
    Crops, Letterbox, MaskProtocol, Preprocess, SubjectBox, patch_coverage, resize_bicubic,
};
use image::{GrayImage, Luma, RgbImage, imageops};
use safetensors::{Dtype, SafeTensors};

/// How far two arrays lie apart.
#[derive(Debug)]
struct Difference {
    max: f32,
    differing: usize,
    count: usize,
}

impl Difference {
    fn between(ours: &[f32], expected: &[f32]) -> Self {
        assert_eq!(ours.len(), expected.len());
        let distances = ours.iter().zip(expected).map(|(a, b)| (a - b).abs());
        Self {
            max: distances.clone().fold(0.0, f32::max),
            differing: distances.filter(|distance| *distance > 0.0).count(),
            count: ours.len(),
        }
    }

    fn print(&self, name: &str) {
        let share = 100.0 * self.differing as f64 / self.count.max(1) as f64;
        println!(
            "{name:40} max |difference| {:.1e}  differing {share:.2} %",
            self.max
        );
    }
}

fn goldens(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("parity/goldens")
        .join(file)
}

fn golden_bytes() -> Vec<u8> {
    fs::read(goldens("preprocess.safetensors")).unwrap()
}

fn floats(tensors: &SafeTensors, name: &str) -> Vec<f32> {
    let tensor = tensors.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), Dtype::F32);
    let values = tensor.data().chunks_exact(4);
    values
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect()
}

/// Names below a prefix, split at the slashes that follow it.
fn cases<'a>(tensors: &'a SafeTensors, prefix: &'a str) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut cases: Vec<_> = tensors
        .names()
        .into_iter()
        .filter_map(|name| Some((name, name.strip_prefix(prefix)?.split('/').collect())))
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no golden starts with {prefix}");
    cases
}

fn pair(text: &str, separator: char) -> [u32; 2] {
    let (first, second) = text.split_once(separator).unwrap();
    [first.parse().unwrap(), second.parse().unwrap()]
}

/// The generator's pictures: the photograph, on its side, a detail, mirrored out to 720p.
fn source(name: &str) -> RgbImage {
    let photograph = image::open(goldens("preprocess.png")).unwrap().to_rgb8();
    let (width, height) = photograph.dimensions();
    let mirror = |position: u32, side: u32| {
        let within = position % (2 * side);
        within.min(2 * side - 1 - within)
    };
    match name {
        "landscape" => photograph,
        "portrait" => RgbImage::from_fn(height, width, |x, y| *photograph.get_pixel(y, x)),
        "detail" => imageops::crop_imm(&photograph, 60, 20, 37, 23).to_image(),
        "mirrored" => RgbImage::from_fn(1280, 720, |x, y| {
            *photograph.get_pixel(mirror(x, width), mirror(y, height))
        }),
        _ => panic!("no picture is called {name}"),
    }
}

fn preset(name: &str) -> Preprocess {
    match name {
        "release" => Preprocess::release(),
        "emotic" => Preprocess::emotic(),
        "emoclip" => Preprocess::emoclip(),
        "square-64" => Preprocess::square(64),
        _ => panic!("no preset is called {name}"),
    }
}

#[test]
fn bicubic_equals_pil_to_the_bit() {
    let bytes = golden_bytes();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for (name, parts) in cases(&tensors, "expected/resize/") {
        let [width, height] = pair(parts[1], 'x');
        let ours = resize_bicubic(&source(parts[0]), width, height).unwrap();
        let levels = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|level| f32::from(*level))
                .collect::<Vec<_>>()
        };
        let expected = tensors.tensor(name).unwrap();
        let difference = Difference::between(&levels(ours.as_raw()), &levels(expected.data()));
        difference.print(name);
        assert_eq!(difference.differing, 0, "{name}: {difference:?}");
    }
}

#[test]
fn sizes_and_centre_crops_equal_torchvision() {
    let bytes = golden_bytes();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for (name, parts) in cases(&tensors, "expected/size/") {
        let config = preset(parts[0]);
        let values: Vec<u32> = tensors
            .tensor(name)
            .unwrap()
            .data()
            .chunks_exact(4)
            .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        for row in values.chunks_exact(6) {
            let resized = config.resized_size([row[0], row[1]]).unwrap();
            assert_eq!(resized, [row[2], row[3]], "{name} {row:?}");
            // What a crop shows tells where it began: one bright column and row at the offset.
            let frame = RgbImage::from_fn(row[2], row[3], |x, y| {
                image::Rgb([
                    if x == row[4] { 255 } else { 0 },
                    if y == row[5] { 255 } else { 0 },
                    0,
                ])
            });
            let prepared = config
                .clip(&Clip::whole(vec![frame]), &Crops::Centre)
                .unwrap();
            let shown = config.denormalise(&prepared.frames).unwrap();
            assert_eq!(shown.get_pixel(0, 0).0, [255, 255, 0], "{name} {row:?}");
        }
    }
}

#[test]
fn prepared_frames_equal_torchvision() {
    let bytes = golden_bytes();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let stride: usize = header.metadata().as_ref().unwrap()["stride"]
        .parse()
        .unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for name in ["release", "emotic", "emoclip", "square-64"] {
        let config = preset(name);
        // An antialiased frame is 8-bit until it is normalised by the same three f32 operations.
        // An interpolated one is a sum of 16 products of magnitude below 2.7 with absolute weights
        // below 2.25 in all, in an order that torch's vector code does not fix, and its weights come
        // from positions up to 1280 in f32: 16 roundings and a position error of 2^-14 times a slope
        // of at most 5. One level is 0.0145.
        let tolerance = if name == "emoclip" { 1e-3 } else { 0.0 };
        let prefix = format!("expected/{name}/");
        for (golden, parts) in cases(&tensors, &prefix) {
            let offset = pair(parts[1], ',');
            let frame = source(parts[0]);
            let clip = Clip::whole(vec![frame]);
            let crops = Crops::PerFrame(vec![offset]);
            let prepared = config.clip(&clip, &crops).unwrap();
            let ours: Vec<f32> = prepared.frames.iter().step_by(stride).copied().collect();
            let difference = Difference::between(&ours, &floats(&tensors, golden));
            difference.print(golden);
            assert!(difference.max <= tolerance, "{golden}: {difference:?}");

            // Only the mirrored picture has a golden away from its centre.
            if parts[0] != "mirrored" {
                let centred = config.clip(&clip, &Crops::Centre).unwrap();
                assert_eq!(centred, prepared, "{golden} is the centre crop");
            }
        }
    }
}

#[test]
fn masks_equal_the_release() {
    let bytes = golden_bytes();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let boxes = |name: &str, columns: usize| -> Vec<SubjectBox> {
        floats(&tensors, name)
            .chunks_exact(columns)
            .map(|row| SubjectBox {
                x1: row[0],
                y1: row[1],
                x2: row[2],
                y2: row[3],
                score: row.get(4).copied(),
            })
            .collect()
    };
    let detector = boxes("input/detector", 5);
    let annotated = boxes("input/annotated", 4);
    let joints: Vec<[f32; 3]> = floats(&tensors, "input/joints")
        .chunks_exact(3)
        .map(|joint| [joint[0], joint[1], joint[2]])
        .collect();
    let person = vec![SubjectBox::from_joints(&joints).unwrap()];

    for (name, parts) in cases(&tensors, "expected/mask/") {
        let (protocol, boxes, config) = match parts[0] {
            "bold" => (MaskProtocol::Bold, &person, Preprocess::release()),
            "emotic" => (MaskProtocol::Emotic, &annotated, Preprocess::emotic()),
            other => {
                let (corpus, letterbox) = other.split_once('-').unwrap();
                let letterbox = match letterbox {
                    "release" => Letterbox::Release,
                    _ => Letterbox::Corrected,
                };
                let protocol = match corpus {
                    "captioned" => MaskProtocol::Captioned { letterbox },
                    _ => MaskProtocol::LirisAccede { letterbox },
                };
                (protocol, &detector, Preprocess::release())
            }
        };
        let [width, height] = pair(parts[1], 'x');
        let (frame, mask) = config
            .subject_frame(RgbImage::new(width, height), boxes, protocol)
            .unwrap();
        let clip = Clip {
            frames: vec![frame],
            masks: vec![mask],
        };
        let prepared = config.clip(&clip, &Crops::Centre).unwrap();
        let expected: Vec<f32> = tensors
            .tensor(name)
            .unwrap()
            .data()
            .iter()
            .flat_map(|byte| (0..8).map(move |bit| f32::from(byte >> (7 - bit) & 1)))
            .collect();
        let difference = Difference::between(&prepared.masks, &expected);
        difference.print(name);
        assert_eq!(difference.differing, 0, "{name}: {difference:?}");
    }
}

#[test]
fn every_frame_of_a_clip_gets_its_own_crop() {
    let frame = source("landscape");
    let config = Preprocess::square(64);
    let [left, top] = config.crop_range(frame.width(), frame.height());
    let offsets = vec![[0, 0], [left, top], [left / 2, 0]];
    let mut clip = Clip::whole(vec![frame; 3]);
    clip.masks[1].fill(0);
    let together = config
        .clip(&clip, &Crops::PerFrame(offsets.clone()))
        .unwrap();
    assert_eq!((together.frame_count, together.size), (3, 64));

    let alone = offsets.iter().enumerate().map(|(index, offset)| {
        let single = Clip {
            frames: vec![clip.frames[index].clone()],
            masks: vec![clip.masks[index].clone()],
        };
        config
            .clip(&single, &Crops::PerFrame(vec![*offset]))
            .unwrap()
    });
    let (frames, masks): (Vec<_>, Vec<_>) =
        alone.map(|single| (single.frames, single.masks)).unzip();
    assert_eq!(together.frames, frames.concat());
    assert_eq!(together.masks, masks.concat());
}

#[test]
fn a_frame_resized_beforehand_gives_the_same_tensors() {
    let config = Preprocess::release();
    let frame = source("mirrored");
    let resized = config.resize_frame(&frame).unwrap();
    let prepare = |frame| {
        config
            .clip(&Clip::whole(vec![frame]), &Crops::Centre)
            .unwrap()
    };
    assert_eq!(prepare(frame), prepare(resized));
}

#[test]
fn coverage_adds_up_to_the_masks_area_at_every_patch_size() {
    let (width, height) = (301, 199);
    let ellipse = GrayImage::from_fn(width, height, |x, y| {
        let distance = (f64::from(x) / 150.0 - 0.9).powi(2) + (f64::from(y) / 70.0 - 1.2).powi(2);
        Luma([if distance < 1.0 { 255 } else { 0 }])
    });
    let clip = Clip {
        frames: vec![RgbImage::new(width, height)],
        masks: vec![ellipse],
    };
    let prepared = Preprocess::release().clip(&clip, &Crops::Centre).unwrap();
    assert!(
        prepared
            .masks
            .iter()
            .all(|value| [0.0, 1.0].contains(value))
    );
    let covered = prepared.masks.iter().sum::<f32>();
    assert!(covered > 0.0);
    for patch in [16, 32, 224] {
        let coverage = patch_coverage(&prepared.masks, 224, patch).unwrap();
        assert!(coverage.iter().all(|share| (0.0..=1.0).contains(share)));
        // Each share is a count over a patch's area, rounded once: at most 50176 · 2^-24 in all.
        let area = coverage.iter().sum::<f32>() * (patch * patch) as f32;
        assert!((area - covered).abs() < 0.05, "{area} {covered}");
    }
}
