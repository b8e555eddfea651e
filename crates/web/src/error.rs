//! What can go wrong, by a code that the page knows a remedy for.

use emotionclip::checkpoint::CheckpointError;
use emotionclip::config::ConfigError;
use emotionclip::detector::DetectorError;
use emotionclip::explain::ExplainError;
use emotionclip::preprocess::PreprocessError;
use emotionclip::probe::ProbeError;
use emotionclip::streaming::StreamingError;
use emotionclip::tokenizer::TokenizerError;
use emotionclip::zero_shot::LabelError;

/// Why the session can't do what it was asked; it stays as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A model file that is damaged, foreign, or doesn't fit the others.
    #[error("{file}: {problem}")]
    Model {
        /// Name of the file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Labels that no reading can be given for.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// A picture that can't be used.
    #[error("the picture can't be used: {0}")]
    Picture(String),
    /// A subject that isn't there.
    #[error("{0}")]
    Subject(String),
    /// A probe that can't be fitted, read or applied.
    #[error("{0}")]
    Probe(String),
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
}

impl SessionError {
    /// A short code for programs: `model`, `labels`, `picture`, `subject`, `probe` or `device`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Model { .. } => "model",
            Self::Labels(_) => "labels",
            Self::Picture(_) => "picture",
            Self::Subject(_) => "subject",
            Self::Probe(_) => "probe",
            Self::Device(_) => "device",
        }
    }

    pub(crate) fn model(file: &str, problem: impl ToString) -> Self {
        Self::Model {
            file: file.to_owned(),
            problem: problem.to_string(),
        }
    }
}

impl From<StreamingError> for SessionError {
    fn from(error: StreamingError) -> Self {
        Self::Picture(error.to_string())
    }
}

impl From<PreprocessError> for SessionError {
    fn from(error: PreprocessError) -> Self {
        Self::Picture(error.to_string())
    }
}

impl From<DetectorError> for SessionError {
    fn from(error: DetectorError) -> Self {
        match error {
            DetectorError::Device(message) => Self::Device(message),
            other => Self::Picture(other.to_string()),
        }
    }
}

impl From<ExplainError> for SessionError {
    fn from(error: ExplainError) -> Self {
        Self::Device(error.to_string())
    }
}

impl From<ProbeError> for SessionError {
    fn from(error: ProbeError) -> Self {
        Self::Probe(error.to_string())
    }
}

impl From<ConfigError> for SessionError {
    fn from(error: ConfigError) -> Self {
        Self::model(crate::bundle::CONFIG_NAME, error)
    }
}

impl From<TokenizerError> for SessionError {
    fn from(error: TokenizerError) -> Self {
        Self::model(crate::bundle::MERGES_NAME, error)
    }
}

impl From<CheckpointError> for SessionError {
    fn from(error: CheckpointError) -> Self {
        Self::model("model", error)
    }
}
