//! Lists of what a split holds, as digests: so that "no test picture was ever trained on" can be
//! checked by someone who has neither.

use sha2::{Digest, Sha256};

/// Bytes kept of an item's SHA-256.
///
/// Among n items, two differ and still share 64 bits with probability n² / 2⁶⁵: 2e-10 for 80,000.
pub const DIGEST_BYTES: usize = 8;

/// The digests of a list of items, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestList(Vec<[u8; DIGEST_BYTES]>);

impl DigestList {
    /// The list of these items: a face's 48 × 48 grey values by rows, an utterance's
    /// [normalised](super::normalise) text.
    pub fn of<I: AsRef<[u8]>>(items: impl IntoIterator<Item = I>) -> Self {
        let mut digests: Vec<_> = items
            .into_iter()
            .map(|item| digest(item.as_ref()))
            .collect();
        digests.sort_unstable();
        digests.dedup();
        Self(digests)
    }

    /// Reads a list: the digests end to end. `None` where they are not sorted, one stands twice, or
    /// the last is cut.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (digests, rest) = bytes.as_chunks::<DIGEST_BYTES>();
        let sorted = digests.windows(2).all(|pair| pair[0] < pair[1]);
        (rest.is_empty() && sorted).then(|| Self(digests.to_vec()))
    }

    /// The digests end to end.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// How many different items there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an item is in the list.
    pub fn contains(&self, item: &[u8]) -> bool {
        self.0.binary_search(&digest(item)).is_ok()
    }

    /// How many items are in both lists.
    pub fn shared_with(&self, other: &Self) -> usize {
        let found = |digest: &&[u8; DIGEST_BYTES]| other.0.binary_search(digest).is_ok();
        self.0.iter().filter(found).count()
    }
}

fn digest(item: &[u8]) -> [u8; DIGEST_BYTES] {
    let whole: [u8; 32] = Sha256::digest(item).into();
    std::array::from_fn(|index| whole[index])
}

/// A file's whole SHA-256 in lower-case hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_beginning_of_sha256() {
        // FIPS 180-2, appendix B.1.
        let list = DigestList::of(["abc"]);
        let expected = 0xba78_16bf_8f01_cfea_u64;
        assert_eq!(list.to_bytes(), expected.to_be_bytes());
        assert!(sha256(b"abc").starts_with("ba7816bf8f01cfea"));
        assert!(sha256(b"abc").ends_with("f20015ad"));
    }

    #[test]
    fn lists_are_sorted_sets_that_survive_the_file() {
        let list = DigestList::of(["b", "a", "c", "a"]);
        assert_eq!(list.len(), 3);
        assert_eq!(DigestList::from_bytes(&list.to_bytes()), Some(list.clone()));
        assert!(list.contains(b"a") && !list.contains(b"d"));
        assert_eq!(list.shared_with(&DigestList::of(["c", "d", "a"])), 2);
        let bytes = list.to_bytes();
        assert_eq!(DigestList::from_bytes(&bytes[1..]), None);
        let twice = [&bytes[..DIGEST_BYTES], &bytes[..DIGEST_BYTES]].concat();
        assert_eq!(DigestList::from_bytes(&twice), None);
    }
}
