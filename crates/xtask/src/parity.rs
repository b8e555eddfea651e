//! `cargo xtask parity` and `cargo xtask regenerate`: the two commands that need Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::cache::Room;
use crate::process;
use crate::python::Venv;
use crate::workspace::Workspace;

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask parity                           against open_clip and transformers
  cargo xtask parity --release ../EmotionCLIP  and against a checkout of the authors' release

The first run installs PyTorch and its companions into the private cache: several gigabytes.")]
pub struct ParityArgs {
    /// A checkout of the authors' release, to compare with their `EmotionCLIP` class as well.
    #[arg(long, value_name = "PATH")]
    release: Option<PathBuf>,
    /// Where the weights and results go [default: `parity` in cargo's target folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask regenerate                  every tests/parity/generate_*.py
  cargo xtask regenerate --only loss      generate_loss.py alone")]
pub struct RegenerateArgs {
    /// Run only these generators, comma-separated, by the part of the name after `generate_`.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
}

/// Makes full-size models in Python, runs both sides on them and prints the measured errors.
pub fn run_parity(workspace: &Workspace, args: &ParityArgs) -> Result<()> {
    // Paths on the command line are the caller's; the programs below start in the repository.
    let release = args.release.as_deref().map(existing_folder).transpose()?;
    let out = match &args.out {
        Some(folder) => std::path::absolute(folder)?,
        None => workspace.metadata()?.target_dir()?.join("parity"),
    };
    fs::create_dir_all(&out).with_context(|| format!("{}: can't create", out.display()))?;

    let venv = parity_venv(workspace)?;
    let full_size = || {
        let mut command = workspace.command(venv.program("python"));
        command.arg(Path::new("tests").join("parity").join("full_size.py"));
        if let Some(release) = &release {
            command.arg("--release").arg(release);
        }
        command
    };
    process::run(full_size().arg("--out").arg(&out))?;
    let theirs_here = process::run(
        workspace
            .cargo("run")
            .args([
                "--release",
                "-p",
                "integration-tests",
                "--bin",
                "parity-report",
                "--",
            ])
            .arg(&out),
    );
    if release.is_none() {
        return theirs_here;
    }
    // The report has exported a model of ours; a tolerance missed in one direction is no reason to
    // hide the other.
    let exported = out.join("release");
    let ours_there = process::run(
        full_size()
            .arg("--check-ours")
            .arg(exported.join("ours.safetensors"))
            .arg("--io")
            .arg(exported.join("ours_io.safetensors")),
    );
    theirs_here.and(ours_there)
}

/// Runs the generators of the committed golden files.
pub fn run_regenerate(workspace: &Workspace, args: &RegenerateArgs) -> Result<()> {
    let generators = select_generators(&workspace.root.join("tests").join("parity"), &args.only)?;
    let venv = parity_venv(workspace)?;
    for generator in generators {
        let start = Instant::now();
        process::run(workspace.command(venv.program("python")).arg(&generator))?;
        println!(
            "{}: {:.1} s",
            generator.display(),
            start.elapsed().as_secs_f64()
        );
    }
    println!("`git status` shows which golden files changed");
    Ok(())
}

fn parity_venv(workspace: &Workspace) -> Result<Venv> {
    let venv = Venv::new(workspace.cache.room(Room::ParityPython));
    venv.ensure(
        &workspace
            .root
            .join("tests")
            .join("parity")
            .join("requirements.txt"),
    )?;
    Ok(venv)
}

fn existing_folder(folder: &Path) -> Result<PathBuf> {
    ensure!(folder.is_dir(), "{}: not a folder", folder.display());
    Ok(std::path::absolute(folder)?)
}

/// The generators in a folder, in alphabetical order; with `only`, exactly those.
fn select_generators(folder: &Path, only: &[String]) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{}: can't list", folder.display()))?;
    let mut generators = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(name) = generator_name(&path)
            && (only.is_empty() || only.contains(&name))
        {
            generators.push((name, path));
        }
    }
    generators.sort();
    for name in only {
        if !generators.iter().any(|(found, _)| found == name) {
            bail!("{}: there is no generate_{name}.py", folder.display());
        }
    }
    Ok(generators.into_iter().map(|(_, path)| path).collect())
}

/// `loss` for `generate_loss.py`, nothing for any other file.
fn generator_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(
        name.strip_prefix("generate_")?
            .strip_suffix(".py")?
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_generators_are_picked_and_an_unknown_one_is_named() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        for name in ["generate_model.py", "generate_loss.py", "reference.py"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let all = select_generators(folder, &[]).unwrap();
        let one = select_generators(folder, &["model".to_owned()]).unwrap();
        let unknown = select_generators(folder, &["video".to_owned()]).unwrap_err();

        assert_eq!(
            all,
            [
                folder.join("generate_loss.py"),
                folder.join("generate_model.py")
            ]
        );
        assert_eq!(one, [folder.join("generate_model.py")]);
        assert!(
            unknown
                .to_string()
                .ends_with("there is no generate_video.py")
        );
    }
}
