//! What the tests across crates share.

#![warn(missing_docs)]

pub mod cli;
pub mod corpus;
pub mod cutter;
pub mod golden;
pub mod s3;
