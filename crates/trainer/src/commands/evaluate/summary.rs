//! An evaluation as a few lines for people.

use std::fmt::Write as _;

use super::Evaluation;
use super::precision::{RoundedScores, name_of};
use super::scored::Points;

/// The figures in a few lines.
pub fn text(evaluation: &Evaluation) -> String {
    let (model, corpus) = (&evaluation.model, &evaluation.corpus);
    let mut text = format!(
        "{} ({}) on {}: {} faces, {} sentences\n\n",
        model.name,
        model.family,
        corpus.split.name(),
        corpus.faces,
        corpus.utterances
    );
    let mut line = |name: &str, what: String| {
        // Writing into a String never fails.
        let _ = writeln!(text, "{name:<10} {what}");
    };
    if let Some(faces) = &evaluation.faces {
        let main = faces.main();
        line(
            "faces",
            format!(
                "zero-shot {}, UAR {:.4}; held {:.4}, one frame {:.4}",
                with_interval(main.accuracy(), main.interval),
                main.scores.uar,
                faces.still.accuracy(),
                faces.frame.accuracy()
            ),
        );
        if let Some(scored) = &faces.descriptions {
            let by = with_interval(scored.accuracy(), scored.interval);
            line("", format!("by descriptions {by}"));
        }
    }
    if let Some(probe) = &evaluation.probe {
        let scored = &probe.scored;
        line(
            "probe",
            format!(
                "{}, UAR {:.4}; C = {} on {}, validation {:.4}",
                with_interval(scored.accuracy(), scored.interval),
                scored.scores.uar,
                probe.chosen.c,
                probe.chosen.picture.describe(),
                probe.chosen.validation_accuracy
            ),
        );
    }
    if let Some(scenes) = &evaluation.scenes {
        line(
            "scenes",
            format!(
                "subject {}, empty mask {:.4}, gain {}",
                with_interval(scenes.subject.accuracy(), scenes.subject.interval),
                scenes.empty_mask.accuracy(),
                points(&scenes.gain)
            ),
        );
        line(
            "",
            format!(
                "mask on another face: that face {:.4}, the subject {:.4}",
                scenes.other_face.read, scenes.other_face.subject_read
            ),
        );
    }
    if let Some(found) = &evaluation.retrieval {
        line(
            "retrieval",
            format!(
                "mean recall {}, of ten {:.4}; majority {:.4}, shuffled {:.4} ± {:.4}",
                with_interval(found.all_faces.mean_recall, found.interval),
                found.all_faces.mean_recall_of_ten,
                found.majority.mean_recall,
                found.shuffled.mean_recall,
                found.shuffled.deviation
            ),
        );
    }
    if let Some(precision) = &evaluation.precision {
        for rounded in &precision.rounded {
            line("precision", rounded_text(rounded));
        }
    }
    if let Some(leaks) = &evaluation.leaks {
        let verdict = if leaks.clean { "none" } else { "FOUND" };
        let corpus = if leaks.is_committed_corpus {
            "the committed corpus"
        } else {
            "not the committed corpus"
        };
        line(
            "leaks",
            format!(
                "{verdict}: {} faces and {} sentences against {} and {} of training; {corpus}",
                leaks.faces.items,
                leaks.utterances.items,
                leaks.faces.committed_train,
                leaks.utterances.committed_train
            ),
        );
    }
    for why in &evaluation.left_out {
        line("left out", why.clone());
    }
    for file in &evaluation.files {
        line("written", file.clone());
    }
    text
}

fn rounded_text(rounded: &RoundedScores) -> String {
    let name = name_of(rounded.precision);
    let faces = points(&rounded.faces.difference);
    let scenes = rounded.scenes.as_ref().map_or_else(String::new, |scenes| {
        format!(", scenes {}", points(&scenes.difference))
    });
    format!("{name}: faces {faces}{scenes}")
}

fn with_interval(value: f64, (low, high): (f64, f64)) -> String {
    format!("{value:.4} [{low:.4}, {high:.4}]")
}

fn points(points: &Points) -> String {
    let (low, high) = points.interval;
    format!("{:+.2} points [{low:+.2}, {high:+.2}]", points.points)
}
