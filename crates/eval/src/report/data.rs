//! What a report is made of: plain numbers, texts and pictures, gathered by whoever ran the model.
//!
//! Everything a run may lack is an `Option` or a `Vec` that may be empty; its section is then left
//! out. Pictures are skipped by `Serialize`: the JSON form of a report holds numbers and texts.

use image::RgbImage;
use serde::Serialize;

/// Everything the report of one run shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RunReport {
    /// Heading of the page, e.g. `nano on the synthetic corpus`.
    pub title: String,
    /// A remark that must not be overlooked, shown above everything else.
    pub note: Option<String>,
    /// The device the run used and why it was chosen.
    pub device: String,
    /// Seed of the main run.
    pub seed: u64,
    /// The command that reproduces the run.
    pub command_line: String,
    /// What was trained.
    pub model: ModelSummary,
    /// How long it took.
    pub timing: Timing,
    /// Headline scores of the main run.
    pub scores: Scores,
    /// The same scores from a second seed.
    pub second_seed: Option<SecondSeed>,
    /// Accuracy of guessing, in `[0, 1]`.
    pub chance: f64,
    /// Clips in the test split; when known, scores carry a 95 % interval.
    pub test_clips: Option<u64>,
    /// Curves of the training.
    pub history: TrainingHistory,
    /// Zero-shot confusion on the test split.
    pub confusion: Option<ConfusionMatrix>,
    /// Zero-shot scores of each class, in the order to be shown.
    pub classes: Vec<ClassScores>,
    /// Where the human token looks (the paper's Fig. 5).
    pub attention: Vec<AttentionExample>,
    /// How sentiment re-weights the negatives of a batch (the paper's Table 2).
    pub reweighting: Option<Reweighting>,
    /// Example clips with the model's readings.
    pub examples: Vec<ReadingExample>,
}

/// The trained model in words and numbers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ModelSummary {
    /// Name of the preset, e.g. `nano`.
    pub preset: String,
    /// How the subject is told to the frame encoder, e.g. `SAP`.
    pub subject_encoding: String,
    /// Trainable parameters.
    pub parameters: u64,
    /// The resolved configuration as text (TOML).
    pub config: String,
}

/// Wall-clock cost of the run's stages, seconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timing {
    /// Pre-training of the main model.
    pub train_seconds: f64,
    /// Training throughput of the main model.
    pub clips_per_second: f64,
    /// Other stages in the order they ran: name and seconds.
    pub stages: Vec<Stage>,
}

/// One timed stage of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    /// What was done, e.g. `linear probe`.
    pub name: String,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// Accuracies of one trained model, each in `[0, 1]`; `None` where it was not measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Scores {
    /// Zero-shot accuracy on unseen multi-figure scenes.
    pub zero_shot_accuracy: Option<f64>,
    /// The same for the encoder without subject prompting, trained at the same budget.
    pub zero_shot_accuracy_vanilla: Option<f64>,
    /// Linear probe on frozen features.
    pub probe_accuracy: Option<f64>,
    /// Share of clips whose best unseen utterance is of the subject's emotion.
    pub unseen_utterance_accuracy: Option<f64>,
    /// Accuracy when only the faces carry the emotion.
    pub face_only: Option<f64>,
    /// Accuracy when only the postures carry the emotion.
    pub posture_only: Option<f64>,
    /// Probe accuracy with all figures erased; near chance unless the corpus leaks.
    pub figures_erased: Option<f64>,
    /// Further scores in the order to be shown.
    pub others: Vec<NamedScore>,
}

/// A score that has no field of its own.
#[derive(Clone, Debug, Serialize)]
pub struct NamedScore {
    /// Short name.
    pub name: String,
    /// One sentence saying what it measures.
    pub meaning: String,
    /// Accuracy in `[0, 1]`.
    pub value: f64,
}

/// The scores of a repetition with another seed.
#[derive(Clone, Debug, Serialize)]
pub struct SecondSeed {
    /// Seed of the repetition.
    pub seed: u64,
    /// Its scores.
    pub scores: Scores,
}

/// Curves over training steps.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TrainingHistory {
    /// Training loss in nats: the main run first, a comparison (vanilla) second.
    pub loss: Vec<Series>,
    /// Learning rate of the main run.
    pub learning_rate: Option<Series>,
    /// Accuracy on the validation split in `[0, 1]`, same order as `loss`.
    pub validation_accuracy: Vec<Series>,
}

/// A named curve; `x` and `y` have the same length, surplus values are ignored.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Series {
    /// What the curve is called beside its end.
    pub name: String,
    /// Training steps.
    pub x: Vec<f64>,
    /// Values; non-finite ones leave a gap.
    pub y: Vec<f64>,
}

/// Counts of true (row) against predicted (column) classes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConfusionMatrix {
    /// Class names, for rows and columns alike.
    pub labels: Vec<String>,
    /// `counts[truth][prediction]`.
    pub counts: Vec<Vec<u64>>,
}

/// Retrieval scores of one class, each in `[0, 1]`.
#[derive(Clone, Debug, Serialize)]
pub struct ClassScores {
    /// Class name.
    pub label: String,
    /// Share of the predictions of this class that are right.
    pub precision: f64,
    /// Share of this class's clips that are found.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Clips of this class in the test split.
    pub support: u64,
}

/// An axis-aligned box in pixels of the frame it belongs to; right and bottom are exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SubjectBox {
    /// Left edge.
    pub left: f32,
    /// Top edge.
    pub top: f32,
    /// Right edge.
    pub right: f32,
    /// Bottom edge.
    pub bottom: f32,
}

/// One frame and the human token's attention over it in several layers.
#[derive(Clone, Debug, Serialize)]
pub struct AttentionExample {
    /// What the reader should know of the clip, e.g. the utterance.
    pub caption: String,
    /// True emotion of the subject.
    pub truth: String,
    /// Emotion the model read.
    pub prediction: String,
    /// The frame as the model saw it, without normalisation.
    #[serde(skip)]
    pub frame: RgbImage,
    /// The subject, when known.
    pub subject: Option<SubjectBox>,
    /// Attention maps from the first layer shown to the last.
    pub layers: Vec<AttentionMap>,
}

/// The human token's attention to the patches of a frame in one layer, averaged over heads.
#[derive(Clone, Debug, Serialize)]
pub struct AttentionMap {
    /// Layer number counted from 1.
    pub layer: usize,
    /// Patches along one side of the frame, `g`.
    pub grid: usize,
    /// `[g, g]` weights in row-major order, non-negative.
    pub weights: Vec<f32>,
}

/// A few clips and captions of one batch with their logits before and after re-weighting.
///
/// Matrices are `[n, n]`; row `i` is the clip, column `j` the caption.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reweighting {
    /// Strength β of the re-weighting.
    pub beta: f64,
    /// Row explained in detail.
    pub anchor: usize,
    /// The `n` captions.
    pub captions: Vec<String>,
    /// The dominant sentiment of each caption.
    pub sentiments: Vec<String>,
    /// A frame of each clip; may be empty.
    #[serde(skip)]
    pub frames: Vec<RgbImage>,
    /// `w_ij`; 0 on the diagonal, infinite where the pair is removed.
    pub weights: Vec<Vec<f32>>,
    /// `scale · v_i · t_j`.
    pub logits_before: Vec<Vec<f32>>,
    /// `scale · v_i · t_j − w_ij`.
    pub logits_after: Vec<Vec<f32>>,
}

/// A clip with what the model read in it.
#[derive(Clone, Debug, Serialize)]
pub struct ReadingExample {
    /// Frames in time order.
    #[serde(skip)]
    pub frames: Vec<RgbImage>,
    /// The subject in each frame; shorter than `frames` when unknown at the end.
    pub subject: Vec<Option<SubjectBox>>,
    /// What the subject says.
    pub utterance: String,
    /// True emotion, one of the readings' labels.
    pub truth: String,
    /// One probability in `[0, 1]` a label, in the order to be shown.
    pub readings: Vec<Reading>,
}

impl ReadingExample {
    /// The label with the highest finite probability; `None` when there is none.
    pub fn prediction(&self) -> Option<&str> {
        self.readings
            .iter()
            .filter(|reading| reading.probability.is_finite())
            .max_by(|a, b| a.probability.total_cmp(&b.probability))
            .map(|reading| reading.label.as_str())
    }
}

/// The probability of one label.
#[derive(Clone, Debug, Serialize)]
pub struct Reading {
    /// Label text.
    pub label: String,
    /// Probability in `[0, 1]`.
    pub probability: f32,
}
