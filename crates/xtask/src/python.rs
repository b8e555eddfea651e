//! Python environments in the private cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// A virtual environment, which may not exist yet.
pub struct Venv {
    root: PathBuf,
}

impl Venv {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// A program of the environment.
    pub fn program(&self, name: &str) -> PathBuf {
        if cfg!(windows) {
            self.root.join("Scripts").join(format!("{name}.exe"))
        } else {
            self.root.join("bin").join(name)
        }
    }

    /// Makes the environment anew, with the machine's own Python.
    pub fn create(&self) -> Result<()> {
        let python = ["python3", "python"]
            .into_iter()
            .find(|name| {
                process::succeeds(Command::new(name).args(["-c", "import venv, ensurepip"]))
            })
            .context(
                "no Python with the venv module (on Debian: sudo apt-get install python3-venv)",
            )?;
        process::run(
            Command::new(python)
                .args(["-m", "venv", "--clear"])
                .arg(&self.root),
        )
    }

    /// `pip install`, ready for what to install.
    pub fn pip_install(&self) -> Command {
        let mut command = Command::new(self.program("python"));
        command.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        command
    }

    /// Makes sure that the environment holds exactly what the requirements file asks for.
    ///
    /// A copy of the file is left in the environment once everything is installed: without it, or
    /// when it differs, the environment is made anew.
    pub fn ensure(&self, requirements: &Path) -> Result<()> {
        let wanted = fs::read_to_string(requirements)
            .with_context(|| format!("{}: can't read the requirements", requirements.display()))?;
        let marker = self.root.join("installed-requirements.txt");
        if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        println!(
            "installing {} into {}",
            requirements.display(),
            self.root.display()
        );
        self.create()?;
        process::run(self.pip_install().arg("--requirement").arg(requirements))?;
        fs::write(&marker, wanted).with_context(|| format!("{}: can't write", marker.display()))
    }
}
