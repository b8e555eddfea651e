//! `emoclip zero-shot`: a benchmark's test clips by descriptions of its classes.

use std::path::PathBuf;

use emotionclip_eval::folds::{FoldScores, FoldedResult, Protocol};
use emotionclip_eval::report::FoldReport;
use serde::Serialize;

use super::dataset::DatasetArgs;
use super::models;
use super::output::{folded_text, write_report};
use super::prototypes::{ClassTexts, predict};
use super::recipe::{DOWNSAMPLE, WindowName, clip_window};
use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  trainer emoclip zero-shot --dataset dfew --root DFEW
  trainer emoclip zero-shot --dataset mafw --root MAFW --labels compound --folds 1,2 --model e.safetensors --json
  trainer emoclip zero-shot --dataset afew --root AFEW --model fold_1.pth --window release --report afew.html

A clip is read as the class whose description it is most similar to. UAR is the mean recall of the classes,
WAR the accuracy. A model is a file that `trainer emoclip train` wrote or a checkpoint of the release.";

/// Options of `emoclip zero-shot`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct ZeroShotArgs {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// mini (built in), model file or checkpoint of the release
    #[arg(long, value_name = "MODEL", default_value = models::BUILTIN)]
    model: PathBuf,
    /// Where clips begin
    #[arg(long, value_enum, default_value_t = WindowName::Centre)]
    window: WindowName,
    /// Frames a clip; default: what the model was made for
    #[arg(long, value_name = "T")]
    frames: Option<usize>,
    /// Keep every Nth frame
    #[arg(long, value_name = "N", default_value_t = DOWNSAMPLE)]
    downsample: usize,
    /// Seed of the places where `--window release` begins
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// HTML page to write
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct ZeroShotResult<'a> {
    model: &'a str,
    model_sha256: &'a str,
    frames: usize,
    downsample: usize,
    #[serde(flatten)]
    result: &'a FoldedResult,
}

/// Runs the command.
///
/// # Errors
/// Bad input for data, texts or a model that can't be used; a failing device.
pub fn run(args: &ZeroShotArgs, context: &Context) -> anyhow::Result<()> {
    let config = args.dataset.config()?;
    let data = config.open()?;
    let opened = context.open_device()?;
    let device = &opened.device;
    let loaded = models::load(&args.model, device)?;
    let temporal = &loaded.pretrained.model.temporal;
    let window = clip_window(
        args.frames.unwrap_or(temporal.config().frames),
        temporal.max_frames(),
        args.downsample,
        args.window.window(),
    )?;
    let texts = ClassTexts::new(&loaded.pretrained.tokenizer, &data.texts);
    let classes = texts.embed(&loaded.pretrained.model, device);
    let names = data.dataset.classes();
    let folds = data.dataset.folds();
    let clips = folds.iter().map(|fold| fold.test.len() as u64).sum();
    let bar = context.progress(clips, "reading");
    let mut scores = Vec::with_capacity(folds.len());
    for fold in folds {
        bar.set_message(format!("fold {}", fold.number));
        let predicted = predict(
            &loaded.pretrained,
            &classes,
            &fold.test,
            window,
            args.seed,
            &bar,
        )?;
        let truth: Vec<usize> = fold.test.iter().map(|sample| sample.label).collect();
        let of_fold = FoldScores::new(fold.number, &truth, &predicted, names.len())?;
        scores.push(of_fold);
    }
    bar.finish_and_clear();
    let result = FoldedResult {
        benchmark: config.dataset,
        protocol: Protocol::ZeroShot,
        classes: names.to_vec(),
        folds: scores,
        skipped: data.skipped,
    };
    let text = folded_text(&result);
    let shown = ZeroShotResult {
        model: &loaded.name,
        model_sha256: &loaded.sha256,
        frames: window.frames,
        downsample: window.downsample,
        result: &result,
    };
    if let Some(path) = &args.report {
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let report = FoldReport {
            title: format!("EmoCLIP on {}, zero-shot", config.dataset),
            facts: vec![
                fact("model", loaded.name.clone()),
                fact("SHA-256", loaded.sha256.clone()),
                fact("device", opened.name.clone()),
                fact("frames a clip", window.frames.to_string()),
                fact("frames kept", format!("1 in {}", window.downsample)),
            ],
            results: vec![result.clone()],
            ..FoldReport::default()
        };
        write_report(path, report)?;
    }
    context.finish(&shown, &text)
}
