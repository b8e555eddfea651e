//! A model's web bundle, file by file: only one shard has to be in memory at a time.
//!
//! | file | holds |
//! |---|---|
//! | `model.json` | the manifest: every file's length and SHA-256, every tensor |
//! | `config.json` | architecture, preprocessing and tokenizer settings |
//! | `merges.txt` | the tokenizer's byte-pair merges |
//! | `model-….safetensors` | the weights |
//! | `card.json` | for people: name, what it was trained on, default labels ([`ModelCard`]); may be missing |
//! | `selftest.json` | golden vectors ([`crate::Golden`]); may be missing |

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Device;
use bytes::Bytes;
use emotionclip::card::ModelCard;
use emotionclip::checkpoint::web::{self, Manifest};
use emotionclip::parameters::{load_part, parameter_count, parameters};
use emotionclip::preprocess::Preprocess;
use emotionclip::tokenizer::{ClipTokenizer, TokenizerConfig};
use emotionclip::{EmotionClip, EmotionClipConfig, Pretrained};
use serde::{Deserialize, Serialize};

use crate::SessionError;
use crate::selftest::{Golden, SELF_TEST_NAME};

/// The configuration's file.
pub const CONFIG_NAME: &str = "config.json";
/// The tokenizer's merges.
pub const MERGES_NAME: &str = "merges.txt";
/// What people should know of the model.
pub const CARD_NAME: &str = "card.json";

/// `config.json`, as `trainer export --format web` writes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleConfig {
    /// The architecture.
    pub model: EmotionClipConfig,
    /// What makes tensors of frames.
    pub preprocess: Preprocess,
    /// What makes ids of texts.
    pub tokenizer: TokenizerConfig,
}

/// What the page shows of a model.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelInfo {
    /// Missing for a bundle that carries none.
    pub card: Option<ModelCard>,
    /// SHA-256 of the manifest, which `trainer` and saved probes call the model's hash.
    pub hash: String,
    /// Trainable scalars.
    pub parameters: usize,
    /// Length of all files.
    pub bytes: u64,
    /// Frames in a window.
    pub frames: usize,
    /// Side of the model's picture in pixels.
    pub side: usize,
    /// Patches along that side.
    pub grid: usize,
    /// Layers of the frame encoder.
    pub layers: usize,
    /// Width of an embedding.
    pub width: usize,
    /// Whether the model can be told who the subject is.
    pub knows_subject: bool,
}

/// Takes the files of one bundle in any order, shards after `config.json`.
pub struct BundleLoader {
    manifest: Manifest,
    hash: String,
    config: Option<BundleConfig>,
    tokenizer: Option<ClipTokenizer>,
    merges: Option<String>,
    card: Option<ModelCard>,
    golden: Option<Golden>,
    model: Option<EmotionClip>,
    /// Keys of parameters that no shard has brought yet.
    missing: BTreeSet<String>,
    device: Device,
}

impl BundleLoader {
    /// Begins with the manifest.
    ///
    /// # Errors
    /// If it is none, or of another version.
    pub fn new(manifest_json: &[u8], device: &Device) -> Result<Self, SessionError> {
        let manifest = web::read_manifest(manifest_json)
            .map_err(|error| SessionError::model(web::MANIFEST_NAME, error))?;
        Ok(Self {
            manifest,
            hash: Pretrained::hash(manifest_json),
            config: None,
            tokenizer: None,
            merges: None,
            card: None,
            golden: None,
            model: None,
            missing: BTreeSet::new(),
            device: device.clone(),
        })
    }

    /// Files to fetch with their lengths, in the order in which [`add`](Self::add) wants them: small
    /// ones that say what the model is first.
    pub fn files(&self) -> Vec<(String, u64)> {
        let is_shard: BTreeSet<&String> = self
            .manifest
            .tensors
            .values()
            .map(|entry| &entry.file)
            .collect();
        let mut files: Vec<(bool, String, u64)> = self
            .manifest
            .files
            .iter()
            .map(|(name, entry)| (is_shard.contains(name), name.clone(), entry.bytes))
            .collect();
        files.sort();
        files
            .into_iter()
            .map(|(_, name, bytes)| (name, bytes))
            .collect()
    }

    /// Takes one file; a shard's tensors go to the device at once.
    ///
    /// # Errors
    /// A file that isn't what the manifest describes, that can't be read, or a shard that comes
    /// before `config.json` or doesn't fit it.
    pub fn add(&mut self, name: &str, content: Vec<u8>) -> Result<(), SessionError> {
        let content = Bytes::from(content);
        let fault = |problem: String| SessionError::model(name, problem);
        web::check_file(&self.manifest, name, &content).map_err(|e| fault(e.to_string()))?;
        match name {
            CONFIG_NAME => {
                let config: BundleConfig = from_json(name, &content)?;
                let model = config.model.init(&self.device)?;
                self.missing = parameters(&model)
                    .into_iter()
                    .map(|info| info.key)
                    .collect();
                self.model = Some(model);
                self.config = Some(config);
            }
            MERGES_NAME => {
                let text = std::str::from_utf8(&content).map_err(|e| fault(e.to_string()))?;
                self.merges = Some(text.to_owned());
            }
            CARD_NAME => self.card = Some(from_json(name, &content)?),
            SELF_TEST_NAME => self.golden = Some(from_json(name, &content)?),
            shard => {
                if !self
                    .manifest
                    .tensors
                    .values()
                    .any(|entry| entry.file == shard)
                {
                    return Ok(());
                }
                let tensors = web::import_shard(&self.manifest, shard, &content)
                    .map_err(|error| fault(error.to_string()))?;
                drop(content);
                let model = self.model.take();
                let model = model.ok_or_else(|| fault(format!("{CONFIG_NAME} must come first")))?;
                let model = load_part(model, tensors, &mut self.missing);
                self.model = Some(model.map_err(|error| fault(error.to_string()))?);
            }
        }
        if let (Some(merges), Some(config), None) = (&self.merges, &self.config, &self.tokenizer) {
            self.tokenizer = Some(ClipTokenizer::from_merges(
                merges,
                config.tokenizer.clone(),
            )?);
        }
        Ok(())
    }

    /// The model, its description and its golden vectors, once all files were added.
    ///
    /// # Errors
    /// Files or tensors that never came; parts that don't fit each other.
    pub fn finish(self) -> Result<(Pretrained, ModelInfo, Option<Golden>), SessionError> {
        let lacks =
            |name: &str| SessionError::model(web::MANIFEST_NAME, format!("lists no {name}"));
        let model = self.model.ok_or_else(|| lacks(CONFIG_NAME))?;
        let config = self.config.ok_or_else(|| lacks(CONFIG_NAME))?;
        let tokenizer = self.tokenizer.ok_or_else(|| lacks(MERGES_NAME))?;
        if let Some(first) = self.missing.first() {
            return Err(SessionError::model(
                web::MANIFEST_NAME,
                format!(
                    "{} tensors are missing, {first} among them",
                    self.missing.len()
                ),
            ));
        }
        let vision = &config.model.vision;
        if config.preprocess.crop as usize != vision.image_size
            || tokenizer.vocab_size() != config.model.text.vocab_size
            || config.tokenizer.context_length != config.model.text.context_length
        {
            return Err(SessionError::model(
                CONFIG_NAME,
                "preprocessing or tokenizer don't fit the model; export it again",
            ));
        }
        config.preprocess.validate()?;
        let info = ModelInfo {
            card: self.card.clone(),
            hash: self.hash,
            parameters: parameter_count(&model),
            bytes: self.manifest.files.values().map(|entry| entry.bytes).sum(),
            frames: config.model.temporal.frames,
            side: vision.image_size,
            grid: vision.grid(),
            layers: vision.layers,
            width: config.model.embed_dim,
            knows_subject: vision.subject != emotionclip::config::SubjectEncoding::Vanilla,
        };
        let pretrained = Pretrained {
            model,
            tokenizer,
            preprocess: config.preprocess,
            card: self.card,
        };
        Ok((pretrained, info, self.golden))
    }

    /// All files of a bundle at once, by name: for programs that have them in memory anyway.
    ///
    /// # Errors
    /// As [`add`](Self::add) and [`finish`](Self::finish); a listed file that is missing.
    pub fn load(
        manifest_json: &[u8],
        files: &BTreeMap<String, Vec<u8>>,
        device: &Device,
    ) -> Result<(Pretrained, ModelInfo, Option<Golden>), SessionError> {
        let mut loader = Self::new(manifest_json, device)?;
        for (name, _) in loader.files() {
            let content = files
                .get(&name)
                .ok_or_else(|| SessionError::model(&name, "is missing"))?;
            loader.add(&name, content.clone())?;
        }
        loader.finish()
    }
}

fn from_json<T: serde::de::DeserializeOwned>(name: &str, json: &[u8]) -> Result<T, SessionError> {
    serde_json::from_slice(json).map_err(|error| SessionError::model(name, error))
}
