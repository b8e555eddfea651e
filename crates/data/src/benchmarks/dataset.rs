//! The five sets: classes, where they come from and what their folders look like.

use core::fmt;
use core::str::FromStr;

use emotionclip::preprocess::{Letterbox, MaskProtocol};
use serde::{Deserialize, Serialize};

use super::classes;

const BOLD_LAYOUT: &str = "\
BOLD_public/
├── annotations/
│   ├── train.csv                 no header: video, person, first and last frame, 26 shares,
│   └── val.csv                   valence, arousal, dominance, gender, age, ethnicity, confidence
├── joints/003/IzvO.mp4/0114.npy  [rows, 56] of f8: frame, person, 18 × (x, y, confidence)
└── mmextract/003/IzvO.mp4/0114.mp4/
    └── img_00001.jpg …           all frames, as mmaction extracts them";

const MOVIE_GRAPHS_LAYOUT: &str = "\
MovieGraphs/
├── official/
│   ├── mg/split.json             {\"train\": [\"tt0109830\", …], \"val\": […], \"test\": […]}
│   ├── mg/py3loader/emotion_labels.json  {\"tt0109830\": {\"1\": [\"Happiness\", …], …}, …}
│   └── mg_videoinfo/
│       ├── scene_boundaries/tt0109830.scenes.gt   first shot, last shot, useful
│       └── video_boundaries/tt0109830.videvents   a header line; first frame, time, kind of cut
├── all_human_boxes.json          {\"tt0109830\": {\"frame_0.jpg\": [[x1, y1, x2, y2, score], …]}}
└── frames/tt0109830/frame_0.jpg …";

const MELD_LAYOUT: &str = "\
MELD/
├── MELD.Raw/
│   └── train_sent_emo.csv        and dev_sent_emo.csv, test_sent_emo.csv, as published
├── train_human_boxes.json        and dev_, test_: {\"dia0_utt0\": {\"frame_0.jpg\":
│                                 [[x1, y1, x2, y2, score], …], …}, …}
└── frames/
    ├── train_splits/dia0_utt0/frame_0.jpg …   all frames of a clip
    └── dev_splits/ test_splits/";

const EMOTIC_LAYOUT: &str = "\
emotic/
├── annotations_pre/
│   ├── train.csv                 and val.csv, test.csv: Folder, Filename, Image Size, BBox, …
│   └── train_cat_arr.npy         and val_, test_: [rows, 26] of 0 and 1
└── emotic/mscoco/images/COCO_val2014_000000562243.jpg …   the published folders";

const LIRIS_LAYOUT: &str = "\
MediaEval2018/
├── annotations/
│   ├── MEDIAEVAL18-DevSet-Valence_Arousal-annotations/annotations/
│   │   └── MEDIAEVAL18_00_Valence-Arousal.txt …   a header; time, valence, arousal by tabs
│   └── MEDIAEVAL18-TestSet-Valence_Arousal-annotations/annotations/   tested on: “test” in its name
├── frames/MEDIAEVAL18_00.mp4/00000001.jpg …       a frame a second, numbered from 1
└── bboxes/MEDIAEVAL18_00.mp4/human_boxes.json     [{\"00000001.jpg\": [[x1, y1, x2, y2, score]]}]";

/// A benchmark with a linear-probe protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeDataset {
    /// BoLD (Luo et al., IJCV 2020): bodily expressions of one person in a film clip, 26 classes and
    /// three values.
    Bold,
    /// MovieGraphs (Vicol et al., CVPR 2018): scenes of films, 26 classes as `Affect2MM` groups them.
    #[serde(rename = "moviegraphs")]
    MovieGraphs,
    /// MELD (Poria et al., ACL 2019): utterances of a television series, 7 classes.
    Meld,
    /// EMOTIC (Kosti et al., CVPR 2017): one person in a photograph, 26 classes.
    Emotic,
    /// LIRIS-ACCEDE (Baveye et al., 2015) as in `MediaEval` 2018: valence and arousal of whole films,
    /// second by second.
    LirisAccede,
}

impl ProbeDataset {
    /// All five.
    pub const ALL: [Self; 5] = [
        Self::Bold,
        Self::MovieGraphs,
        Self::Meld,
        Self::Emotic,
        Self::LirisAccede,
    ];

    /// The name its authors gave it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bold => "BoLD",
            Self::MovieGraphs => "MovieGraphs",
            Self::Meld => "MELD",
            Self::Emotic => "EMOTIC",
            Self::LirisAccede => "LIRIS-ACCEDE",
        }
    }

    /// Its name on command lines and in file names.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Bold => "bold",
            Self::MovieGraphs => "moviegraphs",
            Self::Meld => "meld",
            Self::Emotic => "emotic",
            Self::LirisAccede => "liris-accede",
        }
    }

    /// Names of the classes, in the order of the release's label vectors; empty for LIRIS-ACCEDE.
    pub const fn classes(self) -> &'static [&'static str] {
        match self {
            Self::Bold => &classes::BOLD,
            Self::MovieGraphs | Self::Emotic => &classes::MOVIE_GRAPHS,
            Self::Meld => &classes::MELD,
            Self::LirisAccede => &[],
        }
    }

    /// Names of the real numbers that samples come with; empty where they have none.
    pub const fn values(self) -> &'static [&'static str] {
        match self {
            Self::Bold => &classes::BOLD_VALUES,
            Self::LirisAccede => &classes::LIRIS_VALUES,
            Self::MovieGraphs | Self::Meld | Self::Emotic => &[],
        }
    }

    /// The rule by which its boxes become masks; `letterbox` concerns those of the release's
    /// detector.
    pub const fn mask_protocol(self, letterbox: Letterbox) -> MaskProtocol {
        match self {
            Self::Bold => MaskProtocol::Bold,
            Self::MovieGraphs | Self::Meld => MaskProtocol::Captioned { letterbox },
            Self::Emotic => MaskProtocol::Emotic,
            Self::LirisAccede => MaskProtocol::LirisAccede { letterbox },
        }
    }

    /// Whether its samples are single pictures, which only the frame encoder sees.
    pub const fn is_pictures(self) -> bool {
        matches!(self, Self::Emotic)
    }

    /// Where its authors give it away.
    pub const fn home(self) -> &'static str {
        match self {
            Self::Bold => "https://cydar.ist.psu.edu/emotionchallenge/dataset.php",
            Self::MovieGraphs => "http://moviegraphs.cs.toronto.edu/",
            Self::Meld => "https://affective-meld.github.io/",
            Self::Emotic => "https://s3.sunai.uoc.edu/emotic/",
            Self::LirisAccede => "https://liris-accede.ec-lyon.fr/",
        }
    }

    /// Its folder as a tree, as the release expects it.
    pub const fn layout(self) -> &'static str {
        match self {
            Self::Bold => BOLD_LAYOUT,
            Self::MovieGraphs => MOVIE_GRAPHS_LAYOUT,
            Self::Meld => MELD_LAYOUT,
            Self::Emotic => EMOTIC_LAYOUT,
            Self::LirisAccede => LIRIS_LAYOUT,
        }
    }
}

impl fmt::Display for ProbeDataset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// The name given is none of the five.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no benchmark; use bold, moviegraphs, meld, emotic or liris-accede")]
pub struct UnknownDataset(pub String);

impl FromStr for ProbeDataset {
    type Err = UnknownDataset;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|one| one.slug().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownDataset(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_found_by_name_in_any_case() {
        for dataset in ProbeDataset::ALL {
            assert_eq!(dataset.slug().parse(), Ok(dataset));
            assert_eq!(dataset.name().parse(), Ok(dataset));
            let json = serde_json::to_string(&dataset).unwrap();
            assert_eq!(json, format!("\"{}\"", dataset.slug()));
        }
        assert!("liris".parse::<ProbeDataset>().is_err());
    }
}
