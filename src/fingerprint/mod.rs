//! Fingerprints `fp1`: a hash of what a value says, whatever its bytes are.
//!
//! Two tables have one fingerprint if their columns have the same names, order and logical types, and the same rows in
//! the same order. How they lie in memory or in files does not count: batches, offsets, dictionaries, views, what stands
//! under nulls, and by which serializer they were stored. The bytes that are hashed are told in
//! [`docs::format`](crate::docs::format), section *Fingerprint*, so that any language can compute them.
//!
//! It finds what has changed, and what is the same. It is XXH3 and does not stop an attacker, who can make two tables
//! with one fingerprint.
//!
//! ```text
//! record batch ─▶ a node per column and type ─▶ runs of slots that are not null ─▶ streams ─▶ XXH3-128
//! ```

mod canonical;
mod logical;
mod node;
mod runs;
mod stream;
mod values;

use std::fmt;
use std::str::FromStr;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::Value as Json;
use xxhash_rust::xxh3::xxh3_128;

use self::logical::Logical;
use self::node::Node;
use self::runs::Run;
use self::stream::Record;
use crate::error::{Error, ErrorKind, Result};

const NAME: &str = "fp1";
/// Values are hashed as Arrow's buffers have them, and the format says little-endian.
const _: () = assert!(cfg!(target_endian = "little"), "fingerprints need a little-endian machine");

/// The fingerprint of a table or JSON value: `fp1:` and 32 hexadecimal digits.
///
/// ```
/// use coldframe::Fingerprint;
///
/// let fingerprint = coldframe::fingerprint::of_json(&serde_json::json!({"rate": 0.5, "on": true}))?;
/// assert_eq!(fingerprint.to_string(), "fp1:f9a403a01ab02da08309014dd610cb39");
/// assert_eq!(fingerprint.to_string().parse::<Fingerprint>()?, fingerprint);
/// # Ok::<(), coldframe::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u128);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}:{:032x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix(NAME).and_then(|rest| rest.strip_prefix(':')).unwrap_or_default();
        let plain = digits.len() == 32 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        u128::from_str_radix(digits, 16).ok().filter(|_| plain).map(Self).ok_or_else(|| {
            Error::invalid(format!("`{}` is no fingerprint that this version knows", text.escape_debug()))
                .with_hint("fingerprints look like fp1:<32 hex digits>")
        })
    }
}

/// The fingerprint of a table in batches, which all have `schema`.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{Int64Array, RecordBatch};
///
/// let fares = RecordBatch::try_from_iter([("fare", Arc::new(Int64Array::from(vec![12, 7])) as _)])?;
/// let whole = coldframe::fingerprint::of_batches(&fares.schema(), [&fares])?;
/// let halves = [fares.slice(0, 1), fares.slice(1, 1)];
/// assert_eq!(coldframe::fingerprint::of_batches(&fares.schema(), &halves)?, whole);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Input`] if a batch does not have the columns of the schema.
pub fn of_batches<'a>(schema: &Schema, batches: impl IntoIterator<Item = &'a RecordBatch>) -> Result<Fingerprint> {
    let mut fingerprinter = Fingerprinter::new(schema);
    batches.into_iter().try_for_each(|batch| fingerprinter.update(batch))?;
    Ok(fingerprinter.finish())
}

/// The fingerprint of a JSON value: of its canonical text by RFC 8785.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] if it holds a whole number that is no double, since RFC 8785 takes such a number for the
/// next one that is.
pub fn of_json(value: &Json) -> Result<Fingerprint> {
    Ok(Fingerprint(xxh3_128(canonical::text(value)?.as_bytes())))
}

/// Computes the fingerprint of a table whose batches come one by one.
///
/// It holds under 3 KiB for a column that is not nested, however long the table is.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{RecordBatch, StringArray};
/// use coldframe::Fingerprinter;
///
/// let towns = RecordBatch::try_from_iter([("town", Arc::new(StringArray::from(vec!["Cork", "Ystad"])) as _)])?;
/// let mut fingerprinter = Fingerprinter::new(&towns.schema());
/// fingerprinter.update(&towns)?;
/// assert_eq!(fingerprinter.finish().to_string(), "fp1:bbc7468ee48a79f80552f1f216dd98c9");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Fingerprinter {
    rows: u64,
    columns: Vec<ColumnFingerprint>,
}

impl Fingerprinter {
    /// For tables of this schema.
    pub fn new(schema: &Schema) -> Self {
        Self { rows: 0, columns: schema.fields().iter().map(|field| ColumnFingerprint::new(field)).collect() }
    }

    /// Takes the next batch. Its types may be others than those of the schema if they mean the same, such as `Utf8View`
    /// for `Utf8`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if it does not have the columns of the schema.
    pub fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.columns.len() {
            let (found, expected) = (batch.num_columns(), self.columns.len());
            return Err(Error::new(ErrorKind::Input, format!("a batch has {found} columns, not {expected}")));
        }
        self.rows += batch.num_rows() as u64;
        self.columns.iter_mut().zip(batch.columns()).try_for_each(|(column, array)| column.update(array))
    }

    /// The fingerprint of all batches taken.
    pub fn finish(self) -> Fingerprint {
        of_columns(self.rows, &self.columns)
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fingerprinter").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// The fingerprint of a table of such columns.
pub(crate) fn of_columns<'a>(rows: u64, columns: impl IntoIterator<Item = &'a ColumnFingerprint>) -> Fingerprint {
    let digests: Vec<u128> = columns.into_iter().map(ColumnFingerprint::digest).collect();
    let mut record = Record::default();
    record.raw(NAME.as_bytes());
    record.number(rows);
    record.number(digests.len() as u64);
    digests.into_iter().for_each(|digest| record.digest(digest));
    Fingerprint(record.finish())
}

/// One column on its way to a fingerprint: columns know nothing of one another, so each may have a thread of its own.
pub(crate) struct ColumnFingerprint {
    name: String,
    /// The type of the array before, which the next one most likely has too.
    data_type: DataType,
    node: Node,
}

impl ColumnFingerprint {
    pub(crate) fn new(field: &Field) -> Self {
        let data_type = field.data_type().clone();
        Self { name: field.name().clone(), node: Node::new(Logical::of(&data_type)), data_type }
    }

    /// Takes the next rows of the column.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if their type means another.
    pub(crate) fn update(&mut self, array: &ArrayRef) -> Result<()> {
        if *array.data_type() != self.data_type {
            if Logical::of(array.data_type()) != *self.node.logical() {
                let (name, found, expected) = (&self.name, array.data_type(), &self.data_type);
                return Err(Error::new(ErrorKind::Input, format!("column `{name}` is {found}, not {expected}")));
            }
            self.data_type = array.data_type().clone();
        }
        if !array.is_empty() {
            self.node.update(array, &[Run::slots(0, array.len())], &mut Vec::new());
        }
        Ok(())
    }

    fn digest(&self) -> u128 {
        let mut record = Record::default();
        record.text(&self.name);
        record.digest(self.node.digest());
        record.finish()
    }
}
