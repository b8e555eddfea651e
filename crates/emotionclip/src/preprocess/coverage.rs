//! How much of each patch the subject covers, as plain numbers for tests and reports.

use super::error::PreprocessError;

/// Fraction of each patch's pixels that the mask covers: mean pooling of a mask `[size, size]`
/// over `patch` x `patch` squares, row-major `[(size / patch)²]`. These are the weights `c_i` of
/// the human token in subject-aware prompting.
///
/// # Errors
/// The mask is not `size`² long, or `size` is no multiple of `patch`.
pub fn patch_coverage(
    mask: &[f32],
    size: usize,
    patch: usize,
) -> Result<Vec<f32>, PreprocessError> {
    if patch == 0 || size == 0 || !size.is_multiple_of(patch) {
        return Err(PreprocessError::Patch { size, patch });
    }
    if mask.len() != size.saturating_mul(size) {
        return Err(PreprocessError::Length {
            what: "the mask",
            length: mask.len(),
            expected: size.saturating_mul(size),
        });
    }
    let grid = size / patch;
    let mut coverage = vec![0.0; grid * grid];
    for (sums, rows) in coverage
        .chunks_exact_mut(grid)
        .zip(mask.chunks_exact(patch * size))
    {
        for row in rows.chunks_exact(size) {
            for (sum, pixels) in sums.iter_mut().zip(row.chunks_exact(patch)) {
                *sum += pixels.iter().sum::<f32>();
            }
        }
    }
    let area = (patch * patch) as f32;
    coverage.iter_mut().for_each(|sum| *sum /= area);
    Ok(coverage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_stand_at_their_patch() {
        // 4 x 4 pixels in patches of 2: the first patch full, the last one quarter covered.
        let mut mask = [0.0; 16];
        for index in [0, 1, 4, 5, 15] {
            mask[index] = 1.0;
        }
        assert_eq!(patch_coverage(&mask, 4, 2).unwrap(), [1.0, 0.0, 0.0, 0.25]);
    }

    #[test]
    fn coverage_sums_to_the_covered_area() {
        let mask: Vec<f32> = (0..48 * 48)
            .map(|index| f32::from(index % 7 == 0 || index % 5 == 2))
            .collect();
        for patch in [1, 8, 16, 48] {
            let coverage = patch_coverage(&mask, 48, patch).unwrap();
            // Counts below 2^24 over powers of two times 3: exact up to one rounding a patch.
            let covered = coverage.iter().sum::<f32>() * (patch * patch) as f32;
            assert!((covered - mask.iter().sum::<f32>()).abs() < 1e-2);
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        assert!(patch_coverage(&[0.0; 16], 4, 3).is_err());
        assert!(patch_coverage(&[0.0; 16], 4, 0).is_err());
        assert!(patch_coverage(&[0.0; 15], 4, 2).is_err());
        assert!(patch_coverage(&[], 0, 2).is_err());
    }
}
