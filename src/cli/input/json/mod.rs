//! JSON as an input: objects as rows, and documents as values.

mod check;
mod infer;
mod split;

use std::io::{BufReader, Read};

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;
use serde_json::Value as Json;

use self::check::Check;
pub(super) use self::split::Split;
use super::overrides::Overrides;
use super::source::Spooling;
use super::{BATCH_BYTES, BATCH_ROWS, TYPED_ROWS, malformed};
use crate::error::{Error, ErrorKind, Result};
use crate::value::Batches;

const READ_BYTES: usize = 256 * 1024;

/// The table of JSON objects, one after the other or in an array, typed from the first rows where no type is given.
pub(super) fn rows(reader: Box<dyn Read + Send>, overrides: &Overrides) -> Result<Batches> {
    let mut spooling = Spooling::new(reader);
    let mut guess = infer::Guess::new(overrides);
    let mut split = Split::new(BufReader::with_capacity(READ_BYTES, &mut spooling));
    let mut row = Vec::new();
    for _ in 0..TYPED_ROWS {
        row.clear();
        let Some(line) = split.next(&mut row)? else { break };
        guess.add(&row, line)?;
    }
    drop(split);
    let schema: SchemaRef = Schema::new(guess.fields()).into();
    let decoder = ReaderBuilder::new(schema.clone())
        .with_batch_size(BATCH_ROWS)
        .with_strict_mode(true)
        .with_coerce_primitive(!overrides.is_empty())
        .build_decoder()
        .map_err(|error| malformed("JSON", error))?;
    let source = BufReader::with_capacity(READ_BYTES, spooling.rewound()?);
    let check = Check::new(&schema, !overrides.is_empty());
    Ok(Batches::from_reader(Rows { split: Split::new(source), decoder, schema, check, row: Vec::new(), ended: false }))
}

/// A JSON document as a value; refuses what would not come back the same.
pub(super) fn exact_value(text: &[u8]) -> Result<Json> {
    let text = text.strip_prefix(super::detect::BYTE_ORDER_MARK).unwrap_or(text);
    let value = serde_json::from_slice(text).map_err(|error| {
        Error::new(ErrorKind::Input, format!("it cannot be read as JSON: {error}"))
            .with_hint("`--serializer bytes` stores any file as it is")
    })?;
    match inexact_integer(text) {
        None => Ok(value),
        Some(number) => {
            Err(Error::new(ErrorKind::Unsupported, format!("the integer {number} takes more than 64 bits"))
                .with_hint("write it as text, or store the file as it is with `--serializer bytes`"))
        }
    }
}

/// The first integer of a valid JSON text that fits neither an i64 nor an u64.
fn inexact_integer(text: &[u8]) -> Option<&str> {
    let mut rest = text;
    loop {
        let start = rest.iter().position(|byte| matches!(byte, b'"' | b'-' | b'0'..=b'9'))?;
        rest = &rest[start..];
        let length = if rest[0] == b'"' { string_length(rest) } else { number_length(rest) };
        let (token, after) = rest.split_at(length.min(rest.len()));
        if let Ok(token) = std::str::from_utf8(token)
            && !token.starts_with('"')
            && !token.contains(['.', 'e', 'E'])
            && token.parse::<i64>().is_err()
            && token.parse::<u64>().is_err()
        {
            return Some(token);
        }
        rest = after;
    }
}

fn string_length(text: &[u8]) -> usize {
    let mut escaped = true; // The first quote opens the string.
    for (position, &byte) in text.iter().enumerate() {
        match byte {
            b'"' if !escaped => return position + 1,
            b'\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    text.len()
}

fn number_length(text: &[u8]) -> usize {
    let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    text.iter().position(|byte| !part(byte)).unwrap_or(text.len())
}

/// Reads batches that are bounded by rows and by bytes.
struct Rows<R> {
    split: Split<R>,
    decoder: Decoder,
    schema: SchemaRef,
    check: Check,
    row: Vec<u8>,
    ended: bool,
}

impl<R: std::io::BufRead> Rows<R> {
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let (mut rows, mut bytes, mut first, mut last) = (0, 0, 0, 0);
        while !self.ended && rows < BATCH_ROWS && bytes < BATCH_BYTES {
            self.row.clear();
            let Some(line) = self.split.next(&mut self.row)? else {
                self.ended = true;
                break;
            };
            self.check.row(&self.row, line)?;
            let decode = |error| malformed(&format!("JSON (line {line})"), error);
            self.decoder.decode(&self.row).map_err(decode)?;
            self.decoder.decode(b"\n").map_err(decode)?;
            first = if rows == 0 { line } else { first };
            last = line;
            rows += 1;
            bytes += self.row.len();
        }
        self.decoder.flush().map_err(|error| {
            malformed(&format!("JSON (lines {first} to {last})"), error)
                .with_hint("`--schema column:utf8` overrides the type of a column")
        })
    }
}

impl<R: std::io::BufRead> Iterator for Rows<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batch();
        self.ended |= batch.is_err();
        batch.map_err(ArrowError::from).transpose()
    }
}

impl<R: std::io::BufRead> RecordBatchReader for Rows<R> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_beyond_64_bits_are_found_wherever_they_stand() {
        for (text, found) in [
            (r#"{"a": 18446744073709551615, "b": -9223372036854775808}"#, None),
            (r#"[1, [18446744073709551616]]"#, Some("18446744073709551616")),
            ("-9223372036854775809", Some("-9223372036854775809")),
            (r#""99999999999999999999 \" 99999999999999999999""#, None),
            (r#"{"99999999999999999999": 1e99, "x\\": 12345678901234567890123.5}"#, None),
            (r#"["\\", 99999999999999999999]"#, Some("99999999999999999999")),
        ] {
            assert_eq!(inexact_integer(text.as_bytes()), found, "{text}");
        }
        assert!(exact_value(b"{\"a\":").is_err());
        assert!(exact_value(b"1 2").is_err());
    }
}
