//! The two log losses and their first and second derivatives in the scores.
//!
//! One-vs-rest is many problems of one score each, multinomial one problem of many scores. Blocks
//! are column-major `[rows, scores of the problem]`, so a score's values are contiguous.

use nalgebra::{DMatrix, DMatrixView};

/// A log loss that splits into independent problems of equally many scores.
pub(super) trait Likelihood: Sync {
    /// Number of independent problems.
    fn problems(&self) -> usize;

    /// Scores of one problem.
    fn scores(&self) -> usize;

    /// Sum of log losses of `problem` over the rows from `first`, with scores in `block`, which
    /// is overwritten with the probabilities.
    fn probabilities(&self, problem: usize, first: usize, block: &mut [f64]) -> f64;

    /// Gradient of the log losses in the scores: turns probabilities into `p − y`.
    fn residual(&self, problem: usize, first: usize, block: &mut [f64]);

    /// Multiplies `direction` with the Hessian of the log losses in the scores.
    fn curvature(&self, probabilities: &[f64], direction: &mut [f64]);

    /// Hessian of the log losses in the scores, summed over rows, `[scores, scores]`.
    fn total_curvature(&self, probabilities: &[f64]) -> DMatrix<f64>;
}

/// Independent binary problems; a target is 1 for "in the class".
pub(super) struct Binary {
    rows: usize,
    /// `[problems, rows]`
    targets: Vec<bool>,
}

impl Binary {
    /// Problems from target columns, one after the other, of `rows` each (at least one).
    pub(super) fn new(targets: Vec<bool>, rows: usize) -> Self {
        Self { rows, targets }
    }

    fn targets(&self, problem: usize, first: usize) -> &[bool] {
        &self.targets[problem * self.rows + first..(problem + 1) * self.rows]
    }
}

impl Likelihood for Binary {
    fn problems(&self) -> usize {
        self.targets.len() / self.rows
    }

    fn scores(&self) -> usize {
        1
    }

    fn probabilities(&self, problem: usize, first: usize, block: &mut [f64]) -> f64 {
        let mut sum = 0.0;
        for (value, &target) in block.iter_mut().zip(self.targets(problem, first)) {
            let score = *value;
            // Both branches keep the exponential in (0, 1], so nothing overflows or cancels.
            let small = (-score.abs()).exp();
            let wrong = if target { -score } else { score };
            sum += wrong.max(0.0) + small.ln_1p();
            *value = if score >= 0.0 { 1.0 } else { small } / (1.0 + small);
        }
        sum
    }

    fn residual(&self, problem: usize, first: usize, block: &mut [f64]) {
        for (value, &target) in block.iter_mut().zip(self.targets(problem, first)) {
            *value -= f64::from(u8::from(target));
        }
    }

    fn curvature(&self, probabilities: &[f64], direction: &mut [f64]) {
        for (value, p) in direction.iter_mut().zip(probabilities) {
            *value *= p * (1.0 - p);
        }
    }

    fn total_curvature(&self, probabilities: &[f64]) -> DMatrix<f64> {
        let total = probabilities.iter().map(|p| p * (1.0 - p)).sum();
        DMatrix::from_element(1, 1, total)
    }
}

/// One softmax over all classes.
pub(super) struct Softmax {
    /// Class of every row, each below `classes`.
    labels: Vec<usize>,
    classes: usize,
}

impl Softmax {
    /// A problem over `classes` classes with these labels.
    pub(super) fn new(labels: Vec<usize>, classes: usize) -> Self {
        Self { labels, classes }
    }
}

impl Likelihood for Softmax {
    fn problems(&self) -> usize {
        1
    }

    fn scores(&self) -> usize {
        self.classes
    }

    // Whole columns at a time, so that the loops over rows vectorise.
    fn probabilities(&self, _problem: usize, first: usize, block: &mut [f64]) -> f64 {
        let rows = block.len() / self.classes;
        let labels = &self.labels[first..first + rows];
        let mut largest = vec![f64::NEG_INFINITY; rows];
        for column in block.chunks_exact(rows) {
            for (largest, &score) in largest.iter_mut().zip(column) {
                *largest = largest.max(score);
            }
        }
        let mut sum = 0.0;
        for (row, (&label, largest)) in labels.iter().zip(&largest).enumerate() {
            sum += largest - block[label * rows + row];
        }
        let mut totals = vec![0.0; rows];
        for column in block.chunks_exact_mut(rows) {
            for ((value, largest), total) in column.iter_mut().zip(&largest).zip(&mut totals) {
                *value = (*value - largest).exp();
                *total += *value;
            }
        }
        for column in block.chunks_exact_mut(rows) {
            for (value, total) in column.iter_mut().zip(&totals) {
                *value /= total;
            }
        }
        sum + totals.iter().map(|total| total.ln()).sum::<f64>()
    }

    fn residual(&self, _problem: usize, first: usize, block: &mut [f64]) {
        let rows = block.len() / self.classes;
        for (row, &label) in self.labels[first..first + rows].iter().enumerate() {
            block[label * rows + row] -= 1.0;
        }
    }

    fn curvature(&self, probabilities: &[f64], direction: &mut [f64]) {
        let rows = direction.len() / self.classes;
        let mut means = vec![0.0; rows];
        let columns = probabilities.chunks_exact(rows);
        for (p, values) in columns.clone().zip(direction.chunks_exact(rows)) {
            for ((mean, p), value) in means.iter_mut().zip(p).zip(values) {
                *mean += p * value;
            }
        }
        for (p, values) in columns.zip(direction.chunks_exact_mut(rows)) {
            for ((mean, p), value) in means.iter().zip(p).zip(values) {
                *value = p * (*value - mean);
            }
        }
    }

    fn total_curvature(&self, probabilities: &[f64]) -> DMatrix<f64> {
        let rows = probabilities.len() / self.classes;
        let probabilities = DMatrixView::from_slice(probabilities, rows, self.classes);
        let products = probabilities.transpose() * probabilities;
        DMatrix::from_diagonal(&probabilities.row_sum().transpose()) - products
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares the derivatives with central differences of step 1e-5 (error about 1e-10 from
    /// the third derivative and 1e-11 from rounding).
    fn check_derivatives(likelihood: &impl Likelihood, problem: usize, scores: &[f64]) {
        let loss = |scores: &[f64]| likelihood.probabilities(problem, 0, &mut scores.to_vec());
        let residual = |scores: &[f64]| {
            let mut block = scores.to_vec();
            likelihood.probabilities(problem, 0, &mut block);
            likelihood.residual(problem, 0, &mut block);
            block
        };
        let mut probabilities = scores.to_vec();
        likelihood.probabilities(problem, 0, &mut probabilities);
        let analytic = residual(scores);
        let step = 1e-5;
        for index in 0..scores.len() {
            let moved = |by: f64| {
                let mut moved = scores.to_vec();
                moved[index] += by;
                moved
            };
            let slope = (loss(&moved(step)) - loss(&moved(-step))) / (2.0 * step);
            assert!((slope - analytic[index]).abs() < 1e-9);

            let mut unit = vec![0.0; scores.len()];
            unit[index] = 1.0;
            likelihood.curvature(&probabilities, &mut unit);
            let (ahead, behind) = (residual(&moved(step)), residual(&moved(-step)));
            for (other, value) in unit.iter().enumerate() {
                let slope = (ahead[other] - behind[other]) / (2.0 * step);
                assert!((slope - value).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn binary_derivatives_match_differences() {
        let likelihood = Binary::new(vec![true, false, true, false, false, true], 3);
        assert_eq!(likelihood.problems(), 2);
        check_derivatives(&likelihood, 0, &[0.3, -1.2, 2.5]);
        check_derivatives(&likelihood, 1, &[0.0, 4.0, -3.0]);
    }

    #[test]
    fn softmax_derivatives_match_differences() {
        let likelihood = Softmax::new(vec![2, 0], 3);
        check_derivatives(&likelihood, 0, &[0.3, -1.2, 2.5, 0.1, -0.7, 1.9]);
    }

    #[test]
    fn extreme_scores_stay_finite() {
        let mut block = [800.0, -800.0];
        let loss = Binary::new(vec![false, false], 2).probabilities(0, 0, &mut block);
        assert_eq!((loss, block), (800.0, [1.0, 0.0]));
        let mut block = [1e6, -1e6];
        let loss = Softmax::new(vec![1], 2).probabilities(0, 0, &mut block);
        assert_eq!((loss, block), (2e6, [1.0, 0.0]));
    }
}
