//! Web bundles on disk: a folder with the manifest, the shards, the configuration and the merges.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use burn::tensor::Device;
use bytes::Bytes;
use emotionclip::card::ModelCard;
use emotionclip::checkpoint::web::{self, Manifest, WebOptions};
use emotionclip::parameters::{Completeness, load_state_dict, to_state_dict};
use emotionclip::preprocess::Preprocess;
use emotionclip::tokenizer::{ClipTokenizer, TokenizerConfig};
use emotionclip::{EmotionClipConfig, Pretrained};
use serde::{Deserialize, Serialize};

use super::{LoadedModel, named};
use crate::failure::{OrBadInput, bad_input};
use crate::inputs::files::read_file;

pub use emotionclip::checkpoint::web::MANIFEST_NAME;
use emotionclip::checkpoint::web::is_shard_name;

/// The configuration's file.
const CONFIG_NAME: &str = "config.json";
/// The tokenizer's merges.
const MERGES_NAME: &str = "merges.txt";
/// What must be known of the model; may be missing.
const CARD_NAME: &str = "card.json";

/// What a page must know beside the weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleConfig {
    model: EmotionClipConfig,
    preprocess: Preprocess,
    tokenizer: TokenizerConfig,
}

/// Whether a folder holds a manifest.
pub fn is_bundle(folder: &Path) -> bool {
    folder.join(MANIFEST_NAME).is_file()
}

/// A file of a bundle or another folder to be written.
pub type NamedFile = (String, Bytes);

/// The files of a model's bundle, the manifest last.
///
/// # Errors
/// If a tensor is not finite or the device fails.
pub fn files(pretrained: &Pretrained, options: WebOptions) -> anyhow::Result<Vec<NamedFile>> {
    let config = BundleConfig {
        model: pretrained.model.config().clone(),
        preprocess: pretrained.preprocess.clone(),
        tokenizer: pretrained.tokenizer.config().clone(),
    };
    let config = serde_json::to_vec_pretty(&config).context("writing the configuration")?;
    let merges = pretrained.tokenizer.merges().as_bytes().to_vec();
    let mut extra = vec![
        (CONFIG_NAME.to_owned(), Bytes::from(config)),
        (MERGES_NAME.to_owned(), Bytes::from(merges)),
    ];
    if let Some(card) = &pretrained.card {
        let card = serde_json::to_vec_pretty(card).context("writing the card")?;
        extra.push((CARD_NAME.to_owned(), Bytes::from(card)));
    }
    let bundle = web::export(&to_state_dict(&pretrained.model)?, &extra, options)?;
    let manifest = bundle.manifest_json().into();
    let mut files = bundle.files;
    files.push((MANIFEST_NAME.to_owned(), manifest));
    Ok(files)
}

/// The card of a bundle, if it has one.
///
/// # Errors
/// Bad input for one that is none.
pub fn card(folder: &Path) -> anyhow::Result<Option<ModelCard>> {
    let path = folder.join(CARD_NAME);
    if !path.is_file() {
        return Ok(None);
    }
    let card = serde_json::from_slice(&read_file(&path)?);
    Ok(Some(card.or_bad_input(path.display())?))
}

/// Loads a model from a bundle.
///
/// # Errors
/// Bad input for a bundle whose files are missing, changed or don't fit each other.
pub fn read(folder: &Path, device: &Device) -> anyhow::Result<LoadedModel> {
    let name = folder.display().to_string();
    let manifest_json = read_file(&folder.join(MANIFEST_NAME))?;
    let manifest: Manifest = serde_json::from_slice(&manifest_json)
        .or_bad_input(format!("{name}/{MANIFEST_NAME}: not a manifest"))?;
    let mut files: BTreeMap<String, Bytes> = BTreeMap::new();
    for file in manifest.files.keys() {
        files.insert(file.clone(), read_file(&inside(folder, file)?)?.into());
    }
    let state =
        web::import(&manifest_json, &files).map_err(|error| bad_input(named(&name, &error)))?;

    let missing = |file| bad_input(format!("{name}: {file} is not listed; export it again"));
    let config = files.get(CONFIG_NAME).ok_or_else(|| missing(CONFIG_NAME))?;
    let config: BundleConfig =
        serde_json::from_slice(config).or_bad_input(format!("{name}/{CONFIG_NAME}"))?;
    let merges = files.get(MERGES_NAME).ok_or_else(|| missing(MERGES_NAME))?;
    let merges = std::str::from_utf8(merges).or_bad_input(format!("{name}/{MERGES_NAME}"))?;
    let tokenizer = ClipTokenizer::from_merges(merges, config.tokenizer)
        .or_bad_input(format!("{name}/{MERGES_NAME}"))?;
    let model = config
        .model
        .init(device)
        .or_bad_input(format!("{name}/{CONFIG_NAME}"))?;
    let model = load_state_dict(model, &state, Completeness::Whole)
        .map_err(|error| bad_input(named(&name, &error)))?;
    let preprocess = config.preprocess;
    tracing::info!("model: {name}");
    Ok(LoadedModel {
        pretrained: Pretrained {
            model,
            tokenizer,
            preprocess,
            card: card(folder)?,
        },
        name,
        hash: Pretrained::hash(&manifest_json),
        bytes: files.values().map(|content| content.len() as u64).sum(),
    })
}

/// The path of a file that a manifest names, which must not lead out of the folder.
fn inside(folder: &Path, file: &str) -> anyhow::Result<PathBuf> {
    let mut components = Path::new(file).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(_)), None) => Ok(folder.join(file)),
        _ => Err(bad_input(format!(
            "{}/{MANIFEST_NAME}: the file name '{file}' leads out of the folder",
            folder.display()
        ))),
    }
}

/// Writes a folder as a whole: beside its place first, then renamed. An older export there is
/// replaced.
///
/// # Errors
/// Bad input for a folder with other content; a disk that is full or read-only.
pub fn write_folder(folder: &Path, files: &[NamedFile]) -> anyhow::Result<()> {
    let name = folder.display();
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if folder.is_file() {
        return Err(bad_input(format!("{name}: a file; give a folder to write")));
    }
    // An older export may have had more shards.
    let known = |entry: &std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        files.iter().any(|(file, _)| *file == name) || is_shard_name(&name)
    };
    if let Ok(entries) = std::fs::read_dir(folder)
        && let Some(foreign) = entries.flatten().find(|entry| !known(entry))
    {
        return Err(bad_input(format!(
            "{name}: holds {}, which is no part of an export; give a new folder",
            foreign.file_name().display()
        )));
    }
    let failed = || format!("{name}: cannot write");
    std::fs::create_dir_all(parent).with_context(failed)?;
    let staged = tempfile::TempDir::new_in(parent).with_context(failed)?;
    for (file, content) in files {
        std::fs::write(staged.path().join(file), content).with_context(failed)?;
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(failed)?;
    }
    std::fs::rename(staged.keep(), folder).with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::BadInput;

    #[test]
    fn an_older_export_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("web");
        let file = |name: &str| (name.to_owned(), Bytes::from_static(b"new"));
        write_folder(
            &out,
            &[
                file("config.json"),
                file("model-00001-of-00002.safetensors"),
            ],
        )
        .unwrap();
        write_folder(
            &out,
            &[
                file("config.json"),
                file("model-00001-of-00001.safetensors"),
            ],
        )
        .unwrap();
        assert!(!out.join("model-00001-of-00002.safetensors").exists());
        // Somebody's model is no part of an export.
        let model = out.join("mine.safetensors");
        std::fs::write(&model, b"old").unwrap();
        let error = write_folder(&out, &[file("config.json")]).unwrap_err();
        assert!(error.is::<BadInput>() && error.to_string().contains("mine.safetensors"));
        assert_eq!(std::fs::read(&model).unwrap(), b"old");
    }
}
