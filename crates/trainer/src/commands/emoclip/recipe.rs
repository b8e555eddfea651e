//! How a model is trained: what `train` and `downstream` have in common.

use clap::ValueEnum;
use emotionclip::emoclip::{ClipWindow, Window};
use emotionclip::optim::{Method, MultiStep};
use serde::{Deserialize, Serialize};

use crate::failure::bad_input;

/// Every fourth frame: what the release's scripts say for all but the captions of MAFW.
pub const DOWNSAMPLE: usize = 4;

/// Where test clips begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WindowName {
    /// In the middle, the same frames each time.
    Centre,
    /// At a random frame, as the release.
    Release,
}

impl WindowName {
    /// The model crate's name for it.
    pub const fn window(self) -> Window {
        match self {
            Self::Centre => Window::Centre,
            Self::Release => Window::Release,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Optimizer {
    Sgd,
    Adam,
}

/// Settings of a training.
#[derive(clap::Args, Clone, Debug)]
pub struct RecipeArgs {
    /// Update rule: SGD with momentum 0.9, or Adam with epsilon 1e-6; default: sgd
    #[arg(long, value_enum)]
    optimizer: Option<Optimizer>,
    /// Passes over the training clips; may be raised with --resume
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Clips a step; those that fill no whole batch wait for another epoch
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Learning rate before the drops of the schedule; default: 0.001
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Decay of the weights, in the gradient; default: 0.0005
    #[arg(long, value_name = "RATE")]
    weight_decay: Option<f64>,
    /// Seed of fresh parameters, the clips' order, windows and variations; default: 0
    #[arg(long)]
    seed: Option<u64>,
    /// Frames a clip; default: what the model was made for
    #[arg(long, value_name = "T")]
    frames: Option<usize>,
    /// Keep every Nth frame; default: 4, with captions 2
    #[arg(long, value_name = "N")]
    downsample: Option<usize>,
    /// Where test clips begin; training clips always begin at a random frame
    #[arg(long, value_enum)]
    window: Option<WindowName>,
}

/// [`RecipeArgs`], as a run keeps them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Passes over the training clips.
    pub epochs: usize,
    /// Clips a step.
    pub batch_size: usize,
    /// Base rate.
    pub learning_rate: f64,
    /// Decay of the weights.
    pub weight_decay: f64,
    /// Frames a clip; the model's own without a number.
    pub frames: Option<usize>,
    /// Every how many frames one is kept.
    pub downsample: usize,
    /// Where test clips begin.
    pub test_window: Window,
    /// Update rule.
    pub method: Method,
    /// Where the rate drops.
    pub schedule: MultiStep,
}

impl RecipeArgs {
    /// The settings given, the others as `default` has them.
    pub fn recipe(&self, default: Recipe) -> Recipe {
        Recipe {
            seed: self.seed.unwrap_or(default.seed),
            epochs: self.epochs.unwrap_or(default.epochs),
            batch_size: self.batch_size.unwrap_or(default.batch_size),
            learning_rate: self.learning_rate.unwrap_or(default.learning_rate),
            weight_decay: self.weight_decay.unwrap_or(default.weight_decay),
            frames: self.frames.or(default.frames),
            downsample: self.downsample.unwrap_or(default.downsample),
            test_window: self.window.map_or(default.test_window, WindowName::window),
            method: match self.optimizer {
                None => default.method,
                Some(Optimizer::Sgd) => Method::sgd(),
                Some(Optimizer::Adam) => Method::adam(),
            },
            schedule: default.schedule,
        }
    }
}

impl Recipe {
    /// The release's, with a schedule.
    pub fn release(epochs: usize, schedule: MultiStep) -> Self {
        Self {
            seed: 0,
            epochs,
            batch_size: 64,
            learning_rate: 1e-3,
            weight_decay: 5e-4,
            frames: None,
            downsample: DOWNSAMPLE,
            test_window: Window::Centre,
            method: Method::sgd(),
            schedule,
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// Bad input that names the first setting nothing can be trained with.
    pub fn validate(&self) -> anyhow::Result<()> {
        for (flag, value) in [
            ("--epochs", self.epochs),
            ("--batch-size", self.batch_size),
            ("--downsample", self.downsample),
        ] {
            if value == 0 {
                return Err(bad_input(format!("{flag}: must be at least 1")));
            }
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(bad_input("--learning-rate: must be a positive number"));
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return Err(bad_input("--weight-decay: must be 0 or a positive number"));
        }
        Ok(())
    }

    /// The windows of training and of test clips for a model.
    ///
    /// # Errors
    /// Bad input for more frames than the model takes.
    pub fn windows(
        &self,
        frames: usize,
        max_frames: usize,
    ) -> anyhow::Result<(ClipWindow, ClipWindow)> {
        let frames = self.frames.unwrap_or(frames);
        let window = |window| clip_window(frames, max_frames, self.downsample, window);
        Ok((window(Window::Release)?, window(self.test_window)?))
    }
}

/// A window that a model takes.
///
/// # Errors
/// Bad input for no frames, or more than the model takes.
pub fn clip_window(
    frames: usize,
    max_frames: usize,
    downsample: usize,
    window: Window,
) -> anyhow::Result<ClipWindow> {
    if !(1..=max_frames).contains(&frames) {
        return Err(bad_input(format!(
            "--frames: {frames} must lie in 1..={max_frames}, which is what the model takes"
        )));
    }
    if downsample == 0 {
        return Err(bad_input("--downsample: must be at least 1"));
    }
    Ok(ClipWindow {
        downsample,
        frames,
        window,
    })
}
