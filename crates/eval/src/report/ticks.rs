//! Round numbers for a chart's axes, and how they are written.

/// Round numbers covering an interval.
pub(super) struct Ticks {
    /// Positions from low to high; the outer ones lie at or beyond the interval's ends.
    pub positions: Vec<f64>,
    decimals: usize,
}

impl Ticks {
    /// The number as the axis shows it.
    pub(super) fn label(&self, position: f64) -> String {
        // Adding 0 turns a negative zero positive.
        format!("{:.*}", self.decimals, position + 0.0).replace('-', "−")
    }
}

/// About `wanted` ticks at multiples of 1, 2 or 5 times a power of ten, enclosing `[low, high]`.
pub(super) fn ticks(low: f64, high: f64, wanted: usize) -> Ticks {
    let rough = (high - low) / wanted.max(1) as f64;
    if !rough.is_finite() || rough <= 0.0 {
        return Ticks {
            positions: vec![low],
            decimals: 2,
        };
    }
    let power = rough.log10().floor();
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * 10f64.powf(power))
        .into_iter()
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10f64.powf(power + 1.0));
    // Guards against rounding: a bound that is a multiple of the step must stay the outer tick.
    let first = (low / step + 1e-9).floor() as i64;
    let last = (high / step - 1e-9).ceil() as i64;
    Ticks {
        positions: (first..=last).map(|index| index as f64 * step).collect(),
        decimals: (-step.log10() - 1e-9).ceil().max(0.0) as usize,
    }
}

/// Power of ten that tick labels of small values are given in, else 1.
pub(super) fn power_of_ten_unit(highest: f64) -> f64 {
    if highest > 0.0 && highest < 0.01 {
        10f64.powf(highest.log10().floor())
    } else {
        1.0
    }
}

/// The exponent in superior digits.
pub(super) fn superscript(exponent: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    exponent
        .to_string()
        .chars()
        .map(|c| c.to_digit(10).map_or('⁻', |digit| DIGITS[digit as usize]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_the_interval() {
        let found = ticks(0.13, 3.9, 5);
        assert_eq!(found.positions, vec![0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(found.label(2.0), "2");
        let small = ticks(0.0, 1.0, 5);
        assert_eq!(small.label(small.positions[1]), "0.2");
        assert_eq!(small.positions.len(), 6);
        let signed = ticks(-1.0, 1.0, 4);
        assert_eq!(signed.label(signed.positions[0]), "−1.0");
    }

    #[test]
    fn small_axes_are_given_in_a_power_of_ten() {
        assert!((power_of_ten_unit(3e-4) - 1e-4).abs() < 1e-9);
        assert!((power_of_ten_unit(0.5) - 1.0).abs() < 1e-9);
        assert_eq!(superscript(-12), "⁻¹²");
    }
}
