//! The evaluation report as Markdown, for a page that is committed.

use std::fmt::Write as _;

use super::data::ConfusionMatrix;
use super::evaluation::{EvaluationPart, EvaluationReport};

impl EvaluationReport {
    /// The report as Markdown with tables.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# {}\n", line(&self.title));
        // Writing into a String never fails.
        for notice in &self.notices {
            let _ = write!(text, "\n> **{}**\n", line(notice));
        }
        if !self.facts.is_empty() {
            text.push_str("\n| | |\n|---|---|\n");
            for (name, value) in &self.facts {
                let _ = writeln!(text, "| {} | {} |", cell(name), cell(value));
            }
        }
        for part in &self.parts {
            section(&mut text, part);
        }
        if !self.command_line.is_empty() {
            let _ = write!(
                text,
                "\n## How this was measured\n\n    {}\n",
                self.command_line.replace('\n', " ")
            );
        }
        text
    }
}

fn section(text: &mut String, part: &EvaluationPart) {
    let _ = write!(
        text,
        "\n## {}\n\n{}\n\n",
        line(&part.title),
        line(&part.introduction)
    );
    text.push_str("| measure | value | 95 % interval | guessing |\n|---|---:|---:|---:|\n");
    for measure in &part.measures {
        let meaning = if measure.meaning.is_empty() {
            String::new()
        } else {
            format!(": {}", cell(&measure.meaning))
        };
        let _ = writeln!(
            text,
            "| **{}**{meaning} | {} | {} | {} |",
            cell(&measure.name),
            measure.value.text(),
            measure.interval_text(),
            measure.chance_text()
        );
    }
    for (caption, matrix) in &part.confusions {
        confusion(text, caption, matrix);
    }
}

fn confusion(text: &mut String, caption: &str, matrix: &ConfusionMatrix) {
    let _ = write!(text, "\n{}\n\n| true \\\\ read as |", line(caption));
    for label in &matrix.labels {
        let _ = write!(text, " {} |", cell(label));
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(matrix.labels.len()));
    text.push('\n');
    for (truth, label) in matrix.labels.iter().enumerate() {
        let _ = write!(text, "| {} |", cell(label));
        let counts = matrix.counts.get(truth).map_or(&[][..], Vec::as_slice);
        for column in 0..matrix.labels.len() {
            let _ = write!(text, " {} |", counts.get(column).copied().unwrap_or(0));
        }
        text.push('\n');
    }
}

/// Text on one line in which no HTML begins.
fn line(text: &str) -> String {
    text.replace('\n', " ").replace('<', "&lt;")
}

/// Text that ends no table cell.
fn cell(text: &str) -> String {
    line(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::super::evaluation::tests::hostile;
    use super::*;

    #[test]
    fn tables_keep_their_columns_whatever_the_texts() {
        let text = hostile().to_markdown();
        // The command stands in a code block, which shows everything as it is.
        let mut prose = text.lines().filter(|line| !line.starts_with("    "));
        assert!(!prose.any(|line| line.contains("<script>")));
        let rows: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("** |") || line.starts_with("| **"))
            .collect();
        assert_eq!(rows.len(), 4);
        for row in rows {
            let bars = row.matches('|').count() - row.matches("\\|").count();
            assert_eq!(bars, 5, "{row}");
        }
        assert!(
            text.contains("| 61.5% | 59.9% to 63.1% | 14.3% |"),
            "{text}"
        );
        assert!(text.contains("| fear | 0 | 4 |"), "{text}");
    }

    #[test]
    fn an_empty_report_is_a_heading() {
        assert_eq!(EvaluationReport::default().to_markdown(), "# \n");
    }
}
