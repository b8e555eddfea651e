//! How well scores put the positives of one class first.

use super::MetricError;
use super::error::{check_length, check_values};

/// Area under the precision-recall curve as scikit-learn's `average_precision_score` takes it:
/// `Σ (Rₙ − Rₙ₋₁) Pₙ` over the distinct scores from the top; 0 without a positive.
///
/// # Errors
/// No samples, different lengths, a NaN score.
pub fn average_precision(truth: &[bool], scores: &[f64]) -> Result<f64, MetricError> {
    let groups = tied_groups(truth, scores)?;
    let positives: usize = groups.iter().map(|group| group.positives).sum();
    if positives == 0 {
        return Ok(0.0);
    }
    let (mut found, mut seen, mut area) = (0, 0, 0.0);
    for group in groups {
        found += group.positives;
        seen += group.positives + group.negatives;
        area += group.positives as f64 * found as f64 / seen as f64;
    }
    Ok(area / positives as f64)
}

/// Area under the ROC curve: how often a positive scores higher than a negative, ties counting
/// half, as scikit-learn's `roc_auc_score`.
///
/// # Errors
/// No samples, different lengths, a NaN score; undefined when all samples are of one kind.
pub fn roc_auc(truth: &[bool], scores: &[f64]) -> Result<f64, MetricError> {
    let groups = tied_groups(truth, scores)?;
    let (mut above, mut negatives, mut ordered) = (0.0, 0.0, 0.0);
    for group in groups {
        let positives = group.positives as f64;
        ordered += group.negatives as f64 * (above + positives / 2.0);
        above += positives;
        negatives += group.negatives as f64;
    }
    if above == 0.0 || negatives == 0.0 {
        return Err(MetricError::Undefined {
            metric: "AUC",
            reason: "all samples are of one kind",
        });
    }
    Ok(ordered / (above * negatives))
}

/// Samples of one score.
struct Group {
    positives: usize,
    negatives: usize,
}

/// Samples grouped by score, the highest first.
fn tied_groups(truth: &[bool], scores: &[f64]) -> Result<Vec<Group>, MetricError> {
    if truth.is_empty() {
        return Err(MetricError::Empty("truth"));
    }
    check_length("scores", truth.len(), scores.len())?;
    check_values("score", scores, |score| !score.is_nan())?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let groups = order.chunk_by(|&a, &b| scores[a] == scores[b]);
    Ok(groups
        .map(|group| {
            let positives = group.iter().filter(|&&sample| truth[sample]).count();
            Group {
                positives,
                negatives: group.len() - positives,
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn textbook_ranking() {
        // Positives at ranks 1 and 3: AP = (1/1 + 2/3) / 2; 3 of the 4 pairs are in order.
        let (truth, scores) = ([false, true, false, true], [0.1, 0.35, 0.4, 0.8]);
        let precision = average_precision(&truth, &scores).expect("valid");
        assert!((precision - 5.0 / 6.0).abs() < 1e-15);
        assert_eq!(roc_auc(&truth, &scores), Ok(0.75));
    }

    #[test]
    fn ties_count_half_and_share_a_threshold() {
        let truth = [true, false, true, false];
        assert_eq!(roc_auc(&truth, &[0.0, -0.0, 0.0, 0.0]), Ok(0.5));
        assert_eq!(average_precision(&truth, &[1.0; 4]), Ok(0.5));
    }

    #[test]
    fn infinite_scores_have_their_place() {
        let scores = [f64::INFINITY, 0.0, f64::NEG_INFINITY];
        assert_eq!(roc_auc(&[true, true, false], &scores), Ok(1.0));
    }

    #[test]
    fn one_kind_of_sample_has_no_auc_and_no_positive_has_no_precision() {
        for truth in [[true; 2], [false; 2]] {
            assert!(matches!(
                roc_auc(&truth, &[0.1, 0.2]),
                Err(MetricError::Undefined { metric: "AUC", .. })
            ));
        }
        assert_eq!(average_precision(&[false; 2], &[0.1, 0.2]), Ok(0.0));
    }

    #[test]
    fn bad_input_is_refused() {
        for metric in [average_precision, roc_auc] {
            assert_eq!(metric(&[], &[]), Err(MetricError::Empty("truth")));
            assert!(matches!(
                metric(&[true], &[0.0, 1.0]),
                Err(MetricError::Length { .. })
            ));
            assert!(matches!(
                metric(&[true, false], &[0.0, f64::NAN]),
                Err(MetricError::NotANumber { index: 1, .. })
            ));
        }
    }
}
