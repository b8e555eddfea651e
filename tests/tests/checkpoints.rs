//! Checkpoints as PyTorch, OpenCLIP, OpenAI and transformers write them, read without any of them.
//!
//! The files are made by `tests/parity/generate_checkpoints.py`; `*.expected.safetensors` beside
//! them holds what must come out. Renaming and copying is exact, so most comparisons are too.

use std::path::PathBuf;

use emotionclip::checkpoint::{
    ActivationHint, Dtype, Imported, RawTensor, SourceFormat, StateDict, add_release_buffers,
    hugging_face_activation, read, resize_positional_embedding, to_hugging_face_keys,
    to_release_keys, verify, write_safetensors,
};

fn golden(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("parity/goldens/checkpoints");
    let path = folder.join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn state(name: &str) -> StateDict {
    read(golden(name), name).unwrap_or_else(|error| panic!("{error}"))
}

fn imported(name: &str) -> Imported {
    to_release_keys(state(name)).unwrap_or_else(|error| panic!("{error}"))
}

fn assert_same(found: &StateDict, expected: &StateDict) {
    let keys = |state: &StateDict| state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(found), keys(expected));
    for (key, tensor) in expected {
        assert_eq!(&found[key], tensor, "{key}");
    }
}

#[test]
fn the_releases_training_checkpoint_gives_its_model() {
    let imported = imported("release.pt");
    assert_eq!(imported.format, SourceFormat::Release);
    assert_eq!(imported.activation_hint, None);
    assert_same(&imported.tensors, &state("release.expected.safetensors"));
    assert_eq!(
        imported.tensors["visual_head.position_ids"].dtype(),
        Dtype::I64
    );
}

#[test]
fn old_streams_newer_pickles_and_data_parallel_prefixes_read_the_same() {
    let expected = state("release.expected.safetensors");
    assert_same(&state("release_legacy.pt"), &expected);
    assert_same(&state("release_protocol4.pt"), &expected);
}

#[test]
fn open_clip_checkpoints_become_the_backbone() {
    let expected = state("backbone.expected.safetensors");
    for name in ["open_clip.pt", "open_clip_pytorch_model.bin"] {
        let imported = imported(name);
        assert_eq!(imported.format, SourceFormat::OpenClip, "{name}");
        assert_same(&imported.tensors, &expected);
    }
}

#[test]
fn openai_archives_and_state_dicts_are_upcast_and_tell_their_activation() {
    let expected = state("openai.expected.safetensors");
    for name in ["openai_jit.pt", "openai_state_dict.pt"] {
        assert!(
            state(name)
                .values()
                .any(|tensor| tensor.dtype() == Dtype::F16),
            "{name}"
        );
        let imported = imported(name);
        assert_eq!(imported.format, SourceFormat::OpenAi, "{name}");
        assert_eq!(
            imported.activation_hint,
            Some(ActivationHint::QuickGelu),
            "{name}"
        );
        assert_same(&imported.tensors, &expected);
    }
}

#[test]
fn hugging_face_keys_map_both_ways() {
    let imported = imported("hugging_face.safetensors");
    assert_eq!(imported.format, SourceFormat::HuggingFace);
    assert_same(&imported.tensors, &state("backbone.expected.safetensors"));
    let back = to_hugging_face_keys(&imported.tensors).unwrap();
    assert_same(&back, &state("hugging_face.safetensors"));

    let config = golden("hugging_face.config.json");
    assert_eq!(
        hugging_face_activation(&config).unwrap(),
        ActivationHint::Gelu
    );
}

#[test]
fn a_whole_release_model_exports_its_backbone_to_hugging_face() {
    let mut expected = state("release.expected.safetensors");
    let there = to_hugging_face_keys(&expected).unwrap();
    expected.retain(|key, _| !key.starts_with("visual_head."));
    assert_same(&to_release_keys(there).unwrap().tensors, &expected);
}

#[test]
fn views_shared_storages_and_every_element_type_are_read() {
    let expected = state("views.expected.safetensors");
    assert_same(&state("views.pt"), &expected);
    assert_same(&state("views_legacy.pt"), &expected);
}

#[test]
fn what_is_written_is_what_the_release_needs() {
    let expected = state("release.expected.safetensors");
    let mut written = expected.clone();
    written.remove("visual_head.position_ids");
    written.remove("logit_scale");
    add_release_buffers(&mut written);
    let bytes = write_safetensors(&written, &[("format".into(), "pt".into())].into());
    assert_same(&read(bytes, "written").unwrap(), &expected);
}

#[test]
fn positional_embeddings_are_resized_as_in_pytorch() {
    let goldens = state("positions.safetensors");
    for grid in [1, 2, 3, 4, 7] {
        let resized = resize_positional_embedding(&goldens["table"], grid).unwrap();
        let expected = &goldens[&format!("grid_{grid}")];
        assert_eq!(resized.shape(), expected.shape());
        for (found, expected) in resized.to_f32().iter().zip(expected.to_f32()) {
            // PyTorch sums 16 products in f32, each a few ulps off; values reach about 3.
            assert!(
                (found - expected).abs() < 5e-6,
                "grid {grid}: {found} for {expected}"
            );
        }
    }
}

#[test]
fn a_checkpoint_for_another_model_is_described_in_full() {
    let tensors = imported("open_clip.pt").tensors;
    let mut expected: Vec<_> = tensors
        .iter()
        .map(|(key, tensor)| (key.clone(), tensor.shape().to_vec()))
        .collect();
    verify(&tensors, &expected, |_| false).unwrap();

    expected.push(("visual_head.fusion_layer.norm.weight".into(), vec![6]));
    verify(&tensors, &expected, |key| key.starts_with("visual_head.")).unwrap();

    let (key, shape) = expected
        .iter_mut()
        .find(|(key, _)| key.ends_with("visual.proj"))
        .unwrap();
    let wrong = key.clone();
    shape.push(9);
    let mut damaged = tensors;
    damaged.insert(
        "logit_scale".into(),
        RawTensor::from_f32(vec![], &[f32::NAN]).unwrap(),
    );
    damaged.insert(
        "backbone.extra".into(),
        RawTensor::from_f32(vec![1], &[0.0]).unwrap(),
    );
    let message = verify(&damaged, &expected, |_| false)
        .unwrap_err()
        .to_string();
    for part in [
        "missing (1): visual_head.fusion_layer.norm.weight",
        "unexpected (1): backbone.extra",
        &format!("misshapen (1): {wrong} is [8, 6] instead of [8, 6, 9]"),
        "not finite (1): logit_scale",
    ] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}
