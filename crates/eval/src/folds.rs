//! Protocols with folds, as facial-expression benchmarks have them: UAR and WAR of each fold and
//! their means, recall of classes that were left out, and errors and correlations of scores.
//!
//! A fold is a model of its own, so folds are averaged as scores; only their confusion matrices are
//! added up, since every clip is tested on in one of them.

use emotionclip_data::dfer::Benchmark;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::metrics::{
    ConfusionMatrix, MetricError, emoclip_concordance, emoclip_pearson, mean_absolute_error,
    root_mean_squared_error,
};

/// How a model came to know the classes that it is tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Never: it compares clips with descriptions of the classes, trained on captions or not at all.
    ZeroShot,
    /// It was trained on the classes' descriptions as prototypes.
    Supervised,
}

impl Protocol {
    /// Its name in reports and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZeroShot => "zero-shot",
            Self::Supervised => "supervised",
        }
    }
}

/// A published result to stand beside one's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Published {
    /// Unweighted average recall in `[0, 1]`.
    pub uar: f64,
    /// Weighted average recall in `[0, 1]`.
    pub war: f64,
    /// Who measured it and where it stands.
    pub source: &'static str,
}

/// What the EmoCLIP paper reports; nothing where no source is at hand.
pub const fn published(benchmark: Benchmark, protocol: Protocol) -> Option<Published> {
    match (benchmark, protocol) {
        (Benchmark::Mafw, Protocol::ZeroShot) => Some(Published {
            uar: 0.2586,
            war: 0.3349,
            source: "EmoCLIP (Foteinopoulou & Patras, FG 2024)",
        }),
        _ => None,
    }
}

/// A mean over folds or classes and how far they are from it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanDeviation {
    /// Plain mean.
    pub mean: f64,
    /// Sample standard deviation (divided by one less than the number); `None` for a single value.
    pub deviation: Option<f64>,
}

impl MeanDeviation {
    /// Of some values; `None` without any.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            mean,
            deviation: (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
        })
    }
}

/// The test of one fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldScores {
    fold: usize,
    confusion: ConfusionMatrix,
}

impl FoldScores {
    /// Counts the predictions of fold `fold`: class indices `[N]` below `classes`.
    ///
    /// # Errors
    /// No samples, different lengths, an index that is not below `classes`.
    pub fn new(
        fold: usize,
        truth: &[usize],
        predicted: &[usize],
        classes: usize,
    ) -> Result<Self, MetricError> {
        let confusion = ConfusionMatrix::new(truth, predicted, classes)?;
        Ok(Self { fold, confusion })
    }

    /// The fold's number, from 1.
    pub fn fold(&self) -> usize {
        self.fold
    }

    /// True against predicted classes.
    pub fn confusion(&self) -> &ConfusionMatrix {
        &self.confusion
    }

    /// Clips tested on.
    pub fn clips(&self) -> u64 {
        self.confusion.counts().iter().sum()
    }

    /// Unweighted average recall, over the classes in truth or predictions.
    pub fn uar(&self) -> f64 {
        self.confusion.unweighted_average_recall()
    }

    /// Weighted average recall: accuracy.
    pub fn war(&self) -> f64 {
        self.confusion.weighted_average_recall()
    }
}

impl Serialize for FoldScores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Summary {
            fold: usize,
            clips: u64,
            uar: f64,
            war: f64,
            confusion: Vec<Vec<u64>>,
        }
        Summary {
            fold: self.fold,
            clips: self.clips(),
            uar: self.uar(),
            war: self.war(),
            confusion: rows(&self.confusion),
        }
        .serialize(serializer)
    }
}

/// A classification protocol on all its folds.
#[derive(Clone, Debug)]
pub struct FoldedResult {
    /// The benchmark.
    pub benchmark: Benchmark,
    /// How the classes were learnt.
    pub protocol: Protocol,
    /// The classes' names, in the order of the confusion matrices.
    pub classes: Vec<String>,
    /// The folds, in their order.
    pub folds: Vec<FoldScores>,
    /// Rows of the benchmark's tables that were left out, over all folds.
    pub skipped: usize,
}

impl FoldedResult {
    /// Mean UAR over the folds; `None` without folds.
    pub fn uar(&self) -> Option<MeanDeviation> {
        self.mean(FoldScores::uar)
    }

    /// Mean WAR over the folds; `None` without folds.
    pub fn war(&self) -> Option<MeanDeviation> {
        self.mean(FoldScores::war)
    }

    fn mean(&self, score: fn(&FoldScores) -> f64) -> Option<MeanDeviation> {
        MeanDeviation::of(&self.folds.iter().map(score).collect::<Vec<f64>>())
    }

    /// The folds' confusion matrices added up, `[true class][predicted class]`.
    pub fn pooled(&self) -> Vec<Vec<u64>> {
        let matrices = self.folds.iter().map(|fold| rows(&fold.confusion));
        sum(self.classes.len(), matrices)
    }

    /// The published result for the same classes.
    pub fn published(&self) -> Option<Published> {
        let are_single = self.classes.len() == self.benchmark.emotions().len();
        published(self.benchmark, self.protocol).filter(|_| are_single)
    }
}

impl Serialize for FoldedResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Summary<'a> {
            benchmark: Benchmark,
            protocol: Protocol,
            classes: &'a [String],
            skipped: usize,
            uar: Option<MeanDeviation>,
            war: Option<MeanDeviation>,
            published: Option<Published>,
            folds: &'a [FoldScores],
        }
        Summary {
            benchmark: self.benchmark,
            protocol: self.protocol,
            classes: &self.classes,
            skipped: self.skipped,
            uar: self.uar(),
            war: self.war(),
            published: self.published(),
            folds: &self.folds,
        }
        .serialize(serializer)
    }
}

/// The test on a class that a fold's model was trained without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutScores {
    fold: usize,
    class: usize,
    /// How often each class was predicted.
    predicted: Vec<u64>,
}

impl LeftOutScores {
    /// Counts the predictions `[N]`, below `classes`, for clips that all are of `class`.
    ///
    /// # Errors
    /// No predictions, an index that is not below `classes`.
    pub fn new(
        fold: usize,
        class: usize,
        predicted: &[usize],
        classes: usize,
    ) -> Result<Self, MetricError> {
        let confusion = ConfusionMatrix::new(&vec![class; predicted.len()], predicted, classes)?;
        let row = rows(&confusion).swap_remove(class);
        Ok(Self {
            fold,
            class,
            predicted: row,
        })
    }

    /// The fold's number, from 1.
    pub fn fold(&self) -> usize {
        self.fold
    }

    /// The class that was left out of the training.
    pub fn class(&self) -> usize {
        self.class
    }

    /// Clips of the class.
    pub fn clips(&self) -> u64 {
        self.predicted.iter().sum()
    }

    /// Share of the clips that were read as the class.
    pub fn recall(&self) -> f64 {
        let right = self.predicted.get(self.class).copied().unwrap_or(0);
        right as f64 / self.clips() as f64
    }
}

/// The leave-one-class-out protocol: for each class a model trained without it, tested on it
/// against the descriptions of all classes.
#[derive(Clone, Debug)]
pub struct LeftOutResult {
    /// The benchmark.
    pub benchmark: Benchmark,
    /// The classes' names.
    pub classes: Vec<String>,
    /// The tests, in any order.
    pub scores: Vec<LeftOutScores>,
    /// Rows of the benchmark's tables that were left out, over all folds.
    pub skipped: usize,
}

impl LeftOutResult {
    /// Mean recall of a left-out class over the folds; `None` if it wasn't tested.
    pub fn recall(&self, class: usize) -> Option<MeanDeviation> {
        let of_class = self.scores.iter().filter(|scores| scores.class == class);
        MeanDeviation::of(&of_class.map(LeftOutScores::recall).collect::<Vec<f64>>())
    }

    /// Mean over the classes tested of their mean recalls: the UAR on classes never seen.
    pub fn mean_recall(&self) -> Option<f64> {
        let recalls: Vec<f64> = (0..self.classes.len())
            .filter_map(|class| Some(self.recall(class)?.mean))
            .collect();
        Some(MeanDeviation::of(&recalls)?.mean)
    }

    /// What the clips of each left-out class were read as, over all folds: `[class][predicted]`.
    pub fn pooled(&self) -> Vec<Vec<u64>> {
        let classes = self.classes.len();
        let matrices = self.scores.iter().map(|scores| {
            let mut matrix = vec![Vec::new(); classes];
            if let Some(row) = matrix.get_mut(scores.class) {
                row.clone_from(&scores.predicted);
            }
            matrix
        });
        sum(classes, matrices)
    }
}

impl Serialize for LeftOutResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Class<'a> {
            class: &'a str,
            recall: Option<MeanDeviation>,
        }
        #[derive(Serialize)]
        struct Summary<'a> {
            benchmark: Benchmark,
            mean_recall: Option<f64>,
            skipped: usize,
            classes: Vec<Class<'a>>,
            confusion: Vec<Vec<u64>>,
        }
        let classes = self.classes.iter().enumerate();
        Summary {
            benchmark: self.benchmark,
            mean_recall: self.mean_recall(),
            skipped: self.skipped,
            classes: classes
                .map(|(index, class)| Class {
                    class,
                    recall: self.recall(index),
                })
                .collect(),
            confusion: self.pooled(),
        }
        .serialize(serializer)
    }
}

/// Errors and correlations of predicted scores, as EmoCLIP reports them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RegressionScores {
    /// Pearson's correlation, as EmoCLIP's code computes it.
    pub pcc: f64,
    /// Concordance correlation, as EmoCLIP's code computes it.
    pub ccc: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Root of the mean squared error.
    pub rmse: f64,
}

impl RegressionScores {
    /// Compares `predicted` with `truth`, both `[N]`.
    ///
    /// # Errors
    /// No samples, different lengths, a value that is not finite.
    pub fn new(truth: &[f64], predicted: &[f64]) -> Result<Self, MetricError> {
        Ok(Self {
            pcc: emoclip_pearson(truth, predicted)?,
            ccc: emoclip_concordance(truth, predicted)?,
            mae: mean_absolute_error(truth, predicted)?,
            rmse: root_mean_squared_error(truth, predicted)?,
        })
    }
}

/// One predicted score in one fold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegressionRow {
    /// Name of the score, e.g. of a symptom.
    pub target: String,
    /// The fold's number, from 1.
    pub fold: usize,
    /// Clips tested on.
    pub clips: usize,
    /// How well it was predicted.
    pub scores: RegressionScores,
}

/// A downstream regression on all its folds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RegressionResult {
    /// Name of the dataset.
    pub dataset: String,
    /// The tests, by target and fold.
    pub rows: Vec<RegressionRow>,
}

impl RegressionResult {
    /// The targets in the order in which they first stand.
    pub fn targets(&self) -> Vec<&str> {
        let mut targets: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !targets.contains(&row.target.as_str()) {
                targets.push(&row.target);
            }
        }
        targets
    }

    /// Mean scores of a target over its folds; `None` if there is no such target.
    pub fn mean(&self, target: &str) -> Option<RegressionScores> {
        let of_target = || self.rows.iter().filter(|row| row.target == target);
        let mean = |score: fn(&RegressionScores) -> f64| {
            let values: Vec<f64> = of_target().map(|row| score(&row.scores)).collect();
            Some(MeanDeviation::of(&values)?.mean)
        };
        Some(RegressionScores {
            pcc: mean(|scores| scores.pcc)?,
            ccc: mean(|scores| scores.ccc)?,
            mae: mean(|scores| scores.mae)?,
            rmse: mean(|scores| scores.rmse)?,
        })
    }
}

/// A matrix as a list of its rows.
pub(crate) fn rows(confusion: &ConfusionMatrix) -> Vec<Vec<u64>> {
    let counts = confusion.counts().chunks(confusion.classes().max(1));
    counts.map(<[u64]>::to_vec).collect()
}

/// The sum of matrices of `classes` rows and columns; what a matrix lacks counts as 0.
fn sum(classes: usize, matrices: impl Iterator<Item = Vec<Vec<u64>>>) -> Vec<Vec<u64>> {
    let mut total = vec![vec![0; classes]; classes];
    for matrix in matrices {
        for (row, counts) in total.iter_mut().zip(matrix) {
            for (total, count) in row.iter_mut().zip(counts) {
                *total += count;
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn folded(folds: Vec<FoldScores>) -> FoldedResult {
        FoldedResult {
            benchmark: Benchmark::Mafw,
            protocol: Protocol::ZeroShot,
            classes: Benchmark::Mafw.emotions().iter().map(|one| (*one).to_owned()).collect(),
            folds,
            skipped: 0,
        }
    }

    #[test]
    fn folds_are_averaged_as_scores_and_pooled_as_counts() {
        // Fold 1: recalls 1 and 1/2 of two classes, 3 of 4 right. Fold 2: all wrong.
        let result = folded(vec![
            FoldScores::new(1, &[0, 0, 1, 1], &[0, 0, 1, 0], 11).unwrap(),
            FoldScores::new(2, &[0, 1], &[1, 0], 11).unwrap(),
        ]);
        let uar = result.uar().unwrap();
        assert!((uar.mean - 0.375).abs() < 1e-15);
        // Two values 0.75 and 0 deviate by 0.75/√2.
        assert!((uar.deviation.unwrap() - 0.75 / 2.0_f64.sqrt()).abs() < 1e-15);
        assert!((result.war().unwrap().mean - 0.375).abs() < 1e-15);
        let pooled = result.pooled();
        assert_eq!((pooled[0][0], pooled[0][1], pooled[1][0], pooled[1][1]), (2, 1, 2, 1));
        assert_eq!(pooled.iter().flatten().sum::<u64>(), 6);
    }

    #[test]
    fn one_fold_has_no_deviation_and_none_no_mean() {
        assert_eq!(MeanDeviation::of(&[0.25]).unwrap().deviation, None);
        assert_eq!(MeanDeviation::of(&[]), None);
        assert_eq!(folded(Vec::new()).uar(), None);
    }

    #[test]
    fn only_what_has_a_source_stands_beside_a_result() {
        let mut result = folded(Vec::new());
        let beside = result.published().unwrap();
        assert_eq!((beside.uar, beside.war), (0.2586, 0.3349));
        for benchmark in [Benchmark::Dfew, Benchmark::Ferv39k, Benchmark::Afew] {
            assert_eq!(published(benchmark, Protocol::ZeroShot), None);
        }
        assert_eq!(published(Benchmark::Mafw, Protocol::Supervised), None);
        // The 43 classes with combinations are another task.
        result.classes.push("fear_surprise".to_owned());
        assert_eq!(result.published(), None);
    }

    #[test]
    fn left_out_classes_are_averaged_over_folds_then_over_classes() {
        let result = LeftOutResult {
            benchmark: Benchmark::Afew,
            classes: names(&["a", "b", "c"]),
            scores: vec![
                LeftOutScores::new(1, 0, &[0, 0, 1, 1], 3).unwrap(),
                LeftOutScores::new(2, 0, &[0], 3).unwrap(),
                LeftOutScores::new(1, 2, &[1], 3).unwrap(),
            ],
            skipped: 0,
        };
        assert_eq!(result.recall(0).unwrap().mean, 0.75);
        assert_eq!(result.recall(1), None);
        assert_eq!(result.mean_recall(), Some(0.375));
        assert_eq!(result.pooled(), [[3, 2, 0], [0, 0, 0], [0, 1, 0]]);
        assert!(LeftOutScores::new(1, 3, &[0], 3).is_err());
        assert!(LeftOutScores::new(1, 0, &[], 3).is_err());
    }

    #[test]
    fn regression_scores_are_averaged_by_target() {
        let row = |target: &str, fold, predicted: [f64; 2]| RegressionRow {
            target: target.to_owned(),
            fold,
            clips: 2,
            scores: RegressionScores::new(&[1.0, 3.0], &predicted).unwrap(),
        };
        let result = RegressionResult {
            dataset: "d".to_owned(),
            rows: vec![
                row("flatness", 1, [1.0, 3.0]),
                row("alogia", 1, [0.0, 0.0]),
                row("flatness", 2, [2.0, 5.0]),
            ],
        };
        assert_eq!(result.targets(), ["flatness", "alogia"]);
        let mean = result.mean("flatness").unwrap();
        // Errors 0 and 0, then 1 and 2.
        assert!((mean.mae - 0.75).abs() < 1e-15);
        assert!((mean.rmse - 2.5_f64.sqrt() / 2.0).abs() < 1e-15);
        assert_eq!(result.mean("none"), None);
        assert_eq!(result.mean("alogia").unwrap().pcc, 0.0);
    }

    #[test]
    fn results_serialise_with_means_and_matrices() {
        let result = folded(vec![FoldScores::new(1, &[0, 1], &[0, 0], 11).unwrap()]);
        let json = serde_json::to_value(&result).unwrap();
        assert_eq!(json["benchmark"], "mafw");
        assert_eq!(json["protocol"], "zero-shot");
        assert_eq!(json["uar"]["mean"], 0.5);
        assert!(json["uar"]["deviation"].is_null());
        assert_eq!(json["folds"][0]["confusion"][1][0], 1);
        assert_eq!(json["published"]["war"], 0.3349);
    }
}
