//! The checkout these commands act on, and how cargo is called in it.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cache::{Cache, Room};
use crate::process;

/// This package's folder. Cargo says it when it runs a program or a test; what was there at compile
/// time may be another checkout that shares the target folder.
pub fn manifest_dir() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

/// The checkout, the cache, and whether this is a CI machine.
pub struct Workspace {
    pub root: PathBuf,
    pub cache: Cache,
    /// Under `CI=true` system packages may be installed and the target folder is kept in the cache.
    pub ci: bool,
}

impl Workspace {
    pub fn locate() -> Result<Self> {
        let manifest_dir = manifest_dir();
        let root = manifest_dir
            .ancestors()
            .nth(2)
            .context("crates/xtask has no grandparent")?;
        let ci = env::var("CI").is_ok_and(|value| matches!(value.as_str(), "true" | "1"));
        Ok(Self {
            root: root.to_owned(),
            cache: Cache::locate()?,
            ci,
        })
    }

    /// A program started in the repository's root.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        // `cargo run` describes the xtask package in these; a build script that watches one of them
        // would rebuild its crate each time xtask and plain cargo take turns.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&*name);
            }
        }
        command
    }

    /// A cargo call in the repository's root, with the target folder this machine should use.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = self.command("cargo");
        if self.ci {
            // A CI checkout is thrown away, the cache is not: later runs start from built crates.
            if env::var_os("CARGO_TARGET_DIR").is_none() {
                command.env("CARGO_TARGET_DIR", self.cache.room(Room::Target));
            }
            command.env("CARGO_INCREMENTAL", "0");
        }
        command.arg(subcommand);
        command
    }

    /// What cargo says about the workspace's own packages.
    pub fn metadata(&self) -> Result<Metadata> {
        let text = process::read(
            self.cargo("metadata")
                .args(["--no-deps", "--format-version=1"]),
        )?;
        let value = serde_json::from_str(&text).context("`cargo metadata` printed no JSON")?;
        Ok(Metadata { value })
    }
}

/// The answer of `cargo metadata --no-deps`.
pub struct Metadata {
    value: Value,
}

impl Metadata {
    /// Where cargo puts what it builds.
    pub fn target_dir(&self) -> Result<PathBuf> {
        let folder = self.value["target_directory"].as_str();
        Ok(folder
            .context("`cargo metadata` names no target folder")?
            .into())
    }

    /// The workspace's packages.
    pub fn packages(&self) -> impl Iterator<Item = Package<'_>> {
        self.value["packages"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|value| Package { value })
    }
}

/// One package of the workspace.
#[derive(Clone, Copy)]
pub struct Package<'a> {
    value: &'a Value,
}

impl<'a> Package<'a> {
    /// A text field of the manifest, such as `description`.
    pub fn field(self, name: &str) -> Option<&'a str> {
        self.value[name].as_str()
    }

    pub fn name(self) -> &'a str {
        self.field("name").unwrap_or_default()
    }

    pub fn version(self) -> &'a str {
        self.field("version").unwrap_or_default()
    }

    /// Cargo writes `publish = false` as an empty list of registries.
    pub fn is_publishable(self) -> bool {
        self.value["publish"]
            .as_array()
            .is_none_or(|registries| !registries.is_empty())
    }
}
