//! The page that `predict` writes: a file's readings as plot, frames and table.

use image::RgbImage;

use super::data::SubjectBox;
use super::format::{escape, percent};
use super::page;
use super::picture::{self, PictureQuality};
use super::readings_plot::{drawing, leader, value};

/// Longest side of a frame in pixels.
const SIDE: u32 = 220;

/// Upper bound of the page's size in bytes that pictures are shrunk to meet.
const SIZE_LIMIT: usize = 1_500_000;

/// A file's readings, to be shown as a page.
#[derive(Clone, Debug, Default)]
pub struct ReadingsPage {
    /// Heading, usually the file's name.
    pub title: String,
    /// Facts on the run, name and value: model, device, subject …
    pub facts: Vec<(String, String)>,
    /// The labels compared, `n`.
    pub labels: Vec<String>,
    /// Seconds since the start, rising.
    pub times: Vec<f64>,
    /// `[times, n]` probabilities in `[0, 1]`.
    pub values: Vec<Vec<f32>>,
    /// Frames to show, in time order.
    pub frames: Vec<ReadingFrame>,
}

/// A frame shown beside the readings.
#[derive(Clone, Debug)]
pub struct ReadingFrame {
    /// Seconds since the start.
    pub time: f64,
    /// The picture.
    pub picture: RgbImage,
    /// The subject, when it is not the whole picture.
    pub subject: Option<SubjectBox>,
}

/// Readings as one self-contained HTML page of at most 1.5 MB: plot, frames and table.
pub fn readings_html(page: &ReadingsPage) -> String {
    picture::smallest_fitting(SIZE_LIMIT, |quality| render(page, quality))
}

fn render(page: &ReadingsPage, quality: PictureQuality) -> String {
    let header = page::heading(
        [],
        "EmotionCLIP readings",
        &page.title,
        page.facts
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    let frames: String = page
        .frames
        .iter()
        .map(|frame| {
            let drawn = picture::figure(
                &frame.picture,
                frame.subject,
                &format!("Frame at {:.1} s.", frame.time),
                SIDE,
                quality,
            );
            format!(
                "<figure>{drawn}<figcaption>{:.1} s</figcaption></figure>",
                frame.time
            )
        })
        .collect();
    let frames = if frames.is_empty() {
        frames
    } else {
        format!("<div class=\"frames\">{frames}</div>")
    };
    let sections = [
        page::Section::new("plot", "Readings over time", plot_figure(page)),
        page::Section::new("frames", "Frames", frames),
        page::Section::new("table", "Numbers", table(page)),
    ];
    page::render(&page.title, &header, &sections)
}

/// The plot for a wide and for a narrow window; the page's style sheet holds its style.
fn plot_figure(page: &ReadingsPage) -> String {
    if page.times.is_empty() || page.labels.is_empty() {
        return String::new();
    }
    let layout = |width, class| drawing(&page.times, &page.labels, &page.values, width, "", class);
    format!(
        "<figure class=\"full\">{}{}<figcaption>Probability of each label, 0 to 100%. Filled where \
         it is the highest.</figcaption></figure>",
        layout(1040.0, " wide"),
        layout(336.0, " narrow")
    )
}

fn table(page: &ReadingsPage) -> String {
    let columns: String = page
        .labels
        .iter()
        .map(|label| format!("<th scope=\"col\" class=\"number\">{}</th>", escape(label)))
        .collect();
    let rows: String = page
        .times
        .iter()
        .enumerate()
        .map(|(row, time)| {
            let leader = leader(&page.values, row, page.labels.len());
            let cells: String = (0..page.labels.len())
                .map(|label| {
                    let class = if leader == Some(label) {
                        "number highest"
                    } else {
                        "number"
                    };
                    format!(
                        "<td class=\"{class}\">{}</td>",
                        percent(f64::from(value(&page.values, row, label)))
                    )
                })
                .collect();
            format!("<tr><th scope=\"row\" class=\"number\">{time:.2}</th>{cells}</tr>")
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<div class=\"scroll tall\" tabindex=\"0\" role=\"region\" aria-label=\"Readings\">\
         <table class=\"plain\"><caption>Probability of each label; the highest of a row is \
         bold.</caption><thead><tr><th scope=\"col\" class=\"number\">time (s)</th>{columns}</tr>\
         </thead><tbody>{rows}</tbody></table></div>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_plot_and_numbers() {
        let page = ReadingsPage {
            title: "clip.mp4".to_owned(),
            labels: vec!["joy".to_owned(), "fear".to_owned()],
            times: vec![0.0, 0.25],
            values: vec![vec![0.3, 0.7], vec![0.6, 0.4]],
            ..ReadingsPage::default()
        };
        let html = readings_html(&page);
        assert!(html.contains("0.25") && html.contains("60.0%"));
        assert!(html.contains("default-src 'none'"));
    }
}
