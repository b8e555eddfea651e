//! Who is in the picture: faces found by BlazeFace and followed from frame to frame.
//!
//! EmotionCLIP reads the emotion of one person, the subject, so somebody has to say who that is. The
//! detector finds faces with their key points, the [`Tracker`] keeps apart whose is whose, and
//! [`Face::subject`] grows a face to the head and shoulders that a subject mask is drawn from.
//! [`Bounds::close_up`] cuts it out for models that learned from faces that fill the frame.
//!
//! ```
//! # #[cfg(feature = "bundled-detector")] {
//! use burn::tensor::Device;
//! use emotionclip::detector::{Detector, Growth, Tracker, TrackerConfig};
//! use image::RgbImage;
//!
//! let detector = Detector::bundled(&Device::flex())?;
//! let mut tracker = Tracker::new(TrackerConfig::default());
//! for frame in [RgbImage::new(320, 240), RgbImage::new(320, 240)] {
//!     let size = [frame.width(), frame.height()];
//!     for track in tracker.update(&detector.detect(&frame)?, size) {
//!         let subject = track.face.subject(Growth::HEAD_AND_SHOULDERS, size);
//!         println!("person {}: {subject:?}", track.id);
//!     }
//! }
//! # }
//! # Ok::<(), emotionclip::detector::DetectorError>(())
//! ```
//!
//! The network and what it was trained for are MediaPipe's (Bazarevsky et al., *BlazeFace:
//! Sub-millisecond Neural Face Detection on Mobile GPUs*, 2019), in the version for the back camera;
//! the weights lie in `assets/blazeface_back.safetensors` (Apache-2.0).

mod canvas;
mod close_up;
mod config;
mod decode;
mod error;
mod face;
mod network;
mod suppress;
mod tracker;
mod weights;

use burn::tensor::{Device, Tensor, TensorData};
use bytes::Bytes;
use image::RgbImage;

use crate::preprocess::{DevicePicture, PreprocessError};
use canvas::Canvas;

pub use close_up::Square;
pub use config::{BlazeBlockConfig, BlazeFaceConfig};
pub use error::DetectorError;
pub use face::{Bounds, Face, Growth, KeyPoints, rank_by_prominence};
pub use network::{BlazeBlock, BlazeFace};
pub use tracker::{Track, Tracker, TrackerConfig};
#[cfg(feature = "bundled-detector")]
pub use weights::BUNDLED_WEIGHTS;
pub use weights::METADATA_KEY;

/// Finds the faces in a picture.
#[derive(Clone, Debug)]
pub struct Detector {
    network: BlazeFace,
    /// `[x, y]` of each anchor in pixels of the network's input.
    anchors: Vec<[f32; 2]>,
    score_threshold: f32,
    device: Device,
}

impl Detector {
    /// The detector whose weights the crate carries.
    ///
    /// # Errors
    /// If the carried file is damaged, which only a broken build can cause.
    #[cfg(feature = "bundled-detector")]
    pub fn bundled(device: &Device) -> Result<Self, DetectorError> {
        Self::from_bytes(
            Bytes::from_static(BUNDLED_WEIGHTS),
            "blazeface_back.safetensors",
            device,
        )
    }

    /// Reads a weights file, which holds its own architecture. `name` is used in errors.
    ///
    /// # Errors
    /// If the file is damaged, carries no architecture or an impossible one, or its tensors don't
    /// fit it.
    pub fn from_bytes(
        bytes: impl Into<Bytes>,
        name: &str,
        device: &Device,
    ) -> Result<Self, DetectorError> {
        let (network, score_threshold) = weights::read(bytes.into(), name, device)?;
        Ok(Self {
            anchors: decode::anchors(network.config()),
            network,
            score_threshold,
            device: device.clone(),
        })
    }

    /// The same detector with another threshold: faces of a lower score, in [0, 1], aren't reported.
    /// A lower one finds more faces and more of what is none.
    #[must_use]
    pub fn with_score_threshold(mut self, score_threshold: f32) -> Self {
        self.score_threshold = score_threshold;
        self
    }

    /// The faces in a picture, in its pixels, the surest first.
    ///
    /// Waits for the device, which a browser can't: use [`detect_async`](Self::detect_async) there.
    /// A face smaller than about a thirtieth of the longer side is not found.
    ///
    /// # Errors
    /// A picture without pixels or of absurd size, a failing device.
    pub fn detect(&self, picture: &RgbImage) -> Result<Vec<Face>, DetectorError> {
        let (canvas, outputs) = self.compute(picture)?;
        let values = outputs
            .try_into_vec_as::<f32>()
            .map_err(|error| DetectorError::Device(error.to_string()))?;
        Ok(self.faces(&values, &canvas))
    }

    /// As [`detect`](Self::detect), without waiting for the device.
    ///
    /// # Errors
    /// A picture without pixels or of absurd size, a failing device.
    pub async fn detect_async(&self, picture: &RgbImage) -> Result<Vec<Face>, DetectorError> {
        let (canvas, outputs) = self.compute(picture)?;
        self.faces_async(canvas, outputs).await
    }

    /// As [`detect_async`](Self::detect_async) for a picture that is on the detector's device already.
    ///
    /// # Errors
    /// A picture without pixels or of absurd size, a failing device.
    pub async fn detect_on_device(
        &self,
        picture: &DevicePicture,
    ) -> Result<Vec<Face>, DetectorError> {
        let (canvas, input) = self.fit_on_device(picture)?;
        let outputs = self.network.forward(input);
        self.faces_async(canvas, outputs.squeeze_dim(0)).await
    }

    /// What the network is given of a picture, `[1, 3, side, side]` in [−1, 1].
    ///
    /// # Errors
    /// A picture without pixels or of absurd size.
    pub fn input(&self, picture: &RgbImage) -> Result<Tensor<4>, DetectorError> {
        Ok(self.fit(picture)?.1)
    }

    /// As [`input`](Self::input) for a picture that is on the detector's device already.
    ///
    /// # Errors
    /// A picture without pixels or of absurd size.
    pub fn input_on_device(&self, picture: &DevicePicture) -> Result<Tensor<4>, DetectorError> {
        Ok(self.fit_on_device(picture)?.1)
    }

    fn fit(&self, picture: &RgbImage) -> Result<(Canvas, Tensor<4>), PreprocessError> {
        let side = self.network.config().input_size;
        let (canvas, values) = Canvas::fit(picture, side)?;
        let input = TensorData::new(values, [1, 3, side, side]);
        Ok((canvas, Tensor::from_data(input, &self.device)))
    }

    fn fit_on_device(
        &self,
        picture: &DevicePicture,
    ) -> Result<(Canvas, Tensor<4>), PreprocessError> {
        let side = self.network.config().input_size;
        let (canvas, input) = Canvas::fit_on_device(picture, side)?;
        Ok((canvas, input.unsqueeze_dim(0)))
    }

    async fn faces_async(
        &self,
        canvas: Canvas,
        outputs: Tensor<2>,
    ) -> Result<Vec<Face>, DetectorError> {
        let values = outputs
            .into_data_async()
            .await
            .map_err(|error| DetectorError::Device(error.to_string()))?
            .try_into_vec_as::<f32>()
            .map_err(|error| DetectorError::Device(error.to_string()))?;
        Ok(self.faces(&values, &canvas))
    }

    /// The network, for tensors of one's own.
    pub fn network(&self) -> &BlazeFace {
        &self.network
    }

    /// What the network says about a picture, `[anchors, 17]`, and where the picture lay in its
    /// input.
    fn compute(&self, picture: &RgbImage) -> Result<(Canvas, Tensor<2>), DetectorError> {
        let (canvas, input) = self.fit(picture)?;
        let outputs = self.network.forward(input);
        Ok((canvas, outputs.squeeze_dim(0)))
    }

    fn faces(&self, outputs: &[f32], canvas: &Canvas) -> Vec<Face> {
        let candidates = decode::candidates(outputs, &self.anchors, self.score_threshold);
        suppress::weighted(candidates)
            .into_iter()
            .map(|face| canvas.to_picture(face))
            .collect()
    }
}
