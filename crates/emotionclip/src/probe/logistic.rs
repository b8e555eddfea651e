//! L2-penalised logistic regression, multinomial and one-vs-rest, to scikit-learn's optimum.

use super::axes::PrincipalAxes;
use super::fit::{Convergence, FitWarning, LinearFit};
use super::likelihood::{Binary, Likelihood, Softmax};
use super::newton::{self, Samples, Settings};
use super::{Features, HeadKind, ProbeError, parallel};

/// Score of an output that is always or never predicted: its probability rounds to 1 or 0 next to
/// any score that finite features can reach, and unlike an infinity it survives a file and a
/// subtraction.
const CERTAIN_SCORE: f64 = 1e30;

/// Logistic regression that minimises `Σ log loss + ‖w‖²/(2C)`, bias unpenalised.
///
/// This is the objective of scikit-learn's `LogisticRegression` divided by `C`, so the optimum is
/// the same. It is strongly convex with modulus `1/C` in the weights, so where its gradient is `g`
/// the objective is at most `C‖g‖²/2` above the optimum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogisticRegression {
    /// Inverse strength of the penalty, positive.
    pub c: f64,
    /// A problem is solved when the norm of its gradient is below this share of what the samples
    /// could pull, `Σ‖xᵢ − mean‖` for the weights and `N` for the biases. Double precision reaches
    /// about 1e-13.
    pub tolerance: f64,
    /// Newton steps a problem may take.
    pub max_iterations: usize,
}

/// Weights of the outputs that were fitted, before those that could not be are added.
struct Fitted {
    /// `[fitted outputs, D]`
    weights: Vec<f64>,
    /// `[fitted outputs]`
    bias: Vec<f64>,
    convergence: Vec<Convergence>,
}

impl LogisticRegression {
    /// With inverse penalty `c`, tolerance 1e-10 and at most 100 Newton steps (ten are usual).
    pub const fn new(c: f64) -> Self {
        Self {
            c,
            tolerance: 1e-10,
            max_iterations: 100,
        }
    }

    /// One softmax over `classes` classes; `labels` `[N]` are class indices.
    ///
    /// As in scikit-learn, a class without a sample takes no part in the fit (its probability is
    /// 0), and two classes share one weight vector `w`, kept here as `−w/2` and `w/2`, instead of
    /// each having its own penalty.
    ///
    /// # Errors
    /// Labels of another number than the samples or not below `classes`; fewer than two classes
    /// present; a setting out of range.
    pub fn fit_multinomial(
        &self,
        features: Features<'_>,
        labels: &[usize],
        classes: usize,
    ) -> Result<LinearFit, ProbeError> {
        let counts = class_counts(features, labels, classes)?;
        let present: Vec<usize> = (0..classes).filter(|&class| counts[class] > 0).collect();
        let fitted = match present.as_slice() {
            [] | [_] => {
                return Err(ProbeError::TooFewClasses {
                    present: present.len(),
                });
            }
            &[_, second] => {
                let targets = labels.iter().map(|&label| label == second).collect();
                let prior = log_odds(counts[second], labels.len());
                let likelihood = Binary::new(targets, labels.len());
                self.solve(features, &likelihood, &[prior])?.mirrored()
            }
            _ => {
                let mut position = vec![0; classes];
                for (index, &class) in present.iter().enumerate() {
                    position[class] = index;
                }
                let dense = labels.iter().map(|&label| position[label]).collect();
                let priors: Vec<f64> = present
                    .iter()
                    .map(|&class| (counts[class] as f64 / labels.len() as f64).ln())
                    .collect();
                let likelihood = Softmax::new(dense, present.len());
                self.solve(features, &likelihood, &priors)?.bias_centred()
            }
        };
        let mut fit = LinearFit {
            kind: HeadKind::Multinomial,
            width: features.width(),
            weights: vec![0.0; classes * features.width()],
            bias: vec![-CERTAIN_SCORE; classes],
            warnings: warning(present[0], &fitted.convergence[0])
                .into_iter()
                .collect(),
            convergence: fitted.convergence.clone(),
        };
        fitted.place(&mut fit, &present);
        let absent = (0..classes).filter(|&class| counts[class] == 0);
        fit.warnings
            .extend(absent.map(|class| FitWarning::AbsentClass { class }));
        Ok(fit)
    }

    /// An independent binary problem for each of `classes` columns of `targets` `[N, classes]`
    /// (row-major).
    ///
    /// A column that is the same for every sample is not fitted: the probe predicts that constant.
    ///
    /// # Errors
    /// Targets of another number than `N · classes`; no class; a setting out of range.
    pub fn fit_one_vs_rest(
        &self,
        features: Features<'_>,
        targets: &[bool],
        classes: usize,
    ) -> Result<LinearFit, ProbeError> {
        let samples = features.samples();
        if classes == 0 {
            return Err(ProbeError::TooFewClasses { present: 0 });
        }
        if targets.len() != samples * classes {
            return Err(ProbeError::Length {
                what: "targets",
                expected: samples * classes,
                found: targets.len(),
            });
        }
        let column = |class: usize| targets.iter().skip(class).step_by(classes).copied();
        let positives: Vec<usize> = (0..classes)
            .map(|class| column(class).filter(|&target| target).count())
            .collect();
        let (constant, varying): (Vec<usize>, Vec<usize>) =
            (0..classes).partition(|&class| [0, samples].contains(&positives[class]));
        let priors: Vec<f64> = varying
            .iter()
            .map(|&class| log_odds(positives[class], samples))
            .collect();
        let columns = varying.iter().flat_map(|&class| column(class)).collect();
        let fitted = self.solve(features, &Binary::new(columns, samples), &priors)?;

        let mut fit = LinearFit {
            kind: HeadKind::OneVsRest,
            width: features.width(),
            weights: vec![0.0; classes * features.width()],
            bias: vec![0.0; classes],
            convergence: vec![Convergence::EXACT; classes],
            warnings: Vec::new(),
        };
        for (&class, &convergence) in varying.iter().zip(&fitted.convergence) {
            fit.convergence[class] = convergence;
            fit.warnings.extend(warning(class, &convergence));
        }
        for output in constant {
            let value = positives[output] == samples;
            fit.bias[output] = if value { CERTAIN_SCORE } else { -CERTAIN_SCORE };
            fit.warnings
                .push(FitWarning::ConstantTarget { output, value });
        }
        fitted.place(&mut fit, &varying);
        Ok(fit)
    }

    /// Solves all problems of `likelihood`, starting from zero weights and the biases `priors`.
    fn solve(
        &self,
        features: Features<'_>,
        likelihood: &impl Likelihood,
        priors: &[f64],
    ) -> Result<Fitted, ProbeError> {
        self.check()?;
        let axes = PrincipalAxes::of(features)?;
        let ranges = parallel::chunks(features.samples());
        let samples = Samples {
            chunks: parallel::map(&ranges, |&range| {
                (range.0, axes.coordinates(features, range))
            }),
            moments: axes.moments().clone(),
        };
        let settings = Settings {
            penalty: self.c.recip(),
            tolerance: self.tolerance,
            max_iterations: self.max_iterations,
        };
        let solution = newton::minimise(samples, likelihood, priors, &settings);
        let (weights, bias) = axes.to_features(&solution.weights, &solution.bias);
        Ok(Fitted {
            weights,
            bias,
            convergence: solution.convergence,
        })
    }

    fn check(&self) -> Result<(), ProbeError> {
        // A subnormal C has an infinite inverse.
        if !(self.c > 0.0 && self.c.is_finite() && self.c.recip().is_finite()) {
            return Err(ProbeError::Setting {
                name: "C",
                value: self.c,
                expected: "positive and finite",
            });
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(ProbeError::Setting {
                name: "tolerance",
                value: self.tolerance,
                expected: "zero or positive, and finite",
            });
        }
        Ok(())
    }
}

impl Fitted {
    /// Two softmax outputs for one binary problem.
    fn mirrored(self) -> Self {
        let mirror = |values: Vec<f64>| -> Vec<f64> {
            let halves = values.iter().map(|value| value / 2.0);
            values
                .iter()
                .map(|value| -value / 2.0)
                .chain(halves)
                .collect()
        };
        Self {
            weights: mirror(self.weights),
            bias: mirror(self.bias),
            convergence: self.convergence,
        }
    }

    /// The losses don't see a shift of all biases; scikit-learn's sum to zero.
    fn bias_centred(mut self) -> Self {
        let mean = self.bias.iter().sum::<f64>() / self.bias.len() as f64;
        self.bias.iter_mut().for_each(|bias| *bias -= mean);
        self
    }

    /// Writes the weights and biases of the fitted outputs to their places.
    fn place(self, fit: &mut LinearFit, outputs: &[usize]) {
        let rows = self.weights.chunks_exact(fit.width);
        for ((&output, row), bias) in outputs.iter().zip(rows).zip(self.bias) {
            fit.weights[output * fit.width..][..fit.width].copy_from_slice(row);
            fit.bias[output] = bias;
        }
    }
}

/// Samples of each class.
pub(super) fn class_counts(
    features: Features<'_>,
    labels: &[usize],
    classes: usize,
) -> Result<Vec<usize>, ProbeError> {
    if labels.len() != features.samples() {
        return Err(ProbeError::Length {
            what: "labels",
            expected: features.samples(),
            found: labels.len(),
        });
    }
    let mut counts = vec![0; classes];
    for (sample, &label) in labels.iter().enumerate() {
        let Some(count) = counts.get_mut(label) else {
            return Err(ProbeError::LabelOutOfRange {
                sample,
                label,
                classes,
            });
        };
        *count += 1;
    }
    Ok(counts)
}

/// Logarithm of the odds of `positives` among `samples`; both kinds must be there.
fn log_odds(positives: usize, samples: usize) -> f64 {
    (positives as f64 / (samples - positives) as f64).ln()
}

fn warning(output: usize, convergence: &Convergence) -> Option<FitWarning> {
    (!convergence.converged).then_some(FitWarning::NotConverged {
        output,
        iterations: convergence.iterations,
        relative_gradient: convergence.relative_gradient,
    })
}

#[cfg(test)]
mod tests;
