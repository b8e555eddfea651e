//! Numbers and texts as a reader expects them, and safe to stand in HTML.

/// `text` with the characters that HTML and attribute values reserve escaped.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters are not allowed in HTML, not even escaped.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A share in `[0, 1]` as a percentage with one decimal, or a dash when it is not finite.
pub(super) fn percent(share: f64) -> String {
    if share.is_finite() {
        format!("{:.1}%", 100.0 * share)
    } else {
        "–".to_owned()
    }
}

/// The difference of two shares in percentage points, signed.
pub(super) fn points(difference: f64) -> String {
    let rounded = (1000.0 * difference).round() / 10.0;
    let sign = if rounded < 0.0 { '−' } else { '+' };
    format!("{sign}{:.1} points", rounded.abs())
}

/// Whole number with a thin space between groups of three digits.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Seconds as `4.2 s`, `3 min 07 s` or `2 h 05 min`.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    // The cast saturates, and a run of u64::MAX seconds does not exist.
    let whole = seconds.round() as u64;
    if whole < 3600 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        format!("{} h {:02} min", whole / 3600, whole % 3600 / 60)
    }
}

/// A quantity with at most three significant digits, `∞` for infinities, `–` for NaN.
pub(super) fn short(value: f64) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let magnitude = value.abs();
    let text = match magnitude {
        0.0 => "0".to_owned(),
        m if m < 0.01 => "<0.01".to_owned(),
        m if m < 9.995 => format!("{magnitude:.2}"),
        m if m < 99.95 => format!("{magnitude:.1}"),
        m if m < 9_999.5 => format!("{magnitude:.0}"),
        _ => format!("{magnitude:.0e}"),
    };
    match text.strip_prefix('<') {
        Some(bound) if value < 0.0 => format!(">−{bound}"),
        _ if value < 0.0 => format!("−{text}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_control_characters_cannot_pass() {
        assert_eq!(
            escape("<a href=\"x\">'&'\u{0}</a>"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;\u{fffd}&lt;/a&gt;"
        );
    }

    #[test]
    fn numbers_read_naturally() {
        assert_eq!(percent(0.8316), "83.2%");
        assert_eq!(percent(f64::NAN), "–");
        assert_eq!(points(0.204), "+20.4 points");
        assert_eq!(points(-0.01), "−1.0 points");
        assert_eq!(count(1_048_576), "1\u{202f}048\u{202f}576");
        assert_eq!(count(12), "12");
        assert_eq!(duration(4.25), "4.2 s");
        assert_eq!(duration(187.0), "3 min 07 s");
        assert_eq!(duration(7500.0), "2 h 05 min");
        assert_eq!(short(f64::INFINITY), "∞");
        assert_eq!(short(-2.346), "−2.35");
        assert_eq!(short(-0.001), ">−0.01");
        assert_eq!(short(12.34), "12.3");
        assert_eq!(short(123_456.0), "1e5");
    }
}
