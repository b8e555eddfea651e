//! Options that steps of the preparation share, and what they mean.

use std::path::PathBuf;

use clap::ValueEnum;
use emotionclip_data::captions::SentenceOptions;
use emotionclip_data::prepare::{
    BoxSpace, EvaluationSets, FrameSettings, IndexFilters, Inputs, Limits, PrepareError,
};
use emotionclip_data::shards::ShardSettings;
use emotionclip_data::yolo::YoloSettings;

use super::outcome::or_bad;
use crate::failure::bad_input;
use crate::inputs::files::read_text;

/// The work folder and how a step goes.
#[derive(clap::Args, Clone, Debug)]
pub struct WorkArgs {
    /// Work folder: frames, sentences, boxes, index and shards
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Share of the videos that may be broken before a step stops
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = share)]
    max_broken: f64,
    /// Videos worked on at once; 0 is one a core
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub workers: usize,
}

impl WorkArgs {
    pub fn limits(&self) -> Limits {
        Limits {
            max_broken: self.max_broken,
            workers: self.workers,
        }
    }
}

/// Where videos and captions are.
#[derive(clap::Args, Clone, Debug)]
pub struct InputArgs {
    /// Folder of videos, searched through; captions have the videos' names (talk.mp4, talk.en.vtt)
    #[arg(value_name = "VIDEOS")]
    videos: PathBuf,
    /// Folder of the captions, laid out as the videos' [default: beside the videos]
    #[arg(long, value_name = "DIR")]
    captions: Option<PathBuf>,
    /// Language of the captions where there are several, as in their names (en, de)
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
}

impl InputArgs {
    pub fn find(&self, out: &std::path::Path) -> anyhow::Result<Inputs> {
        let captions = self.captions.as_deref();
        if let Some(folder) = captions.filter(|folder| !folder.is_dir()) {
            return Err(bad_input(format!(
                "--captions {}: no such folder",
                folder.display()
            )));
        }
        or_bad(Inputs::find(
            &self.videos,
            captions,
            self.language.as_deref(),
            out,
        ))
    }
}

/// How frames are stored.
#[derive(clap::Args, Clone, Debug)]
pub struct FrameArgs {
    /// Frames per second
    #[arg(long, value_name = "RATE", default_value_t = 8.0, value_parser = crate::commands::dataset::positive)]
    fps: f64,
    /// ffmpeg's JPEG quality, 2 (best) to 31
    #[arg(long, value_name = "Q", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=31))]
    quality: u8,
    /// Scale frames down to this shorter side, in pixels [default: as they are]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(16..=8192))]
    shorter_side: Option<u32>,
    /// Hours of a video that are read at most
    #[arg(long, value_name = "HOURS", default_value_t = 12.0, value_parser = crate::commands::dataset::positive)]
    longest_hours: f64,
}

impl FrameArgs {
    pub fn settings(&self) -> FrameSettings {
        FrameSettings {
            fps: self.fps,
            quality: self.quality,
            shorter_side: self.shorter_side,
            longest_hours: self.longest_hours,
        }
    }
}

/// How words become sentences.
#[derive(clap::Args, Clone, Debug)]
pub struct SentenceArgs {
    /// Without punctuation: seconds of silence that end a sentence
    #[arg(long, value_name = "SECONDS", default_value_t = SentenceOptions::default().pause_secs, value_parser = crate::commands::dataset::positive)]
    pause: f64,
    /// Without punctuation: seconds after which a sentence is cut at its longest pause
    #[arg(long, value_name = "SECONDS", default_value_t = SentenceOptions::default().longest_secs, value_parser = crate::commands::dataset::positive)]
    longest_sentence: f64,
    /// Without punctuation: a token classifier that says where sentences end, a RoBERTa or XLM-R folder
    /// (config.json, tokenizer.json, model.safetensors) whose classes are marks [default: pauses say]
    #[arg(long, value_name = "DIR")]
    pub punctuation_model: Option<PathBuf>,
}

impl SentenceArgs {
    pub fn options(&self) -> SentenceOptions {
        SentenceOptions {
            pause_secs: self.pause,
            longest_secs: self.longest_sentence,
            ..SentenceOptions::default()
        }
    }
}

/// Who scores sentences.
#[derive(clap::Args, Clone, Debug)]
pub struct ModelArgs {
    /// Classifier of sentences: a file of `trainer text-classifier train`, or a Hugging Face folder of
    /// a RoBERTa with the seven emotions [default: the built-in one]
    #[arg(long, value_name = "MODEL")]
    pub sentiment_model: Option<PathBuf>,
}

/// Where boxes come from.
#[derive(clap::Args, Clone, Debug)]
pub struct BoxArgs {
    /// Folder of boxes in the release's form (<name>/human_boxes.json or <name>.json) [default: the
    /// built-in detector]
    #[arg(long, value_name = "DIR")]
    pub boxes: Option<PathBuf>,
    /// The pixels that those boxes are in
    #[arg(
        long,
        value_name = "SPACE",
        default_value = "frame",
        requires = "boxes"
    )]
    pub box_space: BoxSpaceArg,
    /// A YOLO of yours that finds people, an ONNX file: v5 to v12, v26 and their like [default: the
    /// built-in detector of faces]
    #[arg(long, value_name = "FILE", conflicts_with = "boxes")]
    pub detector: Option<PathBuf>,
    /// Name or number of the class that the YOLO looks for
    #[arg(long, value_name = "CLASS", default_value_t = YoloSettings::default().class, requires = "detector")]
    detector_class: String,
    /// Score that the YOLO's boxes must exceed
    #[arg(long, value_name = "SCORE", default_value_t = YoloSettings::default().confidence, value_parser = score, requires = "detector")]
    detector_confidence: f32,
    /// Of the YOLO's boxes that share more than this of their union the best stays
    #[arg(long, value_name = "SHARE", default_value_t = YoloSettings::default().overlap, value_parser = score, requires = "detector")]
    detector_overlap: f32,
}

impl BoxArgs {
    pub fn yolo(&self) -> YoloSettings {
        YoloSettings {
            class: self.detector_class.clone(),
            confidence: self.detector_confidence,
            overlap: self.detector_overlap,
        }
    }
}

/// As [`BoxSpace`], by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum BoxSpaceArg {
    /// The frame's own pixels
    Frame,
    /// The release's 640-pixel canvas
    Letterbox,
}

impl From<BoxSpaceArg> for BoxSpace {
    fn from(space: BoxSpaceArg) -> Self {
        match space {
            BoxSpaceArg::Frame => Self::Frame,
            BoxSpaceArg::Letterbox => Self::Letterbox,
        }
    }
}

/// The release's filters.
#[derive(clap::Args, Clone, Debug)]
pub struct FilterArgs {
    /// Seconds that a sentence must be longer than
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    longer_than: f64,
    /// Seconds that a sentence must be shorter than
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    shorter_than: f64,
    /// Frames that a clip needs
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    min_frames: usize,
    /// Characters that a sentence needs
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    min_characters: usize,
    /// Highest neutral score; 1 keeps all
    #[arg(long, value_name = "SCORE", default_value_t = 0.05, value_parser = share)]
    max_neutral: f64,
    /// Smallest share of frames with somebody in them
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    min_has_person: f64,
    /// Files of ids of videos to leave out, one a line, besides those that also stand in BoLD
    #[arg(long, value_name = "FILE", num_args = 1..)]
    exclude_ids: Vec<PathBuf>,
    /// Folders of evaluation sets: clips that show the same pictures are left out
    #[arg(long, value_name = "DIR", num_args = 1..)]
    exclude_like: Vec<PathBuf>,
    /// Bits in which two pictures' perceptual hashes may differ and still count as the same
    #[arg(long, value_name = "BITS", default_value_t = 4)]
    max_hash_distance: u32,
}

impl FilterArgs {
    pub fn filters(&self) -> IndexFilters {
        IndexFilters {
            longer_than_secs: self.longer_than,
            shorter_than_secs: self.shorter_than,
            min_frames: self.min_frames,
            min_characters: self.min_characters,
            max_neutral: self.max_neutral,
            min_has_person: self.min_has_person,
            max_hash_distance: self.max_hash_distance,
            ..IndexFilters::default()
        }
    }

    pub fn sets(&self) -> anyhow::Result<EvaluationSets> {
        let mut sets = EvaluationSets::bold();
        for path in &self.exclude_ids {
            sets.add_ids(&read_text(path)?);
        }
        for folder in &self.exclude_like {
            let unreadable = or_bad::<_, PrepareError>(sets.add_media(folder))?;
            for problem in unreadable {
                tracing::warn!("not compared with: {problem}");
            }
        }
        Ok(sets)
    }
}

/// How shards are made.
#[derive(clap::Args, Clone, Debug)]
pub struct ShardArgs {
    /// MiB of a shard
    #[arg(long, value_name = "MIB", default_value_t = 256.0, value_parser = crate::commands::dataset::positive)]
    shard_size: f64,
    /// Seed of the order of the clips
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    shard_seed: u64,
}

impl ShardArgs {
    pub fn settings(&self) -> ShardSettings {
        ShardSettings {
            // The cast saturates; a shard of no bytes would hold nothing.
            target_bytes: ((self.shard_size * f64::from(1 << 20)) as u64).max(1),
            seed: self.shard_seed,
        }
    }
}

/// As [`share`], in single precision.
fn score(text: &str) -> Result<f32, String> {
    share(text).map(|value| value as f32)
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("give a number from 0 to 1".to_owned()),
    }
}
