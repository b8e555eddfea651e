//! The report of a linear-probe protocol: its scores beside published ones, and class by class.

use emotionclip_data::synthetic::Split;

use super::classes::captioned_matrix;
use super::data::ConfusionMatrix;
use super::format::{count, escape};
use super::page::{self, Section};
use crate::folds::rows;
use crate::protocols::{
    ClassScore, Metric, PAPER, ProtocolOutcome, ProtocolScore, PublishedSystem, published,
    published_systems,
};

/// Figures of another system on the same set.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedSystem {
    /// Its name.
    pub name: String,
    /// Where the figures stand; may be empty.
    pub source: String,
    /// Part, metric and value; shares in `[0, 1]`.
    pub scores: Vec<(Split, Metric, f64)>,
}

/// Everything that the report shows.
#[derive(Clone, Debug)]
pub struct BenchmarkReport {
    /// Heading of the page, e.g. `mini on MELD`.
    pub title: String,
    /// Name of the model, for the table.
    pub model: String,
    /// Remarks that must not be overlooked, shown above everything else.
    pub notices: Vec<String>,
    /// Facts on model, data and machine, name and value.
    pub facts: Vec<(String, String)>,
    /// The command that repeats the run.
    pub command_line: String,
    /// What was measured.
    pub outcome: ProtocolOutcome,
    /// What stands beside it, the paper's figures apart, which are always there.
    pub systems: Vec<ComparedSystem>,
}

impl BenchmarkReport {
    /// The report as one self-contained HTML page.
    pub fn to_html(&self) -> String {
        let sections = [
            Section::new("scores", "Scores", self.score_table()),
            Section::new("systems", "Other systems", self.system_table()),
            Section::new("values", "Number by number", self.value_table()),
            Section::new("classes", "Class by class", self.class_table()),
            Section::new("predictions", "Predictions", self.matrices()),
            Section::new("warnings", "To be known", self.warnings()),
            Section::new("run", "How this was measured", self.run_section()),
        ];
        let facts = self.facts.iter();
        let header = page::heading(
            self.notices.iter().map(String::as_str),
            "Linear-probe protocol",
            &self.title,
            facts.map(|(name, value)| (name.as_str(), value.as_str())),
        );
        page::render(&self.title, &header, &sections)
    }

    /// The numbers that are reported of everything together.
    fn columns(&self) -> impl Iterator<Item = &ProtocolScore> {
        let scores = self.outcome.scores.iter();
        scores.filter(|score| score.output.is_none())
    }

    fn score_table(&self) -> String {
        let heads: String = self
            .columns()
            .map(|score| {
                let unit = if score.metric.is_share() { ", %" } else { "" };
                format!(
                    "<th scope=\"col\" class=\"number\">{}{unit}<br>{}</th>",
                    score.metric,
                    part_name(score.part)
                )
            })
            .collect();
        let row = |name: &str, source: &str, value: &dyn Fn(&ProtocolScore) -> Option<f64>| {
            let cells: String = self
                .columns()
                .map(|score| {
                    let text =
                        value(score).map_or_else(String::new, |value| score.metric.text(value));
                    format!("<td class=\"number\">{text}</td>")
                })
                .collect();
            format!(
                "<tr><th scope=\"row\">{}<span class=\"meaning\">{}</span></th>{cells}</tr>",
                escape(name),
                escape(source)
            )
        };
        let figures = published(self.outcome.dataset);
        let of_paper = |score: &ProtocolScore| {
            let same = figures
                .iter()
                .find(|one| (one.part, one.metric) == (score.part, score.metric));
            same.map(|one| one.value)
        };
        let systems: String = self
            .systems
            .iter()
            .map(|system| {
                let value = |score: &ProtocolScore| {
                    let mut scores = system.scores.iter();
                    let same = scores.find(|one| (one.0, one.1) == (score.part, score.metric));
                    same.map(|one| one.2)
                };
                row(&system.name, &system.source, &value)
            })
            .collect();
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Scores\">\
             <table class=\"plain scores\"><caption>Features of the frozen model under a linear \
             probe, beside published figures; a blank has no source at hand.</caption>\
             <thead><tr><th scope=\"col\">system</th>{heads}</tr></thead>\
             <tbody>{}{}{systems}</tbody></table></div>",
            row(&self.model, "measured here", &|score| Some(score.value)),
            row("EmotionCLIP, ViT-B/32", PAPER, &of_paper),
        )
    }

    fn system_table(&self) -> String {
        let systems = published_systems(self.outcome.dataset);
        let body: String = systems.iter().map(system_row).collect();
        if body.is_empty() {
            return "<p class=\"meaning\">No figure of another system on this footing has a source at hand; \
                    --beside adds them.</p>"
                .to_owned();
        }
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Other systems\">\
             <table class=\"plain\"><caption>What others report on this set, as the source has it; shares in \
             per cent. The paper's own tables are not at hand, so which of these stand in them was not checked; \
             --beside adds more.</caption><thead><tr><th scope=\"col\">system</th>\
             <th scope=\"col\">is given</th><th scope=\"col\">part</th><th scope=\"col\">figures</th>\
             <th scope=\"col\">source</th></tr></thead><tbody>{body}</tbody></table></div>"
        )
    }

    fn value_table(&self) -> String {
        let body: String = self
            .outcome
            .scores
            .iter()
            .filter_map(|score| Some((score, score.output?)))
            .map(|(score, output)| {
                format!(
                    "<tr><th scope=\"row\">{output}</th><td>{}</td><td>{}</td>\
                     <td class=\"number\">{}</td></tr>",
                    part_name(score.part),
                    score.metric,
                    score.metric.text(score.value)
                )
            })
            .collect();
        if body.is_empty() {
            return body;
        }
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Numbers\">\
             <table class=\"plain\"><thead><tr><th scope=\"col\">number</th>\
             <th scope=\"col\">part</th><th scope=\"col\">metric</th>\
             <th scope=\"col\" class=\"number\">value</th></tr></thead><tbody>{body}</tbody>\
             </table></div>"
        )
    }

    fn class_table(&self) -> String {
        let body: String = self.outcome.classes.iter().map(class_row).collect();
        if body.is_empty() {
            return body;
        }
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Classes\">\
             <table class=\"plain\"><caption>In per cent. A class that nobody shows has an average \
             precision of 0 and no AUC.</caption><thead><tr><th scope=\"col\">class</th>\
             <th scope=\"col\">part</th><th scope=\"col\" class=\"number\">samples</th>\
             <th scope=\"col\" class=\"number\">average precision</th>\
             <th scope=\"col\" class=\"number\">AUC</th></tr></thead><tbody>{body}</tbody>\
             </table></div>"
        )
    }

    fn matrices(&self) -> String {
        let labels = self.outcome.dataset.classes().iter();
        let labels: Vec<String> = labels.map(|label| (*label).to_owned()).collect();
        let matrices: String = self
            .outcome
            .confusions
            .iter()
            .map(|confusion| {
                let matrix = ConfusionMatrix {
                    labels: labels.clone(),
                    counts: rows(&confusion.matrix),
                };
                let caption = format!(
                    "The {} part: clips of the class in a row that were read as the class in a \
                     column. Shade is the share of the row; the diagonal is right.",
                    part_name(confusion.part)
                );
                captioned_matrix(&matrix, &caption)
            })
            .collect();
        if matrices.is_empty() {
            return matrices;
        }
        format!("<div class=\"pair\">{matrices}</div>")
    }

    fn warnings(&self) -> String {
        let warnings = self.outcome.warnings.iter();
        let items: String = warnings
            .map(|warning| format!("<li>{}</li>", escape(warning)))
            .collect();
        if items.is_empty() {
            return items;
        }
        format!("<div class=\"prose\"><ul>{items}</ul></div>")
    }

    fn run_section(&self) -> String {
        if self.command_line.is_empty() {
            return String::new();
        }
        let command = escape(&self.command_line);
        format!("<pre class=\"command\" tabindex=\"0\">{command}</pre>")
    }
}

fn class_row(score: &ClassScore) -> String {
    let share = |value: Option<f64>| {
        value.map_or_else(String::new, |value| format!("{:.2}", 100.0 * value))
    };
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"number\">{}</td>\
         <td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
        escape(score.class),
        part_name(score.part),
        count(score.positives as u64),
        share(Some(score.average_precision)),
        share(score.roc_auc)
    )
}

fn system_row(system: &PublishedSystem) -> String {
    let scores = system.scores.iter().map(|score| {
        let output = score
            .output
            .map(|name| format!("{name} "))
            .unwrap_or_default();
        format!(
            "{output}{} {}",
            score.metric,
            score.metric.text(score.value)
        )
    });
    let scores: Vec<String> = scores.collect();
    format!(
        "<tr><th scope=\"row\">{} ({})</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        escape(system.name),
        system.year,
        escape(system.input),
        system.part.map_or("not said", part_name),
        escape(&scores.join(", ")),
        escape(system.source)
    )
}

fn part_name(part: Split) -> &'static str {
    match part {
        Split::Train => "training",
        Split::Validation => "validation",
        Split::Test => "test",
    }
}

#[cfg(test)]
mod tests {
    use emotionclip::probe::Features;
    use emotionclip_data::benchmarks::ProbeDataset;

    use super::*;
    use crate::protocols::{ProtocolPart, evaluate};

    fn report() -> BenchmarkReport {
        let values: Vec<f32> = (0..42)
            .map(|index| (index * 37 % 11) as f32 - 5.0)
            .collect();
        let part = |split| ProtocolPart {
            split,
            features: Features::new(&values, 3).unwrap(),
            labels: (0..14).map(|sample| vec![sample % 7]).collect(),
            values: vec![Vec::new(); 14],
        };
        let held_out = [part(Split::Validation), part(Split::Test)];
        let outcome = evaluate(ProbeDataset::Meld, &part(Split::Train), &held_out).unwrap();
        let hostile = "<script>alert(1)</script>".to_owned();
        BenchmarkReport {
            title: hostile.clone(),
            model: hostile.clone(),
            notices: vec![hostile.clone()],
            facts: vec![(hostile.clone(), hostile.clone())],
            command_line: hostile.clone(),
            outcome: ProtocolOutcome {
                warnings: vec![hostile.clone()],
                ..outcome
            },
            systems: vec![ComparedSystem {
                name: hostile.clone(),
                source: hostile,
                scores: vec![(Split::Test, Metric::WeightedF1, 0.3125)],
            }],
        }
    }

    #[test]
    fn scores_stand_beside_the_papers_and_other_systems() {
        let html = report().to_html();
        assert!(!html.contains("<script>"));
        for shown in [
            ">48.28<",
            ">34.59<",
            ">31.25<",
            "<section id=\"predictions\"",
            "CVPR 2023",
            // What others report, with where it was read.
            "weighted F1 36.53",
            "NUSTM/FacialMMT",
        ] {
            assert!(html.contains(shown), "{shown}");
        }
    }

    #[test]
    fn a_set_without_figures_of_others_says_so() {
        let mut report = report();
        report.outcome.dataset = ProbeDataset::MovieGraphs;
        assert!(report.to_html().contains("No figure of another system"));
    }

    #[test]
    fn a_blank_stands_where_no_figure_is_at_hand() {
        let html = report().to_html();
        // The paper's row: nothing for the validation part, figures for the test part.
        let blank = "<td class=\"number\"></td>";
        let row = html.split("EmotionCLIP, ViT-B/32").nth(1).unwrap();
        let row = row.split("</tr>").next().unwrap();
        assert_eq!(row.matches(blank).count(), 2, "{row}");
    }
}
