//! EmotionCLIP on [burn]: video and text in one space of feelings, the subject of a scene known.
//!
//! EmotionCLIP (Zhang et al., CVPR 2023) learns how people in a video feel from what they say. A
//! frame encoder that is told who the subject is, a temporal encoder and a text encoder are pulled
//! together by a contrastive loss that spares pairs of like sentiment. This crate holds the model,
//! its loss and optimizer, and all that stands between pictures or sentences and its tensors. It
//! takes and gives bytes and values, never files, and compiles for the browser.
//!
//! # The first minute
//!
//! A [`Pretrained`] joins a model with its tokenizer and preprocessing. Here its weights are fresh;
//! [`Pretrained::from_bytes`] reads trained ones.
//!
//! ```
//! use burn::tensor::Device;
//! use emotionclip::pretrained::default_preprocess;
//! use emotionclip::zero_shot::{LabelSet, ZeroShot};
//! use emotionclip::{Clip, EmotionClipConfig, Pretrained};
//! use image::{GrayImage, Luma, Rgb, RgbImage};
//!
//! let config = EmotionClipConfig::nano();
//! let model = config.init(&Device::flex())?;
//! let pretrained = Pretrained::new(model, default_preprocess(&config))?;
//!
//! // Four frames, as `nano` takes them, with the subject in the left half.
//! let frame = RgbImage::from_fn(96, 72, |x, y| Rgb([(2 * x) as u8, (3 * y) as u8, 128]));
//! let subject = GrayImage::from_fn(96, 72, |x, _| Luma([if x < 48 { 255 } else { 0 }]));
//! let clip = Clip { frames: vec![frame; 4], masks: vec![subject; 4] };
//!
//! // Unit vectors in one space.
//! let video = pretrained.embed_clips(&[clip])?;
//! let text = pretrained.embed_texts(&["What a lovely surprise!"]);
//! assert_eq!((video.dims(), text.dims()), ([1, 96], [1, 96]));
//!
//! // Classes in words.
//! let labels = LabelSet::from_names(&["joy", "fear"], &"a person feeling {label}".parse()?)?;
//! let probabilities = ZeroShot::new(&pretrained, &labels).classify(video);
//! assert_eq!(probabilities.dims(), [1, 2]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where things are
//!
//! | to | see |
//! |---|---|
//! | choose an architecture, or a preset from `nano` (1 M parameters) to ViT-B/16 | [`config`] |
//! | run the encoders on tensors of your own | [`model`], [`vision`], [`temporal`], [`text`] |
//! | load one file with everything in it, save it again | [`pretrained`] |
//! | read CLIP's or the release's checkpoints, write safetensors or a web bundle | [`checkpoint`], [`parameters`] |
//! | turn pictures, boxes and sentences into tensors | [`preprocess`], [`tokenizer`], [`clip`] |
//! | classify without a trained head | [`zero_shot`] |
//! | fit a linear head on embeddings | [`probe`], [`emotion`] |
//! | find and follow people's faces | [`detector`] |
//! | follow a camera | [`streaming`] |
//! | see what the model looks at | [`explain`] |
//! | know what a sentence feels like, as the loss must | [`text_classifier`] |
//! | train | [`loss`], [`optim`] |
//! | reuse the layers | [`nn`] |
//!
//! The crate's `examples` folder has a picture and a sentence embedded, a checkpoint loaded, and a
//! training loop.
//!
//! # Features
//!
//! `bundled-merges` (default) carries CLIP's byte-pair merges, 0.2 MB, inside the library. Without
//! it, build a [`tokenizer::ClipTokenizer`] from merges of your own. `bundled-detector` (default)
//! carries the face detector's weights, 0.3 MB; without it, read them with
//! [`detector::Detector::from_bytes`].
//!
//! `flex` (default) is burn's CPU engine, `autodiff` (default) its gradients and the optimizers of
//! [`optim`]. Native builds have both in any case; a module for a page is smaller without what it
//! doesn't use. `wgpu` adds the hand-written kernels for devices that compile WGSL, and `fusion` goes
//! where burn's own does.
//!
//! [burn]: https://burn.dev

#![warn(missing_docs)]

pub mod card;
pub mod checkpoint;
pub mod clip;
pub mod config;
pub mod detector;
pub mod emoclip;
pub mod emotion;
pub mod explain;
pub mod loss;
pub mod model;
mod model_file;
pub mod nn;
pub mod optim;
pub mod parameters;
pub mod preprocess;
pub mod pretrained;
pub mod probe;
pub mod roberta;
pub mod stem;
pub mod streaming;
pub mod temporal;
pub mod text;
pub mod text_classifier;
pub mod tokenizer;
pub mod vision;
pub mod zero_shot;

pub use clip::Clip;
pub use config::{EmotionClipConfig, Preset};
pub use emotion::Emotion;
/// The hand-written kernels: which a device has, and how to choose others.
pub use emotionclip_kernels as kernels;
pub use model::EmotionClip;
pub use pretrained::Pretrained;
