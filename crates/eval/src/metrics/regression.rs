//! Real-valued targets: errors, explained variance and correlations.

use super::MetricError;
use super::error::{check_length, check_values};

/// What EmoCLIP's code adds to the denominators of its correlations.
const EMOCLIP_EPSILON: f64 = 1e-5;

/// Mean of squared differences.
///
/// # Errors
/// No samples, different lengths, a value that is not finite.
pub fn mean_squared_error(truth: &[f64], predicted: &[f64]) -> Result<f64, MetricError> {
    check(truth, predicted)?;
    Ok(mean_of_differences(truth, predicted, |difference| {
        difference * difference
    }))
}

/// Square root of [`mean_squared_error`].
///
/// # Errors
/// As [`mean_squared_error`].
pub fn root_mean_squared_error(truth: &[f64], predicted: &[f64]) -> Result<f64, MetricError> {
    mean_squared_error(truth, predicted).map(f64::sqrt)
}

/// Mean of absolute differences.
///
/// # Errors
/// As [`mean_squared_error`].
pub fn mean_absolute_error(truth: &[f64], predicted: &[f64]) -> Result<f64, MetricError> {
    check(truth, predicted)?;
    Ok(mean_of_differences(truth, predicted, f64::abs))
}

/// Coefficient of determination `1 − Σ(y − ŷ)² / Σ(y − mean)²`. For a constant truth it is 1 if
/// the prediction is exact and 0 if not, as in scikit-learn.
///
/// # Errors
/// As [`mean_squared_error`]; undefined for fewer than two samples.
pub fn r2(truth: &[f64], predicted: &[f64]) -> Result<f64, MetricError> {
    check(truth, predicted)?;
    if truth.len() < 2 {
        return Err(MetricError::Undefined {
            metric: "R²",
            reason: "it needs two samples",
        });
    }
    let residual = mean_of_differences(truth, predicted, |difference| difference * difference);
    let variance = Moments::of(truth, truth).covariance;
    if variance == 0.0 {
        return Ok(if residual == 0.0 { 1.0 } else { 0.0 });
    }
    Ok(1.0 - residual / variance)
}

/// [`r2`] of every output and their plain mean.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanR2 {
    /// Mean over the outputs.
    pub mean: f64,
    /// One value an output.
    pub per_output: Vec<f64>,
}

/// R² averaged over outputs; `truth` and `predicted` are `[N, outputs]`, row-major.
///
/// # Errors
/// As [`r2`], and lengths that are no `[N, outputs]`.
pub fn mean_r2(truth: &[f64], predicted: &[f64], outputs: usize) -> Result<MeanR2, MetricError> {
    if truth.is_empty() || outputs == 0 {
        return Err(MetricError::Empty("truth"));
    }
    check_length(
        "truth",
        truth.len().div_ceil(outputs) * outputs,
        truth.len(),
    )?;
    check(truth, predicted)?;
    let column = |values: &[f64], output: usize| -> Vec<f64> {
        values
            .iter()
            .skip(output)
            .step_by(outputs)
            .copied()
            .collect()
    };
    let per_output = (0..outputs)
        .map(|output| r2(&column(truth, output), &column(predicted, output)))
        .collect::<Result<Vec<f64>, _>>()?;
    Ok(MeanR2 {
        mean: per_output.iter().sum::<f64>() / outputs as f64,
        per_output,
    })
}

/// Pearson's correlation.
///
/// # Errors
/// As [`mean_squared_error`]; undefined if either series is constant.
pub fn pearson(truth: &[f64], predicted: &[f64]) -> Result<f64, MetricError> {
    check(truth, predicted)?;
    let moments = Moments::of(truth, predicted);
    let scale = (moments.variance_a * moments.variance_b).sqrt();
    if scale == 0.0 {
        return Err(MetricError::Undefined {
            metric: "Pearson's correlation",
            reason: "one of the series is constant",
        });
    }
    Ok((moments.covariance / scale).clamp(-1.0, 1.0))
}

/// Lin's concordance correlation `2·cov / (var + var + (difference of means)²)` with population
/// variances.
///
/// # Errors
/// As [`mean_squared_error`]; undefined if both series are the same constant.
pub fn concordance(truth: &[f64], predicted: &[f64]) -> Result<f64, MetricError> {
    check(truth, predicted)?;
    let moments = Moments::of(truth, predicted);
    let scale = moments.concordance_scale();
    if scale == 0.0 {
        return Err(MetricError::Undefined {
            metric: "the concordance correlation",
            reason: "both series are the same constant",
        });
    }
    Ok(2.0 * moments.covariance / scale)
}

/// Pearson's correlation as EmoCLIP's code computes it: 1e-5 is added to
/// `√(Σ(a − mean)² · Σ(b − mean)²)`, so a constant series gives 0.
///
/// # Errors
/// As [`mean_squared_error`].
pub fn emoclip_pearson(truth: &[f64], predicted: &[f64]) -> Result<f64, MetricError> {
    check(truth, predicted)?;
    Ok(Moments::of(truth, predicted).emoclip_pearson(truth.len()))
}

/// Concordance correlation as EmoCLIP's code computes it: from [`emoclip_pearson`] and population
/// deviations, with 1e-5 added to the denominator.
///
/// # Errors
/// As [`mean_squared_error`].
pub fn emoclip_concordance(truth: &[f64], predicted: &[f64]) -> Result<f64, MetricError> {
    check(truth, predicted)?;
    let moments = Moments::of(truth, predicted);
    let deviations = moments.variance_a.sqrt() * moments.variance_b.sqrt();
    let correlation = moments.emoclip_pearson(truth.len());
    Ok(2.0 * correlation * deviations / (moments.concordance_scale() + EMOCLIP_EPSILON))
}

/// First and second moments of a pair of series, divided by their length.
struct Moments {
    mean_a: f64,
    mean_b: f64,
    variance_a: f64,
    variance_b: f64,
    covariance: f64,
}

impl Moments {
    fn of(a: &[f64], b: &[f64]) -> Self {
        let count = a.len() as f64;
        let mean_a = a.iter().sum::<f64>() / count;
        let mean_b = b.iter().sum::<f64>() / count;
        let mut moments = Self {
            mean_a,
            mean_b,
            variance_a: 0.0,
            variance_b: 0.0,
            covariance: 0.0,
        };
        for (a, b) in a.iter().zip(b) {
            let (a, b) = (a - mean_a, b - mean_b);
            moments.variance_a += a * a / count;
            moments.variance_b += b * b / count;
            moments.covariance += a * b / count;
        }
        moments
    }

    fn concordance_scale(&self) -> f64 {
        self.variance_a + self.variance_b + (self.mean_a - self.mean_b).powi(2)
    }

    fn emoclip_pearson(&self, samples: usize) -> f64 {
        let samples = samples as f64;
        let scale = samples * (self.variance_a * self.variance_b).sqrt();
        samples * self.covariance / (scale + EMOCLIP_EPSILON)
    }
}

fn mean_of_differences(truth: &[f64], predicted: &[f64], cost: impl Fn(f64) -> f64) -> f64 {
    let costs = truth.iter().zip(predicted).map(|(y, p)| cost(y - p));
    costs.sum::<f64>() / truth.len() as f64
}

fn check(truth: &[f64], predicted: &[f64]) -> Result<(), MetricError> {
    if truth.is_empty() {
        return Err(MetricError::Empty("truth"));
    }
    check_length("predicted values", truth.len(), predicted.len())?;
    check_values("true value", truth, f64::is_finite)?;
    check_values("predicted value", predicted, f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: [f64; 4] = [3.0, -0.5, 2.0, 7.0];
    const PREDICTED: [f64; 4] = [2.5, 0.0, 2.0, 8.0];

    #[test]
    fn errors_of_a_small_series() {
        assert_eq!(mean_squared_error(&TRUTH, &PREDICTED), Ok(0.375));
        assert_eq!(
            root_mean_squared_error(&TRUTH, &PREDICTED),
            Ok(0.375_f64.sqrt())
        );
        assert_eq!(mean_absolute_error(&TRUTH, &PREDICTED), Ok(0.5));
        // Σ(y − mean)² = 29.1875, so R² = 1 − 1.5 / 29.1875.
        let expected = 1.0 - 1.5 / 29.1875;
        assert!((r2(&TRUTH, &PREDICTED).expect("valid") - expected).abs() < 1e-15);
    }

    #[test]
    fn exact_predictions_correlate_fully() {
        for metric in [pearson, concordance, r2] {
            assert!((metric(&TRUTH, &TRUTH).expect("valid") - 1.0).abs() < 1e-15);
        }
        let shifted = TRUTH.map(|value| value + 10.0);
        assert!((pearson(&TRUTH, &shifted).expect("valid") - 1.0).abs() < 1e-14);
        assert!(concordance(&TRUTH, &shifted).expect("valid") < 0.2);
    }

    #[test]
    fn constant_series_are_told_apart() {
        let flat = [2.0; 4];
        assert!(matches!(
            pearson(&TRUTH, &flat),
            Err(MetricError::Undefined { .. })
        ));
        assert_eq!(concordance(&TRUTH, &flat), Ok(0.0));
        assert!(concordance(&flat, &flat).is_err());
        assert_eq!(r2(&flat, &flat), Ok(1.0));
        assert_eq!(r2(&flat, &TRUTH), Ok(0.0));
        assert_eq!(emoclip_pearson(&TRUTH, &flat), Ok(0.0));
        assert_eq!(emoclip_concordance(&flat, &flat), Ok(0.0));
        assert!(r2(&[1.0], &[1.0]).is_err());
    }

    #[test]
    fn mean_r2_is_the_plain_mean_over_outputs() {
        // Output 0 is predicted exactly, output 1 by its mean.
        let truth = [1.0, 5.0, 2.0, 9.0];
        let predicted = [1.0, 7.0, 2.0, 7.0];
        let score = mean_r2(&truth, &predicted, 2).expect("valid");
        assert_eq!((score.mean, score.per_output), (0.5, vec![1.0, 0.0]));
    }

    #[test]
    fn bad_input_is_refused() {
        for metric in [
            mean_squared_error,
            root_mean_squared_error,
            mean_absolute_error,
            r2,
            pearson,
            concordance,
            emoclip_pearson,
            emoclip_concordance,
        ] {
            assert_eq!(metric(&[], &[]), Err(MetricError::Empty("truth")));
            assert!(matches!(
                metric(&TRUTH, &PREDICTED[1..]),
                Err(MetricError::Length { .. })
            ));
            assert!(matches!(
                metric(&[1.0, f64::NAN], &[1.0, 2.0]),
                Err(MetricError::NotANumber { index: 1, .. })
            ));
            assert!(matches!(
                metric(&[1.0, 2.0], &[f64::INFINITY, 2.0]),
                Err(MetricError::NotANumber { index: 0, .. })
            ));
        }
        assert!(mean_r2(&TRUTH, &PREDICTED, 0).is_err());
        assert!(mean_r2(&TRUTH, &PREDICTED, 3).is_err());
    }
}
