//! Damaged inputs of nine kinds, 25 of each: every one ends in a skip that is counted and named or in an
//! error, memory stays bounded, and nothing is written outside the output folder.

mod inputs;
mod pictures;
mod place;
mod shards;

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;
