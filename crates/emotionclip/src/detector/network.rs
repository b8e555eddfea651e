//! BlazeFace: depthwise separable blocks and two grids of boxes.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Initializer, PaddingConfig2d};
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor, activation};

use super::config::{BlazeBlockConfig, BlazeFaceConfig};
use super::error::DetectorError;

/// Numbers that the network says about each box: the score's logit, then the centre, the size and
/// six key points.
pub(super) const OUTPUTS: usize = 1 + COORDINATES;
const COORDINATES: usize = 16;

/// A depthwise separable convolution with a shortcut.
#[derive(Module, Debug)]
pub struct BlazeBlock {
    depthwise: Conv2d,
    pointwise: Conv2d,
    stride: usize,
    residual: bool,
}

/// The face detector's network.
#[derive(Module, Debug)]
pub struct BlazeFace {
    stem: Conv2d,
    blocks: Vec<BlazeBlock>,
    scores: Vec<Conv2d>,
    boxes: Vec<Conv2d>,
    #[module(skip)]
    config: BlazeFaceConfig,
}

impl BlazeFaceConfig {
    /// Creates the network with weights of zero, for a file's to be put in.
    ///
    /// # Errors
    /// An architecture that [`validate`](Self::validate) refuses.
    pub fn init(&self, device: &Device) -> Result<BlazeFace, DetectorError> {
        self.validate()?;
        let mut input = self.stem_channels;
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            blocks.push(block.init(input, device));
            input = block.channels;
        }
        let head = |values: usize| -> Vec<Conv2d> {
            self.head_channels()
                .into_iter()
                .zip(self.boxes_per_cell)
                .map(|(channels, boxes)| pointwise(channels, boxes * values, device))
                .collect()
        };
        Ok(BlazeFace {
            stem: Conv2dConfig::new([3, self.stem_channels], [5, 5])
                .with_stride([2, 2])
                // TensorFlow's SAME: of three rows of padding the odd one comes last.
                .with_padding(PaddingConfig2d::Explicit(1, 1, 2, 2))
                .with_initializer(Initializer::Zeros)
                .init(device),
            blocks,
            scores: head(1),
            boxes: head(COORDINATES),
            config: self.clone(),
        })
    }
}

impl BlazeBlockConfig {
    fn init(&self, input: usize, device: &Device) -> BlazeBlock {
        let padding = match self.stride {
            1 => PaddingConfig2d::Explicit(1, 1, 1, 1),
            _ => PaddingConfig2d::Explicit(0, 0, 1, 1),
        };
        BlazeBlock {
            depthwise: Conv2dConfig::new([input, input], [3, 3])
                .with_stride([self.stride; 2])
                .with_groups(input)
                .with_padding(padding)
                .with_bias(false)
                .with_initializer(Initializer::Zeros)
                .init(device),
            pointwise: pointwise(input, self.channels, device),
            stride: self.stride,
            residual: self.residual,
        }
    }
}

fn pointwise(input: usize, output: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([input, output], [1, 1])
        .with_initializer(Initializer::Zeros)
        .init(device)
}

impl BlazeBlock {
    /// `[N, C, H, W]` to `[N, C', H / stride, W / stride]`.
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let filtered = self.depthwise.forward(input.clone());
        let output = self.pointwise.forward(filtered);
        if !self.residual {
            return activation::relu(output);
        }
        let shortcut = match self.stride {
            1 => input,
            stride => max_pool2d(input, MaxPoolOptions::new([stride; 2])),
        };
        let [count, channels, height, width] = shortcut.dims();
        let [_, wanted, _, _] = output.dims();
        let shortcut = if wanted > channels {
            let shape = [count, wanted - channels, height, width];
            let zeros = Tensor::zeros(shape, &shortcut.device());
            Tensor::cat(vec![shortcut, zeros], 1)
        } else {
            shortcut
        };
        activation::relu(output + shortcut)
    }
}

impl BlazeFace {
    /// The configuration that the network was built from.
    pub fn config(&self) -> &BlazeFaceConfig {
        &self.config
    }

    /// Pictures `[N, 3, S, S]` in [−1, 1] to `[N, anchors, 17]`: the score's logit, then in pixels of
    /// the input, relative to the anchor, the centre's x and y, width, height, and x and y of six key
    /// points. Anchors are those of the finer grid row by row, then those of the coarser one; a
    /// cell's boxes follow each other.
    ///
    /// # Panics
    /// If the pictures are of another size than the configuration's.
    pub fn forward(&self, pictures: Tensor<4>) -> Tensor<3> {
        let mut hidden = activation::relu(self.stem.forward(pictures));
        let mut fine = None;
        for (index, block) in self.blocks.iter().enumerate() {
            hidden = block.forward(hidden);
            if index + 1 == self.config.fine_blocks {
                fine = Some(hidden.clone());
            }
        }
        let grids = fine.into_iter().chain([hidden]);
        let outputs = grids
            .zip(self.scores.iter().zip(&self.boxes))
            .map(|(features, (scores, boxes))| {
                let scores = by_box(scores.forward(features.clone()), 1);
                let boxes = by_box(boxes.forward(features), COORDINATES);
                Tensor::cat(vec![scores, boxes], 2)
            })
            .collect();
        Tensor::cat(outputs, 1)
    }
}

/// `[N, boxes · values, H, W]` as `[N, H · W · boxes, values]`.
fn by_box(output: Tensor<4>, values: usize) -> Tensor<3> {
    let [count, channels, height, width] = output.dims();
    output
        .permute([0, 2, 3, 1])
        .reshape([count, height * width * channels / values, values])
}
