//! What every command shares: the device, where output goes, and how it is written.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use burn::tensor::Device;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::device::{self, DeviceChoice};

/// Options that every command understands.
#[derive(clap::Args, Clone, Debug)]
pub struct GlobalArgs {
    /// Where to compute: auto, cpu, wgpu[:n], cuda[:n] or vulkan[:n]
    #[arg(long, global = true, default_value = "auto", value_name = "DEVICE")]
    pub device: DeviceChoice,
    /// Print one JSON result object on stdout; everything else goes to stderr
    #[arg(long, global = true)]
    pub json: bool,
    /// Say less: no progress bars
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// The options, resolved once.
#[derive(Debug)]
pub struct Context {
    args: GlobalArgs,
    /// All bars, so that one of a whole sweep can stand above that of its current run.
    bars: MultiProgress,
    has_named_device: AtomicBool,
}

impl Context {
    /// Resolves nothing yet: the device is opened by the first command that computes.
    pub fn new(args: GlobalArgs) -> Self {
        let target = if args.quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        Self {
            args,
            bars: MultiProgress::with_draw_target(target),
            has_named_device: AtomicBool::new(false),
        }
    }

    /// Says something while bars are drawn.
    pub fn say(&self, say: impl FnOnce()) {
        self.bars.suspend(say);
    }

    /// Opens the chosen device; the first time it says on stderr which it is and why.
    pub fn open_device(&self) -> anyhow::Result<OpenDevice> {
        let opened = device::open(&self.args.device)?;
        // A sweep opens it for every run.
        if !self.has_named_device.swap(true, Ordering::Relaxed) {
            tracing::info!("device: {} ({})", opened.name, opened.reason);
        }
        Ok(opened)
    }

    /// Prints the result: the object as JSON, or the human text.
    pub fn finish(&self, result: &impl Serialize, text: &str) -> anyhow::Result<()> {
        let mut stdout = std::io::stdout().lock();
        let written = if self.args.json {
            let json = serde_json::to_string(result).context("writing the result as JSON")?;
            writeln!(stdout, "{json}")
        } else {
            writeln!(stdout, "{}", text.trim_end())
        };
        match written {
            // A reader that has seen enough (`| head`) is no failure.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("writing to stdout"),
        }
    }

    /// A progress bar on stderr, below those that are there; hidden with `--quiet` or when stderr is no terminal.
    pub fn progress(&self, length: u64, what: &str) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(length));
        let template = "{prefix:>12} {bar:32} {pos}/{len} {msg} ({eta} left)";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        bar
    }
}

/// A device and the reason it was chosen.
#[derive(Clone, Debug)]
pub struct OpenDevice {
    /// Burn's handle, without autodiff.
    pub device: Device,
    /// Its name for people, e.g. `cpu (flex)`.
    pub name: String,
    /// Why this one.
    pub reason: String,
}

/// Writes a file beside its place and renames it, so that a crash leaves the old one or the new.
///
/// # Errors
///
/// If the folder can't be created or the file written; no partial file stays behind.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot create the folder", folder.display()))?;
    let failed = || format!("{}: cannot write", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    // Temporary files are private; a result is as readable as any other file of the user's.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let readable = std::fs::Permissions::from_mode(0o644);
        file.as_file()
            .set_permissions(readable)
            .with_context(failed)?;
    }
    file.persist(path).with_context(failed)?;
    Ok(())
}

/// The command as it was given, for reports.
pub fn command_line() -> String {
    let words = std::env::args().skip(1);
    words.fold("trainer".to_owned(), |line, word| {
        if word.contains(char::is_whitespace) {
            format!("{line} '{word}'")
        } else {
            format!("{line} {word}")
        }
    })
}
