//! The training loop.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;
use bytes::Bytes;
use emotionclip::optim::{AdamW, GroupRates};
use emotionclip::parameters::{Completeness, load_state_dict, to_state_dict};
use emotionclip::pretrained::default_preprocess;
use emotionclip::{EmotionClip, Pretrained};
use emotionclip_data::synthetic::Split;
use emotionclip_eval::sinks::{JsonlSink, TensorBoardSink};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::batch::{BatchMaker, Prefetcher, loader_workers};
use super::checkpoint::{CheckpointFolder, RunState, load};
use super::config::{RunConfig, Stage, StageInput, StageTexts, TowerMode, Towers};
use super::corpus::{Source, corpus_card, corpus_labels};
use super::fixed_texts::FixedTexts;
use super::step::{Carried, diagnose, scheduled_rates, train_step};
use super::text_start::{self, TextStart};
use super::validation::{accuracy, classify, classify_frames, described};
use crate::context::{Context, OpenDevice, write_atomically};
use crate::failure::{OrBadInput, bad_input};
use crate::run_folder::{CONFIG, RunLock, occupied, refuse_existing};

const METRICS: &str = "metrics.jsonl";
/// The trained model, in the run's folder.
pub const MODEL: &str = "model.safetensors";
/// A loss this many times that of guessing is no training any more.
const EXPLODED: f64 = 8.0;

/// Series for the report.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Step, loss and the frame encoder's learning rate.
    pub losses: Vec<(usize, f64, f64)>,
    /// Step and validation accuracy.
    pub validation: Vec<(usize, f64)>,
}

impl History {
    /// What a run's metrics tell.
    fn read(folder: &Path) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Record {
            step: usize,
            loss: Option<f64>,
            learning_rate: Option<f64>,
            validation_accuracy: Option<f64>,
        }
        let path = folder.join(METRICS);
        let metrics = std::fs::read_to_string(&path).or_bad_input(path.display())?;
        let mut history = Self::default();
        for (number, line) in (1..).zip(metrics.lines()) {
            let record: Record = serde_json::from_str(line)
                .or_bad_input(format!("{}, line {number}", path.display()))?;
            if let (Some(loss), Some(rate)) = (record.loss, record.learning_rate) {
                history.losses.push((record.step, loss, rate));
            }
            if let Some(accuracy) = record.validation_accuracy {
                history.validation.push((record.step, accuracy));
            }
        }
        Ok(history)
    }
}

/// A finished run; as JSON what `pretrain --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The trained model, on the plain device.
    #[serde(skip)]
    pub pretrained: Pretrained,
    /// Its file.
    #[serde(rename = "model")]
    pub model_path: PathBuf,
    /// SHA-256 of the file.
    pub model_sha256: String,
    /// Steps done.
    pub steps: usize,
    /// Loss of the last step.
    pub final_loss: f64,
    /// Zero-shot accuracy on the validation scenes with label texts; after a last stage of
    /// descriptions, the share of scenes that find theirs among fifty.
    pub validation_accuracy: f64,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Pairs a second.
    pub clips_per_second: f64,
    /// Share of the time since the run was started or resumed in which a step waited for its data.
    pub data_wait_share: f64,
    /// Name of the device.
    pub device: String,
    /// Seed.
    pub seed: u64,
    /// What was measured on the way.
    #[serde(skip)]
    pub history: History,
}

/// A run in its folder.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    config: RunConfig,
    device: OpenDevice,
    pretrained: Pretrained,
    optimizer: AdamW,
    fixed_texts: FixedTexts,
    state: RunState,
    checkpoints: CheckpointFolder,
    resumed: bool,
    _lock: RunLock,
}

impl Run {
    /// Opens a new run, or with `resume` the one in the folder at its newest checkpoint.
    ///
    /// # Errors
    ///
    /// Bad input if a new run would overwrite one, or there is nothing to resume;
    /// [`InUse`](crate::run_folder::InUse) while another process works on it.
    pub fn open(
        folder: &Path,
        config: RunConfig,
        resume: bool,
        context: &Context,
    ) -> anyhow::Result<Self> {
        let checkpoints = CheckpointFolder::new(folder, config.checkpoints.keep);
        // A new run leaves nothing behind if its settings are refused below.
        let lock = folder.is_dir().then(|| RunLock::take(folder)).transpose()?;
        let refuse_another = || -> anyhow::Result<()> {
            if resume {
                return Ok(());
            }
            refuse_existing(folder)?;
            // Checkpoints whose configuration was deleted are somebody's still.
            match checkpoints.latest()? {
                Some(_) => Err(occupied(folder)),
                None => Ok(()),
            }
        };
        refuse_another()?;
        let latest = checkpoints.latest()?;
        let device = context.open_device()?;
        let autodiff = device.device.clone().autodiff();
        let (pretrained, state, moments) = match latest {
            Some(path) => {
                let restored = load(&path, &autodiff)?;
                if restored.pretrained.model.config() != &config.model {
                    return Err(bad_input(format!(
                        "{}: the checkpoint is of another architecture than {CONFIG} and the flags",
                        path.display()
                    )));
                }
                tracing::info!(
                    "resuming {} at step {}",
                    folder.display(),
                    restored.state.step
                );
                (restored.pretrained, restored.state, Some(restored.moments))
            }
            None => {
                let state = RunState {
                    step: 0,
                    train_seconds: 0.0,
                    clips: 0,
                };
                (fresh(&config, &autodiff)?, state, None)
            }
        };
        let mut pretrained = pretrained;
        check_parts(&config.stages, &pretrained.model)?;
        pretrained.model = freeze(pretrained.model, &config);
        let mut optimizer = AdamW::new(config.optimizer, &pretrained.model);
        if let Some(moments) = moments {
            optimizer.load_state(&pretrained.model, &moments, &device.device)?;
        }
        let lock = match lock {
            Some(lock) => lock,
            None => {
                let lock = RunLock::take(folder)?;
                // Another process may have begun one since, and ended.
                refuse_another()?;
                lock
            }
        };
        write_atomically(&folder.join(CONFIG), config.to_toml()?.as_bytes())?;
        Ok(Self {
            folder: folder.to_owned(),
            config,
            device,
            pretrained,
            optimizer,
            fixed_texts: FixedTexts::default(),
            state,
            checkpoints,
            resumed: resume,
            _lock: lock,
        })
    }

    /// Seconds of training so far.
    pub fn train_seconds(&self) -> f64 {
        self.state.train_seconds
    }

    /// Trains to the end, or until Ctrl-C, which saves and stops.
    ///
    /// # Errors
    ///
    /// If training diverges, the disk refuses a checkpoint, or the run was interrupted.
    pub fn train(&mut self, context: &Context) -> anyhow::Result<Outcome> {
        let interrupted = interrupt_flag();
        let mut log = MetricLog::open(&self.folder, self.resumed.then_some(self.state.step))?;
        let validation = Source::open(&self.config, Split::Validation)?;
        let total = self.config.total_steps();
        let maker = BatchMaker::new(
            &self.config,
            self.pretrained.tokenizer.clone(),
            self.pretrained.preprocess.clone(),
        )?;
        let mut batches = Prefetcher::new(maker.clone(), self.state.step..total, loader_workers())?;
        // Cut at the checkpoint when the log was opened.
        let mut history = History::read(&self.folder)?;
        let mut recent = Vec::new();
        let mut saved_at = Instant::now();
        let (mut waited, mut stepped) = (Duration::ZERO, Duration::ZERO);
        let bar = context.progress(total as u64, "training");
        bar.set_position(self.state.step as u64);
        let clips = self.config.stages.clone();
        while self.state.step < total {
            let (stage, step_in_stage) = locate(&clips, self.state.step);
            if step_in_stage == 0 && !stage.anew.is_empty() {
                self.begin_anew(stage)?;
            }
            let step_started = Instant::now();
            let batch = batches.next_batch()?;
            let data_wait = step_started.elapsed();
            waited += data_wait;
            let rates = scheduled_rates(&self.config, stage, step_in_stage);
            let pairs = batch.tokens.len() as u64;
            let loss = self.step(stage, &rates, batch)?;
            recent.push(loss);
            if recent.len() > 5 {
                recent.remove(0);
            }
            self.stop_if_diverged(stage, &rates, loss, &recent)?;
            self.state.step += 1;
            self.state.clips += pairs;
            self.state.train_seconds += step_started.elapsed().as_secs_f64();
            let rate = rates.frame_rest.learning_rate;
            let scale = self.logit_scale();
            history.losses.push((self.state.step, loss, rate));
            let elapsed = step_started.elapsed();
            stepped += elapsed;
            log.step(self.state.step, loss, rate, scale, data_wait, elapsed)?;
            show(&bar, stage, loss, &self.state, share(waited, stepped));
            let every = self.config.validate_every_steps;
            if every > 0 && self.state.step.is_multiple_of(every) && self.state.step < total {
                let accuracy = self.validate(&validation, stage)?;
                history.validation.push((self.state.step, accuracy));
                log.validation(self.state.step, accuracy)?;
                bar.println(format!(
                    "step {}: validation accuracy {accuracy:.3}",
                    self.state.step
                ));
            }
            let stop = interrupted.load(Ordering::SeqCst);
            if stop || self.checkpoint_due(saved_at) {
                let path = self
                    .checkpoints
                    .save(&self.state, &self.pretrained, &self.optimizer)?;
                saved_at = Instant::now();
                if stop {
                    bar.abandon();
                    anyhow::bail!(
                        "interrupted at step {} of {total}; saved {}; continue with --resume",
                        self.state.step,
                        path.display()
                    );
                }
            }
        }
        bar.finish_and_clear();
        for skipped in maker.skipped() {
            tracing::warn!("left out clip {skipped}");
        }
        let (last, _) = locate(&clips, total);
        let validation_accuracy = match history.validation.last() {
            // A finished run, resumed.
            Some((step, accuracy)) if *step == self.state.step => *accuracy,
            _ => {
                let accuracy = self.validate(&validation, last)?;
                history.validation.push((self.state.step, accuracy));
                log.validation(self.state.step, accuracy)?;
                accuracy
            }
        };
        log.finish()?;
        self.checkpoints
            .save(&self.state, &self.pretrained, &self.optimizer)?;
        self.outcome(history, validation_accuracy, share(waited, stepped))
    }

    /// Gives what the stage wants anew the parameters that a run of this seed begins with. A
    /// checkpoint between two stages is from before it, so a resumed run does it again.
    fn begin_anew(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let autodiff = self.device.device.clone().autodiff();
        let config = &self.config;
        let first = to_state_dict(&config.model.init_seeded(config.seed, &autodiff)?)?;
        let mut tensors = to_state_dict(&self.pretrained.model)?;
        for (key, tensor) in first {
            let is_anew = stage.anew.iter().any(|part| key.contains(part.as_str()));
            if is_anew && tower_of(&key, config.towers) != TowerMode::Frozen {
                tensors.insert(key, tensor);
            }
        }
        let model = load_state_dict(self.pretrained.model.clone(), &tensors, Completeness::Whole)?;
        self.pretrained.model = freeze(model, config);
        self.optimizer = AdamW::new(config.optimizer, &self.pretrained.model);
        self.fixed_texts = FixedTexts::default();
        Ok(())
    }

    fn step(
        &mut self,
        stage: &Stage,
        rates: &GroupRates,
        batch: super::batch::Batch,
    ) -> anyhow::Result<f64> {
        let autodiff = self.device.device.clone().autodiff();
        // Dropout of a step depends on the step alone, so a resumed run repeats it.
        self.device
            .device
            .seed(self.config.seed ^ ((self.state.step as u64) << 20));
        let model = self.pretrained.model.clone();
        let (model, loss) = train_step(
            &self.config,
            stage,
            rates,
            model,
            Carried {
                optimizer: &mut self.optimizer,
                fixed: &mut self.fixed_texts,
            },
            &batch,
            &autodiff,
        );
        self.pretrained.model = model;
        Ok(loss)
    }

    fn stop_if_diverged(
        &self,
        stage: &Stage,
        rates: &GroupRates,
        loss: f64,
        recent: &[f64],
    ) -> anyhow::Result<()> {
        let guessing = (stage.batch_size.max(2) as f64).ln();
        let settled = self.state.step > 50;
        if loss.is_finite() && !(settled && loss > EXPLODED * guessing) {
            return Ok(());
        }
        let diagnosis = diagnose(
            &self.pretrained.model,
            rates,
            self.state.step + 1,
            loss,
            recent,
        );
        let good = match self.checkpoints.latest()? {
            Some(path) => format!("the last good checkpoint is {}", path.display()),
            None => "no checkpoint was written yet".to_owned(),
        };
        anyhow::bail!("{diagnosis}; {good}")
    }

    fn logit_scale(&self) -> f64 {
        f64::from(
            self.pretrained
                .model
                .logit_scale
                .val()
                .inner()
                .into_scalar::<f32>(),
        )
    }

    fn checkpoint_due(&self, saved_at: Instant) -> bool {
        let policy = self.config.checkpoints;
        let by_steps = policy.every_steps > 0 && self.state.step.is_multiple_of(policy.every_steps);
        let by_time = policy.every_minutes > 0.0
            && saved_at.elapsed().as_secs_f64() > policy.every_minutes * 60.0;
        (by_steps || by_time) && self.state.step < self.config.total_steps()
    }

    /// The model without autodiff or dropout.
    fn inference(&self) -> Pretrained {
        Pretrained {
            model: self.pretrained.model.valid(),
            ..self.pretrained.clone()
        }
    }

    /// Accuracy of what the stage trains: clips, or single frames before there are clips. Where the
    /// texts are descriptions, the share of scenes that find theirs.
    fn validate(&self, source: &Source, stage: &Stage) -> anyhow::Result<f64> {
        let pretrained = self.inference();
        let texts = corpus_labels(&self.config.corpus)?;
        let (corpus, count) = source.validation(stage.figures)?;
        if stage.texts == StageTexts::Descriptions {
            let moving = stage.input == StageInput::Clip;
            return described(&pretrained, corpus.as_ref(), count, moving);
        }
        let readings = match stage.input {
            StageInput::Clip => classify(&pretrained, texts, corpus.as_ref(), count, |_| {})?,
            StageInput::Utterances | StageInput::Peak => {
                classify_frames(&pretrained, texts, corpus.as_ref(), count)?
            }
        };
        Ok(accuracy(&readings))
    }

    fn outcome(
        &self,
        history: History,
        validation_accuracy: f64,
        data_wait_share: f64,
    ) -> anyhow::Result<Outcome> {
        let pretrained = self.inference();
        let bytes = pretrained.to_bytes()?;
        let model_path = self.folder.join(MODEL);
        write_atomically(&model_path, &bytes)?;
        Ok(Outcome {
            model_sha256: Pretrained::hash(&bytes),
            pretrained,
            model_path,
            steps: self.state.step,
            final_loss: history.losses.last().map_or(f64::NAN, |(_, loss, _)| *loss),
            validation_accuracy,
            train_seconds: self.state.train_seconds,
            clips_per_second: self.state.clips as f64 / self.state.train_seconds.max(1e-9),
            data_wait_share,
            device: self.device.name.clone(),
            seed: self.config.seed,
            history,
        })
    }
}

/// A model with fresh parameters, or those of `start_from` in the towers that take them, and the card
/// of what it is going to learn from.
fn fresh(config: &RunConfig, device: &Device) -> anyhow::Result<Pretrained> {
    let pretrained = without_card(config, device)?;
    Ok(Pretrained {
        card: Some(corpus_card(&config.corpus)?),
        ..pretrained
    })
}

/// What happens to the encoder that a tensor belongs to.
fn tower_of(key: &str, towers: Towers) -> TowerMode {
    if key.starts_with("visual_head.") {
        towers.temporal
    } else if key.contains("visual") {
        towers.frame
    } else {
        towers.text
    }
}

/// Refuses parts of keys that no tensor of the model has, which are misspelt.
fn check_parts(stages: &[Stage], model: &EmotionClip) -> anyhow::Result<()> {
    let tensors = to_state_dict(model)?;
    for stage in stages {
        for part in &stage.anew {
            if !tensors.keys().any(|key| key.contains(part.as_str())) {
                return Err(bad_input(format!(
                    "stages.{}.anew: no tensor of this model has '{part}' in its key; `trainer inspect` \
                     lists them",
                    stage.name
                )));
            }
        }
    }
    Ok(())
}

fn without_card(config: &RunConfig, device: &Device) -> anyhow::Result<Pretrained> {
    let model = config.model.init_seeded(config.seed, device)?;
    let preprocess = default_preprocess(&config.model);
    let Some(path) = &config.start_from else {
        if config.text_start == TextStart::Random {
            return Ok(Pretrained::new(model, preprocess)?);
        }
        let mut tensors = to_state_dict(&model)?;
        text_start::from_classifier(&mut tensors, device)?;
        let model = load_state_dict(model, &tensors, Completeness::Whole)?;
        return Ok(Pretrained::new(model, preprocess)?);
    };
    let bytes = std::fs::read(path).or_bad_input(path.display())?;
    let start = Pretrained::from_bytes(Bytes::from(bytes), &path.display().to_string(), device)
        .map_err(|error| bad_input(error.to_string()))?;
    // How frames are prepared belongs to the encoder that learned from them.
    let preprocess = match config.towers.frame {
        TowerMode::Random => preprocess,
        TowerMode::Trained | TowerMode::Frozen => start.preprocess,
    };
    let [own, side] = [preprocess.crop as usize, config.model.vision.image_size];
    if own != side {
        return Err(bad_input(format!(
            "{}: its frames are {own} pixels wide, this run's {side}; set model.vision.image_size to {own}, \
             or towers.frame to \"random\"",
            path.display()
        )));
    }
    let mut tensors = to_state_dict(&model)?;
    for (key, tensor) in to_state_dict(&start.model)? {
        let taken = tower_of(&key, config.towers) != TowerMode::Random;
        if taken && tensors.contains_key(&key) {
            tensors.insert(key, tensor);
        }
    }
    let model = load_state_dict(model, &tensors, Completeness::Whole)
        .map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    Ok(Pretrained::new(model, preprocess)?)
}

fn freeze(mut model: EmotionClip, config: &RunConfig) -> EmotionClip {
    if config.towers.frame == TowerMode::Frozen {
        model.visual = model.visual.freeze();
    }
    if config.towers.text == TowerMode::Frozen {
        model.text = model.text.freeze();
    }
    if config.towers.temporal == TowerMode::Frozen {
        model.temporal = model.temporal.freeze();
    }
    model
}

/// The stage of a step and the step's number within it.
fn locate(stages: &[Stage], step: usize) -> (&Stage, usize) {
    let mut remaining = step;
    for stage in &stages[..stages.len() - 1] {
        if remaining < stage.steps {
            return (stage, remaining);
        }
        remaining -= stage.steps;
    }
    (&stages[stages.len() - 1], remaining)
}

/// Set by the first Ctrl-C; the second ends the process at once. One for the whole process: a
/// command may train several models.
pub fn interrupt_flag() -> Arc<AtomicBool> {
    static FLAG: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let in_handler = Arc::clone(&flag);
        let installed = ctrlc::set_handler(move || {
            if in_handler.swap(true, Ordering::SeqCst) {
                std::process::abort();
            }
        });
        if let Err(error) = installed {
            tracing::debug!("Ctrl-C will not save first: {error}");
        }
        flag
    });
    Arc::clone(&FLAG)
}

fn show(bar: &ProgressBar, stage: &Stage, loss: f64, state: &RunState, waiting: f64) {
    let share = 100.0 * waiting;
    let speed = state.clips as f64 / state.train_seconds.max(1e-9);
    bar.set_position(state.step as u64);
    bar.set_message(format!(
        "{}: loss {loss:.3}, {speed:.0} clips/s, {share:.0} % waiting for data",
        stage.name
    ));
}

/// How much of some time was waiting.
fn share(waited: Duration, whole: Duration) -> f64 {
    waited.as_secs_f64() / whole.as_secs_f64().max(1e-9)
}

/// JSON lines and TensorBoard events of a run.
struct MetricLog {
    lines: JsonlSink,
    events: TensorBoardSink,
}

impl MetricLog {
    fn open(folder: &Path, resumed_at: Option<usize>) -> anyhow::Result<Self> {
        let path = folder.join(METRICS);
        Ok(match resumed_at {
            Some(step) if path.exists() => Self {
                lines: JsonlSink::resume(&path, step as u64)?,
                events: TensorBoardSink::resume(folder, step as u64)?,
            },
            _ => Self {
                lines: JsonlSink::create(&path)?,
                events: TensorBoardSink::create(folder)?,
            },
        })
    }

    fn step(
        &mut self,
        step: usize,
        loss: f64,
        learning_rate: f64,
        logit_scale: f64,
        data_wait: Duration,
        elapsed: Duration,
    ) -> anyhow::Result<()> {
        self.lines.append(&json!({
            "step": step,
            "loss": loss,
            "learning_rate": learning_rate,
            "logit_scale": logit_scale,
            "data_seconds": data_wait.as_secs_f64(),
            "step_seconds": elapsed.as_secs_f64(),
            "data_share": share(data_wait, elapsed),
        }))?;
        let scalars = [
            ("train/loss", loss),
            ("train/learning_rate", learning_rate),
            ("train/logit_scale", logit_scale),
            ("train/data_share", share(data_wait, elapsed)),
        ];
        Ok(self.events.scalars(step as u64, &scalars)?)
    }

    fn validation(&mut self, step: usize, accuracy: f64) -> anyhow::Result<()> {
        self.lines
            .append(&json!({ "step": step, "validation_accuracy": accuracy }))?;
        let scalars = [("validation/zero_shot_accuracy", accuracy)];
        Ok(self.events.scalars(step as u64, &scalars)?)
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        Ok(self.lines.sync()?)
    }
}
