//! The stages of `cargo xtask test`, in the order they run.
//!
//! What fails cheaply comes first. Clippy and rustdoc read the same checked dependencies; the tests
//! and the doc tests share one build.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::tools::{self, SetUp, Tool};
use crate::workspace::Workspace;
use crate::{browser, package, process, wasm};

/// The name of the stage that every other one may depend on.
pub const SETUP: &str = "setup";

/// What some tests need of the machine: the tool, the part of their path that marks them, and why
/// they are left out without it.
const NEEDS: [(Tool, &str, &str); 2] = [
    (Tool::Ffmpeg, "needs_ffmpeg", "ffmpeg is not installed"),
    (Tool::Vulkan, "needs_wgsl", "there is no Vulkan driver"),
];

/// What nextest runs by itself: everything but benchmarks and documentation.
const TESTED_TARGETS: [&str; 4] = ["--lib", "--bins", "--tests", "--examples"];

/// How long the advisory database may take to answer: it is one shallow clone of a few megabytes.
const ADVISORIES_TIME_LIMIT: Duration = Duration::from_mins(1);

/// One step of the test command. `run` returns what it had to leave out.
pub struct Stage {
    pub name: &'static str,
    pub about: &'static str,
    pub tools: &'static [Tool],
    pub run: fn(&Workspace, chosen: &[&Stage]) -> Result<Vec<String>>,
}

pub static STAGES: [Stage; 10] = [
    Stage {
        name: SETUP,
        about: "install what the chosen stages need and this machine lacks",
        tools: &[],
        run: set_up,
    },
    Stage {
        name: "fmt",
        about: "the code is formatted",
        tools: &[Tool::Rustfmt],
        run: |workspace, _| complete(workspace.cargo("fmt").args(["--all", "--", "--check"])),
    },
    Stage {
        name: "typos",
        about: "no misspelled words",
        tools: &[Tool::Typos],
        run: check_spelling,
    },
    Stage {
        name: "deny",
        about: "licences, sources, duplicates and advisories of the dependencies",
        tools: &[Tool::CargoDeny],
        run: check_dependencies,
    },
    Stage {
        name: "clippy",
        about: "no lints in any target",
        tools: &[Tool::Clippy],
        run: |workspace, _| {
            let arguments = ["--workspace", "--all-targets", "--", "-D", "warnings"];
            complete(workspace.cargo("clippy").args(arguments))
        },
    },
    Stage {
        name: "doc",
        about: "the documentation builds without warnings",
        tools: &[],
        run: |workspace, _| {
            let mut command = workspace.cargo("doc");
            complete(
                command
                    .args(["--workspace", "--no-deps"])
                    .env("RUSTDOCFLAGS", "-D warnings"),
            )
        },
    },
    Stage {
        name: "wasm",
        about: "the core crate compiles for the browser",
        tools: &[Tool::WasmStd],
        run: |workspace, _| wasm::check(workspace).map(|()| Vec::new()),
    },
    Stage {
        name: "tests",
        about: "unit, integration and documentation tests",
        tools: &[Tool::Ffmpeg, Tool::Vulkan],
        run: run_tests,
    },
    Stage {
        name: "web",
        about: "the page, in a real browser",
        tools: &[
            Tool::WasmStd,
            Tool::WasmBindgen,
            Tool::Node,
            Tool::Chromium,
            Tool::Ffmpeg,
        ],
        run: |workspace, _| browser::test(workspace),
    },
    Stage {
        name: "package",
        about: "what would be published compiles on its own",
        tools: &[],
        run: |workspace, _| package::check(workspace).map(|()| Vec::new()),
    },
];

fn complete(command: &mut std::process::Command) -> Result<Vec<String>> {
    process::run(command)?;
    Ok(Vec::new())
}

fn set_up(workspace: &Workspace, chosen: &[&Stage]) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    for stage in chosen {
        for tool in stage.tools {
            let name = tool.name();
            match tool.set_up(workspace) {
                Ok(SetUp::Present) => println!("{name}: present"),
                Ok(SetUp::Installed) => println!("{name}: installed"),
                Ok(SetUp::LeftToUser { command_line }) => println!(
                    "{name}: stage `{}` leaves out what needs it; to install it: {command_line}",
                    stage.name
                ),
                Err(error) => failures.push(format!("{name} (for `{}`): {error:#}", stage.name)),
            }
        }
    }
    if !failures.is_empty() {
        bail!("{}", failures.join("; "));
    }
    Ok(Vec::new())
}

fn check_spelling(workspace: &Workspace, _: &[&Stage]) -> Result<Vec<String>> {
    let typos =
        tools::find_typos(workspace).context("typos is not installed: see stage `setup`")?;
    complete(workspace.command(typos).args(["--format", "brief"]))
}

/// Runs cargo-deny; where the advisory database can't be reached, all of it but the advisories.
fn check_dependencies(workspace: &Workspace, _: &[&Stage]) -> Result<Vec<String>> {
    let deny = tools::find_cargo_deny(workspace)
        .context("cargo-deny is not installed: see stage `setup`")?;
    let mut fetch = workspace.command(&deny);
    // A clone that asks for a password would wait for ever.
    fetch.args(["fetch", "db"]).env("GIT_TERMINAL_PROMPT", "0");
    let fetched = process::succeeds_within(&mut fetch, ADVISORIES_TIME_LIMIT);

    let mut check = workspace.command(&deny);
    check.args(["check", "--hide-inclusion-graph"]);
    let mut left_out = Vec::new();
    if fetched.is_err() {
        println!("  the advisory database on github.com can't be reached: no check of advisories");
        left_out.push("advisories (github.com can't be reached)".to_owned());
        check.args(["bans", "licenses", "sources"]);
    }
    process::run(&mut check)?;
    Ok(left_out)
}

/// cargo-nextest where it is installed, `cargo test` elsewhere; documentation tests in both cases.
fn run_tests(workspace: &Workspace, _: &[&Stage]) -> Result<Vec<String>> {
    let lacking: Vec<(&str, &str)> = NEEDS
        .iter()
        .filter(|(tool, ..)| !tool.is_present(workspace))
        .map(|&(_, mark, reason)| (mark, reason))
        .collect();
    // The command-line tests run the program itself, which a test build of other packages leaves
    // out. Binaries and tests in one call resolve to one set of features, so nothing builds twice.
    process::run(
        workspace
            .cargo("build")
            .args(["--workspace", "--bins", "--tests"]),
    )?;
    let tests = if process::succeeds(workspace.cargo("nextest").arg("--version")) {
        let mut command = workspace.cargo("nextest");
        command.args(["run", "--workspace", "--no-fail-fast"]);
        if !lacking.is_empty() {
            let left_out: Vec<_> = lacking
                .iter()
                .map(|(mark, _)| format!("not test({mark})"))
                .collect();
            command.arg("-E").arg(left_out.join(" & "));
        }
        process::run(&mut command)
    } else {
        let mut command = workspace.cargo("test");
        command
            .args(["--workspace", "--no-fail-fast"])
            .args(TESTED_TARGETS);
        if !lacking.is_empty() {
            command.arg("--");
            for (mark, _) in &lacking {
                command.args(["--skip", mark]);
            }
        }
        process::run(&mut command)
    };
    // A failed test is no reason to hide a failed example in the documentation.
    let doc_tests = process::run(workspace.cargo("test").args(["--workspace", "--doc"]));
    tests.and(doc_tests)?;

    let mut left_out = Vec::new();
    for (mark, reason) in lacking {
        left_out.extend(list_tests(workspace, mark, reason)?);
    }
    Ok(left_out)
}

/// The tests whose path holds `mark`, with the reason why they were left out.
fn list_tests(workspace: &Workspace, mark: &str, reason: &str) -> Result<Vec<String>> {
    let mut command = workspace.cargo("test");
    command
        .args(["--quiet", "--workspace"])
        .args(TESTED_TARGETS);
    command.args(["--", "--list", mark]);
    let listing = process::read(&mut command)?;
    let names = listing
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(|name| format!("{name}: {reason}")).collect())
}
