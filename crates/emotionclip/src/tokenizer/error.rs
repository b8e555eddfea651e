//! What can go wrong when a tokenizer is built; encoding itself cannot fail.

use thiserror::Error;

/// Why a [`ClipTokenizer`](super::ClipTokenizer) could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The context has no room for SOT and EOT.
    #[error("tokenizer: context_length is {context_length}; use at least 2, for SOT and EOT")]
    ContextTooShort {
        /// The length asked for.
        context_length: usize,
    },
    /// The configuration asks for more merges than the list has.
    #[error(
        "tokenizer: {requested} merges asked for, the list has {available}; \
         lower `merges` or supply the longer list"
    )]
    TooFewMerges {
        /// The number asked for.
        requested: usize,
        /// The number in the list.
        available: usize,
    },
    /// A line of the list is no merge.
    #[error(
        "tokenizer: line {line} of the merges is {text:?}; expected {expected}, as in \
         CLIP's bpe_simple_vocab_16e6.txt"
    )]
    BadMerge {
        /// The line, from 1.
        line: usize,
        /// What it says, at most its first 40 characters.
        text: String,
        /// What a merge must be.
        expected: &'static str,
    },
    /// The byte-pair model refused the vocabulary.
    #[error("tokenizer: the byte-pair model refused the merges: {0}")]
    Model(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The merges that the crate carries do not unpack.
    #[cfg(feature = "bundled-merges")]
    #[error("tokenizer: the bundled merges are damaged: {0}; restore assets/ and build again")]
    Bundled(#[source] std::io::Error),
}
