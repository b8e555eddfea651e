//! The variants that the paper's tables compare, each stated as what it changes.

use std::str::FromStr;

use emotionclip::config::{SubjectEncoding, TemporalFusion};

use super::plan::PlanOptions;
use crate::pretrain::{RunConfig, TowerMode, Towers};

/// Strengths of the sentiment guidance in Fig. 6 besides 0 and the recipe's own.
pub const BETAS: [f64; 5] = [0.1, 0.3, 3.0, 10.0, 30.0];

/// A table or figure of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Table 1: how the subject enters, and the sentiment-guided loss.
    Subject,
    /// Table 3: encoders trained, frozen or random, and how frames are fused.
    Towers,
    /// Fig. 6: the strength of the sentiment guidance.
    Beta,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Subject, Self::Towers, Self::Beta];

    /// The paper's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subject => "Table 1",
            Self::Towers => "Table 3",
            Self::Beta => "Fig. 6",
        }
    }

    /// Its number on the command line.
    const fn number(self) -> u8 {
        match self {
            Self::Subject => 1,
            Self::Towers => 3,
            Self::Beta => 6,
        }
    }
}

impl FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|table| table.number().to_string() == text);
        found.ok_or_else(|| format!("'{text}' is no table; use 1, 3 or 6 (for Fig. 6)"))
    }
}

/// One variant of the model or its training.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Name of its folder.
    pub slug: String,
    /// Name for people.
    pub name: String,
    /// What it is, in a sentence.
    pub meaning: String,
    /// How the subject enters.
    pub subject: SubjectEncoding,
    /// Strength of the sentiment guidance.
    pub beta: f64,
    /// What happens to each encoder.
    pub towers: Towers,
    /// How frames are fused.
    pub fusion: TemporalFusion,
}

impl Variant {
    /// Whether it starts from pretrained weights in any encoder.
    pub fn needs_pretraining(&self) -> bool {
        let Towers {
            frame,
            text,
            temporal,
        } = self.towers;
        // Nothing of the pretrained temporal encoder fits another fusion.
        let temporal = match self.fusion {
            TemporalFusion::Transformer => temporal,
            TemporalFusion::Mean | TemporalFusion::Conv1d => TowerMode::Random,
        };
        [frame, text, temporal]
            .iter()
            .any(|mode| *mode != TowerMode::Random)
    }

    /// Applies what it changes.
    pub fn apply(&self, config: &mut RunConfig) {
        config.model.vision.subject = self.subject;
        config.model.temporal.fusion = self.fusion;
        config.loss.beta = self.beta;
        config.towers = self.towers;
    }
}

/// Folder of the whole method, the paper's last row of Table 1.
pub const FULL: &str = "sap-snce";

fn full(options: &PlanOptions) -> Variant {
    Variant {
        slug: FULL.to_owned(),
        name: "SAP + SNCE".to_owned(),
        meaning: format!(
            "The whole method: prompting, and the sentiment-guided loss with β = {}.",
            options.beta
        ),
        subject: SubjectEncoding::Sap,
        beta: options.beta,
        towers: Towers::default(),
        fusion: TemporalFusion::Transformer,
    }
}

/// The whole method without the sentiment guidance.
fn without_guidance(
    options: &PlanOptions,
    slug: &str,
    name: &str,
    meaning: &str,
    subject: SubjectEncoding,
) -> Variant {
    Variant {
        slug: slug.to_owned(),
        name: name.to_owned(),
        meaning: meaning.to_owned(),
        subject,
        beta: 0.0,
        ..full(options)
    }
}

fn sap(options: &PlanOptions) -> Variant {
    without_guidance(
        options,
        "sap",
        "SAP",
        "Subject-aware prompting: a token that knows where the subject is. β = 0.",
        SubjectEncoding::Sap,
    )
}

/// The rows of Table 1.
pub fn subject_rows(options: &PlanOptions) -> Vec<Variant> {
    let vanilla = without_guidance(
        options,
        "vanilla",
        "Vanilla",
        "A plain frame encoder: nothing says who the subject is. β = 0.",
        SubjectEncoding::Vanilla,
    );
    let saam = options.saam_layers.iter().map(|layers| {
        let plural = if *layers == 1 { "" } else { "s" };
        without_guidance(
            options,
            &format!("saam-{layers}"),
            &format!("SAAM, {layers} layer{plural}"),
            "Subject-aware attention masking in the first layers. β = 0.",
            SubjectEncoding::Saam { layers: *layers },
        )
    });
    std::iter::once(vanilla)
        .chain(saam)
        .chain([sap(options), full(options)])
        .collect()
}

/// The rows of Table 3.
pub fn tower_rows(options: &PlanOptions) -> Vec<Variant> {
    use TowerMode::{Frozen, Random, Trained};
    let towers = |frame, text, temporal| Towers {
        frame,
        text,
        temporal,
    };
    let row = |slug: &str, name: &str, meaning: &str, towers| Variant {
        slug: slug.to_owned(),
        name: name.to_owned(),
        meaning: meaning.to_owned(),
        towers,
        ..full(options)
    };
    vec![
        full(options),
        row(
            "frame-frozen",
            "Frame encoder frozen",
            "It stays as it was pretrained.",
            towers(Frozen, Trained, Trained),
        ),
        row(
            "text-frozen",
            "Text encoder frozen",
            "It stays as it was pretrained.",
            towers(Trained, Frozen, Trained),
        ),
        row(
            "frame-text-frozen",
            "Frame and text encoders frozen",
            "Only the temporal encoder learns.",
            towers(Frozen, Frozen, Trained),
        ),
        row(
            "temporal-frozen",
            "Temporal encoder frozen",
            "It stays as it was pretrained.",
            towers(Trained, Trained, Frozen),
        ),
        row(
            "frame-random",
            "Frame encoder random",
            "It starts from random weights, and is trained.",
            towers(Random, Trained, Trained),
        ),
        row(
            "text-random",
            "Text encoder random",
            "It starts from random weights, and is trained.",
            towers(Trained, Random, Trained),
        ),
        row(
            "temporal-random",
            "Temporal encoder random",
            "It starts from random weights, and is trained.",
            towers(Trained, Trained, Random),
        ),
        row(
            "all-random",
            "All encoders random",
            "Nothing is pretrained.",
            towers(Random, Random, Random),
        ),
        Variant {
            fusion: TemporalFusion::Mean,
            ..row(
                "temporal-mean",
                "Mean over frames",
                "No temporal encoder: frame features are averaged.",
                Towers::default(),
            )
        },
    ]
}

/// The rows of Fig. 6.
pub fn beta_rows(options: &PlanOptions) -> Vec<Variant> {
    let mut betas = options.betas.clone();
    betas.retain(|beta| *beta > 0.0 && (*beta - options.beta).abs() > f64::EPSILON);
    betas.sort_by(f64::total_cmp);
    betas.dedup();
    let mut rows: Vec<Variant> = betas
        .into_iter()
        .map(|beta| Variant {
            slug: format!("beta-{beta}"),
            name: format!("SAP + SNCE, β = {beta}"),
            meaning: "The whole method with another strength of the guidance.".to_owned(),
            beta,
            ..full(options)
        })
        .chain([sap(options), full(options)])
        .collect();
    rows.sort_by(|a, b| a.beta.total_cmp(&b.beta));
    rows
}
