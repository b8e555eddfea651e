//! `--beside`: figures of other systems besides those that the project found a source for.

use std::path::Path;

use emotionclip_data::synthetic::Split;
use emotionclip_eval::protocols::Metric;
use emotionclip_eval::report::ComparedSystem;
use serde::Deserialize;

use crate::failure::bad_input;
use crate::inputs::files::{one_line, read_text};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "system")]
    systems: Vec<System>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct System {
    name: String,
    #[serde(default)]
    source: String,
    scores: Vec<Score>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Score {
    part: Split,
    metric: Metric,
    value: f64,
}

/// Reads systems from TOML; shares are in `[0, 1]`.
///
/// # Errors
/// Bad input that names the file and what is wrong.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<ComparedSystem>> {
    let text = read_text(path)?;
    let wrong = |problem: String| bad_input(format!("{}: {problem}", path.display()));
    let file: File = toml::from_str(&text).map_err(|error| wrong(one_line(error)))?;
    let mut systems = Vec::new();
    for system in file.systems {
        for score in &system.scores {
            let is_share = (0.0..=1.0).contains(&score.value);
            if !score.value.is_finite() || (score.metric.is_share() && !is_share) {
                return Err(wrong(format!(
                    "{}: {} is {}; shares are between 0 and 1",
                    system.name,
                    score.metric.slug(),
                    score.value
                )));
            }
        }
        let scores = system.scores.into_iter();
        systems.push(ComparedSystem {
            name: system.name,
            source: system.source,
            scores: scores
                .map(|one| (one.part, one.metric, one.value))
                .collect(),
        });
    }
    Ok(systems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_file(text: &str) -> anyhow::Result<Vec<ComparedSystem>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beside.toml");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn systems_are_read_and_per_cent_are_refused() {
        let text = |value| {
            format!(
                "[[system]]\nname = \"other\"\nscores = [\n  \
                 {{ part = \"test\", metric = \"accuracy\", value = {value} }},\n]\n"
            )
        };
        let systems = read_file(&text("0.5")).unwrap();
        assert_eq!(systems[0].scores, [(Split::Test, Metric::Accuracy, 0.5)]);
        for (text, part) in [
            (text("50.0"), "accuracy is 50; shares are between 0 and 1"),
            (text("nan"), "shares are between"),
            (text("0.5").replace("accuracy", "recall"), "recall"),
            (text("0.5").replace("test", "dev"), "dev"),
        ] {
            let message = read_file(&text).unwrap_err().to_string();
            assert!(
                message.starts_with('/') && message.contains("beside.toml: "),
                "{message}"
            );
            assert!(message.contains(part), "{message}");
        }
    }
}
