//! The browser check of the core crate, and a Rust toolchain that can do it.
//!
//! Usually `rustup target add` is all it takes. Where that download is refused, a Debian machine can
//! still get a compiler and the wasm32 standard library that match each other from its own package
//! mirror. They are unpacked into the private cache, never installed: no root, no change to apt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::Room;
use crate::process;
use crate::workspace::Workspace;

/// The target that browsers run.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The Debian release whose rustc is recent enough for the workspace.
const DEBIAN_SUITE: &str = "forky";

/// The key that signs Debian's archive; present on every Debian machine.
const DEBIAN_KEY: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A compiler that has the wasm32 standard library.
pub struct Toolchain {
    /// The compiler, where it isn't the one cargo would call by itself.
    rustc: Option<PathBuf>,
}

/// The toolchain to check with, if the machine has one.
pub fn find_toolchain(workspace: &Workspace) -> Option<Toolchain> {
    if has_wasm_std(&mut workspace.command("rustc")) {
        return Some(Toolchain { rustc: None });
    }
    let rustc = unpacked_rustc(&workspace.cache.room(Room::WasmToolchain));
    has_wasm_std(&mut Command::new(&rustc)).then_some(Toolchain { rustc: Some(rustc) })
}

/// Adds the target to the Rust toolchain in use, or else unpacks Debian's.
pub fn install_toolchain(workspace: &Workspace) -> Result<()> {
    let Err(refusal) = process::run(workspace.command("rustup").args(["target", "add", TARGET]))
    else {
        return Ok(());
    };
    println!("  rustup can't add the target ({refusal:#}); trying Debian's rustc, about 1.4 GB");
    unpack_debian_toolchain(&workspace.cache.room(Room::WasmToolchain)).with_context(|| {
        format!("add the target {TARGET} to your Rust installation, or leave this out: --skip wasm")
    })
}

/// Checks the core crate for the browser, with its default features and with none.
pub fn check(workspace: &Workspace) -> Result<()> {
    let toolchain =
        find_toolchain(workspace).with_context(|| format!("no {TARGET}: see stage `setup`"))?;
    let target_dir = target_dir(workspace)?;
    for features in [&[] as &[&str], &["--no-default-features"]] {
        let mut command = workspace.cargo("check");
        command
            .args(["-p", "emotionclip", "--lib", "--target", TARGET])
            .args(features);
        command.arg("--target-dir").arg(&target_dir);
        toolchain.apply(workspace, &mut command)?;
        process::run(&mut command)?;
    }
    Ok(())
}

/// A folder of its own: an unpacked compiler would rebuild what the other stages share.
pub fn target_dir(workspace: &Workspace) -> Result<PathBuf> {
    Ok(workspace.metadata()?.target_dir()?.join("wasm"))
}

impl Toolchain {
    /// Makes a cargo call use this compiler. An unpacked one brings no linker for the target, but the
    /// Rust installation that cargo came with does.
    pub fn apply(&self, workspace: &Workspace, command: &mut Command) -> Result<()> {
        let Some(rustc) = &self.rustc else {
            return Ok(());
        };
        command.env("RUSTC", rustc);
        let question = ["--print", "target-libdir"];
        let folder = process::read(workspace.command("rustc").args(question))?;
        let programs = Path::new(folder.trim()).with_file_name("bin");
        let linker = programs.join(format!("rust-lld{}", std::env::consts::EXE_SUFFIX));
        ensure!(linker.is_file(), "{}: no linker there", linker.display());
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        Ok(())
    }
}

/// `rustc` prints where the target's libraries belong whether they are there or not.
fn has_wasm_std(rustc: &mut Command) -> bool {
    process::read(rustc.args(["--print", "target-libdir", "--target", TARGET]))
        .is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

fn unpacked_rustc(prefix: &Path) -> PathBuf {
    prefix.join("bin").join("rustc")
}

fn unpack_debian_toolchain(prefix: &Path) -> Result<()> {
    ensure!(
        Path::new(DEBIAN_KEY).exists(),
        "this is not a Debian machine"
    );
    let architecture = process::read(Command::new("dpkg").arg("--print-architecture"))?;
    if prefix.exists() {
        fs::remove_dir_all(prefix)
            .with_context(|| format!("{}: can't remove", prefix.display()))?;
    }
    let root = prefix.join("root");
    fs::create_dir_all(&root).with_context(|| format!("{}: can't create", root.display()))?;

    let apt = prefix.join("apt");
    download_debian_packages(&apt, architecture.trim())?;
    for package in files_in(&apt.join("cache/archives"), "deb")? {
        process::read(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&root))?;
    }
    fs::remove_dir_all(&apt)?;
    // Last, because its presence is what says that the toolchain is whole.
    write_launcher(&root, &unpacked_rustc(prefix))
}

/// Downloads rustc, its wasm32 library and all they need, through an apt that has a state of its own.
///
/// Its list of installed packages is empty, so that the C library comes along too: the machine's own
/// may be too old for that compiler.
fn download_debian_packages(apt: &Path, architecture: &str) -> Result<()> {
    for folder in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(folder))?;
    }
    let status = apt.join("status");
    fs::write(&status, "")?;
    let sources = apt.join("sources.list");
    let mirror = debian_mirror()?;
    fs::write(
        &sources,
        format!("deb [signed-by={DEBIAN_KEY}] {mirror} {DEBIAN_SUITE} main\n"),
    )?;

    let settings = [
        format!("APT::Architecture={architecture}"),
        format!("Dir::Etc::sourcelist={}", sources.display()),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
        format!("Dir::State::lists={}", apt.join("lists").display()),
        format!("Dir::State::status={}", status.display()),
        format!("Dir::Cache={}", apt.join("cache").display()),
        // A mirror may lag behind the few days for which a testing release file is valid.
        "Acquire::Check-Valid-Until=false".to_owned(),
        "Acquire::Retries=3".to_owned(),
        // Neither the system's lock nor its download user has a say in a private folder.
        "Debug::NoLocking=1".to_owned(),
        "APT::Sandbox::User=root".to_owned(),
    ];
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command
            .arg("-qq")
            .args(settings.iter().flat_map(|setting| ["-o", setting]));
        command
    };
    process::read(apt_get().arg("update"))?;
    println!("  downloading and unpacking rustc and libstd-rust-dev-wasm32 of {DEBIAN_SUITE}");
    process::read(
        apt_get()
            .args([
                "install",
                "-y",
                "--no-install-recommends",
                "--download-only",
            ])
            .args(["rustc", "libstd-rust-dev-wasm32"]),
    )?;
    Ok(())
}

/// The Debian mirror this machine is configured for; the security archive has no such release.
fn debian_mirror() -> Result<String> {
    let question = ["indextargets", "--format", "$(SITE)"];
    let filters = ["Created-By: Packages", "Component: main"];
    let sites = process::read(Command::new("apt-get").args(question).args(filters))?;
    let site = sites.lines().find(|site| !site.contains("security"));
    Ok(site
        .context("apt is not configured for a Debian mirror")?
        .to_owned())
}

/// A script that starts the unpacked compiler with the loader and libraries it was built against.
fn write_launcher(root: &Path, rustc: &Path) -> Result<()> {
    let usr = root.join("usr");
    let is_loader = |path: &Path| name_of(path).starts_with("ld-linux-");
    let is_multiarch = |path: &Path| name_of(path).ends_with("-linux-gnu");

    let lib = entries(&usr.join("lib"))?;
    let lib64 = entries(&usr.join("lib64")).unwrap_or_default();
    let loader = lib.iter().chain(&lib64).find(|path| is_loader(path));
    let loader = loader.context("the unpacked packages hold no dynamic loader")?;
    let libraries = lib.iter().find(|path| is_multiarch(path));
    let libraries = libraries.context("the unpacked packages hold no libraries")?;

    let script = format!(
        "#!/bin/sh\nexec '{}' --library-path '{}' '{}' --sysroot '{}' \"$@\"\n",
        loader.display(),
        libraries.display(),
        usr.join("bin").join("rustc").display(),
        usr.display(),
    );
    fs::create_dir_all(rustc.parent().context("a launcher needs a folder")?)?;
    fs::write(rustc, script)?;
    process::read(Command::new("chmod").arg("+x").arg(rustc))?;
    if !has_wasm_std(&mut Command::new(rustc)) {
        bail!("the unpacked rustc does not run, or lacks the {TARGET} library");
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{}: can't list", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn files_in(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = entries(folder)?;
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    Ok(files)
}
