//! The `export` command.

use crate::context::Context;

/// Options of `export`.
#[derive(clap::Args, Clone, Debug)]
pub struct ExportArgs {}

/// Runs the command.
pub fn run(_args: &ExportArgs, _context: &Context) -> anyhow::Result<()> {
    Ok(())
}
