//! The `inspect` command.

use crate::context::Context;

/// Options of `inspect`.
#[derive(clap::Args, Clone, Debug)]
pub struct InspectArgs {}

/// Runs the command.
pub fn run(_args: &InspectArgs, _context: &Context) -> anyhow::Result<()> {
    Ok(())
}
