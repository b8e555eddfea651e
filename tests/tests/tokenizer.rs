//! The tokenizer against the ids of OpenCLIP's own `SimpleTokenizer`
//! (`parity/generate_tokenizer.py` writes them).

use emotionclip::tokenizer::{ClipTokenizer, SpecialTokens, TokenizerConfig, Truncation};
use serde::Deserialize;

#[derive(Deserialize)]
struct Goldens {
    small_merges: usize,
    texts: Vec<Text>,
    open_ai: Vec<SpecialText>,
    truncation: Vec<LongText>,
}

#[derive(Deserialize)]
struct Text {
    category: String,
    text: String,
    ids: Vec<u32>,
    small_ids: Vec<u32>,
}

#[derive(Deserialize)]
struct SpecialText {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct LongText {
    text: String,
    keep_eot: Vec<u32>,
    release: Vec<u32>,
}

fn goldens() -> Goldens {
    let json = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/parity/goldens/tokenizer.json"
    ));
    serde_json::from_str(json).expect("the goldens are JSON of this shape")
}

fn tokenizer(merges: Option<usize>, specials: SpecialTokens) -> ClipTokenizer {
    let config = TokenizerConfig {
        merges,
        specials,
        ..TokenizerConfig::default()
    };
    ClipTokenizer::new(config).expect("the bundled merges suffice")
}

#[test]
fn ids_equal_open_clip_on_every_kind_of_text() {
    let goldens = goldens();
    assert!(goldens.texts.len() >= 200);
    let tokenizer = tokenizer(None, SpecialTokens::OpenClip);
    for case in &goldens.texts {
        let ids = tokenizer.tokenize(&case.text);
        assert_eq!(ids, case.ids, "{}: {:?}", case.category, case.text);
    }
}

#[test]
fn ids_equal_open_clip_with_its_first_merges_only() {
    let goldens = goldens();
    let tokenizer = tokenizer(Some(goldens.small_merges), SpecialTokens::OpenClip);
    for case in &goldens.texts {
        let ids = tokenizer.tokenize(&case.text);
        assert_eq!(ids, case.small_ids, "{}: {:?}", case.category, case.text);
    }
}

#[test]
fn open_ai_literals_are_recognised_in_their_flavour_only() {
    let tokenizer = tokenizer(None, SpecialTokens::OpenAi);
    for case in &goldens().open_ai {
        assert_eq!(tokenizer.tokenize(&case.text), case.ids, "{:?}", case.text);
    }
}

#[test]
fn truncation_equals_open_clip_and_the_release() {
    let tokenizer = tokenizer(None, SpecialTokens::OpenClip);
    for case in &goldens().truncation {
        let keep_eot = tokenizer.encode(&case.text, Truncation::KeepEot);
        assert_eq!(keep_eot, case.keep_eot, "{:?}", case.text);
        let release = tokenizer.encode(&case.text, Truncation::Release);
        assert_eq!(release, case.release, "{:?}", case.text);
    }
}
