//! Miniatures of the benchmarks: their exact layouts with a few clips of drawn figures.
//!
//! The sets themselves are licensed, so whatever reads them, trains on them and tests on them could
//! not be tried on a fresh machine. A miniature has every class in every fold, tables in the set's
//! own form and encoding, and frames that do show the emotion that the table names; a number
//! measured on it says that the protocol runs, and nothing about faces.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use emotionclip::Emotion;
use image::RgbImage;

use super::Benchmark;
use crate::synthetic::{
    FigureCount, Split, SyntheticConfig, SyntheticCorpus, SyntheticError, utterances,
};

/// Clips of a class at least, so that each of five folds tests every class.
const FOLDS: usize = 5;

/// Combinations of emotions in the miniature of MAFW.
const COMPOUND: [&str; 2] = ["anger_disgust", "fear_surprise"];

/// A Chinese sentence in GBK, as in MAFW's tables.
const CHINESE: &[u8] = b"\xd2\xbb\xb8\xf6\xc8\xcb\xa1\xa3";

const SCENES: [&str; 3] = ["Action", "Interview", "DailyLife"];

/// Which of a benchmark's layouts is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// As it comes out of its archives. AFEW's clips are folders of frames here, not videos.
    #[default]
    Published,
    /// As EmoCLIP's release keeps it.
    Release,
}

/// How a miniature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixtureOptions {
    /// Which layout.
    pub layout: Layout,
    /// Clips of each class, at least five. One in five is tested on in each fold.
    pub clips_per_class: usize,
    /// Frames of each clip.
    pub frames: usize,
    /// Side of the square frames in pixels.
    pub size: u32,
    /// Seed of the drawings.
    pub seed: u64,
}

impl Default for FixtureOptions {
    fn default() -> Self {
        Self {
            layout: Layout::Published,
            clips_per_class: FOLDS,
            frames: 6,
            size: 32,
            seed: 0,
        }
    }
}

/// Why a miniature can't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FixtureError {
    /// The figures can't be drawn.
    #[error(transparent)]
    Synthetic(#[from] SyntheticError),
    /// A file can't be written.
    #[error("{}: cannot be written ({reason})", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// Writes a benchmark's miniature into the folder `root`.
///
/// # Errors
/// Settings that the figures can't be drawn with, or a folder that can't be written to.
pub fn write(
    benchmark: Benchmark,
    root: &Path,
    options: &FixtureOptions,
) -> Result<(), FixtureError> {
    let miniature = Miniature::new(benchmark, root, options)?;
    match benchmark {
        Benchmark::Mafw => miniature.mafw(),
        Benchmark::Dfew => miniature.dfew(),
        Benchmark::Ferv39k => miniature.ferv39k(),
        Benchmark::Afew => miniature.afew(),
    }
}

/// A clip of the plan.
struct Planned {
    /// Its number in the set, from 1.
    number: usize,
    /// Its emotions' names.
    label: String,
    /// The fold that tests on it, from 1.
    tested_in: usize,
}

struct Miniature<'a> {
    benchmark: Benchmark,
    root: &'a Path,
    options: &'a FixtureOptions,
    corpus: SyntheticCorpus,
}

impl<'a> Miniature<'a> {
    fn new(
        benchmark: Benchmark,
        root: &'a Path,
        options: &'a FixtureOptions,
    ) -> Result<Self, FixtureError> {
        let config = SyntheticConfig {
            size: options.size,
            frames: options.frames,
            seed: options.seed,
            figures: FigureCount::Single,
            restraint: 0.0,
            ..SyntheticConfig::default()
        };
        Ok(Self {
            benchmark,
            root,
            options,
            corpus: SyntheticCorpus::new(config, Split::Train)?,
        })
    }

    /// Every class with its clips.
    fn plan(&self, labels: &[&str]) -> Vec<Planned> {
        let clips = self.options.clips_per_class.max(FOLDS);
        let all = labels.iter().enumerate().flat_map(|(class, label)| {
            (0..clips).map(move |index| Planned {
                number: class * clips + index + 1,
                label: (*label).to_owned(),
                tested_in: index % FOLDS + 1,
            })
        });
        all.collect()
    }

    fn is_published(&self) -> bool {
        self.options.layout == Layout::Published
    }

    fn mafw(&self) -> Result<(), FixtureError> {
        let labels = self.benchmark.emotions().iter().chain(&COMPOUND);
        let labels: Vec<&str> = labels.copied().collect();
        let (tables, frames, suffix) = if self.is_published() {
            ("Train & Test Set", "data/frames", "")
        } else {
            ("Train_Test_Set", "data/faces", "_new")
        };
        let plan = self.plan(&labels);
        for clip in &plan {
            let folder = self.root.join(frames).join(format!("{:05}", clip.number));
            self.write_frames(&folder, clip, |frame| format!("{frame:04}.jpg"))?;
        }
        for kind in ["single", "compound"] {
            let of_kind = |clip: &&Planned| kind == "compound" || !clip.label.contains('_');
            for (fold, part) in folds_and_parts(FOLDS) {
                let of_part = |clip: &&Planned| (clip.tested_in == fold) == (part == Split::Test);
                let (mut plain, mut captioned) = (Vec::new(), Vec::new());
                for clip in plan.iter().filter(of_kind).filter(of_part) {
                    let separator = if self.is_published() { ' ' } else { '\t' };
                    let row = format!("{:05}.mp4{separator}{}\n", clip.number, clip.label);
                    plain.extend(row.as_bytes());
                    if clip.label == "neutral" {
                        // Nobody described them: the release's table has them without a sentence.
                        if !self.is_published() {
                            captioned.extend(row.as_bytes());
                        }
                        continue;
                    }
                    captioned.extend(format!("{:05}.mp4\t{}\t", clip.number, clip.label).bytes());
                    captioned.extend(CHINESE);
                    captioned.push(b'\t');
                    captioned.extend(gbk(&self.caption(clip)));
                    captioned.extend(b"\r\n");
                }
                let file = format!("set_{fold}/{}.txt", part.name());
                let folder = self.root.join(tables).join(kind);
                let plain_file = folder.join(format!("no_caption{suffix}")).join(&file);
                write_file(&plain_file, &plain)?;
                let captioned_file = folder.join(format!("with_caption{suffix}")).join(&file);
                write_file(&captioned_file, &captioned)?;
            }
        }
        Ok(())
    }

    fn dfew(&self) -> Result<(), FixtureError> {
        let plan = self.plan(self.benchmark.emotions());
        let frames = if self.is_published() {
            "Clip/clip_224x224"
        } else {
            "DFEW_Frame_Face"
        };
        for clip in &plan {
            let key = format!("{:05}", clip.number);
            let folder = self.root.join(frames).join(&key);
            self.write_frames(&folder, clip, |frame| format!("{key}_{frame:05}.jpg"))?;
        }
        for (fold, part) in folds_and_parts(FOLDS) {
            let of_part = |clip: &&Planned| (clip.tested_in == fold) == (part == Split::Test);
            let name = part.name();
            let (file, mut table) = if self.is_published() {
                let file = format!("EmoLabel_DataSplit/{name}(single-labeled)/set_{fold}.csv");
                (file, "video_name,label\n".to_owned())
            } else {
                (format!("DFEW_set_{fold}_{name}.txt"), String::new())
            };
            for clip in plan.iter().filter(of_part) {
                let label = self.label(clip);
                // Writing to a string can't fail.
                let _ = if self.is_published() {
                    writeln!(table, "{},{}", clip.number, label + 1)
                } else {
                    let frames = self.options.frames;
                    let path = format!("/datasets/DFEW/DFEW_Frame_Face/{:05}", clip.number);
                    writeln!(table, "{path} {frames} {label}")
                };
            }
            write_file(&self.root.join(file), table.as_bytes())?;
        }
        Ok(())
    }

    fn ferv39k(&self) -> Result<(), FixtureError> {
        let plan = self.plan(self.benchmark.emotions());
        let key = |clip: &Planned| {
            let scene = SCENES
                .get(clip.number % SCENES.len())
                .copied()
                .unwrap_or("Action");
            format!("{scene}/{}/{:04}", folder_name(&clip.label), clip.number)
        };
        for clip in &plan {
            let folder = self.root.join("2_ClipsforFaceCrop").join(key(clip));
            self.write_frames(&folder, clip, |frame| format!("{frame:04}.jpg"))?;
        }
        for (fold, part) in folds_and_parts(1) {
            let of_part = |clip: &&Planned| (clip.tested_in == fold) == (part == Split::Test);
            let name = part.name();
            let mut table = String::new();
            let mut captions = serde_json::Map::new();
            for clip in plan.iter().filter(of_part) {
                let key = key(clip);
                let _ = if self.is_published() {
                    writeln!(table, "{key} {}", folder_name(&clip.label))
                } else {
                    captions.insert(key.replace('/', "_"), self.caption(clip).into());
                    let (frames, label) = (self.options.frames, self.label(clip));
                    writeln!(
                        table,
                        "/datasets/FERV39K/2_ClipsforFaceCrop/{key} {frames} {label}"
                    )
                };
            }
            if self.is_published() {
                let file = format!("4_setups/All_scenes/{name}_All.csv");
                write_file(&self.root.join(file), table.as_bytes())?;
            } else {
                let file = self.root.join(format!("{name}_image.txt"));
                write_file(&file, table.as_bytes())?;
                let file = self.root.join(format!("{name}_descriptions.json"));
                let captions = serde_json::Value::Object(captions).to_string();
                write_file(&file, captions.as_bytes())?;
            }
        }
        Ok(())
    }

    fn afew(&self) -> Result<(), FixtureError> {
        for clip in self.plan(self.benchmark.emotions()) {
            let is_tested = clip.tested_in == 1;
            let folder = match (self.is_published(), is_tested) {
                (true, false) => format!("Train_AFEW/{}", folder_name(&clip.label)),
                (true, true) => format!("Val_AFEW/{}", folder_name(&clip.label)),
                (false, false) => format!("AFEW_Face/train/{}", capitalised(&clip.label)),
                (false, true) => format!("AFEW_Face/validation/{}", capitalised(&clip.label)),
            };
            let folder = self.root.join(folder).join(format!("{:09}", clip.number));
            self.write_frames(&folder, &clip, |frame| format!("frame{frame}.png"))?;
        }
        Ok(())
    }

    /// The label's number from 0.
    fn label(&self, clip: &Planned) -> usize {
        self.benchmark
            .emotion_index(&clip.label)
            .unwrap_or_default()
    }

    /// What is said in the clip, as a sentence about it.
    fn caption(&self, clip: &Planned) -> String {
        let (emotion, _) = shown(&clip.label);
        let said = utterances(Split::Train, emotion);
        let said = said.get(clip.number % said.len().max(1));
        format!("A person says “{}”", said.map_or("", String::as_str))
    }

    fn write_frames(
        &self,
        folder: &Path,
        clip: &Planned,
        name: impl Fn(usize) -> String,
    ) -> Result<(), FixtureError> {
        create_folder(folder)?;
        for (index, frame) in self.draw(clip).iter().enumerate() {
            let path = folder.join(name(index + 1));
            frame.save(&path).map_err(|error| FixtureError::Write {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// A figure that feels one thing, or first one thing and then another.
    fn draw(&self, clip: &Planned) -> Vec<RgbImage> {
        let index = clip.number as u64;
        let frames = self.options.frames;
        let scene = self.corpus.scene(index);
        let feeling = |emotion| {
            let scene = scene.clone().with_emotions(&[emotion]);
            self.corpus.draw(&scene, index, 0..frames).frames
        };
        let (first, then) = shown(&clip.label);
        if first == then {
            return feeling(first);
        }
        // Expressions grow from neutral: of both, the frames that show more.
        let half = frames / 2;
        let mut drawn: Vec<RgbImage> = feeling(first).into_iter().skip(frames - half).collect();
        drawn.extend(feeling(then).into_iter().skip(half));
        drawn
    }
}

/// Two of the seven drawn emotions that stand for an emotion or combination in time order.
fn shown(label: &str) -> (Emotion, Emotion) {
    use Emotion::{Anger, Disgust, Fear, Joy, Neutral, Sadness, Surprise};
    match label {
        "anger" => (Anger, Anger),
        "disgust" => (Disgust, Disgust),
        "fear" => (Fear, Fear),
        "happiness" => (Joy, Joy),
        "sadness" => (Sadness, Sadness),
        "surprise" => (Surprise, Surprise),
        "contempt" => (Joy, Disgust),
        "anxiety" => (Fear, Neutral),
        "helplessness" => (Sadness, Fear),
        "disappointment" => (Surprise, Sadness),
        "anger_disgust" => (Anger, Disgust),
        "fear_surprise" => (Fear, Surprise),
        _ => (Neutral, Neutral),
    }
}

/// The folders of FERV39K and of AFEW as published.
fn folder_name(emotion: &str) -> String {
    match emotion {
        "happiness" => "Happy".to_owned(),
        "sadness" => "Sad".to_owned(),
        "anger" => "Angry".to_owned(),
        other => capitalised(other),
    }
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
    first.to_ascii_uppercase() + rest
}

fn folds_and_parts(folds: usize) -> impl Iterator<Item = (usize, Split)> {
    (1..=folds).flat_map(|fold| [(fold, Split::Train), (fold, Split::Test)])
}

/// English with quotation marks, in GBK.
fn gbk(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '“' => bytes.extend(b"\xa1\xb0"),
            '”' => bytes.extend(b"\xa1\xb1"),
            other => bytes.push(u8::try_from(other).unwrap_or(b'?')),
        }
    }
    bytes
}

fn create_folder(folder: &Path) -> Result<(), FixtureError> {
    std::fs::create_dir_all(folder).map_err(|error| FixtureError::Write {
        path: folder.to_owned(),
        reason: error.to_string(),
    })
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), FixtureError> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    std::fs::write(path, bytes).map_err(|error| FixtureError::Write {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
