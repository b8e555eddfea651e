//! A part of a set and its samples.

use std::path::{Path, PathBuf};

use emotionclip::preprocess::SubjectBox;

use super::boxes::FrameBoxes;
use super::error::{BenchmarkError, SampleFault, SkippedSample};
use super::{ProbeDataset, ProbeOptions};
use crate::synthetic::Split;

/// A frame that is looked at, and the people in it.
#[derive(Clone, Debug, PartialEq)]
pub struct SubjectFrame {
    /// The picture.
    pub path: PathBuf,
    /// Boxes in the coordinates of the set's
    /// [`MaskProtocol`](emotionclip::preprocess::MaskProtocol); none where nobody was found.
    pub boxes: Vec<SubjectBox>,
}

/// One sample: what is looked at and what is true of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSample {
    /// Its name: `dia0_utt3`, `tt0109830/17`.
    pub id: String,
    /// The frames in time order; one picture for EMOTIC. A short clip repeats frames.
    pub frames: Vec<SubjectFrame>,
    /// Indices of its classes in [`ProbeDataset::classes`], ascending; may be none, and is exactly
    /// one for MELD.
    pub labels: Vec<usize>,
    /// Its numbers, in the order of [`ProbeDataset::values`].
    pub values: Vec<f64>,
}

/// A part of a set.
#[derive(Clone, Debug)]
pub struct ProbePart {
    /// Which set.
    pub dataset: ProbeDataset,
    /// Which part.
    pub split: Split,
    /// Its samples, in the order of the release's loader.
    pub samples: Vec<ProbeSample>,
    /// Samples that can't be used.
    pub skipped: Vec<SkippedSample>,
    /// Samples of the published set that are known to be broken and were left out.
    pub known_defects: Vec<String>,
}

impl ProbePart {
    /// What the set calls the part: MELD's validation part is `dev`.
    pub fn name(&self) -> &'static str {
        part_name(self.dataset, self.split)
    }
}

/// What a set calls a part.
pub(super) const fn part_name(dataset: ProbeDataset, split: Split) -> &'static str {
    match (dataset, split) {
        (_, Split::Train) => "train",
        (ProbeDataset::Meld, Split::Validation) => "dev",
        (_, Split::Validation) => "val",
        (_, Split::Test) => "test",
    }
}

/// A sample whose boxes are still in the detector's file.
pub(super) struct Pending {
    pub(super) sample: ProbeSample,
    /// Where its row stands.
    pub(super) place: String,
    /// Clip or film, and name of each frame, in the detector's file.
    pub(super) keys: Vec<(String, String)>,
}

/// Collects a part.
pub(super) struct PartBuilder {
    part: ProbePart,
    /// The table that names its samples.
    table: PathBuf,
}

impl PartBuilder {
    pub(super) fn new(dataset: ProbeDataset, split: Split, table: &Path) -> Self {
        Self {
            part: ProbePart {
                dataset,
                split,
                samples: Vec::new(),
                skipped: Vec::new(),
                known_defects: Vec::new(),
            },
            table: table.to_owned(),
        }
    }

    /// Adds a sample, or the reason why it can't be used.
    pub(super) fn push(&mut self, place: &str, sample: Result<ProbeSample, SampleFault>) {
        match sample {
            Ok(sample) => self.part.samples.push(sample),
            Err(fault) => self.skip(place, fault),
        }
    }

    pub(super) fn skip(&mut self, place: &str, fault: SampleFault) {
        self.part.skipped.push(SkippedSample {
            file: self.table.clone(),
            place: place.to_owned(),
            fault,
        });
    }

    /// The samples that follow stand in another table.
    pub(super) fn continue_in(&mut self, table: &Path) {
        self.table = table.to_owned();
    }

    /// Names a sample that the published set is known to lack.
    pub(super) fn known_defect(&mut self, name: String) {
        self.part.known_defects.push(name);
    }

    /// Adds samples with the boxes of their frames.
    pub(super) fn attach(&mut self, pending: Vec<Pending>, boxes: &FrameBoxes) {
        for Pending {
            mut sample,
            place,
            keys,
        } in pending
        {
            let mut fault = None;
            for (frame, (group, name)) in sample.frames.iter_mut().zip(keys) {
                match boxes.get(&group, &name) {
                    Some(found) => frame.boxes = found.to_vec(),
                    None => fault = Some(SampleFault::NoBoxes(format!("{group}/{name}"))),
                }
            }
            self.push(&place, fault.map_or(Ok(sample), Err));
        }
    }

    /// The part, unless too much of it can't be used.
    ///
    /// # Errors
    /// [`BenchmarkError::Damaged`] or [`BenchmarkError::Empty`].
    pub(super) fn finish(self, options: &ProbeOptions) -> Result<ProbePart, BenchmarkError> {
        let part = self.part;
        let samples = part.samples.len() + part.skipped.len();
        if part.skipped.len() as f64 > options.max_skipped * samples as f64 {
            return Err(BenchmarkError::Damaged {
                dataset: part.dataset,
                part: part.name(),
                samples,
                limit: options.max_skipped,
                skipped: part.skipped,
            });
        }
        if part.samples.is_empty() {
            return Err(BenchmarkError::Empty {
                dataset: part.dataset,
                part: part.name(),
            });
        }
        Ok(part)
    }
}
