//! What the run was, at the head of the report, and what repeats it, at the end.

use super::data::RunReport;
use super::format::{count, duration, escape};
use super::page;

/// Title, remark and the facts of the run.
pub(super) fn header(report: &RunReport) -> String {
    let facts = [
        ("Model", model_line(report)),
        ("Device", report.device.clone()),
        ("Seed", report.seed.to_string()),
        ("Training", training_line(report)),
    ];
    page::heading(
        report.note.as_deref(),
        "EmotionCLIP run report",
        &report.title,
        facts.iter().map(|(name, value)| (*name, value.as_str())),
    )
}

fn model_line(report: &RunReport) -> String {
    let model = &report.model;
    let mut parts = vec![model.preset.clone()];
    if !model.subject_encoding.is_empty() {
        parts.push(model.subject_encoding.clone());
    }
    parts.push(format!("{} parameters", count(model.parameters)));
    parts.join(", ")
}

fn training_line(report: &RunReport) -> String {
    format!(
        "{}, {:.0} clips/s",
        duration(report.timing.train_seconds),
        report.timing.clips_per_second
    )
}

/// Command, timing and configuration.
pub(super) fn section(report: &RunReport) -> String {
    let timing = &report.timing;
    let stages = core::iter::once(("pre-training", timing.train_seconds)).chain(
        timing
            .stages
            .iter()
            .map(|stage| (stage.name.as_str(), stage.seconds)),
    );
    let rows: String = stages
        .map(|(name, seconds)| {
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td></tr>",
                escape(name),
                duration(seconds)
            )
        })
        .collect();
    let config = if report.model.config.is_empty() {
        String::new()
    } else {
        format!(
            "<div><h3>Configuration</h3><pre tabindex=\"0\">{}</pre></div>",
            escape(report.model.config.trim_end())
        )
    };
    format!(
        "<div class=\"pair\"><div><h3>Command</h3><pre class=\"command\" tabindex=\"0\">{}</pre>\
         <table class=\"plain\"><caption>Wall-clock time of each stage on {}.</caption><thead><tr>\
         <th scope=\"col\">stage</th><th scope=\"col\" class=\"number\">time</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>{config}</div>",
        escape(&report.command_line),
        escape(&report.device)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_states_the_run_and_its_remark() {
        let report = RunReport {
            title: "a <title>".to_owned(),
            note: Some("sample".to_owned()),
            seed: 7,
            ..RunReport::default()
        };
        let html = header(&report);
        assert!(html.contains("a &lt;title&gt;") && html.contains("class=\"notice\""));
        assert!(html.contains("<dd>7</dd>") && !html.contains("Finished"));
    }

    #[test]
    fn a_run_without_a_configuration_shows_none() {
        assert!(!section(&RunReport::default()).contains("Configuration"));
    }
}
