//! Each operation of the frame encoder at its size, by kernels and by tensor operations.

use burn::tensor::Tensor;
use emotionclip_kernels::{Activation, AttentionMask, DeviceKernels, reference};
use serde::Serialize;

use super::Bench;
use super::measure::{Timing, random, time};

/// All operations.
#[derive(Serialize)]
pub struct KernelTimes {
    pub operations: Vec<OperationTime>,
}

/// One operation.
#[derive(Serialize)]
pub struct OperationTime {
    pub operation: &'static str,
    /// How often the frame encoder calls it.
    pub calls: usize,
    /// By the kernels, if the device has them.
    pub kernel: Option<Speed>,
    /// By tensor operations.
    pub tensor_operations: Speed,
}

/// A time and what it means.
#[derive(Clone, Copy, Serialize)]
pub struct Speed {
    #[serde(flatten)]
    pub timing: Timing,
    pub gflop_s: f64,
    pub gb_s: f64,
}

/// Arithmetic and memory traffic of a call.
#[derive(Clone, Copy)]
struct Cost {
    flop: f64,
    bytes: f64,
}

impl Cost {
    fn speed(self, timing: Timing) -> Speed {
        let nanoseconds = timing.median_ms * 1e6;
        Speed {
            timing,
            gflop_s: self.flop / nanoseconds,
            gb_s: self.bytes / nanoseconds,
        }
    }
}

impl OperationTime {
    /// What the device takes, by whichever way it goes.
    pub fn median_ms(&self) -> f64 {
        self.kernel
            .unwrap_or(self.tensor_operations)
            .timing
            .median_ms
    }
}

impl Bench {
    /// Times all operations.
    pub fn kernels(&self) -> anyhow::Result<KernelTimes> {
        let vision = &self.config.vision;
        let (width, layers) = (vision.width, vision.layers);
        let hidden = vision.mlp_ratio * width;
        let mut operations = vec![
            self.attention("attention", layers, |_| AttentionMask::None)?,
            self.attention("attention_causal", 0, |_| AttentionMask::Causal)?,
            self.attention("attention_subject", 0, |bench| AttentionMask::Subject {
                outside: random([bench.batch, vision.patches()], &bench.device)
                    .greater_elem(0.0)
                    .float(),
                gate: random(
                    [vision.heads, vision.tokens(), vision.tokens()],
                    &bench.device,
                ),
            })?,
            self.linear("qkv", layers, width, 3 * width, Activation::None, false)?,
            self.linear("out", layers, width, width, Activation::None, true)?,
            self.linear("fc_gelu", layers, width, hidden, Activation::Gelu, false)?,
            self.linear("proj", layers, hidden, width, Activation::None, true)?,
            self.layer_norm(2 * layers + 1)?,
            self.coverage()?,
        ];
        operations.extend(self.patches()?);
        Ok(KernelTimes { operations })
    }

    fn compare<T>(
        &self,
        operation: &'static str,
        calls: usize,
        cost: Cost,
        by_kernel: impl Fn(&DeviceKernels) -> T,
        by_tensors: impl Fn() -> T,
    ) -> anyhow::Result<OperationTime> {
        let kernel = match DeviceKernels::of(&self.device) {
            Some(kernels) => {
                let timing = time(&self.device, self.repeats, || by_kernel(&kernels))?;
                Some(cost.speed(timing))
            }
            None => None,
        };
        let timing = time(&self.device, self.repeats, by_tensors)?;
        Ok(OperationTime {
            operation,
            calls,
            kernel,
            tensor_operations: cost.speed(timing),
        })
    }

    fn attention(
        &self,
        operation: &'static str,
        calls: usize,
        mask: impl Fn(&Self) -> AttentionMask,
    ) -> anyhow::Result<OperationTime> {
        let vision = &self.config.vision;
        let (tokens, heads, width) = (vision.tokens(), vision.heads, vision.width);
        let qkv: Tensor<3> = random([self.batch, tokens, 3 * width], &self.device);
        let mask = mask(self);
        // Scores and weighted values; a subject's kernel has twice that, its tensor operations scores
        // once and weighted values three times.
        let products = match mask {
            AttentionMask::Subject { .. } => 4,
            _ => 2,
        };
        let cost = Cost {
            flop: (2 * products * self.batch * tokens * tokens * width) as f64,
            bytes: (16 * self.batch * tokens * width) as f64,
        };
        self.compare(
            operation,
            calls,
            cost,
            |kernels| kernels.masked_attention(qkv.clone(), heads, mask.clone()),
            || reference::masked_attention(qkv.clone(), heads, mask.clone()),
        )
    }

    fn linear(
        &self,
        operation: &'static str,
        calls: usize,
        depth: usize,
        width: usize,
        activation: Activation,
        has_residual: bool,
    ) -> anyhow::Result<OperationTime> {
        let rows = self.batch * self.config.vision.tokens();
        let x: Tensor<2> = random([rows, depth], &self.device);
        let weight: Tensor<2> = random([depth, width], &self.device);
        let bias: Tensor<1> = random([width], &self.device);
        let residual = has_residual.then(|| random([rows, width], &self.device));
        let outputs = rows * width * (1 + usize::from(has_residual));
        let cost = Cost {
            flop: (2 * rows * depth * width) as f64,
            bytes: (4 * (rows * depth + depth * width + outputs)) as f64,
        };
        let operands = || {
            (
                x.clone(),
                weight.clone(),
                Some(bias.clone()),
                residual.clone(),
            )
        };
        self.compare(
            operation,
            calls,
            cost,
            |kernels| {
                let (x, weight, bias, residual) = operands();
                kernels.linear(x, weight, bias, residual, activation)
            },
            || {
                let (x, weight, bias, residual) = operands();
                reference::linear(x, weight, bias, residual, activation)
            },
        )
    }

    fn layer_norm(&self, calls: usize) -> anyhow::Result<OperationTime> {
        let width = self.config.vision.width;
        let rows = self.batch * self.config.vision.tokens();
        let x: Tensor<2> = random([rows, width], &self.device);
        let gain: Tensor<1> = random([width], &self.device);
        let cost = Cost {
            flop: (7 * rows * width) as f64,
            bytes: (8 * rows * width) as f64,
        };
        self.compare(
            "layer_norm",
            calls,
            cost,
            |kernels| kernels.layer_norm(x.clone(), gain.clone(), gain.clone(), 1e-5),
            || reference::layer_norm(x.clone(), gain.clone(), gain.clone(), 1e-5),
        )
    }

    fn coverage(&self) -> anyhow::Result<OperationTime> {
        let (side, patch) = (self.config.vision.image_size, self.config.vision.patch_size);
        let masks: Tensor<3> = random([self.batch, side, side], &self.device);
        let pixels = (self.batch * side * side) as f64;
        let cost = Cost {
            flop: pixels,
            bytes: 4.0 * pixels,
        };
        self.compare(
            "patch_coverage",
            1,
            cost,
            |kernels| kernels.patch_coverage(masks.clone(), patch),
            || reference::patch_coverage(masks.clone(), patch),
        )
    }

    /// Only without a stem, which changes what is embedded.
    fn patches(&self) -> anyhow::Result<Option<OperationTime>> {
        let vision = &self.config.vision;
        if vision.stem != emotionclip::config::PatchStem::Linear {
            return Ok(None);
        }
        let (side, patch, width) = (vision.image_size, vision.patch_size, vision.width);
        let images: Tensor<4> = random([self.batch, 3, side, side], &self.device);
        let weight: Tensor<4> = random([width, 3, patch, patch], &self.device);
        let depth = 3 * patch * patch;
        let rows = self.batch * vision.patches();
        let cost = Cost {
            flop: (2 * rows * depth * width) as f64,
            bytes: (4 * (rows * depth + depth * width + rows * width)) as f64,
        };
        let time = self.compare(
            "patch_embedding",
            1,
            cost,
            |kernels| kernels.patch_embedding(images.clone(), weight.clone()),
            || reference::patch_embedding(images.clone(), weight.clone()),
        )?;
        Ok(Some(time))
    }
}
