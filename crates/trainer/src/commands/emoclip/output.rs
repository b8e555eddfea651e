//! Results as text and as a page.

use std::fmt::Write as _;
use std::path::Path;

use emotionclip_eval::folds::{FoldedResult, LeftOutResult, MeanDeviation, RegressionResult};
use emotionclip_eval::report::FoldReport;

use crate::context::{command_line, write_atomically};

/// UAR and WAR of each fold and their means, in per cent.
pub fn folded_text(result: &FoldedResult) -> String {
    let mut text = format!("{}, {}\n\n", result.benchmark, result.protocol.name());
    let mut line = |name: &str, uar: &str, war: &str, clips: &str| {
        let _ = writeln!(text, "{name:<10} {uar:>16} {war:>16} {clips:>8}");
    };
    line("fold", "UAR", "WAR", "clips");
    for fold in &result.folds {
        line(
            &fold.fold().to_string(),
            &per_cent(fold.uar()),
            &per_cent(fold.war()),
            &fold.clips().to_string(),
        );
    }
    line("mean", &spread(result.uar()), &spread(result.war()), "");
    if let Some(published) = result.published() {
        line(
            "published",
            &per_cent(published.uar),
            &per_cent(published.war),
            "",
        );
    }
    text
}

/// Recall of each class that was left out, in per cent.
pub fn left_out_text(result: &LeftOutResult) -> String {
    let mut text = format!("{}, classes left out\n\n", result.benchmark);
    let mut line = |name: &str, recall: &str| {
        let _ = writeln!(text, "{name:<16} {recall:>16}");
    };
    line("class", "recall");
    for (class, name) in result.classes.iter().enumerate() {
        if let Some(recall) = result.recall(class) {
            line(name, &spread(Some(recall)));
        }
    }
    if let Some(mean) = result.mean_recall() {
        line("mean", &per_cent(mean));
    }
    text
}

/// Correlations and errors of each score.
pub fn regression_text(result: &RegressionResult) -> String {
    let mut text = format!(
        "{:<20} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
        "score", "PCC", "CCC", "MAE", "RMSE", "clips"
    );
    for row in &result.rows {
        let scores = row.scores;
        let _ = writeln!(
            text,
            "{:<20} {:>8.3} {:>8.3} {:>8.3} {:>8.3} {:>8}",
            row.target, scores.pcc, scores.ccc, scores.mae, scores.rmse, row.clips
        );
    }
    text
}

/// Writes the page; the command line that made it is added.
///
/// # Errors
/// If the file can't be written.
pub fn write_report(path: &Path, report: FoldReport) -> anyhow::Result<()> {
    let report = FoldReport {
        command_line: command_line(),
        ..report
    };
    write_atomically(path, report.to_html().as_bytes())
}

fn per_cent(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

fn spread(value: Option<MeanDeviation>) -> String {
    let Some(MeanDeviation { mean, deviation }) = value else {
        return "–".to_owned();
    };
    let deviation = deviation.map(|deviation| format!(" ± {}", per_cent(deviation)));
    per_cent(mean) + &deviation.unwrap_or_default()
}
