//! Example clips with the model's readings and whether they are right.

use super::classes::bar;
use super::data::ReadingExample;
use super::format::{escape, percent};
use super::picture::{self, PictureQuality};

/// Longest side of a frame in pixels.
const SIDE: u32 = 224;

/// Frames shown of a clip at most.
const MAX_FRAMES: usize = 4;

/// The section's body; empty without examples.
pub(super) fn section(examples: &[ReadingExample], quality: PictureQuality) -> String {
    if examples.is_empty() {
        return String::new();
    }
    let right = examples.iter().filter(|example| is_right(example)).count();
    let cards: String = examples
        .iter()
        .map(|example| card(example, quality))
        .collect();
    format!(
        "<p class=\"lead\">Clips of the test split with the probability the model gives each \
         label. The subject is outlined; its true emotion is marked in the list. {right} of these \
         {} are read right.</p><div class=\"cards\">{cards}</div>",
        examples.len()
    )
}

fn is_right(example: &ReadingExample) -> bool {
    example.prediction() == Some(example.truth.as_str())
}

fn card(example: &ReadingExample, quality: PictureQuality) -> String {
    let (class, mark, verdict) = if is_right(example) {
        ("right", TICK, format!("right: {}", escape(&example.truth)))
    } else {
        let read_as = example.prediction().unwrap_or("nothing");
        (
            "wrong",
            CROSS,
            format!(
                "wrong: {} read as {}",
                escape(&example.truth),
                escape(read_as)
            ),
        )
    };
    format!(
        "<article class=\"card {class}\"><div class=\"film\">{}</div>\
         <p class=\"quote\">{}</p><p class=\"verdict\">{mark}<span>{verdict}</span></p>{}</article>",
        film(example, quality),
        escape(&example.utterance),
        bars(example)
    )
}

const TICK: &str = "<svg viewBox=\"0 0 16 16\" width=\"16\" height=\"16\" aria-hidden=\"true\">\
    <path d=\"M3 8.5l3.2 3.2L13 4.8\"/></svg>";
const CROSS: &str = "<svg viewBox=\"0 0 16 16\" width=\"16\" height=\"16\" aria-hidden=\"true\">\
    <path d=\"M4 4l8 8M12 4l-8 8\"/></svg>";

/// The clip's frames in time order, thinned evenly to [`MAX_FRAMES`].
fn film(example: &ReadingExample, quality: PictureQuality) -> String {
    let total = example.frames.len();
    let shown = total.min(MAX_FRAMES);
    (0..shown)
        .map(|position| {
            let index = if shown > 1 {
                position * (total - 1) / (shown - 1)
            } else {
                0
            };
            let subject = example.subject.get(index).copied().flatten();
            picture::figure(
                &example.frames[index],
                subject,
                &format!("Frame {} of {total}.", index + 1),
                SIDE,
                quality,
            )
        })
        .collect()
}

fn bars(example: &ReadingExample) -> String {
    let rows: String = example
        .readings
        .iter()
        .map(|reading| {
            let share = f64::from(reading.probability);
            let highest = example.prediction() == Some(reading.label.as_str());
            let truth = if reading.label == example.truth {
                "<span class=\"tag\">true</span>"
            } else {
                ""
            };
            format!(
                "<tr{}><th scope=\"row\">{}{truth}</th><td class=\"bar-column\">{}</td>\
                 <td class=\"number\">{}</td></tr>",
                if highest { " class=\"highest\"" } else { "" },
                escape(&reading.label),
                bar(share, "bar"),
                percent(share)
            )
        })
        .collect();
    format!(
        "<table class=\"bars\"><caption class=\"hidden\">Readings</caption><thead class=\"hidden\">\
         <tr><th scope=\"col\">label</th><th></th><th scope=\"col\">probability</th></tr></thead>\
         <tbody>{rows}</tbody></table>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::data::Reading;

    fn example(truth: &str) -> ReadingExample {
        let reading = |label: &str, probability| Reading {
            label: label.to_owned(),
            probability,
        };
        ReadingExample {
            frames: vec![image::RgbImage::new(8, 8); 20],
            subject: vec![],
            utterance: "\"<script>\"".to_owned(),
            truth: truth.to_owned(),
            readings: vec![
                reading("joy", 0.7),
                reading("fear", 0.3),
                reading("x", f32::NAN),
            ],
        }
    }

    #[test]
    fn right_and_wrong_are_said_in_words() {
        let html = section(&[example("joy"), example("fear")], PictureQuality::BEST);
        assert!(html.contains("right: joy"));
        assert!(html.contains("wrong: fear read as joy"));
        assert!(html.contains("1 of these 2"));
        assert!(!html.contains("<script>"));
    }

    #[test]
    fn long_clips_are_thinned_to_first_and_last() {
        let html = film(&example("joy"), PictureQuality::BEST);
        assert_eq!(html.matches("<image").count(), MAX_FRAMES);
        assert!(html.contains("Frame 1 of 20") && html.contains("Frame 20 of 20"));
    }
}
