//! Several labels a sample: averages over classes, and whether the first guess is among the labels.

use super::error::{check_length, check_values};
use super::{MetricError, average_precision, roc_auc};

/// A score of every class and their mean.
#[derive(Clone, Debug, PartialEq)]
pub struct MacroScore {
    /// Mean over the classes that have a score.
    pub mean: f64,
    /// Score of each class; `None` where it is left out of the mean.
    pub per_class: Vec<Option<f64>>,
    /// Classes whose truth does not define a score; worth a warning.
    pub undefined: Vec<usize>,
}

/// Mean average precision over classes; `truth` and `scores` are `[N, classes]`, row-major.
///
/// A class without a positive sample counts as 0, as in scikit-learn, and is listed as undefined.
///
/// # Errors
/// No samples or classes, lengths that are no `[N, classes]`, a NaN score.
pub fn macro_average_precision(
    truth: &[bool],
    scores: &[f64],
    classes: usize,
) -> Result<MacroScore, MetricError> {
    let columns = columns(truth, scores, classes)?;
    let mut per_class = Vec::with_capacity(classes);
    let mut undefined = Vec::new();
    for (class, (truth, scores)) in columns.enumerate() {
        if !truth.contains(&true) {
            undefined.push(class);
        }
        per_class.push(average_precision(&truth, &scores)?);
    }
    Ok(MacroScore {
        mean: per_class.iter().sum::<f64>() / classes as f64,
        per_class: per_class.into_iter().map(Some).collect(),
        undefined,
    })
}

/// Mean area under the ROC curve over classes; `truth` and `scores` are `[N, classes]`, row-major.
///
/// A class whose samples are all positive or all negative is left out and listed as undefined.
///
/// # Errors
/// No samples or classes, lengths that are no `[N, classes]`, a NaN score; undefined when every
/// class is left out.
pub fn macro_roc_auc(
    truth: &[bool],
    scores: &[f64],
    classes: usize,
) -> Result<MacroScore, MetricError> {
    let columns = columns(truth, scores, classes)?;
    let mut per_class = Vec::with_capacity(classes);
    let mut undefined = Vec::new();
    for (class, (truth, scores)) in columns.enumerate() {
        match roc_auc(&truth, &scores) {
            Ok(area) => per_class.push(Some(area)),
            Err(MetricError::Undefined { .. }) => {
                per_class.push(None);
                undefined.push(class);
            }
            Err(error) => return Err(error),
        }
    }
    let defined: Vec<f64> = per_class.iter().copied().flatten().collect();
    if defined.is_empty() {
        return Err(MetricError::Undefined {
            metric: "macro AUC",
            reason: "no class has both positive and negative samples",
        });
    }
    Ok(MacroScore {
        mean: defined.iter().sum::<f64>() / defined.len() as f64,
        per_class,
        undefined,
    })
}

/// Share of samples whose highest-scored class (the first of equals) is among their labels;
/// `truth` and `scores` are `[N, classes]`, row-major. A sample without a label is a miss, as in
/// the MovieGraphs protocol.
///
/// # Errors
/// No samples or classes, lengths that are no `[N, classes]`, a NaN score.
pub fn top1_hit_rate(truth: &[bool], scores: &[f64], classes: usize) -> Result<f64, MetricError> {
    let samples = check(truth, scores, classes)?;
    let rows = truth
        .chunks_exact(classes)
        .zip(scores.chunks_exact(classes));
    let hits = rows
        .filter(|(truth, scores)| {
            let first_best = |best: usize, class: usize| {
                if scores[class] > scores[best] {
                    class
                } else {
                    best
                }
            };
            truth[(0..classes).fold(0, first_best)]
        })
        .count();
    Ok(hits as f64 / samples as f64)
}

/// Number of samples of `[N, classes]` inputs.
fn check(truth: &[bool], scores: &[f64], classes: usize) -> Result<usize, MetricError> {
    if truth.is_empty() || classes == 0 {
        return Err(MetricError::Empty("truth"));
    }
    let samples = truth.len().div_ceil(classes);
    check_length("truth", samples * classes, truth.len())?;
    check_length("scores", truth.len(), scores.len())?;
    check_values("score", scores, |score| !score.is_nan())?;
    Ok(samples)
}

/// Truth and scores of each class.
fn columns(
    truth: &[bool],
    scores: &[f64],
    classes: usize,
) -> Result<impl Iterator<Item = (Vec<bool>, Vec<f64>)>, MetricError> {
    check(truth, scores, classes)?;
    Ok((0..classes).map(move |class| {
        (
            truth.iter().skip(class).step_by(classes).copied().collect(),
            scores
                .iter()
                .skip(class)
                .step_by(classes)
                .copied()
                .collect(),
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: [bool; 9] = [true, false, true, false, false, true, true, false, true];
    const SCORES: [f64; 9] = [0.9, 0.1, 0.5, 0.2, 0.3, 0.4, 0.6, 0.8, 0.7];

    #[test]
    fn absent_class_has_no_precision_and_no_auc() {
        let precision = macro_average_precision(&TRUTH, &SCORES, 3).expect("valid");
        assert_eq!(precision.undefined, [1]);
        assert_eq!(precision.per_class, [Some(1.0), Some(0.0), Some(1.0)]);
        assert!((precision.mean - 2.0 / 3.0).abs() < 1e-15);
        // Class 2 is always present, so it has no AUC either.
        let area = macro_roc_auc(&TRUTH, &SCORES, 3).expect("valid");
        assert_eq!((area.mean, area.undefined), (1.0, vec![1, 2]));
        assert_eq!(area.per_class, [Some(1.0), None, None]);
    }

    #[test]
    fn no_class_with_both_kinds_has_no_mean() {
        assert!(matches!(
            macro_roc_auc(&[true, false], &[0.1, 0.2], 2),
            Err(MetricError::Undefined { .. })
        ));
    }

    #[test]
    fn unlabelled_sample_is_a_miss() {
        assert_eq!(top1_hit_rate(&TRUTH, &SCORES, 3), Ok(2.0 / 3.0));
        assert_eq!(top1_hit_rate(&[false; 3], &[0.1, 0.2, 0.3], 3), Ok(0.0));
        assert_eq!(top1_hit_rate(&[true, false], &[0.5, 0.5], 2), Ok(1.0));
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(top1_hit_rate(&[], &[], 3).is_err());
        assert!(top1_hit_rate(&[true], &[1.0], 0).is_err());
        assert!(top1_hit_rate(&[true; 4], &[1.0; 4], 3).is_err());
        assert!(macro_roc_auc(&[true; 4], &[1.0; 3], 2).is_err());
        assert!(macro_average_precision(&[true; 2], &[1.0, f64::NAN], 2).is_err());
    }
}
