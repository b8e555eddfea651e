//! The `predict` command.

use crate::context::Context;

/// Options of `predict`.
#[derive(clap::Args, Clone, Debug)]
pub struct PredictArgs {}

/// Runs the command.
pub fn run(_args: &PredictArgs, _context: &Context) -> anyhow::Result<()> {
    Ok(())
}
