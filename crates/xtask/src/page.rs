//! Building the page into a folder that any static host can serve.
//!
//! `trunk` does the same from `Trunk.toml`, for those who have it; this way needs only cargo and the
//! wasm-bindgen program, which is installed by itself.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::tools::{self, Tool};
use crate::workspace::Workspace;
use crate::{process, wasm};

/// The cargo profile of the page; see the workspace's manifest.
const PROFILE: &str = "web";

/// What lies in `web/` beside the page itself, copied as it is.
const FILES: [&str; 4] = ["style.css", "icon.svg", "manifest.webmanifest", "sw.js"];
const FOLDERS: [&str; 3] = ["js", "models", "clips"];

/// The page's modules: the feature that makes one, and its name, which is cargo's, trunk's and the
/// worker's alike.
pub const MODULES: [(&str, &str); 3] = [
    ("gpu", "engine-gpu"),
    ("cpu", "engine-cpu"),
    ("cpu-relaxed", "engine-cpu-relaxed"),
];

/// Builds the page and returns its folder. Models may come from the page's own origin and from
/// `origins`.
pub fn build(workspace: &Workspace, origins: &[String]) -> Result<PathBuf> {
    for tool in [Tool::WasmStd, Tool::WasmBindgen] {
        tool.set_up(workspace)
            .with_context(|| format!("setting up the {}", tool.name()))?;
    }
    let mut modules = Vec::new();
    for (feature, name) in MODULES {
        modules.push((compile(workspace, feature, name)?, name));
    }
    let dist = workspace.root.join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).with_context(|| format!("{}: can't remove", dist.display()))?;
    }
    for (module, name) in modules {
        bind(workspace, &module, name, &dist)?;
    }
    copy_page(&workspace.root.join("web"), &dist, origins)?;
    println!("  the page is in {}", dist.display());
    Ok(dist)
}

/// Compiles one of the modules for the browser and returns it. They share a target folder, and what
/// doesn't depend on the engine is compiled once.
fn compile(workspace: &Workspace, feature: &str, name: &str) -> Result<PathBuf> {
    let toolchain = wasm::find_toolchain(workspace).context("no wasm32 standard library")?;
    let target_dir = wasm::target_dir(workspace)?;
    let mut command = workspace.cargo("build");
    command
        .args(["-p", "emotionclip-web", "--profile", PROFILE])
        .args(["--bin", name, "--features", feature])
        .args(["--target", wasm::TARGET, "--target-dir"])
        .arg(&target_dir);
    toolchain.apply(workspace, &mut command)?;
    process::run(&mut command)?;
    let folder = target_dir.join(wasm::TARGET).join(PROFILE);
    Ok(folder.join(format!("{name}.wasm")))
}

/// Makes the JavaScript beside the module.
fn bind(workspace: &Workspace, module: &Path, name: &str, dist: &Path) -> Result<()> {
    let program = tools::find_wasm_bindgen(workspace).context("wasm-bindgen is not installed")?;
    let mut command = workspace.command(program);
    command.args([
        "--target",
        "web",
        "--no-typescript",
        "--remove-name-section",
    ]);
    command.args([
        "--remove-producers-section",
        "--out-name",
        name,
        "--out-dir",
    ]);
    process::run(command.arg(dist).arg(module))
}

fn copy_page(web: &Path, dist: &Path, origins: &[String]) -> Result<()> {
    let page = web.join("index.html");
    let text =
        fs::read_to_string(&page).with_context(|| format!("{}: can't read", page.display()))?;
    let text = with_origins(&without_trunk(&text), origins)?;
    fs::write(dist.join("index.html"), text)?;
    for file in FILES {
        fs::copy(web.join(file), dist.join(file)).with_context(|| format!("web/{file}"))?;
    }
    for folder in FOLDERS {
        copy_folder(&web.join(folder), &dist.join(folder))?;
    }
    Ok(())
}

/// The page without the lines that only trunk reads.
fn without_trunk(page: &str) -> String {
    let kept = page.lines().filter(|line| !line.contains("data-trunk"));
    kept.fold(String::new(), |text, line| text + line + "\n")
}

/// The page with more origins in its policy.
fn with_origins(page: &str, origins: &[String]) -> Result<String> {
    if origins.is_empty() {
        return Ok(page.to_owned());
    }
    let own = "connect-src 'self'";
    ensure!(page.contains(own), "web/index.html: no {own} in its policy");
    Ok(page.replacen(own, &format!("{own} {}", origins.join(" ")), 1))
}

/// An origin as a policy takes it: scheme, host and perhaps a port.
pub fn origin(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let host = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let is_plain = |host: &str| {
        let known = |letter: char| letter.is_ascii_alphanumeric() || "-.:[]".contains(letter);
        !host.is_empty() && host.chars().all(known)
    };
    match host {
        Some(host) if is_plain(host) => Ok(text.to_owned()),
        _ => Err("give a scheme and a host, as in https://models.example.org".to_owned()),
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{}: can't create", to.display()))?;
    let entries = fs::read_dir(from).with_context(|| format!("{}: can't list", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            fs::copy(&source, &target)
                .with_context(|| format!("{}: can't copy", source.display()))?;
        }
    }
    Ok(())
}

/// Remakes the bundles in `web/models` from the model files that its index names.
pub fn run_web_models(workspace: &Workspace) -> Result<()> {
    process::run(
        workspace
            .cargo("run")
            .args(["-p", "emotionclip-web", "--example", "pack", "--"])
            .arg(&workspace.root),
    )?;
    let index = workspace.root.join("web").join("models").join("index.json");
    ensure!(index.is_file(), "{}: no such file", index.display());
    println!("`git status` shows whether a bundle changed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_in_the_web_folder_is_copied_and_trunk_copies_the_same() {
        let web = crate::workspace::manifest_dir().join("../../web");
        let page = fs::read_to_string(web.join("index.html")).unwrap();
        for entry in fs::read_dir(&web).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let known = FILES.contains(&&*name) || FOLDERS.contains(&&*name);
            assert!(known || name == "index.html", "{name} is not copied");
            let line = format!("href=\"{name}\">");
            assert!(
                name == "index.html" || page.contains(&line),
                "{name} is unknown to trunk"
            );
        }
        for (feature, name) in MODULES {
            let wanted = format!("data-bin=\"{name}\" data-cargo-features=\"{feature}\"");
            assert!(page.contains(&wanted), "{name} is unknown to trunk");
        }
    }

    #[test]
    fn what_the_page_needs_without_a_network_is_kept_at_the_first_visit() {
        let web = crate::workspace::manifest_dir().join("../../web");
        let keeper = fs::read_to_string(web.join("sw.js")).unwrap();
        let mut needed: Vec<String> = fs::read_dir(web.join("js"))
            .unwrap()
            .map(|entry| format!("js/{}", entry.unwrap().file_name().to_str().unwrap()))
            .collect();
        // Whoever registers it has it, and a browser keeps it by itself.
        let files = FILES.iter().filter(|file| **file != "sw.js");
        needed.extend(files.map(ToString::to_string));
        needed.extend(MODULES.map(|(_, name)| format!("{name}.js")));
        for file in needed {
            assert!(keeper.contains(&format!("'{file}'")), "{file} is not kept");
        }
    }

    #[test]
    fn more_origins_stand_in_the_policy_of_the_page() {
        let web = crate::workspace::manifest_dir().join("../../web");
        let page = fs::read_to_string(web.join("index.html")).unwrap();
        let origins = [
            origin("https://models.example.org/").unwrap(),
            origin("http://127.0.0.1:81").unwrap(),
        ];
        let changed = with_origins(&page, &origins).unwrap();
        assert!(
            changed.contains("connect-src 'self' https://models.example.org http://127.0.0.1:81;")
        );
        assert_eq!(with_origins(&page, &[]).unwrap(), page);
        for wrong in [
            "models.example.org",
            "https://",
            "https://a.org; script-src *",
            "https://a.org/b",
            "'self'",
        ] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
        assert!(with_origins("<head></head>", &origins).is_err());
    }

    #[test]
    fn the_page_keeps_no_trace_of_trunk() {
        let page = "<head>\n<link data-trunk rel=\"rust\">\n<title>a</title>\n</head>\n";
        assert_eq!(without_trunk(page), "<head>\n<title>a</title>\n</head>\n");
    }
}
