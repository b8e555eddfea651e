//! `probe --targets`: numbers instead of labels.

use std::collections::BTreeMap;

use emotionclip::probe::{LogisticRegression, Ridge};
use emotionclip_data::decode::Media;
use emotionclip_data::synthetic::Split;
use emotionclip_eval::metrics;
use serde::Serialize;

use super::targets::Targets;
use super::{Kind, ProbeArgs, Provenance, dataset_fault, embed, features, finish_head, provenance};
use crate::context::Context;
use crate::failure::bad_input;
use crate::inputs::subject::Subject;

#[derive(Debug, Serialize)]
struct TargetsResult<'a> {
    #[serde(flatten)]
    provenance: Provenance<'a>,
    /// Mean of each metric over the outputs; a metric that is undefined is left out.
    #[serde(flatten)]
    means: BTreeMap<&'static str, f64>,
    outputs: Vec<String>,
    per_output: BTreeMap<&'static str, Vec<Option<f64>>>,
}

/// Fits and tests a probe of numbers.
///
/// # Errors
/// As the command.
pub(super) fn run(
    args: &ProbeArgs,
    context: &Context,
    subject: &Subject,
    targets: &Targets,
) -> anyhow::Result<()> {
    let select = |wanted: &[Split]| -> (Vec<Media>, Vec<f32>) {
        let chosen = targets
            .samples
            .iter()
            .filter(|sample| wanted.contains(&sample.split));
        let (media, values): (Vec<_>, Vec<_>) = chosen
            .map(|sample| (sample.media.clone(), sample.values.clone()))
            .unzip();
        (media, values.concat())
    };
    let (train_media, train_values) = select(&[Split::Train]);
    let has_test = targets
        .samples
        .iter()
        .any(|sample| sample.split == Split::Test);
    let test_part = if has_test {
        Split::Test
    } else {
        Split::Validation
    };
    let (test_media, test_values) = select(&[test_part]);
    let logistic = args.kind == Some(Kind::OneVsRest);
    if logistic
        && !targets
            .samples
            .iter()
            .flat_map(|one| &one.values)
            .all(|v| [0.0, 1.0].contains(v))
    {
        return Err(bad_input(
            "--kind one-vs-rest takes targets of 0 and 1; use --kind ridge",
        ));
    }
    let model = args.model.load(&context.open_device()?.device, context)?;
    let parts = embed(args, context, &model, subject, &train_media, &test_media)?;
    let outputs = targets.names.len();
    let train = features(&parts.train)?;
    let fitted = if logistic {
        let flags: Vec<bool> = train_values.iter().map(|value| *value == 1.0).collect();
        LogisticRegression::new(args.c).fit_one_vs_rest(train, &flags, outputs)
    } else {
        Ridge { alpha: args.alpha }.fit(train, &train_values, outputs)
    };
    let fitted = fitted.map_err(|error| dataset_fault(args, &error))?;
    let (head, mut warnings) = finish_head(args, fitted, targets.names.clone(), &model)?;
    let predicted = head.predict(features(&parts.test)?)?;
    let truth: Vec<f64> = test_values.iter().map(|value| f64::from(*value)).collect();
    let per_output = if logistic {
        ranking_scores(&truth, &predicted, outputs)?
    } else {
        regression_scores(&truth, &predicted, outputs)
    };
    let mut means = BTreeMap::new();
    for (name, values) in &per_output {
        let defined: Vec<f64> = values.iter().flatten().copied().collect();
        if defined.len() < values.len() {
            let missing = values.len() - defined.len();
            warnings.push(format!(
                "{name} is undefined for {missing} of {outputs} outputs"
            ));
        }
        if !defined.is_empty() {
            means.insert(*name, defined.iter().sum::<f64>() / defined.len() as f64);
        }
    }
    let provenance = provenance(args, &model, &head, &parts, warnings)?;
    let scores: String = means
        .iter()
        .map(|(name, value)| format!("{name:<15} {value:.4}\n"))
        .collect();
    let text = format!("{}\n{scores}", provenance.text());
    let outputs = targets.names.clone();
    let result = TargetsResult {
        provenance,
        means,
        outputs,
        per_output,
    };
    context.finish(&result, &text)
}

/// R², MSE, Pearson and CCC of each output.
fn regression_scores(
    truth: &[f64],
    predicted: &[f64],
    outputs: usize,
) -> BTreeMap<&'static str, Vec<Option<f64>>> {
    let column = |values: &[f64], output: usize| -> Vec<f64> {
        values
            .iter()
            .skip(output)
            .step_by(outputs)
            .copied()
            .collect()
    };
    type Metric = fn(&[f64], &[f64]) -> Result<f64, metrics::MetricError>;
    let all: [(&'static str, Metric); 4] = [
        ("r2", metrics::r2),
        ("mse", metrics::mean_squared_error),
        ("pearson", metrics::pearson),
        ("ccc", metrics::concordance),
    ];
    let score =
        |metric: Metric, output| metric(&column(truth, output), &column(predicted, output)).ok();
    all.into_iter()
        .map(|(name, metric)| {
            (
                name,
                (0..outputs).map(|output| score(metric, output)).collect(),
            )
        })
        .collect()
}

/// Average precision and area under the ROC curve of each output.
fn ranking_scores(
    truth: &[f64],
    predicted: &[f64],
    outputs: usize,
) -> anyhow::Result<BTreeMap<&'static str, Vec<Option<f64>>>> {
    let truth: Vec<bool> = truth.iter().map(|value| *value == 1.0).collect();
    let precision = metrics::macro_average_precision(&truth, predicted, outputs)?;
    let area = metrics::macro_roc_auc(&truth, predicted, outputs)?;
    Ok(BTreeMap::from([
        ("macro_map", precision.per_class),
        ("macro_auc", area.per_class),
    ]))
}
