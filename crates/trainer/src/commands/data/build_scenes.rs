//! `data build-scenes`: the corpus of real faces.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use emotionclip_data::faces::{
    BuildOptions, Built, Dropped, Manifest, Progress, SentimentSource, SplitCounts, build,
};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::context::{Context, write_atomically};
use crate::failure::bad_input;

const BUILD_EXAMPLES: &str = "\
Examples:
  trainer data build-scenes --faces fer2013 --texts goemotions --out corpora/faces
  # with a classifier's logits: score what was built, then build again
  trainer text-classifier score --model sentiment.safetensors \\
      --input corpora/faces/utterances-train.jsonl --out train.jsonl     # and the two other splits
  trainer data build-scenes --faces fer2013 --texts goemotions --out corpora/faces \\
      --sentiment train.jsonl validation.jsonl test.jsonl

Reads FER2013 as folders (train/<class>/*.jpg, test/<class>/PublicTest_*.jpg for validation and
PrivateTest_*.jpg for test) and GoEmotions as tables (train.tsv, dev.tsv, test.tsv, labels.txt; rows of
one label only). Takes out of training whatever is in validation or test too, exact or nearly so, and
repeats within a split. The same sources and seed give the same files; those that are already there are
left alone. Scenes are drawn from the corpus while training.";

/// Options of `data build-scenes`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = BUILD_EXAMPLES)]
#[group(skip)]
pub struct BuildScenesArgs {
    /// FER2013's folder, with train and test inside
    #[arg(long, value_name = "DIR")]
    faces: PathBuf,
    /// GoEmotions' folder, with train.tsv, dev.tsv, test.tsv and labels.txt inside
    #[arg(long, value_name = "DIR")]
    texts: PathBuf,
    /// Folder to write the corpus to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A classifier's logits, JSON lines of {"text": …, "logits": [7 numbers]}; default: smoothed
    /// labels
    #[arg(long, value_name = "FILE", num_args = 1..)]
    sentiment: Vec<PathBuf>,
    /// Seed of the order in which items are stored
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Serialize)]
struct BuildResult {
    out: String,
    seed: u64,
    sentiment: SentimentSource,
    splits: Vec<SplitCounts>,
    dropped: Vec<Dropped>,
    unreadable: Vec<String>,
    /// Files written, and files that were there with the same content.
    written: usize,
    unchanged: usize,
    bytes: usize,
}

/// Runs the command.
///
/// # Errors
/// Bad input for sources that are missing, damaged or not in their published layout; a failed write.
pub fn run(args: &BuildScenesArgs, context: &Context) -> anyhow::Result<()> {
    let options = BuildOptions {
        faces: args.faces.clone(),
        texts: args.texts.clone(),
        sentiment: args.sentiment.clone(),
        seed: args.seed,
    };
    let mut bars = Bars {
        context,
        shown: None,
    };
    let built = build(&options, &mut |progress| bars.show(progress));
    bars.finish();
    let built = built.map_err(|error| bad_input(error.to_string()))?;
    for reason in &built.unreadable {
        tracing::warn!("left out {reason}");
    }
    if let SentimentSource::Labels { smoothing } = built.manifest.sentiment {
        tracing::info!(
            "no --sentiment: the logits are those of each utterance's label, smoothed by {smoothing}"
        );
    }
    let (written, unchanged) = write(&built, &args.out)?;
    let Manifest {
        seed,
        sentiment,
        splits,
        dropped,
        ..
    } = built.manifest;
    let result = BuildResult {
        out: args.out.display().to_string(),
        seed,
        sentiment,
        splits,
        dropped,
        unreadable: built.unreadable,
        written,
        unchanged,
        bytes: built.files.iter().map(|(_, bytes)| bytes.len()).sum(),
    };
    context.finish(&result, &text(&result))
}

/// Writes the files that are not there yet; gives how many were, and how many were not, written.
fn write(built: &Built, out: &Path) -> anyhow::Result<(usize, usize)> {
    let mut unchanged = 0;
    for (name, bytes) in &built.files {
        let path = out.join(name);
        if std::fs::read(&path).is_ok_and(|there| there == *bytes) {
            unchanged += 1;
        } else {
            write_atomically(&path, bytes)?;
        }
    }
    Ok((built.files.len() - unchanged, unchanged))
}

/// One progress bar a part of the work.
struct Bars<'a> {
    context: &'a Context,
    shown: Option<(&'static str, ProgressBar)>,
}

impl Bars<'_> {
    fn show(&mut self, progress: Progress) {
        let stage = progress.stage;
        if self.shown.as_ref().is_none_or(|(shown, _)| *shown != stage) {
            self.finish();
            let bar = self.context.progress(progress.total as u64, stage);
            self.shown = Some((stage, bar));
        }
        if let Some((_, bar)) = &self.shown {
            bar.set_position(progress.done as u64);
        }
    }

    fn finish(&mut self) {
        if let Some((_, bar)) = self.shown.take() {
            bar.finish_and_clear();
        }
    }
}

fn text(result: &BuildResult) -> String {
    let mut text = format!(
        "{}: {} files, {:.1} MB ({} written, {} unchanged)\n\n",
        result.out,
        result.written + result.unchanged,
        result.bytes as f64 / 1e6,
        result.written,
        result.unchanged
    );
    // Writing to a string can't fail.
    let _ = writeln!(text, "{:<12} {:>8} {:>12}", "split", "faces", "utterances");
    for counts in &result.splits {
        let name = counts.split.name();
        let _ = write!(
            text,
            "{name:<12} {:>8} {:>12}",
            counts.faces, counts.utterances
        );
        if counts.single_only > 0 {
            let _ = write!(text, "   ({} faces not in scenes)", counts.single_only);
        }
        text.push('\n');
    }
    text.push_str("\nleft out\n");
    for one in &result.dropped {
        let (split, what) = (one.split.name(), &one.what);
        let _ = writeln!(text, "{:>8}  {split} {what}: {}", one.count, one.reason);
    }
    let sentiment = match &result.sentiment {
        SentimentSource::Labels { smoothing } => format!("labels, smoothed by {smoothing}"),
        SentimentSource::Classifier { sha256 } => {
            let files = if sha256.len() == 1 { "file" } else { "files" };
            format!("a classifier's ({} {files})", sha256.len())
        }
    };
    let _ = write!(text, "\nsentiment logits: {sentiment}");
    text
}
