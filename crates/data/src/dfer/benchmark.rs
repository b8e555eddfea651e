//! The four benchmarks: classes, folds, where they come from and what their folders look like.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// The order of EmoCLIP's release and of DFEW's own labels 1 to 7. FERV39K and AFEW name their
/// classes, so theirs is free; the release has the same.
const SEVEN: [&str; 7] = [
    "happiness",
    "sadness",
    "neutral",
    "anger",
    "surprise",
    "disgust",
    "fear",
];

/// MAFW's own order (the columns of its `annotation.xlsx`, labels 1 to 11), also the release's.
const ELEVEN: [&str; 11] = [
    "anger",
    "disgust",
    "fear",
    "happiness",
    "neutral",
    "sadness",
    "surprise",
    "contempt",
    "anxiety",
    "helplessness",
    "disappointment",
];

/// What folders and tables call the classes besides the names above.
const ALIASES: [(&str, &str); 3] = [
    ("happy", "happiness"),
    ("sad", "sadness"),
    ("angry", "anger"),
];

const MAFW_LAYOUT: &str = "\
MAFW/
├── data/
│   ├── faces/00025/*.jpg         cropped faces (the release), or
│   ├── frames/00025/*.jpg        the published frames, or
│   └── clips/00025.mp4           the published videos
└── Train & Test Set/             or Train_Test_Set/
    ├── single/                   and the same in compound/
    │   ├── no_caption/           or no_caption_new/: clip and label
    │   │   ├── set_1/{train,test}.txt
    │   │   └── … set_5/
    │   └── with_caption/         or with_caption_new/: clip, label, Chinese, English
    │       └── set_1/ … set_5/";

const DFEW_LAYOUT: &str = "\
DFEW/
├── Clip/
│   ├── clip_224x224/00001/*.jpg  the published faces, also in clip_224x224_part_1/ …, or
│   └── original/00001.mp4        the published videos, also in folders of parts
├── DFEW_Frame_Face/00001/*.jpg   the faces as the release keeps them
├── EmoLabel_DataSplit/
│   ├── train(single-labeled)/set_1.csv … set_5.csv
│   └── test(single-labeled)/set_1.csv … set_5.csv
└── DFEW_set_1_train.txt …        or the release's tables instead of EmoLabel_DataSplit/";

const FERV39K_LAYOUT: &str = "\
FERV39k/
├── 2_ClipsforFaceCrop/
│   └── Action/Happy/0015/*.jpg   scene, expression, clip
├── 4_setups/All_scenes/
│   ├── train_All.csv
│   └── test_All.csv
├── {train,test}_image.txt        or the release's tables instead of 4_setups/
└── {train,test}_descriptions.json  optional captions: {\"Action_Happy_0015\": \"…\"}";

const AFEW_LAYOUT: &str = "\
AFEW/
├── Train_AFEW/                   or AFEW_Face/train/
│   ├── Angry/000046280.avi       a video or a folder of frames for each clip
│   └── Disgust/ Fear/ Happy/ Neutral/ Sad/ Surprise/
└── Val_AFEW/                     or AFEW_Face/validation/, with the same folders";

/// A benchmark of dynamic facial expression recognition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Benchmark {
    /// MAFW (Liu et al., ACM MM 2022): 11 classes or 43 with compound ones, 5 folds, captions.
    Mafw,
    /// DFEW (Jiang et al., ACM MM 2020): 7 classes, 5 folds.
    Dfew,
    /// FERV39K (Wang et al., CVPR 2022): 7 classes, one split.
    Ferv39k,
    /// AFEW (Dhall et al., IEEE Multimedia 2012): 7 classes, trained on the training and tested on
    /// the validation part, as the labels of its test part aren't public.
    Afew,
}

impl Benchmark {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Mafw, Self::Dfew, Self::Ferv39k, Self::Afew];

    /// The name its authors gave it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mafw => "MAFW",
            Self::Dfew => "DFEW",
            Self::Ferv39k => "FERV39k",
            Self::Afew => "AFEW",
        }
    }

    /// Its name on command lines and in file names: lower case.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Mafw => "mafw",
            Self::Dfew => "dfew",
            Self::Ferv39k => "ferv39k",
            Self::Afew => "afew",
        }
    }

    /// The single emotions, in the order of the authors' labels where they have numbers and of
    /// EmoCLIP's release everywhere.
    pub const fn emotions(self) -> &'static [&'static str] {
        match self {
            Self::Mafw => &ELEVEN,
            Self::Dfew | Self::Ferv39k | Self::Afew => &SEVEN,
        }
    }

    /// How many train/test splits it comes with.
    pub const fn folds(self) -> usize {
        match self {
            Self::Mafw | Self::Dfew => 5,
            Self::Ferv39k | Self::Afew => 1,
        }
    }

    /// Where its authors give it away.
    pub const fn home(self) -> &'static str {
        match self {
            Self::Mafw => "https://mafw-database.github.io/MAFW/",
            Self::Dfew => "https://dfew-dataset.github.io/",
            Self::Ferv39k => "https://wangyanckxx.github.io/Proj_CVPR2022_FERV39k.html",
            Self::Afew => "https://cs.anu.edu.au/few/AFEW.html",
        }
    }

    /// Its folder as a tree: as published, and as EmoCLIP's release keeps it.
    pub const fn layout(self) -> &'static str {
        match self {
            Self::Mafw => MAFW_LAYOUT,
            Self::Dfew => DFEW_LAYOUT,
            Self::Ferv39k => FERV39K_LAYOUT,
            Self::Afew => AFEW_LAYOUT,
        }
    }

    /// Index of an emotion by any of its names, whatever their case: `Happy` is `happiness`.
    pub fn emotion_index(self, name: &str) -> Option<usize> {
        let name = name.to_ascii_lowercase();
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
        let name = alias.map_or(name.as_str(), |(_, name)| *name);
        self.emotions().iter().position(|one| *one == name)
    }
}

impl fmt::Display for Benchmark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// The name given is none of the four benchmarks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no benchmark; use mafw, dfew, ferv39k or afew")]
pub struct UnknownBenchmark(pub String);

impl FromStr for Benchmark {
    type Err = UnknownBenchmark;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|one| one.slug().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownBenchmark(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benchmarks_are_found_by_name() {
        for benchmark in Benchmark::ALL {
            assert_eq!(benchmark.name().parse(), Ok(benchmark));
            assert_eq!(benchmark.slug().parse(), Ok(benchmark));
        }
        assert!("fer2013".parse::<Benchmark>().is_err());
    }

    #[test]
    fn folders_and_tables_name_the_same_emotions() {
        for (name, index) in [("Happy", 0), ("Sadness", 1), ("Angry", 3), ("fear", 6)] {
            assert_eq!(Benchmark::Ferv39k.emotion_index(name), Some(index));
        }
        assert_eq!(Benchmark::Mafw.emotion_index("contempt"), Some(7));
        assert_eq!(Benchmark::Afew.emotion_index("contempt"), None);
    }
}
