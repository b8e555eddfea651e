//! The report of a run as one HTML file, and the plot of readings over time.
//!
//! A run is judged by what it shows, so its report must open anywhere, years later and without a
//! network: one file, styles and pictures inside, no script, and a content-security policy that
//! forbids every request. It follows the reader's light or dark preference and prints.
//!
//! Charts are inline SVG written here and not by `plotters`: its SVG backend bakes colours and
//! font sizes into every element, so a chart could neither follow the page's dark scheme nor be
//! read by a screen reader nor be laid out twice, for a wide and a narrow window. Axis ticks and
//! polylines are all that is needed of it.

mod ablation;
mod attention;
mod benchmark;
mod chart;
mod classes;
mod colour;
mod corpus;
mod data;
mod evaluation;
mod evaluation_markdown;
mod examples;
mod folds;
mod format;
mod page;
mod picture;
mod point_chart;
mod provenance;
mod readings;
mod readings_plot;
mod reweighting;
mod scores;
mod ticks;
mod training;

pub use ablation::{
    AblationReport, AblationRow, AblationRun, AblationScores, AblationTable, Difference,
    PeopleScore, PretrainingNote, paired_difference,
};
pub use benchmark::{BenchmarkReport, ComparedSystem};
pub use corpus::{CorpusBars, CorpusPage};
pub use data::{
    AttentionExample, AttentionMap, ClassScores, ConfusionMatrix, ModelSummary, NamedScore,
    Reading, ReadingExample, Reweighting, RunReport, Scores, SecondSeed, Series, Stage, SubjectBox,
    Timing, TrainingHistory,
};
pub use evaluation::{EvaluationPart, EvaluationReport, Measure, Quantity};
pub use folds::FoldReport;
pub use readings::{ReadingFrame, ReadingsPage, readings_html};
pub use readings_plot::readings_plot;

use picture::PictureQuality;

/// Upper bound of a report's size in bytes that pictures are shrunk to meet.
const SIZE_LIMIT: usize = 1_500_000;

impl RunReport {
    /// The report as one self-contained HTML page of at most 1.5 MB.
    ///
    /// Pictures are embedded at full quality when they fit and shrunk in steps when they don't;
    /// only texts longer than the limit itself could exceed it.
    pub fn to_html(&self) -> String {
        picture::smallest_fitting(SIZE_LIMIT, |quality| self.render(quality))
    }

    fn render(&self, quality: PictureQuality) -> String {
        let sections = [
            page::Section::new("scores", "Scores", scores::section(self)),
            page::Section::new(
                "training",
                "Training",
                training::section(&self.history, self.chance),
            ),
            page::Section::new("classes", "Class by class", classes::section(self)),
            page::Section::new(
                "attention",
                "Where the human token looks",
                attention::section(&self.attention, quality),
            ),
            page::Section::new(
                "reweighting",
                "What sentiment does to a batch",
                reweighting::section(self.reweighting.as_ref(), quality),
            ),
            page::Section::new(
                "examples",
                "Example readings",
                examples::section(&self.examples, quality),
            ),
            page::Section::new("run", "How this run was made", provenance::section(self)),
        ];
        page::render(&self.title, &provenance::header(self), &sections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// A report with every section, hostile texts and pictures that compress badly.
    fn full(side: u32) -> RunReport {
        let mut state = 1u32;
        let picture = RgbImage::from_fn(side, side, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [a, b, c, _] = state.to_be_bytes();
            Rgb([a, b, c])
        });
        let subject = Some(SubjectBox {
            left: -5.0,
            top: 1.0,
            right: 9e9,
            bottom: f32::NAN,
        });
        let hostile = "</style><script>alert(1)</script>";
        let series = |name: &str| Series {
            name: name.to_owned(),
            x: vec![0.0, 1.0],
            y: vec![2.0, 1.0],
        };
        RunReport {
            title: hostile.to_owned(),
            note: Some(hostile.to_owned()),
            command_line: hostile.to_owned(),
            chance: 0.5,
            scores: Scores {
                zero_shot_accuracy: Some(0.8),
                ..Scores::default()
            },
            history: TrainingHistory {
                loss: vec![series(hostile)],
                learning_rate: Some(series("")),
                validation_accuracy: vec![series("SAP")],
            },
            confusion: Some(ConfusionMatrix {
                labels: texts(&[hostile, "fear"]),
                counts: vec![vec![3, 1], vec![0, 4]],
            }),
            classes: vec![ClassScores {
                label: hostile.to_owned(),
                precision: f64::NAN,
                recall: 0.5,
                f1: 0.5,
                support: 4,
            }],
            attention: vec![AttentionExample {
                caption: hostile.to_owned(),
                truth: hostile.to_owned(),
                prediction: hostile.to_owned(),
                frame: picture.clone(),
                subject,
                layers: vec![AttentionMap {
                    layer: 1,
                    grid: 2,
                    weights: vec![0.1; 4],
                }],
            }],
            reweighting: Some(Reweighting {
                captions: texts(&[hostile, "b"]),
                sentiments: texts(&[hostile]),
                weights: vec![vec![0.0, f32::INFINITY]; 2],
                frames: vec![picture.clone()],
                ..Reweighting::default()
            }),
            examples: vec![ReadingExample {
                frames: vec![picture; 8],
                subject: vec![subject; 8],
                utterance: hostile.to_owned(),
                truth: hostile.to_owned(),
                readings: vec![Reading {
                    label: hostile.to_owned(),
                    probability: 0.4,
                }],
            }],
            ..RunReport::default()
        }
    }

    #[test]
    fn the_page_is_self_contained_and_nothing_can_be_injected() {
        let html = full(16).to_html();
        let own = html.replace("http://www.w3.org/2000/svg", "");
        for forbidden in [
            "<script",
            "http:",
            "https:",
            "@import",
            "url(",
            "<link",
            "javascript:",
        ] {
            assert!(!own.contains(forbidden), "{forbidden}");
        }
        for section in [
            "scores",
            "training",
            "classes",
            "attention",
            "reweighting",
            "examples",
            "run",
        ] {
            assert!(
                html.contains(&format!("<section id=\"{section}\"")),
                "{section}"
            );
        }
        // Embedded pictures are base64 and may spell anything.
        let texts: String = html
            .split("base64,")
            .map(|part| &part[part.find('"').unwrap_or(0)..])
            .collect();
        assert!(!texts.contains("NaN") && !texts.contains("\"inf"));
    }

    #[test]
    fn an_empty_report_is_a_page_too() {
        let html = RunReport::default().to_html();
        assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"));
        assert!(!html.contains("id=\"scores\""));
    }

    #[test]
    fn large_pictures_are_shrunk_to_the_limit() {
        // Noise of 224 × 224 pixels takes more than 50 kB as JPEG at full quality, 40 frames of it
        // more than the limit.
        let mut report = full(224);
        report.examples = vec![report.examples[0].clone(); 10];
        assert!(report.render(PictureQuality::BEST).len() > SIZE_LIMIT);
        assert!(report.to_html().len() <= SIZE_LIMIT);
    }

    #[test]
    fn numbers_serialise_and_pictures_do_not() {
        let json = serde_json::to_value(full(16)).unwrap();
        assert_eq!(json["scores"]["zero_shot_accuracy"], 0.8);
        assert!(json["reweighting"]["weights"][0][1].is_null());
        assert!(json["examples"][0].get("frames").is_none());
    }
}
