//! Tile sizes and launch shapes: from an operation's sizes and a tile set to a shader.
//!
//! Nothing here touches a device, so every permutation can be validated without one.

mod attention;
mod lanes;

pub(crate) use attention::{AttentionPlan, MaskKind, SubjectPlan, Walk};
use lanes::Lanes;

use crate::choice::{Kernels, TileSet};
use crate::layers::Activation;
use crate::shader::Shader;

/// Workgroup memory that every WebGPU device has, in bytes.
const WORKGROUP_MEMORY: usize = 16 * 1024;
/// Threads of a workgroup that every WebGPU device has.
const WORKGROUP_THREADS: usize = 256;

/// A shader with the threads of its workgroup and the rows that a workgroup covers.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub shader: Shader,
    pub threads: usize,
    pub rows: usize,
}

/// How a linear layer's weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Weights {
    /// `[depth, width]`.
    Plain,
    /// `[width, depth]`.
    Transposed,
    /// `[depth, width]`, two halves a word, rows padded to four columns.
    Half,
}

/// Rows of `x` that are patches of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Patches {
    pub channels: usize,
    pub side: usize,
    pub patch: usize,
}

/// One linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LinearPlan {
    pub kernels: Kernels,
    pub rows: usize,
    pub depth: usize,
    pub width: usize,
    pub activation: Activation,
    pub weights: Weights,
    /// Whether `x` is stored by columns, `[depth, rows]`: its transpose, where it is itself the
    /// gradient's factor.
    pub x_columns: bool,
    pub patches: Option<Patches>,
    pub bias: bool,
    pub residual: bool,
    /// Whether the values before the activation are wanted, for the backward pass.
    pub save: bool,
}

/// A linear layer's shader and how many workgroups it takes.
#[derive(Clone, Debug)]
pub(crate) struct PlannedLinear {
    pub shader: Shader,
    pub threads: usize,
    pub groups: [usize; 2],
}

impl LinearPlan {
    /// The product `[rows, depth] × [depth, width]` and nothing else.
    pub(crate) fn product(kernels: Kernels, [rows, depth, width]: [usize; 3]) -> Self {
        Self {
            kernels,
            rows,
            depth,
            width,
            activation: Activation::None,
            weights: Weights::Plain,
            x_columns: false,
            patches: None,
            bias: false,
            residual: false,
            save: false,
        }
    }

    pub(crate) fn plan(&self) -> PlannedLinear {
        match self.kernels.tiles {
            TileSet::Software if self.kernels.products_in_memory && self.reads_vectors() => {
                self.memory()
            }
            TileSet::Software => {
                // Every element read by itself makes long shaders, which take long to compile.
                let (rows, quads) = if self.reads_vectors() {
                    let tallest = if self.is_whole() { 51 } else { 17 };
                    let rows = block_rows(self.rows, tallest, 4);
                    (rows, self.width.div_ceil(4).min(4))
                } else {
                    (self.rows.min(4), 1)
                };
                let threads = self.width.div_ceil(4 * quads).min(4);
                self.registers(rows, quads, threads)
            }
            TileSet::Plain => self.registers(self.rows.min(4), 1, 64),
            // With the large tile a layer of one frame would leave most of a GPU idle.
            TileSet::Gpu if self.rows * self.width < 512 * 1024 => self.tiled(32, 32, 16, 1),
            TileSet::Gpu => self.tiled(64, 64, 16, 2),
        }
    }

    fn registers(&self, rows: usize, quads: usize, threads: usize) -> PlannedLinear {
        let columns = 4 * quads;
        PlannedLinear {
            shader: self
                .described("linear_registers.wgsl")
                .flag("WHOLE", self.is_whole())
                .with("SUMS", rows * quads)
                .with("ROWS", rows)
                .with("QUADS", quads)
                .with("COLUMNS", columns)
                .with("THREADS", threads),
            threads,
            groups: [
                self.width.div_ceil(columns * threads),
                self.rows.div_ceil(rows),
            ],
        }
    }

    /// For SwiftShader: the largest blocks that compile in a second or two.
    fn memory(&self) -> PlannedLinear {
        let rows = block_rows(self.rows, 51, 11);
        let [quads, threads, groups] = block_quads(self.width / 4);
        PlannedLinear {
            shader: self
                .described("linear_memory.wgsl")
                .with("ROWS", rows)
                .with("QUADS", quads)
                .with("SUMS", rows * quads)
                .with("HELD", 4 * quads)
                .with("THREADS", threads),
            threads,
            groups: [groups, self.rows.div_ceil(rows)],
        }
    }

    fn tiled(&self, rows: usize, columns: usize, depth: usize, quads: usize) -> PlannedLinear {
        let threads = (rows / 4) * (columns / (4 * quads));
        PlannedLinear {
            shader: self
                .described("linear_tiled.wgsl")
                .with("TILE_ROWS", rows)
                .with("TILE_COLUMNS", columns)
                .with("TILE_DEPTH", depth)
                .with("TILE_X", rows * depth / 4)
                .with("TILE_W", columns * depth / 4)
                .with("QUADS", quads)
                .with("COLUMNS", 4 * quads)
                .with("THREADS", threads),
            threads,
            groups: [self.width.div_ceil(columns), self.rows.div_ceil(rows)],
        }
    }

    /// Four elements of the depth of `x` that lie beside each other and start at a multiple of four.
    fn x_vectors(&self) -> bool {
        match self.patches {
            // They must be four neighbours of a pixel row.
            Some(Patches { side, patch, .. }) => side.is_multiple_of(4) && patch.is_multiple_of(4),
            None => !self.x_columns && self.depth.is_multiple_of(4),
        }
    }

    /// The same of the weights, along their rows.
    fn w_vectors(&self) -> bool {
        match self.weights {
            Weights::Transposed => self.depth.is_multiple_of(4),
            Weights::Plain | Weights::Half => self.width.is_multiple_of(4),
        }
    }

    fn reads_vectors(&self) -> bool {
        self.x_vectors() && self.w_vectors() && self.width.is_multiple_of(4)
    }

    /// Rows of f32 that need no guard along the depth: what an encoder's layers are.
    fn is_whole(&self) -> bool {
        self.reads_vectors()
            && self.patches.is_none()
            && self.weights == Weights::Plain
            && self.depth.is_multiple_of(4)
    }

    fn described(&self, file: &'static str) -> Shader {
        let half = self.weights == Weights::Half;
        let transposed = self.weights == Weights::Transposed;
        let x_vectors = self.x_vectors();
        // Only the tiled kernel reads whole vectors of rows.
        let row_vectors =
            self.x_columns && self.kernels.tiles == TileSet::Gpu && self.rows.is_multiple_of(4);
        let w_vectors = self.w_vectors();
        let y_vectors = self.width.is_multiple_of(4);
        let native = half && self.kernels.native_half;
        let element = |vectors: bool| if vectors { "vec4<f32>" } else { "f32" };
        let weight = match (half, native) {
            (true, true) => "vec4<f16>",
            (true, false) => "vec2<u32>",
            (false, _) => element(w_vectors),
        };
        Shader::new(file)
            .with("X_TYPE", element(x_vectors || row_vectors))
            .with("W_TYPE", weight)
            .with("Y_TYPE", element(y_vectors))
            .flag("X_COLUMNS", self.x_columns)
            .flag("X_VECTORS", x_vectors)
            .flag("ROW_VECTORS", row_vectors)
            .flag("W_VECTORS", w_vectors)
            .flag("Y_VECTORS", y_vectors)
            .flag("W_HALF", half)
            .flag("NATIVE_HALF", native)
            .flag("TRANSPOSED", transposed)
            .flag("PATCHES", self.patches.is_some())
            .flag("BIAS", self.bias)
            .flag("RESIDUAL", self.residual)
            .flag("SAVE", self.save)
            .flag("LINEAR", self.activation == Activation::None)
            .flag("GELU", self.activation == Activation::Gelu)
            .flag("QUICK_GELU", self.activation == Activation::QuickGelu)
    }

    /// The numbers of the launch.
    pub(crate) fn info(&self) -> Vec<u32> {
        let mut info = vec![self.rows, self.depth, self.width];
        if let Some(Patches {
            channels,
            side,
            patch,
        }) = self.patches
        {
            info.extend([channels, side, patch, side / patch]);
        }
        info.into_iter().map(|number| number as u32).collect()
    }
}

/// Rows a thread owns on a software adapter, at most `tallest`: as many as leave few of them idle. A
/// block of r rows costs r rows of products and about `reading` rows' worth of reading weights. 51 are
/// the tokens of a frame of ViT-B/32.
fn block_rows(rows: usize, tallest: usize, reading: usize) -> usize {
    let cost = |block: &usize| rows.div_ceil(*block) * (block + reading);
    [51, 17, 8, 4, 1]
        .into_iter()
        .filter(|block| *block <= tallest)
        .min_by_key(cost)
        .unwrap_or(1)
}

/// How so many vectors of a row are shared out on a software adapter: vectors a thread, at most eight,
/// threads a workgroup, which is what the driver computes at once, and workgroups, two at least for two
/// cores.
fn block_quads(across: usize) -> [usize; 3] {
    let quads = across.div_ceil(4 * across.div_ceil(4 * 8).max(2));
    let threads = across.div_ceil(quads).min(4);
    [quads, threads, across.div_ceil(quads * threads)]
}

/// LayerNorm over rows of `width`.
pub(crate) fn layer_norm(kernels: Kernels, width: usize, epsilon: f64) -> Planned {
    let vectors = width.is_multiple_of(4);
    let shader = Shader::new("layer_norm.wgsl")
        .with("TYPE", if vectors { "vec4<f32>" } else { "f32" })
        .with("WIDTH", if vectors { 4 } else { 1 })
        .with("EPSILON", float(epsilon))
        .flag("VECTORS", vectors);
    let (threads, lanes) = match kernels.tiles {
        TileSet::Software => (8, 1),
        TileSet::Gpu => (64, subgroup_lanes(kernels, 64)),
        TileSet::Plain => (32, 1),
    };
    Lanes::new(kernels, threads, lanes, 1).describe(shader)
}

/// Coverage of patches by a mask.
pub(crate) fn coverage(kernels: Kernels) -> Planned {
    let (threads, lanes) = match kernels.tiles {
        TileSet::Software => (8, 1),
        TileSet::Gpu => (64, subgroup_lanes(kernels, 32)),
        TileSet::Plain => (32, 1),
    };
    Lanes::new(kernels, threads, lanes, 1).describe(Shader::new("coverage.wgsl"))
}

/// Lanes of a long row: as many as a subgroup holds, where there are subgroups.
fn subgroup_lanes(kernels: Kernels, most: usize) -> usize {
    kernels
        .subgroups
        .map_or(most, |sizes| most.min(sizes.least as usize))
}

/// Threads of a workgroup of a picture's resize, each with one output pixel.
const RESAMPLE_THREADS: usize = 64;

/// One pass of a picture's resize with weights of so many fraction bits.
pub(crate) fn resample(file: &'static str, fraction_bits: u32, mask: bool) -> Planned {
    Planned {
        shader: Shader::new(file)
            .with("THREADS", RESAMPLE_THREADS)
            .with("BITS", fraction_bits)
            .with("HALF", 1_i32 << fraction_bits >> 1)
            .flag("MASK", mask),
        threads: RESAMPLE_THREADS,
        rows: RESAMPLE_THREADS,
    }
}

/// A number as WGSL reads it back exactly.
fn float(value: f64) -> String {
    format!("{:e}", value as f32)
}

#[cfg(test)]
#[path = "plan/tests.rs"]
mod tests;
