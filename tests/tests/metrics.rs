//! Every metric against scikit-learn, numpy and scipy (`parity/generate_probes.py`).
//!
//! Both sides work in double precision on at most a few hundred numbers, so they differ by the
//! rounding of such sums.

use std::collections::BTreeMap;

use emotionclip_eval::metrics::{
    ConfusionMatrix, concordance, emoclip_concordance, emoclip_pearson, macro_average_precision,
    macro_roc_auc, mean_absolute_error, mean_r2, mean_squared_error, pearson, r2, recall_at,
    retrieval_ranks, root_mean_squared_error, savitzky_golay, top1_hit_rate,
};
use integration_tests::golden::Golden;
use serde::Deserialize;

/// A few hundred roundings of numbers of order 1.
const ROUNDING: f64 = 1e-13;

#[derive(Deserialize)]
struct MultiLabel {
    classes: usize,
    average_precision: Vec<f64>,
    macro_average_precision: f64,
    absent: Vec<usize>,
    auc: BTreeMap<usize, f64>,
    macro_auc: f64,
    without_auc: Vec<usize>,
    top1_hit_rate: f64,
}

#[derive(Deserialize)]
struct SingleLabel {
    classes: usize,
    accuracy: f64,
    weighted_f1: f64,
    macro_f1: f64,
    unweighted_average_recall: f64,
    weighted_average_recall: f64,
    confusion: Vec<u64>,
}

#[derive(Deserialize)]
struct Output {
    mean_squared_error: f64,
    root_mean_squared_error: f64,
    mean_absolute_error: f64,
    r2: f64,
    pearson: f64,
    concordance: f64,
    emoclip_pearson: f64,
    emoclip_concordance: f64,
}

#[derive(Deserialize)]
struct Smoothing {
    name: String,
    window: usize,
    order: usize,
}

fn close(what: &str, actual: f64, expected: f64) {
    let error = (actual - expected).abs();
    assert!(
        error <= ROUNDING * expected.abs().max(1.0),
        "{what}: {actual}, not {expected}"
    );
}

fn truth(golden: &Golden, name: &str) -> Vec<bool> {
    golden
        .get(name)
        .values
        .iter()
        .map(|value| *value == 1.0)
        .collect()
}

fn indices(golden: &Golden, name: &str) -> Vec<usize> {
    golden
        .get(name)
        .values
        .iter()
        .map(|value| *value as usize)
        .collect()
}

#[test]
fn multi_label_metrics_match_scikit_learn() {
    let golden = Golden::read("probes");
    let expected: MultiLabel = golden.config("/multi_label");
    let labels = truth(&golden, "multi_label/truth");
    let scores = &golden.get("multi_label/scores").values;
    let classes = expected.classes;

    let precision = macro_average_precision(&labels, scores, classes).expect("valid input");
    close(
        "macro mAP",
        precision.mean,
        expected.macro_average_precision,
    );
    assert_eq!(precision.undefined, expected.absent);
    for (class, value) in expected.average_precision.iter().enumerate() {
        close(
            "average precision",
            precision.per_class[class].expect("counted"),
            *value,
        );
    }

    let area = macro_roc_auc(&labels, scores, classes).expect("valid input");
    close("macro AUC", area.mean, expected.macro_auc);
    assert_eq!(area.undefined, expected.without_auc);
    for (class, value) in &expected.auc {
        close("AUC", area.per_class[*class].expect("defined"), *value);
    }

    let sparse = truth(&golden, "multi_label/sparse_truth");
    let distinct = &golden.get("multi_label/distinct_scores").values;
    let hits = top1_hit_rate(&sparse, distinct, classes).expect("valid input");
    close("top-1 hit rate", hits, expected.top1_hit_rate);
}

#[test]
fn single_label_metrics_match_scikit_learn() {
    let golden = Golden::read("probes");
    let expected: SingleLabel = golden.config("/single_label");
    let matrix = ConfusionMatrix::new(
        &indices(&golden, "single_label/truth"),
        &indices(&golden, "single_label/predicted"),
        expected.classes,
    )
    .expect("valid input");
    assert_eq!(matrix.counts(), expected.confusion);
    close("accuracy", matrix.accuracy(), expected.accuracy);
    close("weighted F1", matrix.weighted_f1(), expected.weighted_f1);
    close("macro F1", matrix.macro_f1(), expected.macro_f1);
    close(
        "UAR",
        matrix.unweighted_average_recall(),
        expected.unweighted_average_recall,
    );
    close(
        "WAR",
        matrix.weighted_average_recall(),
        expected.weighted_average_recall,
    );
}

#[test]
fn regression_metrics_match_scikit_learn_and_emoclip() {
    let golden = Golden::read("probes");
    let truth = &golden.get("regression/truth").values;
    let predicted = &golden.get("regression/predicted").values;
    let outputs: Vec<Output> = golden.config("/regression/outputs");
    let count = outputs.len();
    for (output, expected) in outputs.iter().enumerate() {
        let column = |values: &[f64]| -> Vec<f64> {
            values.iter().skip(output).step_by(count).copied().collect()
        };
        let (y, p) = (column(truth), column(predicted));
        let check = |what: &str, metric: fn(&[f64], &[f64]) -> Result<f64, _>, expected: f64| {
            close(what, metric(&y, &p).expect("valid input"), expected);
        };
        check("MSE", mean_squared_error, expected.mean_squared_error);
        check(
            "RMSE",
            root_mean_squared_error,
            expected.root_mean_squared_error,
        );
        check("MAE", mean_absolute_error, expected.mean_absolute_error);
        check("R²", r2, expected.r2);
        check("Pearson", pearson, expected.pearson);
        check("CCC", concordance, expected.concordance);
        check("EmoCLIP's PCC", emoclip_pearson, expected.emoclip_pearson);
        check(
            "EmoCLIP's CCC",
            emoclip_concordance,
            expected.emoclip_concordance,
        );
    }
    let mean = mean_r2(truth, predicted, count).expect("valid input").mean;
    close("mean R²", mean, golden.config("/regression/mean_r2"));
}

#[test]
fn retrieval_recall_matches_a_full_sort() {
    let golden = Golden::read("probes");
    let similarity = golden.get("retrieval/similarity");
    let relevant = indices(&golden, "retrieval/relevant");
    let ranks =
        retrieval_ranks(&similarity.values, similarity.shape[1], &relevant).expect("valid input");
    let recall: BTreeMap<usize, f64> = golden.config("/retrieval/recall");
    for (k, expected) in recall {
        close(
            "recall",
            recall_at(&ranks, k).expect("valid input"),
            expected,
        );
    }
}

#[test]
fn savitzky_golay_matches_scipy() {
    let golden = Golden::read("probes");
    let cases: Vec<Smoothing> = golden.config("/smoothing");
    for Smoothing {
        name,
        window,
        order,
    } in cases
    {
        let series = &golden.get(&format!("{name}/series")).values;
        let expected = &golden.get(&format!("{name}/smoothed")).values;
        let smoothed = savitzky_golay(series, window, order).expect("valid input");
        assert_eq!(smoothed.len(), expected.len());
        // scipy solves for powers of the position up to 50, whose condition costs it digits.
        for (actual, expected) in smoothed.iter().zip(expected) {
            assert!(
                (actual - expected).abs() <= 1e-9,
                "{name}: {actual}, not {expected}"
            );
        }
    }
}
