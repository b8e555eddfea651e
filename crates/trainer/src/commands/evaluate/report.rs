//! An evaluation as a report.

use emotionclip::Emotion;
use emotionclip_eval::report::{EvaluationPart, EvaluationReport, Measure, Quantity};

use super::Evaluation;
use super::faces::FacesResult;
use super::leaks::{LeaksResult, Shared};
use super::linear::ProbeResult;
use super::precision::{Compared, PrecisionResult, name_of};
use super::retrieval::RetrievalResult;
use super::scenes::ScenesResult;
use super::scored::{Points, Scored};
use crate::context::command_line;

/// Accuracy of guessing one of the seven emotions.
const CHANCE: f64 = 1.0 / Emotion::COUNT as f64;

/// The whole report.
pub fn build(evaluation: &Evaluation) -> EvaluationReport {
    let (model, corpus) = (&evaluation.model, &evaluation.corpus);
    let mut notices = evaluation.left_out.clone();
    if let Some(leaks) = evaluation.leaks.filter(|leaks| !leaks.clean) {
        notices.push(format!(
            "{} faces or sentences of this split stand in training: no figure below counts.",
            leaks.found()
        ));
    }
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let seconds: f64 = evaluation.seconds.values().sum();
    EvaluationReport {
        title: format!(
            "{} on the {} split of faces",
            model.name,
            corpus.split.name()
        ),
        notices,
        facts: vec![
            fact("model", model.name.clone()),
            fact("family", model.family.to_owned()),
            fact("SHA-256", model.sha256.clone()),
            fact("parameters", model.parameters.to_string()),
            fact("bytes", model.bytes.to_string()),
            fact("frame", format!("{0} × {0} pixels", model.image_size)),
            fact("frames a clip", model.frames.to_string()),
            fact("faces", corpus.faces.to_string()),
            fact("sentences", corpus.utterances.to_string()),
            fact("device", evaluation.device.clone()),
            fact("time", format!("{seconds:.0} s")),
        ],
        command_line: command_line(),
        parts: [
            evaluation.faces.as_ref().map(faces),
            evaluation.probe.as_ref().map(probe),
            evaluation.scenes.as_ref().map(scenes),
            evaluation.retrieval.as_ref().map(retrieval),
            evaluation.precision.as_ref().map(precision),
            evaluation.leaks.as_ref().map(leaks),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}

fn part(id: &str, title: &str, introduction: String, measures: Vec<Measure>) -> EvaluationPart {
    EvaluationPart {
        id: id.to_owned(),
        title: title.to_owned(),
        introduction,
        measures,
        confusions: Vec::new(),
    }
}

/// A share that has an interval.
fn share(name: &str, meaning: &str, value: f64, interval: (f64, f64)) -> Measure {
    Measure {
        name: name.to_owned(),
        meaning: meaning.to_owned(),
        value: Quantity::Share(value),
        interval: Some(interval),
        chance: None,
    }
}

/// A share that has none.
fn plain(name: &str, meaning: &str, value: f64) -> Measure {
    Measure {
        interval: None,
        ..share(name, meaning, value, (0.0, 0.0))
    }
}

fn number(name: &str, meaning: &str, value: usize) -> Measure {
    Measure {
        value: Quantity::Count(value as u64),
        ..plain(name, meaning, 0.0)
    }
}

fn difference(name: &str, meaning: &str, points: &Points) -> Measure {
    let (low, high) = points.interval;
    Measure {
        value: Quantity::Difference(points.points / 100.0),
        interval: Some((low / 100.0, high / 100.0)),
        ..plain(name, meaning, 0.0)
    }
}

fn accuracy(name: &str, meaning: &str, scored: &Scored) -> Measure {
    Measure {
        chance: Some(CHANCE),
        ..share(name, meaning, scored.accuracy(), scored.interval)
    }
}

fn uar(scored: &Scored) -> Measure {
    Measure {
        chance: Some(CHANCE),
        ..plain(
            "UAR",
            "Mean of the emotions' recalls, which weighs rare emotions like frequent ones.",
            scored.scores.uar,
        )
    }
}

fn confusion(shown: &mut EvaluationPart, caption: &str, scored: &Scored) {
    let caption = format!(
        "{caption} Rows are the truth, columns what was read; the shade is the share of the row."
    );
    shown.confusions.push((caption, scored.matrix()));
}

fn faces(result: &FacesResult) -> EvaluationPart {
    let main = result.main();
    let mut measures = vec![
        accuracy(
            "Accuracy",
            "Share of faces whose most similar emotion is their label.",
            main,
        ),
        uar(main),
        accuracy(
            "Accuracy, held picture",
            "The picture as every frame of a clip, as `predict` and `zero-shot` read one.",
            &result.still,
        ),
        accuracy(
            "Accuracy, one frame",
            "One frame without the rest of a clip.",
            &result.frame,
        ),
    ];
    if let Some(scored) = &result.descriptions {
        measures.push(accuracy(
            "Accuracy by descriptions",
            "Emotions as descriptions of what a face does, instead of what people say.",
            scored,
        ));
    }
    let introduction = format!(
        "Every face of the split once, filling the frame and not varied, {} of them, compared with \
         the committed label texts; nothing was fitted. The first two figures read a face as {}.",
        main.scores.samples,
        result.picture.describe()
    );
    let mut shown = part("faces", "Single faces, zero-shot", introduction, measures);
    confusion(&mut shown, "Zero-shot readings of single faces.", main);
    shown
}

fn probe(result: &ProbeResult) -> EvaluationPart {
    let chosen = result.chosen;
    let flattery = if result.chosen_on_itself {
        " The setting was chosen on the very faces it is measured on here, so the figure flatters."
    } else {
        ""
    };
    let introduction = format!(
        "Logistic regression on the frozen vectors of {} training faces; of {} settings the best on \
         validation was taken: C = {}, {}.{flattery}",
        result.trained_on,
        result.tried.len(),
        chosen.c,
        chosen.picture.describe()
    );
    let measures = vec![
        accuracy("Accuracy", "On the split measured.", &result.scored),
        uar(&result.scored),
        plain(
            "Accuracy on validation",
            "What the setting was chosen by.",
            chosen.validation_accuracy,
        ),
    ];
    let mut shown = part("probe", "Linear probe", introduction, measures);
    confusion(&mut shown, "Readings by the probe.", &result.scored);
    shown
}

fn scenes(result: &ScenesResult) -> EvaluationPart {
    let other = &result.other_face;
    let faces = match result.faces {
        1 => "one face".to_owned(),
        4 => "four faces".to_owned(),
        faces => format!("{faces} faces"),
    };
    let mut measures = vec![
        accuracy(
            "Subject",
            "The mask is on the subject; the subject's emotion is read.",
            &result.subject,
        ),
        uar(&result.subject),
        accuracy(
            "Empty mask",
            "The same scenes without telling who the subject is.",
            &result.empty_mask,
        ),
        difference(
            "What the mask is worth",
            "Subject minus empty mask, scene by scene.",
            &result.gain,
        ),
    ];
    if result.faces > 1 {
        measures.push(Measure {
            chance: Some(CHANCE),
            ..share(
                "Another face",
                "The mask is on another face of the same scene; that one's emotion is read.",
                other.read,
                other.interval,
            )
        });
        measures.push(Measure {
            chance: Some(CHANCE),
            ..plain(
                "Subject in spite of the mask",
                "The mask is on another face; the subject's emotion is read all the same.",
                other.subject_read,
            )
        });
    }
    let introduction = format!(
        "{} scenes of {} with different emotions over {} frames, made of the split's faces \
         with seed {}, which is kept for evaluations; label texts as above.",
        result.scenes, faces, result.frames, result.seed
    );
    let title = format!("Scenes of {faces}");
    let mut shown = part("scenes", &title, introduction, measures);
    confusion(&mut shown, "Mask on the subject.", &result.subject);
    confusion(&mut shown, "Empty mask.", &result.empty_mask);
    shown
}

fn retrieval(result: &RetrievalResult) -> EvaluationPart {
    let (all, marked) = (&result.all_faces, &result.without_neutral);
    let shuffled = &result.shuffled;
    let guessing = |measure: Measure, chance| Measure {
        chance: Some(chance),
        ..measure
    };
    let measures = vec![
        guessing(
            share(
                "Nearest face",
                "Mean over the six emotions of the share of sentences whose nearest face shows theirs.",
                all.mean_recall,
                result.interval,
            ),
            shuffled.expected,
        ),
        guessing(
            plain(
                "Ten nearest faces",
                "The same of the emotion that most of the ten nearest faces show.",
                all.mean_recall_of_ten,
            ),
            shuffled.expected,
        ),
        guessing(
            plain(
                "Precision of ten",
                "Share of the ten nearest faces with the sentence's emotion.",
                all.mean_precision_of_ten,
            ),
            shuffled.expected,
        ),
        guessing(
            plain(
                "Nearest face that is not neutral",
                "Neutral faces taken out before.",
                marked.mean_recall,
            ),
            1.0 / 6.0,
        ),
        plain(
            "Baseline: majority",
            &format!("Always {}.", result.majority.emotion),
            result.majority.mean_recall,
        ),
        plain(
            "Baseline: shuffled faces",
            &format!(
                "The same faces with the emotions of all shuffled, mean of {} permutations; standard \
                 deviation {:.1} points.",
                shuffled.permutations,
                100.0 * shuffled.deviation
            ),
            shuffled.mean_recall,
        ),
        number(
            "Different faces retrieved",
            "Few would mean that a few faces are near to everything.",
            result.faces_retrieved,
        ),
    ];
    let introduction = format!(
        "{} sentences with one label of the six emotions (GoEmotions, never trained on) each retrieve \
         the nearest of all {} faces of the split, neutral ones too; a face is read as {}. The \
         interval is a bootstrap over sentences and faces.",
        result.sentences,
        all.faces,
        result.picture.describe()
    );
    let title = "Sentences retrieve faces";
    let mut shown = part("retrieval", title, introduction, measures);
    confusion(
        &mut shown,
        "Emotion of the sentence and of the nearest face.",
        &result.nearest,
    );
    shown
}

fn precision(result: &PrecisionResult) -> EvaluationPart {
    let mut measures = vec![plain("Faces", "The model as it is.", result.faces)];
    measures.extend(
        result
            .scenes
            .map(|scenes| plain("Scenes", "The model as it is.", scenes)),
    );
    for rounded in &result.rounded {
        let name = name_of(rounded.precision);
        let mut compare = |what: &str, compared: &Compared| {
            measures.push(difference(
                &format!("{what}, {name}"),
                &format!(
                    "{:.2} % instead; {:.2} % are read differently.",
                    100.0 * compared.accuracy,
                    100.0 * compared.changed
                ),
                &compared.difference,
            ));
        };
        compare("Faces", &rounded.faces);
        if let Some(scenes) = &rounded.scenes {
            compare("Scenes", scenes);
        }
    }
    let sizes = result.rounded.iter().map(|rounded| {
        let name = name_of(rounded.precision);
        let size = rounded.bytes as f64 / 1e6;
        if rounded.relative_change == 0.0 {
            format!("{name}: {size:.1} MB, no weight changes, for the file holds no finer ones")
        } else {
            let change = 100.0 * rounded.relative_change;
            format!("{name}: {size:.1} MB, weights change by {change:.3} %")
        }
    });
    let introduction = format!(
        "Single faces and scenes of four again with all weights through a web bundle: vectors stay in \
         f32, matrices are rounded, int8 with a scale of its own for each output. {}.",
        sizes.collect::<Vec<_>>().join("; ")
    );
    part("precision", "Rounded weights", introduction, measures)
}

fn leaks(result: &LeaksResult) -> EvaluationPart {
    let row = |what: &str, shared: &Shared| {
        [
            number(
                &format!("{what} in training"),
                &format!(
                    "Of {} different ones, on the committed list of {}.",
                    shared.items, shared.committed_train
                ),
                shared.in_committed_train,
            ),
            number(
                &format!("{what} in this corpus's training part"),
                "Compared item by item.",
                shared.in_corpus_train,
            ),
        ]
    };
    let which = if result.is_committed_corpus {
        "This corpus is the one whose lists are committed."
    } else {
        "This corpus is not the one whose lists are committed."
    };
    let introduction = format!(
        "The split's faces and sentences by SHA-256 against the lists in tests/manifests and against \
         the training part of the corpus itself. {which}"
    );
    let measures = [
        row("Faces", &result.faces),
        row("Sentences", &result.utterances),
    ];
    part(
        "leaks",
        "Nothing was trained on",
        introduction,
        measures.concat(),
    )
}
