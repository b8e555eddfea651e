//! Unit tests of the logistic regression; parity with scikit-learn is tested across crates.

use super::*;

/// Two noisy features and labels that depend on them.
fn data(samples: usize, classes: usize) -> (Vec<f32>, Vec<usize>) {
    let noise = |i: usize| ((i * 7919 + 13) % 101) as f32 / 101.0 - 0.5;
    let values: Vec<f32> = (0..samples * 2).map(|i| 3.0 * noise(i)).collect();
    let labels = values
        .chunks_exact(2)
        .enumerate()
        .map(|(i, row)| {
            let score = row[0] + 0.5 * row[1] + 2.0 * noise(31 * i + 5) + 2.5;
            (score.max(0.0) as usize).min(classes - 1)
        })
        .collect();
    (values, labels)
}

fn features(values: &[f32]) -> Features<'_> {
    Features::new(values, 2).expect("finite")
}

#[test]
fn gradient_vanishes_at_the_solution() {
    let (values, labels) = data(60, 3);
    let fit = LogisticRegression::new(2.0)
        .fit_multinomial(features(&values), &labels, 3)
        .expect("fits");
    assert!(fit.warnings.is_empty(), "{:?}", fit.warnings);
    let mut gradient = [[0.0_f64; 3]; 3];
    for (row, &label) in values.chunks_exact(2).zip(&labels) {
        let x = [f64::from(row[0]), f64::from(row[1]), 1.0];
        let exp: Vec<f64> = (0..3)
            .map(|k| {
                (fit.weights[2 * k] * x[0] + fit.weights[2 * k + 1] * x[1] + fit.bias[k]).exp()
            })
            .collect();
        let total: f64 = exp.iter().sum();
        for k in 0..3 {
            let residual = exp[k] / total - f64::from(u8::from(k == label));
            for (g, x) in gradient[k].iter_mut().zip(x) {
                *g += residual * x;
            }
        }
    }
    for (gradient, weights) in gradient.iter().zip(fit.weights.chunks_exact(2)) {
        let total = [
            gradient[0] + weights[0] / 2.0,
            gradient[1] + weights[1] / 2.0,
            gradient[2],
        ];
        // Tolerance 1e-10 times the 60 samples, whose norms are below 2.2.
        assert!(total.iter().all(|g| g.abs() < 60.0 * 2.2e-10), "{total:?}");
    }
    assert!(fit.bias.iter().sum::<f64>().abs() < 1e-12);
}

#[test]
fn two_classes_are_one_binary_problem() {
    let (values, labels) = data(50, 2);
    let solver = LogisticRegression::new(1.5);
    let multinomial = solver
        .fit_multinomial(features(&values), &labels, 2)
        .expect("fits");
    let targets: Vec<bool> = labels.iter().map(|&label| label == 1).collect();
    let binary = solver
        .fit_one_vs_rest(features(&values), &targets, 1)
        .expect("fits");
    for d in 0..2 {
        assert_eq!(multinomial.weights[2 + d], binary.weights[d] / 2.0);
        assert_eq!(multinomial.weights[d], -binary.weights[d] / 2.0);
    }
    assert_eq!(multinomial.bias[1], binary.bias[0] / 2.0);
}

#[test]
fn absent_class_changes_nothing_and_is_never_predicted() {
    let (values, labels) = data(60, 3);
    let solver = LogisticRegression::new(2.0);
    let dense = solver
        .fit_multinomial(features(&values), &labels, 3)
        .expect("fits");
    let shifted: Vec<usize> = labels.iter().map(|&label| [0, 2, 3][label]).collect();
    let fit = solver
        .fit_multinomial(features(&values), &shifted, 4)
        .expect("fits");
    assert_eq!(fit.warnings, [FitWarning::AbsentClass { class: 1 }]);
    assert_eq!(fit.weights[..2], dense.weights[..2]);
    assert_eq!(fit.weights[4..], dense.weights[2..]);
    let head = fit
        .into_head((0..4).map(|k| k.to_string()).collect())
        .expect("fits");
    let probabilities = head.predict(features(&values)).expect("same width");
    assert!(probabilities.chunks_exact(4).all(|row| row[1] == 0.0));
}

#[test]
fn constant_columns_predict_their_constant() {
    let (values, labels) = data(40, 2);
    let targets: Vec<bool> = labels
        .iter()
        .flat_map(|&label| [true, label == 1, false])
        .collect();
    let fit = LogisticRegression::new(1.0)
        .fit_one_vs_rest(features(&values), &targets, 3)
        .expect("fits");
    assert_eq!(fit.warnings.len(), 2);
    let head = fit
        .into_head(vec!["always".into(), "some".into(), "never".into()])
        .expect("fits");
    let probabilities = head.predict(features(&values)).expect("same width");
    for row in probabilities.chunks_exact(3) {
        assert_eq!((row[0], row[2]), (1.0, 0.0));
        assert!(row[1] > 0.0 && row[1] < 1.0);
    }
}

#[test]
fn only_constant_columns_need_no_solver() {
    let fit = LogisticRegression::new(1.0)
        .fit_one_vs_rest(features(&[1.0, 2.0, 3.0, 4.0]), &[true, true], 1)
        .expect("fits");
    assert_eq!(fit.weights, [0.0, 0.0]);
    assert_eq!(fit.convergence, [Convergence::EXACT]);
}

#[test]
fn too_few_iterations_are_reported() {
    let (values, labels) = data(60, 3);
    let solver = LogisticRegression {
        max_iterations: 1,
        ..LogisticRegression::new(100.0)
    };
    let fit = solver
        .fit_multinomial(features(&values), &labels, 3)
        .expect("fits");
    assert!(matches!(
        fit.warnings[..],
        [FitWarning::NotConverged { iterations: 1, .. }]
    ));
}

#[cfg(not(target_family = "wasm"))]
#[test]
fn number_of_threads_changes_no_bit() {
    // More rows than one chunk holds.
    let (values, labels) = data(1500, 3);
    let fit = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads start").install(|| {
            LogisticRegression::new(2.0)
                .fit_multinomial(features(&values), &labels, 3)
                .expect("fits")
        })
    };
    assert_eq!(fit(1), fit(4));
}

#[test]
fn bad_input_is_refused() {
    let (values, labels) = data(10, 2);
    let solver = LogisticRegression::new(1.0);
    let fit = |labels: &[usize], classes| {
        solver
            .fit_multinomial(features(&values), labels, classes)
            .unwrap_err()
    };
    assert!(matches!(fit(&labels[1..], 2), ProbeError::Length { .. }));
    assert!(matches!(
        fit(&[5; 10], 2),
        ProbeError::LabelOutOfRange { sample: 0, .. }
    ));
    assert_eq!(fit(&[1; 10], 2), ProbeError::TooFewClasses { present: 1 });
    for c in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-310] {
        let error = LogisticRegression::new(c).fit_multinomial(features(&values), &labels, 2);
        assert!(matches!(error, Err(ProbeError::Setting { name: "C", .. })));
    }
    assert!(matches!(
        solver.fit_one_vs_rest(features(&values), &[true; 19], 2),
        Err(ProbeError::Length { .. })
    ));
}
