//! Savitzky–Golay smoothing, which the LIRIS-ACCEDE protocol applies to its predictions.

use super::MetricError;
use super::error::check_values;

/// Replaces every point of `series` by the value of a polynomial of degree `order` fitted to the
/// `window` points around it by least squares.
///
/// Inside, an odd window is centred on its point; an even one (the protocol's 100) holds one point
/// more after it than before and the fit is taken half a step after the point, in the window's
/// middle. The first and last `window / 2` points are values of the fits of the first and last
/// `window` points. This is what `scipy.signal.savgol_filter` does by default.
///
/// # Errors
/// A value that is not finite; unless `order < window ≤ series.len()`.
pub fn savitzky_golay(
    series: &[f64],
    window: usize,
    order: usize,
) -> Result<Vec<f64>, MetricError> {
    let length = series.len();
    if order >= window || window > length {
        return Err(MetricError::Window {
            window,
            order,
            length,
        });
    }
    check_values("value", series, f64::is_finite)?;
    let basis = OrthogonalPolynomials::new(window, order);
    let half = window / 2;
    let middle = basis.weights((window - 1) as f64 / 2.0);
    let mut smoothed = Vec::with_capacity(length);
    for point in 0..half {
        smoothed.push(dot(&basis.weights(point as f64), &series[..window]));
    }
    // An even window that starts at `first` belongs to the point left of its middle.
    let left = (window - 1) / 2;
    for point in half..length - half {
        smoothed.push(dot(&middle, &series[point - left..][..window]));
    }
    for point in window - half..window {
        let weights = basis.weights(point as f64);
        smoothed.push(dot(&weights, &series[length - window..]));
    }
    Ok(smoothed)
}

/// Polynomials that are orthogonal over the points `0, 1, …, window − 1`, by the three-term
/// recurrence, which stays accurate where powers of the position would not.
struct OrthogonalPolynomials {
    window: usize,
    /// Per degree: `(a, b, ‖q‖²)` of `qₖ₊₁(x) = (x − a)·qₖ(x) − b·qₖ₋₁(x)`.
    recurrence: Vec<(f64, f64, f64)>,
}

impl OrthogonalPolynomials {
    fn new(window: usize, order: usize) -> Self {
        let centre = (window - 1) as f64 / 2.0;
        let mut polynomials = Self {
            window,
            recurrence: Vec::with_capacity(order + 1),
        };
        let mut before = f64::INFINITY;
        for degree in 0..=order {
            let norm = (0..window)
                .map(|point| polynomials.values(point as f64, degree + 1)[degree].powi(2))
                .sum();
            let b = if degree == 0 { 0.0 } else { norm / before };
            // The points lie evenly about the centre, so every `a` is the centre.
            polynomials.recurrence.push((centre, b, norm));
            before = norm;
        }
        polynomials
    }

    /// Values at `x` of the `count` polynomials of lowest degree; the recurrence must be known up
    /// to the degree before the last.
    fn values(&self, x: f64, count: usize) -> Vec<f64> {
        let mut values = vec![1.0];
        let mut before = 0.0;
        for &(a, b, _) in self.recurrence.iter().take(count - 1) {
            let last = values[values.len() - 1];
            values.push((x - a) * last - b * before);
            before = last;
        }
        values
    }

    /// Weights of the window's points in the value at `x` of the polynomial fitted to them.
    fn weights(&self, x: f64) -> Vec<f64> {
        let count = self.recurrence.len();
        let at_x = self.values(x, count);
        (0..self.window)
            .map(|point| {
                let at_point = self.values(point as f64, count);
                let terms = at_x.iter().zip(at_point).zip(&self.recurrence);
                terms
                    .map(|((x, point), (_, _, norm))| x * point / norm)
                    .sum()
            })
            .collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn textbook_weights() {
        // Savitzky and Golay's quadratic filter over five points: (−3, 12, 17, 12, −3) / 35.
        let weights = OrthogonalPolynomials::new(5, 2).weights(2.0);
        for (weight, expected) in weights.iter().zip([-3.0, 12.0, 17.0, 12.0, -3.0]) {
            assert!((weight - expected / 35.0).abs() < 1e-15);
        }
    }

    #[test]
    fn cubics_pass_an_odd_window_unchanged_and_shift_half_a_step_in_an_even_one() {
        let cubic = |x: f64| 0.001 * x * x * x - 0.05 * x * x + x - 3.0;
        let series: Vec<f64> = (0..40).map(|i| cubic(f64::from(i))).collect();
        let odd = savitzky_golay(&series, 11, 3).expect("fits");
        for (smoothed, value) in odd.iter().zip(&series) {
            assert!((smoothed - value).abs() < 1e-11);
        }
        let even = savitzky_golay(&series, 10, 3).expect("fits");
        for (i, smoothed) in even.iter().enumerate() {
            let inside = (5..35).contains(&i);
            let x = i as f64 + if inside { 0.5 } else { 0.0 };
            assert!((smoothed - cubic(x)).abs() < 1e-11, "point {i}");
        }
    }

    #[test]
    fn window_may_cover_the_whole_series() {
        let series = [1.0, 3.0, 2.0, 5.0];
        for window in [3, 4] {
            let smoothed = savitzky_golay(&series, window, window - 1).expect("fits");
            assert_eq!(smoothed.len(), 4);
        }
        assert_eq!(savitzky_golay(&series, 1, 0), Ok(series.to_vec()));
    }

    #[test]
    fn bad_input_is_refused() {
        for (window, order) in [(5, 2), (3, 3), (0, 0)] {
            assert!(matches!(
                savitzky_golay(&[1.0; 4], window, order),
                Err(MetricError::Window { .. })
            ));
        }
        assert!(savitzky_golay(&[], 1, 0).is_err());
        assert!(savitzky_golay(&[1.0, f64::NAN, 2.0], 3, 1).is_err());
    }
}
