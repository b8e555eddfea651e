//! Newton directions by preconditioned conjugate gradients, of many problems at a time.

use nalgebra::DMatrix;

use super::super::likelihood::Likelihood;
use super::super::parallel;
use super::Newton;
use super::blocks::{add_block, block, block_mut, dot, select_blocks, sum};
use super::preconditioner::Preconditioner;

/// Loosest accuracy of a Newton direction; it tightens with the gradient, so that convergence is
/// superlinear.
const LOOSEST_DIRECTION: f64 = 0.1;

/// Hessian products spent on one direction. A truncated direction still descends.
const MOST_PRODUCTS: usize = 250;

impl<L: Likelihood> Newton<'_, L> {
    /// Approximate inverses of the Hessians of the problems in `active`.
    fn preconditioners(&self, active: &[usize]) -> Vec<Preconditioner> {
        let scores = self.likelihood.scores();
        let parts = parallel::map(&self.chunks, |chunk| {
            let mut curvatures = DMatrix::zeros(scores, scores * active.len());
            for (k, &problem) in active.iter().enumerate() {
                let probabilities = block(&chunk.probabilities, problem, scores);
                let curvature = self.likelihood.total_curvature(probabilities);
                block_mut(&mut curvatures, k, scores).copy_from_slice(curvature.as_slice());
            }
            curvatures
        });
        let curvatures = sum(parts) / self.rows;
        (0..active.len())
            .map(|k| {
                let curvature = curvatures.columns(k * scores, scores).into_owned();
                Preconditioner::new(curvature, &self.moments, self.settings.penalty)
            })
            .collect()
    }

    /// Newton directions: `H · direction = −gradient` by conjugate gradients.
    pub(super) fn direction(&self, active: &[usize], gradient: &DMatrix<f64>) -> DMatrix<f64> {
        let scores = self.likelihood.scores();
        let preconditioners = self.preconditioners(active);
        let mut solution = DMatrix::zeros(gradient.nrows(), gradient.ncols());
        let mut residual = -gradient;
        let mut search = DMatrix::zeros(gradient.nrows(), gradient.ncols());
        for (k, preconditioner) in preconditioners.iter().enumerate() {
            let improved = preconditioner.apply(residual.columns(k * scores, scores));
            search.columns_mut(k * scores, scores).copy_from(&improved);
        }
        let mut energy: Vec<f64> = (0..active.len())
            .map(|k| dot(&residual, k, &search, k, scores))
            .collect();
        let target: Vec<f64> = active
            .iter()
            .zip(&energy)
            .map(|(&problem, energy)| {
                let problem = &self.problems[problem];
                let progress =
                    problem.relative_gradient / problem.first_gradient.unwrap_or(f64::INFINITY);
                energy * progress.sqrt().min(LOOSEST_DIRECTION).powi(2)
            })
            .collect();
        let mut running: Vec<usize> = (0..active.len()).collect();
        for _ in 0..MOST_PRODUCTS {
            let problems: Vec<usize> = running.iter().map(|&k| active[k]).collect();
            let compact = select_blocks(&search, &running, scores);
            let product = self.hessian_times(&problems, &compact);
            let mut still = Vec::with_capacity(running.len());
            for (column, &k) in running.iter().enumerate() {
                let curvature = dot(&compact, column, &product, column, scores);
                if curvature.is_nan() || curvature <= 0.0 {
                    continue;
                }
                let length = energy[k] / curvature;
                add_block(&mut solution, k, length, &search, k, scores);
                add_block(&mut residual, k, -length, &product, column, scores);
                let improved = preconditioners[k].apply(residual.columns(k * scores, scores));
                let next = residual.columns(k * scores, scores).dot(&improved);
                if next > target[k] {
                    let mut block = search.columns_mut(k * scores, scores);
                    block *= next / energy[k];
                    block += improved;
                    still.push(k);
                }
                energy[k] = next;
            }
            if still.is_empty() {
                break;
            }
            running = still;
        }
        solution
    }
}
