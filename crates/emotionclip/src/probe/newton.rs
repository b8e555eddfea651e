//! Newton's method with preconditioned conjugate gradients, many problems at a time.
//!
//! Problems that share their samples share every pass over them: a product with the Hessian is
//! two matrix products for all of them together, which runs at the speed of the processor, while
//! one problem at a time runs at the speed of memory. Each problem keeps its own step lengths and
//! leaves when it has converged.

mod blocks;
mod direction;
mod preconditioner;

use nalgebra::{DMatrix, DVector};

use self::blocks::{add_block, block, block_mut, dot, select_blocks, sum};
use super::fit::Convergence;
use super::likelihood::Likelihood;
use super::parallel;

/// Share of the predicted decrease that a step must reach (Armijo).
const SUFFICIENT_DECREASE: f64 = 1e-4;

/// Halvings before a step is given up.
const MOST_HALVINGS: usize = 40;

/// Relative rounding error allowed in a sum of losses, so that the last steps, whose decrease is
/// below it, are taken.
const OBJECTIVE_ROUNDING: f64 = 1e-13;

/// What is minimised and how far.
pub(super) struct Settings {
    /// `1/C`: the factor of `‖w‖²/2`.
    pub(super) penalty: f64,
    /// Relative gradient at which a problem counts as solved.
    pub(super) tolerance: f64,
    /// Newton steps a problem may take.
    pub(super) max_iterations: usize,
}

/// Samples of a data set in centred, uncorrelated coordinates.
pub(super) struct Samples {
    /// First row and coordinates `[rows, R]` of each chunk.
    pub(super) chunks: Vec<(usize, DMatrix<f64>)>,
    /// Sum of squares of every coordinate, `[R]`.
    pub(super) moments: DVector<f64>,
}

/// The optimum in those coordinates.
pub(super) struct Solution {
    /// `[R, scores of all problems]`
    pub(super) weights: DMatrix<f64>,
    /// `[scores of all problems]`
    pub(super) bias: Vec<f64>,
    /// One entry a problem.
    pub(super) convergence: Vec<Convergence>,
}

/// Minimises every problem of `likelihood` from zero weights and the given biases.
pub(super) fn minimise(
    samples: Samples,
    likelihood: &impl Likelihood,
    bias: &[f64],
    settings: &Settings,
) -> Solution {
    let mut newton = Newton::new(samples, likelihood, bias, settings);
    let mut active: Vec<usize> = (0..likelihood.problems()).collect();
    loop {
        let gradient = newton.gradient(&active);
        newton.judge(&active, &gradient);
        let keep: Vec<usize> = (0..active.len())
            .filter(|&k| newton.may_continue(active[k]))
            .collect();
        if keep.is_empty() {
            return newton.into_solution();
        }
        let gradient = select_blocks(&gradient, &keep, likelihood.scores());
        active = keep.iter().map(|&k| active[k]).collect();
        let direction = newton.direction(&active, &gradient);
        newton.search(&active, &gradient, &direction);
    }
}

/// Samples of one chunk and where the problems stand on them.
struct Chunk {
    first: usize,
    /// Coordinates and a one for the bias, `[rows, R + 1]`.
    inputs: DMatrix<f64>,
    /// Scores of all problems, `[rows, scores]`.
    scores: DMatrix<f64>,
    /// Probabilities at these scores.
    probabilities: DMatrix<f64>,
    /// Probabilities at the step under trial.
    trial: DMatrix<f64>,
    /// Change of the scores along the directions of the active problems.
    change: DMatrix<f64>,
}

/// Where one problem stands.
struct Problem {
    objective: f64,
    relative_gradient: f64,
    first_gradient: Option<f64>,
    iterations: usize,
    converged: bool,
    stalled: bool,
}

struct Newton<'a, L> {
    likelihood: &'a L,
    settings: &'a Settings,
    chunks: Vec<Chunk>,
    /// Diagonal of the Gram matrix of the inputs, `[R + 1]`.
    moments: DVector<f64>,
    /// Weights and, in the last row, biases, `[R + 1, scores]`.
    parameters: DMatrix<f64>,
    problems: Vec<Problem>,
    rows: f64,
    /// Sum of the norms of all rows of coordinates, the scale of the gradient in the weights.
    gradient_scale: f64,
}

impl<'a, L: Likelihood> Newton<'a, L> {
    fn new(samples: Samples, likelihood: &'a L, bias: &[f64], settings: &'a Settings) -> Self {
        let axes = samples.moments.len();
        let mut parameters = DMatrix::zeros(axes + 1, bias.len());
        parameters.row_mut(axes).copy_from_slice(bias);
        let rows: usize = samples.chunks.iter().map(|(_, rows)| rows.nrows()).sum();
        let norms = parallel::map(&samples.chunks, |(_, rows)| {
            rows.row_iter().map(|row| row.norm()).sum::<f64>()
        });
        let scores = likelihood.scores();
        let mut chunks: Vec<Chunk> = samples
            .chunks
            .into_iter()
            .map(|(first, rows)| {
                let inputs = rows.insert_column(axes, 1.0);
                let scores = &inputs * &parameters;
                Chunk {
                    first,
                    inputs,
                    probabilities: scores.clone(),
                    trial: scores.clone(),
                    scores,
                    change: DMatrix::zeros(0, 0),
                }
            })
            .collect();
        let losses = parallel::map_mut(&mut chunks, |chunk| {
            (0..likelihood.problems())
                .map(|problem| {
                    let block = block_mut(&mut chunk.probabilities, problem, scores);
                    likelihood.probabilities(problem, chunk.first, block)
                })
                .collect::<Vec<f64>>()
        });
        let problems = (0..likelihood.problems())
            .map(|problem| Problem {
                objective: losses.iter().map(|chunk| chunk[problem]).sum(),
                relative_gradient: f64::INFINITY,
                first_gradient: None,
                iterations: 0,
                converged: false,
                stalled: false,
            })
            .collect();
        Self {
            likelihood,
            settings,
            chunks,
            moments: samples.moments.push(rows as f64),
            parameters,
            problems,
            rows: rows as f64,
            gradient_scale: norms.into_iter().sum(),
        }
    }

    /// Gradient of the objectives of the problems in `active`, `[R + 1, scores of active]`.
    fn gradient(&self, active: &[usize]) -> DMatrix<f64> {
        let scores = self.likelihood.scores();
        let parts = parallel::map(&self.chunks, |chunk| {
            let mut residual = select_blocks(&chunk.probabilities, active, scores);
            for (k, &problem) in active.iter().enumerate() {
                let block = block_mut(&mut residual, k, scores);
                self.likelihood.residual(problem, chunk.first, block);
            }
            residual.transpose() * &chunk.inputs
        });
        let parameters = select_blocks(&self.parameters, active, scores);
        self.with_penalty(sum(parts), &parameters)
    }

    /// Hessian of the problems in `active` times `vectors` `[R + 1, scores of active]`.
    fn hessian_times(&self, active: &[usize], vectors: &DMatrix<f64>) -> DMatrix<f64> {
        let scores = self.likelihood.scores();
        let parts = parallel::map(&self.chunks, |chunk| {
            let mut product = &chunk.inputs * vectors;
            for (k, &problem) in active.iter().enumerate() {
                let probabilities = block(&chunk.probabilities, problem, scores);
                self.likelihood
                    .curvature(probabilities, block_mut(&mut product, k, scores));
            }
            product.transpose() * &chunk.inputs
        });
        self.with_penalty(sum(parts), vectors)
    }

    /// `transposedᵀ + penalty · vectors`, without penalty on the biases.
    fn with_penalty(&self, transposed: DMatrix<f64>, vectors: &DMatrix<f64>) -> DMatrix<f64> {
        let mut total = transposed.transpose();
        let axes = self.moments.len() - 1;
        let mut weights = total.rows_mut(0, axes);
        weights += vectors.rows(0, axes) * self.settings.penalty;
        total
    }

    /// Writes down how far each problem in `active` is from its optimum.
    fn judge(&mut self, active: &[usize], gradient: &DMatrix<f64>) {
        let (scores, axes) = (self.likelihood.scores(), self.moments.len() - 1);
        for (k, &index) in active.iter().enumerate() {
            let columns = gradient.columns(k * scores, scores);
            let weights = columns.rows(0, axes).norm();
            let of_weights = if weights > 0.0 {
                weights / self.gradient_scale
            } else {
                0.0
            };
            let of_bias = columns.row(axes).norm() / self.rows;
            let problem = &mut self.problems[index];
            problem.relative_gradient = of_weights.max(of_bias);
            problem
                .first_gradient
                .get_or_insert(problem.relative_gradient);
            problem.converged = problem.relative_gradient <= self.settings.tolerance;
        }
    }

    fn may_continue(&self, problem: usize) -> bool {
        let problem = &self.problems[problem];
        !problem.converged && !problem.stalled && problem.iterations < self.settings.max_iterations
    }

    /// Moves every problem in `active` along its direction by a step that decreases its objective.
    fn search(&mut self, active: &[usize], gradient: &DMatrix<f64>, direction: &DMatrix<f64>) {
        let scores = self.likelihood.scores();
        parallel::map_mut(&mut self.chunks, |chunk| {
            chunk.change = &chunk.inputs * direction;
        });
        let mut pending: Vec<(usize, f64)> = (0..active.len()).map(|k| (k, 1.0)).collect();
        for _ in 0..MOST_HALVINGS {
            let losses = self.try_steps(active, &pending);
            let mut accepted = Vec::new();
            let mut refused = Vec::new();
            for (&(k, step), loss) in pending.iter().zip(losses) {
                let problem = active[k];
                let objective = loss + self.penalty_after(problem, direction, k, step);
                let before = self.problems[problem].objective;
                let slope = dot(gradient, k, direction, k, scores);
                let allowed = before + SUFFICIENT_DECREASE * step * slope;
                if objective <= allowed + OBJECTIVE_ROUNDING * before.abs() {
                    self.problems[problem].objective = objective;
                    self.problems[problem].iterations += 1;
                    add_block(&mut self.parameters, problem, step, direction, k, scores);
                    accepted.push((k, step));
                } else {
                    refused.push((k, step / 2.0));
                }
            }
            self.take_steps(active, &accepted);
            pending = refused;
            if pending.is_empty() {
                break;
            }
        }
        for (k, _) in pending {
            self.problems[active[k]].stalled = true;
        }
    }

    /// Sums of losses of the pending problems at their steps; leaves the probabilities in `trial`.
    fn try_steps(&mut self, active: &[usize], pending: &[(usize, f64)]) -> Vec<f64> {
        let (likelihood, scores) = (self.likelihood, self.likelihood.scores());
        let parts = parallel::map_mut(&mut self.chunks, |chunk| {
            let losses = pending.iter().map(|&(k, step)| {
                let problem = active[k];
                let trial = block_mut(&mut chunk.trial, problem, scores);
                let current = block(&chunk.scores, problem, scores);
                let change = block(&chunk.change, k, scores);
                for ((trial, current), change) in trial.iter_mut().zip(current).zip(change) {
                    *trial = current + step * change;
                }
                likelihood.probabilities(problem, chunk.first, trial)
            });
            DMatrix::from_iterator(pending.len(), 1, losses)
        });
        sum(parts).as_slice().to_vec()
    }

    /// Makes the trial steps of the accepted problems the current state.
    fn take_steps(&mut self, active: &[usize], accepted: &[(usize, f64)]) {
        let scores = self.likelihood.scores();
        parallel::map_mut(&mut self.chunks, |chunk| {
            for &(k, step) in accepted {
                let problem = active[k];
                add_block(&mut chunk.scores, problem, step, &chunk.change, k, scores);
                block_mut(&mut chunk.probabilities, problem, scores).copy_from_slice(block(
                    &chunk.trial,
                    problem,
                    scores,
                ));
            }
        });
    }

    /// `penalty/2 · ‖w + step · direction‖²`.
    fn penalty_after(&self, problem: usize, direction: &DMatrix<f64>, k: usize, step: f64) -> f64 {
        let (scores, axes) = (self.likelihood.scores(), self.moments.len() - 1);
        let weights = self.parameters.view((0, problem * scores), (axes, scores));
        let moved = weights + direction.view((0, k * scores), (axes, scores)) * step;
        self.settings.penalty / 2.0 * moved.norm_squared()
    }

    fn into_solution(self) -> Solution {
        let axes = self.moments.len() - 1;
        Solution {
            weights: self.parameters.rows(0, axes).into_owned(),
            bias: self.parameters.row(axes).iter().copied().collect(),
            convergence: self
                .problems
                .iter()
                .map(|problem| Convergence {
                    objective: problem.objective,
                    relative_gradient: problem.relative_gradient,
                    iterations: problem.iterations,
                    converged: problem.converged,
                })
                .collect(),
        }
    }
}
