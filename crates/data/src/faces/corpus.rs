//! The stream of pairs itself.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use emotionclip::{Clip, Emotion};
use image::{GrayImage, RgbImage};

use super::config::FaceConfig;
use super::error::FaceError;
use super::render::{box_mask, plain, render};
use super::scene::{FaceScene, Purpose, SceneFace};
use super::store::{FaceSplit, Utterance};
use crate::pairs::{Pair, PairError, PairedCorpus};
use crate::synthetic::Split;
use crate::synthetic::draws::Draws;

/// One split of the corpus as an unbounded sequence of pairs, each a function of the config, the
/// split and its index alone. Clones share the data.
#[derive(Clone, Debug)]
pub struct FaceCorpus {
    config: FaceConfig,
    data: Arc<FaceSplit>,
}

/// A face of a split, alone and not varied.
#[derive(Clone, Debug)]
pub struct FacePicture {
    /// Its number in the split.
    pub index: usize,
    /// What it shows.
    pub emotion: Emotion,
    /// Whether it repeats no other face of its split and its label is undisputed.
    pub is_distinct: bool,
    /// The face, filling the frame.
    pub picture: RgbImage,
}

impl FaceCorpus {
    /// Reads a split from the folder of a built corpus. To look at one split under several
    /// configurations, read it once and use [`FaceCorpus::new`].
    ///
    /// # Errors
    ///
    /// As [`FaceSplit::open`] and [`FaceCorpus::new`].
    pub fn open(folder: &Path, config: FaceConfig, split: Split) -> Result<Self, FaceError> {
        config.validate()?;
        Self::new(config, Arc::new(FaceSplit::open(folder, split)?))
    }

    /// A stream over a split that was read before.
    ///
    /// # Errors
    ///
    /// When a setting is out of range.
    pub fn new(config: FaceConfig, data: Arc<FaceSplit>) -> Result<Self, FaceError> {
        config.validate()?;
        Ok(Self { config, data })
    }

    /// The settings.
    pub fn config(&self) -> &FaceConfig {
        &self.config
    }

    /// The split.
    pub fn split(&self) -> Split {
        self.data.split()
    }

    /// The faces and utterances.
    pub fn data(&self) -> &Arc<FaceSplit> {
        &self.data
    }

    /// The same scenes without their faces: what is left must not tell the emotion.
    pub fn with_faces_erased(mut self) -> Self {
        self.config.draw_faces = false;
        self
    }

    /// The frame that stands for the clip: the middle one.
    pub fn peak_frame(&self) -> usize {
        self.config.frames / 2
    }

    /// The plan of a sample, without drawing it.
    pub fn scene(&self, index: u64) -> FaceScene {
        FaceScene::plan(&self.config, &self.data, index)
    }

    /// What the subject of a sample says: an utterance of its emotion from the same split.
    pub fn utterance(&self, index: u64) -> &Utterance {
        self.said(index, self.scene(index).emotion())
    }

    /// A sample with all its frames.
    pub fn sample(&self, index: u64) -> Pair {
        self.assemble(index, 0..self.config.frames)
    }

    /// A sample with some of its frames; the others cost nothing.
    ///
    /// # Errors
    ///
    /// When the range doesn't lie within the clip.
    pub fn sample_frames(&self, index: u64, frames: Range<usize>) -> Result<Pair, FaceError> {
        if frames.start > frames.end || frames.end > self.config.frames {
            return Err(FaceError::Range {
                start: frames.start,
                end: frames.end,
                frames: self.config.frames,
            });
        }
        Ok(self.assemble(index, frames))
    }

    /// A sample with only its [peak frame](FaceCorpus::peak_frame).
    pub fn sample_peak(&self, index: u64) -> Pair {
        let peak = self.peak_frame();
        self.assemble(index, peak..peak + 1)
    }

    /// The [peak frame](FaceCorpus::peak_frame) of a sample with each of its faces as the subject in
    /// turn: [`sample_peak`](FaceCorpus::sample_peak) first. What the others say is drawn as the
    /// subject's is, and their masks are as inexact.
    pub fn group_peak(&self, index: u64) -> Vec<Pair> {
        let own = self.sample_peak(index);
        let scene = self.scene(index);
        let time = self.config.time_of(self.peak_frame());
        let mut group = vec![own];
        for (place, face) in scene.faces().iter().enumerate() {
            if place == scene.subject_index() {
                continue;
            }
            let utterance = self.said_by(index, face.emotion, 1 + place as u32);
            let mask = box_mask(&face.placement_at(time), scene.box_jitter, self.config.size);
            let mut others = scene.others();
            others.retain(|other| *other != face.emotion);
            others.push(scene.emotion());
            group.push(Pair {
                key: format!("{}-{place}", self.key(index)),
                clip: Clip {
                    frames: group[0].clip.frames.clone(),
                    masks: vec![mask],
                },
                text: utterance.text.clone(),
                sentiment: utterance.sentiment,
                emotion: face.emotion,
                others,
                peak_frame: self.peak_frame(),
            });
        }
        group
    }

    /// The masks that tell a model to look at a face of a scene, one a frame of the clip: for the
    /// subject those of the sample but for the jitter of training, for another face what asks for
    /// that one in the same pictures.
    pub fn masks_on(&self, face: &SceneFace) -> Vec<GrayImage> {
        let times = (0..self.config.frames).map(|frame| self.config.time_of(frame));
        times
            .map(|time| box_mask(&face.placement_at(time), [0.0; 4], self.config.size))
            .collect()
    }

    /// Every face of the split exactly once, not varied, filling frames of the configured size: of
    /// `PublicTest` (validation) and `PrivateTest` (test) the measure that others report.
    pub fn every_face(&self) -> impl ExactSizeIterator<Item = FacePicture> {
        (0..self.data.face_count()).map(|index| FacePicture {
            index,
            emotion: self.data.emotion(index),
            is_distinct: !self.data.is_single_only(index),
            picture: plain(self.data.pixels(index), self.config.size),
        })
    }

    fn assemble(&self, index: u64, frames: Range<usize>) -> Pair {
        let scene = self.scene(index);
        let utterance = self.said(index, scene.emotion());
        Pair {
            key: self.key(index),
            clip: render(&scene, &self.config, &self.data, index, frames),
            text: utterance.text.clone(),
            sentiment: utterance.sentiment,
            emotion: scene.emotion(),
            others: scene.others(),
            peak_frame: self.peak_frame(),
        }
    }

    fn key(&self, index: u64) -> String {
        let split = self.split().name();
        if self.config.min_faces == self.config.max_faces {
            let count = self.config.min_faces;
            format!("{split}-{count}-{index:08}")
        } else {
            format!("{split}-{index:08}")
        }
    }

    fn said(&self, index: u64, emotion: Emotion) -> &Utterance {
        self.said_by(index, emotion, 0)
    }

    /// What somebody of a sample says; the subject is number 0.
    fn said_by(&self, index: u64, emotion: Emotion, number: u32) -> &Utterance {
        let purpose = Purpose::Utterance as u16;
        let mut draws = Draws::numbered(self.config.seed, self.split(), index, purpose, number);
        let candidates = self.data.spoken_of(emotion);
        let chosen = candidates[draws.below(candidates.len())];
        &self.data.utterances()[chosen as usize]
    }
}

impl FacePicture {
    /// The face as a clip of one frame whose subject is the whole picture.
    pub fn into_clip(self) -> Clip {
        Clip::whole(vec![self.picture])
    }
}

impl PairedCorpus for FaceCorpus {
    fn pair(&self, index: u64) -> Result<Pair, PairError> {
        Ok(self.sample(index))
    }

    fn peak_pair(&self, index: u64) -> Result<Pair, PairError> {
        Ok(self.sample_peak(index))
    }

    fn peak_group(&self, index: u64) -> Result<Vec<Pair>, PairError> {
        Ok(self.group_peak(index))
    }

    fn emotion(&self, index: u64) -> Emotion {
        self.scene(index).emotion()
    }

    fn spoken(&self, index: u64) -> (&str, [f32; Emotion::COUNT]) {
        let utterance = self.utterance(index);
        (&utterance.text, utterance.sentiment)
    }

    fn description(&self, index: u64, moving: bool) -> String {
        self.description(index, moving)
    }

    fn alike_count(&self, dominant: Emotion) -> usize {
        self.data.utterances_by_sentiment(dominant).len()
    }

    fn alike(&self, dominant: Emotion, number: usize) -> &str {
        self.data.said_with(dominant, number)
    }
}
