//! Gathers a run's numbers and pictures into the report.

use emotionclip::Emotion;
use emotionclip::config::SubjectEncoding;
use emotionclip::parameters::parameter_count;
use emotionclip_eval::report::{
    ClassScores, ConfusionMatrix, ModelSummary, NamedScore, RunReport, Scores, SecondSeed, Series,
    Stage, Timing, TrainingHistory,
};

use super::Trial;
use super::measure::{Measurements, TEST_CLIPS, test_corpus};
use super::panels;
use crate::pretrain::{Outcome, argmax};

/// Builds the report of a run.
pub fn build(
    trial: &Trial,
    second: Option<&Trial>,
    total_seconds: f64,
) -> anyhow::Result<RunReport> {
    let corpus = test_corpus(&trial.config)?;
    let outcome = &trial.outcome;
    let pretrained = &outcome.pretrained;
    let (confusion, classes) = confusion(&trial.measurements);
    let mut stages: Vec<Stage> = trial
        .measurements
        .stages
        .iter()
        .map(|(name, seconds)| Stage {
            name: name.clone(),
            seconds: *seconds,
        })
        .collect();
    if let Some((vanilla, _)) = &trial.vanilla {
        stages.push(Stage {
            name: "pre-training of the vanilla twin".to_owned(),
            seconds: vanilla.train_seconds,
        });
    }
    stages.push(Stage {
        name: "everything".to_owned(),
        seconds: total_seconds,
    });
    Ok(RunReport {
        title: "nano on the synthetic corpus".to_owned(),
        note: None,
        device: outcome.device.clone(),
        seed: outcome.seed,
        command_line: std::env::args().skip(1).fold(
            "cargo run -p trainer --release --".to_owned(),
            |line, part| line + " " + &part,
        ),
        model: ModelSummary {
            preset: "nano".to_owned(),
            subject_encoding: match trial.config.model.vision.subject {
                SubjectEncoding::Vanilla => "vanilla".to_owned(),
                SubjectEncoding::Sap => "SAP".to_owned(),
                SubjectEncoding::Saam { layers } => format!("SAAM in {layers} layers"),
            },
            parameters: parameter_count(&pretrained.model) as u64,
            config: trial.config.to_toml()?,
        },
        timing: Timing {
            train_seconds: outcome.train_seconds,
            clips_per_second: outcome.clips_per_second,
            stages,
        },
        scores: scores(trial),
        second_seed: second.map(|trial| SecondSeed {
            seed: trial.outcome.seed,
            scores: scores(trial),
        }),
        chance: 1.0 / Emotion::COUNT as f64,
        test_clips: Some(TEST_CLIPS as u64),
        history: history(trial),
        confusion: Some(confusion),
        classes,
        attention: if trial.config.model.vision.subject == SubjectEncoding::Vanilla {
            Vec::new()
        } else {
            panels::attention(pretrained, &corpus)?
        },
        reweighting: Some(panels::reweighting(pretrained, &trial.config, &corpus)?),
        examples: panels::readings(pretrained, &corpus)?,
    })
}

fn scores(trial: &Trial) -> Scores {
    let measured = &trial.measurements;
    Scores {
        zero_shot_accuracy: Some(measured.zero_shot),
        zero_shot_accuracy_vanilla: trial.vanilla.as_ref().map(|(_, accuracy)| *accuracy),
        probe_accuracy: Some(measured.probe),
        unseen_utterance_accuracy: Some(measured.unseen_utterance),
        face_only: Some(measured.face_only),
        posture_only: Some(measured.posture_only),
        figures_erased: Some(measured.erased_probe),
        others: vec![NamedScore {
            name: "Empty mask".to_owned(),
            meaning: "Zero-shot accuracy of the same model when it isn't told who the subject is."
                .to_owned(),
            value: measured.empty_mask,
        }],
    }
}

fn history(trial: &Trial) -> TrainingHistory {
    let named = |name: &str, points: Vec<(usize, f64)>| Series {
        name: name.to_owned(),
        x: points.iter().map(|(step, _)| *step as f64).collect(),
        y: points.iter().map(|(_, value)| *value).collect(),
    };
    let losses = |outcome: &Outcome| {
        outcome
            .history
            .losses
            .iter()
            .map(|(step, loss, _)| (*step, *loss))
            .collect::<Vec<_>>()
    };
    let main = &trial.outcome;
    let rates = main
        .history
        .losses
        .iter()
        .map(|(step, _, rate)| (*step, *rate))
        .collect();
    let mut loss = vec![named("SAP", losses(main))];
    let mut validation = vec![named("SAP", main.history.validation.clone())];
    if let Some((vanilla, _)) = &trial.vanilla {
        loss.push(named("vanilla", losses(vanilla)));
        validation.push(named("vanilla", vanilla.history.validation.clone()));
    }
    TrainingHistory {
        loss,
        learning_rate: Some(named("learning rate", rates)),
        validation_accuracy: validation,
    }
}

fn confusion(measured: &Measurements) -> (ConfusionMatrix, Vec<ClassScores>) {
    let mut counts = vec![vec![0_u64; Emotion::COUNT]; Emotion::COUNT];
    for (truth, scores) in &measured.readings {
        counts[truth.index()][argmax(scores).index()] += 1;
    }
    let classes = Emotion::ALL
        .iter()
        .map(|emotion| {
            let class = emotion.index();
            let right = counts[class][class] as f64;
            let support: u64 = counts[class].iter().sum();
            let predicted: u64 = counts.iter().map(|row| row[class]).sum();
            let precision = right / predicted.max(1) as f64;
            let recall = right / support.max(1) as f64;
            let f1 = 2.0 * precision * recall / (precision + recall).max(f64::MIN_POSITIVE);
            ClassScores {
                label: emotion.name().to_owned(),
                precision,
                recall,
                f1,
                support,
            }
        })
        .collect();
    let labels = Emotion::ALL
        .iter()
        .map(|emotion| emotion.name().to_owned())
        .collect();
    (ConfusionMatrix { labels, counts }, classes)
}
