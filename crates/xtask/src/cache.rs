//! The private cache: the one folder outside the checkout that these commands write to.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

/// The folder for everything installed on the project's behalf.
pub struct Cache {
    root: PathBuf,
}

/// What the cache holds, each in a folder of its own.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Room {
    /// Programs the test stages call: cargo-deny, typos.
    Tools,
    /// A Rust compiler with the wasm32 standard library, where rustup can't add the target.
    WasmToolchain,
    /// The Python environment of the comparison with PyTorch.
    ParityPython,
    /// The Python environment of the face detector's conversion and comparison.
    DetectorPython,
    /// The Python environment that writes the benchmark's model.
    BenchPython,
    /// Cargo's target folder of CI runs.
    Target,
}

impl Cache {
    /// `$EMOTIONCLIP_CACHE`, else `emotionclip` in the user's cache folder.
    pub fn locate() -> Result<Self> {
        let folder = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let root = folder("EMOTIONCLIP_CACHE")
            .or_else(|| folder("XDG_CACHE_HOME").map(|base| base.join("emotionclip")))
            .or_else(|| folder("LOCALAPPDATA").map(|base| base.join("emotionclip")))
            .or_else(|| env::home_dir().map(|home| home.join(".cache").join("emotionclip")))
            .context("no home folder: set EMOTIONCLIP_CACHE to a folder for the tools' cache")?;
        // Tools run from other working directories, so a relative setting must not follow them.
        let root = std::path::absolute(&root)
            .with_context(|| format!("{}: not a usable cache path", root.display()))?;
        Ok(Self { root })
    }

    /// The folder of one kind of content; it need not exist yet.
    pub fn room(&self, room: Room) -> PathBuf {
        self.root.join(match room {
            Room::Tools => "tools",
            Room::WasmToolchain => "wasm-toolchain",
            Room::ParityPython => "parity-python",
            Room::DetectorPython => "detector-python",
            Room::BenchPython => "bench-python",
            Room::Target => "target",
        })
    }
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask clean-cache                       remove everything
  cargo xtask clean-cache --only target,tools   remove two of the parts")]
pub struct CleanCacheArgs {
    /// Remove only these parts, comma-separated.
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    only: Vec<Room>,
}

/// Removes the parts of the cache that `args` names, all of them when it names none.
pub fn run_clean_cache(cache: &Cache, args: &CleanCacheArgs) -> Result<()> {
    let rooms = if args.only.is_empty() {
        Room::value_variants()
    } else {
        &args.only
    };
    for &room in rooms {
        remove(&cache.room(room))?;
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        println!("{}: not there", folder.display());
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("{}: can't remove", folder.display()))?;
    println!("{}: removed", folder.display());
    Ok(())
}
