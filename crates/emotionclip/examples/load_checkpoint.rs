//! Reads a checkpoint of any supported kind and puts it into a model.
//!
//!     cargo run --release -p emotionclip --example load_checkpoint [CHECKPOINT]
//!
//! `CHECKPOINT` is a ViT-B/32 or ViT-B/16: the EmotionCLIP release's pickle, OpenCLIP's, OpenAI's or
//! Hugging Face's CLIP, or safetensors under the release's keys. Without one the example writes and
//! reads a small one of its own, in memory.

use std::collections::BTreeMap;
use std::error::Error;

use burn::tensor::Device;
use emotionclip::EmotionClipConfig;
use emotionclip::checkpoint::{
    self, ActivationHint, StateDict, resize_visual_positions, to_release_keys, write_safetensors,
};
use emotionclip::config::{Activation, PatchStem};
use emotionclip::parameters::{
    Completeness, load_state_dict, parameter_count, parameters, to_state_dict,
};

/// Bytes of a checkpoint, its name, and the architecture without what the file itself tells.
fn source() -> Result<(Vec<u8>, String, EmotionClipConfig), Box<dyn Error>> {
    if let Some(path) = std::env::args().nth(1) {
        let bytes = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
        return Ok((bytes, path, EmotionClipConfig::vit_b_32()));
    }
    let config = EmotionClipConfig::nano();
    let mut tensors = to_state_dict(&config.init(&Device::flex())?)?;
    // As a plain CLIP would be: without the temporal encoder.
    tensors.retain(|key, _| !key.starts_with("visual_head."));
    Ok((
        write_safetensors(&tensors, &BTreeMap::new()),
        "nano in memory".to_owned(),
        config,
    ))
}

/// Whether any tensor of the temporal encoder is there.
fn has_temporal_encoder(tensors: &StateDict) -> bool {
    tensors.keys().any(|key| key.starts_with("visual_head."))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (bytes, name, mut config) = source()?;

    // The container, whatever it is, then one family of keys.
    let state = checkpoint::read(bytes, &name)?;
    let imported = to_release_keys(state)?;
    let mut tensors = imported.tensors;
    println!(
        "{name}: {} tensors, keys of {:?}",
        tensors.len(),
        imported.format
    );
    for (key, tensor) in tensors.iter().take(5) {
        println!("  {key} {:?}", tensor.shape());
    }

    // The file tells its activation (OpenAI's only) and its patch size.
    if imported.activation_hint == Some(ActivationHint::QuickGelu) {
        config.activation = Activation::QuickGelu;
    }
    if config.vision.stem == PatchStem::Linear
        && let Some(kernel) = tensors.get("backbone.visual.conv1.weight")
        && let Some(&side) = kernel.shape().last()
    {
        config.vision.patch_size = side;
    }
    resize_visual_positions(&mut tensors, config.vision.grid())?;

    // A backbone leaves the temporal encoder as it was initialised.
    let completeness = if has_temporal_encoder(&tensors) {
        Completeness::Whole
    } else {
        println!("no temporal encoder inside: it keeps its fresh weights");
        Completeness::Backbone
    };
    let model = load_state_dict(config.init(&Device::flex())?, &tensors, completeness)?;
    println!(
        "a model of {} parameters in {} tensors; similarities are scaled by {:.2}",
        parameter_count(&model),
        parameters(&model).len(),
        model.similarity_scale().try_into_scalar::<f32>()?
    );
    Ok(())
}
