//! The five benchmarks: protocols against scikit-learn, samples against the authors' loaders.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use emotionclip::Clip;
use emotionclip::preprocess::{Crops, Letterbox, Preprocess};
use emotionclip::probe::Features;
use emotionclip_data::benchmarks::fixtures::{self, FixtureOptions};
use emotionclip_data::benchmarks::{
    LirisInput, ProbeDataset, ProbeOptions, ProbePart, ProbeSample, ProbeSet,
};
use emotionclip_data::decode::{read_picture, read_stored_picture};
use emotionclip_data::synthetic::Split;
use emotionclip_eval::protocols::{Metric, ProtocolError, ProtocolPart, evaluate};
use integration_tests::golden::Golden;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What scikit-learn's protocol gives on the golden features of a set.
#[derive(Deserialize)]
struct Expected {
    /// By part, metric and, of a single number, its name.
    scores: BTreeMap<String, f64>,
    /// The parts, the training part first.
    parts: Vec<Split>,
    /// How far a predicted number may be from the reference's: single precision of the probe.
    value_error: f64,
}

/// Rows of `[N, width]`, `N` empty ones where the set has none.
fn rows(golden: &Golden, name: &str, samples: usize) -> Vec<Vec<f64>> {
    let found = golden.below(name.rsplit_once('/').unwrap().0);
    let key = name.rsplit('/').next().unwrap();
    let tensor = found.into_iter().find(|(found, _)| *found == key);
    tensor.map_or_else(
        || vec![Vec::new(); samples],
        |(_, tensor)| {
            let rows = tensor.values.chunks_exact(tensor.shape[1]);
            rows.map(<[f64]>::to_vec).collect()
        },
    )
}

#[test]
fn scores_are_scikit_learns_on_the_same_features() {
    let golden = Golden::read("protocols");
    for dataset in ProbeDataset::ALL {
        let slug = dataset.slug();
        let expected: Expected = golden.config(&format!("/{slug}"));
        let features: Vec<Vec<f32>> = expected
            .parts
            .iter()
            .map(|part| {
                let tensor = golden.get(&format!("{slug}/{}/features", part.name()));
                tensor.values.iter().map(|value| *value as f32).collect()
            })
            .collect();
        let parts = expected.parts.iter().zip(&features).map(|(part, values)| {
            let prefix = format!("{slug}/{}", part.name());
            let width = golden.get(&format!("{prefix}/features")).shape[1];
            let samples = values.len() / width;
            let labels = rows(&golden, &format!("{prefix}/labels"), samples);
            let present = |row: &Vec<f64>| -> Vec<usize> {
                let classes = row.iter().enumerate();
                let present = classes.filter(|(_, flag)| **flag == 1.0);
                present.map(|(class, _)| class).collect()
            };
            ProtocolPart {
                split: *part,
                features: Features::new(values, width).unwrap(),
                labels: labels.iter().map(present).collect(),
                values: rows(&golden, &format!("{prefix}/values"), samples),
            }
        });
        let parts: Vec<ProtocolPart<'_>> = parts.collect();
        let outcome = evaluate(dataset, &parts[0], &parts[1..]).unwrap();

        assert_eq!(outcome.scores.len(), expected.scores.len(), "{dataset}");
        for score in &outcome.scores {
            let mut name = format!("{}/{}", score.part.name(), score.metric.slug());
            if let Some(output) = score.output {
                name = format!("{name}/{output}");
            }
            let reference = expected.scores[&name];
            let part = parts.iter().find(|part| part.split == score.part).unwrap();
            let tolerance = tolerance(score.metric, part, expected.value_error, &expected, &name);
            let difference = (score.value - reference).abs();
            println!("{dataset} {name}: {} off by {difference:.1e}", score.value);
            assert!(
                difference <= tolerance,
                "{dataset} {name}: {} is not {reference} within {tolerance:.1e}",
                score.value
            );
        }
        let warned = |word: &str| outcome.warnings.iter().any(|one| one.contains(word));
        match dataset {
            ProbeDataset::Bold => assert!(warned("left out of the AUC's mean")),
            ProbeDataset::MovieGraphs => {
                assert!(warned("the probe always predicts that") && warned("count as misses"));
            }
            ProbeDataset::Emotic => assert!(warned("its AP counts as 0")),
            ProbeDataset::Meld | ProbeDataset::LirisAccede => {}
        }
    }
}

/// How far a score may be from the reference's. Ranks and first guesses are the same (the generator
/// saw to it), so metrics of classes differ by the rounding of sums of doubles alone. A predicted
/// number is off by at most `e`, so an error `m` moves by at most `2e√m + e²`, R² by that over the
/// truth's variance, and a correlation by `2e` over the prediction's deviation, which is at least
/// its covariance with the truth over the truth's.
fn tolerance(
    metric: Metric,
    part: &ProtocolPart<'_>,
    e: f64,
    expected: &Expected,
    name: &str,
) -> f64 {
    let deviation = |output: usize| {
        let values: Vec<f64> = part.values.iter().map(|row| row[output]).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares = values.iter().map(|value| (value - mean).powi(2));
        (squares.sum::<f64>() / values.len() as f64).sqrt()
    };
    let outputs = part.values.first().map_or(0, Vec::len);
    let deviations: Vec<f64> = (0..outputs).map(deviation).collect();
    let least = deviations.iter().copied().fold(f64::INFINITY, f64::min);
    match metric {
        Metric::Mse => 2.0 * e * expected.scores[name].max(1.0) + e * e,
        Metric::R2 => {
            let error = (1.0 - expected.scores[name]).max(1.0).sqrt();
            2.0 * e * error / least + (e / least).powi(2)
        }
        // The golden's smoothed predictions deviate by more than a hundredth of the truth's.
        Metric::Pearson => 2.0 * e / (0.01 * least),
        _ => 1e-12,
    }
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let values = [0.5_f32; 12];
    let part = |labels: Vec<Vec<usize>>, values_of: Vec<Vec<f64>>| ProtocolPart {
        split: Split::Train,
        features: Features::new(&values, 3).unwrap(),
        labels,
        values: values_of,
    };
    let none = || vec![Vec::new(); 4];
    let unlabelled = || vec![Vec::new(); 4];
    let refused = |dataset, labels, numbers| {
        let part = part(labels, numbers);
        evaluate(dataset, &part, std::slice::from_ref(&part)).unwrap_err()
    };
    let one = |label: usize| vec![vec![label]; 4];
    assert!(matches!(
        refused(ProbeDataset::Meld, one(0)[1..].to_vec(), none()),
        ProtocolError::Length { what: "labels", .. }
    ));
    assert!(matches!(
        refused(ProbeDataset::Meld, one(7), none()),
        ProtocolError::Label { label: 7, .. }
    ));
    assert!(matches!(
        refused(ProbeDataset::Meld, unlabelled(), none()),
        ProtocolError::OneLabel { sample: 0 }
    ));
    assert!(matches!(
        refused(ProbeDataset::Bold, unlabelled(), none()),
        ProtocolError::Values { numbers: 3, .. }
    ));
    // Four seconds can't be smoothed over a hundred.
    let error = refused(
        ProbeDataset::LirisAccede,
        unlabelled(),
        vec![vec![0.0, 1.0]; 4],
    );
    assert!(error.to_string().contains("a window of 100"), "{error}");
}

/// A miniature as `record_samples.py` read it.
fn miniature(dataset: ProbeDataset, root: &Path) {
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("detector/pictures/woman.jpg");
    let options = FixtureOptions {
        samples: 2,
        release_rows: true,
        ..FixtureOptions::of(vec![read_picture(&picture).unwrap()])
    };
    fixtures::write(dataset, root, &options).unwrap();
}

#[derive(Deserialize)]
struct Recorded {
    count: usize,
    digest: String,
    samples: Vec<RecordedSample>,
}

#[derive(Deserialize)]
struct RecordedSample {
    index: usize,
    frames: Vec<String>,
    target: Vec<f64>,
    mask_pixels: Vec<u64>,
    mask_offsets: Vec<[u64; 2]>,
    means: Vec<f64>,
}

/// The names of the frames below the root, as the loader opens them.
fn frame_names(sample: &ProbeSample, root: &Path) -> Vec<String> {
    let name = |path: &PathBuf| path.strip_prefix(root).unwrap().display().to_string();
    sample
        .frames
        .iter()
        .map(|frame| name(&frame.path))
        .collect()
}

/// The target as the loader gives it.
fn target(part: &ProbePart, sample: &ProbeSample) -> Vec<f64> {
    let classes = part.dataset.classes().len();
    let flags = (0..classes).map(|class| f64::from(u8::from(sample.labels.contains(&class))));
    match part.dataset {
        ProbeDataset::Meld => vec![sample.labels[0] as f64],
        _ => flags.chain(sample.values.iter().copied()).collect(),
    }
}

#[test]
fn samples_are_those_of_the_authors_loaders() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/goldens/benchmark_samples.json");
    let text = std::fs::read_to_string(file).unwrap();
    let recorded: BTreeMap<String, BTreeMap<String, Recorded>> =
        serde_json::from_str(&text).unwrap();
    for dataset in ProbeDataset::ALL {
        let folder = tempfile::tempdir().unwrap();
        miniature(dataset, folder.path());
        let open = |liris_input| {
            let options = ProbeOptions {
                liris_input,
                ..ProbeOptions::default()
            };
            ProbeSet::open(dataset, folder.path(), &options).unwrap()
        };
        let set = open(LirisInput::RepeatedFrame);
        // Their loader of LIRIS-ACCEDE reads the whole window and then repeats the labelled frame.
        let opened = open(LirisInput::Window);
        let of_set = &recorded[dataset.slug()];
        assert_eq!(set.parts.len(), of_set.len(), "{dataset}");
        for (part, opened) in set.parts.iter().zip(&opened.parts) {
            let recorded = &of_set[part.name()];
            assert_eq!(
                part.samples.len(),
                recorded.count,
                "{dataset} {}",
                part.name()
            );
            let mut digest = Sha256::new();
            for (sample, opened) in part.samples.iter().zip(&opened.samples) {
                let mut line = frame_names(opened, folder.path()).join(";");
                line.push('|');
                for (index, value) in target(part, sample).iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    // The loader's numbers are float32.
                    write!(line, "{comma}{:.6}", f64::from(*value as f32)).unwrap();
                }
                line.push('\n');
                digest.update(line);
            }
            for expected in &recorded.samples {
                check_sample((part, opened), expected, folder.path());
            }
            let digest: String = digest
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(digest, recorded.digest, "{dataset} {}", part.name());
        }
    }
}

/// One sample in full: frames, target, masks and pixels.
fn check_sample((part, opened): (&ProbePart, &ProbePart), expected: &RecordedSample, root: &Path) {
    let sample = &part.samples[expected.index];
    let name = format!("{} {} {}", part.dataset, part.name(), sample.id);
    let names = frame_names(&opened.samples[expected.index], root);
    assert_eq!(names, expected.frames, "{name}");
    for (ours, theirs) in target(part, sample).iter().zip(&expected.target) {
        assert!(
            (ours - theirs).abs() <= 1e-6 * theirs.abs().max(1.0),
            "{name}: {ours}, {theirs}"
        );
    }
    let preprocess = if part.dataset == ProbeDataset::Emotic {
        Preprocess::emotic()
    } else {
        Preprocess::release()
    };
    let masks = part.dataset.mask_protocol(Letterbox::Release);
    let mut clip = Clip {
        frames: Vec::new(),
        masks: Vec::new(),
    };
    for frame in &sample.frames {
        let picture = read_stored_picture(&frame.path).unwrap();
        let (picture, mask) = preprocess
            .subject_frame(picture, &frame.boxes, masks)
            .unwrap();
        clip.frames.push(picture);
        clip.masks.push(mask);
    }
    let prepared = preprocess.clip(&clip, &Crops::Centre).unwrap();
    let (pixels, channels) = (
        prepared.size * prepared.size,
        3 * prepared.size * prepared.size,
    );
    for (index, mask) in prepared.masks.chunks_exact(pixels).enumerate() {
        let covered = mask.iter().filter(|value| **value > 0.0).count() as u64;
        assert_eq!(
            covered, expected.mask_pixels[index],
            "{name}, mask of frame {index}"
        );
        assert_eq!(
            offsets(mask, prepared.size),
            expected.mask_offsets[index],
            "{name}, frame {index}"
        );
    }
    for (frame, mean) in prepared.frames.chunks_exact(channels).zip(&expected.means) {
        let ours = frame.iter().map(|value| f64::from(*value)).sum::<f64>() / channels as f64;
        // Two decoders of JPEG differ by at most one level of 255 in a pixel, and no more in the
        // mean; the smallest deviation that levels are divided by is 0.224.
        assert!(
            (ours - mean).abs() <= 1.0 / 255.0 / 0.224,
            "{name}: {ours}, {mean}"
        );
    }
}

/// Pixels above and left of the mask's cover, column by column and row by row, as the recorder
/// counts them: they tell where the cover is.
fn offsets(mask: &[f32], size: usize) -> [u64; 2] {
    let at = |x: usize, y: usize| mask[y * size + x] > 0.0;
    let mut counts = [0, 0];
    for line in 0..size {
        counts[0] += (0..size).take_while(|&y| !at(line, y)).count() as u64;
        counts[1] += (0..size).take_while(|&x| !at(x, line)).count() as u64;
    }
    counts
}
