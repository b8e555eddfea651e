//! From a folder of videos with captions to an index of clips, step by step.
//!
//! Each step reads what the ones before it wrote and writes a file a video into the [`WorkFolder`]:
//! frames, sentences, sentiment, boxes; the index then says which sentences become clips. A file is
//! written beside its place and renamed, and knows what it was made from, so a step that was stopped at
//! any moment goes on where it was, and one whose settings or inputs changed redoes what they touch.
//!
//! What can't be used is skipped, counted and named in `reports/<step>.json`; when more than
//! [`Limits::max_broken`] of the videos are broken the step stops.

mod captions;
mod duplicates;
mod error;
mod filters;
mod frames;
mod index;
mod inputs;
mod packed;
mod release;
mod sentiment;
mod step;
mod subjects;
pub(crate) mod work;

pub use captions::{CaptionFile, CaptionSettings, Punctuator, prepare_captions};
pub use duplicates::{EvaluationSets, HashMatcher, difference_hash};
pub use error::PrepareError;
pub use filters::{DropReason, IndexFilters};
pub(crate) use frames::frame_name as frame_file_name;
pub use frames::{FrameSettings, VideoFile, prepare_frames};
pub use index::{IndexEntry, IndexReport, read_index, write_index};
pub use inputs::{InputVideo, Inputs, encode_id};
pub use release::{ReleaseFiles, import_release};
pub use sentiment::{SentenceScore, SentimentFile, TextScorer, prepare_sentiment};
pub use step::{Limits, Skip, StepProgress, StepReport};
pub use subjects::{BoxSource, BoxSpace, BoxesFile, StoredBox, prepare_subjects};
pub use work::WorkFolder;

#[cfg(test)]
mod tests;
