//! Dates, times and instants as ISO 8601 writes them.

use chrono::NaiveDate;

const SECOND: i128 = 1_000_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;
/// Nanoseconds of a day.
pub(super) const DAY: i128 = 24 * HOUR;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instant {
    /// Nanoseconds since 1970, in UTC where there is an offset.
    pub(super) nanoseconds: i128,
    /// Whether it was written with an offset, or `Z`.
    pub(super) zoned: bool,
}

/// The instant that `2026-11-20`, `2026-11-20T12:00`, `2026-11-20 12:00:00.5+01:00` or the like is.
pub(super) fn instant(text: &str) -> Option<Instant> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let mut fields = date.split('-');
    let (year, month, day) = (number(fields.next()?, 4)?, number(fields.next()?, 2)?, number(fields.next()?, 2)?);
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day).filter(|_| fields.next().is_none())?;
    let midnight = i128::from(date.signed_duration_since(NaiveDate::default()).num_days()) * DAY;
    if rest.is_empty() {
        return Some(Instant { nanoseconds: midnight, zoned: false });
    }
    let clock = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, offset) = match clock.find(['Z', 'z', '+', '-']) {
        Some(at) => (clock.get(..at)?, Some(offset(clock.get(at..)?)?)),
        None => (clock, None),
    };
    let nanoseconds = midnight + time(clock)? - offset.unwrap_or_default();
    Some(Instant { nanoseconds, zoned: offset.is_some() })
}

/// The nanoseconds since midnight of `12:00`, `12:00:30` or `12:00:30.123456789`.
pub(super) fn time(text: &str) -> Option<i128> {
    let mut fields = text.split(':');
    let (hour, minute) = (number(fields.next()?, 2)?, number(fields.next()?, 2)?);
    let (second, fraction) = match fields.next() {
        Some(seconds) => seconds.split_once('.').map_or((seconds, None), |(second, rest)| (second, Some(rest))),
        None => ("00", None),
    };
    let second = number(second, 2)?;
    if hour > 23 || minute > 59 || second > 59 || fields.next().is_some() {
        return None;
    }
    let fraction = match fraction {
        Some(digits) if digits.len() <= 9 => {
            i128::from(number(digits, digits.len())?) * 10_i128.pow(9 - u32::try_from(digits.len()).ok()?)
        }
        Some(_) => return None,
        None => 0,
    };
    Some(i128::from(hour) * HOUR + i128::from(minute) * MINUTE + i128::from(second) * SECOND + fraction)
}

/// The nanoseconds of `Z`, `+01:00`, `+0100` or `+01`.
fn offset(text: &str) -> Option<i128> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+')?),
    };
    let hours = number(digits.get(..2)?, 2)?;
    let minutes = digits.get(2..)?;
    let minutes = if minutes.is_empty() { 0 } else { number(minutes.strip_prefix(':').unwrap_or(minutes), 2)? };
    (hours < 24 && minutes < 60).then(|| sign * (i128::from(hours) * HOUR + i128::from(minutes) * MINUTE))
}

/// The number that exactly so many digits are.
fn number(text: &str, digits: usize) -> Option<u32> {
    let fits = text.len() == digits && digits > 0 && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instants_are_read_as_iso_8601_writes_them() {
        let parsed = |text: &str| instant(text).map(|instant| (instant.nanoseconds, instant.zoned));
        assert_eq!(parsed("1970-01-01"), Some((0, false)));
        assert_eq!(parsed("1969-12-31 23:59:59.5"), Some((-SECOND / 2, false)));
        assert_eq!(parsed("1970-01-02T00:00Z"), Some((DAY, true)));
        assert_eq!(parsed("1970-01-01T01:30:00.000000001+01:30"), Some((1, true)));
        assert_eq!(parsed("1970-01-01t00:00:00-0100"), Some((HOUR, true)));
        assert_eq!(parsed("1970-01-01T00:00:00+01"), Some((-HOUR, true)));
        assert_eq!(time("23:59:59.999999999"), Some(DAY - 1));
        assert_eq!(time("00:00"), Some(0));
    }

    #[test]
    fn what_is_no_instant_is_none() {
        for text in [
            "",
            "2026",
            "2026-02-29",
            "2026-13-01",
            "2026-1-01",
            "20260101",
            "2026-01-01T",
            "2026-01-01T24:00",
            "2026-01-01T12",
            "2026-01-01T12:60",
            "2026-01-01T12:00:60",
            "2026-01-01T12:00:00.",
            "2026-01-01T12:00Zx",
            "2026-01-01T12:00:00.1234567890",
            "2026-01-01T12:00+1",
            "2026-01-01T12:00+25:00",
            "2026-01-01Z",
            "2026-01-0é",
            "2026-01-01T12:00:00,5",
            "2026-01-01x12:00",
            "2026-01-01T12:00+é0",
            "+026-01-01",
            "2026-01-01T+1:00",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
        assert_eq!((time("1:00"), time("12"), time("12:00:00:00"), time("12:00Z")), (None, None, None, None));
    }

    proptest! {
        #[test]
        fn an_instant_that_is_written_out_is_itself(seconds in -60_000_000_000_i64..250_000_000_000, nanoseconds in 0..1_000_000_000_u32) {
            let known = DateTime::from_timestamp(seconds, nanoseconds).unwrap();
            let expected = i128::from(seconds) * SECOND + i128::from(nanoseconds);
            prop_assert_eq!(instant(&known.to_rfc3339()), Some(Instant { nanoseconds: expected, zoned: true }));
            let plain = known.naive_utc().to_string();
            prop_assert_eq!(instant(&plain), Some(Instant { nanoseconds: expected, zoned: false }));
        }
    }
}
