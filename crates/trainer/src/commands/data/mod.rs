//! `data`: prepare corpora.

mod build_scenes;
mod options;
mod outcome;
mod roberta;
mod scorer;
mod shards;
mod steps;

use clap::Subcommand;

use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  trainer data prepare talks --out corpora/talks     # videos with captions to shards, resumable
  trainer data stats corpora/talks --html talks.html
  trainer data check corpora/talks
  trainer data check s3://bucket/talks               # keys from the AWS_… variables, see docs/corpus.md
  trainer pretrain --corpus corpora/talks --run runs/talks
  trainer data build-scenes --faces fer2013 --texts goemotions --out corpora/faces";

/// Prepare corpora for training.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DataArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// All steps: a folder of videos with captions to shards
    Prepare(Box<steps::PrepareArgs>),
    /// Step 1: videos to JPEG frames, through ffmpeg
    Frames(steps::FramesArgs),
    /// Step 2: captions (srt, vtt, json3, json) to sentences with times
    Captions(steps::CaptionsArgs),
    /// Step 3: logits and neutral score of each sentence
    Sentiment(steps::SentimentArgs),
    /// Step 4: boxes of the people in each frame
    Subjects(steps::SubjectsArgs),
    /// Step 5: which sentences become clips, and a report of what was dropped
    Index(steps::IndexArgs),
    /// Step 6: clips to WebDataset shards
    Shards(steps::ShardsArgs),
    /// Compare shards with their checksums and read every clip
    Check(shards::CheckArgs),
    /// Durations, lengths, sentiments and people of a corpus
    Stats(shards::StatsArgs),
    /// The authors' release's files to a work folder, then `index` and `shards`
    ImportRelease(steps::ImportArgs),
    /// Real faces and real utterances, paired by emotion: FER2013 and GoEmotions
    BuildScenes(build_scenes::BuildScenesArgs),
}

/// Runs the command.
///
/// # Errors
/// Bad input for sources that are missing, damaged or not in their published layout; a failed write.
pub fn run(args: &DataArgs, context: &Context) -> anyhow::Result<()> {
    match &args.command {
        Command::Prepare(args) => steps::prepare(args, context),
        Command::Frames(args) => steps::frames(args, context),
        Command::Captions(args) => steps::captions(args, context),
        Command::Sentiment(args) => steps::sentiment(args, context),
        Command::Subjects(args) => steps::subjects(args, context),
        Command::Index(args) => steps::index(args, context),
        Command::Shards(args) => steps::shards(args, context),
        Command::Check(args) => shards::check(args, context),
        Command::Stats(args) => shards::stats(args, context),
        Command::ImportRelease(args) => steps::import_release(args, context),
        Command::BuildScenes(args) => build_scenes::run(args, context),
    }
}
