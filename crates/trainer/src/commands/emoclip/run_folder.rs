//! The configuration in a run's folder.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::write_atomically;
use crate::failure::bad_input;
use crate::inputs::files::{one_line, read_text};

const CONFIG: &str = "config.toml";

/// The configuration of a run: that in its folder when it goes on, else the one that was asked for,
/// for which the folder must be free.
///
/// # Errors
/// Bad input for a folder that has no run to go on with, or has one already; what `asked` returns.
pub fn open_config<T: DeserializeOwned>(
    run: &Path,
    resume: bool,
    asked: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    if resume {
        return read_config(run);
    }
    refuse_existing(run)?;
    asked()
}

/// A run's configuration in its folder.
///
/// # Errors
/// Bad input for a file that isn't there or is none.
fn read_config<T: DeserializeOwned>(run: &Path) -> anyhow::Result<T> {
    let path = run.join(CONFIG);
    if !path.exists() {
        return Err(bad_input(format!(
            "{}: there is no run to resume; name its folder with --run or leave --resume out",
            run.display()
        )));
    }
    let name = path.display();
    toml::from_str(&read_text(&path)?)
        .map_err(|error| bad_input(format!("{name}: {}", one_line(error.message()))))
}

/// Makes the folder of a new run impossible to overwrite by mistake.
///
/// # Errors
/// Bad input if there is a run already.
fn refuse_existing(run: &Path) -> anyhow::Result<()> {
    if run.join(CONFIG).exists() {
        return Err(bad_input(format!(
            "{}: there is a run already; continue it with --resume or name another --run",
            run.display()
        )));
    }
    Ok(())
}

/// Writes a run's configuration and gives it as text.
///
/// # Errors
/// If the disk refuses.
pub fn write_config<T: Serialize>(run: &Path, config: &T) -> anyhow::Result<String> {
    let text = toml::to_string(config).context("writing the configuration as TOML")?;
    write_atomically(&run.join(CONFIG), text.as_bytes())?;
    Ok(text)
}
