//! What the frame encoder looks at: the pictures of the paper's Fig. 5 as numbers.
//!
//! Every layer's attention is a `[heads, tokens, tokens]` tensor per frame. What people look at is
//! one row of it, that of the token that stands for the subject, averaged over heads and cut to the
//! patches.

use burn::tensor::Tensor;

use crate::config::SubjectEncoding;
use crate::nn::split_attention_maps;
use crate::vision::VisionTransformer;

/// Attention of one frame's human and class token over the patches, on the device.
#[derive(Clone, Debug)]
pub struct AttentionTensors {
    /// Of the human token, `[layers, m]`; of the class token on a vanilla encoder.
    pub human: Tensor<2>,
    /// Of the class token, `[layers, m]`.
    pub class: Tensor<2>,
    /// Patches along one side; `m` is its square.
    pub grid: usize,
}

/// Attention of one frame's human and class token over the patches.
///
/// All weights lie in [0, 1]. A layer's sum to at most 1; what is missing went to the class and the
/// human token.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionSummary {
    /// Of the human token, `[layers][m]`, patches in row order; of the class token on a vanilla
    /// encoder, which has no human token.
    pub human: Vec<Vec<f32>>,
    /// Of the class token, `[layers][m]`.
    pub class: Vec<Vec<f32>>,
    /// Patches along one side; `m` is its square.
    pub grid: usize,
}

/// Why there is no summary.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// A frame or mask of another shape than the model's input.
    #[error(
        "the frame has the shape {frame:?} and its mask {mask:?}, the model takes \
         [3, {side}, {side}] and [{side}, {side}]"
    )]
    Shape {
        /// Shape of the frame.
        frame: [usize; 3],
        /// Shape of the mask.
        mask: [usize; 2],
        /// Side of the model's input in pixels.
        side: usize,
    },
    /// The device failed to give the maps back.
    #[error("reading attention maps from the device failed: {0}")]
    Device(String),
}

impl AttentionTensors {
    /// Encodes a preprocessed frame `[3, S, S]` with its mask `[S, S]` and keeps the two tokens'
    /// attention.
    ///
    /// # Errors
    ///
    /// If a shape differs from the model's input.
    pub fn of(
        encoder: &VisionTransformer,
        frame: Tensor<3>,
        mask: Tensor<2>,
    ) -> Result<Self, ExplainError> {
        let config = encoder.config();
        let side = config.image_size;
        if frame.dims() != [3, side, side] || mask.dims() != [side, side] {
            return Err(ExplainError::Shape {
                frame: frame.dims(),
                mask: mask.dims(),
                side,
            });
        }
        let patches = config.patches();
        let human_token = match config.subject {
            SubjectEncoding::Vanilla => 0,
            SubjectEncoding::Sap | SubjectEncoding::Saam { .. } => patches + 1,
        };
        let encoding =
            encoder.forward_with_maps(frame.unsqueeze_dim::<4>(0), mask.unsqueeze_dim::<3>(0));
        let rows = |token: usize| {
            let rows = encoding
                .maps
                .iter()
                .map(|map| split_attention_maps(map.clone(), token, patches))
                .collect();
            Tensor::cat(rows, 0)
        };
        Ok(Self {
            human: rows(human_token),
            class: rows(0),
            grid: config.grid(),
        })
    }
}

impl AttentionSummary {
    /// As [`AttentionTensors::of`], read back from the device.
    ///
    /// # Errors
    ///
    /// If a shape differs from the model's input or the device fails.
    pub fn of(
        encoder: &VisionTransformer,
        frame: Tensor<3>,
        mask: Tensor<2>,
    ) -> Result<Self, ExplainError> {
        let AttentionTensors { human, class, grid } = AttentionTensors::of(encoder, frame, mask)?;
        let read = |tensor: Tensor<2>| -> Result<Vec<Vec<f32>>, ExplainError> {
            let values = tensor
                .try_into_vec_as::<f32>()
                .map_err(|error| ExplainError::Device(error.to_string()))?;
            Ok(values.chunks(grid * grid).map(<[f32]>::to_vec).collect())
        };
        Ok(Self {
            human: read(human)?,
            class: read(class)?,
            grid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EmotionClipConfig;
    use burn::tensor::{Device, TensorData};

    const SIDE: usize = 24;

    fn summary(subject: SubjectEncoding, covered: usize) -> AttentionSummary {
        let device = Device::flex();
        let mut config = EmotionClipConfig::nano();
        config.vision.image_size = SIDE;
        config.vision.subject = subject;
        let model = config.init_seeded(5, &device).unwrap();
        let frame: Vec<f32> = (0..3 * SIDE * SIDE)
            .map(|index| (index * 7919 % 1009) as f32 / 504.0 - 1.0)
            .collect();
        let mask: Vec<f32> = (0..SIDE * SIDE)
            .map(|index| f32::from(index % SIDE < covered))
            .collect();
        let frame = Tensor::from_data(TensorData::new(frame, [3, SIDE, SIDE]), &device);
        let mask = Tensor::from_data(TensorData::new(mask, [SIDE, SIDE]), &device);
        AttentionSummary::of(&model.visual, frame, mask).unwrap()
    }

    #[test]
    fn weights_are_a_part_of_a_distribution_in_every_layer() {
        for subject in [
            SubjectEncoding::Vanilla,
            SubjectEncoding::Sap,
            SubjectEncoding::Saam { layers: 2 },
        ] {
            let summary = summary(subject, 8);
            assert_eq!(summary.grid, 3);
            for rows in [&summary.human, &summary.class] {
                let layers = EmotionClipConfig::nano().vision.layers;
                assert_eq!(rows.len(), layers, "one row a layer");
                for row in rows {
                    assert_eq!(row.len(), 9);
                    assert!(row.iter().all(|weight| (0.0..=1.0).contains(weight)));
                    let sum: f32 = row.iter().sum();
                    // A softmax over 11 tokens sums to 1 within 11 roundings of 6e-8.
                    assert!(sum > 0.0 && sum <= 1.0 + 1e-6, "{subject:?}: {sum}");
                }
            }
        }
    }

    #[test]
    fn a_vanilla_encoder_shows_its_class_token_for_both() {
        let summary = summary(SubjectEncoding::Vanilla, 8);
        assert_eq!(summary.human, summary.class);
    }

    #[test]
    fn the_human_token_of_prompting_looks_elsewhere_than_the_class_token() {
        let summary = summary(SubjectEncoding::Sap, 8);
        assert_ne!(summary.human[0], summary.class[0]);
    }

    #[test]
    fn masking_draws_the_human_token_to_the_subject() {
        // Columns of patches: the subject covers the first of three. The masked stream reaches the
        // subject's patches only, and A = 0.1 of the attention goes through it.
        let narrow = summary(SubjectEncoding::Saam { layers: 1 }, 8);
        let wide = summary(SubjectEncoding::Saam { layers: 1 }, SIDE);
        let on_subject =
            |summary: &AttentionSummary| summary.human[0].iter().step_by(3).sum::<f32>();
        assert!(on_subject(&narrow) > on_subject(&wide));
    }

    #[test]
    fn a_misshapen_frame_is_named() {
        let device = Device::flex();
        let model = EmotionClipConfig::nano().init(&device).unwrap();
        let frame = Tensor::zeros([3, 8, 8], &device);
        let error = AttentionTensors::of(&model.visual, frame, Tensor::zeros([8, 8], &device))
            .err()
            .unwrap();
        assert!(error.to_string().contains("takes [3, 64, 64]"), "{error}");
    }
}
