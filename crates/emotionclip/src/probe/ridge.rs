//! Ridge regression, the probe for valence, arousal and dominance.

use nalgebra::DMatrix;

use super::axes::PrincipalAxes;
use super::features::check_finite;
use super::fit::LinearFit;
use super::{Features, HeadKind, ProbeError, parallel};

/// Ridge regression: minimises `‖y − Xw − b‖² + α‖w‖²` for each output, bias unpenalised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ridge {
    /// Strength of the penalty, positive; the protocols use 1.
    pub alpha: f64,
}

impl Ridge {
    /// Fits `outputs` targets at once; `targets` is `[N, outputs]`, row-major.
    ///
    /// In the features' principal axes the solution is `wᵢ = zᵢᵀ(y − mean) / (‖zᵢ‖² + α)`.
    ///
    /// # Errors
    /// Targets of another number than `N · outputs` or not finite; no output; `alpha` out of
    /// range.
    pub fn fit(
        &self,
        features: Features<'_>,
        targets: &[f32],
        outputs: usize,
    ) -> Result<LinearFit, ProbeError> {
        self.check(features, targets, outputs)?;
        let samples = features.samples();
        let mut means = vec![0.0; outputs];
        for row in targets.chunks_exact(outputs) {
            for (mean, &target) in means.iter_mut().zip(row) {
                *mean += f64::from(target) / samples as f64;
            }
        }
        let axes = PrincipalAxes::of(features)?;
        let parts = parallel::map(&parallel::chunks(samples), |&(first, last)| {
            let rows = &targets[first * outputs..last * outputs];
            let centred = rows
                .iter()
                .zip(means.iter().cycle())
                .map(|(&target, mean)| f64::from(target) - mean);
            // Column-major [outputs, rows] is row-major [rows, outputs].
            let centred = DMatrix::from_iterator(outputs, last - first, centred);
            centred * axes.coordinates(features, (first, last))
        });
        let mut weights = parts
            .into_iter()
            .fold(
                DMatrix::zeros(outputs, axes.moments().len()),
                |sum, part| sum + part,
            )
            .transpose();
        for (mut row, moment) in weights.row_iter_mut().zip(axes.moments().iter()) {
            row /= moment + self.alpha;
        }
        let (weights, bias) = axes.to_features(&weights, &means);
        Ok(LinearFit {
            kind: HeadKind::Ridge,
            width: features.width(),
            weights,
            bias,
            convergence: Vec::new(),
            warnings: Vec::new(),
        })
    }

    fn check(
        &self,
        features: Features<'_>,
        targets: &[f32],
        outputs: usize,
    ) -> Result<(), ProbeError> {
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            return Err(ProbeError::Setting {
                name: "alpha",
                value: self.alpha,
                expected: "positive and finite",
            });
        }
        if outputs == 0 || targets.len() != features.samples() * outputs {
            return Err(ProbeError::Length {
                what: "targets",
                expected: features.samples() * outputs.max(1),
                found: targets.len(),
            });
        }
        check_finite("target", targets.iter().copied(), outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_feature_matches_the_formula() {
        // Centred x is (−1, 0, 1) and xᵀy = 3, so w = 3 / (2 + α) and b = mean(y) − 2w.
        let fit = Ridge { alpha: 1.0 }
            .fit(
                Features::new(&[1.0, 2.0, 3.0], 1).expect("finite"),
                &[1.0, 5.0, 4.0],
                1,
            )
            .expect("fits");
        let expected = 10.0 / 3.0 - 2.0;
        assert!((fit.weights[0] - 1.0).abs() < 1e-14);
        assert!((fit.bias[0] - expected).abs() < 1e-14);
    }

    #[test]
    fn constant_features_leave_the_mean() {
        let fit = Ridge { alpha: 1.0 }
            .fit(
                Features::new(&[7.0; 6], 2).expect("finite"),
                &[1.0, 2.0, 6.0],
                1,
            )
            .expect("fits");
        assert_eq!(fit.weights, [0.0, 0.0]);
        assert!((fit.bias[0] - 3.0).abs() < 1e-14);
    }

    #[test]
    fn bad_input_is_refused() {
        let features = Features::new(&[1.0, 2.0, 3.0], 1).expect("finite");
        let fit = |alpha, targets: &[f32], outputs| {
            Ridge { alpha }
                .fit(features, targets, outputs)
                .expect_err("bad input")
        };
        assert!(matches!(
            fit(0.0, &[1.0; 3], 1),
            ProbeError::Setting { name: "alpha", .. }
        ));
        assert!(matches!(fit(1.0, &[1.0; 3], 0), ProbeError::Length { .. }));
        assert!(matches!(fit(1.0, &[1.0; 5], 2), ProbeError::Length { .. }));
        assert_eq!(
            fit(1.0, &[1.0, 2.0, 3.0, 4.0, f32::NAN, 6.0], 2),
            ProbeError::NotFinite {
                what: "target",
                row: 2,
                column: 0
            }
        );
    }
}
