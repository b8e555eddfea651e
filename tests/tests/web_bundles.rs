//! The web bundle: what is exported comes back, small, within tolerance, and only if it is intact.

use std::collections::BTreeMap;

use bytes::Bytes;
use emotionclip::checkpoint::web::{Precision, WebBundle, WebOptions, export, import};
use emotionclip::checkpoint::{RawTensor, StateDict};
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Marsaglia's polar method, so that the test needs no distribution crate.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    loop {
        let (x, y) = (
            rng.random_range(-1.0f32..1.0),
            rng.random_range(-1.0f32..1.0),
        );
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * square.ln() / square).sqrt();
        }
    }
}

/// Weights of the shapes and key names that matter to the format.
fn weights(mut draw: impl FnMut(&mut ChaCha8Rng) -> f32) -> StateDict {
    let mut rng = ChaCha8Rng::seed_from_u64(2022);
    let mut state: StateDict = [
        ("backbone.visual.conv1.weight", vec![64, 3, 8, 8]),
        ("backbone.visual.proj", vec![96, 48]),
        ("backbone.visual.class_embedding", vec![96]),
        ("backbone.token_embedding.weight", vec![300, 64]),
        (
            "backbone.transformer.resblocks.0.mlp.c_proj.weight",
            vec![64, 256],
        ),
        ("backbone.visual.saam.0.a", vec![2, 5, 5]),
        ("logit_scale", vec![]),
    ]
    .into_iter()
    .map(|(name, shape)| {
        let length = shape.iter().product();
        let values: Vec<f32> = std::iter::repeat_with(|| draw(&mut rng))
            .take(length)
            .collect();
        (
            name.to_owned(),
            RawTensor::from_f32(shape, &values).unwrap(),
        )
    })
    .collect();
    let ids = RawTensor::from_i64(vec![3], &[0, 1, 2]).unwrap();
    state.insert("visual_head.position_ids".into(), ids);
    state
}

fn bundle(state: &StateDict, precision: Precision) -> WebBundle {
    let config = ("config.json".to_owned(), Bytes::from_static(b"{}"));
    export(
        state,
        &[config],
        WebOptions {
            precision,
            shard_bytes: 40_000,
        },
    )
    .unwrap()
}

fn files(bundle: &WebBundle) -> BTreeMap<String, Bytes> {
    bundle.files.iter().cloned().collect()
}

fn cosine(a: &RawTensor, b: &RawTensor) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    let (a, b) = (a.to_f32(), b.to_f32());
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

fn bytes_of(bundle: &WebBundle) -> usize {
    bundle.files.iter().map(|(_, content)| content.len()).sum()
}

#[test]
fn f32_comes_back_exactly_and_exports_are_deterministic() {
    let state = weights(normal);
    let exported = bundle(&state, Precision::F32);
    assert!(exported.files.len() > 3, "several shards and the config");
    assert_eq!(
        import(&exported.manifest_json(), &files(&exported)).unwrap(),
        state
    );

    let again = bundle(&state, Precision::F32);
    assert_eq!(again.manifest_json(), exported.manifest_json());
    assert_eq!(again.files, exported.files);
}

#[test]
fn reduced_precision_keeps_every_tensor_within_tolerance() {
    // Log-normal scales times normals: kurtosis far beyond any trained layer's. The Cauchy draws
    // have no variance at all, so single weights dwarf their channel; int8 alone could not hold
    // them.
    let heavy = |rng: &mut ChaCha8Rng| normal(rng) * normal(rng).exp();
    let cauchy = |rng: &mut ChaCha8Rng| normal(rng) / normal(rng);
    for (kind, state) in [
        ("normal", weights(normal)),
        ("heavy", weights(heavy)),
        ("cauchy", weights(cauchy)),
    ] {
        for precision in [Precision::F16, Precision::Int8] {
            let exported = bundle(&state, precision);
            let back = import(&exported.manifest_json(), &files(&exported)).unwrap();
            assert_eq!(
                back.keys().collect::<Vec<_>>(),
                state.keys().collect::<Vec<_>>()
            );
            for (name, tensor) in &state {
                assert_eq!(back[name].shape(), tensor.shape());
                let cosine = cosine(tensor, &back[name]);
                assert!(cosine >= 0.999, "{kind} {precision:?} {name}: {cosine}");
                if tensor.shape().len() < 2 {
                    assert_eq!(&back[name], tensor, "{name}");
                }
            }
        }
    }
}

#[test]
fn int8_is_a_quarter_of_f32_with_one_scale_per_output_channel() {
    let state = weights(normal);
    let (full, half, int8) = (
        bytes_of(&bundle(&state, Precision::F32)),
        bytes_of(&bundle(&state, Precision::F16)),
        bytes_of(&bundle(&state, Precision::Int8)),
    );
    // Headers and scales are the rest.
    assert!(half < full * 52 / 100, "{half} of {full} bytes");
    assert!(int8 < full * 30 / 100, "{int8} of {full} bytes");

    let manifest = bundle(&state, Precision::Int8).manifest;
    let axis = |name: &str| manifest.tensors[name].quantization.as_ref().map(|q| q.axis);
    assert_eq!(axis("backbone.visual.proj"), Some(1), "stored [in, out]");
    assert_eq!(axis("backbone.token_embedding.weight"), Some(0));
    assert_eq!(axis("backbone.visual.conv1.weight"), Some(0));
    assert_eq!(axis("backbone.visual.saam.0.a"), None);
    assert_eq!(axis("logit_scale"), None);
}

#[test]
fn a_missing_changed_or_mismatched_file_is_named() {
    let exported = bundle(&weights(normal), Precision::Int8);
    let json = exported.manifest_json();
    for (name, content) in exported
        .files
        .iter()
        .filter(|(name, _)| name != "config.json")
    {
        let mut without = files(&exported);
        without.remove(name);
        let error = import(&json, &without).unwrap_err().to_string();
        assert!(
            error.contains(name.as_str()) && error.contains("missing"),
            "{error}"
        );

        let mut changed = content.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        let mut with_change = files(&exported);
        with_change.insert(name.clone(), changed.into());
        let error = import(&json, &with_change).unwrap_err().to_string();
        assert!(error.contains(name.as_str()), "{error}");
    }
}

#[test]
fn a_manifest_that_lies_about_its_tensors_is_refused() {
    let exported = bundle(&weights(normal), Precision::Int8);
    let given = files(&exported);
    let altered = |alter: &dyn Fn(&mut WebBundle)| {
        let mut bundle = exported.clone();
        alter(&mut bundle);
        import(&bundle.manifest_json(), &given).is_err()
    };
    let name = "backbone.visual.proj";
    fn entry(bundle: &mut WebBundle) -> &mut emotionclip::checkpoint::web::TensorEntry {
        bundle
            .manifest
            .tensors
            .get_mut("backbone.visual.proj")
            .unwrap()
    }
    assert!(altered(&|bundle| entry(bundle).shape = vec![48, 96]));
    assert!(altered(&|bundle| entry(bundle).dtype = "F32".into()));
    assert!(altered(&|bundle| entry(bundle).file = "config.json".into()));
    assert!(altered(&|bundle| entry(bundle)
        .quantization
        .as_mut()
        .unwrap()
        .axis = 0));
    assert!(altered(&|bundle| entry(bundle)
        .quantization
        .as_mut()
        .unwrap()
        .axis = 7));
    assert!(altered(&|bundle| entry(bundle)
        .quantization
        .as_mut()
        .unwrap()
        .scale = name.into()));
    assert!(altered(&|bundle| bundle.manifest.version = 2));
    assert!(import(b"{}", &given).is_err());
    assert!(import(b"\xff", &given).is_err());
}

#[test]
fn a_model_that_is_not_finite_is_not_exported() {
    let mut state = weights(normal);
    state.insert(
        "bad".into(),
        RawTensor::from_f32(vec![1], &[f32::NAN]).unwrap(),
    );
    let error = export(&state, &[], WebOptions::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("`bad`"), "{error}");
}

#[test]
fn files_may_not_share_a_name() {
    let state = weights(normal);
    for name in ["model.json", "model-00001-of-00001.safetensors"] {
        let extra = [(name.to_owned(), Bytes::new())];
        assert!(
            export(&state, &extra, WebOptions::default()).is_err(),
            "{name}"
        );
    }
}
