//! Comma, semicolon or tab separated values as an input.

use std::io::{BufRead, BufReader, Read};

use arrow::array::{AsArray, RecordBatch, RecordBatchReader};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::{Decoder, Format};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use super::overrides::Overrides;
use super::source::Spooling;
use super::{BATCH_BYTES, BATCH_ROWS, TYPED_ROWS, malformed, reading};
use crate::error::{Error, ErrorKind, Result};
use crate::value::Batches;

const READ_BYTES: usize = 256 * 1024;

/// The table of a CSV file, its columns typed from the first rows where no type is given.
pub(super) fn open(reader: Box<dyn Read + Send>, delimiter: u8, overrides: &Overrides) -> Result<Batches> {
    let mut spooling = Spooling::new(reader);
    let format = Format::default().with_header(true).with_delimiter(delimiter);
    let (guessed, _) = format
        .infer_schema(&mut spooling, Some(TYPED_ROWS))
        .map_err(|error| translate(&error.to_string(), &Lines::new(delimiter), &Schema::empty()))?;
    let text = as_text(&guessed);
    let schema = widened(&guessed, &numbers_with_zeros(spooling.again()?, delimiter, &text)?);
    let schema = overrides.apply(&schema)?;
    let decoder = ReaderBuilder::new(schema.clone())
        .with_header(true)
        .with_delimiter(delimiter)
        .with_batch_size(BATCH_ROWS)
        .build_decoder();
    let source = BufReader::with_capacity(READ_BYTES, spooling.rewound()?);
    Ok(Batches::from_reader(Csv { source, decoder, schema, lines: Lines::new(delimiter), ended: false }))
}

fn as_text(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true));
    Schema::new(fields.collect::<Vec<_>>()).into()
}

/// Which columns have values such as `00501`, that would lose zeros as numbers.
fn numbers_with_zeros(sample: &mut impl Read, delimiter: u8, text: &SchemaRef) -> Result<Vec<bool>> {
    let mut found = vec![false; text.fields().len()];
    let reader = ReaderBuilder::new(text.clone())
        .with_header(true)
        .with_delimiter(delimiter)
        .with_bounds(0, TYPED_ROWS)
        .build(sample)
        .map_err(|error| malformed("CSV", error))?;
    // The sample may end inside a row; what is wrong with it is told when the row is read.
    for batch in reader.map_while(Result::ok) {
        for (found, column) in found.iter_mut().zip(batch.columns()) {
            *found |= column.as_string::<i32>().iter().flatten().any(has_leading_zero);
        }
    }
    Ok(found)
}

fn has_leading_zero(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The guessed types, made so that what may come later does not silently lose something: digits stay text, and
/// times without a fraction may yet get one.
fn widened(schema: &Schema, zeros: &[bool]) -> Schema {
    let fields = schema.fields().iter().zip(zeros).map(|(field, zeros)| {
        let data_type = match field.data_type() {
            DataType::Int64 if *zeros => DataType::Utf8,
            DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
            }
            // A column that is empty so far.
            DataType::Null => DataType::Utf8,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// Reads batches that are bounded by rows and by bytes.
struct Csv<R> {
    source: BufReader<R>,
    decoder: Decoder,
    schema: SchemaRef,
    lines: Lines,
    ended: bool,
}

impl<R: Read> Csv<R> {
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut bytes = 0;
        while !self.ended {
            let piece = self.source.fill_buf().map_err(|error| reading(&error))?;
            let left = BATCH_BYTES.saturating_sub(bytes);
            let offered = if piece.len() <= left { piece } else { &piece[..self.lines.end_after(piece, left)] };
            let used = match self.decoder.decode(offered) {
                Ok(used) => used,
                Err(error) => {
                    self.lines.pass(offered);
                    return Err(translate(&error.to_string(), &self.lines, &self.schema));
                }
            };
            self.lines.pass(&offered[..used]);
            bytes += used;
            self.ended = piece.is_empty();
            self.source.consume(used);
            if self.decoder.capacity() == 0 || (bytes >= BATCH_BYTES && self.lines.between()) {
                break;
            }
        }
        let batch = self.decoder.flush().map_err(|error| translate(&error.to_string(), &self.lines, &self.schema))?;
        self.lines.next_batch();
        Ok(batch)
    }
}

impl<R: Read> Iterator for Csv<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batch();
        self.ended |= batch.is_err();
        batch.map_err(ArrowError::from).transpose()
    }
}

impl<R: Read> RecordBatchReader for Csv<R> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Where records begin and end, and on which lines of the file.
struct Lines {
    delimiter: u8,
    state: State,
    line: u64,
    record_line: u64,
    blank: bool,
    /// The number of the first record of this batch, the header being 0.
    first: usize,
    /// The lines on which the records of this batch begin.
    begun: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Field,
    Plain,
    Quoted,
    /// After a quote inside a quoted field: the field's end, or the first of two that mean one.
    Quote,
}

impl State {
    fn after(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Quote,
            (Self::Field | Self::Quote, b'"') | (Self::Quoted, _) => Self::Quoted,
            (_, b'\n' | b'\r') => Self::Field,
            (_, byte) if byte == delimiter => Self::Field,
            _ => Self::Plain,
        }
    }
}

impl Lines {
    fn new(delimiter: u8) -> Self {
        Self { delimiter, state: State::Field, line: 1, record_line: 1, blank: true, first: 0, begun: Vec::new() }
    }

    /// Whether a record has just ended.
    fn between(&self) -> bool {
        self.blank && self.state == State::Field
    }

    /// How long the piece is up to the end of the first record that ends after `least` bytes.
    fn end_after(&self, piece: &[u8], least: usize) -> usize {
        let mut state = self.state;
        for (position, &byte) in piece.iter().enumerate() {
            state = state.after(byte, self.delimiter);
            if position + 1 >= least && byte == b'\n' && state == State::Field {
                return position + 1;
            }
        }
        piece.len()
    }

    /// Takes note of bytes that were decoded.
    fn pass(&mut self, piece: &[u8]) {
        for &byte in piece {
            self.state = self.state.after(byte, self.delimiter);
            let ends = matches!(byte, b'\n' | b'\r') && self.state == State::Field;
            if self.blank && !ends {
                self.blank = false;
                self.record_line = self.line;
                self.begun.push(self.line);
            }
            self.line += u64::from(byte == b'\n');
            self.blank |= ends;
        }
    }

    fn next_batch(&mut self) {
        // A record that has begun but not ended belongs to the next batch.
        let complete = self.begun.len() - usize::from(!self.blank);
        self.first += complete;
        self.begun.drain(..complete);
    }

    /// The line on which a record begins, by its number, the header being 1.
    fn of_record(&self, number: usize) -> u64 {
        let position = number.checked_sub(1 + self.first);
        position.and_then(|position| self.begun.get(position)).copied().unwrap_or(number as u64)
    }
}

/// The library's message with the column's name and the line of the file.
fn translate(message: &str, lines: &Lines, schema: &Schema) -> Error {
    let message = message.strip_prefix("Parser error: ").or(message.strip_prefix("Csv error: ")).unwrap_or(message);
    let number_after = |text: &str| -> Option<usize> {
        let digits = message.split_once(text)?.1;
        digits[..digits.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(digits.len())].parse().ok()
    };
    let column = number_after("for column ").or_else(|| number_after("parsing column "));
    // Of a value, the library counts the header as 0, of a record as 1.
    let number = number_after("at line ").or_else(|| number_after("for line "));
    let line = number.map(|number| lines.of_record(number + usize::from(column.is_some())));
    let name = column.and_then(|column| schema.fields().get(column)).map(|field| field.name().as_str());
    let misfit = message
        .strip_prefix("Error while parsing value '")
        .and_then(|rest| rest.split_once("' as type '"))
        .and_then(|(value, rest)| Some((value, rest.split_once('\'')?.0)));
    let error = match (line, name, misfit) {
        (Some(line), Some(name), Some((value, kind))) => {
            format!("line {line}, column `{name}`: `{value}` is no {}", kind.to_lowercase())
        }
        (Some(line), Some(name), None) => {
            let why = message.split_once(": ").map_or(message, |(_, why)| why);
            format!("line {line}, column `{name}`: {why}")
        }
        (Some(line), None, _) => format!("line {line}: {}", unnumbered(message)),
        _ => format!("it cannot be read as CSV: {message}"),
    };
    let error = Error::new(ErrorKind::Input, error);
    match name {
        Some(name) => error.with_hint(format!(
            "types are told from the first {TYPED_ROWS} rows; `--schema {}` overrides the type of this column",
            quoted(&format!("{name}:utf8"))
        )),
        None => error.with_hint("if it is no table, `--serializer bytes` stores it as it is"),
    }
}

fn unnumbered(message: &str) -> String {
    let end = message.find(" at line ").or_else(|| message.find(" for line ")).unwrap_or(message.len());
    let rest = message[end..].split_once(',').map_or("", |(_, rest)| rest);
    if rest.is_empty() { message[..end].to_owned() } else { format!("{},{rest}", &message[..end]) }
}

fn quoted(text: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "_:.-".contains(character);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
