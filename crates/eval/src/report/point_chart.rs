//! Points with error bars over a few labelled places, as inline SVG like [`super::chart`]'s.

use super::chart::{CHARACTER_WIDTH, Frame, LINE_HEIGHT};
use super::format::escape;
use super::ticks::ticks;

/// How far the series of one place stand apart, in pixels.
const DODGE: f64 = 9.0;

/// Half the width of an error bar's caps in pixels.
const CAP: f64 = 3.5;

/// One value a place.
pub(super) struct PointSeries<'a> {
    /// Name written beside the last point.
    pub name: &'a str,
    /// Value and half the length of its error bar; a value that isn't finite is left out.
    pub points: Vec<(f64, f64)>,
    /// Position in the page's palette, from 0.
    pub colour: usize,
}

/// A chart of shares over places that need no scale.
pub(super) struct PointChart<'a> {
    /// What a reader who does not see the chart should know.
    pub alt: String,
    /// Title of the horizontal axis.
    pub x_title: &'a str,
    /// Title of the vertical axis, which shows per cent.
    pub y_title: &'a str,
    /// Labels of the places.
    pub labels: Vec<String>,
    /// Series from back to front.
    pub series: Vec<PointSeries<'a>>,
    /// Labelled horizontal lines; those outside of the points' range widen it.
    pub references: Vec<(f64, &'a str)>,
    /// Height in pixels.
    pub height: f64,
}

impl PointChart<'_> {
    /// The chart for a wide and for a narrow window; empty without a finite point.
    pub(super) fn render(&self) -> String {
        let Some(range) = self.range() else {
            return String::new();
        };
        format!(
            "{}{}",
            self.layout("wide", 680.0, range),
            self.layout("narrow", 336.0, range)
        )
    }

    /// Bounds of the points with their bars and of the references.
    fn range(&self) -> Option<(f64, f64)> {
        let points = self.series.iter().flat_map(|series| &series.points);
        let finite: Vec<f64> = points
            .filter(|(value, error)| value.is_finite() && error.is_finite())
            .flat_map(|(value, error)| [value - error, value + error])
            .collect();
        if finite.is_empty() {
            return None;
        }
        let lines = self.references.iter().map(|(value, _)| *value);
        let all = finite
            .into_iter()
            .chain(lines.filter(|value| value.is_finite()));
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        Some((low.max(0.0) - 0.01, high.min(1.0) + 0.01))
    }

    fn layout(&self, class: &str, width: f64, (low, high): (f64, f64)) -> String {
        let shown = ticks(100.0 * low.max(0.0), 100.0 * high.min(1.0), 5);
        let bound = |at: Option<&f64>, other: f64| at.map_or(other, |tick| tick / 100.0);
        let names = self.series.iter().map(|series| series.name.chars().count());
        let room = CHARACTER_WIDTH * names.max().unwrap_or(0) as f64;
        let frame = Frame {
            left: 44.0,
            right: width - room - 24.0,
            top: 30.0,
            bottom: self.height - 42.0,
            x: (-0.5, self.labels.len().max(1) as f64 - 0.5),
            y: (
                bound(shown.positions.first(), low),
                bound(shown.positions.last(), high),
            ),
        };
        let mut out = format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width} {}\" role=\"img\" \
             aria-label=\"{}\"><text class=\"title\" x=\"0\" y=\"14\">{}</text>",
            self.height,
            escape(&self.alt),
            escape(self.y_title)
        );
        for position in &shown.positions {
            let y = frame.y_at(position / 100.0);
            out.push_str(&format!(
                "<path class=\"grid\" d=\"M{:.1} {y:.1}H{:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}%</text>",
                frame.left,
                frame.right,
                frame.left - 7.0,
                y + 4.0,
                shown.label(*position)
            ));
        }
        out.push_str(&self.places(&frame));
        for (value, label) in &self.references {
            let y = frame.y_at(*value);
            out.push_str(&format!(
                "<path class=\"reference\" d=\"M{:.1} {y:.1}H{:.1}\"/>\
                 <text class=\"note\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                frame.left,
                frame.right,
                frame.left + 4.0,
                y - 5.0,
                escape(label)
            ));
        }
        for (index, series) in self.series.iter().enumerate() {
            let middle = (self.series.len() as f64 - 1.0) / 2.0;
            out.push_str(&points(series, DODGE * (index as f64 - middle), &frame));
        }
        out.push_str(&self.names(&frame));
        out.push_str("</svg>");
        out
    }

    /// The horizontal axis.
    fn places(&self, frame: &Frame) -> String {
        let mut out = format!(
            "<path class=\"axis\" d=\"M{:.1} {:.1}H{:.1}\"/>\
             <text class=\"title\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            frame.left,
            frame.bottom,
            frame.right,
            frame.right,
            frame.bottom + 36.0,
            escape(self.x_title)
        );
        for (place, label) in self.labels.iter().enumerate() {
            let x = frame.x_at(place as f64);
            out.push_str(&format!(
                "<path class=\"axis\" d=\"M{x:.1} {:.1}v4\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                frame.bottom,
                frame.bottom + 18.0,
                escape(label)
            ));
        }
        out
    }

    /// Names at the height of the last points, moved apart where they would overlap.
    fn names(&self, frame: &Frame) -> String {
        let mut names: Vec<(f64, &PointSeries<'_>)> = self
            .series
            .iter()
            .filter_map(|series| {
                let last = series.points.iter().rev().find(|(y, _)| y.is_finite())?;
                Some((frame.y_at(last.0), series))
            })
            .collect();
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut least = f64::NEG_INFINITY;
        let mut out = String::new();
        for (y, series) in names {
            let place = y.max(least);
            least = place + LINE_HEIGHT;
            out.push_str(&format!(
                "<text class=\"name c{}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                series.colour,
                frame.right + 8.0,
                place + 4.0,
                escape(series.name)
            ));
        }
        out
    }
}

/// A series: a line through its points, a bar and a dot at each.
fn points(series: &PointSeries<'_>, dodge: f64, frame: &Frame) -> String {
    let colour = series.colour;
    let finite: Vec<(f64, f64, f64)> = series
        .points
        .iter()
        .enumerate()
        .filter(|(_, (value, error))| value.is_finite() && error.is_finite())
        .map(|(place, (value, error))| (frame.x_at(place as f64) + dodge, *value, *error))
        .collect();
    let line: Vec<String> = finite
        .iter()
        .map(|(x, value, _)| format!("{x:.1} {:.1}", frame.y_at(*value)))
        .collect();
    let mut out = format!("<path class=\"join c{colour}\" d=\"M{}\"/>", line.join("L"));
    for (x, value, error) in finite {
        let (top, bottom) = (frame.y_at(value + error), frame.y_at(value - error));
        if error > 0.0 {
            out.push_str(&format!(
                "<path class=\"error c{colour}\" d=\"M{:.1} {top:.1}h{:.1}M{x:.1} {top:.1}V{bottom:.1}\
                 M{:.1} {bottom:.1}h{:.1}\"/>",
                x - CAP,
                2.0 * CAP,
                x - CAP,
                2.0 * CAP
            ));
        }
        out.push_str(&format!(
            "<circle class=\"dot c{colour}\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"4\"/>",
            frame.y_at(value)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> PointChart<'static> {
        PointChart {
            alt: "<alt>".to_owned(),
            x_title: "β",
            y_title: "accuracy",
            labels: points.iter().map(|_| "1".to_owned()).collect(),
            series: vec![PointSeries {
                name: "probe",
                points,
                colour: 0,
            }],
            references: vec![(1.0 / 7.0, "chance")],
            height: 300.0,
        }
    }

    #[test]
    fn every_point_has_a_dot_and_a_bar_of_its_length() {
        let svg = chart(vec![(0.5, 0.1), (0.6, 0.05), (f64::NAN, 0.0)]).render();
        // Once for a wide and once for a narrow window.
        assert_eq!(svg.matches("<circle").count(), 4);
        assert_eq!(svg.matches("class=\"error c0\"").count(), 4);
        assert!(!svg.contains("NaN") && svg.contains("&lt;alt&gt;"));
        // The axis runs from 0 to 80 % over 228 pixels: a bar of ±10 points is 57 high.
        let bar = svg.split("class=\"error c0\" d=\"").nth(1).unwrap();
        let bar = &bar[..bar.find('"').unwrap()];
        let number = |after: &str, until: &str| -> f64 {
            let rest = bar.split(after).nth(1).unwrap();
            rest.split(until).next().unwrap().trim().parse().unwrap()
        };
        let bottom = number("V", "M");
        let top: f64 = bar
            .split('h')
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        assert!((bottom - top - 57.0).abs() < 0.2, "{bar}");
    }

    #[test]
    fn one_seed_has_no_bar_and_nothing_no_chart() {
        let svg = chart(vec![(0.5, 0.0)]).render();
        assert!(svg.contains("<circle") && !svg.contains("class=\"error"));
        assert_eq!(chart(vec![(f64::NAN, 0.0)]).render(), "");
        assert_eq!(chart(Vec::new()).render(), "");
    }
}
