//! The numbers that the evaluation protocols report, as scikit-learn and the authors define them.
//!
//! A metric is worth comparing only if it is computed as everyone else computes it, down to ties,
//! absent classes and constant series; each function states what it does there. Scores and values
//! are double precision and row-major. Empty, NaN or mismatched input is an error, never a panic
//! and never a silently wrong number.

mod classification;
mod error;
mod interval;
mod multi_label;
mod ranking;
mod regression;
mod retrieval;
mod smoothing;

pub use classification::ConfusionMatrix;
pub use error::MetricError;
pub use interval::{PairedDifference, wilson_interval};
pub use multi_label::{MacroScore, macro_average_precision, macro_roc_auc, top1_hit_rate};
pub use ranking::{average_precision, roc_auc};
pub use regression::{
    MeanR2, concordance, emoclip_concordance, emoclip_pearson, mean_absolute_error, mean_r2,
    mean_squared_error, pearson, r2, root_mean_squared_error,
};
pub use retrieval::{recall_at, retrieval_ranks};
pub use smoothing::savitzky_golay;
