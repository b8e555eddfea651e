//! The report of protocols with folds: each fold's UAR and WAR, their means beside what is
//! published, confusion matrices, recall of left-out classes, and regressions.

use serde::Serialize;

use super::classes::captioned_matrix;
use super::data::ConfusionMatrix;
use super::format::{count, escape};
use super::page::{self, Section};
use crate::folds::{
    FoldScores, FoldedResult, LeftOutResult, MeanDeviation, RegressionResult, RegressionScores,
    rows,
};

/// Everything that the report on a run over benchmarks shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FoldReport {
    /// Heading of the page, e.g. `EmoCLIP mini on MAFW`.
    pub title: String,
    /// A remark that must not be overlooked, shown above everything else.
    pub note: Option<String>,
    /// Facts on the run, name and value: model, device, seed, frames a clip …
    pub facts: Vec<(String, String)>,
    /// The command that reproduces the run.
    pub command_line: String,
    /// The resolved configuration as text (TOML); may be empty.
    pub config: String,
    /// Classification protocols.
    pub results: Vec<FoldedResult>,
    /// Leave-one-class-out protocols.
    pub left_out: Vec<LeftOutResult>,
    /// Downstream regressions.
    pub regressions: Vec<RegressionResult>,
}

/// A section before the page is laid out.
struct Part {
    id: String,
    title: String,
    body: String,
}

impl FoldReport {
    /// The report as one self-contained HTML page.
    pub fn to_html(&self) -> String {
        let results = self.results.iter().map(|result| Part {
            id: format!("{}-{}", result.benchmark.slug(), result.protocol.name()),
            title: format!("{}, {}", result.benchmark, result.protocol.name()),
            body: folded_section(result),
        });
        let left_out = self.left_out.iter().map(|result| Part {
            id: format!("{}-left-out", result.benchmark.slug()),
            title: format!("{}, classes left out", result.benchmark),
            body: left_out_section(result),
        });
        let regressions = self.regressions.iter().map(|result| Part {
            id: "regression".to_owned(),
            title: escape(&result.dataset),
            body: regression_section(result),
        });
        let run = std::iter::once(Part {
            id: "run".to_owned(),
            title: "How this run was made".to_owned(),
            body: self.run_section(),
        });
        let mut parts: Vec<Part> = results
            .chain(left_out)
            .chain(regressions)
            .chain(run)
            .collect();
        // The same protocol may stand there twice, with other labels or on another dataset.
        for index in 0..parts.len() {
            let (before, rest) = parts.split_at_mut(index);
            if let Some(part) = rest.first_mut()
                && before.iter().any(|other| other.id == part.id)
            {
                part.id = format!("{}-{}", part.id, index + 1);
            }
        }
        let sections: Vec<Section<'_>> = parts
            .iter_mut()
            .map(|part| Section::new(&part.id, &part.title, std::mem::take(&mut part.body)))
            .collect();
        page::render(&self.title, &self.header(), &sections)
    }

    fn header(&self) -> String {
        page::heading(
            self.note.as_deref(),
            "EmoCLIP evaluation report",
            &self.title,
            self.facts
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        )
    }

    fn run_section(&self) -> String {
        let mut body = String::new();
        for (title, class, text) in [
            ("Command", "command", &self.command_line),
            ("Configuration", "config", &self.config),
        ] {
            if !text.is_empty() {
                body.push_str(&format!(
                    "<div><h3>{title}</h3><pre class=\"{class}\" tabindex=\"0\">{}</pre></div>",
                    escape(text.trim_end())
                ));
            }
        }
        if body.is_empty() {
            body
        } else {
            format!("<div class=\"pair\">{body}</div>")
        }
    }
}

fn folded_section(result: &FoldedResult) -> String {
    if result.folds.is_empty() {
        return String::new();
    }
    let labels = result.classes.clone();
    let pooled = ConfusionMatrix {
        labels: labels.clone(),
        counts: result.pooled(),
    };
    let (together, each) = if result.folds.len() == 1 {
        ("the test part", String::new())
    } else {
        let each = result.folds.iter().map(|fold| {
            let confusion = ConfusionMatrix {
                labels: labels.clone(),
                counts: rows(fold.confusion()),
            };
            let caption = format!("Predictions on the test part of fold {}.", fold.fold());
            format!(
                "<details><summary>Confusion matrix of fold {}</summary>{}</details>",
                fold.fold(),
                captioned_matrix(&confusion, &caption)
            )
        });
        ("the test parts of all folds together", each.collect())
    };
    let caption = format!(
        "Predictions on {together}: clips of the class in a row that were read as the class in a \
         column. Shade is the share of the row; the diagonal is right."
    );
    format!(
        "<div class=\"pair\">{}{}</div>{each}",
        fold_table(result),
        captioned_matrix(&pooled, &caption)
    )
}

/// UAR, WAR and clips of each fold, their means, and the published ones.
fn fold_table(result: &FoldedResult) -> String {
    let row = |name: &str, uar: String, war: String, clips: String| {
        format!(
            "<tr><th scope=\"row\">{name}</th><td class=\"number\">{uar}</td>\
             <td class=\"number\">{war}</td><td class=\"number\">{clips}</td></tr>"
        )
    };
    let body: String = result
        .folds
        .iter()
        .map(|fold| {
            row(
                &fold.fold().to_string(),
                hundredths(fold.uar()),
                hundredths(fold.war()),
                count(fold.clips()),
            )
        })
        .collect();
    let clips = result.folds.iter().map(FoldScores::clips).sum();
    let mean = row(
        "mean",
        spread(result.uar()),
        spread(result.war()),
        count(clips),
    );
    let published = result.published();
    let beside = row(
        "published",
        published.map_or_else(String::new, |beside| hundredths(beside.uar)),
        published.map_or_else(String::new, |beside| hundredths(beside.war)),
        String::new(),
    );
    let deviation = match result.folds.len() {
        1 => "",
        _ => ", ± the standard deviation over folds",
    };
    let source = published.map_or_else(
        || " No published figures with a source are at hand.".to_owned(),
        |beside| format!(" Published: {}.", escape(beside.source)),
    );
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Scores of each fold\">\
         <table class=\"plain\"><caption>Unweighted (UAR) and weighted (WAR) average recall in per \
         cent{deviation}.{source}{}</caption><thead><tr>\
         <th scope=\"col\">fold</th><th scope=\"col\" class=\"number\">UAR</th>\
         <th scope=\"col\" class=\"number\">WAR</th><th scope=\"col\" class=\"number\">clips</th>\
         </tr></thead><tbody>{body}</tbody><tfoot>{mean}{beside}</tfoot></table></div>",
        skipped(result.skipped)
    )
}

fn left_out_section(result: &LeftOutResult) -> String {
    let tested = result.classes.iter().enumerate();
    let tested: Vec<(&String, MeanDeviation)> = tested
        .filter_map(|(index, class)| Some((class, result.recall(index)?)))
        .collect();
    let Some(mean) = result.mean_recall() else {
        return String::new();
    };
    let row = |class: &str, recall: String| {
        format!("<tr><th scope=\"row\">{class}</th><td class=\"number\">{recall}</td></tr>")
    };
    let body: String = tested
        .iter()
        .map(|(class, recall)| row(&escape(class), spread(Some(*recall))))
        .collect();
    let confusion = ConfusionMatrix {
        labels: result.classes.clone(),
        counts: result.pooled(),
    };
    let caption = "What the clips of each class were read as by models trained without that class, \
                   over all folds.";
    format!(
        "<div class=\"pair\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" \
         aria-label=\"Recall of left-out classes\"><table class=\"plain\"><caption>Recall in per \
         cent of each class by models trained without it, told apart by the descriptions of all \
         classes; mean over folds ± standard deviation.{}</caption><thead><tr>\
         <th scope=\"col\">class left out</th><th scope=\"col\" class=\"number\">recall</th></tr>\
         </thead><tbody>{body}</tbody><tfoot>{}</tfoot></table></div>{}</div>",
        skipped(result.skipped),
        row("mean", hundredths(mean)),
        captioned_matrix(&confusion, caption)
    )
}

fn regression_section(result: &RegressionResult) -> String {
    let row = |target: &str, fold: &str, scores: &RegressionScores, clips: String| {
        let cells: String = [scores.pcc, scores.ccc, scores.mae, scores.rmse]
            .iter()
            .map(|value| format!("<td class=\"number\">{}</td>", thousandths(*value)))
            .collect();
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{fold}</td>{cells}\
             <td class=\"number\">{clips}</td></tr>",
            escape(target)
        )
    };
    let body: String = result
        .rows
        .iter()
        .map(|one| {
            let clips = count(one.clips as u64);
            row(&one.target, &one.fold.to_string(), &one.scores, clips)
        })
        .collect();
    if body.is_empty() {
        return body;
    }
    let means: String = result
        .targets()
        .iter()
        .filter_map(|target| {
            let mean = result.mean(target)?;
            Some(row(target, "mean", &mean, String::new()))
        })
        .collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Regression\">\
         <table class=\"plain\"><caption>Pearson’s (PCC) and the concordance correlation (CCC) as \
         EmoCLIP’s code computes them, mean absolute (MAE) and root mean squared error (RMSE).\
         </caption><thead><tr><th scope=\"col\">score</th>\
         <th scope=\"col\" class=\"number\">fold</th><th scope=\"col\" class=\"number\">PCC</th>\
         <th scope=\"col\" class=\"number\">CCC</th><th scope=\"col\" class=\"number\">MAE</th>\
         <th scope=\"col\" class=\"number\">RMSE</th><th scope=\"col\" class=\"number\">clips</th>\
         </tr></thead><tbody>{body}</tbody><tfoot>{means}</tfoot></table></div>"
    )
}

/// What was left out must not be overlooked: a score on fewer clips is another score.
fn skipped(rows: usize) -> String {
    match rows {
        0 => String::new(),
        1 => " 1 row of the benchmark’s tables could not be used.".to_owned(),
        more => format!(
            " {} rows of the benchmark’s tables could not be used.",
            count(more as u64)
        ),
    }
}

/// A share in per cent with two decimals and without a sign, as the papers' tables have it.
fn hundredths(share: f64) -> String {
    if share.is_finite() {
        format!("{:.2}", 100.0 * share)
    } else {
        "–".to_owned()
    }
}

fn thousandths(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.3}")
    } else {
        "–".to_owned()
    }
}

fn spread(value: Option<MeanDeviation>) -> String {
    let Some(value) = value else {
        return "–".to_owned();
    };
    let deviation = value.deviation.filter(|deviation| deviation.is_finite());
    let deviation = deviation.map(|deviation| format!(" ± {}", hundredths(deviation)));
    hundredths(value.mean) + &deviation.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use emotionclip_data::dfer::Benchmark;

    use super::*;
    use crate::folds::{LeftOutScores, Protocol, RegressionRow};

    fn names(benchmark: Benchmark) -> Vec<String> {
        let names = benchmark.emotions().iter();
        names.map(|name| (*name).to_owned()).collect()
    }

    fn folded(benchmark: Benchmark, folds: usize) -> FoldedResult {
        let classes = benchmark.emotions().len();
        let scores = |fold| FoldScores::new(fold, &[0, 0, 1, 1], &[0, 0, 1, 0], classes);
        FoldedResult {
            benchmark,
            protocol: Protocol::ZeroShot,
            classes: names(benchmark),
            folds: (1..=folds).map(|fold| scores(fold).unwrap()).collect(),
            skipped: 3,
        }
    }

    fn full() -> FoldReport {
        let hostile = "</style><script>alert(1)</script>";
        FoldReport {
            title: hostile.to_owned(),
            note: Some(hostile.to_owned()),
            facts: vec![(hostile.to_owned(), hostile.to_owned())],
            command_line: hostile.to_owned(),
            config: hostile.to_owned(),
            results: vec![
                folded(Benchmark::Mafw, 5),
                folded(Benchmark::Mafw, 2),
                folded(Benchmark::Afew, 1),
            ],
            left_out: vec![LeftOutResult {
                benchmark: Benchmark::Afew,
                classes: names(Benchmark::Afew),
                scores: vec![LeftOutScores::new(1, 2, &[2, 3], 7).unwrap()],
                skipped: 0,
            }],
            regressions: vec![RegressionResult {
                dataset: hostile.to_owned(),
                rows: vec![RegressionRow {
                    target: hostile.to_owned(),
                    fold: 1,
                    clips: 1200,
                    scores: RegressionScores::new(&[0.0, 1.0], &[0.5, 1.0]).unwrap(),
                }],
            }],
        }
    }

    #[test]
    fn the_page_is_self_contained_and_nothing_can_be_injected() {
        let html = full().to_html();
        for forbidden in ["<script", "http:", "https:", "url(", "<link", "NaN"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        for id in [
            "mafw-zero-shot",
            "mafw-zero-shot-2",
            "afew-left-out",
            "regression",
            "run",
        ] {
            let section = format!("<section id=\"{id}\"");
            assert_eq!(html.matches(&section).count(), 1, "{id}");
        }
    }

    #[test]
    fn folds_means_and_published_figures_stand_in_one_table() {
        let table = fold_table(&folded(Benchmark::Mafw, 5));
        assert!(table.contains("75.00 ± 0.00"));
        assert!(table.contains("25.86") && table.contains("33.49"));
        assert!(table.contains("3 rows of the benchmark’s tables could not be used."));
        let table = fold_table(&folded(Benchmark::Afew, 1));
        // One fold deviates from nothing.
        assert!(!table.contains('±'));
        assert!(table.contains("<th scope=\"row\">published</th><td class=\"number\"></td>"));
        assert!(table.contains("No published figures"));
    }

    #[test]
    fn matrices_stand_for_each_fold_and_for_all() {
        let section = folded_section(&folded(Benchmark::Mafw, 5));
        assert_eq!(section.matches("<details>").count(), 5);
        assert_eq!(section.matches("class=\"sheet confusion").count(), 6);
        assert!(section.contains("title=\"50.0% of disgust read as anger\""));
        let section = folded_section(&folded(Benchmark::Afew, 1));
        assert_eq!(section.matches("class=\"sheet confusion").count(), 1);
        assert_eq!(folded_section(&folded(Benchmark::Afew, 0)), "");
    }

    #[test]
    fn an_empty_report_is_a_page_too() {
        let html = FoldReport::default().to_html();
        assert!(html.starts_with("<!DOCTYPE html>") && !html.contains("<section"));
    }
}
