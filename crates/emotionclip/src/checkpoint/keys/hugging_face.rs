//! Hugging Face's `CLIPModel` keys, both ways.
//!
//! Three things differ beyond the names: query, key and value projections are separate, the two
//! output projections are stored as linear layers (transposed against `proj` and
//! `text_projection`), and the class embedding may carry extra dimensions. The misspelt
//! `pre_layrnorm` is theirs.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ActivationHint, BACKBONE, LOGIT_SCALE, TEMPORAL};
use crate::checkpoint::{CheckpointError, RawTensor, StateDict};

/// Whole tensors that only change their name: theirs, ours.
const RENAMED: [(&str, &str); 12] = [
    ("logit_scale", "logit_scale"),
    (
        "text_model.embeddings.token_embedding.weight",
        "token_embedding.weight",
    ),
    (
        "text_model.embeddings.position_embedding.weight",
        "positional_embedding",
    ),
    ("text_model.final_layer_norm.weight", "ln_final.weight"),
    ("text_model.final_layer_norm.bias", "ln_final.bias"),
    (
        "vision_model.embeddings.patch_embedding.weight",
        "visual.conv1.weight",
    ),
    (
        "vision_model.embeddings.position_embedding.weight",
        "visual.positional_embedding",
    ),
    ("vision_model.pre_layrnorm.weight", "visual.ln_pre.weight"),
    ("vision_model.pre_layrnorm.bias", "visual.ln_pre.bias"),
    (
        "vision_model.post_layernorm.weight",
        "visual.ln_post.weight",
    ),
    ("vision_model.post_layernorm.bias", "visual.ln_post.bias"),
    ("vision_model.embeddings.class_embedding", CLASS_EMBEDDING),
];
const CLASS_EMBEDDING: &str = "visual.class_embedding";

/// Matrices stored transposed: theirs, ours.
const TRANSPOSED: [(&str, &str); 2] = [
    ("text_projection.weight", "text_projection"),
    ("visual_projection.weight", "visual.proj"),
];

/// The towers' blocks: theirs, ours.
const TOWERS: [(&str, &str); 2] = [
    ("text_model.encoder.layers.", "transformer.resblocks."),
    (
        "vision_model.encoder.layers.",
        "visual.transformer.resblocks.",
    ),
];

/// Parts of a block that only change their name: theirs, ours.
const BLOCK_PARTS: [(&str, &str); 5] = [
    ("self_attn.out_proj", "attn.out_proj"),
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
];

/// In the order of the rows of the joint projection.
const PROJECTIONS: [&str; 3] = ["q_proj", "k_proj", "v_proj"];
const SUFFIXES: [&str; 2] = ["weight", "bias"];

/// Renames `CLIPModel` keys to the release's. Keys without a counterpart keep their names.
pub(super) fn from_hugging_face(state: StateDict) -> StateDict {
    let mut renamed = StateDict::new();
    let mut projections: BTreeMap<String, [Option<(String, RawTensor)>; 3]> = BTreeMap::new();
    for (key, tensor) in state {
        if key.ends_with(".embeddings.position_ids") {
            continue;
        }
        if let Some((joint, index)) = projection(&key) {
            projections.entry(joint).or_default()[index] = Some((key, tensor));
            continue;
        }
        let (key, tensor) = rename(key, tensor);
        renamed.insert(key, tensor);
    }
    for (joint, parts) in projections {
        let tensors: Vec<_> = parts
            .iter()
            .flatten()
            .map(|(_, tensor)| tensor.clone())
            .collect();
        match RawTensor::concatenated_rows(&tensors).filter(|_| tensors.len() == parts.len()) {
            Some(tensor) => {
                renamed.insert(joint, tensor);
            }
            None => renamed.extend(parts.into_iter().flatten()),
        }
    }
    renamed
}

/// The joint projection that a separate one belongs to, and its place in it.
fn projection(key: &str) -> Option<(String, usize)> {
    let (start, name) = key.split_once(".self_attn.")?;
    let (name, suffix) = name.split_once('.')?;
    let index = PROJECTIONS
        .iter()
        .position(|&projection| projection == name)?;
    let block = block_to_release(start)?;
    SUFFIXES
        .contains(&suffix)
        .then(|| (format!("{BACKBONE}{block}.attn.in_proj_{suffix}"), index))
}

/// `text_model.encoder.layers.3` → `transformer.resblocks.3`.
fn block_to_release(start: &str) -> Option<String> {
    TOWERS
        .iter()
        .find_map(|(theirs, ours)| Some(format!("{ours}{}", start.strip_prefix(theirs)?)))
}

fn rename(key: String, tensor: RawTensor) -> (String, RawTensor) {
    if let Some((_, ours)) = RENAMED.iter().find(|(theirs, _)| *theirs == key) {
        let width = tensor.len();
        let is_class = *ours == CLASS_EMBEDDING;
        let flat = if is_class {
            tensor.clone().reshaped(vec![width])
        } else {
            None
        };
        return (format!("{BACKBONE}{ours}"), flat.unwrap_or(tensor));
    }
    if let Some((_, ours)) = TRANSPOSED.iter().find(|(theirs, _)| *theirs == key)
        && let Some(transposed) = tensor.transposed()
    {
        return (format!("{BACKBONE}{ours}"), transposed);
    }
    let part = BLOCK_PARTS.iter().find_map(|(theirs, ours)| {
        let (start, suffix) = key.split_once(&format!(".{theirs}."))?;
        Some(format!(
            "{BACKBONE}{}.{ours}.{suffix}",
            block_to_release(start)?
        ))
    });
    (part.unwrap_or(key), tensor)
}

/// The backbone of a state dict with the release's keys, as `CLIPModel` spells it. The temporal
/// encoder (`visual_head.*`), which `CLIPModel` has no place for, is left out.
///
/// # Errors
/// [`CheckpointError::Tensor`] for a backbone key that `CLIPModel` cannot hold, such as those of
/// subject-aware attention masking, and for an attention projection whose rows are not three parts.
pub fn to_hugging_face_keys(state: &StateDict) -> Result<StateDict, CheckpointError> {
    let mut renamed = StateDict::new();
    for (full_key, tensor) in state {
        if full_key.starts_with(TEMPORAL) || full_key == LOGIT_SCALE {
            continue;
        }
        let fault = |detail: &str| CheckpointError::Tensor {
            name: full_key.clone(),
            detail: detail.to_owned(),
        };
        let key = full_key
            .strip_prefix(BACKBONE)
            .ok_or_else(|| fault("not a key of the release; import the checkpoint first"))?;
        if let Some((theirs, _)) = RENAMED.iter().find(|(_, ours)| *ours == key) {
            renamed.insert((*theirs).into(), tensor.clone());
        } else if let Some((theirs, _)) = TRANSPOSED.iter().find(|(_, ours)| *ours == key) {
            let transposed = tensor
                .transposed()
                .ok_or_else(|| fault("expected a matrix"))?;
            renamed.insert((*theirs).into(), transposed);
        } else if let Some((block, suffix)) = key.split_once(".attn.in_proj_") {
            let block = block_from_release(block).filter(|_| SUFFIXES.contains(&suffix));
            let block = block.ok_or_else(|| fault("no place for it in `CLIPModel`"))?;
            let parts = tensor
                .split_rows(PROJECTIONS.len())
                .ok_or_else(|| fault("the rows are not a query, key and value part"))?;
            for (name, part) in PROJECTIONS.iter().zip(parts) {
                renamed.insert(format!("{block}.self_attn.{name}.{suffix}"), part);
            }
        } else {
            let part = BLOCK_PARTS.iter().find_map(|(theirs, ours)| {
                let (block, suffix) = key.split_once(&format!(".{ours}."))?;
                Some(format!("{}.{theirs}.{suffix}", block_from_release(block)?))
            });
            let part = part.ok_or_else(|| fault("no place for it in `CLIPModel`"))?;
            renamed.insert(part, tensor.clone());
        }
    }
    Ok(renamed)
}

/// `transformer.resblocks.3` → `text_model.encoder.layers.3`.
fn block_from_release(block: &str) -> Option<String> {
    TOWERS
        .iter()
        .find_map(|(theirs, ours)| Some(format!("{theirs}{}", block.strip_prefix(ours)?)))
}

/// The activation that a Hugging Face CLIP `config.json` asks for (`hidden_act`; QuickGELU where it
/// is left out, as in transformers).
///
/// # Errors
/// [`CheckpointError::Config`] when it is not such a config, names another activation, or gives the
/// two towers different ones.
pub fn hugging_face_activation(config_json: &[u8]) -> Result<ActivationHint, CheckpointError> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        text_config: Tower,
        #[serde(default)]
        vision_config: Tower,
    }
    #[derive(Default, Deserialize)]
    struct Tower {
        hidden_act: Option<String>,
    }

    let fault = |detail: String| CheckpointError::Config { detail };
    let config: Config =
        serde_json::from_slice(config_json).map_err(|error| fault(error.to_string()))?;
    let activation = |tower: Tower| match tower.hidden_act.as_deref() {
        None | Some("quick_gelu") => Ok(ActivationHint::QuickGelu),
        Some("gelu") => Ok(ActivationHint::Gelu),
        Some(other) => Err(fault(format!(
            "hidden_act is {other:?}; only \"gelu\" and \"quick_gelu\" are supported"
        ))),
    };
    let (text, vision) = (
        activation(config.text_config)?,
        activation(config.vision_config)?,
    );
    if text != vision {
        return Err(fault(
            "hidden_act differs between text_config and vision_config".into(),
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize]) -> RawTensor {
        let length: usize = shape.iter().product();
        let values: Vec<f32> = (0..length).map(|i| i as f32).collect();
        RawTensor::from_f32(shape.to_vec(), &values).unwrap()
    }

    #[test]
    fn a_missing_key_projection_leaves_the_others_under_their_own_names() {
        let layer = "text_model.encoder.layers.0.self_attn";
        let state = ["q_proj", "v_proj"]
            .map(|name| (format!("{layer}.{name}.weight"), tensor(&[2, 2])))
            .into();
        assert_eq!(from_hugging_face(StateDict::clone(&state)), state);
    }

    #[test]
    fn a_class_embedding_with_extra_dimensions_is_flattened() {
        let key = "vision_model.embeddings.class_embedding".to_owned();
        let renamed = from_hugging_face([(key, tensor(&[1, 1, 4]))].into());
        assert_eq!(renamed["backbone.visual.class_embedding"].shape(), [4]);
    }

    #[test]
    fn position_ids_are_dropped_and_unknown_keys_kept() {
        let ids = RawTensor::from_i64(vec![1, 1], &[0]).unwrap();
        let renamed = from_hugging_face(
            [
                ("text_model.embeddings.position_ids".to_owned(), ids),
                ("vision_model.head.weight".to_owned(), tensor(&[1])),
            ]
            .into(),
        );
        assert_eq!(
            renamed.keys().collect::<Vec<_>>(),
            ["vision_model.head.weight"]
        );
    }

    #[test]
    fn masking_weights_have_no_place_in_clip_model() {
        let state = [("backbone.visual.saam.0.a".to_owned(), tensor(&[1, 2, 2]))].into();
        let error = to_hugging_face_keys(&state).unwrap_err();
        assert!(
            error.to_string().contains("backbone.visual.saam.0.a"),
            "{error}"
        );
    }

    #[test]
    fn the_activation_is_read_from_both_towers() {
        let activation = |text: &str, vision: &str| {
            let tower = |act: &str| format!(r#"{{"hidden_act":"{act}"}}"#);
            let (text, vision) = (tower(text), tower(vision));
            let config = format!(r#"{{"text_config":{text},"vision_config":{vision}}}"#);
            hugging_face_activation(config.as_bytes())
        };
        assert_eq!(activation("gelu", "gelu").unwrap(), ActivationHint::Gelu);
        assert_eq!(
            activation("quick_gelu", "quick_gelu").unwrap(),
            ActivationHint::QuickGelu
        );
        assert_eq!(
            hugging_face_activation(b"{}").unwrap(),
            ActivationHint::QuickGelu
        );
        assert!(activation("gelu", "quick_gelu").is_err());
        assert!(activation("relu", "relu").is_err());
        assert!(hugging_face_activation(b"not json").is_err());
    }
}
