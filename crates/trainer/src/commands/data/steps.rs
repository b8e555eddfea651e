//! The steps from videos to shards, one by one and all at once.

use std::path::PathBuf;
use std::sync::Mutex;

use emotionclip::Pretrained;
use emotionclip::detector::{BUNDLED_WEIGHTS, Detector};
use emotionclip_data::prepare::{
    self, BoxSource, CaptionSettings, ReleaseFiles, WorkFolder, prepare_captions, prepare_frames,
    prepare_sentiment, prepare_subjects, write_index,
};
use emotionclip_data::shards::write_shards;
use emotionclip_data::yolo::Yolo;

use super::options::{
    BoxArgs, FilterArgs, FrameArgs, InputArgs, ModelArgs, SentenceArgs, ShardArgs, WorkArgs,
};
use super::outcome::{Bars, Outcome, or_bad};
use super::{roberta, scorer};
use crate::context::Context;

const PREPARE_EXAMPLES: &str = "\
Examples:
  trainer data prepare talks --out corpora/talks
  trainer data prepare talks --captions subtitles --language en --out corpora/talks --shorter-side 256
  trainer data prepare talks --out corpora/talks --exclude-like bold/videos --max-neutral 0.5

The same command again goes on where it was stopped, and redoes only what changed settings or files touch.
What was skipped is named in DIR/reports, what was dropped in DIR/index-report.md.";

/// Options of `data prepare`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = PREPARE_EXAMPLES)]
#[group(skip)]
pub struct PrepareArgs {
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    frames: FrameArgs,
    #[command(flatten)]
    sentences: SentenceArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    boxes: BoxArgs,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    shards: ShardArgs,
}

/// Options of `data frames`.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct FramesArgs {
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    frames: FrameArgs,
}

/// Options of `data captions`.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct CaptionsArgs {
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    sentences: SentenceArgs,
}

/// Options of `data sentiment`.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct SentimentArgs {
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    model: ModelArgs,
}

/// Options of `data subjects`.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct SubjectsArgs {
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    boxes: BoxArgs,
}

/// Options of `data index`.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct IndexArgs {
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    filters: FilterArgs,
}

/// Options of `data shards`.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct ShardsArgs {
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    shards: ShardArgs,
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  trainer data import-release youtube --captions tv_cleaned --index tv_index.json \\
      --sentiment tv_sentiment_logits.npy --out corpora/tv
  trainer data index --out corpora/tv && trainer data shards --out corpora/tv

Without --index and --sentiment, `trainer data sentiment` scores the sentences.";

/// Options of `data import-release`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = IMPORT_EXAMPLES)]
#[group(skip)]
pub struct ImportArgs {
    /// Folder of <id>/frames or <id>/frames.hdf5, and <id>/human_boxes.json
    #[arg(value_name = "VIDEOS")]
    videos: PathBuf,
    /// Folder of <id>/transcript_cleaned.json [default: beside the frames]
    #[arg(long, value_name = "DIR")]
    captions: Option<PathBuf>,
    /// The release's index
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Logits of the index's entries, .npy
    #[arg(long, value_name = "FILE")]
    sentiment: Option<PathBuf>,
    #[command(flatten)]
    work: WorkArgs,
}

/// A step on its work folder.
struct Job<'a> {
    context: &'a Context,
    work: WorkFolder,
    args: &'a WorkArgs,
    bars: Bars<'a>,
    outcome: Outcome,
}

impl<'a> Job<'a> {
    fn open(args: &'a WorkArgs, context: &'a Context) -> anyhow::Result<Self> {
        Ok(Self {
            context,
            work: or_bad(WorkFolder::open(&args.out))?,
            args,
            bars: Bars::new(context),
            outcome: Outcome::new(&args.out),
        })
    }

    fn frames(&mut self, inputs: &prepare::Inputs, args: &FrameArgs) -> anyhow::Result<()> {
        let (settings, limits) = (args.settings(), self.args.limits());
        let show = |progress| self.bars.show(progress);
        let report = prepare_frames(&self.work, inputs, &settings, &limits, &show);
        self.outcome.step(or_bad(report)?);
        Ok(())
    }

    fn captions(&mut self, inputs: &prepare::Inputs, args: &SentenceArgs) -> anyhow::Result<()> {
        let (options, limits) = (args.options(), self.args.limits());
        let punctuator = match &args.punctuation_model {
            Some(folder) => Some(roberta::punctuator(
                folder,
                &self.context.open_device()?.device,
            )?),
            None => None,
        };
        let settings = CaptionSettings {
            options: &options,
            punctuator: punctuator.as_deref(),
        };
        let show = |progress| self.bars.show(progress);
        let report = prepare_captions(&self.work, inputs, settings, &limits, &show);
        self.outcome.step(or_bad(report)?);
        Ok(())
    }

    fn sentiment(&mut self, args: &ModelArgs) -> anyhow::Result<()> {
        let device = self.context.open_device()?.device;
        let scorer = scorer::open(args.sentiment_model.as_deref(), &device)?;
        let show = |progress| self.bars.show(progress);
        let report = prepare_sentiment(&self.work, &*scorer, &self.args.limits(), &show);
        self.outcome.step(or_bad(report)?);
        Ok(())
    }

    fn subjects(&mut self, args: &BoxArgs) -> anyhow::Result<()> {
        let source = match (&args.boxes, &args.detector) {
            (Some(folder), _) => BoxSource::Import {
                folder: folder.clone(),
                space: args.box_space.into(),
            },
            (None, Some(file)) => {
                BoxSource::People(Box::new(or_bad(Yolo::open(file, args.yolo()))?))
            }
            (None, None) => BoxSource::Detect {
                detector: Box::new(Mutex::new(Detector::bundled(
                    &self.context.open_device()?.device,
                )?)),
                identity: Pretrained::hash(BUNDLED_WEIGHTS),
            },
        };
        let show = |progress| self.bars.show(progress);
        let report = prepare_subjects(&self.work, &source, &self.args.limits(), &show);
        self.outcome.step(or_bad(report)?);
        Ok(())
    }

    fn index(&mut self, args: &FilterArgs) -> anyhow::Result<()> {
        let report = write_index(&self.work, &args.filters(), &args.sets()?);
        self.outcome.index(or_bad(report)?);
        Ok(())
    }

    fn shards(&mut self, args: &ShardArgs) -> anyhow::Result<()> {
        let show = |progress| self.bars.show(progress);
        let list = write_shards(&self.work, &args.settings(), self.args.workers, &show);
        self.outcome.shards(or_bad(list)?);
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        drop(self.bars);
        self.outcome.finish(self.context)
    }
}

/// Runs all steps.
///
/// # Errors
/// As each step.
pub fn prepare(args: &PrepareArgs, context: &Context) -> anyhow::Result<()> {
    let inputs = args.inputs.find(&args.work.out)?;
    let mut job = Job::open(&args.work, context)?;
    job.frames(&inputs, &args.frames)?;
    job.captions(&inputs, &args.sentences)?;
    job.sentiment(&args.model)?;
    job.subjects(&args.boxes)?;
    job.index(&args.filters)?;
    job.shards(&args.shards)?;
    job.finish()
}

/// Runs `frames`.
///
/// # Errors
/// Bad input, no ffmpeg, a failed write, too many broken videos.
pub fn frames(args: &FramesArgs, context: &Context) -> anyhow::Result<()> {
    let inputs = args.inputs.find(&args.work.out)?;
    let mut job = Job::open(&args.work, context)?;
    job.frames(&inputs, &args.frames)?;
    job.finish()
}

/// Runs `captions`.
///
/// # Errors
/// Bad input, a failed write, too many broken files.
pub fn captions(args: &CaptionsArgs, context: &Context) -> anyhow::Result<()> {
    let inputs = args.inputs.find(&args.work.out)?;
    let mut job = Job::open(&args.work, context)?;
    job.captions(&inputs, &args.sentences)?;
    job.finish()
}

/// Runs `sentiment`.
///
/// # Errors
/// A model that can't be used, a failing device or write.
pub fn sentiment(args: &SentimentArgs, context: &Context) -> anyhow::Result<()> {
    let mut job = Job::open(&args.work, context)?;
    job.sentiment(&args.model)?;
    job.finish()
}

/// Runs `subjects`.
///
/// # Errors
/// A failing device or write, too many broken files of boxes.
pub fn subjects(args: &SubjectsArgs, context: &Context) -> anyhow::Result<()> {
    let mut job = Job::open(&args.work, context)?;
    job.subjects(&args.boxes)?;
    job.finish()
}

/// Runs `index`.
///
/// # Errors
/// Bad input, a failed write, no clip left.
pub fn index(args: &IndexArgs, context: &Context) -> anyhow::Result<()> {
    let mut job = Job::open(&args.work, context)?;
    job.index(&args.filters)?;
    job.finish()
}

/// Runs `shards`.
///
/// # Errors
/// A missing index, a failed write.
pub fn shards(args: &ShardsArgs, context: &Context) -> anyhow::Result<()> {
    let mut job = Job::open(&args.work, context)?;
    job.shards(&args.shards)?;
    job.finish()
}

/// Runs `import-release`.
///
/// # Errors
/// Files that are not the release's, a failed write, too many broken videos.
pub fn import_release(args: &ImportArgs, context: &Context) -> anyhow::Result<()> {
    let mut job = Job::open(&args.work, context)?;
    let files = ReleaseFiles {
        videos: args.videos.clone(),
        captions: args.captions.clone(),
        index: args.index.clone(),
        sentiment_logits: args.sentiment.clone(),
    };
    let show = |progress| job.bars.show(progress);
    let report = prepare::import_release(&job.work, &files, &args.work.limits(), &show);
    let report = or_bad(report)?;
    job.outcome.step(report);
    job.finish()
}
