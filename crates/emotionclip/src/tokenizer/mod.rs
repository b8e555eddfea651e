//! CLIP's byte-pair tokenizer: a sentence in, the ids that the text encoder's embedding table
//! was trained on out.
//!
//! A pretrained text encoder is only as good as the agreement of its ids, so this follows
//! OpenCLIP's `SimpleTokenizer` step by step: clean the text as `ftfy` and `html.unescape` do
//! (module `clean`), lower-case it, cut it into words, contractions, single digits and runs of
//! punctuation, then apply the byte-pair merges to every piece. The ids are the same on all text
//! that needs no mojibake repair. Guessing which two encodings were mixed up to turn "sÃ³" back
//! into "só" is the one step of `ftfy` that is left out: such text is tokenized as it stands.
//! Characters that are younger than the reference's Unicode tables may be lower-cased, composed
//! or classed differently.
//!
//! Everything works on `wasm32`; the merges come with the crate (feature `bundled-merges`) or
//! from the caller's bytes.

#[cfg(feature = "bundled-merges")]
mod bundled;
mod clean;
mod config;
mod error;
mod fixes;
mod html_entities;
mod pieces;
mod vocabulary;

pub use config::{CLIP_MERGES, SpecialTokens, TokenizerConfig, Truncation};
pub use error::TokenizerError;

use pieces::PieceSplitter;
use vocabulary::Vocabulary;

/// CLIP's tokenizer.
///
/// Ids, for a vocabulary of `K` merges: `0..256` the bytes, `256..512` the bytes that end a word,
/// `512..512 + K` the merges, then SOT and EOT. All of CLIP's merges give 49406 and 49407.
#[derive(Debug, Clone)]
pub struct ClipTokenizer {
    config: TokenizerConfig,
    splitter: PieceSplitter,
    vocabulary: Vocabulary,
}

impl ClipTokenizer {
    /// Builds the tokenizer from the merges that the crate carries.
    ///
    /// # Errors
    /// When `config` asks for more merges than there are ([`CLIP_MERGES`]) or for a context
    /// without room for SOT and EOT.
    #[cfg(feature = "bundled-merges")]
    pub fn new(config: TokenizerConfig) -> Result<Self, TokenizerError> {
        Self::from_merges(&bundled::merges()?, config)
    }

    /// Builds the tokenizer from a merges text: one merge a line, two symbols apart by a space,
    /// the earliest merge first, with or without the `#version` line of the original file.
    ///
    /// # Errors
    /// When a line among the merges used is no merge of symbols known up to there, when `config`
    /// asks for more merges than the text has, or for a context without room for SOT and EOT.
    pub fn from_merges(merges: &str, config: TokenizerConfig) -> Result<Self, TokenizerError> {
        config.validate()?;
        Ok(Self {
            splitter: PieceSplitter::new(config.specials),
            vocabulary: Vocabulary::new(merges, config.merges)?,
            config,
        })
    }

    /// The settings that the tokenizer was built with.
    pub fn config(&self) -> &TokenizerConfig {
        &self.config
    }

    /// The merges in use, in the form that [`ClipTokenizer::from_merges`] reads: what an export
    /// ships beside a model of a smaller vocabulary.
    pub fn merges(&self) -> &str {
        self.vocabulary.merges()
    }

    /// The number of ids, SOT and EOT included: the rows of the token embedding table.
    pub fn vocab_size(&self) -> usize {
        self.eot() as usize + 1
    }

    /// The id that starts every text.
    pub fn sot(&self) -> u32 {
        self.vocabulary.len()
    }

    /// The id that ends every text, the largest of all: the text encoder reads its feature there.
    pub fn eot(&self) -> u32 {
        self.vocabulary.len() + 1
    }

    /// Encodes one text to `[context_length]` ids: SOT, the text, EOT, then zeros.
    pub fn encode(&self, text: &str, truncation: Truncation) -> Vec<u32> {
        let context_length = self.config.context_length;
        let mut ids = vec![self.sot()];
        ids.extend(self.tokenize(text));
        ids.push(self.eot());
        let overlong = ids.len() > context_length;
        ids.resize(context_length, 0);
        if overlong
            && truncation == Truncation::KeepEot
            && let Some(last) = ids.last_mut()
        {
            *last = self.eot();
        }
        ids
    }

    /// Encodes texts to `[N][context_length]` ids, each as [`ClipTokenizer::encode`] does.
    pub fn encode_batch<S: AsRef<str>>(
        &self,
        texts: &[S],
        truncation: Truncation,
    ) -> Vec<Vec<u32>> {
        let encode = |text: &S| self.encode(text.as_ref(), truncation);
        texts.iter().map(encode).collect()
    }

    /// The ids of the text alone: no SOT or EOT around it, neither padded nor cut. A special
    /// written out in the text is recognised as OpenCLIP does it (see [`SpecialTokens`]).
    pub fn tokenize(&self, text: &str) -> Vec<u32> {
        let text = clean::clean_lower(text);
        let mut ids = Vec::new();
        for piece in self.splitter.split(&text) {
            if piece == self.config.specials.start() {
                ids.push(self.sot());
            } else if piece == self.config.specials.end() {
                ids.push(self.eot());
            } else {
                self.vocabulary.append_ids(piece, &mut ids);
            }
        }
        ids
    }

    /// Spells ids out again, for debugging: words apart by spaces, SOT and EOT as their literals,
    /// the zero padding behind the last EOT left out. Ids outside the vocabulary and bytes that
    /// are no UTF-8 show as U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let specials = self.config.specials;
        let text_end = match ids.iter().rposition(|&id| id == self.eot()) {
            Some(last_eot) if ids[last_eot + 1..].iter().all(|&id| id == 0) => last_eot + 1,
            _ => ids.len(),
        };
        let mut bytes = Vec::new();
        for &id in &ids[..text_end] {
            if id == self.sot() {
                bytes.extend_from_slice(specials.start().as_bytes());
            } else if id == self.eot() {
                bytes.extend_from_slice(specials.end().as_bytes());
            } else {
                self.vocabulary.append_bytes(id, &mut bytes);
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
#[cfg(feature = "bundled-merges")]
mod tests {
    use super::*;

    fn tokenizer(merges: Option<usize>) -> ClipTokenizer {
        ClipTokenizer::new(TokenizerConfig {
            merges,
            ..TokenizerConfig::default()
        })
        .unwrap()
    }

    #[test]
    fn full_vocabulary_has_the_ids_of_clip() {
        let tokenizer = tokenizer(None);
        assert_eq!(tokenizer.vocab_size(), 49408);
        assert_eq!((tokenizer.sot(), tokenizer.eot()), (49406, 49407));
        // The example of OpenAI's CLIP notebook, as any CLIP tokenizer gives it.
        let ids = tokenizer.encode("a photo of a cat", Truncation::KeepEot);
        assert_eq!(ids[..7], [49406, 320, 1125, 539, 320, 2368, 49407]);
        assert_eq!(ids[7..], [0; 70]);
    }

    #[test]
    fn specials_follow_a_smaller_vocabulary() {
        let tokenizer = tokenizer(Some(100));
        assert_eq!(tokenizer.vocab_size(), 614);
        let ids = tokenizer.encode("extraordinarily", Truncation::KeepEot);
        assert_eq!(ids[0], 612);
        assert!(ids.contains(&613));
        assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    }

    #[test]
    fn no_merges_at_all_leaves_the_bytes() {
        let tokenizer = tokenizer(Some(0));
        assert_eq!(tokenizer.tokenize("ab!"), [64, 256 + 65, 256]);
        assert_eq!(tokenizer.merges(), "");
    }

    #[test]
    fn exported_merges_rebuild_the_same_tokenizer() {
        let small = tokenizer(Some(2000));
        let again = ClipTokenizer::from_merges(small.merges(), TokenizerConfig::default()).unwrap();
        let text = "she's thrilled by 3 déjà-vus";
        assert_eq!(small.tokenize(text), again.tokenize(text));
        assert_eq!(small.vocab_size(), again.vocab_size());
    }

    #[test]
    fn overlong_text_keeps_or_loses_its_end() {
        let tokenizer = tokenizer(None);
        let text = "cat ".repeat(100);
        let kept = tokenizer.encode(&text, Truncation::KeepEot);
        assert_eq!((kept.len(), kept[75], kept[76]), (77, 2368, 49407));
        let release = tokenizer.encode(&text, Truncation::Release);
        assert_eq!((release.len(), release[76]), (77, 2368));
        assert!(!release.contains(&49407));
    }

    #[test]
    fn text_that_just_fits_is_not_cut() {
        let tokenizer = tokenizer(None);
        for truncation in [Truncation::KeepEot, Truncation::Release] {
            let ids = tokenizer.encode(&"cat ".repeat(75), truncation);
            assert_eq!((ids[75], ids[76]), (2368, 49407));
        }
    }

    #[test]
    fn batch_equals_single_texts() {
        let tokenizer = tokenizer(Some(2000));
        let texts = ["", "joy", "so much joy"];
        let batch = tokenizer.encode_batch(&texts, Truncation::KeepEot);
        for (ids, text) in batch.iter().zip(texts) {
            assert_eq!(ids, &tokenizer.encode(text, Truncation::KeepEot));
        }
    }

    #[test]
    fn decoding_spells_the_text_out() {
        let tokenizer = tokenizer(None);
        let ids = tokenizer.encode("Isn't it 42° — déjà vu?", Truncation::KeepEot);
        assert_eq!(
            tokenizer.decode(&ids),
            "<start_of_text>isn 't it 4 2 ° — déjà vu ? <end_of_text>"
        );
        assert_eq!(tokenizer.decode(&[320, 49408]), "a \u{FFFD}");
    }
}
