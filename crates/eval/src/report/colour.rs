//! Colour ramps whose lightness rises evenly, so that equal steps of a value look equal.
//!
//! They are computed in OKLCH (Björn Ottosson, "A perceptual color space for image processing",
//! 2020) and not read off a table, because the sheets' ramp must start at the page's own
//! background in the light scheme and in the dark one.

/// Levels of a sheet ramp: finer steps than the eye tells apart in a table.
pub(super) const LEVELS: usize = 24;

/// An sRGB colour, 8 bits a channel.
pub(super) type Rgb = [u8; 3];

/// The page's colour scheme a sheet is drawn for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Dark ink on light paper.
    Light,
    /// Light ink on dark paper.
    Dark,
}

/// Colour of a heat overlay at `value` in `[0, 1]`: near black over violet and orange to pale
/// yellow, as matplotlib's inferno.
pub(super) fn heat(value: f32) -> Rgb {
    let t = unit(value);
    oklch(
        0.16 + 0.80 * t,
        0.05 + 0.16 * (core::f32::consts::PI * t).sin(),
        295.0 + 170.0 * t,
    )
}

/// Background of a sheet cell at `level` of `0..LEVELS`, rising from the page's paper.
pub(super) fn sheet(level: usize, scheme: Scheme) -> Rgb {
    let t = level as f32 / (LEVELS - 1) as f32;
    match scheme {
        Scheme::Light => oklch(0.975 - 0.545 * t, 0.008 + 0.16 * t, 262.0 + 12.0 * t),
        Scheme::Dark => oklch(0.235 + 0.575 * t, 0.012 + 0.12 * t, 274.0 - 12.0 * t),
    }
}

/// The level of a sheet for `value` in `[0, 1]`.
pub(super) fn level(value: f64) -> usize {
    (unit(value as f32) * (LEVELS - 1) as f32).round() as usize
}

/// Style rules `.h0 … .hN` for sheet cells: background and an ink that can be read on it.
pub(super) fn sheet_rules(scheme: Scheme) -> String {
    (0..LEVELS)
        .map(|level| {
            let paper = sheet(level, scheme);
            format!(
                ".h{level}{{background:{};color:{}}}\n",
                hex(paper),
                hex(ink(paper))
            )
        })
        .collect()
}

/// Black or white, whichever contrasts more with `paper`.
fn ink(paper: Rgb) -> Rgb {
    let (black, white) = ([0; 3], [255; 3]);
    if contrast(paper, black) > contrast(paper, white) {
        black
    } else {
        white
    }
}

/// Contrast of two colours as WCAG 2 defines it, from 1 to 21.
fn contrast(a: Rgb, b: Rgb) -> f32 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// `#rrggbb`.
pub(super) fn hex([red, green, blue]: Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Clamps to `[0, 1]`; NaN counts as 0.
fn unit(value: f32) -> f32 {
    if value.is_nan() {
        0.0
    } else {
        value.clamp(0.0, 1.0)
    }
}

/// Relative luminance as WCAG 2 defines it.
fn luminance(colour: Rgb) -> f32 {
    let [red, green, blue] = colour.map(|channel| {
        let encoded = f32::from(channel) / 255.0;
        if encoded <= 0.04045 {
            encoded / 12.92
        } else {
            ((encoded + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/// OKLCH to sRGB; chroma is lowered until the colour can be shown, which keeps the lightness.
fn oklch(lightness: f32, chroma: f32, hue_degrees: f32) -> Rgb {
    let (sin, cos) = hue_degrees.to_radians().sin_cos();
    let mut chroma = chroma;
    loop {
        let linear = oklab_to_linear(lightness, chroma * cos, chroma * sin);
        if chroma <= 0.0
            || linear
                .iter()
                .all(|channel| (-1e-4..=1.0001).contains(channel))
        {
            return linear.map(encode);
        }
        chroma = (chroma - 0.005).max(0.0);
    }
}

/// Oklab to linear sRGB.
fn oklab_to_linear(lightness: f32, a: f32, b: f32) -> [f32; 3] {
    let long = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
    let medium = (lightness - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
    let short = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
    [
        4.076_741_7 * long - 3.307_711_6 * medium + 0.230_969_94 * short,
        -1.268_438 * long + 2.609_757_4 * medium - 0.341_319_38 * short,
        -0.004_196_086_3 * long - 0.703_418_6 * medium + 1.707_614_7 * short,
    ]
}

/// One linear sRGB channel to its 8-bit code.
fn encode(linear: f32) -> u8 {
    let linear = linear.clamp(0.0, 1.0);
    let encoded = if linear <= 0.003_130_8 {
        12.92 * linear
    } else {
        1.055 * linear.powf(1.0 / 2.4) - 0.055
    };
    (encoded * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_oklch_colours_convert() {
        // sRGB red is oklch(0.62796 0.25768 29.234); one code of slack for the f32 constants.
        let [red, green, blue] = oklch(0.627_96, 0.257_5, 29.234);
        assert!(
            red >= 253 && green <= 16 && blue <= 16,
            "{red} {green} {blue}"
        );
        assert_eq!(oklch(1.0, 0.0, 0.0), [255, 255, 255]);
        assert_eq!(oklch(0.0, 0.0, 0.0), [0, 0, 0]);
    }

    #[test]
    fn ramps_are_monotone_in_luminance() {
        for level in 1..LEVELS {
            assert!(
                luminance(sheet(level, Scheme::Light)) < luminance(sheet(level - 1, Scheme::Light))
            );
            assert!(
                luminance(sheet(level, Scheme::Dark)) > luminance(sheet(level - 1, Scheme::Dark))
            );
        }
        for step in 1..=20u8 {
            let (low, high) = (f32::from(step - 1) / 20.0, f32::from(step) / 20.0);
            assert!(luminance(heat(high)) > luminance(heat(low)));
        }
    }

    #[test]
    fn every_sheet_level_can_be_read() {
        // WCAG AA asks 4.5 for body text.
        for scheme in [Scheme::Light, Scheme::Dark] {
            for level in 0..LEVELS {
                let paper = sheet(level, scheme);
                let reached = contrast(paper, ink(paper));
                assert!(reached >= 4.5, "level {level}: {reached}");
            }
        }
    }

    #[test]
    fn values_out_of_range_are_clamped() {
        assert_eq!(heat(f32::NAN), heat(0.0));
        assert_eq!(level(7.0), LEVELS - 1);
        assert_eq!(level(-1.0), 0);
    }
}
