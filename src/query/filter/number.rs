//! Numbers as they were written, and where they lie among the values of a type.

use arrow::datatypes::i256;

/// The greatest integer of 256 bits has so many digits.
const MOST_DIGITS: usize = 77;

/// A number as it was written, exact: its sign, its digits as an integer, and how many zeros follow them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: String,
    /// Negative where the last digits stand behind the point.
    exponent: i64,
    text: String,
}

/// Where a literal lies among the values of a type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place<T> {
    /// Less than every value.
    Below,
    /// It is this value.
    At(T),
    /// Greater than this value, and less than the next, if there is one.
    After(T),
}

impl<T: PartialOrd> Place<T> {
    /// The place among the values from `least` to `greatest` alone.
    pub(super) fn within(self, least: T, greatest: T) -> Self {
        match self {
            Self::At(value) | Self::After(value) if value < least => Self::Below,
            Self::At(value) | Self::After(value) if value > greatest => Self::After(greatest),
            place => place,
        }
    }

    /// The same with other values.
    pub(super) fn map<U>(self, map: impl FnOnce(T) -> U) -> Place<U> {
        match self {
            Self::Below => Place::Below,
            Self::At(value) => Place::At(map(value)),
            Self::After(value) => Place::After(map(value)),
        }
    }
}

impl Number {
    /// The number that a text such as `12`, `.5` or `1e-3` is; none if it is no number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (text.get(..at)?, exponent(text.get(at + 1..)?)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let kept = all.trim_end_matches('0');
        let zeros = i64::try_from(all.len() - kept.len()).ok()?;
        let exponent = exponent.saturating_add(zeros).saturating_sub(i64::try_from(fraction.len()).ok()?);
        let digits = kept.trim_start_matches('0').to_owned();
        Some(Self { negative: false, digits, exponent, text: text.to_owned() })
    }

    /// The number with the other sign.
    pub(super) fn negated(self) -> Self {
        let text = match self.text.strip_prefix('-') {
            Some(text) => text.to_owned(),
            None => format!("-{}", self.text),
        };
        Self { negative: !self.negative, text, ..self }
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Its place among the integers, once it is multiplied by ten to the power of `scale`.
    pub(super) fn scaled(&self, scale: i32) -> Place<i256> {
        if self.digits.is_empty() {
            return Place::At(i256::ZERO);
        }
        let beyond = if self.negative { Place::Below } else { Place::After(i256::MAX) };
        let shift = self.exponent.saturating_add(i64::from(scale));
        let kept = i64::try_from(self.digits.len()).unwrap_or(i64::MAX).saturating_add(shift);
        let (Ok(kept), Ok(zeros)) = (usize::try_from(kept.max(0)), usize::try_from(shift.max(0))) else {
            return beyond;
        };
        if kept > MOST_DIGITS {
            return beyond;
        }
        let digits = self.digits.get(..kept.min(self.digits.len())).unwrap_or_default();
        let magnitude = if digits.is_empty() {
            Some(i256::ZERO)
        } else {
            i256::from_string(&(digits.to_owned() + &"0".repeat(zeros)))
        };
        let Some(magnitude) = magnitude else { return beyond };
        // The last digit is no zero, so that something is left out where not all digits are kept.
        match (shift >= 0, self.negative) {
            (true, false) => Place::At(magnitude),
            (true, true) => Place::At(magnitude.wrapping_neg()),
            (false, false) => Place::After(magnitude),
            (false, true) => Place::After(magnitude.wrapping_neg().wrapping_sub(i256::ONE)),
        }
    }

    /// Its place among the values of a floating point type, all of which a `f64` can be.
    ///
    /// `round` gives the value of the type that is nearest to a number, `before` the next one below a value. Whole
    /// numbers have their exact place, and so has what is too large or too small for the type; any other fraction is
    /// taken for the value nearest to it, which is what `0.1` means to whoever writes it.
    pub(super) fn floating(&self, float: Float) -> Place<f64> {
        let nearest = float.nearest(&self.text);
        if nearest == 0.0 && !self.digits.is_empty() {
            return if self.negative { Place::After(float.before(0.0)) } else { Place::After(0.0) };
        }
        if nearest.is_infinite() {
            return Place::After(if self.negative { f64::NEG_INFINITY } else { float.before(f64::INFINITY) });
        }
        let written_whole = self.text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
        let exact = self.text.parse::<i128>().ok().filter(|exact| written_whole && exact.unsigned_abs() < 1 << 120);
        #[expect(clippy::cast_possible_truncation, reason = "a float without fraction, and less than 2 to the 121st")]
        match exact.map(|exact| exact.cmp(&(nearest as i128))) {
            Some(std::cmp::Ordering::Less) => Place::After(float.before(nearest)),
            Some(std::cmp::Ordering::Greater) => Place::After(nearest),
            _ => Place::At(nearest),
        }
    }
}

fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // No number that is told apart has an exponent of ten digits.
    let magnitude = digits.parse::<i64>().unwrap_or(i64::MAX).min(9_999_999_999);
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

/// A floating point type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    Half,
    Single,
    Double,
}

type F16 = <arrow::datatypes::Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native;

impl Float {
    /// The value nearest to a number.
    fn nearest(self, text: &str) -> f64 {
        match self {
            // 11 bits rounded from 53: no number of this many digits lies where rounding twice shows, but for ties.
            Self::Half => text.parse().map_or(f64::NAN, |number| F16::from_f64(number).to_f64()),
            Self::Single => text.parse::<f32>().map_or(f64::NAN, f64::from),
            Self::Double => text.parse().unwrap_or(f64::NAN),
        }
    }

    /// The greatest value below `value`.
    fn before(self, value: f64) -> f64 {
        match self {
            Self::Half => {
                let bits = F16::from_f64(value).to_bits();
                let before = match bits {
                    0 | 0x8000 => 0x8001,
                    positive if positive < 0x8000 => positive - 1,
                    negative => negative + 1,
                };
                F16::from_bits(before).to_f64()
            }
            #[expect(clippy::cast_possible_truncation, reason = "it is a value of this type")]
            Self::Single => f64::from((value as f32).next_down()),
            Self::Double => value.next_down(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        match text.strip_prefix('-') {
            Some(text) => Number::parse(text).unwrap().negated(),
            None => Number::parse(text).unwrap(),
        }
    }

    fn integer(value: i128) -> i256 {
        i256::from_i128(value)
    }

    #[test]
    fn numbers_have_exact_places_among_integers() {
        for (text, scale, place) in [
            ("0", 0, Place::At(integer(0))),
            ("-0.000", 5, Place::At(integer(0))),
            ("12", 0, Place::At(integer(12))),
            ("1.5", 0, Place::After(integer(1))),
            ("-1.5", 0, Place::After(integer(-2))),
            ("1.50", 1, Place::At(integer(15))),
            ("1200", -2, Place::At(integer(12))),
            ("1250", -2, Place::After(integer(12))),
            ("1e3", 0, Place::At(integer(1000))),
            ("12e-1", 0, Place::After(integer(1))),
            ("0.0001", 2, Place::After(integer(0))),
            ("-1e-99999999999", 38, Place::After(integer(-1))),
            ("1e99999999999999999999", 0, Place::After(i256::MAX)),
            ("-1e77", 0, Place::Below),
            ("6e76", 0, Place::After(i256::MAX)),
            ("1e66", 10, Place::At(i256::from_string(&format!("1{}", "0".repeat(76))).unwrap())),
            ("18446744073709551615", 0, Place::At(integer(u64::MAX.into()))),
        ] {
            assert_eq!(number(text).scaled(scale), place, "{text}");
        }
    }

    #[test]
    fn what_a_type_does_not_reach_lies_at_its_end() {
        let within = |text: &str| number(text).scaled(0).within(integer(-128), integer(127));
        assert_eq!(within("127"), Place::At(integer(127)));
        assert_eq!(within("127.5"), Place::After(integer(127)));
        assert_eq!(within("128"), Place::After(integer(127)));
        assert_eq!(within("-128"), Place::At(integer(-128)));
        assert_eq!(within("-128.5"), Place::Below);
        assert_eq!(within("1e90"), Place::After(integer(127)));
    }

    #[test]
    fn floats_take_fractions_for_the_nearest_and_whole_numbers_as_they_are() {
        let single = f64::from(0.1_f32);
        for (text, float, place) in [
            ("0.1", Float::Double, Place::At(0.1)),
            ("0.1", Float::Single, Place::At(single)),
            ("9007199254740993", Float::Double, Place::After(9_007_199_254_740_992.0)),
            ("9007199254740995", Float::Double, Place::After(9_007_199_254_740_994.0)),
            ("-9007199254740993", Float::Double, Place::After(-9_007_199_254_740_994.0)),
            ("16777217", Float::Single, Place::After(16_777_216.0)),
            ("2049", Float::Half, Place::After(2048.0)),
            ("2051", Float::Half, Place::After(2050.0)),
            ("-3", Float::Half, Place::At(-3.0)),
            ("1e999", Float::Double, Place::After(f64::MAX)),
            ("-1e999", Float::Double, Place::After(f64::NEG_INFINITY)),
            ("1e39", Float::Single, Place::After(f64::from(f32::MAX))),
            ("65520", Float::Half, Place::After(65504.0)),
            ("1e-999", Float::Double, Place::After(0.0)),
            ("-1e-999", Float::Double, Place::After(-f64::from_bits(1))),
            ("-1e-99", Float::Half, Place::After(F16::from_bits(0x8001).to_f64())),
        ] {
            assert_eq!(number(text).floating(float), place, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", ".", "e5", "1e", "1e+", "1x", "0x10", "1.2.3", "1e5.0", "+1", "-1", "inf", "NaN", "1_000"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn integers_and_cents_are_themselves(value in any::<i64>()) {
            prop_assert_eq!(number(&value.to_string()).scaled(0), Place::At(integer(value.into())));
            let (sign, cents) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
            let text = format!("{sign}{}.{:02}", cents / 100, cents % 100);
            prop_assert_eq!(number(&text).scaled(2), Place::At(integer(value.into())));
            let place = number(&text).scaled(0);
            let floor = integer(i128::from(value).div_euclid(100));
            prop_assert_eq!(place, if value % 100 == 0 { Place::At(floor) } else { Place::After(floor) });
        }

        #[test]
        fn a_float_that_is_written_out_is_itself(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
            prop_assert_eq!(number(&format!("{value:e}")).floating(Float::Double), Place::At(value));
        }
    }
}
