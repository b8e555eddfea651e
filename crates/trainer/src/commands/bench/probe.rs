//! Fitting a one-vs-rest probe, on features from a file or drawn ones.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use emotionclip::checkpoint;
use emotionclip::probe::{Features, LogisticRegression};
use serde::Serialize;

use super::measure::Timing;
use crate::failure::{OrBadInput, bad_input};
use crate::inputs::files::read_file;

/// Size of the drawn problem: BoLD's classes, samples and features of its order.
const SAMPLES: usize = 10_000;
const WIDTH: usize = 512;
const CLASSES: usize = 26;

/// Inverse penalty, BoLD's.
const C: f64 = 3.16;

/// The fit's time and how near it came to the optimum.
#[derive(Serialize)]
pub(super) struct ProbeTimes {
    #[serde(flatten)]
    timing: Timing,
    samples: usize,
    width: usize,
    classes: usize,
    c: f64,
    /// Sum of log losses + |w|²/(2C) of each class.
    objectives: Vec<f64>,
    /// The largest norm of a gradient, as a share of its scale.
    worst_gradient: f64,
    most_iterations: usize,
}

struct Problem {
    features: Vec<f32>,
    width: usize,
    targets: Vec<bool>,
    classes: usize,
}

/// Times the fit; without a file, of a drawn problem.
///
/// # Errors
/// Bad input for a file without `features` [N, E] and `targets` [N, K].
pub(super) fn times(data: Option<&Path>, repeats: usize) -> anyhow::Result<ProbeTimes> {
    let problem = match data {
        Some(path) => Problem::read(path)?,
        None => Problem::draw(SAMPLES, WIDTH, CLASSES),
    };
    let features = Features::new(&problem.features, problem.width).or_bad_input("--data")?;
    let regression = LogisticRegression::new(C);
    let fit = || regression.fit_one_vs_rest(features, &problem.targets, problem.classes);
    let mut milliseconds = Vec::with_capacity(repeats + 1);
    let mut fitted = None;
    for _ in 0..=repeats {
        let start = Instant::now();
        fitted = Some(fit().or_bad_input("--data")?);
        milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let fitted = fitted.context("no fit")?;
    let convergence = || fitted.convergence.iter();
    Ok(ProbeTimes {
        timing: Timing::of(&milliseconds),
        samples: features.samples(),
        width: problem.width,
        classes: problem.classes,
        c: C,
        objectives: convergence().map(|one| one.objective).collect(),
        worst_gradient: convergence()
            .map(|one| one.relative_gradient)
            .fold(0.0, f64::max),
        most_iterations: convergence().map(|one| one.iterations).max().unwrap_or(0),
    })
}

impl Problem {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let state = checkpoint::read(read_file(path)?, &name).or_bad_input("--data")?;
        let matrix = |name: &str| {
            let tensor = state.get(name).filter(|tensor| tensor.shape().len() == 2);
            tensor.ok_or_else(|| bad_input(format!("{}: no matrix '{name}'", path.display())))
        };
        let (features, targets) = (matrix("features")?, matrix("targets")?);
        Ok(Self {
            features: features.to_f32(),
            width: features.shape()[1],
            targets: targets
                .to_f32()
                .into_iter()
                .map(|flag| flag > 0.5)
                .collect(),
            classes: targets.shape()[1],
        })
    }

    /// Unit rows whose classes hang on a few directions, and noise.
    fn draw(samples: usize, width: usize, classes: usize) -> Self {
        use rand::RngExt as _;
        use rand_chacha::rand_core::SeedableRng as _;
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(2022);
        let mut number = || random.random::<f32>() * 2.0 - 1.0;
        let mut features: Vec<f32> = (0..samples * width).map(|_| number()).collect();
        for row in features.chunks_exact_mut(width) {
            let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            row.iter_mut().for_each(|value| *value /= norm);
        }
        let towards: Vec<f32> = (0..classes * width).map(|_| number()).collect();
        let mut targets = Vec::with_capacity(samples * classes);
        for row in features.chunks_exact(width) {
            for towards in towards.chunks_exact(width) {
                let products = row.iter().zip(towards).map(|(a, b)| a * b);
                targets.push(products.sum::<f32>() + 0.5 * number() > 0.7);
            }
        }
        Self {
            features,
            width,
            targets,
            classes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_problem_is_solved() {
        let problem = Problem::draw(300, 8, 3);
        let positives = problem.targets.iter().filter(|flag| **flag).count();
        assert!(positives > 0 && positives < problem.targets.len());
        let features = Features::new(&problem.features, 8).unwrap();
        let fit = LogisticRegression::new(C)
            .fit_one_vs_rest(features, &problem.targets, 3)
            .unwrap();
        assert!(fit.convergence.iter().all(|one| one.converged));
    }
}
