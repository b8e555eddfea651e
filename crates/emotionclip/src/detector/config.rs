//! The architecture of a BlazeFace network.

use serde::{Deserialize, Serialize};

use super::error::DetectorError;

/// Largest input, number of channels and number of blocks that a file may ask for: an order of
/// magnitude above the networks there are, and small enough to be allocated anywhere.
const LARGEST_INPUT: usize = 1024;
const MOST_CHANNELS: usize = 1024;
const MOST_BLOCKS: usize = 256;
const MOST_BOXES: usize = 64;

/// Architecture of a [`BlazeFace`](super::BlazeFace) network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlazeFaceConfig {
    /// Side of the square input in pixels.
    pub input_size: usize,
    /// Channels after the stem, a 5×5 convolution that halves the side.
    pub stem_channels: usize,
    /// The blocks in order.
    pub blocks: Vec<BlazeBlockConfig>,
    /// Blocks before the head of the finer grid; that of the coarser grid stands behind all.
    pub fine_blocks: usize,
    /// Boxes that the finer and the coarser grid have in each cell.
    pub boxes_per_cell: [usize; 2],
}

/// One block: a depthwise 3×3 convolution, then a 1×1 convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlazeBlockConfig {
    /// Channels that come out.
    pub channels: usize,
    /// 2 where the block halves the side, else 1.
    pub stride: usize,
    /// Whether the block's input is added to its output.
    pub residual: bool,
}

impl BlazeFaceConfig {
    /// Checks that a network of this architecture can be built.
    ///
    /// # Errors
    /// [`DetectorError::Config`] for the first field that can't be satisfied.
    pub fn validate(&self) -> Result<(), DetectorError> {
        let fault = |field, value: &dyn std::fmt::Debug, rule| {
            let value = format!("{value:?}");
            Err(DetectorError::Config { field, value, rule })
        };
        if self.blocks.is_empty() || self.blocks.len() > MOST_BLOCKS {
            let rule = "there must be 1 to 256 blocks";
            return fault("blocks", &self.blocks.len(), rule);
        }
        if !(1..=MOST_CHANNELS).contains(&self.stem_channels) {
            return fault("stem_channels", &self.stem_channels, "must be 1 to 1024");
        }
        let mut channels = self.stem_channels;
        // Sides must stay even: padding to an odd one is not what the weights were trained with.
        let mut shrinking = 2_usize;
        for block in &self.blocks {
            if !(1..=MOST_CHANNELS).contains(&block.channels) {
                return fault("blocks.channels", &block.channels, "must be 1 to 1024");
            }
            if !(1..=2).contains(&block.stride) {
                return fault("blocks.stride", &block.stride, "must be 1 or 2");
            }
            if block.residual && block.channels < channels {
                let rule = "a block with a residual can't have fewer channels than its input";
                return fault("blocks.channels", &block.channels, rule);
            }
            channels = block.channels;
            shrinking = shrinking.saturating_mul(block.stride);
        }
        let multiple = self.input_size.is_multiple_of(shrinking);
        if self.input_size == 0 || self.input_size > LARGEST_INPUT || !multiple {
            let rule = "must be at most 1024 and divide by the product of all strides";
            return fault("input_size", &self.input_size, rule);
        }
        if !(1..=self.blocks.len()).contains(&self.fine_blocks) {
            let rule = "must be at least 1 and at most the number of blocks";
            return fault("fine_blocks", &self.fine_blocks, rule);
        }
        if self
            .boxes_per_cell
            .iter()
            .any(|boxes| !(1..=MOST_BOXES).contains(boxes))
        {
            return fault(
                "boxes_per_cell",
                &self.boxes_per_cell,
                "must be 1 to 64 each",
            );
        }
        Ok(())
    }

    /// Cells along a side of the finer and of the coarser grid.
    pub fn grids(&self) -> [usize; 2] {
        [self.fine_blocks, self.blocks.len()].map(|blocks| {
            let strides = self.blocks.iter().take(blocks).map(|block| block.stride);
            self.input_size / (2 * strides.product::<usize>())
        })
    }

    /// Number of boxes that the network predicts.
    pub fn anchors(&self) -> usize {
        self.grids()
            .iter()
            .zip(self.boxes_per_cell)
            .map(|(cells, boxes)| cells * cells * boxes)
            .sum()
    }

    /// Channels that the heads of the finer and of the coarser grid read.
    pub(super) fn head_channels(&self) -> [usize; 2] {
        [self.fine_blocks, self.blocks.len()].map(|blocks| {
            let before = blocks.checked_sub(1).and_then(|last| self.blocks.get(last));
            before.map_or(self.stem_channels, |block| block.channels)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(channels: usize, stride: usize) -> BlazeBlockConfig {
        BlazeBlockConfig {
            channels,
            stride,
            residual: true,
        }
    }

    fn config() -> BlazeFaceConfig {
        BlazeFaceConfig {
            input_size: 64,
            stem_channels: 4,
            blocks: vec![block(4, 1), block(6, 2), block(8, 2)],
            fine_blocks: 2,
            boxes_per_cell: [2, 6],
        }
    }

    #[test]
    fn grids_and_anchors_follow_from_the_strides() {
        let config = config();
        config.validate().unwrap();
        assert_eq!(config.grids(), [16, 8]);
        assert_eq!(config.anchors(), 2 * 256 + 6 * 64);
        assert_eq!(config.head_channels(), [6, 8]);
    }

    #[test]
    fn impossible_architectures_are_refused_by_field() {
        type Change = fn(&mut BlazeFaceConfig);
        let changes: [(&str, Change); 9] = [
            ("input_size", |config| config.input_size = 60),
            ("input_size", |config| config.input_size = 0),
            ("input_size", |config| config.input_size = 1 << 20),
            ("blocks", |config| config.blocks.clear()),
            ("blocks.stride", |config| config.blocks[0].stride = 3),
            ("blocks.channels", |config| config.blocks[1].channels = 3),
            ("stem_channels", |config| config.stem_channels = usize::MAX),
            ("fine_blocks", |config| config.fine_blocks = 4),
            ("boxes_per_cell", |config| config.boxes_per_cell = [2, 0]),
        ];
        for (expected, change) in changes {
            let mut changed = config();
            change(&mut changed);
            match changed.validate() {
                Err(DetectorError::Config { field, .. }) => assert_eq!(field, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
        // Without its residual a block may narrow.
        let mut narrowing = config();
        narrowing.blocks[1] = BlazeBlockConfig {
            residual: false,
            ..block(3, 2)
        };
        narrowing.validate().unwrap();
    }
}
