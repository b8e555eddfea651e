//! The report's words: what was done, what must not be overlooked, and what the tables ask.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use emotionclip::EmotionClipConfig;
use emotionclip::config::{PatchStem, Preset, VisionConfig};
use emotionclip_data::synthetic::{FigureCount, Split};
use emotionclip_eval::folds::MeanDeviation;
use emotionclip_eval::report::{AblationRow, AblationRun, AblationTable, PretrainingNote};

use super::measure::Bench;
use super::options::CorpusKind;
use super::plan::TablePlan;
use super::recipe::{self, Groundwork, Level};
use super::report::mean;
use super::sweep::{Results, Sweep, rough_duration};
use super::variants::Table;
use crate::pretrain::Source;

/// What vanilla must be above chance for its comparison to say something.
const LEAST_MARGIN: f64 = 0.1;

/// Descriptions shown.
const EXAMPLES: u64 = 5;

/// The paper's whole method, from its Tables on downstream data. They measure other tasks, so they
/// can stand beside our figures but not be compared with them.
pub const PUBLISHED_FULL: &str =
    "BoLD 22.51 mAP; EMOTIC 32.91 mAP; MELD 48.28 accuracy; MovieGraphs 32.35 top-1";

pub const PUBLISHED_NOTE: &str = "Paper: linear probes of the published model on its own \
    downstream data, which are other tasks. Its figures for the other variants are not at hand, so \
    none stand here.";

/// The preset whose widths and depths the recipe's model has.
fn preset(sweep: &Sweep) -> Option<Preset> {
    let own = &sweep.recipe.model;
    Preset::ALL.into_iter().find(|preset| {
        let mut config: EmotionClipConfig = preset.config();
        config.vision = VisionConfig {
            subject: own.vision.subject,
            image_size: own.vision.image_size,
            patch_size: own.vision.patch_size,
            stem: own.vision.stem.clone(),
            ..config.vision
        };
        config == *own
    })
}

pub fn model_name(sweep: &Sweep) -> &'static str {
    preset(sweep).map_or("a model of its own", |preset| preset.name())
}

/// The model's name, and what of its frame encoder is not the preset's.
fn model(sweep: &Sweep) -> String {
    let mut text = model_name(sweep).to_owned();
    let Some(preset) = preset(sweep) else {
        return text;
    };
    let (of_preset, own) = (preset.config().vision, &sweep.recipe.model.vision);
    let sizes = |vision: &VisionConfig| (vision.image_size, vision.patch_size);
    if sizes(own) != sizes(&of_preset) {
        let (frame, patch) = sizes(own);
        let _ = write!(text, ", frames of {frame} pixels, patches of {patch}");
    }
    if own.stem != of_preset.stem {
        text += match own.stem {
            PatchStem::Linear => ", no stem",
            PatchStem::Convolution { .. } => ", convolutional stem",
        };
    }
    text
}

pub fn warnings(
    sweep: &Sweep,
    results: &Results,
    rows: &[AblationRow],
    chance: f64,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let (finished, planned) = (results.runs.len(), sweep.planned());
    if finished < planned {
        warnings.push(format!(
            "Unfinished: {finished} of {planned} runs. The same command goes on."
        ));
    }
    if sweep.seeds.len() < 3 {
        warnings.push("Fewer than three seeds: deviations and intervals say little.".to_owned());
    }
    let vanilla = rows.iter().find(|row| row.slug == "vanilla");
    let above = |measure: fn(&AblationRun) -> f64| {
        let measured = vanilla.and_then(|row| mean(row, measure));
        measured.map(|measured| measured.mean - chance)
    };
    if let (Some(zero_shot), Some(probe)) = (
        above(|run| run.scores.zero_shot),
        above(|run| run.scores.probe),
    ) && zero_shot.min(probe) < LEAST_MARGIN
    {
        warnings.push(format!(
            "Vanilla is {:.1} points above chance by the label texts and {:.1} by the linear probe, which \
             is the paper’s measure. Below {:.0} a comparison says little; a larger --budget gives more.",
            100.0 * zero_shot,
            100.0 * probe,
            100.0 * LEAST_MARGIN
        ));
    }
    warnings
}

/// Steps of a variant, its own and shared ones, and of learning from descriptions.
fn budget(sweep: &Sweep, seed: u64) -> String {
    let described = sweep.groundwork(Groundwork::Descriptions, seed).config;
    let variants = 0..sweep.plan.variants.len();
    // Frozen encoders skip stages that would teach nothing.
    let longest = variants.map(|variant| sweep.steps(variant, seed));
    let [shared, own] = longest
        .max_by_key(|steps| steps.iter().sum::<usize>())
        .unwrap_or_default();
    let mut budget = format!(
        "{} steps a variant after {} of pretraining a seed",
        shared + own,
        described.total_steps()
    );
    if shared > 0 {
        let _ = write!(
            budget,
            "; {shared} of them shared with variants that agree so far"
        );
    }
    budget
}

pub fn facts(
    sweep: &Sweep,
    results: &Results,
    bench: &Bench,
    chance: f64,
    seconds: f64,
) -> Vec<(String, String)> {
    let seed = sweep.seeds.first().copied().unwrap_or_default();
    let seeds: Vec<String> = sweep.seeds.iter().map(u64::to_string).collect();
    let budget = budget(sweep, seed);
    let devices: BTreeSet<&str> = results
        .runs
        .iter()
        .map(|run| run.trained.device.as_str())
        .collect();
    let devices: Vec<&str> = devices.into_iter().collect();
    let split = match sweep.split {
        Split::Train => "training",
        Split::Validation => "validation",
        Split::Test => "test",
    };
    let fact = |name: &str, value: String| (name.to_owned(), value);
    vec![
        fact("Model", model(sweep)),
        fact("Budget", budget),
        fact("Seeds", seeds.join(", ")),
        fact(
            "Measured on",
            format!(
                "{} {split} scenes with 1 to {} people",
                sweep.counts[0],
                bench.most_people()
            ),
        ),
        fact("Chance", format!("{:.1}%", 100.0 * chance)),
        fact(
            "All faces read, subject unknown",
            format!("{:.1}%", 100.0 * bench.subject_blind()),
        ),
        fact("Device", devices.join(", ")),
        fact("Time", rough_duration(seconds)),
    ]
}

pub fn described(sweep: &Sweep, table: &TablePlan) -> AblationTable {
    let slug = |place: usize| sweep.plan.variants[place].slug.clone();
    let (id, title, lead) = match table.table {
        Table::Subject => (
            "subject",
            "Who the subject is (Table 1)",
            "How the frame encoder is told whose emotion is asked for: not at all, by attention masking \
             (SAAM), by a prompt token (SAP), and SAP with the sentiment-guided loss (SNCE). All but the \
             last are trained with plain InfoNCE between pictures and texts.",
        ),
        Table::Towers => (
            "encoders",
            "What is pretrained, and what learns (Table 3)",
            "The whole method with each encoder trained from its pretrained weights, frozen at them, or \
             trained from random ones; and with frames averaged instead of read in order.",
        ),
        Table::Beta => (
            "beta",
            "Strength of the sentiment guidance (Fig. 6)",
            "The whole method with other values of β. The larger β is, the less a batch’s texts of a \
             similar sentiment count as negatives.",
        ),
    };
    AblationTable {
        id: id.to_owned(),
        title: title.to_owned(),
        lead: lead.to_owned(),
        base: slug(table.base),
        rows: table.rows.iter().map(|place| slug(*place)).collect(),
        is_sweep: table.table == Table::Beta,
    }
}

pub fn pretraining(
    sweep: &Sweep,
    kind: CorpusKind,
    results: &Results,
    examples: &[String],
) -> PretrainingNote {
    let seed = sweep.seeds.first().copied().unwrap_or_default();
    let config = sweep.groundwork(Groundwork::Descriptions, seed).config;
    let apart = match kind {
        CorpusKind::Synthetic => "The scenes are of another seed than the variants’.",
        CorpusKind::Faces => {
            "The scenes are of another seed than the variants’ and show other people: one of four \
             training faces is set aside for them, and the variants are trained on the rest."
        }
    };
    let mut text = vec![
        format!(
            "In the paper, variants start from CLIP. Here each seed first trains a model from random \
             weights, for {} steps, to match scenes with neutral descriptions of them: how many people \
             stand where and how large, before what, in what light, and how they move. They name no \
             emotion, no expression and no subject, and the model has no way to be told a subject. {apart}",
            config.total_steps()
        ),
        "All variants of a seed share that model. An encoder that is trained starts from it, a frozen \
         one stays as it is there, a random one takes nothing from it. What a variant has beyond it \
         (the human token and the masks’ weights of SAAM) starts fresh."
            .to_owned(),
    ];
    let found: Vec<f64> = results
        .groundwork
        .iter()
        .filter(|(_, work, _)| *work == Groundwork::Descriptions)
        .map(|(_, _, trained)| trained.validation_accuracy)
        .collect();
    if let Some(found) = MeanDeviation::of(&found) {
        text.push(format!(
            "Of validation scenes {:.0}% find their own description among fifty (guessing: 2%).",
            100.0 * found.mean
        ));
    }
    text.extend(shared_stages(sweep));
    PretrainingNote {
        text,
        examples: examples.to_vec(),
    }
}

/// What variants share after the descriptions, if they share anything.
fn shared_stages(sweep: &Sweep) -> Option<String> {
    let recipe = recipe::scaled(sweep.recipe.clone(), sweep.factor);
    let levels = [
        (
            Level::Encoders,
            "those with the same frame and text encoders (pretrained, frozen or random), with no way yet to be told a \
             subject",
        ),
        (
            Level::Frames,
            "those of them that also tell the subject alike and have the same β",
        ),
    ];
    let stages = |level| -> String {
        let stages = recipe::stages_of(&recipe, level).into_iter();
        let named = stages.map(|stage| format!("“{}” ({} steps)", stage.name, stage.steps));
        named.collect::<Vec<_>>().join(", ")
    };
    let shared: Vec<String> = levels
        .into_iter()
        .map(|(level, by)| (stages(level), by))
        .filter(|(stages, _)| !stages.is_empty())
        .map(|(stages, by)| format!("{stages} by {by}"))
        .collect();
    if shared.is_empty() {
        return None;
    }
    Some(format!(
        "Then every variant goes through the recipe’s stages. What nothing of a variant’s can change is trained once a seed \
         for all that agree in it: {}. The last stage is each variant’s own: {}. A stage that would teach a variant’s encoders \
         nothing is left out for it.",
        shared.join("; "),
        stages(Level::Whole)
    ))
}

/// Some of the descriptions that the first seed learns from.
///
/// # Errors
///
/// Bad input if the corpus can't be used.
pub fn examples(sweep: &Sweep) -> anyhow::Result<Vec<String>> {
    let seed = sweep.seeds.first().copied().unwrap_or_default();
    let config = sweep.groundwork(Groundwork::Descriptions, seed).config;
    let corpus = Source::open(&config, Split::Train)?.stream(FigureCount::Mixed)?;
    Ok((0..EXAMPLES)
        .map(|index| corpus.description(index, true))
        .collect())
}
