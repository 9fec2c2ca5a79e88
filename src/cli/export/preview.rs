//! The first rows of a table, for people.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;

use super::super::grid::{self, Column};
use super::super::{terminal, units};
use crate::error::{Error, Result};
use crate::value::Batches;

/// How many rows are shown unless some were asked for.
pub(in crate::cli) const PREVIEW_ROWS: u64 = 20;
/// Longer cells are cut: they would not fit any terminal.
const CELL_CHARACTERS: usize = 200;

/// What the rows of a preview are.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) enum Rows {
    /// All that were asked for.
    All,
    /// The first of so many.
    Of(u64),
    /// The first of nobody knows how many, if they are as many as a preview shows.
    AtLeast,
}

/// The rows as text: names, types, cells, and of how many rows they are the first, where that is known.
pub(in crate::cli) async fn preview(mut batches: Batches, rows: Rows) -> Result<String> {
    let schema = batches.schema();
    let mut columns: Vec<Column> = schema
        .fields()
        .iter()
        .map(|field| Column {
            head: vec![terminal::escape(field.name()), terminal::escape(&short_type(field.data_type()))],
            right: field.data_type().is_numeric(),
            cells: Vec::new(),
        })
        .collect();
    let mut shown = 0;
    while let Some(batch) = batches.try_next().await? {
        shown += batch.num_rows() as u64;
        add(&mut columns, &batch)?;
    }
    let mut text = grid::render(&columns, terminal::width());
    let size = |rows| format!("{} × {}", units::counted(rows, "row"), units::counted(columns.len() as u64, "column"));
    text.push_str(&match rows {
        Rows::Of(rows) if rows > shown => format!("… {}, the first {shown} shown\n", size(rows)),
        Rows::AtLeast if shown == PREVIEW_ROWS => format!("… the first {}\n", size(shown)),
        _ => format!("{}\n", size(shown)),
    });
    Ok(text)
}

fn add(columns: &mut [Column], batch: &RecordBatch) -> Result<()> {
    for (column, array) in columns.iter_mut().zip(batch.columns()) {
        cells(array, &mut column.cells)?;
    }
    Ok(())
}

fn cells(array: &ArrayRef, cells: &mut Vec<String>) -> Result<()> {
    let options = FormatOptions::default().with_null("null").with_display_error(true);
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options)
        .map_err(|error| Error::internal(format!("a column of {} cannot be shown: {error}", array.data_type())))?;
    for row in 0..array.len() {
        let text = formatter.value(row).to_string();
        let cut: String = match text.char_indices().nth(CELL_CHARACTERS) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        };
        cells.push(terminal::escape(&cut));
    }
    Ok(())
}

/// A type as people write it; nested ones in one word, because `show` tells them in full.
fn short_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Struct(fields) => format!("struct[{}]", fields.len()),
        DataType::List(field) | DataType::LargeList(field) | DataType::ListView(field) => {
            format!("list[{}]", short_type(field.data_type()))
        }
        DataType::Map(..) => "map".into(),
        DataType::Union(..) => "union".into(),
        DataType::Dictionary(_, value) => short_type(value),
        DataType::RunEndEncoded(_, value) => short_type(value.data_type()),
        other => other.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;
    use crate::value::Batches;

    #[tokio::test]
    async fn names_types_and_cells_without_control_characters() {
        let batch = RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef),
            ("na\u{1b}me", Arc::new(StringArray::from(vec!["a\n\u{1b}[2J", "żółć"]))),
        ])
        .unwrap();
        let text = preview(Batches::from_batches(batch.schema(), vec![batch]), Rows::Of(1_000)).await.unwrap();
        assert_eq!(
            text,
            "   id  na\\u{1b}me\nint64  utf8\n    1  a\\n\\u{1b}[2J\n null  żółć\n… 1,000 rows × 2 columns, the first 2 shown\n"
        );
    }
}
