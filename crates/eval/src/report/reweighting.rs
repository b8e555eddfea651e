//! How sentiment re-weights the negatives of a batch, as in the paper's Table 2.

use super::colour::level;
use super::data::Reweighting;
use super::format::{escape, percent, short};
use super::picture::{self, PictureQuality};

/// Longest side of a caption's thumbnail in pixels.
const SIDE: u32 = 96;

/// The section's body; empty without captions or with an anchor that is none of them.
pub(super) fn section(batch: Option<&Reweighting>, quality: PictureQuality) -> String {
    let Some(batch) = batch.filter(|batch| batch.anchor < batch.captions.len()) else {
        return String::new();
    };
    // Both sheets of logits share the range before, or one removed pair would flatten the rest.
    let logits = Scale::of(&batch.logits_before, false);
    let weights = Scale::of(&batch.weights, true);
    format!(
        "<p class=\"lead\">Captions of the same mood are poor negatives: pushing a clip away from \
         them unlearns what they share. Before the softmax the loss therefore subtracts \
         w = β / KL from each negative’s logit, with β = {} here: the more alike two captions’ \
         sentiments, the more is subtracted and the less the pair is pushed apart. Identical \
         sentiments remove the pair.</p>{}\
         <div class=\"sheets\">{}{}{}</div>",
        short(batch.beta),
        anchor_table(batch, quality),
        sheet(
            "w (shaded by its logarithm)",
            &batch.weights,
            &weights,
            true
        ),
        sheet("logits", &batch.logits_before, &logits, false),
        sheet("logits − w", &batch.logits_after, &logits, false),
    )
}

/// One clip of the batch against every caption, the most discounted negative first.
fn anchor_table(batch: &Reweighting, quality: PictureQuality) -> String {
    let anchor = batch.anchor;
    let before = softmax(row(&batch.logits_before, anchor));
    let after = softmax(row(&batch.logits_after, anchor));
    let mut order: Vec<usize> = (0..batch.captions.len()).filter(|&j| j != anchor).collect();
    order.sort_by(|&a, &b| at(&batch.weights, anchor, b).total_cmp(&at(&batch.weights, anchor, a)));
    let rows: String = core::iter::once(anchor)
        .chain(order)
        .map(|j| {
            let probability =
                |shares: &[f64]| shares.get(j).map_or_else(|| "–".to_owned(), |&p| percent(p));
            let (class, weight) = if j == anchor {
                (" class=\"positive\"", "own".to_owned())
            } else {
                ("", short(at(&batch.weights, anchor, j)))
            };
            let numbers = [
                ("w", weight),
                ("logit", short(at(&batch.logits_before, anchor, j))),
                ("logit − w", short(at(&batch.logits_after, anchor, j))),
                ("p", probability(&before)),
                ("p after", probability(&after)),
            ]
            .map(|(name, text)| number_cell(name, &text))
            .concat();
            format!(
                "<tr{class}><td class=\"number index\">{}</td><th scope=\"row\">\
                 <div class=\"caption\">{}{}</div></th><td class=\"sentiment\">{}</td>{numbers}</tr>",
                j + 1,
                thumbnail(batch, j, quality),
                escape(&batch.captions[j]),
                batch.sentiments.get(j).map(|text| escape(text)).unwrap_or_default(),
            )
        })
        .collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"One clip against all \
         captions\"><table class=\"plain reweighting\"><caption>Clip {} against the captions of \
         its batch. p is the softmax over the captions shown; a negative pushes the clip away in \
         proportion to its p.</caption><thead><tr><th scope=\"col\" class=\"number\">no.</th>\
         <th scope=\"col\">caption</th><th scope=\"col\">sentiment</th>\
         <th scope=\"col\" class=\"number\">w</th><th scope=\"col\" class=\"number\">logit</th>\
         <th scope=\"col\" class=\"number\">logit − w</th><th scope=\"col\" class=\"number\">p</th>\
         <th scope=\"col\" class=\"number\">p after</th></tr></thead><tbody>{rows}</tbody></table></div>",
        anchor + 1
    )
}

/// A numeric cell that carries its column's name, for windows too narrow for columns.
fn number_cell(column: &str, text: &str) -> String {
    format!("<td class=\"number\" data-column=\"{column}\">{text}</td>")
}

fn thumbnail(batch: &Reweighting, index: usize, quality: PictureQuality) -> String {
    batch
        .frames
        .get(index)
        .map(|frame| {
            picture::figure(
                frame,
                None,
                &format!("Frame of clip {}.", index + 1),
                SIDE,
                quality,
            )
        })
        .unwrap_or_default()
}

/// One matrix as a small sheet; rows are clips, columns captions.
fn sheet(title: &str, matrix: &[Vec<f32>], scale: &Scale, skip_diagonal: bool) -> String {
    let columns: String = (1..=matrix.len())
        .map(|j| format!("<th scope=\"col\">{j}</th>"))
        .collect();
    let rows: String = (0..matrix.len())
        .map(|i| {
            let cells: String = (0..matrix.len())
                .map(|j| {
                    if skip_diagonal && i == j {
                        return "<td class=\"own\">·</td>".to_owned();
                    }
                    let value = at(matrix, i, j);
                    let mark = if i == j { " diagonal" } else { "" };
                    format!(
                        "<td class=\"h{}{mark}\">{}</td>",
                        scale.level(value),
                        cell(value)
                    )
                })
                .collect();
            format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", i + 1)
        })
        .collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">\
         <table class=\"sheet small\"><caption>{title}</caption><thead><tr>\
         <th scope=\"col\" class=\"corner\">clip \\ caption</th>{columns}</tr></thead>\
         <tbody>{rows}</tbody></table></div>"
    )
}

/// A value as short as a sheet's cell asks for.
fn cell(value: f64) -> String {
    if value.abs() < 99.95 {
        format!("{:.1}", value + 0.0).replace('-', "−")
    } else {
        short(value)
    }
}

/// The range a sheet's shades span.
struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Scale {
    /// Over all finite entries; a logarithmic scale takes the positive ones alone.
    fn of(matrix: &[Vec<f32>], logarithmic: bool) -> Self {
        let places = matrix
            .iter()
            .flatten()
            .filter_map(|&value| place(f64::from(value), logarithmic));
        let (low, high) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), place| {
            (low.min(place), high.max(place))
        });
        Self {
            low,
            high,
            logarithmic,
        }
    }

    fn level(&self, value: f64) -> usize {
        match place(value, self.logarithmic) {
            Some(place) if self.high > self.low => {
                level((place - self.low) / (self.high - self.low))
            }
            _ => level(if value == f64::INFINITY { 1.0 } else { 0.0 }),
        }
    }
}

/// Where a value lies on its scale, when it has a place there.
fn place(value: f64, logarithmic: bool) -> Option<f64> {
    let place = if logarithmic { value.log10() } else { value };
    place.is_finite().then_some(place)
}

/// Entry `(i, j)`, NaN where the matrix has none.
fn at(matrix: &[Vec<f32>], i: usize, j: usize) -> f64 {
    row(matrix, i)
        .get(j)
        .map_or(f64::NAN, |&value| f64::from(value))
}

fn row(matrix: &[Vec<f32>], i: usize) -> &[f32] {
    matrix.get(i).map_or(&[][..], Vec::as_slice)
}

/// Softmax of one row; an entry of −∞ gets exactly 0.
fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .fold(f32::MIN, f32::max);
    let terms: Vec<f64> = logits
        .iter()
        .map(|&value| f64::from(value - largest).exp())
        .collect();
    let sum: f64 = terms.iter().sum();
    terms.iter().map(|term| term / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Reweighting {
        Reweighting {
            beta: 10.0,
            anchor: 0,
            captions: vec!["a".to_owned(), "b <i>".to_owned(), "c".to_owned()],
            sentiments: vec!["joy".to_owned(), "joy".to_owned(), "fear".to_owned()],
            frames: vec![],
            weights: vec![
                vec![0.0, f32::INFINITY, 2.0],
                vec![f32::INFINITY, 0.0, 2.0],
                vec![2.0, 2.0, 0.0],
            ],
            logits_before: vec![vec![3.0, 2.0, 1.0]; 3],
            logits_after: vec![vec![3.0, f32::NEG_INFINITY, -1.0]; 3],
        }
    }

    #[test]
    fn removed_pairs_have_no_probability() {
        let shares = softmax(&[1.0, f32::NEG_INFINITY, 1.0]);
        assert_eq!(shares, vec![0.5, 0.0, 0.5]);
    }

    #[test]
    fn infinite_weights_are_shown_and_sorted_first() {
        let html = section(Some(&batch()), PictureQuality::BEST);
        let (b, c) = (html.find("b &lt;i&gt;").unwrap(), html.find(">c<").unwrap());
        assert!(b < c);
        assert!(html.contains("∞") && html.contains("−∞") && !html.contains("NaN"));
    }

    #[test]
    fn an_anchor_outside_the_batch_shows_nothing() {
        let outside = Reweighting {
            anchor: 3,
            ..batch()
        };
        assert_eq!(section(Some(&outside), PictureQuality::BEST), "");
        assert_eq!(section(None, PictureQuality::BEST), "");
    }

    #[test]
    fn shades_span_the_finite_entries() {
        let scale = Scale::of(&[vec![0.0, 1.0, 100.0, f32::INFINITY]], true);
        assert_eq!(scale.level(1.0), level(0.0));
        assert_eq!(scale.level(10.0), level(0.5));
        assert_eq!(scale.level(f64::INFINITY), level(1.0));
    }
}
