//! Features turned to their principal axes, where the probes' problems are nearly diagonal.
//!
//! A rotation changes neither the penalty `‖w‖²` nor the scores, so a problem solved in the
//! coordinates `z = Vᵀ(x − μ)` has the same optimum. There `ZᵀZ` is diagonal: ridge regression has
//! a closed form, and the Hessian of a logistic regression is close enough to
//! `mean(p(1 − p))·ZᵀZ + 1/C` for that diagonal to be a good preconditioner. Centring takes the
//! unpenalised bias out of the coupling as well.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

use super::features::Features;
use super::{ProbeError, parallel};

/// Partial Gram matrices held at once; each is `[D, D]`.
const GRAM_BANDS: usize = 8;

/// QR sweeps allowed per eigenvalue; two or three are usual.
const SWEEPS_PER_EIGENVALUE: usize = 100;

/// Mean and principal axes of features `[N, D]`.
pub(super) struct PrincipalAxes {
    /// `[D]`
    mean: Vec<f64>,
    /// Orthonormal columns `[D, R]`, `R = min(N, D)`; they span every centred row.
    axes: DMatrix<f64>,
    /// Sum of squared coordinates along each axis, `[R]`.
    moments: DVector<f64>,
}

impl PrincipalAxes {
    /// The axes of `features`.
    pub(super) fn of(features: Features<'_>) -> Result<Self, ProbeError> {
        let mean = column_means(features);
        let (samples, width) = (features.samples(), features.width());
        if samples < width {
            // Few long rows: X = RᵀQᵀ, and only the small R remains to be diagonalised.
            let (basis, triangle) = centred(features.values(), &mean).qr().unpack();
            let (moments, rotation) = eigen(&triangle * triangle.transpose())?;
            return Ok(Self {
                mean,
                axes: basis * rotation,
                moments,
            });
        }
        let (moments, axes) = eigen(gram(features, &mean))?;
        Ok(Self {
            mean,
            axes,
            moments,
        })
    }

    /// Sum of squared coordinates along each axis, `[R]`.
    pub(super) fn moments(&self) -> &DVector<f64> {
        &self.moments
    }

    /// Coordinates of the rows `first..last`, `[last − first, R]`.
    pub(super) fn coordinates(
        &self,
        features: Features<'_>,
        (first, last): (usize, usize),
    ) -> DMatrix<f64> {
        centred(features.row_range(first, last), &self.mean).transpose() * &self.axes
    }

    /// Weights `[O, D]` (row-major) and biases `[O]` that score features as `weights` `[R, O]` and
    /// `bias` `[O]` score coordinates.
    pub(super) fn to_features(&self, weights: &DMatrix<f64>, bias: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let turned = &self.axes * weights;
        let mean = DVector::from_column_slice(&self.mean);
        let bias = bias
            .iter()
            .zip(turned.column_iter())
            .map(|(bias, column)| bias - column.dot(&mean))
            .collect();
        (turned.as_slice().to_vec(), bias)
    }
}

/// Mean of every column, `[D]`.
fn column_means(features: Features<'_>) -> Vec<f64> {
    let mut sums = vec![0.0; features.width()];
    for row in features.rows() {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    let samples = features.samples() as f64;
    sums.iter_mut().for_each(|sum| *sum /= samples);
    sums
}

/// Rows minus the mean, one a column, `[D, rows]`.
fn centred(values: &[f32], mean: &[f64]) -> DMatrix<f64> {
    let width = mean.len();
    let differences = values.iter().zip(mean.iter().cycle());
    DMatrix::from_iterator(
        width,
        values.len() / width,
        differences.map(|(&value, mean)| f64::from(value) - mean),
    )
}

/// `XᵀX` of the centred features, `[D, D]`.
fn gram(features: Features<'_>, mean: &[f64]) -> DMatrix<f64> {
    let width = features.width();
    let chunks = parallel::chunks(features.samples());
    let bands: Vec<_> = chunks
        .chunks(chunks.len().div_ceil(GRAM_BANDS).max(1))
        .collect();
    let partial = parallel::map(&bands, |band| {
        let mut sum = DMatrix::zeros(width, width);
        for &(first, last) in *band {
            let rows = centred(features.row_range(first, last), mean);
            sum.gemm(1.0, &rows, &rows.transpose(), 1.0);
        }
        sum
    });
    partial
        .into_iter()
        .fold(DMatrix::zeros(width, width), |sum, part| sum + part)
}

/// Eigenvalues (negative rounding cut to 0) and orthonormal eigenvectors of a symmetric matrix.
fn eigen(matrix: DMatrix<f64>) -> Result<(DVector<f64>, DMatrix<f64>), ProbeError> {
    let sweeps = SWEEPS_PER_EIGENVALUE * matrix.nrows();
    let decomposition =
        SymmetricEigen::try_new(matrix, f64::EPSILON, sweeps).ok_or(ProbeError::Axes)?;
    let moments = decomposition.eigenvalues.map(|value| value.max(0.0));
    Ok((moments, decomposition.eigenvectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(samples: usize, width: usize) {
        let values: Vec<f32> = (0..samples * width)
            .map(|i| ((i * i + 3 * i) % 17) as f32 + if i % width == 0 { 100.0 } else { 0.0 })
            .collect();
        let features = Features::new(&values, width).expect("finite");
        let axes = PrincipalAxes::of(features).expect("converges");
        let z = axes.coordinates(features, (0, samples));
        let scatter = z.transpose() * &z;
        // Rounding of a sum of `samples` products, relative to the largest moment.
        let tolerance = 1e-12 * axes.moments().max() * samples as f64;
        let off = &scatter - DMatrix::from_diagonal(axes.moments());
        assert!(
            off.amax() < tolerance,
            "{samples} × {width}: {}",
            off.amax()
        );

        // Distances survive, so no row was left outside the span of the axes.
        let distance = |i: usize, j: usize| (z.row(i) - z.row(j)).norm();
        for (i, j) in [(0, 1), (1, samples - 1), (2, 3)] {
            let direct: f64 = (0..width)
                .map(|k| f64::from(values[i * width + k] - values[j * width + k]).powi(2))
                .sum();
            assert!((distance(i, j) - direct.sqrt()).abs() < 1e-9);
        }
    }

    #[test]
    fn coordinates_are_uncorrelated_and_keep_distances() {
        check(40, 6);
        check(6, 40);
        check(5, 5);
    }

    #[test]
    fn weights_turned_back_score_the_same() {
        let values = [1.0, 2.0, 4.0, -1.0, 0.5, 3.0, 2.0, 2.0];
        let features = Features::new(&values, 2).expect("finite");
        let axes = PrincipalAxes::of(features).expect("converges");
        let z = axes.coordinates(features, (0, 4));
        let in_axes = DMatrix::from_row_slice(2, 1, &[0.7, -1.3]);
        let (weights, bias) = axes.to_features(&in_axes, &[0.25]);
        for (row, score) in features.rows().zip((&z * &in_axes).iter()) {
            let direct = f64::from(row[0]) * weights[0] + f64::from(row[1]) * weights[1] + bias[0];
            assert!((direct - (score + 0.25)).abs() < 1e-13);
        }
    }

    #[test]
    fn identical_rows_have_no_spread() {
        let values = [2.0, 3.0].repeat(5);
        let features = Features::new(&values, 2).expect("finite");
        let axes = PrincipalAxes::of(features).expect("converges");
        assert_eq!(axes.moments().amax(), 0.0);
    }
}
