//! What is measured on a variant: the same scenes for all of them, whatever they were trained on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Tensor;
use emotionclip::probe::{Features, LogisticRegression};
use emotionclip::{Clip, Emotion, Pretrained};
use emotionclip_data::faces::{Augmentation, FaceConfig};
use emotionclip_data::pairs::PairedCorpus;
use emotionclip_data::synthetic::{FigureCount, LabelTexts, Split};
use emotionclip_eval::metrics::{ConfusionMatrix, macro_average_precision};
use emotionclip_eval::report::{AblationScores, PeopleScore};

use crate::context::Context;
use crate::models::read_back;
use crate::pretrain::{CorpusConfig, RunConfig, Source, corpus_labels, emotion_labels};

/// Inverse regularisation of the probe, as for the seven emotions of MELD in the release.
const PROBE_C: f64 = 8.0;

/// Clips embedded at once; bounds memory.
const BATCH: usize = 50;

/// The stop that Ctrl-C asks for while nothing is lost by it.
#[derive(Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("interrupted while measuring")
    }
}

impl std::error::Error for Interrupted {}

/// Scenes drawn once and shown to every variant.
#[derive(Debug)]
pub struct Scenes {
    clips: Vec<Clip>,
    emotions: Vec<Emotion>,
    /// People in each scene.
    people: Vec<usize>,
}

impl Scenes {
    fn draw(corpus: &dyn PairedCorpus, count: usize, tick: &dyn Fn()) -> anyhow::Result<Self> {
        let mut scenes = Self {
            clips: Vec::with_capacity(count),
            emotions: Vec::with_capacity(count),
            people: Vec::with_capacity(count),
        };
        for index in 0..count as u64 {
            let pair = corpus.pair(index)?;
            scenes.people.push(pair.others.len() + 1);
            scenes.emotions.push(pair.emotion);
            scenes.clips.push(pair.clip);
            tick();
        }
        Ok(scenes)
    }

    fn labels(&self) -> Vec<usize> {
        self.emotions
            .iter()
            .map(|emotion| emotion.index())
            .collect()
    }
}

/// What all variants are measured on.
#[derive(Debug)]
pub struct Bench {
    scenes: Scenes,
    /// Training scenes of the linear probe.
    probe_scenes: Scenes,
    texts: &'static LabelTexts,
}

impl Bench {
    /// Draws `count` scenes of a split with every number of people, and `probe_count` training
    /// scenes that no variant was trained on.
    ///
    /// # Errors
    ///
    /// Bad input if the corpus can't be used.
    pub fn draw(
        recipe: &RunConfig,
        split: Split,
        [count, probe_count]: [usize; 2],
        context: &Context,
    ) -> anyhow::Result<Self> {
        let mut config = recipe.clone();
        *config.corpus.seed_mut() = FaceConfig::EVALUATION_SEED;
        if let CorpusConfig::Faces { augmentation, .. } = &mut config.corpus {
            *augmentation = Augmentation::NONE;
        }
        let bar = context.progress((count + probe_count) as u64, "scenes");
        let draw = |split: Split, count: usize| -> anyhow::Result<Scenes> {
            let corpus = Source::open(&config, split)?.stream(FigureCount::Mixed)?;
            Scenes::draw(corpus.as_ref(), count, &|| bar.inc(1))
        };
        let bench = Self {
            scenes: draw(split, count)?,
            probe_scenes: draw(Split::Train, probe_count)?,
            texts: corpus_labels(&config.corpus)?,
        };
        bar.finish_and_clear();
        Ok(bench)
    }

    /// Accuracy of a reader who sees what everybody shows but not who the subject is.
    pub fn subject_blind(&self) -> f64 {
        let shares = self.scenes.people.iter().map(|people| 1.0 / *people as f64);
        shares.sum::<f64>() / self.scenes.people.len().max(1) as f64
    }

    /// The most people in a scene.
    pub fn most_people(&self) -> usize {
        self.scenes.people.iter().copied().max().unwrap_or(0)
    }

    /// Measures a model.
    ///
    /// # Errors
    ///
    /// [`Interrupted`], or a model whose embeddings aren't finite.
    pub fn measure(
        &self,
        pretrained: &Pretrained,
        context: &Context,
        interrupted: &AtomicBool,
    ) -> anyhow::Result<AblationScores> {
        let total = 2 * self.scenes.clips.len() + self.probe_scenes.clips.len();
        let bar = context.progress(total as u64, "measuring");
        let embed = |scenes: &Scenes, with_subject: bool| -> anyhow::Result<Tensor<2>> {
            let mut parts = Vec::new();
            for clips in scenes.clips.chunks(BATCH) {
                if interrupted.load(Ordering::SeqCst) {
                    bar.abandon();
                    return Err(anyhow::Error::new(Interrupted));
                }
                let clips = clips.iter().cloned().map(|clip| match with_subject {
                    true => clip,
                    false => clip.without_subject(),
                });
                let clips: Vec<Clip> = clips.collect();
                parts.push(pretrained.embed_clips(&clips)?);
                bar.inc(clips.len() as u64);
            }
            Ok(Tensor::cat(parts, 0))
        };
        let embeddings = embed(&self.scenes, true)?;
        let blind = embed(&self.scenes, false)?;
        let training = embed(&self.probe_scenes, true)?;
        bar.finish_and_clear();

        let labels = emotion_labels(pretrained, self.texts)?;
        let zero_shot = Readings::new(
            &self.scenes,
            in_double(labels.classify(embeddings.clone()))?,
        );
        let empty_mask = Readings::new(&self.scenes, in_double(labels.classify(blind))?);
        let probe = self.probe(training, embeddings)?;
        let probe = Readings::new(&self.scenes, probe);
        let zero_shot_confusion = zero_shot.confusion()?;
        let probe_confusion = probe.confusion()?;
        Ok(AblationScores {
            zero_shot: zero_shot_confusion.accuracy(),
            zero_shot_macro_f1: zero_shot_confusion.macro_f1(),
            zero_shot_map: zero_shot.mean_average_precision()?,
            empty_mask: empty_mask.confusion()?.accuracy(),
            probe: probe_confusion.accuracy(),
            probe_macro_f1: probe_confusion.macro_f1(),
            probe_map: probe.mean_average_precision()?,
            by_people: by_people(&self.scenes, &zero_shot, &probe),
        })
    }

    /// Probabilities of a logistic regression on the embeddings of the probe's scenes.
    fn probe(&self, training: Tensor<2>, test: Tensor<2>) -> anyhow::Result<Vec<f64>> {
        let [_, width] = training.dims();
        let (training, test) = (read_back(training)?, read_back(test)?);
        let fit = LogisticRegression::new(PROBE_C).fit_multinomial(
            Features::new(&training, width)?,
            &self.probe_scenes.labels(),
            Emotion::COUNT,
        )?;
        for warning in &fit.warnings {
            tracing::warn!("probe: {warning}");
        }
        let names = Emotion::ALL.map(|emotion| emotion.name().to_owned());
        let head = fit.into_head(names.to_vec())?;
        Ok(head.predict(Features::new(&test, width)?)?)
    }
}

/// The values of a matrix in double precision.
fn in_double(values: Tensor<2>) -> anyhow::Result<Vec<f64>> {
    Ok(read_back(values)?.into_iter().map(f64::from).collect())
}

/// Truth and probabilities of every scene.
struct Readings {
    truth: Vec<usize>,
    predicted: Vec<usize>,
    /// `[N, 7]`.
    probabilities: Vec<f64>,
}

impl Readings {
    fn new(scenes: &Scenes, probabilities: Vec<f64>) -> Self {
        let rows = probabilities.chunks_exact(Emotion::COUNT);
        let highest = |row: &[f64]| {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            best.map_or(0, |(index, _)| index)
        };
        Self {
            truth: scenes.labels(),
            predicted: rows.map(highest).collect(),
            probabilities,
        }
    }

    fn confusion(&self) -> anyhow::Result<ConfusionMatrix> {
        Ok(ConfusionMatrix::new(
            &self.truth,
            &self.predicted,
            Emotion::COUNT,
        )?)
    }

    /// Mean over the emotions of the average precision of its probability.
    fn mean_average_precision(&self) -> anyhow::Result<f64> {
        let truth: Vec<bool> = self
            .truth
            .iter()
            .flat_map(|truth| (0..Emotion::COUNT).map(move |class| class == *truth))
            .collect();
        Ok(macro_average_precision(&truth, &self.probabilities, Emotion::COUNT)?.mean)
    }

    fn is_right(&self, scene: usize) -> bool {
        self.truth[scene] == self.predicted[scene]
    }
}

fn by_people(scenes: &Scenes, zero_shot: &Readings, probe: &Readings) -> Vec<PeopleScore> {
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (scene, people) in scenes.people.iter().enumerate() {
        groups.entry(*people).or_default().push(scene);
    }
    let score = |(people, group): (usize, Vec<usize>)| {
        let share = |readings: &Readings| {
            let right = group.iter().filter(|scene| readings.is_right(**scene));
            right.count() as f64 / group.len() as f64
        };
        PeopleScore {
            people,
            scenes: group.len(),
            zero_shot: share(zero_shot),
            probe: share(probe),
        }
    };
    groups.into_iter().map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_counted_over_scenes_and_by_people() {
        let scenes = Scenes {
            clips: Vec::new(),
            emotions: vec![Emotion::Anger, Emotion::Joy, Emotion::Joy, Emotion::Fear],
            people: vec![1, 4, 4, 1],
        };
        // Each row's highest: anger, joy, anger, fear.
        let mut rows = vec![0.1; 4 * Emotion::COUNT];
        for (scene, best) in [0, Emotion::Joy.index(), 0, Emotion::Fear.index()]
            .into_iter()
            .enumerate()
        {
            rows[scene * Emotion::COUNT + best] = 0.4;
        }
        let readings = Readings::new(&scenes, rows);
        assert_eq!(readings.confusion().unwrap().accuracy(), 0.75);
        let groups = by_people(&scenes, &readings, &readings);
        let found: Vec<_> = groups
            .iter()
            .map(|group| (group.people, group.scenes, group.zero_shot))
            .collect();
        assert_eq!(found, [(1, 2, 1.0), (4, 2, 0.5)]);
        // Anger: its one scene ties with a wrong one, precision 1/2. Fear 1. Joy: the first of two
        // at the top, precision 1, the second with all four, 2/4: 0.75. The other four have none.
        let map = readings.mean_average_precision().unwrap();
        assert!((map - 2.25 / 7.0).abs() < 1e-12, "{map}");
    }
}
