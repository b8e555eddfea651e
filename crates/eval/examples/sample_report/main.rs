//! Writes a report and a page of readings filled with sample data, to look at their design.
//!
//! ```text
//! cargo run -p emotionclip-eval --example sample_report -- [FOLDER]
//! ```
//!
//! Every number comes from a formula below and measures nothing; the pages say so.

mod scene;

use std::path::PathBuf;

use emotionclip_eval::report::{
    AttentionExample, AttentionMap, ClassScores, ConfusionMatrix, ModelSummary, NamedScore,
    Reading, ReadingExample, ReadingFrame, ReadingsPage, Reweighting, RunReport, Scores,
    SecondSeed, Series, Stage, Timing, TrainingHistory, readings_html, readings_plot,
};

use scene::{SIDE, noise, scene};

const LABELS: [&str; 7] = [
    "anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise",
];
const STEPS: u32 = 1500;
const NOTE: &str =
    "Sample data: drawn and computed to show the layout. No number on this page is a measurement.";

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("target/sample_report"), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    let (times, values) = readings();
    let files = [
        ("sample_report.html", report().to_html()),
        (
            "sample_readings.svg",
            readings_plot(&times, &LABELS, &values),
        ),
        (
            "sample_picture.svg",
            readings_plot(&[0.0], &LABELS, &values[30..31]),
        ),
        (
            "sample_readings.html",
            readings_html(&readings_page(times, values)),
        ),
    ];
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::write(&path, &content)?;
        println!("{} ({} kB)", path.display(), content.len() / 1000);
    }
    Ok(())
}

fn report() -> RunReport {
    let confusion = confusion();
    RunReport {
        title: "nano on the synthetic corpus".to_owned(),
        note: Some(NOTE.to_owned()),
        device: "cpu (flex): the only graphics adapter is a software one".to_owned(),
        seed: 1,
        command_line: "cargo run -p trainer --release -- --compare vanilla --seed 1".to_owned(),
        model: ModelSummary {
            preset: "nano".to_owned(),
            subject_encoding: "SAP".to_owned(),
            parameters: 1_012_736,
            config: CONFIG.to_owned(),
        },
        timing: Timing {
            train_seconds: 247.0,
            clips_per_second: 194.0,
            stages: vec![
                Stage {
                    name: "pre-training, vanilla".to_owned(),
                    seconds: 239.4,
                },
                Stage {
                    name: "linear probe".to_owned(),
                    seconds: 8.3,
                },
                Stage {
                    name: "zero-shot".to_owned(),
                    seconds: 4.9,
                },
            ],
        },
        scores: scores(0.0),
        second_seed: Some(SecondSeed {
            seed: 2,
            scores: scores(-0.017),
        }),
        chance: 1.0 / 7.0,
        test_clips: Some(700),
        history: history(),
        classes: classes(&confusion),
        confusion: Some(confusion),
        attention: (0..4).map(attention).collect(),
        reweighting: Some(reweighting()),
        examples: (0..8).map(example).collect(),
    }
}

const CONFIG: &str = "\
[model]
preset = \"nano\"
subject_encoding = \"sap\"
temporal_fusion = \"transformer\"

[vision]
image_size = 96
patch_size = 16
width = 96
layers = 4
heads = 4

[text]
vocab_size = 1024
context_length = 32
width = 96
layers = 3
heads = 4

[loss]
beta = 10.0
kl_direction = \"paper\"

[optimizer]
learning_rate = 1e-3
warmup_steps = 100
batch_size = 32
steps = 1500
";

fn scores(shift: f64) -> Scores {
    Scores {
        zero_shot_accuracy: Some(0.834 + shift),
        zero_shot_accuracy_vanilla: Some(0.487 - shift / 2.0),
        probe_accuracy: Some(0.871 + shift / 2.0),
        unseen_utterance_accuracy: Some(0.802 + shift),
        face_only: Some(0.643 - shift),
        posture_only: Some(0.571 + shift),
        figures_erased: Some(0.151 + shift / 3.0),
        others: vec![NamedScore {
            name: "Single figure".to_owned(),
            meaning: "Unseen scenes with one figure only.".to_owned(),
            value: 0.902 + shift,
        }],
    }
}

fn history() -> TrainingHistory {
    let curve = |name: &str, seed, floor: f64, pace: f64| Series {
        name: name.to_owned(),
        x: (0..STEPS).map(f64::from).collect(),
        y: (0..STEPS)
            .map(|step| {
                let progress = f64::from(step) / f64::from(STEPS);
                let mean = floor + (3.47 - floor) * (-pace * progress).exp();
                mean + 0.35 * (noise(step, seed) - 0.5) * mean.sqrt()
            })
            .collect(),
    };
    let accuracy = |name: &str, seed, top: f64, pace: f64| Series {
        name: name.to_owned(),
        x: (0..=15).map(|index| 100.0 * f64::from(index)).collect(),
        y: (0..=15)
            .map(|index: u32| {
                let rise = 1.0 - (-pace * f64::from(index) / 15.0).exp();
                1.0 / 7.0 + (top - 1.0 / 7.0) * rise + 0.03 * (noise(index, seed) - 0.5)
            })
            .collect(),
    };
    let rate = |step: u32| {
        let warm = (f64::from(step) / 100.0).min(1.0);
        let progress = f64::from(step) / f64::from(STEPS);
        1e-3 * warm * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
    };
    TrainingHistory {
        loss: vec![curve("SAP", 1, 0.62, 4.0), curve("vanilla", 2, 1.71, 3.5)],
        learning_rate: Some(Series {
            name: "learning rate".to_owned(),
            x: (0..STEPS).map(f64::from).collect(),
            y: (0..STEPS).map(rate).collect(),
        }),
        validation_accuracy: vec![
            accuracy("SAP", 3, 0.86, 4.0),
            accuracy("vanilla", 4, 0.50, 4.5),
        ],
    }
}

fn confusion() -> ConfusionMatrix {
    let counts = (0..7u32)
        .map(|truth| {
            let mut row: Vec<u64> = (0..7)
                .map(|read| (6.0 * noise(truth, read + 40).powi(2)) as u64)
                .collect();
            let wrong: u64 = row.iter().sum::<u64>() - row[truth as usize];
            row[truth as usize] = 100 - wrong;
            row
        })
        .collect();
    ConfusionMatrix {
        labels: LABELS.map(str::to_owned).to_vec(),
        counts,
    }
}

fn classes(confusion: &ConfusionMatrix) -> Vec<ClassScores> {
    (0..7)
        .map(|class| {
            let right = confusion.counts[class][class] as f64;
            let support: u64 = confusion.counts[class].iter().sum();
            let read: u64 = confusion.counts.iter().map(|row| row[class]).sum();
            let (precision, recall) = (right / read as f64, right / support as f64);
            ClassScores {
                label: LABELS[class].to_owned(),
                precision,
                recall,
                f1: 2.0 * precision * recall / (precision + recall),
                support,
            }
        })
        .collect()
}

const UTTERANCES: [&str; 8] = [
    "Get out of my way before I say something I’ll regret.",
    "That milk has been open since March, don’t come near me with it.",
    "Did you hear that? Somebody is downstairs.",
    "We won! I can’t stop grinning.",
    "The bus leaves at a quarter past four.",
    "I keep setting the table for two.",
    "You’re here? I thought you were in Lisbon!",
    "I said no, and I meant no the first time.",
];

/// The true label of sample `index`.
fn truth(index: u32) -> usize {
    (index % 7) as usize
}

fn attention(index: u32) -> AttentionExample {
    const GRID: usize = 6;
    let (frame, subject) = scene(index + 3, 0.8);
    let patch = SIDE as f32 / GRID as f32;
    let (x, y) = ((subject.left + subject.right) / 2.0, subject.top + 14.0);
    let layers = [1, 2, 3, 4]
        .map(|layer| {
            let focus = 0.002 * layer as f32 * layer as f32 / 4.0;
            let weights = (0..GRID * GRID)
                .map(|cell| {
                    let dx = (cell % GRID) as f32 * patch + patch / 2.0 - x;
                    let dy = (cell / GRID) as f32 * patch + patch / 2.0 - y;
                    let floor = 0.3 * noise(index * 50 + layer as u32, cell as u32) as f32;
                    (floor / layer as f32 + (-(dx * dx + dy * dy) * focus).exp()) / 20.0
                })
                .collect();
            AttentionMap {
                layer,
                grid: GRID,
                weights,
            }
        })
        .to_vec();
    AttentionExample {
        caption: UTTERANCES[index as usize].to_owned(),
        truth: LABELS[truth(index)].to_owned(),
        prediction: LABELS[truth(index)].to_owned(),
        frame,
        subject: Some(subject),
        layers,
    }
}

fn reweighting() -> Reweighting {
    let size = UTTERANCES.len();
    let matrix = |entry: &dyn Fn(usize, usize) -> f32| -> Vec<Vec<f32>> {
        (0..size)
            .map(|i| (0..size).map(|j| entry(i, j)).collect())
            .collect()
    };
    let alike = |i: usize, j: usize| truth(i as u32) == truth(j as u32);
    let weight = |i: usize, j: usize| match (i == j, alike(i, j)) {
        (true, _) => 0.0,
        (_, true) => 41.0,
        _ => 10.0 / (2.0 + 7.0 * noise(i as u32, j as u32) as f32),
    };
    let logit = |i: usize, j: usize| {
        let kin = if i == j {
            9.0
        } else if alike(i, j) {
            7.5
        } else {
            1.0
        };
        kin + 4.0 * noise(i as u32 + 90, j as u32) as f32 - 3.0
    };
    Reweighting {
        beta: 10.0,
        anchor: 0,
        captions: UTTERANCES.map(str::to_owned).to_vec(),
        sentiments: (0..size as u32)
            .map(|i| LABELS[truth(i)].to_owned())
            .collect(),
        frames: (0..size as u32).map(|i| scene(i + 20, 0.9).0).collect(),
        weights: matrix(&weight),
        logits_before: matrix(&logit),
        logits_after: matrix(&|i, j| logit(i, j) - weight(i, j)),
    }
}

fn example(index: u32) -> ReadingExample {
    let (frames, boxes): (Vec<_>, Vec<_>) =
        (0..8).map(|t| scene(index + 40, t as f32 / 7.0)).unzip();
    let read_as = if index % 4 == 2 {
        (truth(index) + 4) % 7
    } else {
        truth(index)
    };
    let logits: Vec<f64> = (0..7usize)
        .map(|label| 2.0 * noise(index, label as u32) + if label == read_as { 2.6 } else { 0.0 })
        .collect();
    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    ReadingExample {
        frames,
        subject: boxes.into_iter().map(Some).collect(),
        utterance: UTTERANCES[index as usize].to_owned(),
        truth: LABELS[truth(index)].to_owned(),
        readings: LABELS
            .iter()
            .zip(logits)
            .map(|(label, logit)| Reading {
                label: (*label).to_owned(),
                probability: (logit.exp() / sum) as f32,
            })
            .collect(),
    }
}

/// Twelve seconds at 8 readings a second that move from neutral over surprise to joy.
fn readings() -> (Vec<f64>, Vec<Vec<f32>>) {
    let times: Vec<f64> = (0..96).map(|index| f64::from(index) / 8.0).collect();
    let bump = |time: f64, centre: f64, width: f64| (-((time - centre) / width).powi(2)).exp();
    let values = times
        .iter()
        .zip(0u32..)
        .map(|(&time, index)| {
            let peaks = [
                0.0,
                0.0,
                0.4 * bump(time, 4.5, 0.8),
                3.6 * bump(time, 10.0, 3.0),
                0.0,
                0.0,
                0.0,
            ];
            let mut logits = peaks.map(|peak| peak + 0.0);
            logits[4] = 2.8 * bump(time, 0.0, 3.5);
            logits[6] = 3.4 * bump(time, 4.8, 1.3);
            let terms: Vec<f64> = logits
                .iter()
                .zip(0u32..)
                .map(|(logit, label)| (logit + 0.35 * noise(index, label + 70)).exp())
                .collect();
            let sum: f64 = terms.iter().sum();
            terms.iter().map(|term| (term / sum) as f32).collect()
        })
        .collect();
    (times, values)
}

fn readings_page(times: Vec<f64>, values: Vec<Vec<f32>>) -> ReadingsPage {
    ReadingsPage {
        title: "sample.mp4".to_owned(),
        facts: vec![
            ("Note".to_owned(), NOTE.to_owned()),
            ("Model".to_owned(), "nano, SAP".to_owned()),
            ("Subject".to_owned(), "box 14,30 to 40,95".to_owned()),
        ],
        labels: LABELS.map(str::to_owned).to_vec(),
        times,
        values,
        frames: (0..8u32)
            .map(|index| {
                let (picture, subject) = scene(77, index as f32 / 7.0);
                ReadingFrame {
                    time: 1.5 * f64::from(index),
                    picture,
                    subject: Some(subject),
                }
            })
            .collect(),
    }
}
