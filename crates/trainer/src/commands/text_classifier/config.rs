//! Everything that determines a training run, as one TOML file.

use std::path::Path;

use anyhow::Context as _;
use emotionclip::optim::Schedule;
use emotionclip::text_classifier::TextClassifierConfig;
use serde::{Deserialize, Serialize};

use super::vectors::VectorsConfig;
use crate::failure::{OrBadInput, bad_input};
use crate::inputs::files::{one_line, read_text};

/// A run's configuration; saved with the run as `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Seed of the parameters, the data order and the dropout.
    pub seed: u64,
    /// Texts a step.
    pub batch_size: usize,
    /// Passes over the training texts; the schedule's length.
    pub epochs: usize,
    /// Stops after this many epochs without a better score on dev.tsv; 0 never stops.
    pub patience: usize,
    /// AdamW's base rate.
    pub learning_rate: f64,
    /// AdamW's decay of matrices; vectors have none.
    pub weight_decay: f64,
    /// Chance that a token of a training text is left out.
    pub word_dropout: f64,
    /// An emotion's texts weigh as its frequency to minus this power; 0 weighs all alike.
    pub class_weight_power: f64,
    /// The classifier that is tried and kept is a running mean of the trained one's parameters, with
    /// this decay a step; 0 keeps the last step's.
    pub average_decay: f64,
    /// Course of the rate.
    pub schedule: Schedule,
    /// Word vectors that the token embeddings start from, instead of random numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<VectorsConfig>,
    /// The architecture.
    pub model: TextClassifierConfig,
}

impl Default for TrainConfig {
    /// The recipe of the built-in classifier, chosen on dev.tsv, but for its word vectors.
    fn default() -> Self {
        Self {
            seed: 2022,
            batch_size: 64,
            epochs: 3,
            patience: 2,
            learning_rate: 2e-3,
            weight_decay: 0.1,
            word_dropout: 0.2,
            class_weight_power: 0.0,
            average_decay: 0.997,
            schedule: Schedule::Cosine {
                warmup_steps: 100,
                final_fraction: 0.02,
            },
            vectors: None,
            model: TextClassifierConfig::small(),
        }
    }
}

impl TrainConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// Bad input if the file can't be read, is no TOML of this form or describes no run.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(&read_text(path)?)
            .map_err(|error| anyhow::anyhow!("{}", one_line(error)))
            .or_bad_input(path.display())?;
        config.validate().or_bad_input(path.display())?;
        Ok(config)
    }

    /// The configuration as TOML.
    ///
    /// # Errors
    /// A number that TOML can't hold.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        toml::to_string_pretty(self).context("writing the configuration as TOML")
    }

    /// Checks what the types can't.
    ///
    /// # Errors
    /// Bad input, naming the field.
    pub fn validate(&self) -> anyhow::Result<()> {
        self.model.validate().or_bad_input("model")?;
        if self.batch_size == 0 || self.epochs == 0 {
            return Err(bad_input("batch_size and epochs: must be at least 1"));
        }
        for (field, value) in [
            ("learning_rate", self.learning_rate),
            ("weight_decay", self.weight_decay),
            ("class_weight_power", self.class_weight_power),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(bad_input(format!(
                    "{field}: {value} must be 0 or a positive number"
                )));
            }
        }
        for (field, value) in [
            ("word_dropout", self.word_dropout),
            ("average_decay", self.average_decay),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(bad_input(format!("{field}: {value} must lie in [0, 1)")));
            }
        }
        if let Some(vectors) = &self.vectors
            && !vectors.scale.is_finite()
        {
            return Err(bad_input("vectors.scale: must be a finite number"));
        }
        self.schedule.validate(1).or_bad_input("schedule")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::BadInput;

    #[test]
    fn the_default_survives_toml_and_faults_name_their_field() {
        let config = TrainConfig::default();
        let text = config.to_toml().unwrap();
        assert_eq!(toml::from_str::<TrainConfig>(&text).unwrap(), config);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        for (from, to, expected) in [
            ("batch_size = 64", "batch_size = 0", "batch_size"),
            ("word_dropout = 0.2", "word_dropout = 1.0", "word_dropout"),
            ("weight_decay = 0.1", "weight_decay = -1.0", "weight_decay"),
            ("patience", "patients", "patients"),
            ("heads = 4", "heads = 7", "text.heads"),
        ] {
            assert!(text.contains(from), "{from} is not in {text}");
            std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let error = TrainConfig::read(&path).unwrap_err();
            assert!(error.is::<BadInput>());
            let message = error.to_string();
            assert!(
                message.contains("run.toml") && message.contains(expected),
                "{message}"
            );
        }
    }
}
