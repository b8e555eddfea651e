//! The report on a trained model: what was measured on it, part by part, each figure with its
//! interval and what guessing would give.

use serde::Serialize;

use super::classes::captioned_matrix;
use super::data::ConfusionMatrix;
use super::format::{count, escape, percent, points};
use super::page::{self, Section};
use super::scores::strip_scale;

/// Everything that the report shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EvaluationReport {
    /// Heading of the page, e.g. `mini on the test split`.
    pub title: String,
    /// Remarks that must not be overlooked, shown above everything else.
    pub notices: Vec<String>,
    /// Facts on model, data and machine, name and value.
    pub facts: Vec<(String, String)>,
    /// The command that repeats the evaluation.
    pub command_line: String,
    /// What was measured.
    pub parts: Vec<EvaluationPart>,
}

/// One thing that was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EvaluationPart {
    /// Anchor on the page: letters, digits and hyphens; different from that of other parts.
    pub id: String,
    /// Heading.
    pub title: String,
    /// What was done, in a sentence or two.
    pub introduction: String,
    /// The figures.
    pub measures: Vec<Measure>,
    /// Confusion matrices, each with what it shows.
    pub confusions: Vec<(String, ConfusionMatrix)>,
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    /// Short name.
    pub name: String,
    /// What it measures; may be empty.
    pub meaning: String,
    /// The figure.
    pub value: Quantity,
    /// Its 95 % interval, in the units of the figure.
    pub interval: Option<(f64, f64)>,
    /// What guessing gives, in the units of the figure.
    pub chance: Option<f64>,
}

/// A figure and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// A share in `[0, 1]`, written in per cent.
    Share(f64),
    /// The difference of two shares, written in points.
    Difference(f64),
    /// A number of things.
    Count(u64),
}

impl Quantity {
    /// The figure for people.
    pub(super) fn text(self) -> String {
        match self {
            Self::Share(share) => percent(share),
            Self::Difference(difference) => points(difference),
            Self::Count(number) => count(number),
        }
    }

    /// A bound of the figure's interval for people.
    fn bound(self, bound: f64) -> String {
        match self {
            Self::Share(_) | Self::Count(_) => percent(bound),
            Self::Difference(_) => points(bound).replace(" points", ""),
        }
    }
}

impl Measure {
    /// The interval for people; empty without one.
    pub(super) fn interval_text(&self) -> String {
        self.interval.map_or_else(String::new, |(low, high)| {
            format!("{} to {}", self.value.bound(low), self.value.bound(high))
        })
    }

    /// What guessing gives, for people; empty where that is not known.
    pub(super) fn chance_text(&self) -> String {
        self.chance.map_or_else(String::new, percent)
    }
}

impl EvaluationReport {
    /// The report as one self-contained HTML page.
    pub fn to_html(&self) -> String {
        let titles: Vec<String> = self.parts.iter().map(|part| escape(&part.title)).collect();
        let parts = self.parts.iter().zip(&titles);
        let sections: Vec<Section<'_>> = parts
            .map(|(part, title)| Section::new(&part.id, title, part.section()))
            .chain(std::iter::once(Section::new(
                "run",
                "How this was measured",
                self.run_section(),
            )))
            .collect();
        page::render(&self.title, &self.header(), &sections)
    }

    fn header(&self) -> String {
        page::heading(
            self.notices.iter().map(String::as_str),
            "Evaluation report",
            &self.title,
            self.facts
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        )
    }

    fn run_section(&self) -> String {
        if self.command_line.is_empty() {
            return String::new();
        }
        format!(
            "<pre class=\"command\" tabindex=\"0\">{}</pre>",
            escape(&self.command_line)
        )
    }
}

impl EvaluationPart {
    fn section(&self) -> String {
        let introduction = format!("<p class=\"lead\">{}</p>", escape(&self.introduction));
        let rows: String = self.measures.iter().map(row).collect();
        let table = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">\
             <table class=\"scores\"><caption>Intervals are of 95 %, bars on the right show them; \
             the dashed line is what guessing gives.</caption><thead><tr>\
             <th scope=\"col\">measure</th><th scope=\"col\" class=\"number\">value</th>\
             <th scope=\"col\" class=\"number\">interval</th>\
             <th scope=\"col\" class=\"strip\">{scale}</th></tr></thead><tbody>{rows}</tbody></table></div>",
            title = escape(&self.title),
            scale = strip_scale()
        );
        let matrices: String = self
            .confusions
            .iter()
            .map(|(caption, matrix)| captioned_matrix(matrix, &escape(caption)))
            .collect();
        let matrices = if matrices.is_empty() {
            matrices
        } else {
            format!("<div class=\"pair\">{matrices}</div>")
        };
        format!("{introduction}{table}{matrices}")
    }
}

fn row(measure: &Measure) -> String {
    let strip = match measure.value {
        Quantity::Share(share) => strip(share, measure.interval, measure.chance),
        Quantity::Difference(_) | Quantity::Count(_) => String::new(),
    };
    format!(
        "<tr><th scope=\"row\">{}<span class=\"meaning\">{}</span></th><td class=\"number\">{}</td>\
         <td class=\"number\">{}</td><td class=\"strip\">{strip}</td></tr>",
        escape(&measure.name),
        escape(&measure.meaning),
        measure.value.text(),
        measure.interval_text()
    )
}

/// A share on a line from 0 to 100 %. Repeats the numbers beside it, so it is hidden from screen
/// readers.
fn strip(share: f64, interval: Option<(f64, f64)>, chance: Option<f64>) -> String {
    let at = |share: f64| {
        let share = if share.is_finite() { share } else { 0.0 };
        100.0 * share.clamp(0.0, 1.0)
    };
    let chance = chance.map_or_else(String::new, |chance| {
        let x = at(chance);
        format!("<line class=\"chance\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"0\" y2=\"24\"/>")
    });
    let interval = interval.map_or_else(String::new, |(low, high)| {
        format!(
            "<line class=\"interval\" x1=\"{:.2}%\" x2=\"{:.2}%\" y1=\"12\" y2=\"12\"/>",
            at(low),
            at(high)
        )
    });
    format!(
        "<svg width=\"100%\" height=\"24\" aria-hidden=\"true\">\
         <line class=\"track\" x1=\"0\" x2=\"100%\" y1=\"12\" y2=\"12\"/>{chance}{interval}\
         <circle class=\"dot\" cx=\"{:.2}%\" cy=\"12\" r=\"5\"/></svg>",
        at(share)
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A report with hostile texts and figures that don't exist.
    pub(in crate::report) fn hostile() -> EvaluationReport {
        let text = "<script>a|b\n</script>";
        let measure = |value, interval| Measure {
            name: text.to_owned(),
            meaning: text.to_owned(),
            value,
            interval,
            chance: Some(1.0 / 7.0),
        };
        EvaluationReport {
            title: text.to_owned(),
            notices: vec![text.to_owned()],
            facts: vec![(text.to_owned(), text.to_owned())],
            command_line: text.to_owned(),
            parts: vec![EvaluationPart {
                id: "faces".to_owned(),
                title: text.to_owned(),
                introduction: text.to_owned(),
                measures: vec![
                    measure(Quantity::Share(0.615), Some((0.599, 0.631))),
                    measure(Quantity::Share(f64::NAN), Some((f64::NAN, 2.0))),
                    measure(Quantity::Difference(-0.012), Some((-0.02, -0.004))),
                    measure(Quantity::Count(3589), None),
                ],
                confusions: vec![(
                    text.to_owned(),
                    ConfusionMatrix {
                        labels: vec![text.to_owned(), "fear".to_owned()],
                        counts: vec![vec![3, 1], vec![0, 4]],
                    },
                )],
            }],
        }
    }

    #[test]
    fn the_page_shows_figures_with_intervals_and_nothing_can_be_injected() {
        let html = hostile().to_html();
        assert!(!html.contains("<script>") && !html.contains("NaN"));
        for shown in [
            "61.5%",
            "59.9% to 63.1%",
            "−1.2 points",
            "−2.0 to −0.4",
            "3\u{202f}589",
            "x1=\"14.29%\"",
        ] {
            assert!(html.contains(shown), "{shown}");
        }
        assert!(html.contains("<section id=\"faces\""));
    }

    #[test]
    fn an_empty_report_is_a_page_too() {
        let html = EvaluationReport::default().to_html();
        assert!(html.ends_with("</html>\n") && !html.contains("id=\"run\""));
    }
}
