//! Tile sizes and launch shapes: from an operation's sizes and a tile set to a shader.
//!
//! Nothing here touches a device, so every permutation can be validated without one.

use crate::choice::{Kernels, TileSet};
use crate::layers::Activation;
use crate::shader::Shader;

/// Workgroup memory that every WebGPU device has, in bytes.
const WORKGROUP_MEMORY: usize = 16 * 1024;
/// Threads of a workgroup that every WebGPU device has.
const WORKGROUP_THREADS: usize = 256;

/// How the weights of a softmax are masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MaskKind {
    None,
    KeyBias,
    Causal,
    Subject,
}

/// One attention operation: head width, mask, and whether the weights are split by a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AttentionPlan {
    pub kernels: Kernels,
    pub heads: usize,
    pub head_width: usize,
    pub mask: MaskKind,
    pub mix: bool,
}

/// The three kernels that walk over tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    Forward,
    GradQuery,
    GradKey,
}

/// A shader with the threads of its workgroup and the rows that a workgroup covers.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub shader: Shader,
    pub threads: usize,
    pub rows: usize,
}

/// How many threads work on a row, and how many rows make a workgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lanes {
    rows: usize,
    lanes: usize,
    values: usize,
}

impl Lanes {
    fn memory(self) -> usize {
        if self.lanes == 1 {
            return 0;
        }
        4 * self.rows * self.values * (self.lanes + 1)
    }

    fn describe(self, shader: Shader) -> Planned {
        let threads = self.rows * self.lanes;
        Planned {
            shader: shader
                .with("ROWS", self.rows)
                .with("LANES", self.lanes)
                .with("VALUES", self.values)
                .with("PARTIALS", threads * self.values)
                .with("TOTALS", self.rows * self.values)
                .with("THREADS", threads)
                .flag("MANY_LANES", self.lanes > 1),
            threads,
            rows: self.rows,
        }
    }
}

impl AttentionPlan {
    fn vectors(&self) -> usize {
        self.head_width / 4
    }

    fn described(&self, file: &'static str) -> Shader {
        Shader::new(file)
            .with("VECTORS", self.vectors())
            .with("SCALE", float(1.0 / (self.head_width as f64).sqrt()))
            .flag("KEY_BIAS", self.mask == MaskKind::KeyBias)
            .flag("CAUSAL", self.mask == MaskKind::Causal)
            .flag("SUBJECT", self.mask == MaskKind::Subject)
            .flag("UNMASKED", self.mask == MaskKind::None)
            .flag("BIASED", self.needs_bias())
            .flag("MIX", self.mix)
    }

    /// Whether the mask reads numbers of the batch.
    pub(crate) fn needs_bias(&self) -> bool {
        matches!(self.mask, MaskKind::KeyBias | MaskKind::Subject)
    }

    /// The kernel of one walk. `SLICE` vectors of a head lie in a thread's registers; the more a
    /// thread owns, the fewer barriers, and the fewer threads there are to hide latency.
    pub(crate) fn walk(&self, walk: Walk) -> Planned {
        let (file, kinds) = match walk {
            Walk::Forward => ("attention.wgsl", 1),
            Walk::GradQuery => ("attention_grad_query.wgsl", 2 + usize::from(self.mix)),
            Walk::GradKey => ("attention_grad_key.wgsl", 2 + usize::from(self.mix)),
        };
        let (widest_slice, threads, mut tile) = match self.kernels.tiles {
            TileSet::Software => (16, 8, 4),
            TileSet::Gpu => (4, 64, 8),
            TileSet::Plain => (8, 32, 4),
        };
        if kinds > 1 {
            tile /= 2;
        }
        let vectors = self.vectors();
        let lanes = vectors.div_ceil(widest_slice).min(WORKGROUP_THREADS);
        let slice = vectors.div_ceil(lanes);
        let lanes_of = |tile: usize| Lanes {
            rows: (threads / lanes).max(1),
            lanes,
            values: tile * kinds,
        };
        while lanes_of(tile).memory() > WORKGROUP_MEMORY && tile > 1 {
            tile /= 2;
        }
        let shader = self.described(file).with("SLICE", slice).with("TILE", tile);
        lanes_of(tile).describe(shader)
    }

    /// The kernel that gathers what the backward pass needs of each query row.
    pub(crate) fn rows(&self) -> Planned {
        let threads = self.row_threads();
        Planned {
            shader: Shader::new("attention_rows.wgsl")
                .with("VECTORS", self.vectors())
                .with("THREADS", threads),
            threads,
            rows: threads,
        }
    }

    /// The kernel of the gate's gradient.
    pub(crate) fn grad_gate(&self) -> Planned {
        let threads = self.row_threads();
        let shader = self.described("attention_grad_gate.wgsl");
        Planned {
            shader: shader.with("THREADS", threads),
            threads,
            rows: threads,
        }
    }

    fn row_threads(&self) -> usize {
        match self.kernels.tiles {
            TileSet::Software => 8,
            TileSet::Gpu | TileSet::Plain => 64,
        }
    }
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
            TileSet::Software => {
                // Every element read by itself makes long shaders, which take long to compile.
                let (rows, quads) = if self.reads_vectors() {
                    let tallest = if self.is_whole() { 51 } else { 17 };
                    let rows = register_rows(self.rows, tallest);
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
/// block of r rows costs r rows of products and about 4 rows' worth of reading weights. 51 are the
/// tokens of a frame of ViT-B/32.
fn register_rows(rows: usize, tallest: usize) -> usize {
    let cost = |block: &usize| rows.div_ceil(*block) * (block + 4);
    [51, 17, 8, 4, 1]
        .into_iter()
        .filter(|block| *block <= tallest)
        .min_by_key(cost)
        .unwrap_or(1)
}

/// LayerNorm over rows of `width`.
pub(crate) fn layer_norm(kernels: Kernels, width: usize, epsilon: f64) -> Planned {
    let vectors = width.is_multiple_of(4);
    let shader = Shader::new("layer_norm.wgsl")
        .with("TYPE", if vectors { "vec4<f32>" } else { "f32" })
        .with("WIDTH", if vectors { 4 } else { 1 })
        .with("EPSILON", float(epsilon))
        .flag("VECTORS", vectors);
    let (rows, lanes) = match kernels.tiles {
        TileSet::Software => (8, 1),
        TileSet::Gpu => (1, 64),
        TileSet::Plain => (32, 1),
    };
    let values = 1;
    Lanes {
        rows,
        lanes,
        values,
    }
    .describe(shader)
}

/// Coverage of patches by a mask.
pub(crate) fn coverage(kernels: Kernels) -> Planned {
    let (rows, lanes) = match kernels.tiles {
        TileSet::Software => (8, 1),
        TileSet::Gpu => (2, 32),
        TileSet::Plain => (32, 1),
    };
    let values = 1;
    Lanes {
        rows,
        lanes,
        values,
    }
    .describe(Shader::new("coverage.wgsl"))
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
