//! Files in formats that other crates read.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a foreign reader on a file: it checks what it reads, but a file may hold what nobody thought
/// of, and one file must not end a run over thousands.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("its reader failed".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_fails_is_an_error() {
        assert_eq!(guarded(|| Ok(3)), Ok(3));
        let empty: [u8; 0] = [];
        let failed = guarded(|| Ok(empty[std::hint::black_box(1)]));
        assert_eq!(failed, Err("its reader failed".to_owned()));
    }
}
