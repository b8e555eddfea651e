//! Does the device prepare pictures as the host does?
//!
//! The host's way is the native one. The device's differs by nothing but what the browser does to the
//! colours on their way into its memory, so that is what a difference tells of.

use burn::tensor::Tensor;
use emotionclip::preprocess::DevicePicture;
use image::RgbImage;
use serde::Serialize;

use crate::session::{Picture, Session, Shown, read};
use crate::subject::Follower;
use crate::{Edges, SessionError, SubjectChoice};

/// How far two preparations of one picture are apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Of the encoder's input, in levels of 255 before normalising; the largest of any pixel and channel.
    pub levels: f32,
    /// Of the mask: share of its pixels that differ.
    pub mask: f32,
    /// Of the mask's coverage of a patch, the largest.
    pub coverage: f32,
    /// Of the face detector's input, in levels of 255, the largest.
    pub detector: f32,
}

impl Session {
    /// Prepares the same picture on the host and on the device, with a box drawn by hand as the subject
    /// or the whole picture, and compares what comes out. Changes nothing.
    ///
    /// # Errors
    /// A picture that can't be prepared; a failing device.
    pub async fn compare_preparation(
        &self,
        host: RgbImage,
        device: DevicePicture,
        subject: Option<Edges>,
    ) -> Result<Difference, SessionError> {
        let mut follower = Follower::new(1.0);
        follower.choose(match subject {
            Some(edges) => SubjectChoice::Box { edges },
            None => SubjectChoice::Whole,
        });
        let sight = follower.look(&[], device.size());
        let found = read(self.detector().input_on_device(&device)?).await?;
        let wanted = read(self.detector().input(&host)?).await?;
        let detector = 127.5 * apart(&found, &wanted);
        let found = self.prepare(Picture::device(device), &sight)?;
        let wanted = self.prepare(Picture::Host(host), &sight)?;
        let (mask, other) = (
            read(found.mask.clone()).await?,
            read(wanted.mask.clone()).await?,
        );
        let differing = mask.iter().zip(&other).filter(|(a, b)| a != b).count();
        Ok(Difference {
            levels: self.levels_apart(&found, &wanted).await?,
            mask: differing as f32 / mask.len().max(1) as f32,
            coverage: apart(&found.coverage, &wanted.coverage),
            detector,
        })
    }

    /// Largest difference of two normalised frames in levels of 255.
    async fn levels_apart(&self, found: &Shown, wanted: &Shown) -> Result<f32, SessionError> {
        let mut most = 0.0_f32;
        for (channel, std) in self.pretrained().preprocess.std.into_iter().enumerate() {
            let plane = |frame: &Tensor<3>| read(frame.clone().narrow(0, channel, 1));
            let (found, wanted) = (plane(&found.frame).await?, plane(&wanted.frame).await?);
            most = most.max(apart(&found, &wanted) * std * 255.0);
        }
        Ok(most)
    }
}

/// The largest distance; infinite where the numbers differ in count or one is none.
fn apart(found: &[f32], wanted: &[f32]) -> f32 {
    if found.len() != wanted.len() {
        return f32::INFINITY;
    }
    let distances = found.iter().zip(wanted).map(|(a, b)| (a - b).abs());
    distances.fold(0.0, |most, distance| {
        if distance.is_nan() {
            f32::INFINITY
        } else {
            most.max(distance)
        }
    })
}
