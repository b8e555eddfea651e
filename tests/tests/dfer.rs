//! The facial-expression protocols from a benchmark's folder to the report, on miniatures.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use emotionclip::emoclip::{ClipWindow, EmoClip, EmoClipConfig, Window, default_preprocess};
use emotionclip::model::l2_normalize;
use emotionclip::preprocess::Crops;
use emotionclip::pretrained::token_tensor;
use emotionclip::tokenizer::{ClipTokenizer, TokenizerConfig, Truncation};
use emotionclip::zero_shot::{LabelSet, ZeroShot};
use emotionclip::{Clip, Emotion, Pretrained};
use emotionclip_data::dfer::fixtures::{self, FixtureOptions, Layout};
use emotionclip_data::dfer::{
    Benchmark, DferDataset, DferOptions, DferSample, LabelKind, descriptions,
};
use emotionclip_data::synthetic::label_texts;
use emotionclip_eval::folds::{FoldScores, FoldedResult, LeftOutResult, LeftOutScores, Protocol};
use emotionclip_eval::report::FoldReport;
use image::RgbImage;

/// An EmoCLIP with fresh weights and everything to read clips with.
struct Reader {
    model: EmoClip,
    tokenizer: ClipTokenizer,
    window: ClipWindow,
}

impl Reader {
    fn new() -> Self {
        let mut config = EmoClipConfig::nano();
        config.vision.layers = 1;
        config.text.layers = 1;
        let tokenizer = TokenizerConfig {
            merges: Some(config.text.merges()),
            context_length: config.text.context_length,
            ..TokenizerConfig::default()
        };
        Self {
            window: ClipWindow {
                downsample: 2,
                frames: config.temporal.frames,
                window: Window::Centre,
            },
            model: config.init(&Device::flex()).unwrap(),
            tokenizer: ClipTokenizer::new(tokenizer).unwrap(),
        }
    }

    fn frames(&self, sample: &DferSample) -> Vec<RgbImage> {
        let clip = sample.frames().unwrap();
        let draw = |_| panic!("a centred window draws nothing");
        let indices = self.window.indices(clip.count(), draw).unwrap();
        clip.read(&indices).unwrap()
    }

    /// One unit vector a class: the mean of its texts'.
    fn classes(&self, labels: &LabelSet) -> Tensor<2> {
        let class = |texts: &Vec<String>| {
            let rows = self.tokenizer.encode_batch(texts, Truncation::KeepEot);
            let tokens = token_tensor(&rows, &Device::flex());
            l2_normalize(self.model.encode_text(tokens)).mean_dim(0)
        };
        let classes = labels.labels().iter().map(|label| class(&label.texts));
        l2_normalize(Tensor::cat(classes.collect(), 0))
    }

    fn predict(&self, samples: &[DferSample], classes: &Tensor<2>) -> Vec<usize> {
        let preprocess = default_preprocess(self.model.config());
        let mut values = Vec::new();
        let (mut time, mut size) = (0, 0);
        for sample in samples {
            let clip = Clip::whole(self.frames(sample));
            let prepared = preprocess.clip(&clip, &Crops::Centre).unwrap();
            (time, size) = (prepared.frame_count, prepared.size);
            values.extend(prepared.frames);
        }
        let frames = TensorData::new(values, [samples.len(), time, 3, size, size]);
        let frames = Tensor::<5>::from_data(frames, &Device::flex());
        let video = l2_normalize(self.model.encode_video(frames));
        best(video.matmul(classes.clone().transpose()))
    }
}

fn best(similarities: Tensor<2>) -> Vec<usize> {
    let best = similarities.argmax(1).try_into_vec_as::<i64>().unwrap();
    best.into_iter().map(|index| index as usize).collect()
}

fn truth(samples: &[DferSample]) -> Vec<usize> {
    samples.iter().map(|sample| sample.label).collect()
}

fn miniature(benchmark: Benchmark, folder: &Path) -> DferDataset {
    let options = FixtureOptions {
        layout: Layout::Published,
        ..FixtureOptions::default()
    };
    fixtures::write(benchmark, folder, &options).unwrap();
    DferDataset::open(benchmark, folder, &DferOptions::default()).unwrap()
}

fn zero_shot(reader: &Reader, dataset: &DferDataset) -> FoldedResult {
    let classes = reader.classes(&dataset.descriptions().unwrap());
    let test = |fold: &emotionclip_data::dfer::Fold| {
        let predicted = reader.predict(&fold.test, &classes);
        let count = dataset.classes().len();
        FoldScores::new(fold.number, &truth(&fold.test), &predicted, count).unwrap()
    };
    FoldedResult {
        benchmark: dataset.benchmark(),
        protocol: Protocol::ZeroShot,
        classes: dataset.classes().to_vec(),
        folds: dataset.folds().iter().map(test).collect(),
        skipped: dataset.folds().iter().map(|fold| fold.skipped.len()).sum(),
    }
}

#[test]
fn every_benchmark_goes_from_its_folder_to_one_report() {
    let reader = Reader::new();
    let mut report = FoldReport {
        title: "Fresh weights on miniatures".to_owned(),
        ..FoldReport::default()
    };
    for benchmark in Benchmark::ALL {
        let folder = tempfile::tempdir().unwrap();
        let dataset = miniature(benchmark, folder.path());
        let result = zero_shot(&reader, &dataset);
        assert_eq!(result.folds.len(), benchmark.folds());
        // Every fold tests one clip of each class.
        let classes = dataset.classes().len() as u64;
        let tested: u64 = result.pooled().iter().flatten().sum();
        assert_eq!(tested, classes * benchmark.folds() as u64);
        for row in result.pooled() {
            assert_eq!(row.iter().sum::<u64>(), benchmark.folds() as u64);
        }
        report.results.push(result);
    }
    let html = report.to_html();
    for benchmark in Benchmark::ALL {
        let section = format!("<section id=\"{}-zero-shot\"", benchmark.slug());
        assert!(html.contains(&section), "{section}");
    }
    // Published figures stand beside MAFW alone.
    assert_eq!(html.matches("25.86").count(), 1);
    assert_eq!(html.matches("No published figures").count(), 3);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["results"][1]["folds"][4]["fold"], 5);
}

#[test]
fn classes_left_out_are_read_against_all_descriptions() {
    let reader = Reader::new();
    let folder = tempfile::tempdir().unwrap();
    let dataset = miniature(Benchmark::Afew, folder.path());
    let classes = reader.classes(&dataset.descriptions().unwrap());
    let count = dataset.classes().len();
    let fold = &dataset.folds()[0];
    let all = reader.predict(&fold.test, &classes);
    let whole = FoldScores::new(1, &truth(&fold.test), &all, count).unwrap();
    let scores = (0..count).map(|class| {
        let unseen = fold.leave_out(class);
        assert_eq!(unseen.train.len(), fold.train.len() / count * (count - 1));
        let predicted = reader.predict(&unseen.test, &classes);
        LeftOutScores::new(fold.number, class, &predicted, count).unwrap()
    });
    let result = LeftOutResult {
        benchmark: Benchmark::Afew,
        classes: dataset.classes().to_vec(),
        scores: scores.collect(),
        skipped: 0,
    };
    // The model is the same for every class here, so the recalls are those of one test.
    for class in 0..count {
        let recall = result.recall(class).unwrap().mean;
        assert_eq!(Some(recall), whole.confusion().recall(class));
    }
}

#[test]
fn combined_emotions_are_a_task_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    fixtures::write(Benchmark::Mafw, folder.path(), &FixtureOptions::default()).unwrap();
    let options = DferOptions {
        labels: LabelKind::Compound,
        folds: vec![1],
        ..DferOptions::default()
    };
    let dataset = DferDataset::open(Benchmark::Mafw, folder.path(), &options).unwrap();
    let result = zero_shot(&Reader::new(), &dataset);
    assert_eq!(result.folds[0].confusion().classes(), 13);
    assert_eq!(result.published(), None);
}

/// The miniatures' clips show what their tables say, told apart by weights that know the figures.
#[test]
fn a_model_that_knows_the_figures_reads_the_miniature() {
    let weights = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../crates/trainer/assets/nano.safetensors"
    );
    let bytes = std::fs::read(weights).expect("the built-in weights are committed");
    let pretrained = Pretrained::from_bytes(bytes, "nano.safetensors", &Device::flex()).unwrap();
    let frames = pretrained.model.config().temporal.frames;
    let folder = tempfile::tempdir().unwrap();
    let options = FixtureOptions {
        frames,
        size: pretrained.preprocess.crop,
        ..FixtureOptions::default()
    };
    fixtures::write(Benchmark::Dfew, folder.path(), &options).unwrap();
    let dataset =
        DferDataset::open(Benchmark::Dfew, folder.path(), &DferOptions::default()).unwrap();

    let texts = label_texts().unwrap();
    let entries = dataset.classes().iter().map(|class| {
        let name = if class == "happiness" { "joy" } else { class };
        let emotion: Emotion = name.parse().unwrap();
        (class.clone(), texts[emotion.index()].clone())
    });
    let classifier = ZeroShot::new(&pretrained, &LabelSet::new(entries.collect()).unwrap());
    let indices: Vec<usize> = (0..frames).collect();
    let folds = dataset.folds().iter().map(|fold| {
        let read =
            |sample: &DferSample| Clip::whole(sample.frames().unwrap().read(&indices).unwrap());
        let clips: Vec<Clip> = fold.test.iter().map(read).collect();
        let predicted = best(classifier.similarities(pretrained.embed_clips(&clips).unwrap()));
        FoldScores::new(fold.number, &truth(&fold.test), &predicted, 7).unwrap()
    });
    let result = FoldedResult {
        benchmark: Benchmark::Dfew,
        protocol: Protocol::ZeroShot,
        classes: dataset.classes().to_vec(),
        folds: folds.collect(),
        skipped: 0,
    };
    let uar = result.uar().unwrap().mean;
    // By chance 1/7 of 35 clips, with a standard error of 5.9 points. Three of these above.
    assert!(uar > 0.143 + 3.0 * 0.059, "UAR {uar}");
}

#[test]
fn every_description_fits_into_clips_context() {
    let tokenizer = ClipTokenizer::new(TokenizerConfig::default()).unwrap();
    for benchmark in Benchmark::ALL {
        for label in descriptions(benchmark).unwrap().labels() {
            for text in &label.texts {
                let ids = tokenizer.tokenize(text).len() + 2;
                assert!(ids <= 77, "{benchmark}: {ids} ids in '{text}'");
            }
        }
    }
}
