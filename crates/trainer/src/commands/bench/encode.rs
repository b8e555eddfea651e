//! The frame encoder as a whole, and what its operations take of it.

use serde::Serialize;

use super::Bench;
use super::measure::{Timing, random, time};

/// The encoder's time and its parts.
#[derive(Serialize)]
pub struct EncodeTimes {
    #[serde(flatten)]
    timing: Timing,
    frames_s: f64,
    gflop_s: f64,
    /// Each operation's own time times its calls, in parts of the whole.
    shares: Vec<Share>,
}

#[derive(Serialize)]
struct Share {
    operation: &'static str,
    ms: f64,
    share: f64,
}

impl Bench {
    /// Times the encoder, then its operations apart.
    pub fn encode(&self) -> anyhow::Result<EncodeTimes> {
        let model = self.config.init(&self.device)?;
        let side = self.config.vision.image_size;
        let frames = random([self.batch, 3, side, side], &self.device);
        let masks = random([self.batch, side, side], &self.device).abs();
        let timing = time(&self.device, self.repeats, || {
            model.visual.forward(frames.clone(), masks.clone())
        })?;
        let shares = self
            .kernels()?
            .operations
            .into_iter()
            .filter(|operation| operation.calls > 0)
            .map(|operation| {
                let ms = operation.median_ms() * operation.calls as f64;
                Share {
                    operation: operation.operation,
                    ms,
                    share: ms / timing.median_ms,
                }
            })
            .collect();
        Ok(EncodeTimes {
            timing,
            frames_s: 1e3 * self.batch as f64 / timing.median_ms,
            gflop_s: self.encoder_flop() / (timing.median_ms * 1e6),
            shares,
        })
    }

    /// Products of the blocks and of the patch embedding; a stem and the rest are left out.
    fn encoder_flop(&self) -> f64 {
        let vision = &self.config.vision;
        let (tokens, width) = (vision.tokens(), vision.width);
        let projections = (4 + 2 * vision.mlp_ratio) * tokens * width * width;
        let attention = 2 * tokens * tokens * width;
        let patches = vision.patches() * 3 * vision.patch_size.pow(2) * width;
        (2 * self.batch * (vision.layers * (projections + attention) + patches)) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use emotionclip::EmotionClipConfig;

    fn bench(config: EmotionClipConfig) -> Bench {
        Bench {
            device: Device::flex(),
            config,
            batch: 1,
            repeats: 1,
        }
    }

    #[test]
    fn vit_b_32_takes_its_known_arithmetic() {
        // 4.4 G multiply-adds a frame of 50 tokens in the literature; a human token makes it 51.
        let flop = bench(EmotionClipConfig::vit_b_32()).encoder_flop();
        assert!((8.6e9..9.2e9).contains(&flop), "{flop:e}");
    }

    #[test]
    fn every_operation_of_nano_is_timed() {
        let times = bench(EmotionClipConfig::nano()).encode().unwrap();
        assert_eq!(times.shares.len(), 7);
        assert!(times.shares.iter().all(|share| share.ms > 0.0));
        assert!(times.timing.median_ms > 0.0 && times.gflop_s > 0.0);
    }
}
