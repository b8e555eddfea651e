//! Probes of numbers: ridge regression, and the smoothing over films.

use emotionclip::probe::{Features, LinearHead, Ridge, l2_normalised};

use super::outcome::{Metric, ProtocolOutcome};
use super::{ProtocolError, ProtocolPart};
use crate::metrics::{mean_r2, mean_squared_error, pearson, savitzky_golay};

/// Strength of the penalty, scikit-learn's default.
const ALPHA: f64 = 1.0;

/// Seconds of the smoothing's window.
const WINDOW: usize = 100;

/// Degree of its polynomial.
const ORDER: usize = 3;

impl ProtocolOutcome {
    /// A ridge regression of all the set's numbers.
    pub(super) fn fit_ridge(
        &mut self,
        train: &ProtocolPart<'_>,
    ) -> Result<LinearHead, ProtocolError> {
        let names = self.dataset.values();
        let values = l2_normalised(train.features);
        let features = Features::new(&values, train.features.width())?;
        let targets = train.values.iter().flatten().map(|value| *value as f32);
        let targets: Vec<f32> = targets.collect();
        let fit = Ridge { alpha: ALPHA }.fit(features, &targets, names.len())?;
        self.keep("values", fit, names)
    }

    /// R² of each number and their plain mean.
    pub(super) fn explain_values(
        &mut self,
        probe: &LinearHead,
        held_out: &[ProtocolPart<'_>],
    ) -> Result<(), ProtocolError> {
        let names = self.dataset.values();
        for part in held_out {
            let truth: Vec<f64> = part.values.iter().flatten().copied().collect();
            let predicted = probe.predict(part.features)?;
            let r2 = mean_r2(&truth, &predicted, names.len())?;
            self.report(part.split, Metric::R2, r2.mean);
            for (name, value) in names.iter().zip(r2.per_output) {
                self.report_output(part.split, Metric::R2, Some(name), value);
            }
        }
        Ok(())
    }

    /// Error and correlation of each number after smoothing, once over all films of a part in a
    /// row, and their means.
    pub(super) fn follow_films(
        &mut self,
        probe: &LinearHead,
        held_out: &[ProtocolPart<'_>],
    ) -> Result<(), ProtocolError> {
        let names = self.dataset.values();
        for part in held_out {
            let predicted = probe.predict(part.features)?;
            let (mut errors, mut correlations) = (Vec::new(), Vec::new());
            for output in 0..names.len() {
                let series = predicted.iter().skip(output).step_by(names.len());
                let series: Vec<f64> = series.copied().collect();
                let smoothed = savitzky_golay(&series, WINDOW, ORDER)?;
                let truth = part.column(output);
                errors.push(mean_squared_error(&truth, &smoothed)?);
                correlations.push(pearson(&truth, &smoothed)?);
            }
            for (metric, values) in [(Metric::Mse, errors), (Metric::Pearson, correlations)] {
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                self.report(part.split, metric, mean);
                for (name, value) in names.iter().zip(values) {
                    self.report_output(part.split, metric, Some(name), value);
                }
            }
        }
        Ok(())
    }
}
