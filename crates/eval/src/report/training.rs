//! The section on training: loss and learning rate on one time axis, validation accuracy beside.

use super::chart::{Curve, LineChart};
use super::data::{Series, TrainingHistory};
use super::format::{percent, short};

/// Share of a run over which the drawn loss is averaged.
const SMOOTHING_SHARE: usize = 40;

/// The section's body; empty when nothing was recorded.
pub(super) fn section(history: &TrainingHistory, chance: f64) -> String {
    let loss = loss_figure(history);
    let accuracy = accuracy_figure(&history.validation_accuracy, chance);
    if loss.is_empty() && accuracy.is_empty() {
        return String::new();
    }
    format!("<div class=\"pair\">{loss}{accuracy}</div>")
}

fn loss_figure(history: &TrainingHistory) -> String {
    let raw = history
        .loss
        .iter()
        .enumerate()
        .map(|(colour, series)| Curve {
            name: "",
            points: points(series),
            colour,
            spread: true,
        });
    let smooth = history
        .loss
        .iter()
        .enumerate()
        .map(|(colour, series)| Curve {
            name: &series.name,
            points: moving_average(&points(series)),
            colour,
            spread: false,
        });
    let chart = LineChart {
        alt: format!("Training loss. {}", describe(&history.loss, short)),
        x_title: "step",
        y_title: "loss (nats)",
        curves: raw.chain(smooth).collect(),
        reference: None,
        share: false,
        from_zero: true,
        label_room: 0,
        height: 270.0,
    }
    .render();
    if chart.is_empty() {
        return String::new();
    }
    let label_room = history
        .loss
        .iter()
        .map(|series| series.name.chars().count())
        .max();
    let label_room = label_room.unwrap_or(0);
    let rate = history
        .learning_rate
        .as_ref()
        .map(|series| rate_chart(series, label_room))
        .unwrap_or_default();
    let rate_note = if rate.is_empty() {
        ""
    } else {
        " Below, the learning rate."
    };
    format!(
        "<figure>{chart}{rate}<figcaption>Training loss: moving average over a \
         {SMOOTHING_SHARE}th of the run, and the range of single steps (pale).{rate_note}</figcaption></figure>"
    )
}

fn rate_chart(series: &Series, label_room: usize) -> String {
    LineChart {
        alt: format!(
            "Learning rate. {}",
            describe(core::slice::from_ref(series), |value| format!(
                "{value:.1e}"
            ))
        ),
        x_title: "",
        y_title: "learning rate",
        curves: vec![Curve {
            name: "",
            points: points(series),
            colour: 2,
            spread: false,
        }],
        reference: None,
        share: false,
        from_zero: true,
        label_room,
        height: 110.0,
    }
    .render()
}

fn accuracy_figure(series: &[Series], chance: f64) -> String {
    let chart = LineChart {
        alt: format!("Validation accuracy. {}", describe(series, percent)),
        x_title: "step",
        y_title: "validation accuracy",
        curves: series
            .iter()
            .enumerate()
            .map(|(colour, series)| Curve {
                name: &series.name,
                points: points(series),
                colour,
                spread: false,
            })
            .collect(),
        reference: Some((chance, "chance")),
        share: true,
        from_zero: true,
        label_room: 0,
        height: 380.0,
    }
    .render();
    if chart.is_empty() {
        return String::new();
    }
    format!(
        "<figure>{chart}<figcaption>Zero-shot accuracy on the validation split during \
         training.</figcaption></figure>"
    )
}

fn points(series: &Series) -> Vec<(f64, f64)> {
    series
        .x
        .iter()
        .copied()
        .zip(series.y.iter().copied())
        .collect()
}

/// Centred average over a [`SMOOTHING_SHARE`]th of the points, ends included; gaps stay gaps.
fn moving_average(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let reach = points.len() / (2 * SMOOTHING_SHARE);
    (0..points.len())
        .map(|centre| {
            let (x, y) = points[centre];
            if !y.is_finite() {
                return (x, y);
            }
            let window =
                &points[centre.saturating_sub(reach)..(centre + reach + 1).min(points.len())];
            let finite = window
                .iter()
                .map(|point| point.1)
                .filter(|value| value.is_finite());
            let (sum, number) = finite.fold((0.0, 0.0), |(sum, number), y| (sum + y, number + 1.0));
            (x, sum / number)
        })
        .collect()
}

/// Where each curve starts and ends, as one sentence a curve.
fn describe(series: &[Series], format_value: impl Fn(f64) -> String) -> String {
    series
        .iter()
        .filter_map(|series| {
            let points = points(series);
            let &(_, first) = points.iter().find(|(_, y)| y.is_finite())?;
            let &(step, last) = points.iter().rev().find(|(_, y)| y.is_finite())?;
            let name = if series.name.is_empty() {
                "It"
            } else {
                &series.name
            };
            Some(format!(
                "{name} goes from {} to {} at step {step:.0}.",
                format_value(first),
                format_value(last)
            ))
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_history_has_no_section() {
        assert_eq!(section(&TrainingHistory::default(), 0.1), "");
    }

    #[test]
    fn averages_skip_gaps_and_keep_constants() {
        let mut points: Vec<_> = (0..400).map(|x| (f64::from(x), 2.0)).collect();
        points[200].1 = f64::NAN;
        let smooth = moving_average(&points);
        assert!(smooth[200].1.is_nan());
        assert!(
            smooth
                .iter()
                .filter(|p| p.1.is_finite())
                .all(|p| (p.1 - 2.0).abs() < 1e-12)
        );
    }

    #[test]
    fn unequal_lengths_are_cut_to_the_shorter() {
        let series = Series {
            name: "a".to_owned(),
            x: vec![0.0, 1.0, 2.0],
            y: vec![1.0],
        };
        assert_eq!(points(&series), vec![(0.0, 1.0)]);
    }
}
