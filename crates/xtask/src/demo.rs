//! `cargo xtask demo`: sets up what is missing, builds the page and serves it on localhost.

use anyhow::Result;
use clap::Args;

use crate::workspace::Workspace;
use crate::{page, serve};

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask demo                 build the page and serve it at http://localhost:8080/
  cargo xtask demo --port 0        on a free port, which is printed
  cargo xtask demo --build-only    leave the page in dist/, for any static host
  cargo xtask demo --allow-origin https://models.example.org
                                   the page may fetch models from there too

The first build takes some ten minutes on two cores. `trunk serve` does the same with trunk 0.21,
and builds again at every change.")]
pub struct DemoArgs {
    /// Port on localhost.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Build the page and don't serve it.
    #[arg(long)]
    build_only: bool,
    /// Another origin that the page's policy lets models come from; may be given several times.
    #[arg(long, value_name = "ORIGIN", value_parser = page::origin)]
    allow_origin: Vec<String>,
    /// Serve what is in dist/ as it is.
    #[arg(long, conflicts_with_all = ["build_only", "allow_origin"])]
    no_build: bool,
}

/// Builds the page and serves it until the process ends.
pub fn run(workspace: &Workspace, args: &DemoArgs) -> Result<()> {
    let dist = if args.no_build {
        workspace.root.join("dist")
    } else {
        page::build(workspace, &args.allow_origin)?
    };
    if args.build_only {
        return Ok(());
    }
    serve::serve(&dist, args.port)
}
