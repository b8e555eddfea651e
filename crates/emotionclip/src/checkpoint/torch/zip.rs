//! The part of the zip format that PyTorch writes: stored (uncompressed) entries, zip64 included.
//!
//! A general zip crate is not used on purpose. Entries are handed out as slices of the file, so a
//! checkpoint of any size costs no copy; a compressed entry is refused when it is asked for, so a
//! small file cannot unfold into a large one (TorchScript compresses its code, which nobody asks
//! for); and the number of entries is bounded before anything is allocated.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

use crate::checkpoint::error::Fault;

const END_RECORD: &[u8] = b"PK\x05\x06";
const END_RECORD_SIZE: usize = 22;
const ZIP64_LOCATOR: &[u8] = b"PK\x06\x07";
const ZIP64_LOCATOR_SIZE: usize = 20;
const ZIP64_END_RECORD: &[u8] = b"PK\x06\x06";
const CENTRAL_ENTRY: &[u8] = b"PK\x01\x02";
const CENTRAL_ENTRY_SIZE: usize = 46;
const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const LOCAL_HEADER_SIZE: usize = 30;
const MAX_COMMENT: usize = u16::MAX as usize;

/// Far above any checkpoint: one entry per tensor, and ViT-H with its optimiser has about 3,000.
const MAX_ENTRIES: u64 = 1 << 16;

/// An archive whose entries are slices of its bytes.
pub(super) struct Archive {
    bytes: Bytes,
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    data: Range<usize>,
    crc32: u32,
    /// Neither compressed nor encrypted.
    is_plain: bool,
}

impl Archive {
    /// Reads the central directory and checks every entry's place.
    pub(super) fn open(bytes: Bytes) -> Result<Self, Fault> {
        let directory = Directory::find(&bytes)?;
        let mut entries = BTreeMap::new();
        let mut at = directory.start;
        for _ in 0..directory.entries {
            let (name, entry, next) = central_entry(&bytes, at, directory.start)?;
            check_name(&name)?;
            if let Some(entry) = entry
                && entries.insert(name.clone(), entry).is_some()
            {
                return Err(Fault::damaged(format!(
                    "two archive entries are named `{name}`"
                )));
            }
            at = next;
        }
        Ok(Self { bytes, entries })
    }

    /// The names of all entries, in order; folders are left out.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// An entry's bytes, their checksum verified; `None` when there is no such entry.
    pub(super) fn get(&self, name: &str) -> Result<Option<Bytes>, Fault> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        if !entry.is_plain {
            return Err(Fault::unsupported(format!(
                "archive entry `{name}` is compressed or encrypted, which PyTorch does only to \
                 code; save the checkpoint again with `torch.save`"
            )));
        }
        let data = self.bytes.slice(entry.data.clone());
        if crc32fast::hash(&data) != entry.crc32 {
            return Err(Fault::damaged(format!(
                "archive entry `{name}` has a wrong checksum"
            )));
        }
        Ok(Some(data))
    }
}

struct Directory {
    start: usize,
    entries: u64,
}

impl Directory {
    fn find(bytes: &[u8]) -> Result<Self, Fault> {
        let at = end_record(bytes)
            .ok_or_else(|| Fault::damaged("the archive's directory is missing at the end"))?;
        let cut = || Fault::damaged("the archive's end record is incomplete");

        let locator = at.checked_sub(ZIP64_LOCATOR_SIZE);
        let zip64 = locator.filter(|&locator| bytes[locator..].starts_with(ZIP64_LOCATOR));
        let (entries, size, start, end) = if let Some(locator) = zip64 {
            let record = to_usize(u64_at(bytes, locator + 8).ok_or_else(cut)?);
            if !bytes
                .get(record..)
                .is_some_and(|rest| rest.starts_with(ZIP64_END_RECORD))
            {
                return Err(cut());
            }
            let field = |offset: usize| u64_at(bytes, record.saturating_add(offset));
            let fields = (field(32), field(40), field(48));
            let (Some(entries), Some(size), Some(start)) = fields else {
                return Err(cut());
            };
            (entries, size, start, record)
        } else {
            let fields = (
                u16_at(bytes, at + 10),
                u32_at(bytes, at + 12),
                u32_at(bytes, at + 16),
            );
            let (Some(entries), Some(size), Some(start)) = fields else {
                return Err(cut());
            };
            (entries.into(), size.into(), start.into(), at)
        };
        if entries > MAX_ENTRIES {
            return Err(Fault::damaged(format!(
                "{entries} archive entries are not plausible"
            )));
        }
        let start = to_usize(start);
        if start
            .checked_add(to_usize(size))
            .is_none_or(|directory_end| directory_end > end)
        {
            return Err(Fault::damaged(
                "the archive's directory lies outside the file",
            ));
        }
        Ok(Self { start, entries })
    }
}

/// The end record's place: the last one whose comment reaches exactly to the end of the file.
fn end_record(bytes: &[u8]) -> Option<usize> {
    let last = bytes.len().checked_sub(END_RECORD_SIZE)?;
    let first = last.saturating_sub(MAX_COMMENT);
    (first..=last).rev().find(|&at| {
        bytes[at..].starts_with(END_RECORD)
            && u16_at(bytes, at + 20) == u16::try_from(last - at).ok()
    })
}

/// One entry of the central directory (`None` for a folder) and where the next begins. `limit` is
/// where the entries' data must have ended.
fn central_entry(
    bytes: &[u8],
    at: usize,
    limit: usize,
) -> Result<(String, Option<Entry>, usize), Fault> {
    let cut = || Fault::damaged("the archive's directory is incomplete");
    let fixed = bytes.get(at..at + CENTRAL_ENTRY_SIZE).ok_or_else(cut)?;
    if !fixed.starts_with(CENTRAL_ENTRY) {
        return Err(cut());
    }
    let short = |offset| u16_at(fixed, offset).ok_or_else(cut);
    let long = |offset| u32_at(fixed, offset).ok_or_else(cut);
    let (flags, method, crc32) = (short(8)?, short(10)?, long(16)?);
    let (stored, size, header) = (long(20)?, long(24)?, long(42)?);
    let (name_size, extra_size, comment_size) = (short(28)?, short(30)?, short(32)?);

    let name_start = at + CENTRAL_ENTRY_SIZE;
    let extra_start = name_start + usize::from(name_size);
    let comment_start = extra_start + usize::from(extra_size);
    let next = comment_start + usize::from(comment_size);
    let name = bytes.get(name_start..extra_start).ok_or_else(cut)?;
    let extra = bytes.get(extra_start..comment_start).ok_or_else(cut)?;
    let name = str::from_utf8(name)
        .map_err(|_| Fault::damaged("an archive entry's name is not UTF-8"))?
        .to_owned();
    if name.ends_with('/') {
        return Ok((name, None, next));
    }
    let is_plain = flags & 1 == 0 && method == 0;

    // A field of all ones is continued in the zip64 extra field, in this order.
    let mut wide = zip64_fields(extra);
    let mut widen = |field: u32| {
        if field == u32::MAX {
            wide.next().ok_or_else(cut)
        } else {
            Ok(u64::from(field))
        }
    };
    let size = widen(size)?;
    let stored = widen(stored)?;
    let header = to_usize(widen(header)?);
    let outside = || Fault::damaged(format!("archive entry `{name}` lies outside the file"));
    let local = bytes.get(header..).ok_or_else(outside)?;
    if (is_plain && size != stored) || !local.starts_with(LOCAL_HEADER) {
        return Err(outside());
    }
    let (Some(local_name), Some(local_extra)) = (u16_at(local, 26), u16_at(local, 28)) else {
        return Err(outside());
    };
    let start = header + LOCAL_HEADER_SIZE + usize::from(local_name) + usize::from(local_extra);
    let end = start
        .checked_add(to_usize(stored))
        .filter(|&end| end <= limit)
        .ok_or_else(outside)?;
    let data = start..end;
    Ok((
        name,
        Some(Entry {
            data,
            crc32,
            is_plain,
        }),
        next,
    ))
}

/// The values of the zip64 extra field (id 1) among an entry's extra fields.
fn zip64_fields(extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut rest = extra;
    let mut content: &[u8] = &[];
    while let (Some(id), Some(size)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let end = 4 + usize::from(size);
        if id == 1 {
            content = rest.get(4..end).unwrap_or_default();
            break;
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    content
        .as_chunks::<8>()
        .0
        .iter()
        .map(|chunk| u64::from_le_bytes(*chunk))
}

/// Nothing is ever extracted to disk, but a name that tries to leave its folder is a sign of
/// intent.
fn check_name(name: &str) -> Result<(), Fault> {
    let escapes = name.starts_with('/')
        || name.contains(|c: char| c == '\\' || c.is_control())
        || name.split('/').any(|part| part == "..");
    if escapes {
        return Err(Fault::damaged(format!(
            "unsafe path {name:?} in the archive"
        )));
    }
    Ok(())
}

/// Saturates where a 64-bit offset exceeds the address space, which no slice reaches.
fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|chunk| u16::from_le_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|chunk| u32::from_le_bytes(*chunk))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|chunk| u64::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minimal archive of one stored entry, its directory altered by `alter`.
    fn archive(name: &str, content: &[u8], alter: impl Fn(&mut Vec<u8>)) -> Bytes {
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        let name_size = u16::try_from(name.len()).unwrap().to_le_bytes();
        let crc32 = crc32fast::hash(content).to_le_bytes();
        let mut local = LOCAL_HEADER.to_vec();
        local.extend_from_slice(&[0; 10]);
        for field in [
            &crc32[..],
            &size,
            &size,
            &name_size,
            &[0, 0],
            name.as_bytes(),
            content,
        ] {
            local.extend_from_slice(field);
        }
        let mut central = CENTRAL_ENTRY.to_vec();
        central.extend_from_slice(&[0; 12]);
        for field in [
            &crc32[..],
            &size,
            &size,
            &name_size,
            &[0; 16],
            name.as_bytes(),
        ] {
            central.extend_from_slice(field);
        }
        alter(&mut central);
        let mut end = END_RECORD.to_vec();
        end.extend_from_slice(&[0, 0, 0, 0, 1, 0, 1, 0]);
        end.extend_from_slice(&u32::try_from(central.len()).unwrap().to_le_bytes());
        end.extend_from_slice(&u32::try_from(local.len()).unwrap().to_le_bytes());
        end.extend_from_slice(&[0, 0]);
        [local, central, end].concat().into()
    }

    #[test]
    fn a_stored_entry_is_a_slice_of_the_file() {
        let bytes = archive("a/b", b"content", |_| ());
        let opened = Archive::open(bytes.clone()).unwrap();
        let entry = opened.get("a/b").unwrap().unwrap();
        assert_eq!(&entry[..], b"content");
        assert!(bytes.as_ptr_range().contains(&entry.as_ptr()));
        assert!(opened.get("a/c").unwrap().is_none());
    }

    #[test]
    fn changed_content_fails_its_checksum() {
        let mut bytes = archive("a", b"content", |_| ()).to_vec();
        let at = bytes
            .windows(7)
            .position(|window| window == b"content")
            .unwrap();
        bytes[at] ^= 1;
        let opened = Archive::open(bytes.into()).unwrap();
        assert!(matches!(opened.get("a"), Err(Fault::Damaged(_))));
    }

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        for name in ["../a", "a/../b", "/a", "a\\b", "a\0b"] {
            assert!(
                Archive::open(archive(name, b"x", |_| ())).is_err(),
                "{name:?}"
            );
        }
    }

    #[test]
    fn compressed_and_encrypted_entries_may_be_there_but_are_not_read() {
        let compressed = archive("a", b"x", |central| central[10] = 8);
        let encrypted = archive("a", b"x", |central| central[8] = 1);
        for bytes in [compressed, encrypted] {
            let opened = Archive::open(bytes).unwrap();
            assert!(matches!(opened.get("a"), Err(Fault::Unsupported(_))));
        }
    }

    #[test]
    fn an_entry_that_reaches_into_the_directory_is_refused() {
        let bytes = archive("a", b"x", |central| {
            central[20] = 9;
            central[24] = 9;
        });
        assert!(Archive::open(bytes).is_err());
    }
}
