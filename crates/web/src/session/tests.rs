use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use emotionclip::checkpoint::web::{self, WebOptions};
use emotionclip::parameters::to_state_dict;
use emotionclip::pretrained::default_preprocess;
use emotionclip::zero_shot::{LabelSet, ZeroShot};
use emotionclip::{EmotionClipConfig, Preset};

use super::*;
use crate::{BundleConfig, BundleLoader, CONFIG_NAME, Golden, MERGES_NAME, SELF_TEST_NAME};

/// The CPU engine is never pending.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the CPU engine waits for nothing"),
    }
}

fn pretrained() -> Pretrained {
    let mut config: EmotionClipConfig = Preset::Nano.config();
    config.text.layers = 1;
    config.vision.layers = 2;
    config.temporal.layers = 1;
    let model = config.init_seeded(3, &Device::flex()).unwrap();
    Pretrained::new(model, default_preprocess(&config)).unwrap()
}

/// A bundle of small shards, so that several come.
fn bundle(pretrained: &Pretrained) -> (Vec<u8>, BTreeMap<String, Vec<u8>>) {
    let config = BundleConfig {
        model: pretrained.model.config().clone(),
        preprocess: pretrained.preprocess.clone(),
        tokenizer: pretrained.tokenizer.config().clone(),
    };
    let golden = block_on(Golden::of(pretrained)).unwrap();
    let json = |value: serde_json::Result<Vec<u8>>| Bytes::from(value.unwrap());
    let extra = [
        (CONFIG_NAME.to_owned(), json(serde_json::to_vec(&config))),
        (
            MERGES_NAME.to_owned(),
            Bytes::from(pretrained.tokenizer.merges().to_owned()),
        ),
        (SELF_TEST_NAME.to_owned(), json(serde_json::to_vec(&golden))),
    ];
    let options = WebOptions {
        precision: web::Precision::F32,
        shard_bytes: 300_000,
    };
    let bundle = web::export(&to_state_dict(&pretrained.model).unwrap(), &extra, options).unwrap();
    let manifest = bundle.manifest_json();
    let files = bundle
        .files
        .into_iter()
        .map(|(name, content)| (name, content.to_vec()));
    (manifest, files.collect())
}

fn session() -> Session {
    let (manifest, files) = bundle(&pretrained());
    let (pretrained, info, _) = BundleLoader::load(&manifest, &files, &Device::flex()).unwrap();
    let mut session = Session::new(pretrained, info).unwrap();
    block_on(session.set_labels(labels(&["joy", "fear", "calm"]))).unwrap();
    session
}

fn labels(names: &[&str]) -> Vec<LabelText> {
    names
        .iter()
        .map(|name| LabelText {
            name: (*name).to_owned(),
            texts: vec![format!("a person feeling {name}")],
        })
        .collect()
}

fn frame(step: u32) -> RgbImage {
    RgbImage::from_fn(120, 80, |x, y| {
        image::Rgb([
            (x * 2 + step * 40) as u8,
            (y * 3) as u8,
            (x + y + step) as u8,
        ])
    })
}

fn ask(session: &mut Session, frame: RgbImage) -> Reading {
    block_on(session.read(Picture::Host(frame), || 0.0)).unwrap()
}

#[test]
fn a_bundle_of_several_shards_is_the_model_it_was_made_of() {
    let original = pretrained();
    let (manifest, files) = bundle(&original);
    assert!(
        files
            .keys()
            .filter(|name| name.ends_with(".safetensors"))
            .count()
            > 2
    );
    let (loaded, info, golden) = BundleLoader::load(&manifest, &files, &Device::flex()).unwrap();
    assert_eq!(info.hash, Pretrained::hash(&manifest));
    assert_eq!((info.frames, info.side, info.layers), (4, 64, 2));
    let report = block_on(golden.unwrap().check(&loaded)).unwrap();
    assert!(report.passed && report.picture > 0.999_999, "{report:?}");
}

#[test]
fn another_model_fails_the_self_test() {
    let (manifest, files) = bundle(&pretrained());
    let (_, _, golden) = BundleLoader::load(&manifest, &files, &Device::flex()).unwrap();
    let mut config = Preset::Nano.config();
    config.vision.layers = 1;
    let other = config.init_seeded(4, &Device::flex()).unwrap();
    let other = Pretrained::new(other, default_preprocess(&config)).unwrap();
    assert!(!block_on(golden.unwrap().check(&other)).unwrap().passed);
}

#[test]
fn damaged_missing_and_foreign_files_are_named() {
    let (manifest, files) = bundle(&pretrained());
    let load = |files: &BTreeMap<String, Vec<u8>>| {
        BundleLoader::load(&manifest, files, &Device::flex())
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let shard = files
        .keys()
        .find(|name| name.ends_with(".safetensors"))
        .unwrap();
    let mut truncated = files.clone();
    truncated.get_mut(shard).unwrap().truncate(1000);
    assert!(load(&truncated).starts_with(shard), "{}", load(&truncated));
    let mut missing = files.clone();
    missing.remove(MERGES_NAME);
    assert_eq!(load(&missing), format!("{MERGES_NAME}: is missing"));
    let foreign = BundleLoader::new(b"{\"a\": 1}", &Device::flex()).map(|_| ());
    let message = foreign.unwrap_err().to_string();
    assert!(message.starts_with("model.json: "), "{message}");
    // A shard that never comes.
    let mut loader = BundleLoader::new(&manifest, &Device::flex()).unwrap();
    for (name, _) in loader.files() {
        if name != *shard {
            loader.add(&name, files[&name].clone()).unwrap();
        }
    }
    let message = loader.finish().map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("tensors are missing"), "{message}");
}

#[test]
fn readings_are_those_of_the_core_crates_own_classifier() {
    let mut session = session();
    session.set_subject(SubjectChoice::Whole).unwrap();
    let mut last = None;
    for step in 0..5 {
        last = Some(ask(&mut session, frame(step)));
    }
    let reading = last.unwrap();
    assert_eq!((reading.window.held, reading.window.capacity), (4, 4));
    let clip = Clip::whole((1..5).map(frame).collect());
    let original = pretrained();
    let embedding = original.embed_clips(&[clip]).unwrap();
    let names = ["joy", "fear", "calm"];
    let set = LabelSet::from_names(&names, &"a person feeling {label}".parse().unwrap()).unwrap();
    let expected = ZeroShot::new(&original, &set).classify(embedding);
    let expected = expected.try_into_vec_as::<f32>().unwrap();
    for (found, expected) in reading.probabilities.iter().zip(expected) {
        // Sums in another order: some hundred roundings of 6e-8, scaled by at most 100.
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
    assert_eq!(reading.crop, [20.0, 0.0, 100.0, 80.0]);
}

#[test]
fn texts_are_encoded_once() {
    let mut session = session();
    assert_eq!(session.labels().known(), 3);
    block_on(session.set_labels(labels(&["fear", "pride"]))).unwrap();
    assert_eq!(session.labels().known(), 4);
    block_on(session.set_labels(labels(&["joy"]))).unwrap();
    assert_eq!(session.labels().known(), 4);
    assert_eq!(ask(&mut session, frame(0)).probabilities, [1.0]);
    assert!(block_on(session.set_labels(Vec::new())).is_err());
    assert_eq!(session.labels().names(), ["joy"]);
}

#[test]
fn another_subject_begins_the_window_anew() {
    let mut session = session();
    ask(&mut session, frame(0));
    assert_eq!(ask(&mut session, frame(1)).subject, SubjectReading::Nobody);
    let edges = [30.0, 10.0, 90.0, 80.0];
    session.set_subject(SubjectChoice::Box { edges }).unwrap();
    let boxed = ask(&mut session, frame(2));
    assert_eq!(boxed.window.held, 1);
    assert_eq!(boxed.subject, SubjectReading::Box { edges: Some(edges) });
    session.set_subject(SubjectChoice::Whole).unwrap();
    let whole = ask(&mut session, frame(2));
    assert_ne!(boxed.embedding, whole.embedding);
    let error = session.set_subject(SubjectChoice::Person { id: 9 });
    assert_eq!(error.unwrap_err().code(), "subject");
}

#[test]
fn an_explanation_has_a_row_of_patches_a_layer() {
    let mut session = session();
    assert!(block_on(session.explain()).unwrap().is_none());
    session.set_subject(SubjectChoice::Whole).unwrap();
    ask(&mut session, frame(0));
    let attention = block_on(session.explain()).unwrap().unwrap();
    let patches = attention.grid * attention.grid;
    assert_eq!(attention.human.len(), 2);
    assert!(attention.human.iter().all(|row| row.len() == patches));
    assert_eq!(attention.coverage, vec![1.0; patches]);
}

#[test]
fn a_taught_probe_is_used_saved_and_loaded() {
    let mut session = session();
    session.set_subject(SubjectChoice::Whole).unwrap();
    for (label, base) in [("left", 0), ("right", 90)] {
        session.lesson().record(Some(label)).unwrap();
        for step in 0..8 {
            ask(&mut session, frame(base + step % 3));
        }
    }
    session.lesson().record(None).unwrap();
    assert!(session.save_probe().is_err());
    session.fit().unwrap();
    let bytes = session.save_probe().unwrap();
    let probe = ask(&mut session, frame(91)).probe.unwrap();
    assert_eq!(probe.labels, ["left", "right"]);
    session.drop_probe();
    assert!(ask(&mut session, frame(91)).probe.is_none());
    assert_eq!(session.load_probe(&bytes).unwrap(), ["left", "right"]);
    assert!(session.load_probe(b"nonsense").is_err());
    assert!(ask(&mut session, frame(91)).probe.is_some());

    let head = LinearHead::from_safetensors(&bytes)
        .unwrap()
        .with_model_hash("another");
    let error = session
        .load_probe(&head.to_safetensors().unwrap())
        .unwrap_err();
    assert!(error.to_string().contains("another model"), "{error}");
}
