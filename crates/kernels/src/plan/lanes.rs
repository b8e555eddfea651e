//! How threads share the rows of an operation.

use super::{Planned, WORKGROUP_MEMORY};
use crate::choice::{Kernels, TileSet};
use crate::shader::Shader;

/// How many threads work on a row, how many rows make a workgroup, how many sums a row takes at once,
/// and whether subgroups take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lanes {
    pub rows: usize,
    pub lanes: usize,
    pub values: usize,
    pub by_subgroups: bool,
}

impl Lanes {
    /// `lanes` a row in workgroups of some `threads`. Where subgroups take the sums, a row's lanes are
    /// a power of two that the smallest of them holds, and the largest fills no more than a workgroup:
    /// so all are whole, and no row lies in two of them.
    pub(super) fn new(kernels: Kernels, threads: usize, lanes: usize, values: usize) -> Self {
        let halving = lanes.next_power_of_two();
        let by_subgroups = kernels.tiles == TileSet::Gpu
            && lanes > 1
            && kernels.subgroups.is_some_and(|sizes| {
                halving <= sizes.least as usize && threads.is_multiple_of(sizes.most as usize)
            });
        let lanes = if by_subgroups { halving } else { lanes };
        Self {
            rows: (threads / lanes).max(1),
            lanes,
            values,
            by_subgroups,
        }
    }

    pub(super) fn threads(self) -> usize {
        self.rows * self.lanes
    }

    /// Bytes of workgroup memory.
    pub(super) fn memory(self) -> usize {
        if self.goes_through_memory() {
            4 * self.rows * self.values * (self.lanes + 1)
        } else {
            0
        }
    }

    fn goes_through_memory(self) -> bool {
        self.lanes > 1 && !self.by_subgroups
    }

    pub(super) fn fits(self, other_memory: usize) -> bool {
        self.memory() + other_memory <= WORKGROUP_MEMORY
    }

    pub(super) fn describe(self, shader: Shader) -> Planned {
        Planned {
            shader: shader
                .with("ROWS", self.rows)
                .with("LANES", self.lanes)
                .with("STEPS", self.lanes.ilog2())
                .with("VALUES", self.values)
                .with("PARTIALS", self.threads() * self.values)
                .with("TOTALS", self.rows * self.values)
                .with("THREADS", self.threads())
                .flag("SUBGROUPS", self.by_subgroups)
                .flag("MANY_LANES", self.goes_through_memory()),
            threads: self.threads(),
            rows: self.rows,
        }
    }
}
