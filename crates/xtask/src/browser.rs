//! The tests of the page in a real browser: `cargo xtask test --only web`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};

use crate::tools::Tool;
use crate::workspace::Workspace;
use crate::{page, process, serve};

/// Names of the browser's program, in the order tried.
const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Builds the page and the trainer it is compared with (unless `TRAINER` names one), serves it, and
/// lets a browser click through all of it. Returns what had to be left out for want of a program.
pub fn test(workspace: &Workspace) -> Result<Vec<String>> {
    let dist = page::build(workspace, &[])?;
    let missing: Vec<String> = [Tool::Chromium, Tool::Node, Tool::Ffmpeg]
        .into_iter()
        .filter(|tool| !tool.is_present(workspace))
        .map(|tool| format!("all tests in the browser: {} is not installed", tool.name()))
        .collect();
    if !missing.is_empty() {
        return Ok(missing);
    }
    let tests = workspace.root.join("tests").join("web");
    install_packages(workspace, &tests)?;
    let target = workspace.metadata()?.target_dir()?;
    let trainer = trainer(workspace)?;
    let results = target.join("web-tests");
    if results.exists() {
        fs::remove_dir_all(&results)?;
    }
    fs::create_dir_all(&results).with_context(|| format!("{}: can't create", results.display()))?;

    let (listener, port) = serve::listen(0)?;
    thread::spawn(move || serve::answer(&listener, &dist));
    let mut files = test_files(&tests)?;
    files.sort();
    let chromium = find_chromium().context("chromium has gone")?;
    process::run(
        workspace
            .command("node")
            // One after the other: they share two cores and measure.
            .args(["--test", "--test-concurrency=1"])
            .args(files)
            .env("PAGE_URL", format!("http://localhost:{port}/"))
            .env("CHROMIUM", chromium)
            .env("TRAINER", trainer)
            .env("WEB_OUT", &results)
            .env("REPOSITORY", &workspace.root),
    )?;
    println!(
        "  screenshots and measurements are in {}",
        results.display()
    );
    Ok(Vec::new())
}

/// The trainer that `TRAINER` names, else one built now.
pub fn trainer(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(program) = env::var_os("TRAINER") {
        return Ok(std::path::absolute(program)?);
    }
    // Of the whole workspace, as the tests build it: `-p trainer` leaves out features that the tests' S3 server turns
    // on, and so would be a second build of what they touch.
    let arguments = ["--workspace", "--bin", "trainer"];
    process::run(workspace.cargo("build").args(arguments))?;
    let name = format!("trainer{}", env::consts::EXE_SUFFIX);
    Ok(workspace.metadata()?.target_dir()?.join("debug").join(name))
}

/// The browser that `CHROMIUM` names, else the first on the `PATH`.
pub fn find_chromium() -> Option<PathBuf> {
    if let Some(program) = env::var_os("CHROMIUM") {
        return Some(program.into());
    }
    let found = CHROMIUM
        .into_iter()
        .find(|name| process::succeeds(Command::new(name).arg("--version")));
    let path = process::read(Command::new("which").arg(found?)).ok()?;
    Some(path.trim().into())
}

/// The packages that `package.json` pins, beside the tests.
pub fn install_packages(workspace: &Workspace, tests: &Path) -> Result<()> {
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let mut command = workspace.command(npm);
    command
        .current_dir(tests)
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
        .args([
            "install",
            "--silent",
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
        ]);
    process::run(&mut command)
}

fn test_files(tests: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(tests)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            files.push(path);
        }
    }
    Ok(files)
}
