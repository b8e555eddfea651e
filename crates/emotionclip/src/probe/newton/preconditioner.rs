//! An approximate inverse of the Hessian of a logistic regression.
//!
//! In centred, uncorrelated coordinates the Hessian would be `Λ ⊗ S + I/C` if every sample had the
//! same curvature: `Λ` holds the coordinates' sums of squares and `S`, the mean curvature of the
//! loss in the scores, is a number for a binary problem and a `[K, K]` matrix for a softmax. Its
//! eigenvectors turn that into a diagonal. Keeping `S` whole matters for a softmax, which does not
//! see a shift of all scores: along it the Hessian is `1/C` alone.

use nalgebra::{DMatrix, DMatrixView, DVector, SymmetricEigen};

/// Curvature below this share of the largest is rounding (the shift of all scores).
const SMALLEST_SHARE: f64 = 1e-8;

/// Keeps the inverse finite where every probability is saturated.
const SMALLEST_CURVATURE: f64 = 1e-12;

/// `(Λ ⊗ S + penalty)⁻¹`, without penalty on the biases.
pub(super) struct Preconditioner {
    /// Eigenvectors of `S`, `[K, K]`.
    rotation: DMatrix<f64>,
    /// `[R + 1, K]`
    diagonal: DMatrix<f64>,
}

impl Preconditioner {
    /// From the mean curvature `[K, K]`, the moments `[R + 1]` (the bias last) and `1/C`.
    pub(super) fn new(curvature: DMatrix<f64>, moments: &DVector<f64>, penalty: f64) -> Self {
        let SymmetricEigen {
            eigenvectors,
            eigenvalues,
        } = SymmetricEigen::new(curvature);
        let smallest = (SMALLEST_SHARE * eigenvalues.max()).max(SMALLEST_CURVATURE);
        let axes = moments.len() - 1;
        let diagonal = DMatrix::from_fn(axes + 1, eigenvalues.len(), |row, column| {
            let penalty = if row < axes { penalty } else { 0.0 };
            moments[row] * eigenvalues[column].max(smallest) + penalty
        });
        Self {
            rotation: eigenvectors,
            diagonal,
        }
    }

    /// The inverse times one problem's `[R + 1, K]`.
    pub(super) fn apply(&self, residual: DMatrixView<'_, f64>) -> DMatrix<f64> {
        (residual * &self.rotation).component_div(&self.diagonal) * self.rotation.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_curvature_is_inverted() {
        // The softmax curvature at p = (0.2, 0.3, 0.5): rows and columns sum to zero.
        let p = DVector::from_column_slice(&[0.2, 0.3, 0.5]);
        let curvature = DMatrix::from_diagonal(&p) - &p * p.transpose();
        let moments = DVector::from_column_slice(&[7.0, 0.01, 40.0]);
        let penalty = 0.3;
        let preconditioner = Preconditioner::new(curvature.clone(), &moments, penalty);
        // The bias row has no shift of all scores, which has no curvature.
        let vector =
            DMatrix::from_row_slice(3, 3, &[1.0, -2.0, 0.5, 3.0, 0.0, 1.0, 2.0, -3.0, 1.0]);
        let mut product = DMatrix::from_diagonal(&moments) * &vector * &curvature;
        let mut weights = product.rows_mut(0, 2);
        weights += vector.rows(0, 2) * penalty;
        let solved = preconditioner.apply(product.columns(0, 3));
        // The shift's curvature of 0 is taken as 1e-8 of the largest: 3e-8 beside the penalty's 0.3.
        assert!((solved - vector).amax() < 1e-6);
    }

    #[test]
    fn saturated_probabilities_keep_it_finite() {
        let moments = DVector::from_column_slice(&[0.0, 5.0]);
        let preconditioner = Preconditioner::new(DMatrix::zeros(1, 1), &moments, 1e-3);
        let residual = DMatrix::from_element(2, 1, 1.0);
        let applied = preconditioner.apply(residual.columns(0, 1));
        assert!(
            applied
                .iter()
                .all(|value| value.is_finite() && *value > 0.0)
        );
    }
}
