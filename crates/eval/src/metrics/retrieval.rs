//! Retrieval: at which rank a query finds what belongs to it.

use super::MetricError;
use super::error::{check_length, check_values};

/// Rank, from 1, of the relevant candidate of every query in `similarity`
/// `[queries, candidates]` (row-major); `relevant` is `[queries]`.
///
/// Candidates of equal similarity are ranked before the relevant one, so that a model that finds
/// everything equally similar gains nothing.
///
/// # Errors
/// No queries or candidates, lengths that don't fit, a relevant index that is not below
/// `candidates`, a NaN similarity.
pub fn retrieval_ranks(
    similarity: &[f64],
    candidates: usize,
    relevant: &[usize],
) -> Result<Vec<usize>, MetricError> {
    if relevant.is_empty() || candidates == 0 {
        return Err(MetricError::Empty("similarity"));
    }
    check_length(
        "similarities",
        relevant.len().saturating_mul(candidates),
        similarity.len(),
    )?;
    check_values("similarity", similarity, |value| !value.is_nan())?;
    let queries = similarity
        .chunks_exact(candidates)
        .zip(relevant)
        .enumerate();
    queries
        .map(|(index, (row, &relevant))| {
            let own = row.get(relevant).ok_or(MetricError::OutOfRange {
                what: "relevant candidate",
                index,
                value: relevant,
                bound: candidates,
            })?;
            Ok(row.iter().filter(|&other| other >= own).count())
        })
        .collect()
}

/// Share of `ranks` (from 1) that are at most `k`.
///
/// # Errors
/// No ranks.
pub fn recall_at(ranks: &[usize], k: usize) -> Result<f64, MetricError> {
    if ranks.is_empty() {
        return Err(MetricError::Empty("ranks"));
    }
    let found = ranks.iter().filter(|&&rank| rank <= k).count();
    Ok(found as f64 / ranks.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_what_is_as_similar() {
        let similarity = [0.9, 0.1, 0.5, 0.2, 0.2, 0.7];
        let ranks = retrieval_ranks(&similarity, 3, &[0, 1]).expect("valid");
        assert_eq!(ranks, [1, 3]);
        assert_eq!(recall_at(&ranks, 1), Ok(0.5));
        assert_eq!(recall_at(&ranks, 3), Ok(1.0));
        assert_eq!(recall_at(&ranks, 0), Ok(0.0));
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(retrieval_ranks(&[], 0, &[]).is_err());
        assert!(retrieval_ranks(&[0.0; 3], 2, &[0]).is_err());
        assert!(retrieval_ranks(&[0.0, f64::NAN], 2, &[0]).is_err());
        assert!(matches!(
            retrieval_ranks(&[0.0; 4], 2, &[1, 2]),
            Err(MetricError::OutOfRange {
                index: 1,
                value: 2,
                ..
            })
        ));
        assert!(recall_at(&[], 1).is_err());
    }
}
