//! The page that `data stats` writes: what a corpus is like, as bars.

use super::format::escape;
use super::page::{self, Section};

/// What a corpus is like, to be shown as a page.
#[derive(Clone, Debug, Default)]
pub struct CorpusPage {
    /// Heading.
    pub title: String,
    /// Facts, name and value.
    pub facts: Vec<(String, String)>,
    /// Distributions, in order.
    pub charts: Vec<CorpusBars>,
}

/// How often values fall into classes.
#[derive(Clone, Debug, Default)]
pub struct CorpusBars {
    /// What is counted, with its unit.
    pub title: String,
    /// Names of the classes.
    pub labels: Vec<String>,
    /// How many are in each; as many as labels.
    pub counts: Vec<usize>,
    /// The mean, where values are numbers.
    pub mean: Option<f64>,
}

impl CorpusPage {
    /// One self-contained HTML page.
    pub fn to_html(&self) -> String {
        let facts = self
            .facts
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let header = page::heading([], "EmotionCLIP corpus", &self.title, facts);
        let body: String = self.charts.iter().map(bars).collect();
        page::render(
            &self.title,
            &header,
            &[Section::new("distributions", "Distributions", body)],
        )
    }
}

/// A table whose rows are bars: it reads without a picture too.
fn bars(chart: &CorpusBars) -> String {
    let most = chart.counts.iter().copied().max().unwrap_or(0);
    let mean = chart
        .mean
        .map_or_else(String::new, |mean| format!(", mean {mean:.2}"));
    let mut out = format!(
        "<table class=\"bars\"><caption>{}{mean}</caption><tbody>",
        escape(&chart.title)
    );
    for (label, count) in chart.labels.iter().zip(&chart.counts) {
        let width = 200.0 * *count as f64 / most.max(1) as f64;
        let highest = if *count == most && most > 0 {
            " class=\"highest\""
        } else {
            ""
        };
        out.push_str(&format!(
            "<tr{highest}><th scope=\"row\">{}</th><td class=\"bar-column\">\
             <svg class=\"bar\" viewBox=\"0 0 200 8\" width=\"100%\" height=\"8\" \
             preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <rect class=\"track\" width=\"200\" height=\"8\"/>\
             <rect class=\"fill\" width=\"{width:.1}\" height=\"8\"/></svg></td>\
             <td class=\"number\">{count}</td></tr>",
            escape(label)
        ));
    }
    out.push_str("</tbody></table>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_become_rows_and_hostile_names_stay_text() {
        let page = CorpusPage {
            title: "<script>".to_owned(),
            facts: vec![("clips".to_owned(), "3".to_owned())],
            charts: vec![CorpusBars {
                title: "people & frames".to_owned(),
                labels: vec!["0".to_owned(), "<b>".to_owned()],
                counts: vec![1, 2],
                mean: Some(0.5),
            }],
        };
        let html = page.to_html();
        assert!(html.contains("people &amp; frames, mean 0.50"));
        assert!(html.contains("width=\"100.0\" height=\"8\"/></svg></td><td class=\"number\">1<"));
        assert!(!html.contains("<script>") && !html.contains("<b>"));
    }

    #[test]
    fn a_chart_of_nothing_is_a_page_too() {
        let empty = CorpusPage {
            charts: vec![CorpusBars::default()],
            ..CorpusPage::default()
        };
        assert!(empty.to_html().contains("</html>"));
    }
}
