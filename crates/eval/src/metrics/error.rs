//! Why a metric has no value.

/// Input that a metric cannot be computed from.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// There is nothing to measure.
    #[error("{0} is empty; there is nothing to measure")]
    Empty(&'static str),
    /// Two inputs that belong together differ in length.
    #[error("{what}: {found} given, {expected} expected")]
    Length {
        /// Which input.
        what: &'static str,
        /// Entries expected.
        expected: usize,
        /// Entries given.
        found: usize,
    },
    /// A value is NaN, or infinite where the metric needs finite values.
    #[error("{what} at index {index} is {value}; find out what produced it")]
    NotANumber {
        /// Which input.
        what: &'static str,
        /// Position in it, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
    /// An index is not below the number of things it counts.
    #[error("{what} {value} at index {index} is not below {bound}")]
    OutOfRange {
        /// What the index names.
        what: &'static str,
        /// Position in the input, from 0.
        index: usize,
        /// The index given.
        value: usize,
        /// What it must be below.
        bound: usize,
    },
    /// The metric has no value for this input.
    #[error("{metric} is undefined: {reason}")]
    Undefined {
        /// The metric.
        metric: &'static str,
        /// What the input lacks.
        reason: &'static str,
    },
    /// A filter's settings don't fit each other or the series.
    #[error(
        "a window of {window} with order {order} does not fit a series of {length}; \
         order < window ≤ length is needed"
    )]
    Window {
        /// Samples in the window.
        window: usize,
        /// Degree of the polynomial.
        order: usize,
        /// Samples in the series.
        length: usize,
    },
}

/// Refuses lengths that differ from what is expected.
pub(super) fn check_length(
    what: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), MetricError> {
    if found == expected {
        return Ok(());
    }
    Err(MetricError::Length {
        what,
        expected,
        found,
    })
}

/// Refuses the first value that `accepted` does not take.
pub(super) fn check_values(
    what: &'static str,
    values: &[f64],
    accepted: impl Fn(f64) -> bool,
) -> Result<(), MetricError> {
    match values.iter().position(|&value| !accepted(value)) {
        None => Ok(()),
        Some(index) => Err(MetricError::NotANumber {
            what,
            index,
            value: values[index],
        }),
    }
}
