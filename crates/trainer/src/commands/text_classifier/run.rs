//! `text-classifier train`: the training loop.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use emotionclip::Emotion;
use emotionclip::optim::{KeyedOptimizer, Method, Rate, WeightDecay};
use emotionclip::text_classifier::{PretrainedTextClassifier, TextClassifier};
use emotionclip::tokenizer::ClipTokenizer;
use emotionclip_data::synthetic::Split;
use emotionclip_eval::sinks::JsonlSink;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;

use super::average::Average;
use super::batches::{Encoded, epoch_order, tensors};
use super::checkpoint::{self, RunState, Trained};
use super::config::TrainConfig;
use super::score::{measure, parse, probabilities};
use super::scores::{TextScores, choose_thresholds};
use super::vectors::{self, VectorsConfig};
use super::{TrainArgs, read_part};
use crate::context::{Context, OpenDevice, write_atomically};
use crate::failure::{OrBadInput, bad_input};
use crate::inputs::files::read_file;
use crate::pretrain::interrupt_flag;
use crate::run_folder::{CONFIG, RunLock, existing_config, refuse_existing};

const METRICS: &str = "metrics.jsonl";
const CHECKPOINT: &str = "checkpoint.safetensors";
const MODEL: &str = "model.safetensors";

/// Seconds between two checkpoints within an epoch.
const CHECKPOINT_SECONDS: f64 = 60.0;

/// What `train --json` prints.
#[derive(Debug, Serialize)]
struct TrainResult {
    model: PathBuf,
    model_sha256: String,
    steps: usize,
    best_epoch: usize,
    train_seconds: f64,
    texts_per_second: f64,
    device: String,
    seed: u64,
    dev: TextScores,
}

/// Runs the command.
///
/// # Errors
/// Bad input, or a run that failed; the newest checkpoint stays.
pub fn run(args: &TrainArgs, context: &Context) -> anyhow::Result<()> {
    let mut config = if args.resume {
        TrainConfig::read(&existing_config(&args.run)?)?
    } else if let Some(path) = &args.config {
        TrainConfig::read(path)?
    } else {
        TrainConfig::default()
    };
    if let Some(seed) = args.seed {
        if args.resume && seed != config.seed {
            return Err(bad_input(format!(
                "--seed: the run in {} has seed {}; leave it out to resume",
                args.run.display(),
                config.seed
            )));
        }
        config.seed = seed;
    }
    if let Some(file) = &args.vectors {
        config.vectors = Some(VectorsConfig::new(file));
    }
    if args.print_config {
        print!("{}", config.to_toml()?);
        return Ok(());
    }
    let data = args
        .data
        .as_deref()
        .ok_or_else(|| bad_input("--data: give the folder of the corpus"))?;
    let mut run = Run::open(args, config, data, context)?;
    run.train(context)?;
    let result = run.result()?;
    let text = format!(
        "{} of epoch {}, after {} steps, {:.0} s, {:.0} texts/s\n\non dev.tsv, which chose the epoch \
         and the thresholds\n{}",
        result.model.display(),
        result.best_epoch,
        result.steps,
        result.train_seconds,
        result.texts_per_second,
        result.dev.text()
    );
    context.finish(&result, &text)
}

/// A run in its folder.
struct Run {
    folder: PathBuf,
    config: TrainConfig,
    device: OpenDevice,
    train: Encoded,
    dev: Encoded,
    class_weights: [f32; Emotion::COUNT],
    tokenizer: ClipTokenizer,
    trained: Trained,
    state: RunState,
    metrics: JsonlSink,
    _lock: RunLock,
}

impl Run {
    fn open(
        args: &TrainArgs,
        config: TrainConfig,
        data: &Path,
        context: &Context,
    ) -> anyhow::Result<Self> {
        let folder = args.run.clone();
        if !args.resume {
            refuse_existing(&folder)?;
        }
        let train = read_part(data, Split::Train)?;
        let dev = read_part(data, Split::Validation)?;
        if train.len() < config.batch_size {
            return Err(bad_input(format!(
                "{}: {} training texts are fewer than one batch ({}); lower batch_size",
                data.display(),
                train.len(),
                config.batch_size
            )));
        }
        let device = context.open_device()?;
        let autodiff = device.device.clone().autodiff();
        let model = config
            .model
            .init(config.seed, &autodiff)
            .or_bad_input("model")?;
        let mut classifier = PretrainedTextClassifier::new(model)?;
        let train = Encoded::new(&train, &classifier);
        let dev = Encoded::new(&dev, &classifier);
        // A new run leaves nothing behind if it is refused below.
        let lock = args.resume.then(|| RunLock::take(&folder)).transpose()?;
        let saved = args.resume.then(|| folder.join(CHECKPOINT));
        let saved = saved.filter(|path| path.exists());
        let found = match &config.vectors {
            Some(config) if saved.is_none() => Some(vectors::start_from(config, &mut classifier)?),
            _ => None,
        };
        let mut trained = Trained {
            average: Average::new(&classifier.model, config.average_decay),
            optimizer: optimizer(&config, &classifier.model),
            model: classifier.model,
        };
        let state = match saved {
            Some(path) => {
                let state = checkpoint::load(&path, &mut trained, &device.device)?;
                tracing::info!("resuming {} at step {}", folder.display(), state.step);
                state
            }
            None => RunState::default(),
        };
        let lock = lock.map_or_else(|| RunLock::take(&folder), Ok)?;
        write_atomically(&folder.join(CONFIG), config.to_toml()?.as_bytes())?;
        let path = folder.join(METRICS);
        let mut metrics = if state.step > 0 && path.exists() {
            JsonlSink::resume(&path, state.step as u64)?
        } else {
            JsonlSink::create(&path)?
        };
        if let Some(found) = found {
            tracing::info!("{} tokens start from word vectors", found.tokens);
            metrics.append(&json!({
                "vectors_tokens": found.tokens,
                "vectors_sha256": found.sha256,
            }))?;
        }
        Ok(Self {
            class_weights: train.class_weights(config.class_weight_power),
            tokenizer: classifier.tokenizer,
            train,
            dev,
            folder,
            config,
            device,
            trained,
            state,
            metrics,
            _lock: lock,
        })
    }

    /// Trains to the end, until the score stops rising, or until Ctrl-C, which saves and stops.
    fn train(&mut self, context: &Context) -> anyhow::Result<()> {
        let interrupted = interrupt_flag();
        let steps_per_epoch = self.train.rows.len() / self.config.batch_size;
        let total = steps_per_epoch * self.config.epochs;
        let bar = context.progress(total as u64, "training");
        bar.set_position(self.state.step as u64);
        let mut saved_at = Instant::now();
        while self.state.step < total && !self.state.stopped {
            let epoch = self.state.step / steps_per_epoch;
            let order = epoch_order(
                &self.train.rows,
                self.config.batch_size,
                self.config.seed,
                epoch,
            );
            for batch in &order[self.state.step % steps_per_epoch..] {
                self.step(batch, steps_per_epoch, total, &bar)?;
                let stop = interrupted.load(Ordering::SeqCst);
                let within = !self.state.step.is_multiple_of(steps_per_epoch);
                if within && (stop || saved_at.elapsed().as_secs_f64() > CHECKPOINT_SECONDS) {
                    self.save()?;
                    saved_at = Instant::now();
                    if stop {
                        return Err(self.interrupted(total, &bar));
                    }
                }
            }
            self.end_epoch(epoch + 1, &bar)?;
            self.save()?;
            saved_at = Instant::now();
            if interrupted.load(Ordering::SeqCst) && self.state.step < total {
                return Err(self.interrupted(total, &bar));
            }
        }
        bar.finish_and_clear();
        Ok(self.metrics.sync()?)
    }

    fn step(
        &mut self,
        batch: &[usize],
        steps_per_epoch: usize,
        total: usize,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let (config, step) = (&self.config, self.state.step);
        let autodiff = self.device.device.clone().autodiff();
        let (tokens, labels) = tensors(
            &self.train,
            batch,
            config.word_dropout,
            config.seed,
            step,
            &autodiff,
        );
        let weights = TensorData::new(self.class_weights.to_vec(), [Emotion::COUNT]);
        let weights = Tensor::from_data(weights, &autodiff);
        // Dropout of a step depends on the step alone, so a resumed run repeats it.
        self.device.device.seed(config.seed ^ ((step as u64) << 20));
        let model = self.trained.model.clone();
        let loss = config
            .model
            .objective
            .loss(model.forward(tokens), labels, weights);
        let mut gradients = loss.backward();
        let loss = f64::from(loss.inner().into_scalar::<f32>());
        if !loss.is_finite() {
            let saved = self.folder.join(CHECKPOINT);
            anyhow::bail!(
                "training diverged at step {}: loss {loss}; lower learning_rate or lengthen the \
                 warm-up{}",
                step + 1,
                if saved.exists() {
                    format!("; the last good checkpoint is {}", saved.display())
                } else {
                    String::new()
                }
            );
        }
        let factor = config
            .schedule
            .learning_rate(1.0, step, steps_per_epoch, total);
        let trained = &mut self.trained;
        trained.model = trained.optimizer.step(factor, model, &mut gradients);
        trained.average.update(&trained.model, step);
        self.state.step += 1;
        self.state.train_seconds += started.elapsed().as_secs_f64();
        self.metrics.append(&json!({
            "step": self.state.step,
            "loss": loss,
            "learning_rate": factor * self.config.learning_rate,
            "step_seconds": started.elapsed().as_secs_f64(),
        }))?;
        bar.set_position(self.state.step as u64);
        bar.set_message(format!(
            "loss {loss:.3}, best macro-F1 {:.4}",
            self.state.best_macro_f1
        ));
        Ok(())
    }

    /// Tries the averaged classifier on the validation texts and keeps it if it is the best yet.
    fn end_epoch(&mut self, epoch: usize, bar: &ProgressBar) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut averaged = PretrainedTextClassifier {
            model: self.trained.average.model.clone(),
            tokenizer: self.tokenizer.clone(),
            thresholds: [0.5; Emotion::COUNT],
        };
        let probabilities = probabilities(&averaged, &self.dev)?;
        averaged.thresholds = choose_thresholds(&self.dev.labels, &probabilities);
        let scores = TextScores::new(&self.dev.labels, &probabilities, averaged.thresholds)?;
        if scores.macro_f1 > self.state.best_macro_f1 || self.state.best_epoch == 0 {
            self.state.best_macro_f1 = scores.macro_f1;
            self.state.best_epoch = epoch;
            write_atomically(&self.folder.join(MODEL), &averaged.to_f16_bytes()?)?;
        }
        let patience = self.config.patience;
        self.state.stopped = patience > 0 && epoch - self.state.best_epoch >= patience;
        self.state.train_seconds += started.elapsed().as_secs_f64();
        self.metrics.append(&json!({
            "step": self.state.step,
            "epoch": epoch,
            "dev_macro_f1": scores.macro_f1,
            "dev_macro_average_precision": scores.macro_average_precision,
            "dev_f1": scores.f1,
            "dev_accuracy": scores.single_label.accuracy,
        }))?;
        let message = format!("epoch {epoch}: macro-F1 {:.4} on dev.tsv", scores.macro_f1);
        bar.println(message);
        Ok(())
    }

    fn save(&self) -> anyhow::Result<()> {
        checkpoint::save(&self.folder.join(CHECKPOINT), &self.state, &self.trained)
    }

    fn interrupted(&self, total: usize, bar: &ProgressBar) -> anyhow::Error {
        bar.abandon();
        anyhow::anyhow!(
            "interrupted at step {} of {total}; saved {}; continue with --resume",
            self.state.step,
            self.folder.join(CHECKPOINT).display()
        )
    }

    fn result(&self) -> anyhow::Result<TrainResult> {
        let model = self.folder.join(MODEL);
        let name = model.display().to_string();
        let best = parse(read_file(&model)?.into(), name, &self.device.device)?;
        let texts = (self.state.step * self.config.batch_size) as f64;
        Ok(TrainResult {
            model,
            model_sha256: best.sha256,
            steps: self.state.step,
            best_epoch: self.state.best_epoch,
            train_seconds: self.state.train_seconds,
            texts_per_second: texts / self.state.train_seconds.max(1e-9),
            device: self.device.name.clone(),
            seed: self.config.seed,
            dev: measure(&best.classifier, &self.dev)?,
        })
    }
}

/// AdamW; matrices decay, vectors don't.
fn optimizer(config: &TrainConfig, model: &TextClassifier) -> KeyedOptimizer {
    let method = Method::Adam {
        beta_1: 0.9,
        beta_2: 0.98,
        epsilon: 1e-8,
        decay: WeightDecay::Decoupled,
    };
    KeyedOptimizer::new(method, model, |info| {
        Some(Rate {
            learning_rate: config.learning_rate,
            weight_decay: if info.shape.len() > 1 {
                config.weight_decay
            } else {
                0.0
            },
        })
    })
}
