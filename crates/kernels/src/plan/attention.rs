//! Attention: one softmax's walks, and SAAM's two softmaxes in one dispatch where they fit.

use super::{Lanes, Planned, WORKGROUP_MEMORY, WORKGROUP_THREADS, float};
use crate::choice::{Kernels, TileSet};
use crate::shader::Shader;

/// How the weights of a softmax are masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MaskKind {
    None,
    KeyBias,
    Causal,
    Subject,
}

/// One attention operation: head width, mask, and whether a gate lets U V - V pass: only SAAM's backward
/// pass and its second walk ask for that.
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
            .flag("GATED", self.mix)
    }

    /// Whether the mask reads numbers of the batch.
    pub(crate) fn needs_bias(&self) -> bool {
        matches!(self.mask, MaskKind::KeyBias | MaskKind::Subject)
    }

    /// How threads share the rows of a walk with `kinds` sums a key: the lanes, and the keys a step.
    fn lanes(&self, kinds: usize) -> (Lanes, usize) {
        let (widest_slice, threads, mut tile) = match self.kernels.tiles {
            TileSet::Software => (16, 8, 4),
            TileSet::Gpu => (4, 64, 8),
            TileSet::Plain => (8, 32, 4),
        };
        if kinds > 1 {
            tile /= 2;
        }
        let lanes = self.vectors().div_ceil(widest_slice).min(WORKGROUP_THREADS);
        let of = |tile| Lanes::new(self.kernels, threads, lanes, tile * kinds);
        while !of(tile).fits(0) && tile > 1 {
            tile /= 2;
        }
        (of(tile), tile)
    }

    /// `SLICE` vectors of a head lie in a thread's registers; the more a thread owns, the fewer
    /// barriers, and the fewer threads there are to hide latency.
    fn shared(&self, shader: Shader, lanes: Lanes, tile: usize) -> Planned {
        let slice = self.vectors().div_ceil(lanes.lanes);
        lanes.describe(shader.with("SLICE", slice).with("TILE", tile))
    }

    /// A kernel of SAAM's forward pass. Lanes and keys a step are those of plain attention, so that a
    /// shut gate gives the same bits.
    fn forward(&self, file: &'static str) -> Planned {
        let (lanes, tile) = self.lanes(1);
        self.shared(self.described(file), lanes, tile)
    }

    /// The kernel of one walk.
    pub(crate) fn walk(&self, walk: Walk) -> Planned {
        let (file, kinds) = match walk {
            Walk::Forward => ("attention.wgsl", 1),
            Walk::GradQuery => ("attention_grad_query.wgsl", 2 + usize::from(self.mix)),
            Walk::GradKey => ("attention_grad_key.wgsl", 2 + usize::from(self.mix)),
        };
        let (lanes, tile) = self.lanes(kinds);
        self.shared(self.described(file), lanes, tile)
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

/// SAAM's two softmaxes, S and U.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SubjectPlan {
    pub kernels: Kernels,
    pub heads: usize,
    pub head_width: usize,
    /// Whether U V - V and the rows' statistics are wanted, for the backward pass.
    pub save: bool,
}

impl SubjectPlan {
    /// U alone.
    pub(crate) fn masked(&self) -> AttentionPlan {
        AttentionPlan {
            kernels: self.kernels,
            heads: self.heads,
            head_width: self.head_width,
            mask: MaskKind::Subject,
            mix: false,
        }
    }

    /// Both, from U V - V.
    pub(crate) fn mixed(&self) -> AttentionPlan {
        AttentionPlan {
            mask: MaskKind::None,
            mix: true,
            ..self.masked()
        }
    }

    /// The two kernels of two dispatches: S V and U V - V of the tokens and one row more, and what of
    /// the latter passes the gate.
    pub(crate) fn in_two(&self) -> [Planned; 2] {
        [
            self.masked().forward("attention_subject_streams.wgsl"),
            self.mixed().forward("attention_subject_detour.wgsl"),
        ]
    }

    /// The kernel of one dispatch, for as many tokens as leave room for a head's U V - V and the
    /// statistics of S in workgroup memory. A workgroup grows towards a thread for every row's lane.
    pub(crate) fn at_once(&self, tokens: usize) -> Option<Planned> {
        if self.kernels.split_subject {
            return None;
        }
        let plan = self.masked();
        let (lanes, tile) = plan.lanes(1);
        // Vectors of U V - V, the maximum and the inverse sum of S.
        let token = 16 * plan.vectors() + 8;
        let largest = match self.kernels.tiles {
            // A software driver runs a workgroup on one processor, and eight threads fill its vectors.
            TileSet::Software => lanes.rows,
            TileSet::Gpu | TileSet::Plain => WORKGROUP_THREADS / lanes.lanes,
        };
        let growing = std::iter::successors(Some(lanes.rows), |rows| Some(2 * rows))
            .take_while(|rows| *rows <= largest.max(lanes.rows))
            .map(|rows| Lanes { rows, ..lanes })
            .filter(|lanes| lanes.fits(token * tokens))
            .collect::<Vec<_>>();
        let enough = growing.iter().find(|lanes| lanes.rows > tokens);
        let lanes = *enough.or(growing.last())?;
        let room = (WORKGROUP_MEMORY - lanes.memory()) / token;
        let shader = plan
            .described("attention_subject.wgsl")
            .with("TOKENS", room)
            .with("ROOM", room * plan.vectors())
            .flag("AT_ONCE", true)
            .flag("GATED", true)
            .flag("SAVE", self.save);
        Some(plan.shared(shader, lanes, tile))
    }
}
