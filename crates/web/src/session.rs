//! A model, a stream of frames, and everything a visitor can ask of them.

use burn::tensor::{Device, Tensor, TensorData};
use emotionclip::detector::{Detector, Square};
use emotionclip::explain::AttentionTensors;
use emotionclip::preprocess::{Crops, DevicePicture, MaskProtocol, SubjectArea, patch_coverage};
use emotionclip::probe::{Features, HeadKind, LinearHead};
use emotionclip::streaming::{StreamingEncoder, WarmUp};
use emotionclip::{Clip, Pretrained};
use image::{GrayImage, Luma, RgbImage};
use serde::Serialize;

use crate::subject::{Follower, Sight};
use crate::{
    Edges, FitReport, LabelText, Labels, Lesson, ModelInfo, PersonBox, SessionError, SubjectChoice,
};

/// Frames a second at which the page sends frames at most; the tracker counts its patience in them.
const FRAMES_PER_SECOND: f64 = 8.0;

/// A frame to read.
#[derive(Clone, Debug)]
pub enum Picture {
    /// On the host, which prepares it.
    Host(RgbImage),
    /// In the memory of the model's device, which prepares it there.
    Device(Box<DevicePicture>),
}

impl Picture {
    /// A picture in the device's memory.
    pub fn device(picture: DevicePicture) -> Self {
        Self::Device(Box::new(picture))
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [u32; 2] {
        match self {
            Self::Host(picture) => [picture.width(), picture.height()],
            Self::Device(picture) => picture.size(),
        }
    }

    fn cut(&self, square: &Square) -> Option<Self> {
        match self {
            Self::Host(picture) => square.cut(picture).map(Self::Host),
            Self::Device(picture) => square.cut_on_device(picture).map(Self::device),
        }
    }
}

/// Everything that the page's worker holds.
pub struct Session {
    pretrained: Pretrained,
    info: ModelInfo,
    stream: StreamingEncoder,
    detector: Detector,
    follower: Follower,
    labels: Labels,
    head: Option<LinearHead>,
    lesson: Lesson,
    subject: Option<u64>,
    last: Option<Shown>,
    embedding: Option<Vec<f32>>,
}

/// The last frame as the model saw it, kept for an explanation.
pub(crate) struct Shown {
    pub frame: Tensor<3>,
    pub mask: Tensor<2>,
    pub coverage: Vec<f32>,
    pub crop: Edges,
}

/// What the model makes of a frame and those before it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// One a label, their sum 1.
    pub probabilities: Vec<f32>,
    /// Of the probe in use, if there is one.
    pub probe: Option<ProbeReading>,
    /// Everybody who is known, for drawing.
    pub people: Vec<PersonBox>,
    /// Whose reading this is.
    pub subject: SubjectReading,
    /// How full the window is.
    pub window: Window,
    /// The part of the frame that the model sees, in pixels of the frame.
    pub crop: Edges,
    /// Milliseconds that finding faces took.
    pub detect_ms: f64,
    /// Milliseconds that preparing and encoding took.
    pub encode_ms: f64,
    /// The window's unit embedding.
    pub embedding: Vec<f32>,
}

/// What a probe says.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeReading {
    /// Names of the outputs.
    pub labels: Vec<String>,
    /// Probabilities, or values for ridge.
    pub values: Vec<f64>,
    /// How to show them.
    pub kind: HeadKind,
}

/// Who the subject of a reading is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum SubjectReading {
    /// A person who is followed.
    Person {
        /// As in [`PersonBox::id`].
        id: u64,
        /// What the model is told, in pixels of the frame.
        edges: Option<Edges>,
    },
    /// A box drawn by hand; none when it lies outside the picture.
    Box {
        /// What the model is told, in pixels of the frame.
        edges: Option<Edges>,
    },
    /// The whole picture.
    Whole,
    /// Nobody was found: the model is told of no subject.
    Nobody,
}

/// How full the window of frames is; before it is full, the first frame stands in for the missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Frames held.
    pub held: usize,
    /// Frames of a full window.
    pub capacity: usize,
}

/// What the model looked at in the last frame.
#[derive(Clone, Debug, Serialize)]
pub struct Attention {
    /// Of the human token, one row of patches a layer.
    pub human: Vec<Vec<f32>>,
    /// Of the class token, one row of patches a layer.
    pub class: Vec<Vec<f32>>,
    /// How much of each patch the subject's mask covers.
    pub coverage: Vec<f32>,
    /// Patches along one side.
    pub grid: usize,
    /// The part of the frame that the patches cover, in pixels of the frame.
    pub crop: Edges,
}

impl Session {
    /// Joins a model with the detector, on the model's device.
    ///
    /// # Errors
    /// If the carried detector is damaged.
    pub fn new(pretrained: Pretrained, info: ModelInfo) -> Result<Self, SessionError> {
        let device = pretrained.device();
        let stream = StreamingEncoder::new(
            pretrained.model.clone(),
            pretrained.preprocess.clone(),
            WarmUp::RepeatFirst,
        );
        Ok(Self {
            stream,
            detector: Detector::bundled(&device)?,
            pretrained,
            info,
            follower: Follower::new(FRAMES_PER_SECOND),
            labels: Labels::default(),
            head: None,
            lesson: Lesson::default(),
            subject: None,
            last: None,
            embedding: None,
        })
    }

    /// The model's description.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The model.
    pub fn pretrained(&self) -> &Pretrained {
        &self.pretrained
    }

    /// What finds the faces.
    pub(crate) fn detector(&self) -> &Detector {
        &self.detector
    }

    /// The labels in use.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Changes the labels; see [`Labels::set`].
    ///
    /// # Errors
    /// As [`Labels::set`].
    pub async fn set_labels(&mut self, labels: Vec<LabelText>) -> Result<(), SessionError> {
        self.labels.set(&self.pretrained, labels).await
    }

    /// Probabilities of the labels in use for what was read last, for labels that have changed.
    pub fn again(&self) -> Option<Vec<f32>> {
        let embedding = self.embedding.as_ref()?;
        Some(self.labels.classify(embedding))
    }

    /// Changes whose emotion is read. The window begins anew: a window of two subjects is a reading
    /// of neither.
    ///
    /// # Errors
    /// A person who isn't known.
    pub fn set_subject(&mut self, choice: SubjectChoice) -> Result<(), SessionError> {
        if let SubjectChoice::Person { id } = choice
            && !self.follower.knows(id)
        {
            return Err(SessionError::Subject(format!(
                "person {id} is not in the picture any more"
            )));
        }
        if let SubjectChoice::Box { edges } = choice
            && !edges.iter().all(|edge| edge.is_finite())
        {
            return Err(SessionError::Subject("the box has no edges".to_owned()));
        }
        if choice != self.follower.choice() {
            self.follower.choose(choice);
            self.stream.reset();
            self.subject = None;
        }
        Ok(())
    }

    /// Forgets frames and people, for another source.
    pub fn reset(&mut self) {
        self.follower.reset(FRAMES_PER_SECOND);
        self.stream.reset();
        self.subject = None;
        self.last = None;
        self.embedding = None;
    }

    /// Reads a drawn picture and forgets it: a device compiles what it has not computed yet, which
    /// a visitor's first frame should not wait for. `on_device` says where frames will be prepared, if
    /// the device can. Begins the window anew.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn warm_up(
        &mut self,
        on_device: bool,
        clock: impl Fn() -> f64,
    ) -> Result<(), SessionError> {
        let picture = crate::selftest::picture();
        let size = [picture.width(), picture.height()];
        let device = self.pretrained.device();
        let copied = on_device.then(|| DevicePicture::from_rgb(picture.as_raw(), size, &device));
        let picture = copied
            .flatten()
            .map_or(Picture::Host(picture), Picture::device);
        self.read(picture, clock).await?;
        self.reset();
        Ok(())
    }

    /// Takes the next frame. `clock` gives milliseconds.
    ///
    /// # Errors
    /// A picture that can't be prepared; a failing device.
    pub async fn read(
        &mut self,
        frame: Picture,
        clock: impl Fn() -> f64,
    ) -> Result<Reading, SessionError> {
        let size = frame.size();
        let started = clock();
        let faces = match &frame {
            Picture::Host(picture) => self.detector.detect_async(picture).await?,
            Picture::Device(picture) => self.detector.detect_on_device(picture).await?,
        };
        let sight = self.follower.look(&faces, size);
        let found = clock();
        if let (Some(before), Some(now)) = (self.subject, sight.id)
            && before != now
        {
            self.stream.reset();
        }
        self.subject = sight.id.or(self.subject);

        let shown = self.prepare(frame, &sight)?;
        let embedding = self.stream.push(shown.frame.clone(), shown.mask.clone())?;
        let embedding =
            embedding.ok_or_else(|| SessionError::Device("the stream gave nothing".to_owned()))?;
        let embedding = read(embedding).await?;
        if !embedding.iter().all(|value| value.is_finite()) {
            return Err(SessionError::Device(
                "the model gave something that is no number".to_owned(),
            ));
        }
        let encoded = clock();
        self.lesson.take(&embedding);
        let crop = shown.crop;
        self.last = Some(shown);
        self.embedding = Some(embedding.clone());
        Ok(Reading {
            probabilities: self.labels.classify(&embedding),
            probe: self.probe(&embedding)?,
            people: self.follower.people(size),
            subject: self.subject_reading(&sight),
            window: Window {
                held: self.stream.len(),
                capacity: self.stream.capacity(),
            },
            crop,
            detect_ms: found - started,
            encode_ms: encoded - found,
            embedding,
        })
    }

    /// What the model looked at in the last frame, if there was one.
    ///
    /// # Errors
    /// A failing device.
    pub async fn explain(&self) -> Result<Option<Attention>, SessionError> {
        let Some(shown) = &self.last else {
            return Ok(None);
        };
        let encoder = &self.pretrained.model.visual;
        let AttentionTensors { human, class, grid } =
            AttentionTensors::of(encoder, shown.frame.clone(), shown.mask.clone())?;
        let rows = |values: Vec<f32>| values.chunks(grid * grid).map(<[f32]>::to_vec).collect();
        Ok(Some(Attention {
            human: rows(read(human).await?),
            class: rows(read(class).await?),
            coverage: shown.coverage.clone(),
            grid,
            crop: shown.crop,
        }))
    }

    /// What is being taught.
    pub fn lesson(&mut self) -> &mut Lesson {
        &mut self.lesson
    }

    /// Fits a probe on what was recorded and uses it from now on.
    ///
    /// # Errors
    /// As [`Lesson::fit`].
    pub fn fit(&mut self) -> Result<FitReport, SessionError> {
        let (head, report) = self.lesson.fit()?;
        self.head = Some(head.with_model_hash(&self.info.hash));
        Ok(report)
    }

    /// The bytes of the probe in use: the `probe.safetensors` of `trainer probe`.
    ///
    /// # Errors
    /// If none is in use.
    pub fn save_probe(&self) -> Result<Vec<u8>, SessionError> {
        let head = self.head.as_ref();
        let head = head.ok_or_else(|| SessionError::Probe("no probe is in use".to_owned()))?;
        Ok(head.to_safetensors()?)
    }

    /// Uses a saved probe from now on and gives the names of its outputs.
    ///
    /// # Errors
    /// A file that is no probe, or one fitted on another model's embeddings; the one in use stays.
    pub fn load_probe(&mut self, bytes: &[u8]) -> Result<Vec<String>, SessionError> {
        let head = LinearHead::from_safetensors(bytes)?;
        let same = head.model_hash().is_none_or(|hash| hash == self.info.hash);
        if !same || head.width() != self.info.width {
            return Err(SessionError::Probe(
                "this probe was fitted on another model; choose that model first".to_owned(),
            ));
        }
        let labels = head.labels().to_vec();
        self.head = Some(head);
        Ok(labels)
    }

    /// Stops using a probe.
    pub fn drop_probe(&mut self) {
        self.head = None;
    }

    fn probe(&self, embedding: &[f32]) -> Result<Option<ProbeReading>, SessionError> {
        let Some(head) = &self.head else {
            return Ok(None);
        };
        Ok(Some(ProbeReading {
            labels: head.labels().to_vec(),
            values: head.predict(Features::new(embedding, embedding.len())?)?,
            kind: head.kind(),
        }))
    }

    /// A frame and its mask as the model takes them, by the rules of `trainer predict`.
    pub(crate) fn prepare(&self, frame: Picture, sight: &Sight) -> Result<Shown, SessionError> {
        let preprocess = &self.pretrained.preprocess;
        let (left, top, frame, close_up) = match self.close_up(&frame, sight) {
            Some((left, top, cut)) => (left, top, cut, true),
            None => (0.0, 0.0, frame, false),
        };
        let size = frame.size();
        let subject = match sight.outline {
            Some(subject) if !close_up => SubjectArea::Box(subject),
            _ if sight.whole || close_up => SubjectArea::Whole,
            _ => SubjectArea::Nobody,
        };
        let patch = self.pretrained.model.config().vision.patch_size;
        let [x1, y1, x2, y2] = preprocess.centre_view(size)?;
        let crop = [left + x1, top + y1, left + x2, top + y2];
        let (frame, mask, coverage) = match frame {
            Picture::Host(frame) => self.prepare_on_host(frame, subject, patch)?,
            Picture::Device(picture) => {
                let prepared = preprocess.frame_on_device(&picture, subject)?;
                let coverage = prepared.coverage(patch)?;
                (prepared.frame, prepared.mask, coverage)
            }
        };
        Ok(Shown {
            frame,
            mask,
            coverage,
            crop,
        })
    }

    /// Frame, mask and its coverage of patches, computed here and sent to the device.
    fn prepare_on_host(
        &self,
        frame: RgbImage,
        subject: SubjectArea,
        patch: usize,
    ) -> Result<(Tensor<3>, Tensor<2>, Vec<f32>), SessionError> {
        let preprocess = &self.pretrained.preprocess;
        let (width, height) = frame.dimensions();
        let filled = |level| GrayImage::from_pixel(width, height, Luma([level]));
        let mask = match subject {
            SubjectArea::Box(subject) => {
                MaskProtocol::Bold.mask(&[subject], [width, height], preprocess)?
            }
            SubjectArea::Whole => filled(u8::MAX),
            SubjectArea::Nobody => filled(0),
        };
        let clip = Clip {
            frames: vec![frame],
            masks: vec![mask],
        };
        let prepared = preprocess.clip(&clip, &Crops::Centre)?;
        let side = prepared.size;
        let coverage = patch_coverage(&prepared.masks, side, patch)?;
        let device = self.pretrained.device();
        let frame = TensorData::new(prepared.frames, [3, side, side]);
        let mask = TensorData::new(prepared.masks, [side, side]);
        Ok((tensor(frame, &device), tensor(mask, &device), coverage))
    }

    /// What a model that learned from faces that fill the frame is shown, with its left and top edge
    /// in the picture: the face of whoever is followed, or the box drawn by hand.
    fn close_up(&self, picture: &Picture, sight: &Sight) -> Option<(f32, f32, Picture)> {
        let card = self.info.card.as_ref()?;
        let square = sight.square.filter(|_| card.close_up)?;
        Some((
            square.left.round(),
            square.top.round(),
            picture.cut(&square)?,
        ))
    }

    fn subject_reading(&self, sight: &Sight) -> SubjectReading {
        let edges = sight
            .outline
            .map(|found| [found.x1, found.y1, found.x2, found.y2]);
        match (sight.id, self.follower.choice()) {
            (Some(id), _) => SubjectReading::Person { id, edges },
            (None, SubjectChoice::Box { .. }) => SubjectReading::Box { edges },
            (None, SubjectChoice::Whole) => SubjectReading::Whole,
            (None, _) => SubjectReading::Nobody,
        }
    }
}

fn tensor<const D: usize>(data: TensorData, device: &Device) -> Tensor<D> {
    Tensor::from_data(data, device)
}

/// The values of a tensor, row after row, once the device has them.
pub(crate) async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, SessionError> {
    let device = |error: &dyn std::fmt::Display| SessionError::Device(error.to_string());
    let data = tensor
        .into_data_async()
        .await
        .map_err(|error| device(&error))?;
    data.try_into_vec_as::<f32>()
        .map_err(|error| device(&error))
}

#[cfg(test)]
mod tests;
