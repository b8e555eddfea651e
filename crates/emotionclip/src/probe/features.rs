//! A checked view of feature rows, the input of every probe.

use super::ProbeError;

/// Norms below this are treated as this, so that a zero row stays zero (PyTorch's `normalize`).
const SMALLEST_NORM: f64 = 1e-12;

/// Rows of features `[N, D]`, row-major, `N ≥ 1`, `D ≥ 1`, every value finite.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    values: &'a [f32],
    width: usize,
}

impl<'a> Features<'a> {
    /// A view of `values` as rows of `width` features.
    ///
    /// # Errors
    /// No values, a length that is no multiple of `width`, a value that is not finite.
    pub fn new(values: &'a [f32], width: usize) -> Result<Self, ProbeError> {
        if values.is_empty() || width == 0 {
            return Err(ProbeError::Empty);
        }
        if !values.len().is_multiple_of(width) {
            return Err(ProbeError::Ragged {
                values: values.len(),
                width,
            });
        }
        check_finite("feature", values.iter().copied(), width)?;
        Ok(Self { values, width })
    }

    /// Number of rows `N`.
    pub fn samples(&self) -> usize {
        self.values.len() / self.width
    }

    /// Number of features `D` in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All values, row after row.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    /// The rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a [f32]> + use<'a> {
        self.values.chunks_exact(self.width)
    }

    /// The values of the rows `first..last`, row after row, cut to the rows there are.
    pub(super) fn row_range(&self, first: usize, last: usize) -> &'a [f32] {
        let end = (last * self.width).min(self.values.len());
        self.values.get(first * self.width..end).unwrap_or_default()
    }
}

/// The same rows scaled to Euclidean norm 1, as the evaluation protocols ask; a zero row stays.
pub fn l2_normalised(features: Features<'_>) -> Vec<f32> {
    let mut values = Vec::with_capacity(features.values.len());
    for row in features.rows() {
        let scale = inverse_norm(row);
        values.extend(row.iter().map(|&value| (f64::from(value) * scale) as f32));
    }
    values
}

/// What a row is multiplied with to have norm 1.
pub(super) fn inverse_norm(row: &[f32]) -> f64 {
    let squares: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
    squares.sqrt().max(SMALLEST_NORM).recip()
}

/// The first value that is not finite, as an error.
pub(super) fn check_finite(
    what: &'static str,
    values: impl IntoIterator<Item = f32>,
    width: usize,
) -> Result<(), ProbeError> {
    match values.into_iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(ProbeError::NotFinite {
            what,
            row: index / width,
            column: index % width,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_shapes_and_values_are_named() {
        assert_eq!(Features::new(&[], 3).unwrap_err(), ProbeError::Empty);
        assert_eq!(Features::new(&[1.0], 0).unwrap_err(), ProbeError::Empty);
        assert_eq!(
            Features::new(&[1.0; 4], 3).unwrap_err(),
            ProbeError::Ragged {
                values: 4,
                width: 3
            }
        );
        assert_eq!(
            Features::new(&[1.0, 2.0, 3.0, f32::NAN], 2).unwrap_err(),
            ProbeError::NotFinite {
                what: "feature",
                row: 1,
                column: 1
            }
        );
    }

    #[test]
    fn rows_are_scaled_to_norm_one_and_zero_rows_stay() {
        let values = [3.0, 4.0, 0.0, 0.0, -1e20, 0.0];
        let features = Features::new(&values, 2).expect("finite");
        assert_eq!(
            l2_normalised(features),
            [0.6, 0.8, 0.0, 0.0, -1.0, 0.0],
            "0.6 and 0.8 are the nearest f32 of 3/5 and 4/5"
        );
    }
}
