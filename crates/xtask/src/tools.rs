//! The programs the stages call: how each is found, and how it is installed when it is missing.
//!
//! Versions are pinned, because a new release of a linter is a new set of findings. A program of
//! the pinned version that is already on the `PATH` is used as it is.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cache::Room;
use crate::python::Venv;
use crate::workspace::Workspace;
use crate::{browser, process, wasm};

const CARGO_DENY_VERSION: &str = "0.20.2";
const TYPOS_VERSION: &str = "1.52.0";
/// Must be the version of the crate that the page is compiled with.
const WASM_BINDGEN_VERSION: &str = "0.2.130";

/// Something a stage needs that a fresh machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Rustfmt,
    Clippy,
    CargoDeny,
    Typos,
    WasmStd,
    /// Makes the JavaScript beside a module for browsers.
    WasmBindgen,
    /// A system package: only tests named `needs_ffmpeg` and those of the page call it.
    Ffmpeg,
    /// A system package: tests named `needs_wgsl` run the kernels on its software adapter, if the
    /// machine has no better one.
    Vulkan,
    /// A system package: drives the browser in the tests of the page.
    Node,
    /// A system package: the browser of the tests of the page.
    Chromium,
}

/// How a tool's set-up ended.
pub enum SetUp {
    Present,
    Installed,
    /// It is a system package, and this isn't a machine where these commands may install one.
    LeftToUser {
        command_line: String,
    },
}

impl Tool {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rustfmt => "rustfmt",
            Self::Clippy => "clippy",
            Self::CargoDeny => "cargo-deny",
            Self::Typos => "typos",
            Self::WasmStd => "wasm32 standard library",
            Self::WasmBindgen => "wasm-bindgen",
            Self::Ffmpeg => "ffmpeg",
            Self::Vulkan => "a Vulkan driver",
            Self::Node => "Node.js with npm",
            Self::Chromium => "Chromium",
        }
    }

    /// Whether the tool can be used now.
    pub fn is_present(self, workspace: &Workspace) -> bool {
        match self {
            Self::Rustfmt => process::succeeds(workspace.cargo("fmt").arg("--version")),
            Self::Clippy => process::succeeds(workspace.cargo("clippy").arg("--version")),
            Self::CargoDeny => find_cargo_deny(workspace).is_some(),
            Self::Typos => find_typos(workspace).is_some(),
            Self::WasmStd => wasm::find_toolchain(workspace).is_some(),
            Self::WasmBindgen => find_wasm_bindgen(workspace).is_some(),
            Self::Ffmpeg => process::succeeds(Command::new("ffmpeg").arg("-version")),
            Self::Vulkan => has_graphics_driver(),
            Self::Node => {
                let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
                process::succeeds(Command::new("node").arg("--version"))
                    && process::succeeds(Command::new(npm).arg("--version"))
            }
            Self::Chromium => browser::find_chromium().is_some(),
        }
    }

    /// Installs the tool unless it is there already.
    pub fn set_up(self, workspace: &Workspace) -> Result<SetUp> {
        if self.is_present(workspace) {
            return Ok(SetUp::Present);
        }
        println!("{} is missing:", self.name());
        match self {
            Self::Rustfmt => add_component(workspace, "rustfmt")?,
            Self::Clippy => add_component(workspace, "clippy")?,
            Self::CargoDeny => install_crate(workspace, "cargo-deny", CARGO_DENY_VERSION)?,
            Self::Typos => install_typos(workspace)?,
            Self::WasmStd => wasm::install_toolchain(workspace)?,
            Self::WasmBindgen => install_wasm_bindgen(workspace)?,
            Self::Ffmpeg => return install_system_package(workspace, "ffmpeg"),
            Self::Vulkan => return install_system_package(workspace, "mesa-vulkan-drivers"),
            Self::Node => return install_system_package(workspace, "npm"),
            Self::Chromium => return install_system_package(workspace, "chromium"),
        }
        ensure!(self.is_present(workspace), "installed, but it can't be run");
        Ok(SetUp::Installed)
    }
}

/// The pinned cargo-deny, from the `PATH` or the cache.
pub fn find_cargo_deny(workspace: &Workspace) -> Option<PathBuf> {
    let candidates = [
        "cargo-deny".into(),
        installed_crate(workspace, "cargo-deny"),
    ];
    candidates
        .into_iter()
        .find(|path| has_version(path, CARGO_DENY_VERSION))
}

/// The pinned typos, from the `PATH` or the cache.
pub fn find_typos(workspace: &Workspace) -> Option<PathBuf> {
    let in_python = python_tools(workspace).program("typos");
    let candidates = [
        "typos".into(),
        in_python,
        installed_crate(workspace, "typos"),
    ];
    candidates
        .into_iter()
        .find(|path| has_version(path, TYPOS_VERSION))
}

/// The pinned wasm-bindgen, from the `PATH` or the cache.
pub fn find_wasm_bindgen(workspace: &Workspace) -> Option<PathBuf> {
    let candidates = [
        "wasm-bindgen".into(),
        installed_crate(workspace, "wasm-bindgen"),
    ];
    candidates
        .into_iter()
        .find(|path| has_version(path, WASM_BINDGEN_VERSION))
}

/// Whether Vulkan finds a driver. Only Linux may lack one: elsewhere the system brings its own
/// graphics, which wgpu uses.
fn has_graphics_driver() -> bool {
    let manifests = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    env::consts::OS != "linux"
        || manifests.iter().any(|folder| {
            std::fs::read_dir(folder).is_ok_and(|mut manifests| manifests.next().is_some())
        })
}

fn has_version(program: &PathBuf, version: &str) -> bool {
    process::read(Command::new(program).arg("--version"))
        .is_ok_and(|text| text.split_whitespace().last() == Some(version))
}

fn installed_crate(workspace: &Workspace, program: &str) -> PathBuf {
    let folder = workspace.cache.room(Room::Tools).join("bin");
    folder.join(format!("{program}{}", env::consts::EXE_SUFFIX))
}

fn python_tools(workspace: &Workspace) -> Venv {
    Venv::new(workspace.cache.room(Room::Tools).join("python"))
}

fn add_component(workspace: &Workspace, component: &str) -> Result<()> {
    process::run(
        workspace
            .command("rustup")
            .args(["component", "add", component]),
    )
    .with_context(|| format!("install {component} for your Rust toolchain"))
}

/// Compiles a program from crates.io into the cache.
///
/// The dev profile without debug info halves the build, and these tools finish within seconds at
/// that speed: cargo-deny takes 56 CPU-seconds to build and 2 to check this workspace.
fn install_crate(workspace: &Workspace, name: &str, version: &str) -> Result<()> {
    let root = workspace.cache.room(Room::Tools);
    println!("  compiling {name}, a minute or two");
    process::run_quietly(
        workspace
            .command("cargo")
            .env_remove("CARGO_TARGET_DIR")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .args(["install", "--locked", "--profile", "dev", "--root"])
            .arg(root)
            .arg(format!("{name}@{version}")),
    )
}

/// Compiles wasm-bindgen into the cache: without `--locked`, because what its lock file names is not
/// everywhere to be had, and optimised a little, because it reads ten megabytes.
fn install_wasm_bindgen(workspace: &Workspace) -> Result<()> {
    let root = workspace.cache.room(Room::Tools);
    println!("  compiling wasm-bindgen, some three minutes");
    process::run_quietly(
        workspace
            .command("cargo")
            .env_remove("CARGO_TARGET_DIR")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .args(["install", "--root"])
            .arg(root)
            .arg(format!("wasm-bindgen-cli@{WASM_BINDGEN_VERSION}")),
    )
}

/// PyPI carries typos as a ready binary; without Python it is compiled.
fn install_typos(workspace: &Workspace) -> Result<()> {
    let venv = python_tools(workspace);
    let from_pypi = venv.create().and_then(|()| {
        let requirement = format!("typos=={TYPOS_VERSION}");
        process::run(
            venv.pip_install()
                .args(["--only-binary", ":all:", &requirement]),
        )
    });
    from_pypi.or_else(|error| {
        println!("  no typos from PyPI ({error:#}), so it is compiled");
        install_crate(workspace, "typos-cli", TYPOS_VERSION)
    })
}

fn install_system_package(workspace: &Workspace, package: &str) -> Result<SetUp> {
    let apt_get = apt_get_command();
    let Some(apt_get) = apt_get.filter(|_| workspace.ci) else {
        return Ok(SetUp::LeftToUser {
            command_line: install_line(package),
        });
    };
    let apt_get = || {
        let mut command = Command::new(apt_get[0]);
        command
            .args(&apt_get[1..])
            .env("DEBIAN_FRONTEND", "noninteractive");
        command.args(["-q", "-o", "Acquire::Retries=3"]);
        command
    };
    process::run_quietly(apt_get().arg("update"))?;
    process::run_quietly(apt_get().args(["install", "-y", "--no-install-recommends", package]))?;
    Ok(SetUp::Installed)
}

/// How apt-get can be called with root's rights and without a password, where it can.
fn apt_get_command() -> Option<&'static [&'static str]> {
    let is_root = process::read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let forms: [&[&str]; 2] = [&["apt-get"], &["sudo", "-n", "apt-get"]];
    let form = if is_root { forms[0] } else { forms[1] };
    process::succeeds(Command::new(form[0]).args(&form[1..]).arg("--version")).then_some(form)
}

/// The line a person would type.
fn install_line(package: &str) -> String {
    match env::consts::OS {
        "macos" => format!("brew install {package}"),
        "windows" => format!("winget install {package}"),
        _ => format!("sudo apt-get install {package}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_the_crate_wasm_bindgen_are_of_one_version() {
        let manifest = crate::workspace::manifest_dir().join("../../Cargo.toml");
        let manifest = std::fs::read_to_string(manifest).unwrap();
        assert!(manifest.contains(&format!("wasm-bindgen = \"={WASM_BINDGEN_VERSION}\"")));
    }
}
