//! Times, durations, sizes and counts as people write and read them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

/// A duration such as `30s`, `15m`, `12h`, `1d`, `2w`, or several of them in a row: `1d12h`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse = || format!("`{}` is no duration; they look like 30s, 15m, 12h, 1d or 2w", text.escape_debug());
    let mut total: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(refuse());
    }
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit()).ok_or_else(refuse)?;
        let (digits, unit) = rest.split_at(end);
        let count: u64 = digits.parse().map_err(|_| refuse())?;
        let seconds = match unit.chars().next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            _ => return Err(refuse()),
        };
        total = count.checked_mul(seconds).and_then(|part| total.checked_add(part)).ok_or_else(refuse)?;
        rest = &unit[1..];
    }
    Ok(Duration::from_secs(total))
}

/// A time with its zone, as RFC 3339 spells it.
pub(super) fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .map_err(|_| format!("`{}` is no time; they look like 2026-11-20T12:00:00Z", text.escape_debug()))
}

/// A time to the second.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A size in the largest unit that keeps a digit before the point: `46.0 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let mut unit = "B";
    let mut size = bytes as f64;
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if size < 1023.95 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

/// A count with commas: `6,001,215`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with what is counted: `1 row`, `2 rows`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// A duration in its largest unit: `40s`, `3h`, `12d`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        86_400..31_557_600 => format!("{}d", seconds / 86_400),
        _ => format!("{}y", seconds / 31_557_600),
    }
}

/// How long ago `then` is, seen from `now`.
pub(super) fn age(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    duration((now - then).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("30s", 30), ("15m", 900), ("12h", 43_200), ("1d", 86_400), ("2w", 1_209_600)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("1d12h"), Ok(Duration::from_secs(129_600)));
        for text in ["", "1", "d", "1y", "-1d", "1.5h", "1d ", "9999999999999999999w", "1é"] {
            assert_eq!(parse_duration(text).is_err(), text != "1d ", "{text:?}");
        }
    }

    #[test]
    fn sizes_and_counts() {
        for (size, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (48_211_930, "46.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (6_001_215, "6,001,215")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(2, "row"), "2 rows");
    }

    #[test]
    fn ages() {
        let then = parse_time("2026-11-20T12:00:00+02:00").unwrap();
        assert_eq!(time(then), "2026-11-20T10:00:00Z");
        for (seconds, text) in [(-5, "0s"), (59, "59s"), (60, "1m"), (7_200, "2h"), (90_000, "1d"), (40_000_000, "1y")]
        {
            assert_eq!(age(then + chrono::TimeDelta::seconds(seconds), then), text);
        }
        assert!(parse_time("2026-11-20").is_err());
    }
}
