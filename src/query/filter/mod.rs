//! Filters: which rows are wanted, by what is in them.
#![doc = include_str!("grammar.md")]

mod bind;
mod evaluate;
mod instant;
mod number;
mod parse;
mod predicate;
mod pruning;
#[cfg(test)]
mod tests;
mod types;

use std::fmt;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::Schema;

use self::bind::Binder;
use self::predicate::Predicate;
pub(crate) use self::predicate::Value;
pub(crate) use self::pruning::Bounds;
use self::pruning::Outcomes;
use crate::error::{Error, Result};

/// A condition on the rows of tables of one schema; see [the module](self) for how it is written.
///
/// ```
/// # use std::sync::Arc;
/// use arrow::array::{Float64Array, RecordBatch};
/// use coldframe::query::Filter;
///
/// let fares = Float64Array::from(vec![Some(12.5), None, Some(7.0)]);
/// let batch = RecordBatch::try_from_iter([("fare", Arc::new(fares) as _)])?;
/// let filter = Filter::parse("fare BETWEEN 5 AND 10", &batch.schema())?;
/// assert_eq!(filter.test(&batch)?.iter().collect::<Vec<_>>(), [Some(false), None, Some(true)]);
///
/// let error = Filter::parse("fare > 'ten'", &batch.schema()).unwrap_err();
/// assert_eq!(error.to_string(), "column `fare` has numbers (Float64), and cannot be compared with 'ten'");
/// # Ok::<(), coldframe::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Filter {
    text: String,
    columns: Vec<usize>,
    predicate: Predicate,
}

// A predicate holds no NaN.
impl Eq for Filter {}

impl Filter {
    /// The filter that a text is, for tables of this schema.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if the text is no condition, or compares a column
    /// with a literal of another type; [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if it names a column that the
    /// schema does not have; [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for what only larger SQL engines
    /// do. The hint says what would fit.
    pub fn parse(text: &str, schema: &Schema) -> Result<Self> {
        let condition = parse::parse(text)?;
        let mut binder = Binder::new(schema);
        let predicate = binder.bind(&condition)?;
        Ok(Self { text: text.to_owned(), columns: binder.columns, predicate })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The positions of the columns that it asks for, in the schema, each once.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Whether the filter is true, false or unknown (null) for each row of a batch of the whole schema.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) if the batch is of another schema.
    pub fn test(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let columns = self.columns.iter().map(|column| batch.columns().get(*column).cloned());
        let columns = columns.collect::<Option<Vec<_>>>();
        let columns = columns.ok_or_else(|| Error::internal("a filter was handed a batch of another schema"))?;
        self.evaluate(&columns, batch.num_rows())
    }

    /// The same, from the arrays of [`Filter::columns`] alone.
    pub(crate) fn evaluate(&self, columns: &[ArrayRef], rows: usize) -> Result<BooleanArray> {
        self.predicate.evaluate(columns, rows)
    }

    /// What the filter may be for rows of which `bounds` says what is known of the column at a position of the schema.
    pub(crate) fn outcomes(&self, bounds: &dyn Fn(usize) -> Option<Bounds>) -> Outcomes {
        self.predicate.outcomes(&|column| bounds(*self.columns.get(column)?))
    }

    /// Whether it may be true for rows among which `lacks` knows the column at a position of the schema to have no such
    /// value.
    pub(crate) fn may_find(&self, lacks: &dyn Fn(usize, &Value) -> bool) -> bool {
        self.predicate.may_find(&|column, value| self.columns.get(column).is_some_and(|column| lacks(*column, value)))
    }
}

/// Refuses a text that is a filter for no schema at all.
///
/// # Errors
///
/// As [`Filter::parse`], but for what only a schema tells.
pub(crate) fn check(text: &str) -> Result<()> {
    parse::parse(text).map(drop)
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({})", self.text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
