//! Key families: which model a state dict belongs to, and its keys as the release spells them.

mod hugging_face;

pub use self::hugging_face::{hugging_face_activation, to_hugging_face_keys};

use super::{CheckpointError, Dtype, RawTensor, StateDict};

/// What the release puts before the keys of its CLIP backbone.
pub(super) const BACKBONE: &str = "backbone.";
/// What the release puts before the keys of its temporal encoder.
const TEMPORAL: &str = "visual_head.";
pub(super) const LOGIT_SCALE: &str = "logit_scale";

/// Buffers of OpenAI's archives that describe the model and are no weights.
const OPENAI_DESCRIPTIONS: [&str; 3] = ["input_resolution", "context_length", "vocab_size"];

/// Keys listed when no family is recognised.
const SHOWN_KEYS: usize = 5;

/// The family of a checkpoint's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceFormat {
    /// The EmotionCLIP release's own: `backbone.*`, `visual_head.*`.
    Release,
    /// OpenCLIP's: `visual.*`, `transformer.*`, with or without `text.` before the text tower.
    OpenClip,
    /// OpenAI's: OpenCLIP's keys in mixed half precision, trained with QuickGELU.
    OpenAi,
    /// Hugging Face's `CLIPModel`: `vision_model.*`, `text_model.*`.
    HuggingFace,
}

/// What a checkpoint's origin says about its activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActivationHint {
    /// Exact (erf) GELU.
    Gelu,
    /// x·σ(1.702x).
    QuickGelu,
}

/// A state dict under the release's keys.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Floats as f32, buffers as they were. A file with a backbone only gives `backbone.*` and
    /// `logit_scale`; the temporal encoder is then the caller's to initialise.
    pub tensors: StateDict,
    /// The family the keys came from.
    pub format: SourceFormat,
    /// The activation where the weights themselves tell it: only OpenAI's do. Otherwise it is a
    /// matter of the model's config, see [`hugging_face_activation`].
    pub activation_hint: Option<ActivationHint>,
}

/// Renames a checkpoint's keys to the release's, joins and transposes what other families store
/// differently, and upcasts every float to f32.
///
/// A key without a counterpart is kept, behind `backbone.` for OpenCLIP and OpenAI, so that
/// [`verify`](super::verify) can list it with everything else that does not fit.
///
/// # Errors
/// [`CheckpointError::UnknownKeys`] when the keys are of no known family.
pub fn to_release_keys(state: StateDict) -> Result<Imported, CheckpointError> {
    let format = detect(&state)?;
    let mut tensors = match format {
        SourceFormat::Release => state,
        SourceFormat::OpenClip | SourceFormat::OpenAi => from_open_clip(state),
        SourceFormat::HuggingFace => hugging_face::from_hugging_face(state),
    };
    for tensor in tensors.values_mut() {
        if tensor.dtype().is_float() && tensor.dtype() != Dtype::F32 {
            *tensor = tensor.clone().into_f32();
        }
    }
    if format != SourceFormat::Release {
        share_logit_scale(&mut tensors);
    }
    let activation_hint = (format == SourceFormat::OpenAi).then_some(ActivationHint::QuickGelu);
    Ok(Imported {
        tensors,
        format,
        activation_hint,
    })
}

fn detect(state: &StateDict) -> Result<SourceFormat, CheckpointError> {
    let any = |prefixes: [&str; 2]| {
        state
            .keys()
            .any(|key| prefixes.iter().any(|prefix| key.starts_with(prefix)))
    };
    if any([BACKBONE, TEMPORAL]) {
        Ok(SourceFormat::Release)
    } else if any(["vision_model.", "text_model."]) {
        Ok(SourceFormat::HuggingFace)
    } else if any(["visual.", "token_embedding."]) || any(["text.", "transformer."]) {
        let is_openai = OPENAI_DESCRIPTIONS
            .iter()
            .any(|key| state.contains_key(*key))
            || is_mixed_half_precision(state);
        Ok(if is_openai {
            SourceFormat::OpenAi
        } else {
            SourceFormat::OpenClip
        })
    } else {
        let mut found: Vec<_> = state
            .keys()
            .take(SHOWN_KEYS)
            .map(|key| format!("`{}`", key.escape_debug()))
            .collect();
        if state.len() > SHOWN_KEYS {
            found.push(format!("and {} more", state.len() - SHOWN_KEYS));
        }
        Err(CheckpointError::UnknownKeys {
            found: found.join(", "),
        })
    }
}

/// OpenAI keeps matrices in f16 and norms in f32; OpenCLIP saves one precision throughout.
fn is_mixed_half_precision(state: &StateDict) -> bool {
    let dtype = |key: &str| state.get(key).map(RawTensor::dtype);
    dtype("visual.conv1.weight") == Some(Dtype::F16)
        && dtype("visual.ln_pre.weight") == Some(Dtype::F32)
}

fn from_open_clip(state: StateDict) -> StateDict {
    state
        .into_iter()
        // The causal mask, which versions before OpenCLIP 2 saved, is rebuilt by every model.
        .filter(|(key, _)| key != "attn_mask" && !OPENAI_DESCRIPTIONS.contains(&key.as_str()))
        .map(|(key, tensor)| {
            let key = key.strip_prefix("text.").unwrap_or(&key);
            (format!("{BACKBONE}{key}"), tensor)
        })
        .collect()
}

/// The release keeps the scale twice: as the backbone's and as the model's own. Some files store it
/// as one element instead of a scalar.
fn share_logit_scale(tensors: &mut StateDict) {
    let key = format!("{BACKBONE}{LOGIT_SCALE}");
    if let Some(scale) = tensors.get(&key)
        && let Some(scalar) = scale.clone().reshaped(Vec::new())
    {
        tensors.insert(LOGIT_SCALE.into(), scalar.clone());
        tensors.insert(key, scalar);
    }
}

/// Adds what a release file holds beside the weights: the logit scale in its second place, and
/// `visual_head.position_ids`, i64 `[T]`, where there is a table of frame positions `[T, D]`.
pub fn add_release_buffers(state: &mut StateDict) {
    let backbone_scale = format!("{BACKBONE}{LOGIT_SCALE}");
    let scale = state
        .get(&backbone_scale)
        .or_else(|| state.get(LOGIT_SCALE))
        .cloned();
    if let Some(scale) = scale {
        state
            .entry(LOGIT_SCALE.into())
            .or_insert_with(|| scale.clone());
        state.entry(backbone_scale).or_insert(scale);
    }
    let table = state.get("visual_head.frame_position_embedding.weight");
    if let Some(&[frames, _]) = table.map(RawTensor::shape) {
        let ids: Vec<i64> = (0..).take(frames).collect();
        if let Ok(ids) = RawTensor::from_i64(vec![frames], &ids) {
            state
                .entry(format!("{TEMPORAL}position_ids"))
                .or_insert(ids);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(entries: &[(&str, Dtype)]) -> StateDict {
        entries
            .iter()
            .map(|&(key, dtype)| {
                let bytes = vec![0; dtype.size()];
                (
                    key.to_owned(),
                    RawTensor::new(dtype, vec![1], bytes).unwrap(),
                )
            })
            .collect()
    }

    fn imported(entries: &[(&str, Dtype)]) -> Imported {
        to_release_keys(state(entries)).unwrap()
    }

    #[test]
    fn families_are_told_apart() {
        use Dtype::{F16, F32, I64};
        for (entries, format) in [
            (&[("backbone.visual.proj", F32)][..], SourceFormat::Release),
            (&[("visual.proj", F32)], SourceFormat::OpenClip),
            (&[("visual.proj", F16)], SourceFormat::OpenClip),
            (
                &[("text.token_embedding.weight", F32)],
                SourceFormat::OpenClip,
            ),
            (
                &[("visual.proj", F32), ("input_resolution", I64)],
                SourceFormat::OpenAi,
            ),
            (
                &[("visual.conv1.weight", F16), ("visual.ln_pre.weight", F32)],
                SourceFormat::OpenAi,
            ),
            (
                &[("vision_model.pre_layrnorm.weight", F32)],
                SourceFormat::HuggingFace,
            ),
        ] {
            assert_eq!(imported(entries).format, format, "{entries:?}");
        }
    }

    #[test]
    fn unknown_keys_are_shown() {
        let error = to_release_keys(state(&[("layer1.0.conv1.weight", Dtype::F32)])).unwrap_err();
        assert!(
            error.to_string().contains("layer1.0.conv1.weight"),
            "{error}"
        );
    }

    #[test]
    fn only_openai_weights_tell_their_activation() {
        let openai = imported(&[("visual.proj", Dtype::F16), ("vocab_size", Dtype::I64)]);
        assert_eq!(openai.activation_hint, Some(ActivationHint::QuickGelu));
        assert_eq!(
            imported(&[("visual.proj", Dtype::F32)]).activation_hint,
            None
        );
    }

    #[test]
    fn the_text_tower_may_have_its_own_prefix() {
        let tensors = imported(&[("text.ln_final.bias", Dtype::F32)]).tensors;
        assert!(tensors.contains_key("backbone.ln_final.bias"));
    }

    #[test]
    fn the_logit_scale_becomes_a_scalar_in_both_places() {
        let tensors = imported(&[("visual.proj", Dtype::F32), ("logit_scale", Dtype::F16)]).tensors;
        for key in ["logit_scale", "backbone.logit_scale"] {
            assert_eq!(tensors[key].shape(), [0usize; 0]);
            assert_eq!(tensors[key].dtype(), Dtype::F32);
        }
    }

    #[test]
    fn release_buffers_are_added_once() {
        let table = RawTensor::from_f32(vec![3, 1], &[0.0; 3]).unwrap();
        let mut state = state(&[("backbone.logit_scale", Dtype::F32)]);
        state.insert("visual_head.frame_position_embedding.weight".into(), table);
        add_release_buffers(&mut state);
        let ids = RawTensor::from_i64(vec![3], &[0, 1, 2]).unwrap();
        assert_eq!(state["visual_head.position_ids"], ids);
        assert_eq!(state["logit_scale"], state["backbone.logit_scale"]);
        let before = state.clone();
        add_release_buffers(&mut state);
        assert_eq!(state, before);
    }
}
