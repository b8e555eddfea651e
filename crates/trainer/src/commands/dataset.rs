//! Options of commands that run over a folder per class.

use std::collections::BTreeMap;
use std::path::Path;

use emotionclip_data::decode::FOLDER_RATE;
use emotionclip_data::folder::{FolderDataset, FolderOptions};

use crate::failure::bad_input;
use crate::inputs::subject::SubjectChoice;
use crate::models::OpenedModel;

/// Options on what of a clip is looked at.
#[derive(clap::Args, Clone, Debug)]
pub struct ViewArgs {
    /// Who the subject is: whole, none, face[:n], detect[:n], box:x1,y1,x2,y2,
    /// crop:x1,y1,x2,y2 (pixels; the box alone fills the frame) or mask:FILE
    ///
    /// Default: whole; for predict and zero-shot --input with the built-in mini, face; for predict
    /// --probe as the probe was fitted.
    #[arg(long, value_name = "SUBJECT")]
    pub subject: Option<SubjectChoice>,
    /// Frames per second at which videos are read
    #[arg(long, value_name = "RATE", default_value_t = FOLDER_RATE, value_parser = positive)]
    pub fps: f64,
}

impl ViewArgs {
    /// The subject asked for, else the whole picture.
    pub fn subject(&self) -> SubjectChoice {
        self.subject.clone().unwrap_or(SubjectChoice::Whole)
    }

    /// The subject asked for, else as the model wants to be shown a picture or a video.
    pub fn subject_for(&self, model: &OpenedModel) -> SubjectChoice {
        let asked = self.subject.clone();
        asked.unwrap_or_else(|| model.default_subject())
    }
}

/// A number above zero.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("give a number above 0".to_owned()),
    }
}

/// Opens a dataset and says what was left out.
///
/// # Errors
/// Bad input for a folder that is no dataset.
pub fn open(root: &Path, folders: BTreeMap<String, String>) -> anyhow::Result<FolderDataset> {
    let options = FolderOptions { labels: folders };
    let dataset =
        FolderDataset::open(root, &options).map_err(|error| bad_input(error.to_string()))?;
    if dataset.skipped > 0 {
        tracing::warn!(
            "{}: {} files are neither pictures nor videos and were left out",
            root.display(),
            dataset.skipped
        );
    }
    Ok(dataset)
}
