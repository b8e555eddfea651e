//! `01:02:03,456` and its spellings.

/// Seconds of a timestamp: hours may be missing, the fraction is after a comma or a point.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let (clock, fraction) = match text.split_once([',', '.']) {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut total = 0.0;
    let mut parts = 0;
    for part in clock.split(':') {
        parts += 1;
        if part.is_empty() || part.len() > 4 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let value: u32 = part.parse().ok()?;
        // Only the largest unit may exceed its sixty.
        if parts > 1 && value >= 60 {
            return None;
        }
        total = total * 60.0 + f64::from(value);
    }
    if !(2..=3).contains(&parts) {
        return None;
    }
    let Some(fraction) = fraction else {
        return Some(total);
    };
    if fraction.is_empty()
        || fraction.len() > 9
        || !fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    Some(total + format!("0.{fraction}").parse::<f64>().ok()?)
}

/// Start and end of a line like `00:00:01,000 --> 00:00:02,500 align:start`; the outer `None` is a
/// line without an arrow, the inner one a line whose times can't be read.
pub(super) fn range(line: &str) -> Option<Option<(f64, f64)>> {
    let (start, rest) = line.split_once("-->")?;
    let end = rest.split_whitespace().next().unwrap_or_default();
    Some(seconds(start.trim()).zip(seconds(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_is_read() {
        assert_eq!(seconds("01:02:03,500"), Some(3723.5));
        assert_eq!(seconds("02:03.25"), Some(123.25));
        assert_eq!(seconds("100:00:00.0"), Some(360_000.0));
        assert_eq!(
            range("00:01.000 --> 00:02.000 align:start"),
            Some(Some((1.0, 2.0)))
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "1",
            "00:61:00",
            "00:00:60,0",
            "-1:00:00",
            "1:2:3:4",
            "00:00:01,",
            "aa:bb",
            "99999:00:00",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
        assert_eq!(range("no arrow"), None);
        assert_eq!(range("00:00:01 --> soon"), Some(None));
    }
}
