//! What a protocol leaves: files in the run's folder and the result on stdout.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use emotionclip::checkpoint::{RawTensor, StateDict, write_safetensors};
use emotionclip_data::benchmarks::ProbeDataset;
use emotionclip_data::synthetic::Split;
use emotionclip_eval::protocols::{
    ClassScore, ProtocolScore, PublishedScore, PublishedSystem, published, published_systems,
};
use emotionclip_eval::report::{BenchmarkReport, ComparedSystem};
use serde::Serialize;

use super::{Run, RunPart};
use crate::context::{Context, command_line, write_atomically};

/// The JSON object, also `summary.json`.
#[derive(Serialize)]
struct Summary<'a> {
    dataset: ProbeDataset,
    model: &'a str,
    model_hash: &'a str,
    device: &'a str,
    frames: usize,
    letterbox: emotionclip::preprocess::Letterbox,
    #[serde(skip_serializing_if = "Option::is_none")]
    liris_input: Option<emotionclip_data::benchmarks::LirisInput>,
    parts: Vec<PartSummary<'a>>,
    cached: usize,
    scores: &'a [ProtocolScore],
    published: &'static [PublishedScore],
    elsewhere: &'static [PublishedSystem],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    classes: &'a [ClassScore],
    warnings: &'a [String],
    seconds: f64,
    run: String,
}

/// How much of a part was used.
#[derive(Serialize)]
struct PartSummary<'a> {
    part: Split,
    samples: usize,
    skipped: Vec<String>,
    known_defects: &'a [String],
}

impl Run<'_> {
    /// Writes the run's folder and prints the result.
    ///
    /// # Errors
    /// If a file can't be written.
    pub(super) fn write(
        &self,
        systems: Vec<ComparedSystem>,
        context: &Context,
    ) -> anyhow::Result<()> {
        let dataset = self.outcome.dataset;
        let folder = self.args.benchmark.folder(dataset);
        let is_films = dataset == ProbeDataset::LirisAccede;
        let summary = Summary {
            dataset,
            model: &self.model.name,
            model_hash: &self.model.hash,
            device: &self.device,
            frames: if dataset.is_pictures() {
                1
            } else {
                self.model.frames()
            },
            letterbox: self.args.benchmark.letterbox(),
            liris_input: is_films.then(|| self.args.benchmark.liris_input()),
            parts: self.parts.iter().map(part_summary).collect(),
            cached: self.parts.iter().map(|part| part.features.cached).sum(),
            scores: &self.outcome.scores,
            published: published(dataset),
            elsewhere: published_systems(dataset),
            classes: &self.outcome.classes,
            warnings: &self.outcome.warnings,
            seconds: self.seconds,
            run: folder.display().to_string(),
        };
        self.write_probes(&folder)?;
        write_atomically(&folder.join("features.safetensors"), &self.features()?)?;
        let json = serde_json::to_string_pretty(&summary)?;
        write_atomically(&folder.join("summary.json"), json.as_bytes())?;
        let report = self.report(&summary, systems);
        write_atomically(&folder.join("report.html"), report.to_html().as_bytes())?;
        context.finish(&summary, &self.text(&summary))
    }

    /// `probe.safetensors`, and beside a probe of classes `values-probe.safetensors`.
    fn write_probes(&self, folder: &Path) -> anyhow::Result<()> {
        for (index, probe) in self.outcome.probes.iter().enumerate() {
            let head = probe.head.clone().with_model_hash(self.model.hash.as_str());
            let bytes = head.to_safetensors()?;
            if index == 0 {
                write_atomically(&folder.join("probe.safetensors"), &bytes)?;
                if let Some(path) = &self.args.save {
                    write_atomically(path, &bytes)?;
                }
            } else {
                let name = format!("{}-probe.safetensors", probe.name);
                write_atomically(&folder.join(name), &bytes)?;
            }
        }
        Ok(())
    }

    /// Features, labels as 0 and 1 and values of every part, so that any other program can repeat
    /// the protocol.
    fn features(&self) -> anyhow::Result<Vec<u8>> {
        let dataset = self.outcome.dataset;
        let (classes, values) = (dataset.classes().len(), dataset.values().len());
        let mut tensors = StateDict::new();
        let mut add = |name: String, width: usize, rows: &[f32]| -> anyhow::Result<()> {
            // A set without classes, or without numbers, has no such tensor.
            if let Some(samples) = rows.len().checked_div(width) {
                tensors.insert(name, RawTensor::from_f32(vec![samples, width], rows)?);
            }
            Ok(())
        };
        for part in &self.parts {
            let name = part.part.split.name();
            let flags: Vec<f32> = part
                .samples()
                .flat_map(|sample| {
                    (0..classes).map(|class| f32::from(u8::from(sample.labels.contains(&class))))
                })
                .collect();
            let numbers = part.samples().flat_map(|sample| &sample.values);
            let numbers: Vec<f32> = numbers.map(|value| *value as f32).collect();
            let features = &part.features;
            add(format!("{name}/features"), features.width, &features.values)?;
            add(format!("{name}/labels"), classes, &flags)?;
            add(format!("{name}/values"), values, &numbers)?;
        }
        let metadata = BTreeMap::from([("dataset".to_owned(), dataset.slug().to_owned())]);
        Ok(write_safetensors(&tensors, &metadata))
    }

    fn report(&self, summary: &Summary<'_>, systems: Vec<ComparedSystem>) -> BenchmarkReport {
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let mut facts = vec![
            fact("model", self.model.name.clone()),
            fact("SHA-256", self.model.hash.clone()),
            fact("frames", summary.frames.to_string()),
        ];
        for part in &summary.parts {
            facts.push(fact(part.part.name(), format!("{} samples", part.samples)));
        }
        facts.push(fact("device", self.device.clone()));
        facts.push(fact("time", format!("{:.0} s", self.seconds)));
        let mut notices = Vec::new();
        let skipped: usize = summary.parts.iter().map(|part| part.skipped.len()).sum();
        if skipped > 0 {
            notices.push(format!(
                "{skipped} samples can't be used and were left out."
            ));
        }
        BenchmarkReport {
            title: format!("{} on {}", self.model.name, self.outcome.dataset),
            model: self.model.name.clone(),
            notices,
            facts,
            command_line: command_line(),
            outcome: self.outcome.clone(),
            systems,
        }
    }

    fn text(&self, summary: &Summary<'_>) -> String {
        let mut text = format!("{} on {}\n", self.model.name, self.outcome.dataset);
        let samples: usize = summary.parts.iter().map(|part| part.samples).sum();
        for part in &summary.parts {
            let _ = write!(text, "{} {} samples, ", part.part.name(), part.samples);
        }
        let _ = writeln!(
            text,
            "{} of {samples} features from the cache\n",
            summary.cached
        );
        let _ = writeln!(text, "{:<26}{:>10}{:>10}", "", "here", "paper");
        for score in summary.scores {
            let mut figures = summary.published.iter();
            let same = figures.find(|one| {
                score.output.is_none() && (one.part, one.metric) == (score.part, score.metric)
            });
            let name = format!(
                "{} {}{}",
                score.part.name(),
                score
                    .output
                    .map_or_else(String::new, |output| format!("{output} ")),
                score.metric
            );
            let _ = writeln!(
                text,
                "{name:<26}{:>10}{:>10}",
                score.metric.text(score.value),
                same.map_or_else(String::new, |one| score.metric.text(one.value))
            );
        }
        let _ = write!(text, "\nreport, probe and features in {}", summary.run);
        text
    }
}

fn part_summary(part: &RunPart) -> PartSummary<'_> {
    let skipped = part.part.skipped.iter().map(ToString::to_string);
    PartSummary {
        part: part.part.split,
        samples: part.samples().count(),
        skipped: skipped
            .chain(part.features.unreadable.iter().cloned())
            .collect(),
        known_defects: &part.part.known_defects,
    }
}
