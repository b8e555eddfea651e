//! Readings over time as a drawing: a file of its own, or a part of a page.
//!
//! Each label has a row of its own instead of a coloured line among others, since labels are the
//! reader's own and may be many; where a label leads, its area is filled.

use std::fmt::Display;

use super::format::{escape, percent};
use super::ticks::ticks;

/// Height of a label's row.
const ROW: f64 = 40.0;

/// Height of the area within its row.
const AREA: f64 = 30.0;

/// Readings over time as a self-contained SVG file that follows the viewer's light or dark scheme.
///
/// `times` are seconds, rising; `values` is `[times, labels]` in `[0, 1]`. Surplus entries of
/// either are ignored, missing and non-finite ones leave a gap. One time gives a bar a label.
pub fn readings_plot<L: Display>(times: &[f64], labels: &[L], values: &[Vec<f32>]) -> String {
    let style = include_str!("readings.css");
    drawing(
        times,
        labels,
        values,
        760.0,
        &format!("<style>{style}</style>"),
        "",
    )
}

/// Reading of `label` at position `row`, NaN where there is none.
pub(super) fn value(values: &[Vec<f32>], row: usize, label: usize) -> f32 {
    values
        .get(row)
        .and_then(|row| row.get(label))
        .copied()
        .unwrap_or(f32::NAN)
}

/// The label with the highest finite reading at position `row`.
pub(super) fn leader(values: &[Vec<f32>], row: usize, labels: usize) -> Option<usize> {
    (0..labels)
        .filter(|&label| value(values, row, label).is_finite())
        .max_by(|&a, &b| value(values, row, a).total_cmp(&value(values, row, b)))
}

/// The plot `width` pixels wide, with a style of its own or under the page's.
pub(super) fn drawing<L: Display>(
    times: &[f64],
    labels: &[L],
    values: &[Vec<f32>],
    width: f64,
    style: &str,
    class: &str,
) -> String {
    let names: Vec<String> = labels.iter().map(ToString::to_string).collect();
    let longest = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    let left = (7.8 * longest as f64 + 18.0).clamp(60.0, 0.4 * width);
    let plot = Plot {
        times,
        values,
        labels: names.len(),
        left,
        right: width - 60.0,
    };
    let bottom = 14.0 + ROW * names.len() as f64;
    let height = bottom + if plot.is_single() { 12.0 } else { 44.0 };
    let rows: String = names
        .iter()
        .enumerate()
        .map(|(label, name)| plot.row(label, name, 14.0 + ROW * label as f64))
        .collect();
    let axis = if plot.is_single() {
        String::new()
    } else {
        plot.time_axis(bottom, width)
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"readings{class}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">{style}\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>{axis}{rows}</svg>",
        escape(&plot.describe(&names))
    )
}

/// The data of a plot and where its time axis lies.
struct Plot<'a> {
    times: &'a [f64],
    values: &'a [Vec<f32>],
    labels: usize,
    left: f64,
    right: f64,
}

impl Plot<'_> {
    fn is_single(&self) -> bool {
        self.times.len() < 2
    }

    fn x_at(&self, time: f64) -> f64 {
        let start = self.times.first().copied().unwrap_or(0.0);
        let end = self.times.last().copied().unwrap_or(0.0);
        let share = if end > start {
            (time - start) / (end - start)
        } else {
            0.0
        };
        self.left + (self.right - self.left) * share.clamp(0.0, 1.0)
    }

    /// Name, area and last value of one label; `top` is the row's upper edge.
    fn row(&self, label: usize, name: &str, top: f64) -> String {
        let base = top + AREA;
        let y_at = |value: f32| base - AREA * f64::from(value.clamp(0.0, 1.0));
        let last_row = self.times.len().saturating_sub(1);
        let leads_last = leader(self.values, last_row, self.labels) == Some(label);
        let weight = if leads_last { " leads" } else { "" };
        let mut out = format!(
            "<text class=\"label{weight}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <path class=\"base\" d=\"M{:.1} {base:.1}H{:.1}\"/>",
            self.left - 10.0,
            base - 2.0,
            escape(name),
            self.left,
            self.right
        );
        if self.is_single() {
            let reading = value(self.values, 0, label);
            if reading.is_finite() {
                out.push_str(&format!(
                    "<rect class=\"area{weight}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" \
                     height=\"14\"/>",
                    self.left,
                    base - 14.0,
                    (self.right - self.left) * f64::from(reading.clamp(0.0, 1.0))
                ));
            }
        } else {
            out.push_str(&self.areas(label, base, &y_at));
        }
        let last = value(self.values, last_row, label);
        out.push_str(&format!(
            "<text class=\"value{weight}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            self.right + 8.0,
            base - 2.0,
            percent(f64::from(last))
        ));
        out
    }

    /// Between each two neighbouring readings an area that is filled where the label leads at
    /// both, joined to one shape for each run of equal filling.
    fn areas(&self, label: usize, base: f64, y_at: &impl Fn(f32) -> f64) -> String {
        let leads = |row| leader(self.values, row, self.labels) == Some(label);
        let mut shapes: Vec<(bool, Vec<(f64, f64)>)> = Vec::new();
        let mut joined = false;
        for row in 1..self.times.len() {
            let (before, after) = (
                value(self.values, row - 1, label),
                value(self.values, row, label),
            );
            if !before.is_finite() || !after.is_finite() {
                joined = false;
                continue;
            }
            let filled = leads(row - 1) && leads(row);
            let end = (self.x_at(self.times[row]), y_at(after));
            match shapes.last_mut() {
                Some((kind, points)) if joined && *kind == filled => points.push(end),
                _ => {
                    let start = (self.x_at(self.times[row - 1]), y_at(before));
                    shapes.push((filled, vec![start, end]));
                }
            }
            joined = true;
        }
        shapes
            .iter()
            .map(|(filled, points)| {
                let line: String = points
                    .iter()
                    .enumerate()
                    .map(|(index, (x, y))| {
                        format!("{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' })
                    })
                    .collect();
                let (first, last) = (points[0].0, points[points.len() - 1].0);
                let weight = if *filled { " leads" } else { "" };
                format!(
                    "<path class=\"area{weight}\" d=\"{line}L{last:.1} {base:.1}L{first:.1} \
                     {base:.1}Z\"/><path class=\"line{weight}\" d=\"{line}\"/>"
                )
            })
            .collect()
    }

    fn time_axis(&self, bottom: f64, width: f64) -> String {
        let start = self.times.first().copied().unwrap_or(0.0);
        let end = self.times.last().copied().unwrap_or(0.0);
        let ticks = ticks(start, end, if width < 500.0 { 4 } else { 8 });
        let mut out = String::new();
        for &time in ticks
            .positions
            .iter()
            .filter(|time| (start..=end).contains(*time))
        {
            let x = self.x_at(time);
            out.push_str(&format!(
                "<path class=\"grid\" d=\"M{x:.1} 8V{:.1}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 4.0,
                bottom + 18.0,
                ticks.label(time)
            ));
        }
        out.push_str(&format!(
            "<text class=\"title\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">time (s)</text>",
            self.right,
            bottom + 36.0
        ));
        out
    }

    fn describe(&self, names: &[String]) -> String {
        let last = self.times.len().saturating_sub(1);
        let ending = leader(self.values, last, self.labels).and_then(|label| {
            let share = percent(f64::from(value(self.values, last, label)));
            Some(format!("{} with {share}", names.get(label)?))
        });
        let ending = ending.unwrap_or_else(|| "no reading".to_owned());
        if self.is_single() {
            format!("Readings of {} labels. Highest: {ending}.", self.labels)
        } else {
            format!(
                "Readings of {} labels from {:.1} s to {:.1} s. Highest at the end: {ending}.",
                self.labels, self.times[0], self.times[last]
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plot_is_a_file_of_its_own() {
        let svg = readings_plot(
            &[0.0, 0.5, 1.0],
            &["joy & co", "fear"],
            &[vec![0.9, 0.1], vec![0.6, 0.4], vec![0.2, 0.8]],
        );
        assert!(svg.starts_with("<svg xmlns=") && svg.contains("<style>"));
        assert!(svg.contains("joy &amp; co") && svg.contains("time (s)"));
        assert!(svg.contains("Highest at the end: fear with 80.0%"));
    }

    #[test]
    fn one_time_gives_bars_and_none_gives_an_empty_frame() {
        let bars = readings_plot(&[0.0], &["joy", "fear"], &[vec![0.9, 0.1]]);
        assert_eq!(bars.matches("<rect class=\"area").count(), 2);
        assert!(!bars.contains("time (s)"));
        let empty = readings_plot::<&str>(&[], &[], &[]);
        assert!(empty.contains("no reading"));
    }

    #[test]
    fn missing_and_broken_readings_leave_gaps() {
        let svg = readings_plot(
            &[0.0, 1.0, 2.0, 3.0],
            &["joy", "fear"],
            &[
                vec![0.9, 0.1],
                vec![f32::NAN, 0.4],
                vec![0.2],
                vec![0.5, 0.5],
                vec![0.0, 1.0],
            ],
        );
        assert!(!svg.contains("NaN"));
    }
}
