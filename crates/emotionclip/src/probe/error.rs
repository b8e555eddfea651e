//! What can be wrong with the input of a probe or with a probe's file.

/// Why a probe could not be fitted, applied, read or written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProbeError {
    /// There is no sample or no feature.
    #[error("the features are empty; give at least one sample of at least one value")]
    Empty,
    /// The values do not divide into rows.
    #[error("{values} feature values are no whole number of rows of {width}; check the width")]
    Ragged {
        /// Values given.
        values: usize,
        /// Values a row should have.
        width: usize,
    },
    /// A feature or a target is NaN or infinite.
    #[error("{what} at row {row}, column {column} is not finite; find out what produced it")]
    NotFinite {
        /// "feature", "target", "weight" or "bias".
        what: &'static str,
        /// Row of the offending value, from 0.
        row: usize,
        /// Column of the offending value, from 0.
        column: usize,
    },
    /// A list has another length than the features or the classes ask for.
    #[error("{what}: {found} given, {expected} expected")]
    Length {
        /// Which list.
        what: &'static str,
        /// Entries expected.
        expected: usize,
        /// Entries given.
        found: usize,
    },
    /// A label is not below the number of classes.
    #[error("label {label} of sample {sample} is not below the number of classes, {classes}")]
    LabelOutOfRange {
        /// Sample, from 0.
        sample: usize,
        /// Its label.
        label: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A classifier was asked to tell fewer than two classes apart.
    #[error("the labels hold {present} class(es); a classifier needs samples of at least two")]
    TooFewClasses {
        /// Classes that have a sample.
        present: usize,
    },
    /// A setting is outside its range.
    #[error("{name} is {value}; it must be {expected}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
    /// The features have another width than the probe was fitted on.
    #[error(
        "the features have {found} values a row and the probe was fitted on {expected}; \
         use the encoder the probe was made with"
    )]
    Width {
        /// The probe's width.
        expected: usize,
        /// The features' width.
        found: usize,
    },
    /// The principal axes of the features could not be computed.
    #[error("the features' principal axes did not converge; check for values of extreme size")]
    Axes,
    /// A probe file cannot be read.
    #[error("probe file: {0}")]
    File(String),
}
