//! JSON values as RFC 8785 has them (the JSON Canonicalization Scheme): one spelling of each value.

use serde_json::{Number, Value};

use crate::error::{Error, ErrorKind, Result};

/// The canonical text.
pub(super) fn text(value: &Value) -> Result<String> {
    let mut text = String::new();
    write(value, &mut text)?;
    Ok(text)
}

fn write(value: &Value, text: &mut String) -> Result<()> {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(truth) => text.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => text.push_str(ryu_js::Buffer::new().format(double(number)?)),
        Value::String(string) => quote(string, text),
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write(item, text)?;
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            text.push('{');
            for (place, (name, member)) in members.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                quote(name, text);
                text.push(':');
                write(member, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

/// The double that a number is; RFC 8785 knows no others, and two that it took for one would have one fingerprint.
fn double(number: &Number) -> Result<f64> {
    let whole = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64());
    // A double has 53 bits between its first and its last.
    let exact = whole.is_none_or(|whole| whole.leading_zeros() + whole.trailing_zeros() >= 64 - f64::MANTISSA_DIGITS);
    number.as_f64().filter(|_| exact).ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            format!("the value holds {number}, which no double is: it has no fingerprint"),
        )
        .with_hint("write whole numbers beyond 2 to the power of 53 as text")
    })
}

/// As serde_json quotes text, which is as RFC 8785 does: `\b \t \n \f \r \" \\`, `\u00xx` for other controls.
fn quote(string: &str, text: &mut String) {
    text.push_str(&Value::from(string).to_string());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EXACT: u64 = 1 << 53;

    #[test]
    fn the_examples_of_the_rfc() {
        let value: Value = serde_json::from_str(
            r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
                "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#,
        )
        .unwrap();
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                        \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(text(&value).unwrap(), expected);
        let sorted = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        let expected = "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}";
        assert_eq!(text(&sorted).unwrap(), expected);
    }

    #[test]
    fn numbers_are_those_of_ecmascript() {
        for (bits, expected) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        ] {
            assert_eq!(text(&json!(f64::from_bits(bits))).unwrap(), expected);
        }
        assert_eq!(text(&json!(1.0)).unwrap(), text(&json!(1)).unwrap());
    }

    #[test]
    fn whole_numbers_that_no_double_is_are_refused() {
        for number in [EXACT, EXACT + 2, 1 << 63, u64::MAX - 2047] {
            assert_eq!(text(&json!(number)).unwrap(), text(&json!(number as f64)).unwrap());
        }
        for number in [EXACT + 1, (1 << 54) + 2, u64::MAX, (1 << 63) + 1024] {
            assert_eq!(text(&json!([number])).unwrap_err().kind(), ErrorKind::Unsupported, "{number}");
        }
        assert!(text(&json!(-(EXACT as i64) - 1)).is_err());
        assert!(text(&json!(i64::MIN)).is_ok());
    }
}
