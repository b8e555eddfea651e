//! `embed`: pictures, videos and texts to vectors.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use emotionclip::checkpoint::{RawTensor, StateDict, write_safetensors};
use emotionclip_data::decode::Media;
use serde::Serialize;

use super::dataset::ViewArgs;
use crate::context::{Context, write_atomically};
use crate::failure::bad_input;
use crate::inputs::cache::{CacheArgs, FeatureCache};
use crate::inputs::features::FeatureExtractor;
use crate::inputs::files::read_text;
use crate::inputs::subject::Subject;
use crate::models::ModelArgs;

/// Texts a forward pass.
const TEXT_BATCH: usize = 64;

const EXAMPLES: &str = "\
Examples:
  trainer embed face.png talk.mp4 frames/                 # JSON lines on stdout
  trainer embed --text 'I am so happy!' --text 'go away'
  trainer embed *.png --texts lines.txt --out vectors.safetensors

Embeddings have unit length, so the dot product of two is their cosine. The .safetensors file has
the tensor `embeddings` [N, E] and the inputs' names as a JSON list under the metadata key `inputs`.";

/// Options of `embed`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct EmbedArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Pictures, videos or folders of frames
    #[arg(value_name = "FILE", required_unless_present_any = ["text", "texts"])]
    input: Vec<PathBuf>,
    /// A text to embed; may be given many times
    #[arg(long, value_name = "TEXT")]
    text: Vec<String>,
    /// A file with a text a line
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,
    /// File to write; without it, stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Format; default: by the name of --out, else JSON lines
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    view: ViewArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

/// How vectors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
    Safetensors,
}

#[derive(Debug, Serialize)]
struct Item {
    input: String,
    kind: &'static str,
    embedding: Vec<f32>,
}

#[derive(Debug, Serialize)]
struct EmbedResult<'a> {
    model: &'a str,
    embed_dim: usize,
    count: usize,
    cached: usize,
    out: Option<String>,
    /// Left out when they were written to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<&'a [Item]>,
}

/// Runs the command.
///
/// # Errors
/// Bad input for files, texts or a model that can't be used; a failing device or disk.
pub fn run(args: &EmbedArgs, context: &Context) -> anyhow::Result<()> {
    let format = args
        .format
        .or_else(|| by_name(args.out.as_deref()?))
        .unwrap_or(Format::Jsonl);
    if format == Format::Safetensors && args.out.is_none() {
        return Err(bad_input(
            "--format safetensors is binary; name a file with --out",
        ));
    }
    let subject = Subject::read(&args.view.subject())?;
    let media = args
        .input
        .iter()
        .map(|path| Media::open(path).map_err(bad_input));
    let media: Vec<Media> = media.collect::<anyhow::Result<_>>()?;
    let mut texts = args.text.clone();
    if let Some(path) = &args.texts {
        let content = read_text(path)?;
        texts.extend(
            content
                .lines()
                .filter(|line| !line.trim().is_empty())
                .map(str::to_owned),
        );
    }
    let model = args.model.load(&context.open_device()?.device, context)?;
    let extractor = FeatureExtractor {
        model: &model,
        subject: &subject,
        rate: args.view.fps,
        cache: args.cache.folder().map(FeatureCache::new),
    };
    let embedded = extractor.embed(&media.iter().collect::<Vec<_>>(), context)?;
    let mut items: Vec<Item> = media
        .iter()
        .zip(embedded.rows())
        .map(|(media, row)| Item {
            input: media.path().display().to_string(),
            kind: kind(media),
            embedding: row.to_vec(),
        })
        .collect();
    for batch in texts.chunks(TEXT_BATCH) {
        let values = model.values(model.pretrained.embed_texts(batch))?;
        items.extend(
            batch
                .iter()
                .zip(values.chunks_exact(embedded.width))
                .map(|(text, row)| Item {
                    input: text.clone(),
                    kind: "text",
                    embedding: row.to_vec(),
                }),
        );
    }

    let bytes = encode(format, &items, embedded.width)?;
    let mut result = EmbedResult {
        model: &model.name,
        embed_dim: embedded.width,
        count: items.len(),
        cached: embedded.cached,
        out: args.out.as_ref().map(|path| path.display().to_string()),
        items: None,
    };
    match &args.out {
        Some(path) => {
            write_atomically(path, &bytes)?;
            let text = format!(
                "{} embeddings of {} numbers in {} ({} from the cache)",
                items.len(),
                embedded.width,
                path.display(),
                embedded.cached
            );
            context.finish(&result, &text)
        }
        None => {
            result.items = Some(&items);
            context.finish(&result, &String::from_utf8_lossy(&bytes))
        }
    }
}

fn by_name(path: &Path) -> Option<Format> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "csv" => Some(Format::Csv),
        "safetensors" => Some(Format::Safetensors),
        "jsonl" | "json" => Some(Format::Jsonl),
        _ => None,
    }
}

fn kind(media: &Media) -> &'static str {
    match media {
        Media::Picture(_) => "picture",
        Media::Video(_) => "video",
        Media::Animation(_) => "animation",
        Media::Frames { .. } => "frames",
    }
}

fn encode(format: Format, items: &[Item], width: usize) -> anyhow::Result<Vec<u8>> {
    match format {
        Format::Jsonl => {
            let mut text = String::new();
            for item in items {
                let line = serde_json::to_string(item).context("writing a line of JSON")?;
                // Writing into a String never fails.
                let _ = writeln!(text, "{line}");
            }
            Ok(text.into_bytes())
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let columns = (0..width).map(|index| format!("e{index}"));
            let names = ["input".to_owned(), "kind".to_owned()];
            writer.write_record(names.into_iter().chain(columns))?;
            for item in items {
                let names = [item.input.clone(), item.kind.to_owned()];
                let values = item.embedding.iter().map(ToString::to_string);
                writer.write_record(names.into_iter().chain(values))?;
            }
            writer.into_inner().context("writing CSV")
        }
        Format::Safetensors => {
            let values: Vec<f32> = items
                .iter()
                .flat_map(|item| item.embedding.clone())
                .collect();
            let tensor = RawTensor::from_f32(vec![items.len(), width], &values)?;
            let names: Vec<&str> = items.iter().map(|item| item.input.as_str()).collect();
            let metadata = [("inputs".to_owned(), serde_json::to_string(&names)?)].into();
            let state = StateDict::from([("embeddings".to_owned(), tensor)]);
            Ok(write_safetensors(&state, &metadata))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<Item> {
        ["a, \"b\"", "c"]
            .map(|input| Item {
                input: input.to_owned(),
                kind: "text",
                embedding: vec![0.5, -1.0],
            })
            .into()
    }

    #[test]
    fn text_formats_quote_what_needs_it() {
        let jsonl = String::from_utf8(encode(Format::Jsonl, &items(), 2).unwrap()).unwrap();
        assert_eq!(jsonl.lines().count(), 2);
        let first: serde_json::Value = serde_json::from_str(jsonl.lines().next().unwrap()).unwrap();
        assert_eq!(first["input"], "a, \"b\"");
        let csv = String::from_utf8(encode(Format::Csv, &items(), 2).unwrap()).unwrap();
        assert_eq!(csv.lines().nth(1), Some("\"a, \"\"b\"\"\",text,0.5,-1"));
    }

    #[test]
    fn safetensors_hold_one_matrix_and_the_names() {
        let bytes = encode(Format::Safetensors, &items(), 2).unwrap();
        let names = &crate::inputs::files::safetensors_metadata(&bytes)["inputs"];
        assert_eq!(names, r#"["a, \"b\"","c"]"#);
        let state = emotionclip::checkpoint::read(bytes, "x").unwrap();
        assert_eq!(state["embeddings"].shape(), [2, 2]);
    }
}
