//! Reading a checkpoint, sound or hostile, takes no more memory than twice its size.
//!
//! A test binary of its own with a single test, because the allocator counts for the whole process.

use bytes::Bytes;
use emotionclip::checkpoint::read;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Large enough that constant costs (tables, the least number of pickle steps) do not decide.
const FILE_BYTES: usize = 32 << 20;

#[test]
fn no_file_takes_more_than_twice_its_size_to_read() {
    for (kind, file) in [
        ("sound safetensors", safetensors(1)),
        ("safetensors of many tensors", safetensors(20_000)),
        ("header of empty tensors", header_only()),
        ("header length beyond the file", claim_header(u64::MAX >> 1)),
        ("pickle of nothing but values", pickle(b"N")),
        ("pickle of nothing but lists", pickle(b"](")),
        ("pickle of nothing but memos", memos()),
        ("pickle that claims a long string", claim_string()),
        ("archive of nothing but entries", directory_only()),
    ] {
        let size = file.len();
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let result = read(file, kind);
        let used = ALLOCATOR.peak_usage().saturating_sub(before);
        println!(
            "{kind}: {used} bytes for {size}; {:?}",
            result.as_ref().err()
        );
        assert!(
            used <= 2 * size,
            "{kind}: {used} bytes for a file of {size}"
        );
        assert_eq!(result.is_ok(), kind.contains("safetensors"), "{kind}");
    }
}

/// A file of `count` equal tensors.
fn safetensors(count: usize) -> Bytes {
    let each = FILE_BYTES / count;
    let entries: Vec<_> = (0..count)
        .map(|i| {
            let (start, end) = (i * each, (i + 1) * each);
            format!(r#""{i}":{{"dtype":"U8","shape":[{each}],"data_offsets":[{start},{end}]}}"#)
        })
        .collect();
    with_header(&format!("{{{}}}", entries.join(",")), each * count)
}

fn header_only() -> Bytes {
    let entry = |i| format!(r#""{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#);
    let entries: Vec<_> = (0..FILE_BYTES / 56).map(entry).collect();
    with_header(&format!("{{{}}}", entries.join(",")), 0)
}

fn with_header(header: &str, data_bytes: usize) -> Bytes {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.resize(file.len() + data_bytes, 0);
    file.into()
}

fn claim_header(length: u64) -> Bytes {
    let mut file = length.to_le_bytes().to_vec();
    file.resize(FILE_BYTES, b'{');
    file.into()
}

fn pickle(repeated: &[u8]) -> Bytes {
    let mut file = b"\x80\x02".to_vec();
    file.extend(repeated.iter().cycle().take(FILE_BYTES));
    file.into()
}

/// Each value memoised under an index of its own.
fn memos() -> Bytes {
    let mut file = b"\x80\x02".to_vec();
    for index in 0..FILE_BYTES as u32 / 6 {
        file.extend_from_slice(b"Nr");
        file.extend_from_slice(&index.to_le_bytes());
    }
    file.into()
}

fn claim_string() -> Bytes {
    let mut file = b"\x80\x02\x8d".to_vec();
    file.extend_from_slice(&(1u64 << 40).to_le_bytes());
    file.resize(FILE_BYTES, b'a');
    file.into()
}

/// As many directory entries as the file has room for, every one of the same empty content.
fn directory_only() -> Bytes {
    let mut file = b"PK\x03\x04".to_vec();
    file.resize(30, 0);
    let count = (FILE_BYTES / 52) as u64;
    for index in 0..count {
        file.extend_from_slice(b"PK\x01\x02");
        file.resize(file.len() + 24, 0);
        file.extend_from_slice(&6u16.to_le_bytes());
        file.resize(file.len() + 16, 0);
        file.extend_from_slice(format!("{index:06x}").as_bytes());
    }
    let record = file.len() as u64;
    file.extend_from_slice(b"PK\x06\x06");
    file.resize(file.len() + 28, 0);
    for field in [count, record - 30, 30] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    file.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    file.extend_from_slice(&record.to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(b"PK\x05\x06");
    file.resize(file.len() + 18, 0xFF);
    file.truncate(file.len() - 2);
    file.extend_from_slice(&[0, 0]);
    file.into()
}
