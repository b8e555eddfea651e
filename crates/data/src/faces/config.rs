//! The settings of the stream of pairs.

use serde::{Deserialize, Serialize};

use super::FACE_SIDE;
use super::error::FaceError;

/// The most faces in a scene.
pub const MAX_FACES: usize = 4;

/// What a clip shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaceView {
    /// One face that fills the frame; its mask covers everything.
    Single,
    /// A scene; the mask is the box of one of its faces.
    #[default]
    Scenes,
}

/// How often the emotions come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaceSampling {
    /// Equally often: every run of seven samples has each, and an emotion's faces are gone through
    /// in turn, in a new order each time.
    #[default]
    Balanced,
    /// As often as in the data set: all faces are gone through in turn, in a new order each time.
    Natural,
}

/// How training faces are varied; validation and test never are. All strengths may be 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// A single face moves by up to this share of the frame in each direction.
    pub shift: f32,
    /// A single face is up to e^`scale` times as large or small.
    pub scale: f32,
    /// A single face is up to e^`shrink` times smaller on top of that.
    pub shrink: f32,
    /// A single face turns by up to this many degrees.
    pub rotation_degrees: f32,
    /// Probability of mirroring a face.
    pub flip: f32,
    /// A face's grey values move by up to this share of the range.
    pub brightness: f32,
    /// A face's contrast changes by up to a factor of e^`contrast`.
    pub contrast: f32,
    /// Probability that a rectangle of a single face is painted over.
    pub erase: f32,
    /// Largest area of that rectangle, as a share of the face's.
    pub erase_area: f32,
    /// Probability that a single face is tinted; the faces of scenes are tinted anyway.
    pub tint: f32,
    /// Each edge of a scene's mask moves by up to this share of the box's side, as the boxes of a
    /// detector do.
    pub box_jitter: f32,
}

impl Augmentation {
    /// Nothing is varied.
    pub const NONE: Self = Self {
        shift: 0.0,
        scale: 0.0,
        shrink: 0.0,
        rotation_degrees: 0.0,
        flip: 0.0,
        brightness: 0.0,
        contrast: 0.0,
        erase: 0.0,
        erase_area: 0.0,
        tint: 0.0,
        box_jitter: 0.0,
    };

    fn validate(&self) -> Result<(), FaceError> {
        for (name, value, limit) in [
            ("shift", self.shift, 0.5),
            ("scale", self.scale, 1.0),
            ("shrink", self.shrink, 1.5),
            ("rotation_degrees", self.rotation_degrees, 180.0),
            ("flip", self.flip, 1.0),
            ("brightness", self.brightness, 1.0),
            ("contrast", self.contrast, 2.0),
            ("erase", self.erase, 1.0),
            ("erase_area", self.erase_area, 1.0),
            ("tint", self.tint, 1.0),
            ("box_jitter", self.box_jitter, 0.5),
        ] {
            // Not a number is in no range.
            if !(0.0..=limit).contains(&value) {
                return Err(FaceError::Augmentation { name, value, limit });
            }
        }
        Ok(())
    }
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            shift: 0.08,
            scale: 0.15,
            shrink: 0.0,
            rotation_degrees: 12.0,
            flip: 0.5,
            brightness: 0.1,
            contrast: 0.25,
            erase: 0.25,
            erase_area: 0.2,
            tint: 0.5,
            box_jitter: 0.08,
        }
    }
}

/// The settings of a stream of pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaceConfig {
    /// Side of the square frames in pixels.
    pub size: u32,
    /// Frames a clip.
    pub frames: usize,
    /// Seed of everything drawn at random.
    pub seed: u64,
    /// What a clip shows.
    pub view: FaceView,
    /// Fewest faces a scene.
    pub min_faces: usize,
    /// Most faces a scene; every number from `min_faces` on is equally frequent.
    pub max_faces: usize,
    /// Every so many scenes one face fills the frame instead, as in [`FaceView::Single`]; 0 means
    /// never. A model that goes on to scenes keeps seeing what it learned first.
    pub alone_every: u64,
    /// How often the emotions come.
    pub sampling: FaceSampling,
    /// How training faces are varied.
    pub augmentation: Augmentation,
    /// Draw the faces at all; without them a scene's background and mask are left.
    pub draw_faces: bool,
}

impl Default for FaceConfig {
    fn default() -> Self {
        Self {
            size: 64,
            frames: 8,
            seed: 0,
            view: FaceView::default(),
            min_faces: 1,
            max_faces: MAX_FACES,
            alone_every: 0,
            sampling: FaceSampling::default(),
            augmentation: Augmentation::default(),
            draw_faces: true,
        }
    }
}

impl FaceConfig {
    /// A frame is at least as large as a stored face.
    pub const MIN_SIZE: u32 = FACE_SIDE;
    /// A larger frame would show nothing more.
    pub const MAX_SIZE: u32 = 224;
    /// More frames than this are a mistake.
    pub const MAX_FRAMES: usize = 256;
    /// Seed of the scenes that models are measured on; a training run had better take another.
    pub const EVALUATION_SEED: u64 = 2013;

    /// The fixed list of scenes with `faces` faces that models are measured on: the same for
    /// everyone, whatever seed they trained with.
    pub fn evaluation(size: u32, frames: usize, faces: usize) -> Self {
        Self {
            size,
            frames,
            seed: Self::EVALUATION_SEED,
            view: FaceView::Scenes,
            min_faces: faces,
            max_faces: faces,
            alone_every: 0,
            sampling: FaceSampling::Balanced,
            augmentation: Augmentation::NONE,
            draw_faces: true,
        }
    }

    /// What the pair of an index shows.
    pub(super) fn view_of(&self, index: u64) -> FaceView {
        let alone = self.alone_every > 0 && index % self.alone_every == self.alone_every - 1;
        if alone { FaceView::Single } else { self.view }
    }

    /// Time of a frame in `[0, 1]`; a clip of one frame shows the middle.
    pub fn time_of(&self, frame: usize) -> f32 {
        if self.frames < 2 {
            0.5
        } else {
            frame as f32 / (self.frames - 1) as f32
        }
    }

    pub(super) fn validate(&self) -> Result<(), FaceError> {
        if !(Self::MIN_SIZE..=Self::MAX_SIZE).contains(&self.size) {
            return Err(FaceError::Size(self.size));
        }
        if !(1..=Self::MAX_FRAMES).contains(&self.frames) {
            return Err(FaceError::Frames(self.frames));
        }
        if self.min_faces < 1 || self.min_faces > self.max_faces || self.max_faces > MAX_FACES {
            return Err(FaceError::Count {
                min: self.min_faces,
                max: self.max_faces,
            });
        }
        self.augmentation.validate()
    }
}
