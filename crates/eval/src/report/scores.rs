//! The section on scores: headline figures, and every accuracy against chance.

use super::data::{RunReport, Scores};
use super::format::{count, escape, percent, points};
use crate::metrics::wilson_interval;

/// A row of the score table: the same measure from both seeds.
struct Row<'a> {
    name: &'a str,
    meaning: &'a str,
    first: Option<f64>,
    second: Option<f64>,
}

fn rows<'a>(first: &'a Scores, second: Option<&'a Scores>) -> Vec<Row<'a>> {
    type Field = fn(&Scores) -> Option<f64>;
    let fixed: [(&str, &str, Field); 7] = [
        (
            "Zero-shot",
            "Unseen scenes of several figures, read by comparing with the label texts.",
            |scores| scores.zero_shot_accuracy,
        ),
        (
            "Zero-shot, vanilla",
            "The same budget without telling the encoder who the subject is.",
            |scores| scores.zero_shot_accuracy_vanilla,
        ),
        (
            "Linear probe",
            "Logistic regression on the frozen embeddings.",
            |scores| scores.probe_accuracy,
        ),
        (
            "Unseen utterances",
            "The best of utterances never trained on is of the subject’s emotion.",
            |scores| scores.unseen_utterance_accuracy,
        ),
        ("Face only", "Only the faces carry the emotion.", |scores| {
            scores.face_only
        }),
        ("Posture only", "Only the postures carry it.", |scores| {
            scores.posture_only
        }),
        (
            "Figures erased",
            "Nobody in the picture: above chance would mean that the corpus gives the answer away.",
            |scores| scores.figures_erased,
        ),
    ];
    let others = first.others.iter().map(|other| {
        let twin = second.and_then(|second| {
            second
                .others
                .iter()
                .find(|candidate| candidate.name == other.name)
        });
        Row {
            name: &other.name,
            meaning: &other.meaning,
            first: Some(other.value),
            second: twin.map(|twin| twin.value),
        }
    });
    fixed
        .into_iter()
        .map(|(name, meaning, field)| Row {
            name,
            meaning,
            first: field(first),
            second: second.and_then(field),
        })
        .chain(others)
        .filter(|row| row.first.is_some() || row.second.is_some())
        .collect()
}

/// The headline figures and the table of all scores.
pub(super) fn section(report: &RunReport) -> String {
    let second = report.second_seed.as_ref();
    let rows = rows(&report.scores, second.map(|second| &second.scores));
    if rows.is_empty() {
        return String::new();
    }
    let second_head = second
        .map(|second| {
            format!(
                "<th scope=\"col\" class=\"number\">seed {}</th>",
                second.seed
            )
        })
        .unwrap_or_default();
    let body: String = rows
        .iter()
        .map(|row| {
            let second_cell = second
                .map(|_| format!("<td class=\"number\">{}</td>", optional_percent(row.second)))
                .unwrap_or_default();
            format!(
                "<tr><th scope=\"row\">{}<span class=\"meaning\">{}</span></th>\
                 <td class=\"number\">{}</td>{second_cell}<td class=\"strip\">{}</td></tr>",
                escape(row.name),
                escape(row.meaning),
                optional_percent(row.first),
                strip(row, report)
            )
        })
        .collect();
    let interval = match report.test_clips {
        Some(clips) => format!(
            " The bar through the dot is the 95% interval for {} test clips.",
            count(clips)
        ),
        None => String::new(),
    };
    let ring = if second.is_some() {
        " The ring is the second seed."
    } else {
        ""
    };
    format!(
        "{}<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Accuracies\">\
         <table class=\"scores\"><caption>Accuracy on the test split. The dashed line is chance, \
         {}.{ring}{interval}</caption><thead><tr><th scope=\"col\">measure</th>\
         <th scope=\"col\" class=\"number\">seed {}</th>{second_head}\
         <th scope=\"col\" class=\"strip\">{}</th></tr></thead><tbody>{body}</tbody></table></div>",
        tiles(report),
        percent(report.chance),
        report.seed,
        strip_scale()
    )
}

fn optional_percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), percent)
}

/// The three numbers a reader should leave with.
fn tiles(report: &RunReport) -> String {
    let scores = &report.scores;
    let second = report.second_seed.as_ref().map(|second| &second.scores);
    let mut tiles = Vec::new();
    if let Some(accuracy) = scores.zero_shot_accuracy {
        let repeat = second
            .and_then(|second| second.zero_shot_accuracy)
            .map(|value| format!("; {} with the second seed", percent(value)))
            .unwrap_or_default();
        let times = accuracy / report.chance;
        let times = if times.is_finite() {
            format!("{times:.1} × chance")
        } else {
            String::new()
        };
        tiles.push((
            "Zero-shot accuracy",
            percent(accuracy),
            format!("{times}{repeat}"),
        ));
    }
    let gain =
        |scores: &Scores| Some(scores.zero_shot_accuracy? - scores.zero_shot_accuracy_vanilla?);
    if let Some(difference) = gain(scores) {
        let repeat = second
            .and_then(gain)
            .map(|value| format!("; {} with the second seed", points(value)))
            .unwrap_or_default();
        tiles.push((
            "Gain over vanilla",
            points(difference),
            format!("by knowing who the subject is{repeat}"),
        ));
    }
    if let Some(accuracy) = scores.probe_accuracy {
        tiles.push((
            "Linear probe",
            percent(accuracy),
            "on frozen embeddings".to_owned(),
        ));
    }
    let tiles: String = tiles
        .iter()
        .map(|(name, value, detail)| {
            format!(
                "<div class=\"tile\"><dt>{name}</dt><dd class=\"value\">{value}</dd>\
                 <dd class=\"detail\">{}</dd></div>",
                escape(detail.trim_start_matches("; "))
            )
        })
        .collect();
    if tiles.is_empty() {
        tiles
    } else {
        format!("<dl class=\"tiles\">{tiles}</dl>")
    }
}

/// Scale over the strips. Positions in per cent follow the column's width without a layout of
/// their own.
pub(super) fn strip_scale() -> String {
    let ticks: String = [(0, "start"), (50, "middle"), (100, "end")]
        .iter()
        .map(|(at, anchor)| {
            format!("<text class=\"{anchor}\" x=\"{at}%\" y=\"12\" text-anchor=\"{anchor}\">{at}%</text>")
        })
        .collect();
    format!("<svg width=\"100%\" height=\"16\" role=\"img\" aria-label=\"scale\">{ticks}</svg>")
}

/// A row's scores on a line from 0 to 100 %, chance dashed. Repeats the numbers beside it, so it
/// is hidden from screen readers.
fn strip(row: &Row<'_>, report: &RunReport) -> String {
    let at = |share: f64| 100.0 * share.clamp(0.0, 1.0);
    let mut marks = String::new();
    if let Some(second) = row.second.filter(|share| share.is_finite()) {
        marks.push_str(&format!(
            "<circle class=\"ring\" cx=\"{:.2}%\" cy=\"12\" r=\"5\"/>",
            at(second)
        ));
    }
    if let Some(first) = row.first.filter(|share| share.is_finite()) {
        if let Some((low, high)) = report
            .test_clips
            .and_then(|clips| wilson_interval(first, clips))
        {
            marks.push_str(&format!(
                "<line class=\"interval\" x1=\"{:.2}%\" x2=\"{:.2}%\" y1=\"12\" y2=\"12\"/>",
                at(low),
                at(high)
            ));
        }
        marks.push_str(&format!(
            "<circle class=\"dot\" cx=\"{:.2}%\" cy=\"12\" r=\"5\"/>",
            at(first)
        ));
    }
    let chance = at(if report.chance.is_finite() {
        report.chance
    } else {
        0.0
    });
    format!(
        "<svg width=\"100%\" height=\"24\" aria-hidden=\"true\">\
         <line class=\"track\" x1=\"0\" x2=\"100%\" y1=\"12\" y2=\"12\"/>\
         <line class=\"chance\" x1=\"{chance:.2}%\" x2=\"{chance:.2}%\" y1=\"0\" y2=\"24\"/>{marks}</svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::data::{NamedScore, SecondSeed};

    #[test]
    fn scores_not_measured_have_no_row() {
        let scores = Scores {
            zero_shot_accuracy: Some(0.8),
            others: vec![NamedScore {
                name: "Own".to_owned(),
                meaning: String::new(),
                value: 0.5,
            }],
            ..Scores::default()
        };
        let names: Vec<_> = rows(&scores, None)
            .iter()
            .map(|row| row.name.to_owned())
            .collect();
        assert_eq!(names, ["Zero-shot", "Own"]);
        assert_eq!(section(&RunReport::default()), "");
    }

    #[test]
    fn the_second_seed_stands_beside_the_first() {
        let scores = |value| Scores {
            zero_shot_accuracy: Some(value),
            zero_shot_accuracy_vanilla: Some(0.5),
            ..Scores::default()
        };
        let report = RunReport {
            seed: 1,
            scores: scores(0.8),
            second_seed: Some(SecondSeed {
                seed: 2,
                scores: scores(0.78),
            }),
            chance: 1.0 / 7.0,
            ..RunReport::default()
        };
        let html = section(&report);
        assert!(html.contains("seed 2") && html.contains("78.0%"));
        assert!(html.contains("+30.0 points") && html.contains("+28.0 points"));
        assert!(html.contains("5.6 × chance"));
    }
}
