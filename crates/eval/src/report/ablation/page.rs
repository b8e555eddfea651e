//! The report of a sweep as HTML.

use super::data::{AblationReport, AblationRow, AblationTable, Measure};
use super::figure;
use crate::folds::MeanDeviation;
use crate::report::format::{duration, escape, percent};
use crate::report::page::{self, Section};

/// The columns of a table: heading and measure; those marked are compared with the base.
pub(super) fn columns(report: &AblationReport) -> [(String, Measure, bool); 5] {
    [
        ("zero-shot".to_owned(), |scores| scores.zero_shot, true),
        ("linear probe".to_owned(), |scores| scores.probe, true),
        ("probe mAP".to_owned(), |scores| scores.probe_map, false),
        (
            format!("{} people", report.most_people),
            |scores| scores.crowded(),
            false,
        ),
        ("empty mask".to_owned(), |scores| scores.empty_mask, false),
    ]
}

/// The whole page.
pub(super) fn render(report: &AblationReport) -> String {
    let tables = report.tables.iter();
    let titles: Vec<String> = tables.map(|table| escape(&table.title)).collect();
    let mut sections: Vec<Section<'_>> = report
        .tables
        .iter()
        .zip(&titles)
        .map(|(table, title)| Section::new(&table.id, title, section(report, table)))
        .collect();
    sections.push(Section::new(
        "pretrained",
        "What “pretrained” means here",
        pretraining(report),
    ));
    sections.push(Section::new(
        "run",
        "How this sweep was made",
        provenance(report),
    ));
    page::render(&report.title, &header(report), &sections)
}

fn header(report: &AblationReport) -> String {
    page::heading(
        report.warnings.iter().map(String::as_str),
        "EmotionCLIP ablation report",
        &report.title,
        report
            .facts
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )
}

fn section(report: &AblationReport, table: &AblationTable) -> String {
    let rows = report.rows_of(table);
    if rows.is_empty() {
        return String::new();
    }
    let figure = if table.is_sweep {
        figure::figure(report, table)
    } else {
        String::new()
    };
    let columns = columns(report);
    let heads: String = columns
        .iter()
        .map(|(name, _, _)| format!("<th scope=\"col\" class=\"number\">{name}</th>"))
        .collect();
    let strip = Strip::over(report, table, &rows);
    let body: String = rows
        .iter()
        .map(|row| {
            let cells: String = columns
                .iter()
                .map(|(_, measure, compared)| cell(report, table, row, *measure, *compared))
                .collect();
            let tag = if row.slug == table.base {
                "<span class=\"tag\">base</span>"
            } else {
                ""
            };
            format!(
                "<tr><th scope=\"row\">{}{tag}<span class=\"meaning\">{}</span></th>{cells}\
                 <td class=\"strip\">{}</td><td class=\"paper\">{}</td></tr>",
                escape(&row.name),
                escape(&row.meaning),
                strip.marks(row),
                row.published
                    .as_deref()
                    .map_or_else(|| "–".to_owned(), escape)
            )
        })
        .collect();
    format!(
        "<p class=\"lead\">{}</p>{figure}<div class=\"scroll\" tabindex=\"0\" role=\"region\" \
         aria-label=\"{}\"><table class=\"scores ablation\"><caption>{}</caption><thead><tr>\
         <th scope=\"col\">variant</th>{heads}<th scope=\"col\" class=\"strip\">{}</th>\
         <th scope=\"col\">paper</th></tr></thead><tbody>{body}</tbody></table></div>",
        escape(&table.lead),
        escape(&table.title),
        escape(&caption(report, table)),
        strip.scale()
    )
}

/// What the numbers of a table are; at length for the first one that is shown.
pub(super) fn caption(report: &AblationReport, table: &AblationTable) -> String {
    let base = report.row(&table.base).map_or("", |row| row.name.as_str());
    let mut shown = report
        .tables
        .iter()
        .filter(|one| !report.rows_of(one).is_empty());
    if shown.next().is_some_and(|first| first.id != table.id) {
        return format!("As in the first table; differences are from “{base}”.");
    }
    format!(
        "Accuracy for the subject in per cent, mean ± standard deviation over {}. Below it, \
         the difference from “{base}” in points, paired by seed, with its 95% interval; set in bold \
         where the interval leaves out zero. {} people: the zero-shot accuracy where the scene is \
         fullest. Empty mask: zero-shot without saying who the subject is. {}",
        match report.seeds.len() {
            1 => "one seed".to_owned(),
            count => format!("{count} seeds"),
        },
        report.most_people,
        report.published_note
    )
}

fn cell(
    report: &AblationReport,
    table: &AblationTable,
    row: &AblationRow,
    measure: Measure,
    compared: bool,
) -> String {
    let mut out = spread(row.spread(measure));
    if compared && let Some(difference) = report.difference(table, row, measure) {
        let class = if difference.is_clear() {
            "range clear"
        } else {
            "range"
        };
        out.push_str(&format!(
            "<span class=\"{class}\">{}</span>",
            signed(difference.mean, difference.reach)
        ));
    }
    format!("<td class=\"number\">{out}</td>")
}

/// Per cent without a sign, mean and deviation.
pub(super) fn spread(value: Option<MeanDeviation>) -> String {
    let Some(value) = value.filter(|value| value.mean.is_finite()) else {
        return "–".to_owned();
    };
    let deviation = value.deviation.filter(|deviation| deviation.is_finite());
    let deviation = deviation.map(|deviation| format!(" ± {:.1}", 100.0 * deviation));
    format!("{:.1}{}", 100.0 * value.mean, deviation.unwrap_or_default())
}

/// A difference of shares in points with the reach of its interval.
pub(super) fn signed(mean: f64, reach: Option<f64>) -> String {
    if !mean.is_finite() {
        return "–".to_owned();
    }
    let rounded = (1000.0 * mean).round() / 10.0;
    let sign = if rounded < 0.0 { '−' } else { '+' };
    let reach = reach.map(|reach| format!(" ± {:.1}", 100.0 * reach));
    format!("{sign}{:.1}{}", rounded.abs(), reach.unwrap_or_default())
}

/// The zero-shot accuracies of a table's rows on one line each.
struct Strip {
    /// Share at the right end.
    high: f64,
    chance: f64,
    base: Option<f64>,
}

impl Strip {
    fn over(report: &AblationReport, table: &AblationTable, rows: &[&AblationRow]) -> Self {
        let values = rows
            .iter()
            .flat_map(|row| row.by_seed(|scores| scores.zero_shot));
        let highest = values
            .map(|(_, value)| value)
            .filter(|value| value.is_finite())
            .fold(report.chance, f64::max);
        let base = report.row(&table.base);
        Self {
            high: ((10.0 * highest).floor() / 10.0 + 0.1).min(1.0),
            chance: report.chance,
            base: base
                .and_then(|row| row.spread(|scores| scores.zero_shot))
                .map(|spread| spread.mean),
        }
    }

    fn at(&self, share: f64) -> f64 {
        let share = if share.is_finite() { share } else { 0.0 };
        100.0 * (share / self.high).clamp(0.0, 1.0)
    }

    fn scale(&self) -> String {
        format!(
            "<svg width=\"100%\" height=\"16\" role=\"img\" aria-label=\"scale\">\
             <text x=\"0%\" y=\"12\">0%</text>\
             <text x=\"100%\" y=\"12\" text-anchor=\"end\">{:.0}%</text></svg>",
            100.0 * self.high
        )
    }

    /// Every seed pale, the mean strong, chance dashed and the base's mean as a line. Repeats the
    /// numbers beside it, so it is hidden from screen readers.
    fn marks(&self, row: &AblationRow) -> String {
        let seeds: String = row
            .by_seed(|scores| scores.zero_shot)
            .iter()
            .map(|(_, value)| {
                let at = self.at(*value);
                format!("<circle class=\"seed\" cx=\"{at:.2}%\" cy=\"12\" r=\"4\"/>")
            })
            .collect();
        let mean = row.spread(|scores| scores.zero_shot);
        let mean = mean.map_or_else(String::new, |mean| {
            let at = self.at(mean.mean);
            format!("<circle class=\"dot\" cx=\"{at:.2}%\" cy=\"12\" r=\"5\"/>")
        });
        let base = self.base.map_or_else(String::new, |base| {
            let at = self.at(base);
            format!("<line class=\"base\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"0\" y2=\"24\"/>")
        });
        let chance = self.at(self.chance);
        format!(
            "<svg width=\"100%\" height=\"24\" aria-hidden=\"true\">\
             <line class=\"track\" x1=\"0\" x2=\"100%\" y1=\"12\" y2=\"12\"/>{base}\
             <line class=\"chance\" x1=\"{chance:.2}%\" x2=\"{chance:.2}%\" y1=\"0\" y2=\"24\"/>\
             {seeds}{mean}</svg>"
        )
    }
}

fn pretraining(report: &AblationReport) -> String {
    let Some(note) = &report.pretraining else {
        return String::new();
    };
    let text: String = note
        .text
        .iter()
        .map(|paragraph| format!("<p>{}</p>", escape(paragraph)))
        .collect();
    let examples: String = note
        .examples
        .iter()
        .map(|example| format!("<li><span class=\"quote\">{}</span></li>", escape(example)))
        .collect();
    let examples = if examples.is_empty() {
        examples
    } else {
        format!("<p>Some of the descriptions:</p><ul>{examples}</ul>")
    };
    format!("<div class=\"prose\">{text}{examples}</div>")
}

fn provenance(report: &AblationReport) -> String {
    let runs = report.rows.iter().flat_map(|row| {
        let runs = row.runs.iter();
        runs.map(|run| {
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td>\
                 <td class=\"number\">{}</td><td class=\"number\">{}</td>\
                 <td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
                escape(&row.name),
                run.seed,
                run.steps,
                duration(run.train_seconds),
                percent(run.scores.zero_shot),
                percent(run.scores.probe)
            )
        })
    });
    let runs: String = runs.collect();
    let config = if report.config.is_empty() {
        String::new()
    } else {
        format!(
            "<div><h3>Recipe of all variants</h3><pre tabindex=\"0\">{}</pre></div>",
            escape(report.config.trim_end())
        )
    };
    format!(
        "<div class=\"pair\"><div><h3>Command</h3><pre class=\"command\" tabindex=\"0\">{}</pre>\
         <details><summary>Every run</summary><div class=\"scroll tall\" tabindex=\"0\" \
         role=\"region\" aria-label=\"Every run\"><table class=\"plain\"><caption>Training and \
         measuring took {} in all, pre-training included. A row counts what its variant shares with \
         others.</caption><thead><tr>\
         <th scope=\"col\">variant</th><th scope=\"col\" class=\"number\">seed</th>\
         <th scope=\"col\" class=\"number\">steps</th><th scope=\"col\" class=\"number\">training</th>\
         <th scope=\"col\" class=\"number\">zero-shot</th>\
         <th scope=\"col\" class=\"number\">probe</th></tr></thead><tbody>{runs}</tbody></table>\
         </div></details></div>{config}</div>",
        escape(&report.command_line),
        duration(report.seconds)
    )
}
