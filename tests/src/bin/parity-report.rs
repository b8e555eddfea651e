//! Compares full-size models with PyTorch: `parity-report DIR`, where DIR was filled by
//! `parity/full_size.py`.
//!
//! Every checkpoint in DIR is imported as a user would import it and run on the inputs beside it. With
//! a release folder, a fresh model of ours is exported too, with what it computes, for
//! `full_size.py --check-ours` to hold against the authors' class. The measured errors go to standard
//! output as a Markdown table and to `DIR/report.json`; the exit status is 1 if one is out of tolerance.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use burn::tensor::{Device, Tensor};
use emotionclip::checkpoint::{
    self, ActivationHint, RawTensor, StateDict, hugging_face_activation, to_release_keys,
};
use emotionclip::config::{Activation, SubjectEncoding};
use emotionclip::parameters::{Completeness, load_state_dict, to_state_dict};
use emotionclip::{EmotionClip, EmotionClipConfig};
use integration_tests::golden::{Distance, Golden, values};

/// What our side computed for the second direction is stored under these names.
const EXPORT: &str = "ours.safetensors";
const EXPORT_IO: &str = "ours_io.safetensors";

/// One compared tensor.
struct Comparison {
    source: &'static str,
    feature: &'static str,
    ours: Distance,
    /// PyTorch's own f32 result against its float64 one.
    torch: Distance,
}

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: parity-report DIR (a folder that parity/full_size.py filled)");
        return Ok(ExitCode::from(2));
    };
    let folder = Path::new(&folder);
    let device = Device::flex();

    let mut comparisons = Vec::new();
    for (source, file) in [
        ("open_clip, state dict", "weights.pt"),
        ("open_clip, safetensors", "weights.safetensors"),
    ] {
        let folder = folder.join("open_clip");
        comparisons.extend(compare_clip(
            source,
            &folder,
            file,
            Activation::Gelu,
            &device,
        )?);
    }
    let hugging_face = folder.join("hugging_face");
    let config = fs::read(hugging_face.join("config.json")).context("hugging_face/config.json")?;
    let activation = match hugging_face_activation(&config)? {
        ActivationHint::Gelu => Activation::Gelu,
        ActivationHint::QuickGelu => Activation::QuickGelu,
    };
    comparisons.extend(compare_clip(
        "transformers CLIPModel",
        &hugging_face,
        "model.safetensors",
        activation,
        &device,
    )?);
    let release = folder.join("release");
    if release.is_dir() {
        comparisons.extend(compare_release(&release, &device)?);
        export_ours(&release, &device)?;
    }
    report(folder, &comparisons)
}

fn read_checkpoint(path: &Path) -> Result<StateDict> {
    let name = path.display().to_string();
    let bytes = fs::read(path).with_context(|| name.clone())?;
    Ok(to_release_keys(checkpoint::read(bytes, &name)?)?.tensors)
}

/// A plain CLIP: image features without a human token, and text features.
fn compare_clip(
    source: &'static str,
    folder: &Path,
    file: &str,
    activation: Activation,
    device: &Device,
) -> Result<[Comparison; 2]> {
    let mut config = EmotionClipConfig::vit_b_32();
    config.activation = activation;
    config.vision.subject = SubjectEncoding::Vanilla;
    let tensors = read_checkpoint(&folder.join(file))?;
    let model = load_state_dict(config.init(device)?, &tensors, Completeness::Backbone)?;
    let io = Golden::read_file(&folder.join("io.safetensors"));
    let image = io.tensor::<4>("input/image", device);
    let [count, _, height, width] = image.dims();
    let mask = Tensor::zeros([count, height, width], device);
    let image_features = model.encode_frames(image, mask);
    let text_features = model.encode_text(io.ids("input/tokens", device));
    Ok([
        compare(source, &io, "image_features", image_features),
        compare(source, &io, "text_features", text_features),
    ])
}

/// The authors' EmotionCLIP from their trainer's pickle, and the way back out of it.
fn compare_release(folder: &Path, device: &Device) -> Result<[Comparison; 3]> {
    let source = "the release's EmotionCLIP";
    let tensors = read_checkpoint(&folder.join("checkpoint.pt"))?;
    let config = EmotionClipConfig::vit_b_32();
    let model = load_state_dict(config.init(device)?, &tensors, Completeness::Whole)?;
    ensure!(
        to_state_dict(&model)? == tensors,
        "exporting the release's checkpoint does not give its tensors back bit by bit"
    );
    let io = Golden::read_file(&folder.join("io.safetensors"));
    let frames = io.tensor::<5>("input/frames", device);
    let masks = io.tensor::<4>("input/subject_mask", device);
    let [batch, time, ..] = frames.dims();
    let frame_features = model.encode_frames(frames.flatten(0, 1), masks.flatten(0, 1));
    let width = config.embed_dim;
    let video_features = model
        .temporal
        .forward(frame_features.clone().reshape([batch, time, width]));
    let text_features = model.encode_text(io.ids("input/tokens", device));
    Ok([
        compare(source, &io, "frame_features", frame_features),
        compare(source, &io, "video_features", video_features),
        compare(source, &io, "text_features", text_features),
    ])
}

fn compare(
    source: &'static str,
    io: &Golden,
    feature: &'static str,
    actual: Tensor<2>,
) -> Comparison {
    let [_, width] = actual.dims();
    let expected = &io.get(&format!("expected/{feature}")).values;
    let torch = &io.get(&format!("expected_f32/{feature}")).values;
    let torch: Vec<f32> = torch.iter().map(|value| *value as f32).collect();
    Comparison {
        source,
        feature,
        ours: Distance::worst_row(&values(actual), expected, width),
        torch: Distance::worst_row(&torch, expected, width),
    }
}

/// Writes a fresh model of ours under the release's keys, and what it makes of the release's inputs.
fn export_ours(folder: &Path, device: &Device) -> Result<()> {
    let model: EmotionClip = EmotionClipConfig::vit_b_32().init(device)?;
    let io = Golden::read_file(&folder.join("io.safetensors"));
    let frames = io.tensor::<5>("input/frames", device);
    let masks = io.tensor::<4>("input/subject_mask", device);
    let tokens = io.ids("input/tokens", device);
    let mut stored = BTreeMap::new();
    for (name, reference) in io.below("input") {
        let raw = if name == "tokens" {
            let ids: Vec<i64> = reference.values.iter().map(|id| *id as i64).collect();
            RawTensor::from_i64(reference.shape.clone(), &ids)?
        } else {
            let floats: Vec<f32> = reference.values.iter().map(|value| *value as f32).collect();
            RawTensor::from_f32(reference.shape.clone(), &floats)?
        };
        stored.insert(format!("input/{name}"), raw);
    }
    let outputs = [
        ("video_features", model.encode_video(frames, masks)),
        ("text_features", model.encode_text(tokens)),
    ];
    for (name, features) in outputs {
        let shape = features.dims().to_vec();
        let raw = RawTensor::from_f32(shape, &values(features))?;
        stored.insert(format!("output/{name}"), raw);
    }
    write(&folder.join(EXPORT), &to_state_dict(&model)?)?;
    write(&folder.join(EXPORT_IO), &stored)
}

fn write(path: &Path, tensors: &StateDict) -> Result<()> {
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    fs::write(path, checkpoint::write_safetensors(tensors, &metadata))
        .with_context(|| path.display().to_string())
}

fn report(folder: &Path, comparisons: &[Comparison]) -> Result<ExitCode> {
    println!("| weights from | feature | relative L2 | 1 - cosine | PyTorch's own f32 error |");
    println!("|---|---|---|---|---|");
    let mut rows = Vec::new();
    for Comparison {
        source,
        feature,
        ours,
        torch,
    } in comparisons
    {
        let (error, gap) = (ours.relative_l2, (1.0 - ours.cosine).max(0.0));
        let torch_error = torch.relative_l2;
        println!("| {source} | {feature} | {error:.1e} | {gap:.1e} | {torch_error:.1e} |");
        rows.push(serde_json::json!({
            "source": source,
            "feature": feature,
            "relative_l2": error,
            "cosine": ours.cosine,
            "torch_relative_l2": torch_error,
            "within_tolerance": ours.is_embedding_close(),
        }));
    }
    let path = folder.join("report.json");
    fs::write(&path, serde_json::to_string_pretty(&rows)?)
        .with_context(|| path.display().to_string())?;
    let within = comparisons
        .iter()
        .all(|comparison| comparison.ours.is_embedding_close());
    if within {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("a feature is out of tolerance (relative L2 1e-4, cosine 0.99999)");
    Ok(ExitCode::FAILURE)
}
