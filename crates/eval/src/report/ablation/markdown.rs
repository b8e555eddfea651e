//! The report of a sweep as Markdown.

use std::fmt::Write as _;

use super::data::{AblationReport, AblationRow, AblationTable};
use super::page::{caption, columns, signed, spread};
use crate::report::format::duration;

/// The whole document.
pub(super) fn render(report: &AblationReport) -> String {
    let mut out = format!("# {}\n", text(&report.title));
    for warning in &report.warnings {
        let _ = write!(out, "\n> **{}**\n", text(warning));
    }
    out.push('\n');
    for (name, value) in &report.facts {
        let _ = writeln!(out, "- {}: {}", text(name), text(value));
    }
    for table in &report.tables {
        section(&mut out, report, table);
    }
    if let Some(note) = &report.pretraining {
        out.push_str("\n## What “pretrained” means here\n");
        for paragraph in &note.text {
            let _ = write!(out, "\n{}\n", text(paragraph));
        }
        if !note.examples.is_empty() {
            out.push_str("\nSome of the descriptions:\n\n");
        }
        for example in &note.examples {
            let _ = writeln!(out, "- “{}”", text(example));
        }
    }
    let _ = write!(
        out,
        "\n## How this sweep was made\n\nTraining and measuring took {} in all.\n",
        duration(report.seconds)
    );
    fenced(&mut out, "sh", &report.command_line);
    if !report.config.is_empty() {
        out.push_str("\nRecipe of all variants:\n");
        fenced(&mut out, "toml", report.config.trim_end());
    }
    out
}

fn section(out: &mut String, report: &AblationReport, table: &AblationTable) {
    let rows = report.rows_of(table);
    if rows.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "\n## {}\n\n{}\n\n",
        text(&table.title),
        text(&table.lead)
    );
    let columns = columns(report);
    let mut head = "| variant |".to_owned();
    let mut rule = "|---|".to_owned();
    for (name, _, is_compared) in &columns {
        let _ = write!(head, " {name} |");
        rule.push_str("---:|");
        if *is_compared {
            head.push_str(" difference |");
            rule.push_str("---:|");
        }
    }
    let _ = writeln!(out, "{head} paper |\n{rule}---|");
    for row in rows {
        let _ = write!(out, "| {} |", text(&row.name));
        for (_, measure, is_compared) in &columns {
            let _ = write!(out, " {} |", spread(row.spread(*measure)));
            if *is_compared {
                let difference = report.difference(table, row, *measure);
                let shown = difference.map(|one| {
                    let shown = signed(one.mean, one.reach);
                    if one.is_clear() {
                        format!("**{shown}**")
                    } else {
                        shown
                    }
                });
                let _ = write!(out, " {} |", shown.unwrap_or_else(|| other(table, row)));
            }
        }
        let published = row
            .published
            .as_deref()
            .map_or_else(|| "–".to_owned(), text);
        let _ = writeln!(out, " {published} |");
    }
    let _ = write!(
        out,
        "\n{}\n",
        text(
            &caption(report, table)
                .replace("Below it, the difference", "Beside it, the difference")
        )
    );
}

/// What stands where there is no difference.
fn other(table: &AblationTable, row: &AblationRow) -> String {
    if row.slug == table.base {
        "base"
    } else {
        "–"
    }
    .to_owned()
}

fn fenced(out: &mut String, language: &str, content: &str) {
    // A fence longer than any run of backticks inside can't be closed by it.
    let longest = content
        .split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = write!(out, "\n{fence}{language}\n{content}\n{fence}\n");
}

/// A text that can be neither markup nor a cell's end.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' | '<' | '*' | '_' | '`' | '[' | '\\' | '#' => {
                out.push('\\');
                out.push(character);
            }
            '\n' | '\r' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::data::{AblationRun, AblationScores, PeopleScore, PretrainingNote};
    use super::*;

    fn run(seed: u64, zero_shot: f64) -> AblationRun {
        let people = |people, zero_shot| PeopleScore {
            people,
            scenes: 70,
            zero_shot,
            probe: 0.5,
        };
        AblationRun {
            seed,
            scores: AblationScores {
                zero_shot,
                probe: zero_shot + 0.05,
                by_people: vec![people(1, 0.8), people(4, 0.3)],
                ..AblationScores::default()
            },
            steps: 10,
            ..AblationRun::default()
        }
    }

    fn report(hostile: &str) -> AblationReport {
        let row = |slug: &str, values: [f64; 3]| AblationRow {
            slug: slug.to_owned(),
            name: format!("{slug}{hostile}"),
            meaning: hostile.to_owned(),
            runs: (1..)
                .zip(values)
                .map(|(seed, value)| run(seed, value))
                .collect(),
            ..AblationRow::default()
        };
        let table = |id: &str, rows: &[&str], is_sweep| AblationTable {
            id: id.to_owned(),
            title: format!("{id}{hostile}"),
            base: "vanilla".to_owned(),
            rows: rows.iter().map(|row| (*row).to_owned()).collect(),
            is_sweep,
            ..AblationTable::default()
        };
        AblationReport {
            title: format!("Ablations{hostile}"),
            warnings: vec![hostile.to_owned()],
            facts: vec![(hostile.to_owned(), hostile.to_owned())],
            seeds: vec![1, 2, 3],
            chance: 1.0 / 7.0,
            subject_blind: 0.5,
            most_people: 4,
            rows: vec![
                row("vanilla", [0.3, 0.32, 0.34]),
                row("sap", [0.5, 0.53, 0.53]),
            ],
            tables: vec![
                table("subject", &["vanilla", "sap", "absent"], false),
                table("beta", &["sap"], true),
            ],
            pretraining: Some(PretrainingNote {
                text: vec![hostile.to_owned()],
                examples: vec![hostile.to_owned()],
            }),
            command_line: hostile.to_owned(),
            config: hostile.to_owned(),
            ..AblationReport::default()
        }
    }

    #[test]
    fn means_deviations_and_paired_differences_stand_in_a_row() {
        let markdown = report("").to_markdown();
        let line = |start: &str| {
            markdown
                .lines()
                .find(|line| line.starts_with(start))
                .unwrap()
        };
        assert!(line("| vanilla |").contains("| 32.0 ± 2.0 | base |"));
        // Differences 20, 21 and 19 points: deviation 1, over √3, times 4.303: 2.5.
        assert!(line("| sap |").contains("| 52.0 ± 1.7 | **+20.0 ± 2.5** | 57.0 ± 1.7 |"));
        assert!(line("| sap |").contains("| 30.0 ± 0.0 |"), "four people");
        assert!(!markdown.contains("absent"));
        for said_once in ["Empty mask: ", "As in the first table"] {
            assert_eq!(markdown.matches(said_once).count(), 1, "{said_once}");
        }
        let html = report("").to_html();
        assert!(html.contains("52.0 ± 1.7<span class=\"range clear\">+20.0 ± 2.5</span>"));
        assert!(html.contains("<th scope=\"row\">vanilla<span class=\"tag\">base</span>"));
        for id in ["subject", "beta", "pretrained", "run"] {
            assert!(html.contains(&format!("<section id=\"{id}\"")), "{id}");
        }
        assert_eq!(html.matches("class=\"chart wide\"").count(), 1);
    }

    #[test]
    fn nothing_can_be_injected() {
        let html = report("</style><script>alert(1)</script>").to_html();
        for forbidden in ["<script", "http:", "https:", "url(", "<link", "NaN"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        let markdown = report("a|b\n# c <i> ```").to_markdown();
        let rows: Vec<&str> = markdown
            .lines()
            .filter(|line| line.starts_with("| sap"))
            .collect();
        assert_eq!(rows.len(), 2);
        let bars = rows[0].replace("\\|", "").matches('|').count();
        assert_eq!(bars, 10, "{}", rows[0]);
        // Command and recipe stand in fences as they are.
        let headings = markdown.lines().filter(|line| line.starts_with("# c"));
        assert_eq!(headings.count(), 2);
        assert!(markdown.contains("\n````toml\n"));
    }

    #[test]
    fn an_empty_report_is_a_page_and_a_document_too() {
        let empty = AblationReport::default();
        assert!(empty.to_html().starts_with("<!DOCTYPE html>"));
        assert!(empty.to_markdown().starts_with("# "));
    }
}
