//! How sure a measured share is.

use super::MetricError;
use super::error::check_length;

/// Quantile of the normal distribution for a two-sided interval of 95 %.
const Z_95: f64 = 1.959_963_984_540_054;

/// Wilson's 95 % score interval of a `share` in `[0, 1]` measured on `samples` independent samples;
/// `None` without samples.
pub fn wilson_interval(share: f64, samples: u64) -> Option<(f64, f64)> {
    if samples == 0 {
        return None;
    }
    let n = samples as f64;
    let spread = Z_95 * Z_95 / n;
    let centre = (share + spread / 2.0) / (1.0 + spread);
    let reach = Z_95
        * (share * (1.0 - share) / n + spread / (4.0 * n))
            .max(0.0)
            .sqrt()
        / (1.0 + spread);
    // Of none or all the interval ends at the share itself, which rounding may miss.
    let low = (centre - reach).max(0.0).min(share);
    let high = (centre + reach).min(1.0).max(share);
    Some((low, high))
}

/// How two sets of answers to the same questions differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedDifference {
    /// Share right of the first minus share right of the second, in `[−1, 1]`.
    pub difference: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
}

impl PairedDifference {
    /// Compares two lists, both `[N]`, of whether each question was answered right.
    ///
    /// The interval is the normal one of the mean of the questions' differences, each −1, 0 or 1:
    /// questions that both answer alike add certainty, which two separate intervals would not see.
    ///
    /// # Errors
    /// No questions, different lengths.
    pub fn new(first: &[bool], second: &[bool]) -> Result<Self, MetricError> {
        if first.is_empty() {
            return Err(MetricError::Empty("answers"));
        }
        check_length("answers", first.len(), second.len())?;
        let count = first.len() as f64;
        let only = |one: &[bool], other: &[bool]| {
            let pairs = one.iter().zip(other);
            pairs.filter(|(one, other)| **one && !**other).count() as f64
        };
        let (gained, lost) = (only(first, second), only(second, first));
        let difference = (gained - lost) / count;
        let variance = (gained + lost) / count - difference * difference;
        let reach = Z_95 * (variance.max(0.0) / count).sqrt();
        Ok(Self {
            difference,
            interval: (difference - reach, difference + reach),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_interval_matches_the_textbook() {
        // 81 of 100: Wilson's interval is (0.7222, 0.8749), by hand.
        let (low, high) = wilson_interval(0.81, 100).unwrap();
        assert!(
            (low - 0.7222).abs() < 1e-4 && (high - 0.8749).abs() < 1e-4,
            "{low} {high}"
        );
        assert!(wilson_interval(0.5, 0).is_none());
    }

    #[test]
    fn none_and_all_end_their_interval() {
        for samples in 1..200 {
            let (low, high) = wilson_interval(0.0, samples).unwrap();
            assert!(low == 0.0 && high > 0.0 && high < 1.0);
            let (low, high) = wilson_interval(1.0, samples).unwrap();
            assert!(low > 0.0 && low < 1.0 && high == 1.0);
        }
    }

    #[test]
    fn answers_alike_add_certainty() {
        let right = |count: usize| -> Vec<bool> { (0..100).map(|index| index < count).collect() };
        let found = PairedDifference::new(&right(60), &right(50)).unwrap();
        assert!((found.difference - 0.1).abs() < 1e-12);
        // Ten of a hundred differ: sqrt((0.1 − 0.01) / 100) = 0.03 is the deviation.
        assert!((found.interval.1 - 0.1 - 1.96 * 0.03).abs() < 1e-4);
        let same = PairedDifference::new(&right(60), &right(60)).unwrap();
        assert_eq!((same.difference, same.interval), (0.0, (0.0, 0.0)));
        let turned = PairedDifference::new(&right(50), &right(60)).unwrap();
        assert!((turned.difference + 0.1).abs() < 1e-12);
        assert!(PairedDifference::new(&[], &[]).is_err());
        assert!(PairedDifference::new(&[true], &[true, false]).is_err());
    }
}
