//! Which columns and rows of a table are asked for.

pub mod filter;

use std::ops::Range;

use arrow::datatypes::Schema;

pub use self::filter::Filter;
use crate::error::{Error, ErrorKind, Result};

/// Which columns and rows are asked for, and how large the batches may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The columns, in the order wanted; all of them where absent.
    pub columns: Option<Vec<String>>,
    /// The condition that rows must fulfil, as [`filter`] says; all rows where absent.
    pub filter: Option<String>,
    /// The rows, of those that fulfil the condition.
    pub rows: Rows,
    /// At most this many rows a batch; the reader may give fewer, to bound a batch's bytes.
    pub batch_rows: Option<usize>,
}

/// Which rows are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// From `offset` on, at most `limit`.
    From {
        /// How many rows to leave out.
        offset: u64,
        /// How many rows at most; all where absent.
        limit: Option<u64>,
    },
    /// The last ones.
    Last(u64),
}

impl Default for Rows {
    fn default() -> Self {
        Self::From { offset: 0, limit: None }
    }
}

impl Rows {
    /// The row numbers that are asked for, of a table of `total` rows.
    pub fn resolve(self, total: u64) -> Range<u64> {
        match self {
            Self::From { offset, limit } => {
                let start = offset.min(total);
                let end = limit.map_or(total, |limit| start.saturating_add(limit).min(total));
                start..end
            }
            Self::Last(count) => total.saturating_sub(count)..total,
        }
    }
}

/// The positions of the columns that are asked for, in the order asked.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] if a name is not in the schema, with the one most like it;
/// [`ErrorKind::InvalidInput`] if it is there twice, or asked for twice.
pub fn project(schema: &Schema, columns: &[String]) -> Result<Vec<usize>> {
    let mut positions = Vec::with_capacity(columns.len());
    for name in columns {
        let mut found = schema.fields().iter().enumerate().filter(|(_, field)| field.name() == name).map(|(i, _)| i);
        let Some(position) = found.next() else {
            return Err(unknown_column(schema, name));
        };
        if found.next().is_some() {
            return Err(Error::invalid(format!("more than one column is called `{name}`"))
                .with_hint("read the whole table, and take the column by its position"));
        }
        if positions.contains(&position) {
            return Err(Error::invalid(format!("column `{name}` is asked for twice")));
        }
        positions.push(position);
    }
    Ok(positions)
}

fn unknown_column(schema: &Schema, name: &str) -> Error {
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let error = Error::new(ErrorKind::NotFound, format!("there is no column `{name}`"));
    match nearest(name, names).first() {
        Some(similar) => error.with_hint(format!("did you mean `{similar}`?")),
        None => {
            let mut names: Vec<&str> = schema.fields().iter().take(20).map(|field| field.name().as_str()).collect();
            if schema.fields().len() > names.len() {
                names.push("…");
            }
            error.with_hint(format!("the columns are: {}", names.join(", ")))
        }
    }
}

/// Up to three of `names` that look like `name`, the most similar first.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let folded = name.to_lowercase();
    let mut similar: Vec<(f64, &str)> = names
        .map(|candidate| (strsim::jaro_winkler(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.85)
        .collect();
    similar.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    similar.truncate(3);
    similar.into_iter().map(|(_, candidate)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn rows_stay_inside_the_table() {
        let from = |offset, limit| Rows::From { offset, limit }.resolve(10);
        assert_eq!(from(0, None), 0..10);
        assert_eq!(from(3, Some(4)), 3..7);
        assert_eq!(from(8, Some(u64::MAX)), 8..10);
        assert_eq!(from(99, Some(1)), 10..10);
        assert_eq!(Rows::Last(3).resolve(10), 7..10);
        assert_eq!(Rows::Last(30).resolve(10), 0..10);
    }

    #[test]
    fn columns_come_in_the_order_asked_and_typos_get_a_hint() {
        let field = |name| Field::new(name, DataType::Int8, true);
        let schema = Schema::new(vec![field("fare"), field("tip"), field("x"), field("x")]);
        let ask = |names: &[&str]| project(&schema, &names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
        assert_eq!(ask(&["tip", "fare"]).unwrap(), [1, 0]);
        assert_eq!(ask(&["fares"]).unwrap_err().hint(), Some("did you mean `fare`?"));
        assert!(ask(&["zzz"]).unwrap_err().hint().unwrap().contains("fare, tip"));
        assert!(ask(&["x"]).unwrap_err().message().contains("more than one"));
        assert!(ask(&["tip", "tip"]).is_err());
    }
}
