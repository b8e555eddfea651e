//! The training loop, for EmoCLIP and for what is put on top of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use burn::tensor::{Device, Tensor};
use emotionclip::optim::{KeyedOptimizer, Rate};
use emotionclip::parameters::Keyed;
use emotionclip_eval::sinks::JsonlSink;
use indicatif::ProgressBar;
use rand::seq::SliceRandom as _;
use serde_json::json;

use super::checkpoint::{self, RunState};
use super::clips::{Purpose, ahead, draws};
use super::recipe::Recipe;
use crate::context::Context;
use crate::failure::bad_input;

const METRICS: &str = "metrics.jsonl";
const CHECKPOINT: &str = "checkpoint.safetensors";

/// A model in training, in a folder of its own.
#[derive(Debug)]
pub struct Training<'a, M> {
    /// The model, on the autodiff device.
    pub model: M,
    /// How far it is.
    pub state: RunState,
    recipe: &'a Recipe,
    /// Its name in messages: `fold 1`.
    name: String,
    optimizer: KeyedOptimizer,
    checkpoint: PathBuf,
    metrics: JsonlSink,
}

impl<'a, M: Keyed> Training<'a, M> {
    /// Starts with `model`, or goes on from the checkpoint in the folder. `rate_factor` gives the
    /// factor on a parameter's rate by its key, or `None` for one that stays as it is.
    ///
    /// # Errors
    /// Bad input for a checkpoint that is damaged or of other data; a disk that refuses.
    pub fn open(
        folder: &Path,
        name: &str,
        model: M,
        samples: usize,
        recipe: &'a Recipe,
        device: &Device,
        rate_factor: impl Fn(&str) -> Option<f64>,
    ) -> anyhow::Result<Self> {
        let mut optimizer = KeyedOptimizer::new(recipe.method, &model, |info| {
            Some(Rate {
                learning_rate: recipe.learning_rate * rate_factor(&info.key)?,
                weight_decay: recipe.weight_decay,
            })
        });
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot create the run's folder", folder.display()))?;
        let path = folder.join(CHECKPOINT);
        let metrics = folder.join(METRICS);
        let (model, state, metrics) = if path.exists() {
            let (model, state) = checkpoint::load(&path, model, &mut optimizer, device)?;
            if state.samples != samples {
                return Err(bad_input(format!(
                    "{}: trained on {} clips, and now there are {samples}; start another --run",
                    path.display(),
                    state.samples
                )));
            }
            tracing::info!("{name}: resuming at step {}", state.step);
            let metrics = JsonlSink::resume(metrics, state.step as u64)?;
            (model, state, metrics)
        } else {
            let state = RunState {
                samples,
                ..RunState::default()
            };
            (model, state, JsonlSink::create(metrics)?)
        };
        Ok(Self {
            model,
            state,
            recipe,
            name: name.to_owned(),
            optimizer,
            checkpoint: path,
            metrics,
        })
    }

    /// Trains to the last epoch, or until Ctrl-C, which saves and stops.
    ///
    /// `batch` reads the samples at the given indices for an epoch; `loss` is what is descended.
    ///
    /// # Errors
    /// Bad input for a clip that can't be read; a loss that is not finite; an interruption; a disk
    /// that refuses.
    pub fn train<B: Send>(
        &mut self,
        context: &Context,
        interrupted: &AtomicBool,
        batch: impl Fn(usize, &[usize]) -> anyhow::Result<B> + Sync,
        loss: impl Fn(&M, B) -> Tensor<1>,
    ) -> anyhow::Result<()> {
        let Recipe {
            batch_size,
            epochs,
            seed,
            ..
        } = *self.recipe;
        let samples = self.state.samples;
        let steps_per_epoch = samples / batch_size;
        let total = steps_per_epoch * epochs;
        let bar = context.progress(total as u64, &self.name);
        bar.set_position(self.state.step as u64);
        let mut shuffled = None;
        let batch = &batch;
        let make = |step: usize| {
            let epoch = step / steps_per_epoch;
            if shuffled.as_ref().is_none_or(|(of, _)| *of != epoch) {
                let mut order: Vec<usize> = (0..samples).collect();
                order.shuffle(&mut draws(seed, Purpose::Order { epoch }));
                shuffled = Some((epoch, order));
            }
            let first = step % steps_per_epoch * batch_size;
            let order = shuffled.as_ref().map(|(_, order)| order.as_slice());
            batch(epoch, &order.unwrap_or_default()[first..first + batch_size])
        };
        ahead(self.state.step..total, make, |batch| {
            self.step(batch, &loss, steps_per_epoch, &bar)?;
            let stop = interrupted.load(Ordering::SeqCst) && self.state.step < total;
            if stop || self.state.step.is_multiple_of(steps_per_epoch) {
                self.save()?;
            }
            if stop {
                bar.abandon();
                anyhow::bail!(
                    "{}: interrupted at step {} of {total}; saved {}; continue with --resume",
                    self.name,
                    self.state.step,
                    self.checkpoint.display()
                );
            }
            Ok(())
        })?;
        bar.finish_and_clear();
        Ok(self.metrics.sync()?)
    }

    fn step<B>(
        &mut self,
        batch: B,
        loss: impl Fn(&M, B) -> Tensor<1>,
        steps_per_epoch: usize,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let epoch = self.state.step / steps_per_epoch;
        let factor = self.recipe.schedule.learning_rate(1.0, epoch);
        let loss = loss(&self.model, batch);
        let mut gradients = loss.backward();
        let value = f64::from(loss.inner().into_scalar::<f32>());
        if !value.is_finite() {
            bar.abandon();
            anyhow::bail!(
                "{}: training diverged at step {}: loss {value}; lower --learning-rate{}",
                self.name,
                self.state.step + 1,
                if self.checkpoint.exists() {
                    format!(
                        "; the last good checkpoint is {}",
                        self.checkpoint.display()
                    )
                } else {
                    String::new()
                }
            );
        }
        let model = self.model.clone();
        self.model = self.optimizer.step(factor, model, &mut gradients);
        self.state.step += 1;
        self.state.loss = value;
        let seconds = started.elapsed().as_secs_f64();
        self.state.train_seconds += seconds;
        self.metrics.append(&json!({
            "step": self.state.step,
            "epoch": epoch + 1,
            "loss": value,
            "learning_rate": self.recipe.learning_rate * factor,
            "step_seconds": seconds,
        }))?;
        bar.set_position(self.state.step as u64);
        bar.set_message(format!("epoch {}, loss {value:.3}", epoch + 1));
        Ok(())
    }

    fn save(&self) -> anyhow::Result<()> {
        checkpoint::save(&self.checkpoint, &self.state, &self.model, &self.optimizer)
    }
}
