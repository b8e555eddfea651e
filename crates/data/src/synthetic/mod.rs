//! The embedded corpus: scenes of animated figures drawn by code, with what they could be saying.
//!
//! It exists so that the whole system can be trained, tested and shown on a fresh machine without
//! a download. Up to three figures act out different emotions in face and posture, from neutral in
//! the first frame to the full expression in the last; a mask marks one of them, and the utterance
//! is that one's. A model that doesn't know who the subject is can't know what is said.
//!
//! What must not give the answer away can't: size, place, looks, background, light and motion come
//! from streams of random numbers that never see the emotion, figures and utterances belong to
//! exactly one split, the subject's box doesn't depend on the pose, and a scene holds no text at
//! all. A share of the figures is restrained: their bodies show little, so a reader has to look at
//! faces too.

pub(crate) mod background;
pub(crate) mod canvas;
mod describe;
pub(crate) mod draws;
mod expression;
mod face;
mod figure;
mod hair;
mod identity;
pub(crate) mod light;
mod render;
mod scene;
mod texts;

#[cfg(test)]
pub(crate) mod tests;

use std::ops::Range;

use emotionclip::{Clip, Emotion};
use serde::{Deserialize, Serialize};

pub use identity::{IDENTITIES, Identity, LOOKS};
pub use scene::{BOX_ASPECT, Figure, MAX_FIGURES, Placement, Scene};
pub use texts::{LabelTexts, label_texts, sentiment_logits, utterances};

pub(crate) use texts::parse as parse_per_emotion;

use canvas::Canvas;
use draws::{Draws, Purpose};

/// A part of the corpus. The parts share no utterance and no figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// For training; as many samples as one likes.
    Train,
    /// For choosing settings.
    Validation,
    /// For the numbers reported.
    Test,
}

/// How many figures the scenes have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FigureCount {
    /// One. A real face fills the frame.
    Single,
    /// One, of any size and anywhere in the frame; of drawn figures the same as `Single`.
    Placed,
    /// Two or three, equally often.
    Multi,
    /// One, two or three, equally often.
    #[default]
    Mixed,
}

/// What the subject's mask covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaskKind {
    /// The figure's box, which depends on its place and size only.
    #[default]
    Box,
    /// The pixels the figure covers. These depend on the pose, so they say something about the
    /// emotion.
    Silhouette,
}

/// What of the figures is drawn; for measuring what a reading rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Appearance {
    /// Draw the figures at all; without them only the background and the mask are left.
    pub draw_figures: bool,
    /// The faces show the emotion; else they stay neutral.
    pub face: bool,
    /// The bodies show the emotion; else they stay neutral.
    pub posture: bool,
}

impl Appearance {
    /// Everything.
    pub const FULL: Self = Self {
        draw_figures: true,
        face: true,
        posture: true,
    };
    /// Only the faces change.
    pub const FACE_ONLY: Self = Self {
        posture: false,
        ..Self::FULL
    };
    /// Only the bodies change.
    pub const POSTURE_ONLY: Self = Self {
        face: false,
        ..Self::FULL
    };
    /// The scene without any figure.
    pub const ERASED: Self = Self {
        draw_figures: false,
        ..Self::FULL
    };
}

impl Default for Appearance {
    fn default() -> Self {
        Self::FULL
    }
}

/// The corpus's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyntheticConfig {
    /// Side of the square frames in pixels.
    pub size: u32,
    /// Frames a clip.
    pub frames: usize,
    /// Seed of everything drawn at random.
    pub seed: u64,
    /// How many figures the scenes have.
    pub figures: FigureCount,
    /// What the subject's mask covers.
    pub mask: MaskKind,
    /// Share of the figures, whatever they feel, whose bodies show little of it, so that the face
    /// must be read as well; in `[0, 1]`.
    pub restraint: f32,
    /// What of the figures is drawn.
    pub appearance: Appearance,
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self {
            size: 64,
            frames: 8,
            seed: 0,
            figures: FigureCount::default(),
            mask: MaskKind::default(),
            restraint: 0.25,
            appearance: Appearance::default(),
        }
    }
}

impl SyntheticConfig {
    /// Frames from [`SyntheticConfig::MIN_SIZE`] to this many pixels a side can be drawn.
    pub const MAX_SIZE: u32 = 4096;
    /// Smaller frames show nothing.
    pub const MIN_SIZE: u32 = 16;
    /// More frames than this are a mistake.
    pub const MAX_FRAMES: usize = 4096;

    /// Time of a frame in `[0, 1]`. A clip of one frame shows the full expression.
    pub fn time_of(&self, frame: usize) -> f32 {
        if self.frames < 2 {
            1.0
        } else {
            frame as f32 / (self.frames - 1) as f32
        }
    }

    fn validate(&self) -> Result<(), SyntheticError> {
        if !(Self::MIN_SIZE..=Self::MAX_SIZE).contains(&self.size) {
            return Err(SyntheticError::Size(self.size));
        }
        if !(1..=Self::MAX_FRAMES).contains(&self.frames) {
            return Err(SyntheticError::Frames(self.frames));
        }
        if !(0.0..=1.0).contains(&self.restraint) {
            return Err(SyntheticError::Restraint(self.restraint));
        }
        Ok(())
    }
}

/// Why the corpus or a part of it can't be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SyntheticError {
    /// The frames' size is out of range.
    #[error(
        "synthetic.size is {0}; give {min} to {max} pixels",
        min = SyntheticConfig::MIN_SIZE,
        max = SyntheticConfig::MAX_SIZE
    )]
    Size(u32),
    /// The number of frames is out of range.
    #[error("synthetic.frames is {0}; give 1 to {max}", max = SyntheticConfig::MAX_FRAMES)]
    Frames(usize),
    /// The share of restrained figures is no share.
    #[error("synthetic.restraint is {0}; give a number from 0 to 1")]
    Restraint(f32),
    /// Frames were asked for that a clip doesn't have.
    #[error("frames {start}..{end} were asked for, but a clip has {frames}")]
    Range {
        /// First frame asked for.
        start: usize,
        /// One past the last frame asked for.
        end: usize,
        /// Frames a clip.
        frames: usize,
    },
    /// An embedded text file is broken.
    #[error("the embedded file {file} can't be used: {reason}")]
    Asset {
        /// Name of the file.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// One clip with what its subject says.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Name of the sample, unique in the corpus: split and index.
    pub key: String,
    /// The frames asked for, with the subject's mask in each.
    pub clip: Clip,
    /// What the subject says.
    pub text: String,
    /// Logits of a sentiment model for the text, in the order of [`Emotion::ALL`].
    pub sentiment: [f32; Emotion::COUNT],
    /// What the subject feels.
    pub emotion: Emotion,
    /// How many figures the scene has.
    pub figure_count: usize,
    /// What the other figures feel, all different and different from the subject.
    pub others: Vec<Emotion>,
    /// The frame of the whole clip (not of the range asked for) with the full expression.
    pub peak_frame: usize,
    /// The plan the pictures were drawn from.
    pub scene: Scene,
}

/// One split of the corpus: an unbounded sequence of samples, each a function of the config, the
/// split and its index alone.
#[derive(Clone, Debug)]
pub struct SyntheticCorpus {
    config: SyntheticConfig,
    split: Split,
    blank: Canvas,
}

impl SyntheticCorpus {
    /// Opens a split.
    ///
    /// # Errors
    ///
    /// When the size or the number of frames is out of range, or an embedded text file is broken.
    pub fn new(config: SyntheticConfig, split: Split) -> Result<Self, SyntheticError> {
        config.validate()?;
        texts::check()?;
        let blank = Canvas::new(config.size).ok_or(SyntheticError::Size(config.size))?;
        Ok(Self {
            config,
            split,
            blank,
        })
    }

    /// The settings.
    pub fn config(&self) -> &SyntheticConfig {
        &self.config
    }

    /// The split.
    pub fn split(&self) -> Split {
        self.split
    }

    /// The same scenes drawn differently.
    pub fn with_appearance(mut self, appearance: Appearance) -> Self {
        self.config.appearance = appearance;
        self
    }

    /// The frame which shows the full expression: the last.
    pub fn peak_frame(&self) -> usize {
        self.config.frames - 1
    }

    /// The plan of a sample, without drawing it.
    pub fn scene(&self, index: u64) -> Scene {
        Scene::plan(&self.config, self.split, index)
    }

    /// What the subject of a sample says.
    pub fn text(&self, index: u64) -> &'static str {
        self.utterance(index, self.scene(index).emotion())
    }

    /// A sample with all its frames.
    pub fn sample(&self, index: u64) -> Sample {
        self.assemble(index, 0..self.config.frames)
    }

    /// A sample with some of its frames; the others cost nothing.
    ///
    /// # Errors
    ///
    /// When the range doesn't lie within the clip.
    pub fn sample_frames(
        &self,
        index: u64,
        frames: Range<usize>,
    ) -> Result<Sample, SyntheticError> {
        if frames.start > frames.end || frames.end > self.config.frames {
            return Err(SyntheticError::Range {
                start: frames.start,
                end: frames.end,
                frames: self.config.frames,
            });
        }
        Ok(self.assemble(index, frames))
    }

    /// A sample with only the frame of the full expression.
    pub fn sample_peak(&self, index: u64) -> Sample {
        let peak = self.peak_frame();
        self.assemble(index, peak..peak + 1)
    }

    /// Draws any scene of this corpus: for looking at variations of a plan.
    pub fn draw(&self, scene: &Scene, index: u64, frames: Range<usize>) -> Clip {
        render::render(
            scene,
            &self.config,
            &self.blank,
            (self.split, index),
            frames,
        )
    }

    fn assemble(&self, index: u64, frames: Range<usize>) -> Sample {
        let scene = self.scene(index);
        let emotion = scene.emotion();
        let text = self.utterance(index, emotion);
        Sample {
            key: format!("{}-{index:08}", self.split.name()),
            clip: self.draw(&scene, index, frames),
            sentiment: sentiment_logits(text, emotion),
            text: text.to_owned(),
            emotion,
            figure_count: scene.figures.len(),
            others: scene.others(),
            peak_frame: self.peak_frame(),
            scene,
        }
    }

    fn utterance(&self, index: u64, emotion: Emotion) -> &'static str {
        let all = utterances(self.split, emotion);
        let mut draws = Draws::new(self.config.seed, self.split, index, Purpose::Utterance);
        // `texts::check` has made sure that no list is empty.
        all.get(draws.below(all.len())).map_or("", String::as_str)
    }
}

impl Split {
    /// All splits.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}
