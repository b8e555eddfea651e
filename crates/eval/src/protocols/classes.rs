//! Probes of classes: one-vs-rest and multinomial.

use emotionclip::probe::{Features, LinearHead, LogisticRegression, l2_normalised};

use super::outcome::{ClassScore, Metric, PartConfusion, ProtocolOutcome};
use super::{ProtocolError, ProtocolPart};
use crate::metrics::{ConfusionMatrix, macro_average_precision, macro_roc_auc, top1_hit_rate};

impl ProtocolOutcome {
    /// A binary probe for each class.
    pub(super) fn fit_one_vs_rest(
        &mut self,
        train: &ProtocolPart<'_>,
        c: f64,
    ) -> Result<LinearHead, ProtocolError> {
        let classes = self.dataset.classes();
        let values = l2_normalised(train.features);
        let features = Features::new(&values, train.features.width())?;
        let flags = train.flags(classes.len());
        let fit = LogisticRegression::new(c).fit_one_vs_rest(features, &flags, classes.len())?;
        self.keep("classes", fit, classes)
    }

    /// One softmax over the classes.
    pub(super) fn fit_multinomial(
        &mut self,
        train: &ProtocolPart<'_>,
        c: f64,
    ) -> Result<LinearHead, ProtocolError> {
        let classes = self.dataset.classes();
        let values = l2_normalised(train.features);
        let features = Features::new(&values, train.features.width())?;
        let labels = train.single_labels();
        let fit = LogisticRegression::new(c).fit_multinomial(features, &labels, classes.len())?;
        self.keep("classes", fit, classes)
    }

    /// Macro mAP and AUC, and each class's own.
    pub(super) fn rank_classes(
        &mut self,
        probe: &LinearHead,
        held_out: &[ProtocolPart<'_>],
    ) -> Result<(), ProtocolError> {
        let names = self.dataset.classes();
        for part in held_out {
            let truth = part.flags(names.len());
            let scores = probe.predict(part.features)?;
            let precision = macro_average_precision(&truth, &scores, names.len())?;
            let area = macro_roc_auc(&truth, &scores, names.len())?;
            self.report(part.split, Metric::MacroMap, precision.mean);
            self.report(part.split, Metric::MacroAuc, area.mean);
            let per_class = precision.per_class.iter().zip(&area.per_class);
            for ((class, name), (precision, area)) in names.iter().enumerate().zip(per_class) {
                let of_class = truth.iter().skip(class).step_by(names.len());
                self.classes.push(ClassScore {
                    part: part.split,
                    class: name,
                    positives: of_class.filter(|flag| **flag).count(),
                    average_precision: precision.unwrap_or_default(),
                    roc_auc: *area,
                });
            }
            for class in area.undefined {
                let name = names.get(class).copied().unwrap_or_default();
                let how = if precision.undefined.contains(&class) {
                    "no sample has it: its AP counts as 0"
                } else {
                    "every sample has it"
                };
                let part = part_text(part);
                self.warnings.push(format!(
                    "{name}: in the {part} part {how}, and it is left out of the AUC's mean"
                ));
            }
        }
        Ok(())
    }

    /// Share of samples whose most probable class is among their labels.
    pub(super) fn hit_labels(
        &mut self,
        probe: &LinearHead,
        held_out: &[ProtocolPart<'_>],
    ) -> Result<(), ProtocolError> {
        let classes = self.dataset.classes().len();
        for part in held_out {
            let scores = probe.predict(part.features)?;
            let rate = top1_hit_rate(&part.flags(classes), &scores, classes)?;
            self.report(part.split, Metric::Top1HitRate, rate);
            let unlabelled = part
                .labels
                .iter()
                .filter(|labels| labels.is_empty())
                .count();
            if unlabelled > 0 {
                let part = part_text(part);
                self.warnings.push(format!(
                    "{unlabelled} samples of the {part} part have no label and count as misses"
                ));
            }
        }
        Ok(())
    }

    /// Accuracy and weighted F1 of single labels.
    pub(super) fn classify(
        &mut self,
        probe: &LinearHead,
        held_out: &[ProtocolPart<'_>],
    ) -> Result<(), ProtocolError> {
        let classes = self.dataset.classes().len();
        for part in held_out {
            let scores = probe.predict(part.features)?;
            let predicted: Vec<usize> = scores.chunks_exact(classes).map(first_largest).collect();
            let matrix = ConfusionMatrix::new(&part.single_labels(), &predicted, classes)?;
            self.report(part.split, Metric::Accuracy, matrix.accuracy());
            self.report(part.split, Metric::WeightedF1, matrix.weighted_f1());
            self.confusions.push(PartConfusion {
                part: part.split,
                matrix,
            });
        }
        Ok(())
    }
}

/// Index of the largest value, the first of equals, as NumPy's argmax.
fn first_largest(row: &[f64]) -> usize {
    let better = |best: (usize, f64), (index, &value): (usize, &f64)| {
        if value > best.1 { (index, value) } else { best }
    };
    row.iter()
        .enumerate()
        .fold((0, f64::NEG_INFINITY), better)
        .0
}

fn part_text(part: &ProtocolPart<'_>) -> &'static str {
    super::outcome::split_text(part.split)
}
