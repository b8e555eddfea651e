//! What must not tell the emotion doesn't: chi-square tests over planned scenes.

use super::*;

/// Samples of each test: a multiple of seven.
const SAMPLES: u64 = 7000;

/// Pearson's chi-square statistic of a table of counts, and its degrees of freedom.
pub(crate) fn chi_square(pairs: &[(usize, usize)]) -> (f64, f64) {
    let rows = 1 + pairs.iter().map(|pair| pair.0).max().unwrap_or(0);
    let columns = 1 + pairs.iter().map(|pair| pair.1).max().unwrap_or(0);
    let mut counts = vec![vec![0.0_f64; columns]; rows];
    for (row, column) in pairs {
        counts[*row][*column] += 1.0;
    }
    let row_sums: Vec<f64> = counts.iter().map(|row| row.iter().sum()).collect();
    let column_sums: Vec<f64> = (0..columns)
        .map(|column| counts.iter().map(|row| row[column]).sum())
        .collect();
    let mut statistic = 0.0;
    for (row, row_sum) in counts.iter().zip(&row_sums) {
        for (count, column_sum) in row.iter().zip(&column_sums) {
            let expected = row_sum * column_sum / pairs.len() as f64;
            if expected > 0.0 {
                statistic += (count - expected).powi(2) / expected;
            }
        }
    }
    let used = |sums: &[f64]| sums.iter().filter(|sum| **sum > 0.0).count() as f64 - 1.0;
    (statistic, used(&row_sums) * used(&column_sums))
}

/// The value that chi-square exceeds with probability 5e-5: Wilson and Hilferty's approximation
/// with the normal quantile 3.89. With twenty tests a false alarm has probability 1e-3, once and
/// for all, since the samples are seeded.
pub(crate) fn critical(degrees: f64) -> f64 {
    let spread = 2.0 / (9.0 * degrees);
    degrees * (1.0 - spread + 3.89 * spread.sqrt()).powi(3)
}

/// One of `bins` equal bins of a value in `[low, high]`.
pub(crate) fn bin(value: f32, low: f32, high: f32, bins: usize) -> usize {
    let place = ((value - low) / (high - low) * bins as f32).max(0.0) as usize;
    place.min(bins - 1)
}

fn pairs(figures: FigureCount, property: impl Fn(&Scene) -> usize) -> Vec<(usize, usize)> {
    let corpus = corpus(Split::Train, figures);
    let scenes = (0..SAMPLES).map(|index| corpus.scene(index));
    scenes
        .map(|scene| (scene.emotion().index(), property(&scene)))
        .collect()
}

fn assert_independent(name: &str, property: impl Fn(&Scene) -> usize) {
    for figures in [FigureCount::Single, FigureCount::Mixed] {
        let (statistic, degrees) = chi_square(&pairs(figures, &property));
        // A property that is the same in all scenes says nothing.
        let limit = if degrees > 0.0 {
            critical(degrees)
        } else {
            f64::MIN_POSITIVE
        };
        assert!(
            statistic < limit,
            "{name}, {figures:?}: {statistic:.1} of {limit:.1}"
        );
    }
}

#[test]
fn size_and_place_of_the_subject_are_independent_of_its_emotion() {
    assert_independent("size", |scene| {
        bin(scene.subject().placement.height, 0.46, 0.92, 6)
    });
    assert_independent("x", |scene| bin(scene.subject().placement.x, 0.15, 0.85, 6));
    assert_independent("y", |scene| {
        bin(scene.subject().placement.base, 0.45, 1.0, 6)
    });
    assert_independent("rank", Scene::subject_index);
    assert_independent("drift", |scene| {
        bin(scene.subject().motion.drift.0, -0.035, 0.035, 6)
    });
}

#[test]
fn the_looks_of_the_subject_are_independent_of_its_emotion() {
    let traits = |scene: &Scene| scene.subject().identity.traits();
    assert_independent("skin", |scene| traits(scene).skin.0 as usize);
    assert_independent("hair", |scene| traits(scene).hair.0 as usize);
    assert_independent("hair style", |scene| traits(scene).hair_style as usize);
    assert_independent("clothes", |scene| traits(scene).clothes.0 as usize);
    assert_independent("accent", |scene| traits(scene).accent.0 as usize);
    assert_independent("body", |scene| traits(scene).body as usize);
}

#[test]
fn the_scene_is_independent_of_the_subjects_emotion() {
    assert_independent("background", Scene::background_kind);
    assert_independent("figure count", |scene| scene.figures().len());
    assert_independent("brightness", |scene| {
        bin(scene.light.brightness(), 0.72, 1.12, 6)
    });
    // Of the other figures the emotion says only that it isn't theirs, so test their looks.
    assert_independent("first figure", |scene| {
        scene.figures()[0].identity.traits().clothes.0 as usize
    });
}

#[test]
fn the_test_would_find_a_dependence() {
    // One sample in ten has its place set by its emotion.
    let corpus = corpus(Split::Train, FigureCount::Single);
    let leaking: Vec<_> = (0..SAMPLES)
        .map(|index| {
            let scene = corpus.scene(index);
            let emotion = scene.emotion().index();
            let place = bin(scene.subject().placement.x, 0.15, 0.85, 7);
            (emotion, if index % 10 == 0 { emotion } else { place })
        })
        .collect();
    let (statistic, degrees) = chi_square(&leaking);
    assert!(statistic > critical(degrees));
}

#[test]
fn the_critical_value_is_that_of_the_tables() {
    // The exact quantiles at 1 - 5e-5; the approximation is good to 3 % there.
    for (degrees, exact) in [(6.0, 29.4497), (36.0, 78.7585), (66.0, 120.3775)] {
        assert!((critical(degrees) / exact - 1.0_f64).abs() < 0.03);
    }
}
