//! `text-classifier`: the sentiment model of our own, trained on GoEmotions.

mod average;
mod batches;
mod checkpoint;
mod config;
mod run;
mod score;
mod scores;
mod vectors;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use emotionclip_data::goemotions::{self, Utterance};
use emotionclip_data::synthetic::Split;

use crate::context::Context;
use crate::failure::bad_input;

const EXAMPLES: &str = "\
Examples:
  trainer text-classifier train --data goemotions --run runs/sentiment
  trainer text-classifier train --data goemotions --run runs/sentiment --resume
  trainer text-classifier train --print-config > sentiment.toml     # a file to edit
  trainer text-classifier evaluate --data goemotions --split test
  trainer text-classifier score --input utterances.txt --out logits.jsonl";

/// Train and use the text classifier over the seven emotions.
///
/// It stands in for RoBERTa as the frozen sentiment model of pre-training.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TextClassifierArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Train on GoEmotions from nothing; resumable
    Train(TrainArgs),
    /// Macro-F1, F1 of each emotion and confusions on one part of GoEmotions
    Evaluate(EvaluateArgs),
    /// Logits of texts, a JSON object a line
    Score(ScoreArgs),
}

const TRAIN_EXAMPLES: &str = "\
Examples:
  trainer text-classifier train --data goemotions --vectors glove.6B.100d.txt --run runs/sentiment
  trainer text-classifier train --data goemotions --run runs/seven --config sentiment.toml --seed 7
  trainer text-classifier train --data goemotions --run runs/sentiment --resume

DIR holds train.tsv, dev.tsv and labels.txt. After every epoch the classifier is tried on dev.tsv; the
best one becomes RUN/model.safetensors, its matrices in f16. tests/baselines/word_vectors.py fetches the
vectors of the built-in classifier.";

/// Options of `text-classifier train`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = TRAIN_EXAMPLES)]
#[group(skip)]
pub struct TrainArgs {
    /// Folder of the corpus: train.tsv, dev.tsv, labels.txt
    #[arg(long, value_name = "DIR", required_unless_present = "print_config")]
    data: Option<PathBuf>,
    /// Folder of the run: configuration, metrics, checkpoint, model
    #[arg(long, default_value = "runs/text-classifier", value_name = "DIR")]
    run: PathBuf,
    /// Configuration file; without it, the one of the built-in classifier
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Word vectors in the format of GloVe that the token embeddings start from
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    vectors: Option<PathBuf>,
    /// Seed of parameters, data order and dropout
    #[arg(long)]
    seed: Option<u64>,
    /// Continue the run in the folder from its checkpoint
    #[arg(long)]
    resume: bool,
    /// Print the resolved configuration and stop
    #[arg(long)]
    print_config: bool,
}

const EVALUATE_EXAMPLES: &str = "\
Examples:
  trainer text-classifier evaluate --data goemotions --split test
  trainer text-classifier evaluate --data goemotions --model runs/sentiment/model.safetensors --json

An emotion is predicted where its probability reaches a threshold that training chose on dev.tsv; macro-F1
is the plain mean of the seven F1. The confusions are of the texts with one label.";

/// Options of `text-classifier evaluate`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EVALUATE_EXAMPLES)]
#[group(skip)]
pub struct EvaluateArgs {
    /// Folder of the corpus
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Which part of it
    #[arg(long, value_enum, default_value_t = Part::Dev)]
    split: Part,
    #[command(flatten)]
    model: ClassifierArgs,
}

const SCORE_EXAMPLES: &str = "\
Examples:
  trainer text-classifier score --input utterances.txt                   # a text a line
  trainer text-classifier score --input captions.jsonl --out scored.jsonl
  trainer text-classifier score --input lines.txt --model runs/sentiment/model.safetensors

Writes {\"text\": …, \"logits\": [anger, disgust, fear, joy, neutral, sadness, surprise]}, a line for each
text. The objects of a .jsonl file must have a `text`; their other fields are kept.";

/// Options of `text-classifier score`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = SCORE_EXAMPLES)]
#[group(skip)]
pub struct ScoreArgs {
    /// File with a text a line, or a .jsonl file of objects with a `text`
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// File to write; without it, stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    model: ClassifierArgs,
}

/// The option that names a classifier.
#[derive(clap::Args, Clone, Debug)]
struct ClassifierArgs {
    /// Classifier that `train` wrote; default: the built-in one
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

/// A part of GoEmotions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Train,
    Dev,
    Test,
}

impl Part {
    const fn split(self) -> Split {
        match self {
            Self::Train => Split::Train,
            Self::Dev => Split::Validation,
            Self::Test => Split::Test,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Dev => "dev",
            Self::Test => "test",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Bad input for data, texts, a configuration or a model that can't be used; a failing device or
/// disk.
pub fn run(args: &TextClassifierArgs, context: &Context) -> anyhow::Result<()> {
    match &args.command {
        Command::Train(args) => run::run(args, context),
        Command::Evaluate(args) => score::evaluate(args, context),
        Command::Score(args) => score::score(args, context),
    }
}

/// One part of the corpus; lines that can't be read are warned about.
fn read_part(folder: &std::path::Path, split: Split) -> anyhow::Result<Vec<Utterance>> {
    let part = goemotions::read(folder, split).map_err(bad_input)?;
    if !part.skipped.is_empty() {
        tracing::warn!(
            "{}: {} lines left out: {}",
            folder.join(goemotions::file_name(split)).display(),
            part.skipped.len(),
            part.skipped.join("; ")
        );
    }
    Ok(part.utterances)
}
