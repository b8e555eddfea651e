//! What the files of all models of video and text have in common: tensors, and as metadata the
//! configuration, the preprocessing, the tokenizer's settings and perhaps a card.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::card::{CARD_KEY, ModelCard};
use crate::checkpoint::{self, StateDict};
use crate::config::EmotionClipConfig;
use crate::parameters::{Completeness, Keyed, load_state_dict};
use crate::preprocess::Preprocess;
use crate::pretrained::{PREPROCESS_KEY, PretrainedError, TOKENIZER_KEY};
use crate::tokenizer::{ClipTokenizer, TokenizerConfig, TokenizerError};

/// A configuration that a model file carries.
pub(crate) trait FileConfig: Serialize + DeserializeOwned {
    /// Its metadata key, which tells the models apart.
    const KEY: &'static str;

    /// The towers that the tokenizer and the preprocessing must fit.
    fn towers(&self) -> EmotionClipConfig;

    /// The preprocessing of a file that names none.
    fn default_preprocess(&self) -> Preprocess;

    /// The tokenizer of a file that names none, and of a new model.
    fn default_tokenizer(&self) -> TokenizerConfig;
}

/// A model file that was read and whose parts fit each other.
pub(crate) struct ModelFile<C> {
    name: String,
    tensors: StateDict,
    pub(crate) config: C,
    pub(crate) preprocess: Preprocess,
    pub(crate) tokenizer: ClipTokenizer,
    pub(crate) card: Option<ModelCard>,
}

impl<C: FileConfig> ModelFile<C> {
    /// Reads a file's bytes; `name` is used in errors.
    pub(crate) fn read(
        bytes: Bytes,
        name: &str,
        tokenizer: impl FnOnce(TokenizerConfig) -> Result<ClipTokenizer, TokenizerError>,
    ) -> Result<Self, PretrainedError> {
        // Read first: it checks the header that the metadata is then taken from.
        let tensors = checkpoint::read(bytes.clone(), name)?;
        let no_config = || PretrainedError::NoConfig {
            file: name.to_owned(),
        };
        let (_, header) =
            safetensors::SafeTensors::read_metadata(&bytes).map_err(|_| no_config())?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let config = metadata.get(C::KEY).ok_or_else(no_config)?;
        let config: C = parse(name, C::KEY, config)?;
        let preprocess = match metadata.get(PREPROCESS_KEY) {
            Some(text) => parse(name, PREPROCESS_KEY, text)?,
            None => config.default_preprocess(),
        };
        let settings = match metadata.get(TOKENIZER_KEY) {
            Some(text) => parse(name, TOKENIZER_KEY, text)?,
            None => config.default_tokenizer(),
        };
        let card = metadata.get(CARD_KEY);
        let card = card.map(|text| parse(name, CARD_KEY, text)).transpose()?;
        let tokenizer = tokenizer(settings)?;
        fits(name, &config.towers(), &tokenizer, &preprocess)?;
        Ok(Self {
            name: name.to_owned(),
            tensors,
            config,
            preprocess,
            tokenizer,
            card,
        })
    }

    /// Loads the tensors into a model of the file's configuration.
    pub(crate) fn fill<M: Keyed>(&self, model: M) -> Result<M, PretrainedError> {
        load_state_dict(model, &self.tensors, Completeness::Whole).map_err(|error| {
            PretrainedError::Tensors {
                file: self.name.clone(),
                error,
            }
        })
    }
}

/// The metadata that makes a safetensors file of a model's tensors a model file.
pub(crate) fn metadata<C: FileConfig>(
    config: &C,
    preprocess: &Preprocess,
    tokenizer: &ClipTokenizer,
    card: Option<&ModelCard>,
) -> BTreeMap<String, String> {
    let entries = [
        (C::KEY, serde_json::to_string(config)),
        (PREPROCESS_KEY, serde_json::to_string(preprocess)),
        (TOKENIZER_KEY, serde_json::to_string(tokenizer.config())),
    ];
    let card = card.map(|card| (CARD_KEY, serde_json::to_string(card)));
    entries
        .into_iter()
        .chain(card)
        .filter_map(|(key, json)| Some((key.to_owned(), json.ok()?)))
        .collect()
}

fn parse<T: DeserializeOwned>(
    file: &str,
    key: &'static str,
    text: &str,
) -> Result<T, PretrainedError> {
    serde_json::from_str(text).map_err(|error| PretrainedError::Metadata {
        file: file.to_owned(),
        key,
        problem: error.to_string(),
    })
}

/// Checks that what the tokenizer and the preprocessing make is what the encoders take.
fn fits(
    file: &str,
    config: &EmotionClipConfig,
    tokenizer: &ClipTokenizer,
    preprocess: &Preprocess,
) -> Result<(), PretrainedError> {
    let fault = |key, problem| {
        Err(PretrainedError::Metadata {
            file: file.to_owned(),
            key,
            problem,
        })
    };
    let (ids, rows) = (tokenizer.vocab_size(), config.text.vocab_size);
    if ids != rows {
        let problem = format!("it makes {ids} ids, the text encoder has {rows}");
        return fault(TOKENIZER_KEY, problem);
    }
    let (length, limit) = (
        tokenizer.config().context_length,
        config.text.context_length,
    );
    if length > limit {
        let problem = format!("context_length is {length}, the text encoder's {limit}");
        return fault(TOKENIZER_KEY, problem);
    }
    let (crop, side) = (preprocess.crop as usize, config.vision.image_size);
    if crop != side {
        let problem = format!("crop is {crop}, the frame encoder takes {side} pixels");
        return fault(PREPROCESS_KEY, problem);
    }
    preprocess.validate()?;
    Ok(())
}
