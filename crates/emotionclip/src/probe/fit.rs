//! What a solver hands back: weights, and how sure one may be that they are the optimum.

use core::fmt;

use super::{HeadKind, LinearHead, ProbeError};

/// How the solver of one problem ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convergence {
    /// Sum of log losses + `‖w‖²/(2C)` at the solution.
    pub objective: f64,
    /// Norm of the objective's gradient as a share of its scale, see
    /// [`tolerance`](super::LogisticRegression::tolerance).
    pub relative_gradient: f64,
    /// Newton steps taken.
    pub iterations: usize,
    /// Whether `relative_gradient` came below the tolerance asked for.
    pub converged: bool,
}

impl Convergence {
    /// Of a problem that needed no solver.
    pub(super) const EXACT: Self = Self {
        objective: 0.0,
        relative_gradient: 0.0,
        iterations: 0,
        converged: true,
    };
}

/// Something about a fit that its user should be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FitWarning {
    /// The solver stopped before it reached the tolerance.
    NotConverged {
        /// First output of the problem.
        output: usize,
        /// Newton steps taken.
        iterations: usize,
        /// Where the relative gradient stood.
        relative_gradient: f64,
    },
    /// Every training target of this output was the same, so the probe always predicts it.
    ConstantTarget {
        /// The output.
        output: usize,
        /// The target.
        value: bool,
    },
    /// No training sample had this label, so the probe never predicts it.
    AbsentClass {
        /// The class.
        class: usize,
    },
}

impl fmt::Display for FitWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConverged {
                output,
                iterations,
                relative_gradient,
            } => write!(
                formatter,
                "output {output}: not converged after {iterations} iterations (relative gradient \
                 {relative_gradient:.1e}); raise the iteration limit or lower C"
            ),
            Self::ConstantTarget { output, value } => write!(
                formatter,
                "output {output}: all training targets are {}; the probe always predicts it",
                u8::from(*value)
            ),
            Self::AbsentClass { class } => write!(
                formatter,
                "class {class}: no training sample; the probe never predicts it"
            ),
        }
    }
}

/// A fitted linear probe in double precision: scores are `weights · x + bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearFit {
    /// What the scores mean.
    pub kind: HeadKind,
    /// Number of features `D`.
    pub width: usize,
    /// `[O, D]`, row-major.
    pub weights: Vec<f64>,
    /// `[O]`
    pub bias: Vec<f64>,
    /// One entry a one-vs-rest output, one for a multinomial fit, none for ridge (closed form).
    pub convergence: Vec<Convergence>,
    /// What the user should be told; empty for a clean fit.
    pub warnings: Vec<FitWarning>,
}

impl LinearFit {
    /// The probe to keep: single precision, with a name for every output.
    ///
    /// # Errors
    /// A number of labels that differs from the outputs; weights beyond single precision.
    pub fn into_head(self, labels: Vec<String>) -> Result<LinearHead, ProbeError> {
        let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        LinearHead::new(
            self.kind,
            self.width,
            single(self.weights),
            single(self.bias),
            labels,
        )
    }
}
