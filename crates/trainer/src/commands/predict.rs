//! `predict`: readings of a picture, or of a video over time.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use emotionclip::probe::{Features, LinearHead};
use emotionclip::streaming::{StreamingEncoder, WarmUp};
use emotionclip::zero_shot::ZeroShot;
use emotionclip_data::decode::Media;
use emotionclip_eval::report::{
    ReadingFrame, ReadingsPage, SubjectBox, readings_html, readings_plot,
};
use serde::Serialize;

use super::classification::argmax;
use super::dataset::ViewArgs;
use super::zero_shot::{bars, probabilities};
use crate::context::{Context, write_atomically};
use crate::failure::{OrBadInput, bad_input};
use crate::inputs::files::read_file;
use crate::inputs::labels::LabelArgs;
use crate::inputs::subject::{Person, Subject, SubjectChoice};
use crate::models::{LoadedModel, ModelArgs, OpenedModel};

/// Frames shown on the page; each further one would halve their size.
const SHOWN_FRAMES: usize = 12;

const EXAMPLES: &str = "\
Examples:
  trainer predict face.png
  trainer predict talk.mp4 --subject box:120,40,380,460 --report talk.html
  trainer predict talk.mp4 --subject detect --labels 'calm,nervous' --plot talk.svg
  trainer predict talk.mp4 --subject detect:2 --out talk.csv
  trainer predict face.png --probe probe.safetensors --json

A video is read at --fps frames per second through the programs of FFmpeg, and the model sees a
sliding window of its own number of frames; before the window is full, the first frame stands in
for those that are missing.

--subject detect finds faces and follows the largest and most central one of the first frame that
shows any, detect:2 the second of the first frame that shows two; its head and shoulders are the
subject. Frames in which nobody is known to be there count as having no subject. --subject face does
the same and shows the model nothing but that face, which the built-in mini is used to.";

/// Options of `predict`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct PredictArgs {
    /// Picture, video or folder of frames
    #[arg(value_name = "FILE")]
    input: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    view: ViewArgs,
    /// Give a reading every so many frames
    #[arg(long, value_name = "FRAMES", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..))]
    stride: u32,
    /// A saved probe, whose outputs are added
    #[arg(long, value_name = "FILE")]
    probe: Option<PathBuf>,
    /// File for the readings: .json or .csv
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// SVG file for the plot of the readings
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// HTML page with plot, frames and numbers
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// One window's reading.
#[derive(Debug, Serialize)]
struct TimedReading {
    /// Seconds of the window's last frame.
    time: f64,
    probabilities: Vec<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<Vec<f64>>,
}

#[derive(Debug, Serialize)]
struct PredictResult<'a> {
    input: String,
    model: &'a str,
    subject: String,
    labels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_labels: Option<Vec<String>>,
    /// Mean over time.
    mean: Vec<f32>,
    label: String,
    frames: usize,
    readings: Vec<TimedReading>,
    /// With `--subject detect`: the subject in every frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    boxes: Option<Vec<FrameBoxes>>,
}

/// Where the subject was found.
#[derive(Debug, Serialize)]
struct FrameBoxes {
    /// Seconds of the frame.
    time: f64,
    /// Nobody before the subject is first found and when it is lost.
    person: Option<Person>,
    /// Left, top, right and bottom of what the model is told the subject is, in pixels.
    subject: Option<[f32; 4]>,
}

/// The embeddings of a stream.
struct Watched {
    times: Vec<f64>,
    /// `[times, E]`.
    embeddings: Vec<f32>,
    frames: usize,
    shown: Vec<ReadingFrame>,
    boxes: Option<Vec<FrameBoxes>>,
}

/// Runs the command.
///
/// # Errors
/// Bad input for a file, subject, labels, probe or model that can't be used; a failing device.
pub fn run(args: &PredictArgs, context: &Context) -> anyhow::Result<()> {
    let media = Media::open(&args.input).map_err(bad_input)?;
    let model = args.model.open(context)?;
    let probe = args.probe.as_deref().map(read_probe).transpose()?;
    let choice = choose_subject(args, probe.as_ref(), &model)?;
    let subject = Subject::read(&choice)?;
    let labels = args.labels.label_set(None, &model.label_texts()?)?;
    let format = args.out.as_deref().map(Format::of).transpose()?;
    let device = context.open_device()?;
    let model = model.load(&device.device)?;
    if let (Some(head), Some(path)) = (&probe, &args.probe) {
        check_probe(head, path, &model)?;
    }

    let watched = watch(args, context, &media, &subject, &model)?;
    let classifier = ZeroShot::new(&model.pretrained, &labels);
    let rows = probabilities(&classifier, &model, &watched.embeddings)?;
    let readings = join(&watched, rows, probe.as_ref(), &model)?;
    let names = classifier.names().to_vec();
    let mean = mean(&readings, names.len());
    let result = PredictResult {
        input: args.input.display().to_string(),
        model: &model.name,
        subject: choice.to_string(),
        label: names.get(argmax(&mean)).cloned().unwrap_or_default(),
        labels: names,
        probe_labels: probe.map(|head| head.labels().to_vec()),
        mean,
        frames: watched.frames,
        readings,
        boxes: watched.boxes,
    };
    write_outputs(args, &result, format, watched.shown, &device.name)?;
    context.finish(&result, &text(&result))
}

/// Runs the frames through the sliding window.
fn watch(
    args: &PredictArgs,
    context: &Context,
    media: &Media,
    subject: &Subject,
    model: &LoadedModel,
) -> anyhow::Result<Watched> {
    let preprocess = &model.pretrained.preprocess;
    let network = model.pretrained.model.clone();
    let mut stream = StreamingEncoder::new(network, preprocess.clone(), WarmUp::RepeatFirst);
    let name = media.path().display();
    let mut watched = Watched {
        times: Vec::new(),
        embeddings: Vec::new(),
        frames: 0,
        shown: Vec::new(),
        boxes: subject.is_detected().then(Vec::new),
    };
    let mut subjects = subject.follow(args.view.fps);
    // The number of frames shows only at the end, so the page's are thinned out on the way.
    let mut shown_every = 1;
    let bar = context.progress(0, "frames");
    for frame in media.frames(Some(args.view.fps)).map_err(bad_input)? {
        let frame = frame.map_err(bad_input)?;
        let sight = subjects.look(&name, frame.time, &frame.picture, preprocess)?;
        let embedding = stream
            .push_picture(
                sight.close_up.as_ref().unwrap_or(&frame.picture),
                &sight.mask,
            )
            .or_bad_input(&name)?;
        let index = watched.frames;
        watched.frames += 1;
        bar.inc(1);
        if let Some(embedding) = embedding
            && index.is_multiple_of(args.stride as usize)
        {
            watched.times.push(frame.time);
            watched.embeddings.extend(model.values(embedding)?);
        }
        if args.report.is_some() && index.is_multiple_of(shown_every) {
            if watched.shown.len() == SHOWN_FRAMES {
                let mut position = 0;
                watched.shown.retain(|_| {
                    position += 1;
                    position % 2 == 1
                });
                shown_every *= 2;
            }
            if index.is_multiple_of(shown_every) {
                watched.shown.push(ReadingFrame {
                    time: frame.time,
                    picture: frame.picture,
                    subject: sight.outline.map(|edges| SubjectBox {
                        left: edges.x1,
                        top: edges.y1,
                        right: edges.x2,
                        bottom: edges.y2,
                    }),
                });
            }
        }
        if let Some(boxes) = &mut watched.boxes {
            boxes.push(FrameBoxes {
                time: frame.time,
                person: sight.person,
                subject: sight
                    .outline
                    .map(|edges| [edges.x1, edges.y1, edges.x2, edges.y2]),
            });
        }
    }
    bar.finish_and_clear();
    subjects.finish(&name)?;
    Ok(watched)
}

/// Readings with the probe's outputs beside them.
fn join(
    watched: &Watched,
    rows: Vec<Vec<f32>>,
    probe: Option<&LinearHead>,
    model: &LoadedModel,
) -> anyhow::Result<Vec<TimedReading>> {
    let width = model.pretrained.model.config().embed_dim;
    let mut outputs: Vec<Option<Vec<f64>>> = vec![None; rows.len()];
    if let Some(head) = probe {
        let predicted = head.predict(Features::new(&watched.embeddings, width)?)?;
        for (slot, row) in outputs
            .iter_mut()
            .zip(predicted.chunks_exact(head.outputs()))
        {
            *slot = Some(row.to_vec());
        }
    }
    let timed = watched.times.iter().zip(rows).zip(outputs);
    Ok(timed
        .map(|((&time, probabilities), probe)| TimedReading {
            time,
            probabilities,
            probe,
        })
        .collect())
}

/// The subject asked for, else the one that the probe was fitted on, else as the model wants to be
/// shown pictures.
fn choose_subject(
    args: &PredictArgs,
    probe: Option<&LinearHead>,
    model: &OpenedModel,
) -> anyhow::Result<SubjectChoice> {
    let fitted = probe.and_then(LinearHead::subject);
    match (&args.view.subject, fitted, &args.probe) {
        (None, Some(fitted), Some(path)) => fitted
            .parse()
            .map_err(|fault: String| bad_input(format!("{}: {fault}", path.display()))),
        (Some(asked), Some(fitted), Some(path)) if asked.to_string() != fitted => {
            tracing::warn!(
                "{}: fitted with --subject {fitted}; what it says of --subject {asked} means little",
                path.display()
            );
            Ok(asked.clone())
        }
        _ => Ok(args.view.subject_for(model)),
    }
}

fn read_probe(path: &Path) -> anyhow::Result<LinearHead> {
    LinearHead::from_safetensors(&read_file(path)?).or_bad_input(path.display())
}

fn check_probe(head: &LinearHead, path: &Path, model: &LoadedModel) -> anyhow::Result<()> {
    let width = model.pretrained.model.config().embed_dim;
    let same = head.model_hash().is_none_or(|hash| hash == model.hash);
    if same && head.width() == width {
        return Ok(());
    }
    Err(bad_input(format!(
        "{}: fitted on the embeddings of another model than {}; give that model with --model, or \
         fit the probe again",
        path.display(),
        model.name
    )))
}

fn mean(readings: &[TimedReading], labels: usize) -> Vec<f32> {
    let count = readings.len().max(1) as f32;
    let of = |label: usize| -> f32 {
        readings
            .iter()
            .filter_map(|one| one.probabilities.get(label))
            .sum::<f32>()
            / count
    };
    (0..labels).map(of).collect()
}

fn text(result: &PredictResult<'_>) -> String {
    let mut text = format!("{}\n{}", result.input, bars(&result.labels, &result.mean));
    // Writing into a String never fails.
    if result.readings.len() > 1 {
        let _ = writeln!(
            text,
            "  mean of {} readings over {} frames; the highest of each second:",
            result.readings.len(),
            result.frames
        );
        let mut second = None;
        for reading in &result.readings {
            if second.replace(reading.time as u64) != Some(reading.time as u64) {
                let best = argmax(&reading.probabilities);
                let label = result.labels.get(best).map_or("", String::as_str);
                let share = reading.probabilities.get(best).copied().unwrap_or_default();
                let _ = writeln!(
                    text,
                    "  {:6.1} s  {label} {:.1} %",
                    reading.time,
                    share * 100.0
                );
            }
        }
    }
    if let (Some(labels), Some(last)) = (&result.probe_labels, result.readings.last()) {
        let _ = writeln!(text, "  probe, last window:");
        for (label, value) in labels.iter().zip(last.probe.iter().flatten()) {
            let _ = writeln!(text, "    {label} {value:.4}");
        }
    }
    text
}

/// How readings are written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
}

impl Format {
    fn of(path: &Path) -> anyhow::Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            _ => Err(bad_input(format!(
                "{}: name it .json or .csv",
                path.display()
            ))),
        }
    }
}

fn write_outputs(
    args: &PredictArgs,
    result: &PredictResult<'_>,
    format: Option<Format>,
    frames: Vec<ReadingFrame>,
    device: &str,
) -> anyhow::Result<()> {
    if let (Some(path), Some(format)) = (&args.out, format) {
        let bytes = match format {
            Format::Json => serde_json::to_vec_pretty(result).context("writing JSON")?,
            Format::Csv => csv_bytes(result)?,
        };
        write_atomically(path, &bytes)?;
    }
    let times: Vec<f64> = result.readings.iter().map(|reading| reading.time).collect();
    let values: Vec<Vec<f32>> = result
        .readings
        .iter()
        .map(|reading| reading.probabilities.clone())
        .collect();
    if let Some(path) = &args.plot {
        write_atomically(
            path,
            readings_plot(&times, &result.labels, &values).as_bytes(),
        )?;
    }
    if let Some(path) = &args.report {
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let title = args.input.file_name().unwrap_or(args.input.as_os_str());
        let page = ReadingsPage {
            title: title.display().to_string(),
            facts: vec![
                fact("model", result.model),
                fact("device", device),
                fact("subject", &result.subject),
                fact("frames", &result.frames.to_string()),
            ],
            labels: result.labels.clone(),
            times,
            values,
            frames,
        };
        write_atomically(path, readings_html(&page).as_bytes())?;
    }
    Ok(())
}

fn csv_bytes(result: &PredictResult<'_>) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let probes = result
        .probe_labels
        .iter()
        .flatten()
        .map(|label| format!("probe:{label}"));
    let header = std::iter::once("time".to_owned()).chain(result.labels.iter().cloned());
    writer.write_record(header.chain(probes))?;
    for reading in &result.readings {
        let values = reading.probabilities.iter().map(ToString::to_string);
        let probes = reading.probe.iter().flatten().map(ToString::to_string);
        let time = std::iter::once(reading.time.to_string());
        writer.write_record(time.chain(values).chain(probes))?;
    }
    writer.into_inner().context("writing CSV")
}
