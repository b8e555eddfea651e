//! The section on classes: the confusion matrix as a sheet and each class's scores.

use super::colour::level;
use super::data::{ClassScores, ConfusionMatrix, RunReport};
use super::format::{count, escape, percent};

/// Classes up to which column headings fit without being turned, and letters of the longest.
const LEVEL_HEADINGS: usize = 8;

/// Least width of a matrix's cell in pixels, its share of the row headings included.
const LEAST_CELL_WIDTH: usize = 36;

/// The section's body; empty when there is neither a matrix nor a table.
pub(super) fn section(report: &RunReport) -> String {
    let matrix = report.confusion.as_ref().map(matrix).unwrap_or_default();
    let table = table(&report.classes);
    if matrix.is_empty() && table.is_empty() {
        return String::new();
    }
    format!("<div class=\"pair\">{matrix}{table}</div>")
}

fn matrix(confusion: &ConfusionMatrix) -> String {
    captioned_matrix(
        confusion,
        "Zero-shot predictions on the test split: clips of the emotion in a row that were read as \
         the emotion in a column. Shade is the share of the row; the diagonal is right.",
    )
}

/// A confusion matrix as a sheet; `caption` is HTML.
pub(super) fn captioned_matrix(confusion: &ConfusionMatrix, caption: &str) -> String {
    if confusion.labels.is_empty() {
        return String::new();
    }
    let columns: String = confusion
        .labels
        .iter()
        .map(|label| format!("<th scope=\"col\"><span>{}</span></th>", escape(label)))
        .collect();
    let rows: String = confusion
        .labels
        .iter()
        .enumerate()
        .map(|(truth, label)| matrix_row(confusion, truth, label))
        .collect();
    let number = confusion.labels.len();
    let longest = confusion.labels.iter().map(|label| label.chars().count());
    let are_wide = number.max(longest.max().unwrap_or(0)) > LEVEL_HEADINGS;
    let many = if are_wide { " many" } else { "" };
    let least_width = LEAST_CELL_WIDTH * number;
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Confusion matrix\">\
         <table class=\"sheet confusion{many}\" style=\"min-width:{least_width}px\"><caption>{caption}</caption><thead><tr>\
         <th scope=\"col\" class=\"corner\">true \\ read as</th>{columns}</tr></thead>\
         <tbody>{rows}</tbody></table></div>"
    )
}

fn matrix_row(confusion: &ConfusionMatrix, truth: usize, label: &str) -> String {
    let counts = confusion.counts.get(truth).map_or(&[][..], Vec::as_slice);
    let total: u64 = counts.iter().sum();
    let cells: String = confusion
        .labels
        .iter()
        .enumerate()
        .map(|(column, read_as)| {
            let number = counts.get(column).copied().unwrap_or(0);
            let share = if total == 0 {
                0.0
            } else {
                number as f64 / total as f64
            };
            let diagonal = if column == truth { " diagonal" } else { "" };
            format!(
                "<td class=\"h{}{diagonal}\" title=\"{} of {label} read as {}\">{}</td>",
                level(share),
                percent(share),
                escape(read_as),
                count(number),
                label = escape(label),
            )
        })
        .collect();
    format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", escape(label))
}

fn table(classes: &[ClassScores]) -> String {
    if classes.is_empty() {
        return String::new();
    }
    let rows: String = classes
        .iter()
        .map(|class| {
            row(
                &escape(&class.label),
                class.precision,
                class.recall,
                class.f1,
                class.support,
            )
        })
        .collect();
    let mean = |value: fn(&ClassScores) -> f64| {
        classes.iter().map(value).sum::<f64>() / classes.len() as f64
    };
    let support = classes.iter().map(|class| class.support).sum();
    let footer = row(
        "mean",
        mean(|class| class.precision),
        mean(|class| class.recall),
        mean(|class| class.f1),
        support,
    );
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Scores of each class\">\
         <table class=\"plain per-class\"><caption>Precision, recall and F1 of each emotion; the \
         mean weighs emotions alike, support is the number of test clips.</caption><thead><tr>\
         <th scope=\"col\">emotion</th><th scope=\"col\" class=\"number\">precision</th>\
         <th scope=\"col\" class=\"number\">recall</th><th scope=\"col\" class=\"number\">F1</th>\
         <th class=\"bar-column\" aria-hidden=\"true\"></th>\
         <th scope=\"col\" class=\"number\">support</th></tr></thead>\
         <tbody>{rows}</tbody><tfoot>{footer}</tfoot></table></div>"
    )
}

fn row(label: &str, precision: f64, recall: f64, f1: f64, support: u64) -> String {
    format!(
        "<tr><th scope=\"row\">{label}</th><td class=\"number\">{}</td><td class=\"number\">{}</td>\
         <td class=\"number\">{}</td><td class=\"bar-column\" aria-hidden=\"true\">{}</td>\
         <td class=\"number\">{}</td></tr>",
        percent(precision),
        percent(recall),
        percent(f1),
        bar(f1, "bar"),
        count(support)
    )
}

/// A horizontal bar from 0 to 100 % of its column.
pub(super) fn bar(share: f64, class: &str) -> String {
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    };
    format!(
        "<svg class=\"{class}\" width=\"100%\" height=\"10\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"100%\" height=\"10\" rx=\"2\"/>\
         <rect class=\"fill\" width=\"{:.1}%\" height=\"10\" rx=\"2\"/></svg>",
        100.0 * share
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shaded_by_their_own_share() {
        let confusion = ConfusionMatrix {
            labels: vec!["joy".to_owned(), "<fear>".to_owned()],
            counts: vec![vec![30, 10], vec![0, 0]],
        };
        let html = matrix(&confusion);
        assert!(html.contains("75.0% of joy read as joy"));
        assert!(html.contains("25.0% of joy read as &lt;fear&gt;"));
        assert!(!html.contains("NaN") && !html.contains("<fear>"));
    }

    #[test]
    fn ragged_counts_read_as_zero() {
        let confusion = ConfusionMatrix {
            labels: vec!["a".to_owned(), "b".to_owned()],
            counts: vec![vec![1]],
        };
        assert_eq!(matrix(&confusion).matches("<td").count(), 4);
    }

    #[test]
    fn nothing_to_show_is_no_section() {
        assert_eq!(section(&RunReport::default()), "");
    }
}
