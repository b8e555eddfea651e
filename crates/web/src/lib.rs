//! EmotionCLIP in a page: a session over the core crate that takes one frame at a time and gives a
//! reading.
//!
//! [`Session`] is all of it, and knows nothing of browsers: it takes bytes and pixels, gives plain
//! values, and is tested natively. For wasm32 the crate adds a wasm-bindgen surface that a Web Worker
//! drives, in three modules of which a browser takes one: `engine-gpu`, `engine-cpu` and
//! `engine-cpu-relaxed`. The messages between that worker and the page are described in
//! `web/js/messages.js`; the types here that cross over have the same names and fields there.
//!
//! Whatever waits for a device is `async`, because a browser's thread can't wait.

#![warn(missing_docs)]

mod bundle;
mod error;
mod labels;
mod lesson;
mod pixels;
mod preparation;
mod selftest;
mod session;
mod subject;

#[cfg(target_family = "wasm")]
mod bindings;
#[cfg(target_family = "wasm")]
mod encoders;

#[cfg(target_family = "wasm")]
pub use bindings::start;
pub use bundle::{BundleConfig, BundleLoader, CARD_NAME, CONFIG_NAME, MERGES_NAME, ModelInfo};
pub use emotionclip::card::LabelText;
pub use error::SessionError;
pub use labels::Labels;
pub use lesson::{ClassCount, FitReport, Lesson};
pub use pixels::rgb_from_rgba;
pub use preparation::Difference;
pub use selftest::{Golden, SELF_TEST_NAME, SelfTestReport};
pub use session::{Attention, Picture, ProbeReading, Reading, Session, SubjectReading, Window};
pub use subject::{Edges, PersonBox, SubjectChoice};
