//! EmoCLIP: video and class descriptions in CLIP's space, for facial expressions never labelled.
//!
//! EmoCLIP (Foteinopoulou & Patras, FG 2024) keeps OpenAI's CLIP as it is, encodes every frame of a
//! face with its image tower, and learns a temporal transformer over the frames from what people
//! wrote about each clip. A new expression is then recognised by describing it. The towers are this
//! crate's own; the temporal transformer, the recipe and the keys of the files are those of the
//! authors' release (`NickyFot/EmoCLIP`).
//!
//! ```
//! use burn::tensor::{Device, Int, Tensor};
//! use emotionclip::emoclip::EmoClipConfig;
//!
//! let config = EmoClipConfig::nano();
//! let model = config.init(&Device::flex())?;
//! let side = config.vision.image_size;
//! let frames = Tensor::<5>::zeros([1, 4, 3, side, side], &Device::flex());
//! let tokens = Tensor::<2, Int>::from_data([[2512, 7, 2513]], &Device::flex());
//! let pairs = model.forward(frames, tokens);
//! assert_eq!((pairs.video.dims(), pairs.text.dims()), ([1, 96], [1, 96]));
//! # Ok::<(), emotionclip::config::ConfigError>(())
//! ```
//!
//! | to | see |
//! |---|---|
//! | choose a size, say which towers are trained | [`EmoClipConfig`], [`TrainableTowers`] |
//! | encode and compare | [`EmoClip`] |
//! | load one file with everything in it, save it again | [`PretrainedEmoClip`] |
//! | read and write the release's files | [`load_state_dict`], [`to_state_dict`] |
//! | predict numbers from a trained model | [`Downstream`] |
//! | choose the frames of a clip, vary them in training | [`ClipWindow`], [`ClipVariation`] |
//! | train | [`KeyedOptimizer`], [`MultiStep`] |
//!
//! [`load_state_dict`]: crate::parameters::load_state_dict
//! [`to_state_dict`]: crate::parameters::to_state_dict
//! [`KeyedOptimizer`]: crate::optim::KeyedOptimizer
//! [`MultiStep`]: crate::optim::MultiStep

mod config;
mod downstream;
mod model;
mod parameters;
mod preprocess;
mod pretrained;
mod temporal;
mod window;

pub use config::{EmoClipConfig, EmoClipPreset, EmoClipTemporalConfig, TrainableTowers};
pub use downstream::{Downstream, RegressionHead};
pub use model::{ClipBackbone, EmoClip};
pub use preprocess::{ClipVariation, MAX_ROTATION_DEGREES, default_preprocess};
pub use pretrained::{EMOCLIP_CONFIG_KEY, PretrainedEmoClip};
pub use temporal::{PreNormAttention, PreNormFeedForward, PreNormLayer, TemporalTransformer};
pub use window::{ClipWindow, Window, WindowError};
