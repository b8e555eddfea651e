//! Linear probes on frozen features: how the paper measures what an embedding holds.
//!
//! The evaluation protocols fit an L2-penalised logistic regression or a ridge regression on
//! features of a frozen encoder. The objectives are scikit-learn's, so that numbers compare with
//! published ones, and the solvers run to the optimum, so that a score says something about the
//! features and nothing about where an optimiser happened to stop. Everything here takes and
//! gives memory and works in a browser too, where a visitor teaches the page labels of their own.
//!
//! ```
//! use emotionclip::probe::{Features, LogisticRegression};
//!
//! let values = [0.0, 1.0, 0.1, 0.9, 1.0, 0.0, 0.9, 0.2];
//! let features = Features::new(&values, 2)?;
//! let fit = LogisticRegression::new(10.0).fit_multinomial(features, &[0, 0, 1, 1], 2)?;
//! let head = fit.into_head(vec!["calm".into(), "angry".into()])?;
//! let probabilities = head.predict(features)?;
//! assert!(probabilities[0] > 0.5 && probabilities[5] > 0.5);
//! # Ok::<(), emotionclip::probe::ProbeError>(())
//! ```

mod axes;
mod centroid;
mod error;
mod features;
mod fit;
mod head;
mod head_file;
mod likelihood;
mod logistic;
mod newton;
mod parallel;
mod ridge;

pub use centroid::NearestCentroid;
pub use error::ProbeError;
pub use features::{Features, l2_normalised};
pub use fit::{Convergence, FitWarning, LinearFit};
pub use head::{HeadKind, LinearHead};
pub use logistic::LogisticRegression;
pub use ridge::Ridge;
