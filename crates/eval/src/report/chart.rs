//! Line charts as inline SVG whose colours and type come from the page's style sheet.
//!
//! Every chart is laid out twice, for a wide and for a narrow window, and the style sheet shows
//! one of them: scaling a single drawing would make its type too small on a telephone.

use super::format::escape;
use super::ticks::{Ticks, power_of_ten_unit, superscript, ticks};

/// Points beyond which some are left out; a chart is about that many pixels wide.
const MAX_POINTS: usize = 400;

/// Steps of the horizontal axis that a spread is drawn in.
const BAND_STEPS: usize = 100;

/// Height of a chart for each tick of its vertical axis.
const ROOM_PER_TICK: f64 = 45.0;

/// Height of a line of 12-pixel type, and so the least distance of two labels.
pub(super) const LINE_HEIGHT: f64 = 15.0;

/// Average advance of a character of 12-pixel type; generous, since the font is the reader's.
pub(super) const CHARACTER_WIDTH: f64 = 6.8;

/// A curve of a chart.
pub(super) struct Curve<'a> {
    /// Name written beside the curve's end; empty for none.
    pub name: &'a str,
    /// Points by rising x; a non-finite y leaves a gap.
    pub points: Vec<(f64, f64)>,
    /// Position in the page's palette, from 0.
    pub colour: usize,
    /// Drawn as a pale band between the lowest and highest of neighbouring points.
    pub spread: bool,
}

/// A chart of curves over training steps.
pub(super) struct LineChart<'a> {
    /// What a reader who does not see the chart should know.
    pub alt: String,
    /// Title of the horizontal axis; empty leaves title and tick labels out.
    pub x_title: &'a str,
    /// Title of the vertical axis.
    pub y_title: &'a str,
    /// Curves from back to front.
    pub curves: Vec<Curve<'a>>,
    /// A labelled horizontal line.
    pub reference: Option<(f64, &'a str)>,
    /// Values are shares: the axis runs from 0 to 100 %.
    pub share: bool,
    /// Least value of the vertical axis is 0.
    pub from_zero: bool,
    /// Characters reserved right of the axes at least, so that stacked charts align.
    pub label_room: usize,
    /// Height in pixels.
    pub height: f64,
}

impl LineChart<'_> {
    /// The chart for a wide and for a narrow window; empty without a finite point.
    pub(super) fn render(&self) -> String {
        let Some(range) = self.range() else {
            return String::new();
        };
        format!(
            "{}{}",
            self.layout("wide", 560.0, &range),
            self.layout("narrow", 336.0, &range)
        )
    }

    fn range(&self) -> Option<Range> {
        let finite = || {
            let points = self.curves.iter().flat_map(|curve| &curve.points);
            points
                .copied()
                .filter(|(x, y)| x.is_finite() && y.is_finite())
        };
        finite().next()?;
        let x = bounds(finite().map(|(x, _)| x));
        let y = if self.share {
            (0.0, 1.0)
        } else {
            let (low, high) = bounds(finite().map(|(_, y)| y));
            (if self.from_zero { low.min(0.0) } else { low }, high)
        };
        Some(Range {
            x: widen(x),
            y: widen(y),
        })
    }

    fn layout(&self, class: &str, width: f64, range: &Range) -> String {
        let shown_unit = if self.share {
            0.01
        } else {
            power_of_ten_unit(range.y.1)
        };
        let wanted = (self.height / ROOM_PER_TICK).round().clamp(2.0, 5.0) as usize;
        let y_ticks = ticks(range.y.0 / shown_unit, range.y.1 / shown_unit, wanted);
        let y_low = y_ticks.positions.first().copied().unwrap_or(0.0) * shown_unit;
        let y_high = y_ticks.positions.last().copied().unwrap_or(1.0) * shown_unit;
        let names = self.curves.iter().map(|curve| curve.name.chars().count());
        let label_width = CHARACTER_WIDTH * names.max().unwrap_or(0).max(self.label_room) as f64;
        let frame = Frame {
            left: 44.0,
            right: width - (14.0 + label_width).max(22.0),
            top: 30.0,
            bottom: self.height - if self.x_title.is_empty() { 10.0 } else { 42.0 },
            x: range.x,
            y: (y_low, y_high),
        };

        let mut out = format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width} {}\" role=\"img\" \
             aria-label=\"{}\">",
            self.height,
            escape(&self.alt)
        );
        out.push_str(&self.vertical_axis(&frame, &y_ticks, shown_unit));
        out.push_str(&self.horizontal_axis(&frame, if class == "wide" { 6 } else { 4 }));
        if let Some((value, label)) = self.reference {
            let y = frame.y_at(value);
            out.push_str(&format!(
                "<path class=\"reference\" d=\"M{:.1} {y:.1}H{:.1}\"/>\
                 <text class=\"note\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                frame.left,
                frame.right,
                frame.right - 2.0,
                y - 5.0,
                escape(label)
            ));
        }
        for curve in &self.curves {
            let (style, shape) = if curve.spread {
                ("spread", band(&curve.points, &frame))
            } else {
                ("curve", path(&curve.points, &frame))
            };
            out.push_str(&format!(
                "<path class=\"{style} c{}\" d=\"{shape}\"/>",
                curve.colour
            ));
        }
        out.push_str(&self.end_labels(&frame));
        out.push_str("</svg>");
        out
    }

    fn vertical_axis(&self, frame: &Frame, ticks: &Ticks, unit: f64) -> String {
        let scale = match unit {
            u if self.share || u == 1.0 => String::new(),
            u => format!(" (×10{})", superscript(u.log10().round() as i32)),
        };
        let mut out = format!(
            "<text class=\"title\" x=\"0\" y=\"14\">{}{scale}</text>",
            escape(self.y_title)
        );
        for &position in &ticks.positions {
            let y = frame.y_at(position * unit);
            let percent = if self.share { "%" } else { "" };
            out.push_str(&format!(
                "<path class=\"grid\" d=\"M{:.1} {y:.1}H{:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}{percent}</text>",
                frame.left,
                frame.right,
                frame.left - 7.0,
                y + 4.0,
                ticks.label(position)
            ));
        }
        out
    }

    fn horizontal_axis(&self, frame: &Frame, wanted: usize) -> String {
        let ticks = ticks(frame.x.0, frame.x.1, wanted);
        let inside = |x: &&f64| (frame.x.0..=frame.x.1).contains(*x);
        let mut out = format!(
            "<path class=\"axis\" d=\"M{:.1} {y:.1}H{:.1}\"/>",
            frame.left,
            frame.right,
            y = frame.bottom
        );
        for &position in ticks.positions.iter().filter(inside) {
            let x = frame.x_at(position);
            out.push_str(&format!(
                "<path class=\"axis\" d=\"M{x:.1} {:.1}v4\"/>",
                frame.bottom
            ));
            if !self.x_title.is_empty() {
                out.push_str(&format!(
                    "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                    frame.bottom + 18.0,
                    ticks.label(position)
                ));
            }
        }
        if !self.x_title.is_empty() {
            out.push_str(&format!(
                "<text class=\"title\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                frame.right,
                frame.bottom + 36.0,
                escape(self.x_title)
            ));
        }
        out
    }

    /// Names beside the curves' ends, moved apart where they would overlap.
    fn end_labels(&self, frame: &Frame) -> String {
        let mut labels: Vec<(f64, f64, &Curve<'_>)> = self
            .curves
            .iter()
            .filter(|curve| !curve.name.is_empty())
            .filter_map(|curve| {
                let &(x, y) = curve.points.iter().rev().find(|(_, y)| y.is_finite())?;
                Some((frame.x_at(x), frame.y_at(y), curve))
            })
            .collect();
        labels.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mut out = String::new();
        let mut least = f64::NEG_INFINITY;
        for (x, y, curve) in labels {
            let place = y.max(least);
            least = place + LINE_HEIGHT;
            out.push_str(&format!(
                "<circle class=\"dot c{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>\
                 <text class=\"name c{}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                curve.colour,
                curve.colour,
                x + 8.0,
                place + 4.0,
                escape(curve.name)
            ));
        }
        out
    }
}

/// Data bounds of both axes.
struct Range {
    x: (f64, f64),
    y: (f64, f64),
}

/// The plotting area in pixels and the values at its edges.
pub(super) struct Frame {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    pub x: (f64, f64),
    pub y: (f64, f64),
}

impl Frame {
    pub(super) fn x_at(&self, value: f64) -> f64 {
        self.left + (self.right - self.left) * (value - self.x.0) / (self.x.1 - self.x.0)
    }

    pub(super) fn y_at(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * (value - self.y.0) / (self.y.1 - self.y.0)
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

/// The same bounds, or a unit around them when they coincide.
fn widen((low, high): (f64, f64)) -> (f64, f64) {
    if high > low {
        (low, high)
    } else {
        let margin = if low == 0.0 { 1.0 } else { 0.5 * low.abs() };
        (low - margin, high + margin)
    }
}

/// SVG path through the points, broken where a value is missing.
fn path(points: &[(f64, f64)], frame: &Frame) -> String {
    let mut out = String::new();
    let mut pen_down = false;
    for (x, y) in thinned(points) {
        if x.is_finite() && y.is_finite() {
            let command = if pen_down { 'L' } else { 'M' };
            out.push_str(&format!(
                "{command}{:.1} {:.1}",
                frame.x_at(x),
                frame.y_at(y)
            ));
            pen_down = true;
        } else {
            pen_down = false;
        }
    }
    out
}

/// Closed SVG path around the lowest and highest finite values of runs of neighbouring points.
fn band(points: &[(f64, f64)], frame: &Frame) -> String {
    let mut upper = Vec::new();
    let mut lower = Vec::new();
    for run in points.chunks(points.len().div_ceil(BAND_STEPS).max(1)) {
        let (low, high) = bounds(run.iter().map(|point| point.1).filter(|y| y.is_finite()));
        if low <= high {
            let middle = (run[0].0 + run[run.len() - 1].0) / 2.0;
            upper.push((middle, high));
            lower.push((middle, low));
        }
    }
    let outline: Vec<_> = upper.into_iter().chain(lower.into_iter().rev()).collect();
    if outline.is_empty() {
        return String::new();
    }
    let corners: Vec<String> = outline
        .iter()
        .map(|&(x, y)| format!("{:.1} {:.1}", frame.x_at(x), frame.y_at(y)))
        .collect();
    format!("M{}Z", corners.join("L"))
}

/// At most about [`MAX_POINTS`] of the points, evenly taken, the last among them.
fn thinned(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    let stride = points.len().div_ceil(MAX_POINTS).max(1);
    let last = points.len().saturating_sub(1);
    let kept = move |index: &usize| index.is_multiple_of(stride) || *index == last;
    points
        .iter()
        .enumerate()
        .filter(move |(index, _)| kept(index))
        .map(|(_, point)| *point)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> LineChart<'static> {
        LineChart {
            alt: "a <chart>".to_owned(),
            x_title: "step",
            y_title: "loss",
            curves: vec![Curve {
                name: "SAP",
                points,
                colour: 0,
                spread: false,
            }],
            reference: None,
            share: false,
            from_zero: false,
            label_room: 0,
            height: 240.0,
        }
    }

    #[test]
    fn a_missing_value_breaks_the_curve() {
        let svg = chart(vec![(0.0, 3.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0)]).render();
        assert!(svg.contains("role=\"img\" aria-label=\"a &lt;chart&gt;\""));
        let curve = svg.split("class=\"curve c0\" d=\"").nth(1).unwrap();
        let curve = &curve[..curve.find('"').unwrap()];
        assert_eq!(curve.matches('M').count(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn degenerate_data_give_a_chart_or_nothing() {
        assert_eq!(chart(vec![]).render(), "");
        assert_eq!(chart(vec![(0.0, f64::NAN)]).render(), "");
        let single = chart(vec![(5.0, 2.0)]).render();
        assert!(single.contains("<svg") && !single.contains("NaN"));
    }

    #[test]
    fn long_curves_are_thinned_to_their_last_point() {
        let points: Vec<_> = (0..100_000).map(|x| (f64::from(x), 1.0)).collect();
        let kept: Vec<_> = thinned(&points).collect();
        assert!(kept.len() <= MAX_POINTS + 1);
        assert_eq!((kept[0].0, kept[kept.len() - 1].0), (0.0, 99_999.0));
        assert_eq!(thinned(&[]).count(), 0);
    }

    #[test]
    fn a_spread_is_a_closed_band_without_its_gaps() {
        let mut spread = chart(vec![(0.0, 3.0), (1.0, f64::NAN), (2.0, 1.0)]);
        spread.curves[0].spread = true;
        let svg = spread.render();
        assert!(svg.contains("class=\"spread c0\"") && svg.contains("Z\"") && !svg.contains("NaN"));
    }

    #[test]
    fn small_values_are_shown_in_a_power_of_ten() {
        let svg = chart(vec![(0.0, 0.0), (1.0, 3e-4)]).render();
        assert!(svg.contains("loss (×10⁻⁴)"));
    }
}
