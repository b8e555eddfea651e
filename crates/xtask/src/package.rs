//! The packages that would be published: each must hold all its files and compile without the
//! workspace around it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::workspace::Workspace;

/// What crates.io accepts.
const SIZE_LIMIT_BYTES: u64 = 10 * 1024 * 1024;

/// Packs every publishable package and compiles it from what was packed.
pub fn check(workspace: &Workspace) -> Result<()> {
    let metadata = workspace.metadata()?;
    let packages: Vec<_> = metadata
        .packages()
        .filter(|package| package.is_publishable())
        .collect();
    let mut command = workspace.cargo("package");
    // A person checks before committing; in CI there is nothing uncommitted.
    command.arg("--allow-dirty");
    for package in &packages {
        let name = package.name();
        ensure!(
            package.field("description").is_some(),
            "{name}: crates.io wants a `description` in Cargo.toml (or set `publish = false`)"
        );
        command.args(["-p", name]);
    }
    for package in &packages {
        forget_unpacked(package.name(), package.version())?;
    }
    // The packed crate is outside the workspace and gets none of its profile: debug information
    // would double the size of the build and nobody looks at it.
    process::run(command.env("CARGO_PROFILE_DEV_DEBUG", "0"))?;

    let archives = metadata.target_dir()?.join("package");
    for package in &packages {
        let archive = archives.join(format!("{}-{}.crate", package.name(), package.version()));
        let size_bytes = fs::metadata(&archive)
            .with_context(|| format!("{}: cargo left no archive", archive.display()))?
            .len();
        println!("  {}: {} KiB packed", package.name(), size_bytes / 1024);
        ensure!(
            size_bytes <= SIZE_LIMIT_BYTES,
            "{}: {size_bytes} bytes, over crates.io's limit of {SIZE_LIMIT_BYTES}",
            archive.display()
        );
    }
    Ok(())
}

/// Removes what an earlier run unpacked of a package. Cargo packs into a registry of its own in the
/// target folder and keeps what it unpacks from there under the package's version; as the version
/// stays the same, it would compile dependants against the package of that earlier run.
fn forget_unpacked(name: &str, version: &str) -> Result<()> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let Some(home) = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))) else {
        return Ok(());
    };
    let Ok(registries) = fs::read_dir(home.join("registry").join("src")) else {
        return Ok(());
    };
    for registry in registries {
        let registry = registry?;
        // Registries are called after host and hash; a folder of the target directory has no host.
        if registry.file_name().as_encoded_bytes().starts_with(b"-") {
            let unpacked = registry.path().join(format!("{name}-{version}"));
            if unpacked.is_dir() {
                fs::remove_dir_all(&unpacked)
                    .with_context(|| format!("{}: can't remove", unpacked.display()))?;
            }
        }
    }
    Ok(())
}
