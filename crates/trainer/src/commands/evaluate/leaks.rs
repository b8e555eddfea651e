//! Whether anything that is measured on was trained on: the split's items against the committed
//! lists of training items, and against the corpus's own training part.

use std::path::Path;

use anyhow::Context as _;
use emotionclip_data::faces::{DigestList, FaceSplit, MANIFEST, Manifest, normalise};
use emotionclip_data::synthetic::Split;
use serde::Serialize;

use crate::failure::bad_input;
use crate::inputs::files::read_text;

/// The lists of the corpus that the committed weights are trained on, see `tests/manifests`.
const COMMITTED: &str = include_str!("../../../../../tests/manifests/manifest.toml");
const COMMITTED_FACES: &[u8] = include_bytes!("../../../../../tests/manifests/faces-train.digests");
const COMMITTED_UTTERANCES: &[u8] =
    include_bytes!("../../../../../tests/manifests/utterances-train.digests");

/// How many different items of one kind the split has, and how many of them are in training.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shared {
    /// Different items of the split.
    pub items: usize,
    /// Items on the committed list.
    pub committed_train: usize,
    /// How many of the split's are on it.
    pub in_committed_train: usize,
    /// How many of the split's are in the corpus's own training part.
    pub in_corpus_train: usize,
}

/// What was found.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LeaksResult {
    /// Nothing is in both.
    pub clean: bool,
    /// Whether the corpus is the one whose lists are committed.
    pub is_committed_corpus: bool,
    /// Faces, by their 48 × 48 grey values.
    pub faces: Shared,
    /// Utterances, by their letters and digits.
    pub utterances: Shared,
}

impl LeaksResult {
    /// Items of the split that were trained on.
    pub fn found(&self) -> usize {
        let of = |shared: &Shared| shared.in_committed_train.max(shared.in_corpus_train);
        of(&self.faces) + of(&self.utterances)
    }
}

/// Compares a split with what is trained on.
///
/// # Errors
/// Bad input for a corpus without a manifest.
pub fn measure(root: &Path, data: &FaceSplit, train: &FaceSplit) -> anyhow::Result<LeaksResult> {
    let faces = shared(faces_of(data), &faces_of(train), COMMITTED_FACES)?;
    let utterances = shared(
        utterances_of(data),
        &utterances_of(train),
        COMMITTED_UTTERANCES,
    )?;
    let mut result = LeaksResult {
        clean: false,
        is_committed_corpus: is_committed(root)?,
        faces,
        utterances,
    };
    result.clean = result.found() == 0;
    Ok(result)
}

fn faces_of(data: &FaceSplit) -> DigestList {
    DigestList::of((0..data.face_count()).map(|index| data.pixels(index)))
}

fn utterances_of(data: &FaceSplit) -> DigestList {
    let texts = data.utterances().iter();
    DigestList::of(texts.map(|utterance| normalise(&utterance.text)))
}

fn shared(items: DigestList, train: &DigestList, committed: &[u8]) -> anyhow::Result<Shared> {
    let committed = DigestList::from_bytes(committed)
        .context("a list of digests that the program carries is damaged")?;
    Ok(Shared {
        items: items.len(),
        committed_train: committed.len(),
        in_committed_train: items.shared_with(&committed),
        in_corpus_train: items.shared_with(train),
    })
}

/// Whether the lists of digests of a corpus are the committed ones.
fn is_committed(root: &Path) -> anyhow::Result<bool> {
    let path = root.join(MANIFEST);
    let name = path.display();
    let own = Manifest::parse(&read_text(&path)?)
        .map_err(|reason| bad_input(format!("{name}: {reason}")))?;
    let committed = Manifest::parse(COMMITTED)
        .map_err(|reason| anyhow::anyhow!("the committed manifest: {reason}"))?;
    Ok(Split::ALL.iter().all(|split| {
        ["faces", "utterances"].iter().all(|kind| {
            let list = format!("{kind}-{}.digests", split.name());
            own.files.contains_key(&list) && own.files.get(&list) == committed.files.get(&list)
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_lists_are_whole_and_belong_to_the_manifest() {
        let manifest = Manifest::parse(COMMITTED).unwrap();
        for (name, bytes) in [
            ("faces-train.digests", COMMITTED_FACES),
            ("utterances-train.digests", COMMITTED_UTTERANCES),
        ] {
            assert_eq!(manifest.files[name].bytes, bytes.len() as u64);
            assert!(DigestList::from_bytes(bytes).is_some());
        }
    }

    #[test]
    fn shared_items_are_counted() {
        let items = || DigestList::of(["a", "b", "c"]);
        let train = DigestList::of(["c", "d"]);
        let committed = DigestList::of(["x", "a", "b"]).to_bytes();
        let found = shared(items(), &train, &committed).unwrap();
        assert_eq!(
            (found.items, found.in_committed_train, found.in_corpus_train),
            (3, 2, 1)
        );
    }
}
