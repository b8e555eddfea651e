//! Why a protocol has no result.

use emotionclip::probe::ProbeError;

use crate::metrics::MetricError;

/// Input that a protocol can't be run on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A list has another length than there are features.
    #[error("{what}: {found} given for the features of {expected} samples")]
    Length {
        /// Which list.
        what: &'static str,
        /// Samples.
        expected: usize,
        /// Entries given.
        found: usize,
    },
    /// A label is none of the set's.
    #[error("sample {sample}: the set has no class {label}")]
    Label {
        /// Sample, from 0.
        sample: usize,
        /// Its label.
        label: usize,
    },
    /// A sample of MELD must have one label.
    #[error("sample {sample}: exactly one label is needed")]
    OneLabel {
        /// Sample, from 0.
        sample: usize,
    },
    /// A sample has another number of values than the set.
    #[error("sample {sample}: the set has {numbers} numbers a sample")]
    Values {
        /// Sample, from 0.
        sample: usize,
        /// How many there should be.
        numbers: usize,
    },
    /// The probe can't be fitted or applied.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A metric has no value.
    #[error(transparent)]
    Metric(#[from] MetricError),
}
