//! The probe solvers against scikit-learn's optimum (`parity/generate_probes.py`).
//!
//! How far two solutions of one problem may lie apart follows from their gradients. With the bias
//! minimised out, the objective is strongly convex in the weights with modulus `1/C`, and its
//! gradient there is at most `‖g‖(1 + X)`, `X` the longest row; so weights whose gradients are `g`
//! and `h` lie at most `C(‖g‖ + ‖h‖)(1 + X)` apart. The gradients are computed here, from the
//! features, not taken from the solver.

use emotionclip::probe::{Features, FitWarning, HeadKind, LinearFit, LogisticRegression, Ridge};
use integration_tests::golden::Golden;
use serde::Deserialize;

#[derive(Deserialize)]
struct LogisticCase {
    name: String,
    kind: HeadKind,
    c: f64,
    classes: usize,
    /// Of each problem: one for multinomial, one a class for one-vs-rest.
    objective: Vec<f64>,
    gradient: Vec<f64>,
    /// Smallest curvature of the objective in the biases.
    bias_curvature: Vec<f64>,
}

#[derive(Deserialize)]
struct RidgeCase {
    name: String,
    alpha: f64,
    outputs: usize,
}

/// The rows of a case, as the solver and as the checks take them.
struct Rows {
    single: Vec<f32>,
    double: Vec<f64>,
    width: usize,
}

impl Rows {
    fn read(golden: &Golden, name: &str) -> Self {
        let reference = golden.get(&format!("{name}/features"));
        Self {
            single: reference.values.iter().map(|value| *value as f32).collect(),
            double: reference.values.clone(),
            width: reference.shape[1],
        }
    }

    fn features(&self) -> Features<'_> {
        Features::new(&self.single, self.width).expect("goldens are finite")
    }

    fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.double.chunks_exact(self.width)
    }

    fn longest(&self) -> f64 {
        self.iter().map(norm).fold(0.0, f64::max)
    }

    /// Rounding of a sum over all rows of numbers of at most their norm.
    fn rounding(&self) -> f64 {
        f64::EPSILON * self.iter().map(|row| 1.0 + norm(row)).sum::<f64>()
    }
}

/// Objective and norm of the gradient of one problem, whose outputs are `first..last`.
struct Stand {
    objective: f64,
    gradient: f64,
}

fn norm(values: &[f64]) -> f64 {
    dot(values, values).sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn farthest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let distance = |(a, b): (&f64, &f64)| (a - b).abs();
    a.iter().zip(b).map(distance).fold(0.0, f64::max)
}

/// Where a fit stands on `Σ log loss + penalty` over the outputs listed, a softmax if there are
/// several; `targets` are the 0/1 targets of those outputs, row after row.
fn stand(fit: &LinearFit, rows: &Rows, outputs: &[usize], targets: &[f64], c: f64) -> Stand {
    let width = rows.width;
    let weights = |output: usize| &fit.weights[output * width..][..width];
    let mut objective = 0.0;
    let mut gradient = vec![0.0; outputs.len() * (width + 1)];
    for (row, targets) in rows.iter().zip(targets.chunks_exact(outputs.len())) {
        let scores: Vec<f64> = outputs
            .iter()
            .map(|&output| dot(weights(output), row) + fit.bias[output])
            .collect();
        let probabilities: Vec<f64> = if let [score] = scores[..] {
            let right = if targets[0] == 1.0 { score } else { -score };
            objective += (-right).max(0.0) + (-right.abs()).exp().ln_1p();
            vec![1.0 / (1.0 + (-score).exp())]
        } else {
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
            objective += largest + total.ln() - dot(&scores, targets);
            scores
                .iter()
                .map(|score| (score - largest).exp() / total)
                .collect()
        };
        for (k, (p, y)) in probabilities.iter().zip(targets).enumerate() {
            let gradient = &mut gradient[k * (width + 1)..][..=width];
            for (sum, x) in gradient.iter_mut().zip(row.iter().chain(&[1.0])) {
                *sum += (p - y) * x;
            }
        }
    }
    for (k, &output) in outputs.iter().enumerate() {
        let weights = weights(output);
        objective += dot(weights, weights) / (2.0 * c);
        for (sum, weight) in gradient[k * (width + 1)..].iter_mut().zip(weights) {
            *sum += weight / c;
        }
    }
    Stand {
        objective,
        gradient: norm(&gradient),
    }
}

fn check_logistic(golden: &Golden, case: &LogisticCase) {
    let LogisticCase {
        name, c, classes, ..
    } = case;
    let rows = Rows::read(golden, name);
    let targets = &golden.get(&format!("{name}/targets")).values;
    let solver = LogisticRegression::new(*c);
    // Outputs and 0/1 targets of each problem, and the C of its objective.
    let mut problems: Vec<(Vec<usize>, Vec<f64>, f64)> = Vec::new();
    let fit = if case.kind == HeadKind::Multinomial {
        let labels: Vec<usize> = targets.iter().map(|label| *label as usize).collect();
        let present: Vec<usize> = (0..*classes).filter(|k| labels.contains(k)).collect();
        let one_hot = labels
            .iter()
            .flat_map(|label| present.iter().map(move |k| f64::from(u8::from(k == label))))
            .collect();
        // Two outputs hold half of one vector each: ‖w‖² = 2(‖w/2‖² + ‖w/2‖²).
        let effective = if present.len() == 2 { c / 2.0 } else { *c };
        problems.push((present, one_hot, effective));
        solver.fit_multinomial(rows.features(), &labels, *classes)
    } else {
        let columns = |k: usize| targets.iter().skip(k).step_by(*classes).copied();
        problems.extend((0..*classes).map(|k| (vec![k], columns(k).collect(), *c)));
        let targets: Vec<bool> = targets.iter().map(|target| *target == 1.0).collect();
        solver.fit_one_vs_rest(rows.features(), &targets, *classes)
    };
    let fit = fit.unwrap_or_else(|error| panic!("{name}: {error}"));
    let trouble = |warning: &FitWarning| matches!(warning, FitWarning::NotConverged { .. });
    assert!(
        !fit.warnings.iter().any(trouble),
        "{name}: {:?}",
        fit.warnings
    );
    assert_eq!(fit.convergence.len(), problems.len(), "{name}");

    let expected_weights = &golden.get(&format!("{name}/weights")).values;
    let expected_bias = &golden.get(&format!("{name}/bias")).values;
    let expected_probabilities = &golden.get(&format!("{name}/probabilities")).values;
    let labels = (0..*classes).map(|k| k.to_string()).collect();
    let head = fit.clone().into_head(labels).expect("one label a class");
    let probabilities = head.predict(rows.features()).expect("the training width");
    let column = |values: &[f64], k: usize| -> Vec<f64> {
        values.iter().skip(k).step_by(*classes).copied().collect()
    };

    for (index, (outputs, targets, effective_c)) in problems.iter().enumerate() {
        if targets.iter().all(|target| *target == targets[0]) {
            let constant = vec![targets[0]; targets.len()];
            assert_eq!(column(&probabilities, outputs[0]), constant, "{name}");
            continue;
        }
        let own = stand(&fit, &rows, outputs, targets, *effective_c);
        let longest = rows.longest();
        let gradients = own.gradient + case.gradient[index] + 2.0 * rows.rounding();

        // Two objectives above one optimum by at most C‖g‖²/2 each, and rounding of sums.
        let above = effective_c / 2.0 * (gradients * (1.0 + longest)).powi(2);
        let rounding = rows.rounding() + 1e-14 * own.objective;
        let error = (own.objective - case.objective[index]).abs();
        assert!(
            error <= above + rounding,
            "{name}: objective off by {error:.1e}"
        );
        let reported = (own.objective - fit.convergence[index].objective).abs();
        assert!(
            reported <= rounding,
            "{name}: reported objective off by {reported:.1e}"
        );

        let weight_error = effective_c * gradients * (1.0 + longest);
        let bias_error = longest * weight_error + 2.0 * gradients / case.bias_curvature[index];
        for &k in outputs {
            let range = k * rows.width..(k + 1) * rows.width;
            let (weights, expected) = (&fit.weights[range.clone()], &expected_weights[range]);
            let largest = expected
                .iter()
                .map(|weight| weight.abs())
                .fold(0.0, f64::max);
            assert!(
                weight_error <= 1e-5 * largest.max(1.0),
                "{name}: vacuous {weight_error:.1e}"
            );
            let error = farthest(weights, expected);
            assert!(error <= weight_error, "{name}: weights off by {error:.1e}");
            let error = (fit.bias[k] - expected_bias[k]).abs();
            assert!(error <= bias_error, "{name}: bias off by {error:.1e}");

            // A probability moves at most half as far as the scores. The head is single precision.
            let single = f64::from(f32::EPSILON) * (norm(weights) * longest + fit.bias[k].abs());
            let allowed = (longest * weight_error + bias_error + 2.0 * single) / 2.0;
            let expected = column(expected_probabilities, k);
            let error = farthest(&column(&probabilities, k), &expected);
            assert!(error <= allowed, "{name}: probabilities off by {error:.1e}");
        }
        println!(
            "{name}: {} steps, gradient {:.1e}, objective off by {error:.1e}, weights by at most \
             {weight_error:.1e}",
            fit.convergence[index].iterations, own.gradient
        );
    }
    for k in (0..*classes).filter(|k| problems.iter().all(|(outputs, ..)| !outputs.contains(k))) {
        assert!(
            fit.warnings.contains(&FitWarning::AbsentClass { class: k }),
            "{name}"
        );
        assert!(
            column(&probabilities, k).iter().all(|p| *p == 0.0),
            "{name}"
        );
    }
}

#[test]
fn logistic_regression_reaches_scikit_learns_optimum() {
    let golden = Golden::read("probes");
    let cases: Vec<LogisticCase> = golden.config("/logistic");
    assert!(!cases.is_empty());
    for case in &cases {
        check_logistic(&golden, case);
    }
}

#[test]
fn constant_columns_are_reported() {
    let golden = Golden::read("probes");
    let name = "imbalanced_and_constant";
    let rows = Rows::read(&golden, name);
    let targets = &golden.get(&format!("{name}/targets")).values;
    let targets: Vec<bool> = targets.iter().map(|target| *target == 1.0).collect();
    let fit = LogisticRegression::new(1.0).fit_one_vs_rest(rows.features(), &targets, 6);
    let expected =
        [(4, false), (5, true)].map(|(output, value)| FitWarning::ConstantTarget { output, value });
    assert_eq!(fit.expect("valid input").warnings, expected);
}

#[test]
fn ridge_regression_matches_scikit_learn() {
    let golden = Golden::read("probes");
    let cases: Vec<RidgeCase> = golden.config("/ridge");
    assert!(!cases.is_empty());
    for RidgeCase {
        name,
        alpha,
        outputs,
    } in cases
    {
        let rows = Rows::read(&golden, &name);
        let targets = &golden.get(&format!("{name}/targets")).values;
        let targets: Vec<f32> = targets.iter().map(|target| *target as f32).collect();
        let fit = Ridge { alpha }.fit(rows.features(), &targets, outputs);
        let fit = fit.unwrap_or_else(|error| panic!("{name}: {error}"));
        let weights = &golden.get(&format!("{name}/weights")).values;
        let bias = &golden.get(&format!("{name}/bias")).values;
        // Rounding of XᵀX, amplified by the condition of XᵀX + α.
        let scatter: f64 = rows.iter().map(|row| dot(row, row)).sum();
        let allowed = f64::EPSILON * (1.0 + scatter / alpha) * norm(weights);
        let error = farthest(&fit.weights, weights);
        assert!(error <= allowed, "{name}: weights off by {error:.1e}");
        let allowed = rows.longest() * allowed + 10.0 * f64::EPSILON * norm(bias);
        let error = farthest(&fit.bias, bias);
        assert!(error <= allowed, "{name}: bias off by {error:.1e}");
    }
}
