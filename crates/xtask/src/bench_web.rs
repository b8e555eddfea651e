//! `cargo xtask bench-web`: our encoders beside ONNX Runtime Web's in one page of a real browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::cache::Room;
use crate::python::Venv;
use crate::workspace::Workspace;
use crate::{browser, page, process, serve};

/// What of ONNX Runtime Web's package the page loads.
const RUNTIME: [&str; 6] = [
    "ort.webgpu.min.mjs",
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
];

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench-web                             everything on the software adapter, half an hour or more
  cargo xtask bench-web --what frame_1              one frame only
  cargo xtask bench-web --adapter any --seconds 10  on the browser's own graphics processor

The model is a ViT-B/32 with random weights, 1.3 GB of files under cargo's target folder, made once.
Needs Python, npm and Chromium; ONNX Runtime Web comes from npm.")]
pub struct BenchWebArgs {
    /// Which encoders: one frame, eight frames, seven texts of 77 tokens.
    #[arg(long, value_delimiter = ',', value_name = "TASKS", default_values_t = ["frame_1", "frame_8", "text_7"].map(str::to_owned))]
    what: Vec<String>,
    /// Which engines, in this order.
    #[arg(long, value_delimiter = ',', value_name = "ENGINES", default_values_t = ["ours-webgpu", "ort-webgpu", "ours-wasm", "ort-wasm"].map(str::to_owned))]
    engines: Vec<String>,
    /// Our kernels: auto, gpu, software, plain or stock.
    #[arg(long, default_value = "auto")]
    kernels: String,
    /// The browser's software adapter, or whatever it offers.
    #[arg(long, value_enum, default_value_t = Adapter::Software)]
    adapter: Adapter,
    /// Repeat each for so many seconds after its first run, but at least once.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Most repetitions.
    #[arg(long, default_value_t = 7)]
    runs: u32,
    /// Give an engine up that answers nothing for so many minutes.
    #[arg(long, value_name = "MINUTES", default_value_t = 45, value_parser = clap::value_parser!(u32).range(1..=1440))]
    limit: u32,
    /// Where the rows go [default: `bench-web.json` in cargo's target folder].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Measure the page in dist/ as it is.
    #[arg(long)]
    no_build: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Adapter {
    Software,
    Any,
}

/// Builds the page, makes the model once, and lets a browser measure.
pub fn run(workspace: &Workspace, args: &BenchWebArgs) -> Result<()> {
    let known = |given: &[String], known: &[&str]| {
        let unknown = given.iter().find(|name| !known.contains(&name.as_str()));
        unknown.map_or(Ok(()), |name| {
            anyhow::bail!("'{name}' is unknown; choose from {}", known.join(", "))
        })
    };
    known(&args.what, &["frame_1", "frame_8", "text_7"])?;
    known(
        &args.engines,
        &["ours-webgpu", "ours-wasm", "ort-webgpu", "ort-wasm"],
    )?;
    known(
        std::slice::from_ref(&args.kernels),
        &["auto", "gpu", "software", "plain", "stock"],
    )?;
    let target = workspace.metadata()?.target_dir()?;
    let out = match &args.out {
        Some(file) => std::path::absolute(file)?,
        None => target.join("bench-web.json"),
    };
    let chromium = browser::find_chromium().context("Chromium is not installed")?;
    let dist = if args.no_build {
        workspace.root.join("dist")
    } else {
        page::build(workspace, &[])?
    };
    let site = target.join("bench-web").join("site");
    make_model(workspace, &site.join("model"))?;
    let web = workspace.root.join("tests").join("web");
    copy_page(workspace, &web, &dist, &site)?;

    let (listener, port) = serve::listen(0)?;
    thread::spawn(move || serve::answer(&listener, &site));
    let options = serde_json::json!({
        "tasks": args.what,
        "engines": args.engines,
        "kernels": args.kernels,
        "adapter": match args.adapter {
            Adapter::Software => "software",
            Adapter::Any => "any",
        },
        "seconds": args.seconds,
        "runs": args.runs,
        "limitMinutes": args.limit,
    });
    process::run(
        workspace
            .command("node")
            .arg(web.join("bench").join("run.mjs"))
            .env("PAGE_URL", format!("http://localhost:{port}/"))
            .env("CHROMIUM", chromium)
            .env("BENCH_OUT", &out)
            .env("BENCH_OPTIONS", options.to_string()),
    )?;
    println!("the rows are in {}", out.display());
    Ok(())
}

/// Draws the weights and writes them for both sides: ONNX, and a bundle of the page's.
fn make_model(workspace: &Workspace, model: &Path) -> Result<()> {
    let programs = workspace.root.join("tests").join("web").join("bench");
    let source = fs::read_to_string(programs.join("vit_b_32.py"))?;
    let marker = model.join("made-by.txt");
    if fs::read_to_string(&marker).is_ok_and(|made_by| made_by == source) {
        return Ok(());
    }
    let venv = Venv::new(workspace.cache.room(Room::BenchPython));
    venv.ensure(&programs.join("requirements.txt"))?;
    process::run(
        workspace
            .command(venv.program("python"))
            .arg(programs.join("vit_b_32.py"))
            .arg("--out")
            .arg(model),
    )?;
    let trainer = browser::trainer(workspace)?;
    let (weights, imported) = (
        model.join("weights.safetensors"),
        model.join("imported.safetensors"),
    );
    let bundle = model.join("bundle");
    let device = ["--quiet", "--device", "cpu"];
    process::run(
        workspace
            .command(&trainer)
            .args(["import", "--preset", "vit_b_32", "--activation", "gelu"])
            .args(device)
            .arg("--out")
            .arg(&imported)
            .arg(&weights),
    )?;
    process::run(
        workspace
            .command(&trainer)
            .args(["export", "--format", "web", "--precision", "f32"])
            .args(device)
            .arg("--model")
            .arg(&imported)
            .arg("--out")
            .arg(&bundle),
    )?;
    fs::remove_file(weights)?;
    fs::remove_file(imported)?;
    fs::write(&marker, source).with_context(|| format!("{}: can't write", marker.display()))
}

fn copy_page(workspace: &Workspace, web: &Path, dist: &Path, site: &Path) -> Result<()> {
    let bench = web.join("bench");
    for tests in [web, &bench] {
        browser::install_packages(workspace, tests)?;
    }
    let copy = |from: PathBuf, to: &Path| {
        let name = from.file_name().context("a file has a name")?;
        fs::copy(&from, to.join(name)).with_context(|| format!("{}: can't copy", from.display()))
    };
    let runtime = site.join("ort");
    fs::create_dir_all(&runtime)?;
    let package = bench.join("node_modules").join("onnxruntime-web");
    ensure!(package.is_dir(), "{}: no such package", package.display());
    for file in RUNTIME {
        copy(package.join("dist").join(file), &runtime)?;
    }
    for file in ["index.html", "bench.js"] {
        copy(bench.join(file), site)?;
    }
    for (_, name) in page::MODULES {
        copy(dist.join(format!("{name}.js")), site)?;
        copy(dist.join(format!("{name}_bg.wasm")), site)?;
    }
    for file in ["engine.js", "messages.js", "modules.js"] {
        copy(dist.join("js").join(file), site)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page loads by name what this command copies.
    #[test]
    fn the_page_finds_its_runtime() {
        let page = crate::workspace::manifest_dir().join("../../tests/web/bench/bench.js");
        let page = fs::read_to_string(page).unwrap();
        for file in RUNTIME.iter().filter(|file| file.starts_with("ort.")) {
            assert!(page.contains(&format!("'{file}'")), "{file}");
        }
        for engine in ["ours-webgpu", "ours-wasm", "ort-webgpu", "ort-wasm"] {
            assert!(page.contains(&format!("'{engine}':")), "{engine}");
        }
    }
}
