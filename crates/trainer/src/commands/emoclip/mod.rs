//! `emoclip`: EmoCLIP on the benchmarks of dynamic facial expression recognition.

mod checkpoint;
pub(super) mod clips;
mod dataset;
mod downstream;
mod faces;
mod models;
mod output;
mod prototypes;
mod recipe;
mod scores;
mod train;
mod training;
mod zero_shot;

use clap::Subcommand;
use emotionclip_data::dfer::Benchmark;
use serde_json::json;

use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  trainer emoclip zero-shot --dataset dfew --root DFEW --model emoclip.safetensors
  trainer emoclip train --dataset mafw --root MAFW --mode captions --clip ViT-B-32.pt --run runs/mafw
  trainer emoclip train --run runs/mafw --resume
  trainer emoclip faces --root corpora/faces --run runs/emoclip
  trainer emoclip downstream --root clips --scores scores.csv --model emoclip.safetensors
  trainer emoclip layout mafw                                # what the folder must hold";

/// Train and test EmoCLIP: zero-shot, captions, supervised, classes left out, symptom scores.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct EmoClipArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Read a benchmark's test clips by descriptions of its classes
    ZeroShot(zero_shot::ZeroShotArgs),
    /// Train on a benchmark's folds and test on them; resumable
    Train(train::TrainArgs),
    /// Train on real faces and utterances, on the towers of an EmotionCLIP; resumable
    Faces(faces::FacesArgs),
    /// Train a head for scores of clips, such as of symptoms; resumable
    Downstream(downstream::DownstreamArgs),
    /// Show what a benchmark's folder must hold
    Layout {
        /// Benchmark: mafw, dfew, ferv39k or afew
        #[arg(value_name = "NAME")]
        dataset: Benchmark,
    },
}

/// Runs the command.
///
/// # Errors
/// Bad input for data, a configuration or a model that can't be used; a failing device or disk; a
/// training that diverged or was interrupted.
pub fn run(args: &EmoClipArgs, context: &Context) -> anyhow::Result<()> {
    match &args.command {
        Command::ZeroShot(args) => zero_shot::run(args, context),
        Command::Train(args) => train::run(args, context),
        Command::Faces(args) => faces::run(args, context),
        Command::Downstream(args) => downstream::run(args, context),
        Command::Layout { dataset } => {
            let result = json!({
                "dataset": dataset.slug(),
                "home": dataset.home(),
                "layout": dataset.layout(),
            });
            let text = format!("{}\n\n{}", dataset.home(), dataset.layout());
            context.finish(&result, &text)
        }
    }
}
