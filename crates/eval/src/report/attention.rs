//! The human token's attention over example frames, layer by layer, as in the paper's Fig. 5.

use super::data::{AttentionExample, AttentionMap, SubjectBox};
use super::format::{escape, percent};
use super::picture::{self, PictureQuality};

/// Longest side of a frame or map in pixels: twice the column's width, for dense screens.
const SIDE: u32 = 320;

/// The section's body; empty without examples.
pub(super) fn section(examples: &[AttentionExample], quality: PictureQuality) -> String {
    let body: String = examples
        .iter()
        .map(|example| panel(example, quality))
        .collect();
    if body.is_empty() {
        return body;
    }
    format!(
        "<p class=\"lead\">In each layer the human token gathers information from the patches of \
         the frame. Each map shows its attention to them, averaged over heads and scaled to the \
         map’s own largest value. Under a map stands how much of that attention falls inside the \
         subject’s box; attention spread evenly would give the box’s own share of the area, which \
         stands under the frame.</p>\
         <p class=\"legend\"><span>least</span>{}<span>most attended</span></p>\
         <div class=\"attention\">{body}</div>",
        legend()
    )
}

/// The heat ramp as a strip.
fn legend() -> String {
    const STEPS: u8 = 32;
    let cells: String = (0..STEPS)
        .map(|step| {
            let value = f32::from(step) / f32::from(STEPS - 1);
            format!(
                "<rect x=\"{}\" width=\"6\" height=\"10\" fill=\"{}\"/>",
                5 * u32::from(step),
                super::colour::hex(super::colour::heat(value))
            )
        })
        .collect();
    format!(
        "<svg viewBox=\"0 0 160 10\" width=\"160\" height=\"10\" aria-hidden=\"true\">{cells}</svg>"
    )
}

fn panel(example: &AttentionExample, quality: PictureQuality) -> String {
    let frame = picture::figure(
        &example.frame,
        example.subject,
        &format!(
            "Frame of a clip with the subject outlined; true emotion {}.",
            example.truth
        ),
        SIDE,
        quality,
    );
    if frame.is_empty() {
        return frame;
    }
    let area = example
        .subject
        .and_then(|subject| area_share(subject, &example.frame))
        .map(|share| format!("box: {}", percent(share)))
        .unwrap_or_default();
    let maps: String = example
        .layers
        .iter()
        .map(|map| layer(example, map, quality))
        .collect();
    format!(
        "<article><header><p class=\"quote\">{}</p><p>true: {}, read as: {}</p></header>\
         <div class=\"maps\"><figure>{frame}<figcaption><b>frame</b> {area}</figcaption></figure>\
         {maps}</div></article>",
        escape(&example.caption),
        escape(&example.truth),
        escape(&example.prediction),
    )
}

fn layer(example: &AttentionExample, map: &AttentionMap, quality: PictureQuality) -> String {
    let Some(overlay) = picture::heat_overlay(&example.frame, map, SIDE) else {
        return String::new();
    };
    let inside = example
        .subject
        .and_then(|subject| mass_inside(subject, &example.frame, map))
        .map(|share| format!("{} in the box", percent(share)));
    let subject = example.subject.map(|subject| {
        let across = overlay.width() as f32 / example.frame.width() as f32;
        let down = overlay.height() as f32 / example.frame.height() as f32;
        SubjectBox {
            left: subject.left * across,
            top: subject.top * down,
            right: subject.right * across,
            bottom: subject.bottom * down,
        }
    });
    let alt = format!(
        "Attention of the human token in layer {}{}.",
        map.layer,
        inside
            .as_deref()
            .map(|text| format!(", {text}"))
            .unwrap_or_default()
    );
    format!(
        "<figure>{}<figcaption><b>layer {}</b> {}</figcaption></figure>",
        picture::figure(&overlay, subject, &alt, SIDE, quality),
        map.layer,
        inside.unwrap_or_default()
    )
}

/// Share of the frame that the box covers; `None` for a frame without pixels.
fn area_share(subject: SubjectBox, frame: &image::RgbImage) -> Option<f64> {
    let (width, height) = (frame.width() as f32, frame.height() as f32);
    let share = overlap(subject.left, subject.right, 0.0, width)
        * overlap(subject.top, subject.bottom, 0.0, height)
        / (width * height);
    share.is_finite().then_some(f64::from(share))
}

/// Share of the map's attention inside the box, a patch counting by the part of it that is
/// covered; `None` when there is no attention at all.
fn mass_inside(subject: SubjectBox, frame: &image::RgbImage, map: &AttentionMap) -> Option<f64> {
    let grid = map.grid;
    let (patch_width, patch_height) = (
        frame.width() as f32 / grid as f32,
        frame.height() as f32 / grid as f32,
    );
    let mut inside = 0.0;
    let mut total = 0.0;
    for (index, weight) in map.weights.iter().copied().enumerate() {
        if !weight.is_finite() || weight < 0.0 {
            continue;
        }
        let (row, column) = ((index / grid) as f32, (index % grid) as f32);
        let left = column * patch_width;
        let top = row * patch_height;
        let covered = overlap(subject.left, subject.right, left, left + patch_width)
            * overlap(subject.top, subject.bottom, top, top + patch_height)
            / (patch_width * patch_height);
        inside += f64::from(weight * covered);
        total += f64::from(weight);
    }
    (total > 0.0).then_some(inside / total)
}

/// Length that two intervals have in common.
fn overlap(low: f32, high: f32, other_low: f32, other_high: f32) -> f32 {
    (high.min(other_high) - low.max(other_low)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mass_counts_patches_by_their_covered_part() {
        let frame = image::RgbImage::new(20, 20);
        let map = AttentionMap {
            layer: 3,
            grid: 2,
            weights: vec![0.4, 0.2, 0.2, 0.2],
        };
        let subject = SubjectBox {
            left: 0.0,
            top: 0.0,
            right: 15.0,
            bottom: 10.0,
        };
        // All of the first patch and half of the second: 0.4 + 0.1 of a total of 1.
        let share = mass_inside(subject, &frame, &map).unwrap();
        assert!((share - 0.5).abs() < 1e-6);
        assert!((area_share(subject, &frame).unwrap() - 0.375).abs() < 1e-6);
    }

    #[test]
    fn no_attention_has_no_share() {
        let frame = image::RgbImage::new(20, 20);
        let map = AttentionMap {
            layer: 1,
            grid: 1,
            weights: vec![0.0],
        };
        let subject = SubjectBox {
            left: 0.0,
            top: 0.0,
            right: 9.0,
            bottom: 9.0,
        };
        assert!(mass_inside(subject, &frame, &map).is_none());
        assert!(area_share(subject, &image::RgbImage::new(0, 0)).is_none());
    }

    #[test]
    fn examples_without_pixels_are_left_out() {
        let example = AttentionExample {
            caption: String::new(),
            truth: "joy".to_owned(),
            prediction: "joy".to_owned(),
            frame: image::RgbImage::new(0, 0),
            subject: None,
            layers: vec![],
        };
        assert_eq!(section(&[example], PictureQuality::BEST), "");
    }
}
