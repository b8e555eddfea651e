//! `bench`: how fast the device computes, as JSON.
//!
//! Weights and inputs are random: nothing is loaded, and only sizes matter to the time.

mod encode;
mod kernels;
mod loader;
mod measure;
mod probe;
mod train;

use std::path::PathBuf;

use burn::tensor::Device;
use clap::ValueEnum;
use emotionclip::EmotionClipConfig;
use emotionclip::config::Preset;
use emotionclip_kernels::DeviceKernels;
use serde::Serialize;

use crate::context::Context;
use crate::failure::OrBadInput;

const EXAMPLES: &str = "\
Examples:
  trainer bench --what kernels --device wgpu
  trainer bench --what encode --preset vit_b_32 --batch 8
  EMOTIONCLIP_KERNELS=off trainer bench --what encode --device wgpu
  trainer bench --what probe
  trainer bench --what loader --data frames/ --workers 2

One JSON object on stdout. Times are medians after a first call, which is given apart; GFLOP/s and
GB/s count the arithmetic and the memory traffic that the operation can't do without.
EMOTIONCLIP_KERNELS (auto, software, gpu, plain, off) chooses the kernels' tile sizes.";

/// Options of `bench`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct BenchArgs {
    /// What to measure
    #[arg(long, value_enum)]
    what: What,
    /// Sizes of the model: vit_b_32, vit_b_16, mini or nano
    #[arg(long, default_value = "vit_b_32", value_name = "NAME")]
    preset: String,
    /// For `loader` a folder of JPEG frames; for `probe` a safetensors file with `features` and
    /// `targets`, else a problem is drawn
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Threads of `loader`
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: u32,
    /// Frames at once; clips at once for `train`
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Timed calls after the first
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum What {
    /// Each operation of the frame encoder, by kernels and by tensor operations
    Kernels,
    /// The frame encoder, and the share of each operation in it
    Encode,
    /// A training step: forward, backward and optimizer
    Train,
    /// A linear probe: 26 one-vs-rest logistic regressions on 10,000 × 512 features
    Probe,
    /// Reading frames: decoding, resizing, cropping and normalising
    Loader,
}

/// What every benchmark works on.
struct Bench {
    device: Device,
    config: EmotionClipConfig,
    batch: usize,
    repeats: usize,
}

/// The JSON object.
#[derive(Serialize)]
struct Report<T> {
    what: &'static str,
    device: String,
    /// The tile set, `cpu` or `off`.
    kernels: String,
    preset: String,
    batch: usize,
    #[serde(flatten)]
    result: T,
}

/// Runs the benchmark.
///
/// # Errors
///
/// If the preset or the device is unknown, or the device fails.
pub fn run(args: &BenchArgs, context: &Context) -> anyhow::Result<()> {
    let (data, repeats) = (args.data.as_deref(), args.repeats as usize);
    match args.what {
        What::Probe => return on_cpu(context, "probe", probe::times(data, repeats)?),
        What::Loader => {
            let times = loader::times(data, args.workers as usize, repeats)?;
            return on_cpu(context, "loader", times);
        }
        What::Kernels | What::Encode | What::Train => {}
    }
    let preset: Preset = args.preset.parse().or_bad_input("--preset")?;
    let opened = context.open_device()?;
    let bench = Bench {
        device: opened.device,
        config: preset.config(),
        batch: args.batch as usize,
        repeats: args.repeats as usize,
    };
    let kernels = DeviceKernels::of(&bench.device)
        .map_or("off", DeviceKernels::name)
        .to_owned();
    match args.what {
        What::Kernels => finish(
            context,
            args,
            "kernels",
            opened.name,
            kernels,
            bench.kernels()?,
        ),
        What::Encode => finish(
            context,
            args,
            "encode",
            opened.name,
            kernels,
            bench.encode()?,
        ),
        What::Train => finish(context, args, "train", opened.name, kernels, bench.train()?),
        What::Probe | What::Loader => Ok(()),
    }
}

/// Prints what no device took part in.
fn on_cpu<T: Serialize>(context: &Context, what: &'static str, result: T) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct CpuReport<T> {
        what: &'static str,
        #[serde(flatten)]
        result: T,
    }
    let report = CpuReport { what, result };
    let text = serde_json::to_string_pretty(&report)?;
    context.finish(&report, &text)
}

fn finish<T: Serialize>(
    context: &Context,
    args: &BenchArgs,
    what: &'static str,
    device: String,
    kernels: String,
    result: T,
) -> anyhow::Result<()> {
    let report = Report {
        what,
        device,
        kernels,
        preset: args.preset.clone(),
        batch: args.batch as usize,
        result,
    };
    let text = serde_json::to_string_pretty(&report)?;
    context.finish(&report, &text)
}
