//! The `import` command.

use crate::context::Context;

/// Options of `import`.
#[derive(clap::Args, Clone, Debug)]
pub struct ImportArgs {}

/// Runs the command.
pub fn run(_args: &ImportArgs, _context: &Context) -> anyhow::Result<()> {
    Ok(())
}
