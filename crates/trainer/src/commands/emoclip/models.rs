//! EmoCLIP models: from a file, the release's checkpoints, or from nothing.

use std::path::Path;

use burn::tensor::Device;
use emotionclip::Pretrained;
use emotionclip::checkpoint::{self, StateDict, to_release_keys};
use emotionclip::emoclip::{
    EMOCLIP_CONFIG_KEY, EmoClipConfig, EmoClipPreset, PretrainedEmoClip, default_preprocess,
};
use emotionclip::parameters::{Completeness, load_state_dict};
use emotionclip::pretrained::CONFIG_KEY;

use crate::failure::{OrBadInput as _, bad_input};
use crate::inputs::files::{read_file, safetensors_metadata};
use crate::models::builtin::EMOCLIP_MINI;
use crate::models::named;

/// Tells a checkpoint of EmoCLIP from one of another model.
const TEMPORAL_KEY: &str = "temporal.cls_token";

/// A model and its file.
#[derive(Clone, Debug)]
pub struct LoadedEmoClip {
    /// The model.
    pub pretrained: PretrainedEmoClip,
    /// Its file, for people.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// The name of the built-in EmoCLIP on the command line.
pub const BUILTIN: &str = "mini";

/// Loads the built-in model, a model file, or a checkpoint of the release, which is a ViT-B/32. A file
/// of the built-in model's name is read, not shadowed.
///
/// # Errors
/// Bad input for a file that is missing, damaged or no EmoCLIP.
pub fn load(path: &Path, device: &Device) -> anyhow::Result<LoadedEmoClip> {
    let name = path.display().to_string();
    let bytes = if name == BUILTIN && !path.exists() {
        bytes::Bytes::from_static(EMOCLIP_MINI)
    } else {
        bytes::Bytes::from(read_file(path)?)
    };
    let sha256 = Pretrained::hash(&bytes);
    let metadata = safetensors_metadata(&bytes);
    let pretrained = if metadata.contains_key(EMOCLIP_CONFIG_KEY) {
        PretrainedEmoClip::from_bytes(bytes, &name, device)
            .map_err(|error| bad_input(named(&name, &error)))?
    } else if metadata.contains_key(CONFIG_KEY) {
        return Err(bad_input(format!(
            "{name}: an EmotionCLIP, not an EmoCLIP; give a file that `trainer emoclip train` wrote"
        )));
    } else {
        let tensors =
            checkpoint::read(bytes, &name).map_err(|error| bad_input(named(&name, &error)))?;
        if !tensors.contains_key(TEMPORAL_KEY) {
            return Err(bad_input(format!(
                "{name}: no EmoCLIP ({TEMPORAL_KEY} is missing); give a file that `trainer emoclip \
                 train` wrote or a checkpoint of the release, or start a training with --clip"
            )));
        }
        fill(
            &name,
            &EmoClipConfig::vit_b_32(),
            0,
            tensors,
            Completeness::Whole,
            device,
        )?
    };
    tracing::info!("model: {name}");
    Ok(LoadedEmoClip {
        pretrained,
        name,
        sha256,
    })
}

/// A model whose parameters are drawn from the seed; with `clip`, only those of the temporal
/// transformer, the towers being a CLIP's.
///
/// # Errors
/// Bad input for a file that is no CLIP of the preset's architecture.
pub fn fresh(
    preset: EmoClipPreset,
    clip: Option<&Path>,
    seed: u64,
    device: &Device,
) -> anyhow::Result<PretrainedEmoClip> {
    let config = preset.config();
    let Some(path) = clip else {
        let model = config.init_seeded(seed, device).or_bad_input("--preset")?;
        return Ok(PretrainedEmoClip::new(model, default_preprocess(&config))?);
    };
    let name = path.display().to_string();
    let tensors = checkpoint::read(read_file(path)?, &name)
        .map_err(|error| bad_input(named(&name, &error)))?;
    fill(
        &name,
        &config,
        seed,
        tensors,
        Completeness::Backbone,
        device,
    )
}

/// A model of an architecture with the tensors of a file.
fn fill(
    name: &str,
    config: &EmoClipConfig,
    seed: u64,
    tensors: StateDict,
    completeness: Completeness,
    device: &Device,
) -> anyhow::Result<PretrainedEmoClip> {
    let imported = to_release_keys(tensors).map_err(|error| bad_input(named(name, &error)))?;
    let model = config.init_seeded(seed, device).or_bad_input(name)?;
    let model = load_state_dict(model, &imported.tensors, completeness)
        .map_err(|error| bad_input(named(name, &error)))?;
    Ok(PretrainedEmoClip::new(model, default_preprocess(config))?)
}
