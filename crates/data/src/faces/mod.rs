//! The corpus of real faces and real utterances: what a person shows and what a person says, each
//! from a data set of its own, paired by the emotion.
//!
//! FER2013 has the faces and GoEmotions the sentences, both with the same seven emotions.
//! [`build`](build()) reads their folders, takes out whatever stands in two splits, and gives a
//! compact corpus as files; [`FaceSplit`] reads one split of it; [`FaceCorpus`] makes an unbounded
//! stream of pairs of it, each a function of (seed, split, index): a face that fills the frame, or a
//! scene of one to four faces with different emotions, in which a mask marks whose utterance it is.
//!
//! The pairs are made from class labels, so a model trained on them is weakly supervised. What must
//! not give the emotion away can't: place, size, looks, background, light and motion come from
//! streams of random numbers that never see it, and faces and utterances belong to one split.

mod backdrop;
mod build;
mod config;
mod corpus;
mod curate;
mod describe;
mod digests;
mod error;
mod labels;
mod layout;
mod likeness;
mod manifest;
pub mod miniature;
mod part;
mod permutation;
mod render;
mod scene;
mod sentiment;
mod source;
mod sprite;
mod store;
mod warp;

#[cfg(test)]
mod tests;

pub use build::{BuildOptions, Built, Progress, build};
pub use config::{Augmentation, FaceConfig, FaceSampling, FaceView, MAX_FACES};
pub use corpus::{FaceCorpus, FacePicture};
pub use curate::normalise;
pub use digests::{DIGEST_BYTES, DigestList};
pub use error::FaceError;
pub use labels::label_texts;
pub use manifest::{Dropped, FileEntry, MANIFEST, Manifest, SentimentSource, Source, SplitCounts};
pub use part::FacePart;
pub use scene::{FacePlacement, FaceScene, SceneFace};
pub use sentiment::{LABEL_SMOOTHING, logits_of_label};
pub use store::{FaceSplit, Utterance};

/// Side of a stored face in pixels: that of FER2013.
pub const FACE_SIDE: u32 = 48;

/// Pixels of a stored face.
const FACE_PIXELS: usize = (FACE_SIDE * FACE_SIDE) as usize;
