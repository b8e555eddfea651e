//! What is measured on a trained model, all of it on scenes and utterances it has never met.

use std::time::Instant;

use burn::tensor::Tensor;
use emotionclip::probe::{Features, LogisticRegression};
use emotionclip::{Emotion, Pretrained};
use emotionclip_data::synthetic::{
    Appearance, FigureCount, Split, SyntheticCorpus, label_texts, utterances,
};

use crate::context::Context;
use crate::pretrain::{
    RunConfig, accuracy, argmax, classify, drawn, embed_corpus, emotion_labels, rows_of_seven,
};

/// Test scenes of two or three figures: 100 an emotion.
pub const TEST_CLIPS: usize = 700;
/// Training scenes of the probe.
const PROBE_CLIPS: usize = 1050;
/// Scenes for the probe on erased figures: its error must be well below 3 points.
const ERASED_CLIPS: usize = 1400;
/// Inverse regularisation of the probes, as for MELD in the release.
const PROBE_C: f64 = 8.0;

/// Scores of one model.
#[derive(Clone, Debug)]
pub struct Measurements {
    /// Zero-shot accuracy on unseen scenes of two or three figures.
    pub zero_shot: f64,
    /// Truth and similarities behind it.
    pub readings: Vec<(Emotion, [f32; 7])>,
    /// Linear probe on the same scenes.
    pub probe: f64,
    /// Share of scenes whose best unseen utterance is of the subject's emotion.
    pub unseen_utterance: f64,
    /// Zero-shot accuracy with neutral postures.
    pub face_only: f64,
    /// Zero-shot accuracy with neutral faces.
    pub posture_only: f64,
    /// Linear probe with all figures erased.
    pub erased_probe: f64,
    /// Zero-shot accuracy of the same model on the same scenes with an empty mask.
    pub empty_mask: f64,
    /// Name and seconds of each part.
    pub stages: Vec<(String, f64)>,
}

/// The test scenes: two or three figures, test figures, test utterances.
pub fn test_corpus(config: &RunConfig) -> anyhow::Result<SyntheticCorpus> {
    drawn(config, Split::Test, FigureCount::Multi)
}

/// Zero-shot accuracy alone.
pub fn zero_shot(
    pretrained: &Pretrained,
    config: &RunConfig,
    context: &Context,
) -> anyhow::Result<f64> {
    let bar = context.progress(TEST_CLIPS as u64, "zero-shot");
    let corpus = test_corpus(config)?;
    Ok(accuracy(&classify(
        pretrained,
        label_texts()?,
        &corpus,
        TEST_CLIPS,
        |done| bar.inc(done as u64),
    )?))
}

/// Everything.
pub fn all(
    pretrained: &Pretrained,
    config: &RunConfig,
    context: &Context,
) -> anyhow::Result<Measurements> {
    let corpus = test_corpus(config)?;
    let parts = 5 * TEST_CLIPS + PROBE_CLIPS + 2 * ERASED_CLIPS;
    let bar = context.progress(parts as u64, "measuring");
    let tick = |done: usize| bar.inc(done as u64);
    let mut stages = Vec::new();
    let mut timed = |name: &str, since: Instant| {
        stages.push((name.to_owned(), since.elapsed().as_secs_f64()));
    };

    let since = Instant::now();
    let embeddings = Tensor::cat(embed_corpus(pretrained, &corpus, TEST_CLIPS, tick)?, 0);
    let labels = emotion_labels(pretrained, label_texts()?)?;
    let scores = rows_of_seven(labels.similarities(embeddings.clone()))?;
    let truth: Vec<Emotion> = (0..TEST_CLIPS)
        .map(|index| corpus.scene(index as u64).emotion())
        .collect();
    let readings: Vec<_> = truth.iter().copied().zip(scores).collect();
    timed("zero-shot", since);

    let since = Instant::now();
    let unseen_utterance = retrieval(pretrained, embeddings.clone(), &truth)?;
    timed("unseen utterances", since);

    let since = Instant::now();
    let train = drawn(config, Split::Train, FigureCount::Multi)?;
    let train_embeddings = Tensor::cat(embed_corpus(pretrained, &train, PROBE_CLIPS, tick)?, 0);
    let train_truth = emotions(&train, PROBE_CLIPS);
    let probe = probe_accuracy(train_embeddings, &train_truth, embeddings, &truth)?;
    timed("linear probe", since);

    let since = Instant::now();
    let texts = label_texts()?;
    let variant = |appearance: Appearance| {
        let corpus = corpus.clone().with_appearance(appearance);
        let readings = classify(pretrained, texts, &corpus, TEST_CLIPS, tick);
        readings.map(|readings| accuracy(&readings))
    };
    let face_only = variant(Appearance::FACE_ONLY)?;
    let posture_only = variant(Appearance::POSTURE_ONLY)?;
    let empty_mask = accuracy(&without_subject(pretrained, &corpus, tick)?);
    timed("faces, postures and empty mask alone", since);

    let since = Instant::now();
    let erased_probe = erased(pretrained, &train, &corpus, tick)?;
    timed("probe on erased figures", since);
    bar.finish_and_clear();

    Ok(Measurements {
        zero_shot: accuracy(&readings),
        readings,
        probe,
        unseen_utterance,
        face_only,
        posture_only,
        erased_probe,
        empty_mask,
        stages,
    })
}

fn emotions(corpus: &SyntheticCorpus, count: usize) -> Vec<Emotion> {
    (0..count)
        .map(|index| corpus.scene(index as u64).emotion())
        .collect()
}

/// Share of clips whose nearest test utterance is of the subject's emotion.
fn retrieval(
    pretrained: &Pretrained,
    embeddings: Tensor<2>,
    truth: &[Emotion],
) -> anyhow::Result<f64> {
    let texts: Vec<(Emotion, &String)> = Emotion::ALL
        .into_iter()
        .flat_map(|emotion| {
            utterances(Split::Test, emotion)
                .iter()
                .map(move |text| (emotion, text))
        })
        .collect();
    let words: Vec<&String> = texts.iter().map(|(_, text)| *text).collect();
    let scores = embeddings.matmul(pretrained.embed_texts(&words).transpose());
    let nearest: Vec<i64> = scores.argmax(1).try_into_vec_as::<i64>()?;
    let right = nearest
        .iter()
        .zip(truth)
        .filter(|(index, truth)| {
            usize::try_from(**index)
                .ok()
                .and_then(|index| texts.get(index))
                .map(|found| found.0)
                == Some(**truth)
        })
        .count();
    Ok(right as f64 / truth.len().max(1) as f64)
}

fn without_subject(
    pretrained: &Pretrained,
    corpus: &SyntheticCorpus,
    tick: impl Fn(usize),
) -> anyhow::Result<Vec<(Emotion, [f32; 7])>> {
    let labels = emotion_labels(pretrained, label_texts()?)?;
    let mut readings = Vec::with_capacity(TEST_CLIPS);
    for index in 0..TEST_CLIPS as u64 {
        let sample = corpus.sample(index);
        let embedding = pretrained.embed_clips(&[sample.clip.without_subject()])?;
        let scores = rows_of_seven(labels.similarities(embedding))?;
        readings.extend(scores.into_iter().map(|scores| (sample.emotion, scores)));
        tick(1);
    }
    Ok(readings)
}

fn erased(
    pretrained: &Pretrained,
    train: &SyntheticCorpus,
    test: &SyntheticCorpus,
    tick: impl Fn(usize) + Copy,
) -> anyhow::Result<f64> {
    let mut parts = Vec::new();
    for corpus in [train, test] {
        let corpus = corpus.clone().with_appearance(Appearance::ERASED);
        let embeddings = embed_corpus(pretrained, &corpus, ERASED_CLIPS, tick)?;
        parts.push((Tensor::cat(embeddings, 0), emotions(&corpus, ERASED_CLIPS)));
    }
    let [(train, train_truth), (test, test_truth)] = &parts[..] else {
        anyhow::bail!("the erased scenes were not embedded");
    };
    probe_accuracy(train.clone(), train_truth, test.clone(), test_truth)
}

/// Accuracy of a multinomial logistic regression on unit embeddings.
fn probe_accuracy(
    train: Tensor<2>,
    train_truth: &[Emotion],
    test: Tensor<2>,
    test_truth: &[Emotion],
) -> anyhow::Result<f64> {
    let [_, width] = train.dims();
    let train: Vec<f32> = train.try_into_vec_as::<f32>()?;
    let test: Vec<f32> = test.try_into_vec_as::<f32>()?;
    let labels: Vec<usize> = train_truth.iter().map(|emotion| emotion.index()).collect();
    let fit = LogisticRegression::new(PROBE_C).fit_multinomial(
        Features::new(&train, width)?,
        &labels,
        Emotion::COUNT,
    )?;
    let names = Emotion::ALL
        .iter()
        .map(|emotion| emotion.name().to_owned())
        .collect();
    let probabilities = fit
        .into_head(names)?
        .predict(Features::new(&test, width)?)?;
    let right = probabilities
        .as_chunks::<{ Emotion::COUNT }>()
        .0
        .iter()
        .zip(test_truth)
        .filter(|(row, truth)| argmax(&row.map(|value| value as f32)) == **truth)
        .count();
    Ok(right as f64 / test_truth.len().max(1) as f64)
}
