//! Makes the page's bundles, one for every entry of `web/models/index.json`: what `trainer export
//! --format web` writes, with a card for people and golden vectors for the self-test.
//!
//! `cargo xtask web-models` calls it.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::{env, fs};

use burn::tensor::Device;
use bytes::Bytes;
use emotionclip::Pretrained;
use emotionclip::checkpoint::web::{self, Precision, WebOptions};
use emotionclip::parameters::to_state_dict;
use emotionclip_web::{
    BundleConfig, BundleLoader, CARD_NAME, CONFIG_NAME, Golden, MERGES_NAME, SELF_TEST_NAME,
};
use serde::Deserialize;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// `web/models/index.json`.
#[derive(Deserialize)]
struct Index {
    models: Vec<Source>,
}

/// One model of the page.
#[derive(Deserialize)]
struct Source {
    /// Name of its folder under `web/models`.
    id: String,
    /// Model file, from the repository's root.
    source: PathBuf,
    precision: Precision,
}

fn main() -> Fallible<()> {
    let mut arguments = env::args().skip(1);
    let root = PathBuf::from(arguments.next().ok_or("usage: pack REPOSITORY [MODEL…]")?);
    let wanted: Vec<String> = arguments.collect();
    let models = root.join("web").join("models");
    let index: Index = serde_json::from_slice(&fs::read(models.join("index.json"))?)?;
    for source in &index.models {
        if wanted.is_empty() || wanted.contains(&source.id) {
            pack(&root, source, &models.join(&source.id))?;
        }
    }
    Ok(())
}

fn pack(root: &Path, source: &Source, out: &Path) -> Fallible<()> {
    let device = Device::flex();
    let name = source.source.display().to_string();
    let pretrained = Pretrained::from_bytes(fs::read(root.join(&source.source))?, &name, &device)?;
    let card = pretrained.card.as_ref();
    let card =
        card.ok_or_else(|| format!("{name}: no card inside; `trainer export --card` adds one"))?;
    let options = WebOptions {
        precision: source.precision,
        ..WebOptions::default()
    };
    let state = to_state_dict(&pretrained.model)?;
    let config = BundleConfig {
        model: pretrained.model.config().clone(),
        preprocess: pretrained.preprocess.clone(),
        tokenizer: pretrained.tokenizer.config().clone(),
    };
    let mut extra = vec![
        (CONFIG_NAME.to_owned(), json(&config)?),
        (
            MERGES_NAME.to_owned(),
            Bytes::from(pretrained.tokenizer.merges().to_owned()),
        ),
        (CARD_NAME.to_owned(), json(card)?),
    ];
    // The golden vectors are those of the rounded weights, so they are made from the bundle itself.
    let draft = web::export(&state, &extra, options)?;
    let files = draft
        .files
        .iter()
        .map(|(name, content)| (name.clone(), content.to_vec()));
    let files: BTreeMap<String, Vec<u8>> = files.collect();
    let (rounded, info, _) = BundleLoader::load(&draft.manifest_json(), &files, &device)?;
    extra.push((
        SELF_TEST_NAME.to_owned(),
        json(&ready(Golden::of(&rounded))??)?,
    ));
    let bundle = web::export(&state, &extra, options)?;

    fs::create_dir_all(out)?;
    clear(out)?;
    fs::write(out.join(web::MANIFEST_NAME), bundle.manifest_json())?;
    for (name, content) in &bundle.files {
        fs::write(out.join(name), content)?;
    }
    println!(
        "{}: {} parameters, {} bytes",
        out.display(),
        info.parameters,
        info.bytes
    );
    Ok(())
}

fn json<T: serde::Serialize>(value: &T) -> Fallible<Bytes> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text.into())
}

/// Removes what an earlier call wrote, so that no shard of another count stays behind.
fn clear(folder: &Path) -> Fallible<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == "safetensors") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The CPU engine is never pending.
fn ready<T>(future: impl Future<Output = T>) -> Fallible<T> {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err("the CPU engine waited".into()),
    }
}
