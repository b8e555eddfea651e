//! Does this device compute what the model's authors' did? A known picture and a known sentence
//! with the vectors they must give.
//!
//! A driver that miscompiles a kernel gives confident nonsense, and nobody could tell from the page.

use emotionclip::Pretrained;
use emotionclip::preprocess::{MaskProtocol, SubjectBox};
use emotionclip::streaming::{StreamingEncoder, WarmUp};
use image::{Rgb, RgbImage};
use serde::{Deserialize, Serialize};

use crate::SessionError;
use crate::session::read;

/// File name of the golden vectors in a bundle.
pub const SELF_TEST_NAME: &str = "selftest.json";

/// A sentence that every vocabulary has letters for.
const SENTENCE: &str = "I can't believe it, what a lovely surprise!";

/// What two correct devices of 32-bit floats agree to.
const LEAST_COSINE: f32 = 0.9999;

/// `selftest.json`: unit vectors computed natively by the CPU engine from the bundle's own weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Of the known picture.
    pub picture: Vec<f32>,
    /// Of the known sentence.
    pub sentence: Vec<f32>,
}

/// How far this device is from the golden vectors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SelfTestReport {
    /// Cosine of the picture's vectors.
    pub picture: f32,
    /// Cosine of the sentence's vectors.
    pub sentence: f32,
    /// Least cosine that passes.
    pub least: f32,
    /// Both pass.
    pub passed: bool,
}

impl Golden {
    /// Computes the vectors with this model on its device.
    ///
    /// # Errors
    /// A failing device, or a model that takes no such picture.
    pub async fn of(pretrained: &Pretrained) -> Result<Self, SessionError> {
        let subject = SubjectBox {
            x1: 20.0,
            y1: 10.0,
            x2: 70.0,
            y2: 72.0,
            score: None,
        };
        let frame = picture();
        let mask = MaskProtocol::Bold.mask(&[subject], [96, 72], &pretrained.preprocess)?;
        let mut stream = StreamingEncoder::new(
            pretrained.model.clone(),
            pretrained.preprocess.clone(),
            WarmUp::RepeatFirst,
        );
        let embedding = stream.push_picture(&frame, &mask)?;
        let embedding =
            embedding.ok_or_else(|| SessionError::Device("the stream gave nothing".to_owned()))?;
        Ok(Self {
            picture: read(embedding).await?,
            sentence: read(pretrained.embed_texts(&[SENTENCE])).await?,
        })
    }

    /// Compares this device with the golden vectors.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub async fn check(&self, pretrained: &Pretrained) -> Result<SelfTestReport, SessionError> {
        let found = Self::of(pretrained).await?;
        let picture = cosine(&self.picture, &found.picture);
        let sentence = cosine(&self.sentence, &found.sentence);
        Ok(SelfTestReport {
            picture,
            sentence,
            least: LEAST_COSINE,
            passed: picture >= LEAST_COSINE && sentence >= LEAST_COSINE,
        })
    }
}

/// Smooth ramps with a disc: every patch differs, and no resampling turns it into noise.
pub(crate) fn picture() -> RgbImage {
    RgbImage::from_fn(96, 72, |x, y| {
        let (dx, dy) = (x as i32 - 45, y as i32 - 34);
        if dx * dx + dy * dy < 400 {
            Rgb([230, (2 * y) as u8, 90])
        } else {
            Rgb([(2 * x) as u8, (3 * y) as u8, (x + y) as u8])
        }
    })
}

/// 0 for vectors of different length or with something that is no number.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let sum = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let cosine = sum(a, b) / (sum(a, a) * sum(b, b)).sqrt();
    if a.len() == b.len() && cosine.is_finite() {
        cosine
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_that_are_no_vectors_do_not_pass() {
        assert!((cosine(&[1.0, 2.0], &[2.0, 4.0]) - 1.0).abs() < 1e-6);
        assert_eq!(cosine(&[1.0], &[1.0, 0.0]), 0.0);
        assert_eq!(cosine(&[f32::NAN, 0.0], &[1.0, 0.0]), 0.0);
        assert_eq!(cosine(&[0.0, 0.0], &[0.0, 0.0]), 0.0);
    }
}
