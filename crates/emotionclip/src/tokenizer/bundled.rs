//! The merges of CLIP's vocabulary, carried by the crate.
//!
//! `assets/clip_bpe_merges.txt.gz` holds the lines 2 to 48895 of `bpe_simple_vocab_16e6.txt`
//! (OpenAI's CLIP, MIT licence): the merges that the 49408 ids use and nothing else.

use std::io::Read;

use flate2::read::GzDecoder;

use super::TokenizerError;

static COMPRESSED: &[u8] = include_bytes!("../../assets/clip_bpe_merges.txt.gz");

/// The bundled merges, one a line.
pub(super) fn merges() -> Result<String, TokenizerError> {
    let mut merges = String::new();
    GzDecoder::new(COMPRESSED)
        .read_to_string(&mut merges)
        .map_err(TokenizerError::Bundled)?;
    Ok(merges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::CLIP_MERGES;

    #[test]
    fn bundled_list_holds_exactly_the_merges_of_clip() {
        let merges = merges().unwrap();
        assert_eq!(merges.lines().count(), CLIP_MERGES);
        assert_eq!(merges.lines().next(), Some("i n"));
        assert_eq!(merges.lines().last(), Some("jeky ll</w>"));
    }
}
