//! Text in columns, as wide as its content, and no wider than the terminal.

use super::terminal::{shorten, width_of};

const GAP: usize = 2;
/// A cell that is wider is shortened where the terminal is too narrow for all columns.
const WIDEST: usize = 40;

/// One column: its head lines, and a cell for each row.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Lines above the cells; every column of a grid has as many.
    pub(super) head: Vec<String>,
    /// Whether cells stand at the right, as numbers do.
    pub(super) right: bool,
    /// The cells.
    pub(super) cells: Vec<String>,
}

impl Column {
    /// A column of text without cells.
    pub(super) fn text(head: &str) -> Self {
        Self { head: vec![head.to_owned()], right: false, cells: Vec::new() }
    }

    /// A column of numbers without cells.
    pub(super) fn number(head: &str) -> Self {
        Self { right: true, ..Self::text(head) }
    }

    fn lines(&self) -> impl Iterator<Item = &String> {
        self.head.iter().chain(&self.cells)
    }

    fn width(&self) -> usize {
        self.lines().map(|line| width_of(line)).max().unwrap_or(0)
    }
}

/// The grid as text. Where it is wider than `width`, cells are shortened, and then columns in the middle left out.
pub(super) fn render(columns: &[Column], width: Option<usize>) -> String {
    let Some(width) = width else { return lines(columns) };
    if total(columns) <= width {
        return lines(columns);
    }
    let mut fitting: Vec<Column> = columns.iter().map(|column| narrowed(column, WIDEST.min(width))).collect();
    let mut left_out = 0;
    while total(&fitting) > width && fitting.len() > 2 {
        let middle = fitting.len() / 2;
        if left_out > 0 {
            // The ellipsis stays where the columns were.
            fitting.remove(if fitting[middle].head[0] == "…" { middle - 1 } else { middle });
        } else {
            fitting[middle] = ellipsis(&fitting[middle]);
        }
        left_out += 1;
    }
    lines(&fitting)
}

fn total(columns: &[Column]) -> usize {
    columns.iter().map(Column::width).sum::<usize>() + GAP * columns.len().saturating_sub(1)
}

fn narrowed(column: &Column, width: usize) -> Column {
    let shorten = |lines: &[String]| lines.iter().map(|line| shorten(line, width)).collect();
    Column { head: shorten(&column.head), right: column.right, cells: shorten(&column.cells) }
}

fn ellipsis(like: &Column) -> Column {
    Column { head: vec!["…".into(); like.head.len()], right: false, cells: vec!["…".into(); like.cells.len()] }
}

fn lines(columns: &[Column]) -> String {
    let widths: Vec<usize> = columns.iter().map(Column::width).collect();
    let count = columns.first().map_or(0, |column| column.lines().count());
    let mut iterators: Vec<_> = columns.iter().map(Column::lines).collect();
    let mut text = String::new();
    for _ in 0..count {
        let mut line = String::new();
        for ((column, lines), width) in columns.iter().zip(&mut iterators).zip(&widths) {
            let cell = lines.next().map_or("", String::as_str);
            let padding = " ".repeat(width - width_of(cell));
            if !line.is_empty() {
                line.push_str(&" ".repeat(GAP));
            }
            line.push_str(&if column.right { padding + cell } else { cell.to_owned() + &padding });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(head: &str, cells: &[&str]) -> Column {
        Column { cells: cells.iter().map(|cell| (*cell).to_owned()).collect(), ..Column::text(head) }
    }

    #[test]
    fn columns_line_up() {
        let key = column("KEY", &["etl/trips", "日本"]);
        let rows = Column { right: true, ..column("ROWS", &["1", "20,000"]) };
        assert_eq!(render(&[key, rows], None), "KEY          ROWS\netl/trips       1\n日本       20,000\n");
    }

    #[test]
    fn what_does_not_fit_is_shortened_then_left_out() {
        let long = "x".repeat(100);
        let shown = render(&[column("A", &[&long]), column("B", &["b"])], Some(60));
        assert!(shown.contains('…') && shown.contains('b'), "{shown}");
        let many: Vec<Column> = (0..40).map(|number| column(&format!("column{number}"), &["value"])).collect();
        let shown = render(&many, Some(50));
        assert!(shown.lines().all(|line| width_of(line) <= 50), "{shown}");
        assert!(shown.starts_with("column0") && shown.contains("column39") && shown.contains('…'), "{shown}");
    }
}
