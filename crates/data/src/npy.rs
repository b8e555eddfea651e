//! Matrices in NumPy's `.npy` files, as far as the benchmarks and the release use them.
//!
//! No crate for it is in the tree, and what is needed is small: two-dimensional arrays of
//! little-endian floats, integers or booleans in C order.

use std::path::Path;

/// What every file begins with, before its version.
const MAGIC: &[u8] = b"\x93NUMPY";

/// Rows of numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    /// Numbers a row.
    pub(crate) width: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// Reads a file; what is wrong with it is said without its name.
    ///
    /// # Errors
    /// A file that can't be read or holds no matrix.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        Self::parse(&bytes)
    }

    /// Reads a file's content; what is wrong with it is said without its name.
    ///
    /// # Errors
    /// Content that is no matrix.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (header, data) = split(bytes).ok_or("no NumPy array, or cut off")?;
        let kind = text_field(header, "descr").ok_or("a NumPy array of several fields")?;
        if header.contains("'fortran_order': True") {
            return Err("a NumPy array in Fortran order; save it in C order".to_owned());
        }
        let shape = shape(header).ok_or("a NumPy array without a shape")?;
        let &[rows, width] = shape.as_slice() else {
            return Err(format!(
                "a NumPy array of shape {shape:?}; a matrix expected"
            ));
        };
        let values: Vec<f64> = match kind {
            "<f8" => numbers(data, f64::from_le_bytes),
            "<f4" => numbers(data, |bytes| f64::from(f32::from_le_bytes(bytes))),
            "<i8" => numbers(data, |bytes| i64::from_le_bytes(bytes) as f64),
            "<i4" => numbers(data, |bytes| f64::from(i32::from_le_bytes(bytes))),
            "|u1" | "|b1" => numbers(data, |[byte]: [u8; 1]| f64::from(byte)),
            other => return Err(format!("a NumPy array of type {other}; <f8 expected")),
        };
        let expected = rows.checked_mul(width);
        if width == 0 || expected != Some(values.len()) {
            return Err(format!(
                "{} numbers where {rows} × {width} should be; the file is cut off",
                values.len()
            ));
        }
        Ok(Self { width, values })
    }

    /// The rows in order.
    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.width)
    }
}

/// A matrix of doubles as a file, for fixtures.
pub(crate) fn to_bytes(rows: &[Vec<f64>]) -> Vec<u8> {
    let width = rows.first().map_or(0, Vec::len);
    let mut header = format!(
        "{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, {width}), }}",
        rows.len()
    );
    // Ten bytes stand before the header; data begins at a multiple of 64.
    let padding = 64 - (10 + header.len() + 1) % 64;
    header.push_str(&" ".repeat(padding % 64));
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(rows.iter().flatten().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// The header as text, and the data.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (&[major, _], rest) = rest.split_first_chunk()?;
    let (length, rest) = if major == 1 {
        let (length, rest) = rest.split_first_chunk()?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk()?;
        (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
    };
    let (header, data) = rest.split_at_checked(length)?;
    Some((core::str::from_utf8(header).ok()?, data))
}

/// The value of a text entry of the header, which is a Python dictionary.
fn text_field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}':"))?;
    rest.trim_start().strip_prefix('\'')?.split('\'').next()
}

fn shape(header: &str) -> Option<Vec<usize>> {
    let (_, rest) = header.split_once("'shape':")?;
    let inside = rest.trim_start().strip_prefix('(')?.split(')').next()?;
    let sides = inside.split(',').map(str::trim);
    let sides = sides.filter(|side| !side.is_empty());
    sides.map(|side| side.parse().ok()).collect()
}

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|chunk| number(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_matrices_are_read_again() {
        let rows = vec![vec![1.0, -2.5, 0.0], vec![1e300, 4.0, 5.0]];
        let bytes = to_bytes(&rows);
        let data = bytes.len() - 6 * 8;
        assert_eq!(data % 64, 0);
        let matrix = Matrix::parse(&bytes).unwrap();
        let read: Vec<Vec<f64>> = matrix.rows().map(<[f64]>::to_vec).collect();
        assert_eq!(read, rows);
        for length in [0, 5, 7, 9, 30, data, bytes.len() - 1] {
            assert!(Matrix::parse(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn other_types_are_read_and_other_shapes_refused() {
        let file = |descr: &str, order: &str, shape: &str, data: &[u8]| {
            let header =
                format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
            let mut bytes = MAGIC.to_vec();
            bytes.extend([2, 0]);
            bytes.extend((header.len() as u32).to_le_bytes());
            bytes.extend(header.as_bytes());
            bytes.extend(data);
            Matrix::parse(&bytes)
        };
        let ones = file("'|b1'", "False", "(2, 2)", &[1, 0, 0, 1]).unwrap();
        assert_eq!(ones.values, [1.0, 0.0, 0.0, 1.0]);
        let floats = file("'<f4'", "False", "(1, 1)", &2.5_f32.to_le_bytes()).unwrap();
        assert_eq!(floats.values, [2.5]);
        for (descr, order, shape) in [
            ("'>f8'", "False", "(1, 1)"),
            ("'<f8'", "True", "(1, 1)"),
            ("'<f8'", "False", "(1,)"),
            ("'<f8'", "False", "(99999999999, 99999999999)"),
            ("[('a', '<f8')]", "False", "(1, 1)"),
        ] {
            assert!(
                file(descr, order, shape, &[0; 8]).is_err(),
                "{descr} {shape}"
            );
        }
    }
}
