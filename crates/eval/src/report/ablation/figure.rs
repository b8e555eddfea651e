//! Accuracy over β with its deviation over seeds (the paper's Fig. 6).

use super::data::{AblationReport, AblationRow, AblationTable, Measure};
use crate::report::format::percent;
use crate::report::point_chart::{PointChart, PointSeries};

const MEASURES: [(&str, Measure); 2] = [
    ("linear probe", |scores| scores.probe),
    ("zero-shot", |scores| scores.zero_shot),
];

/// The plot of a sweep's rows; empty without runs.
pub(super) fn figure(report: &AblationReport, table: &AblationTable) -> String {
    let mut rows = report.rows_of(table);
    rows.sort_by(|a, b| a.beta.total_cmp(&b.beta));
    if rows.is_empty() {
        return String::new();
    }
    let series = MEASURES
        .iter()
        .enumerate()
        .map(|(colour, (name, measure))| {
            let point = |row: &&AblationRow| {
                let spread = row.spread(*measure);
                spread.map_or((f64::NAN, 0.0), |spread| {
                    (spread.mean, spread.deviation.unwrap_or(0.0))
                })
            };
            PointSeries {
                name,
                points: rows.iter().map(point).collect(),
                colour,
            }
        });
    let described: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let spread = row.spread(|scores| scores.zero_shot)?;
            Some(format!("β {}: {}", row.beta, percent(spread.mean)))
        })
        .collect();
    let chart = PointChart {
        alt: format!("Zero-shot accuracy by β. {}", described.join(", ")),
        x_title: "β",
        y_title: "accuracy for the subject",
        labels: rows.iter().map(|row| row.beta.to_string()).collect(),
        series: series.collect(),
        references: vec![
            (report.chance, "chance"),
            (report.subject_blind, "all faces read, subject unknown"),
        ],
        height: 320.0,
    }
    .render();
    format!(
        "<figure>{chart}<figcaption>Accuracy over the strength of the sentiment guidance: mean over \
         seeds, bars of one standard deviation. The values of β stand in even steps; at 0 the loss \
         is plain InfoNCE.</figcaption></figure>"
    )
}
